from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import InputError, KernprofError, UsageError
from kernprof.prediction.arguments import DTYPES, MAX_BYTES, build, parse


def made(*texts: str, seed: int = 0):
    return build([parse(t) for t in texts], seed=seed)


def test_fills() -> None:
    values = made("a=int32[2,3]:arange", "b=float64[2]:ones", "c=uint8[4]:zeros")
    assert values["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert values["b"].tolist() == [1.0, 1.0]
    assert values["b"].dtype == np.float64
    assert values["c"].tolist() == [0] * 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_arrays_have_their_type_and_repeat_with_the_seed(dtype: str) -> None:
    first, again = (made(f"a={dtype}[200]:random", seed=5)["a"] for _ in range(2))
    assert first.dtype == np.dtype(dtype)
    assert (first == again).all()
    assert len(set(first.tolist())) > 1
    other = made(f"a={dtype}[200]:random", seed=6)["a"]
    assert (first != other).any()


def test_arrays_of_one_launch_differ_from_each_other() -> None:
    values = made("a=float32[50]:random", "b=float32[50]:random")
    assert (values["a"] != values["b"]).any()


def test_another_name_is_the_same_array() -> None:
    values = made("a=float32[8]:zeros", "b=@a")
    assert values["a"] is values["b"]


def test_scalars() -> None:
    values = made("n=int32:-7", "h=uint64:0xffffffffffffffff", "x=float16:0.5", "s=bytes:00 ff")
    assert values["n"] == np.int32(-7)
    assert values["n"].dtype == np.int32
    assert int(values["h"]) == 2**64 - 1
    assert values["x"].dtype == np.float16
    assert values["s"] == b"\x00\xff"


def test_files(tmp_path: Path) -> None:
    data = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.save(tmp_path / "a.npy", np.asfortranarray(data))
    found = made(f"a=int16[2,3]:{tmp_path}/a.npy")["a"]
    assert (found == data).all()
    assert found.flags.c_contiguous
    assert found.flags.writeable
    with pytest.raises(InputError, match=r"holds int16\[2, 3\], argument a says int32\[2, 3\]"):
        made(f"a=int32[2,3]:{tmp_path}/a.npy")
    with pytest.raises(InputError, match="can't be read"):
        made(f"a=int16[2,3]:{tmp_path}/none.npy")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00 broken")
    with pytest.raises(InputError, match="can't be read"):
        made(f"a=int16[2,3]:{tmp_path}/bad.npy")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="can't be read"):
        made(f"a=int16[1]:{tmp_path}/a.npy")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("float32[4]:zeros", "has no name"),
        ("a=float32[4]", "can't be read"),
        ("a=float31[4]:zeros", "no type 'float31'"),
        ("a=float32[4,0]:zeros", "positive integers"),
        ("a=float32[]:zeros", "positive integers"),
        ("a=float32[4]:noise", "fill 'noise'"),
        ("a=float32:zeros", "an array needs its shape"),
        ("a=int8:128", "does not fit into int8"),
        ("a=bool:2", "does not fit into bool"),
        ("a=bytes:0g", "not hexadecimal"),
        ("a=@b", "no array 'b'"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        made(text)
    assert says in str(error.value)


def test_names_are_unique() -> None:
    with pytest.raises(UsageError, match="two arguments are named a"):
        made("a=int32:1", "a=int32:2")


def test_sizes_are_limited_before_memory_is_taken() -> None:
    half = MAX_BYTES // 8 + 1
    with pytest.raises(UsageError, match="the limit is"):
        made(f"a=float32[{half * 2}]:zeros")
    with pytest.raises(UsageError, match="the limit is"):
        made("a=float64[999999999999,999999999999]:zeros")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        spec = parse(text)
    except KernprofError:
        return
    assert spec.name
    assert spec.name in text
