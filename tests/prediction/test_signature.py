"""Arguments to parameters: by name, by order, checked against types."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import kernprof
from kernprof.compile import compile_source
from kernprof.compile.signatures import kernel_parameters
from kernprof.errors import UsageError
from kernprof.prediction.arguments import build, parse
from kernprof.prediction.signature import Parameter, arrange, parameters

SOURCE = """
#include <cuda_fp16.h>
#include <cstdint>
extern "C" __global__ void axpy(const float *__restrict__ x, float *y, float a, int n) {
  int i = threadIdx.x;
  if (i < n) y[i] = a * x[i] + 10 * y[i];
}
template <typename T> __global__ void fill(T *out, T value, bool on) { if (on) *out = value; }
__global__ void wide(float4 *v, const half h[], uint8_t *bytes, unsigned long long m) {
  v->x = m; bytes[0] = __half2float(h[0]);
}
__global__ void twice(int *a, int b) { *a = b; }
__global__ void twice(int *a, float b) { *a = b; }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kernels.cu"
    path.write_text(SOURCE)
    return path


def floats(n: int = 8) -> np.ndarray:
    return np.arange(n, dtype=np.float32)


def test_names_and_types_come_from_the_source(file: Path) -> None:
    found = kernel_parameters(file, SOURCE, [])
    assert [name for name, _ in found["axpy"][0]] == ["x", "y", "a", "n"]
    assert [kind for _, kind in found["wide"][0]] == [
        "float4 *",
        "const half *",
        "uint8_t *",
        "unsigned long long",
    ]
    assert len(found["twice"]) == 2


def run(file: Path, args: object, kernel: str = "axpy") -> None:
    kernprof.predict(file, args, kernel=kernel, grid=1, block=8, gpu="a100")  # type: ignore[arg-type]


def test_arguments_go_by_name_in_any_order(file: Path) -> None:
    x, y = floats(), np.ones(8, np.float32)
    run(file, {"n": 7, "a": 2, "y": y, "x": x})
    assert y.tolist() == [*(2 * floats()[:7] + 10), 1]


def test_arguments_go_by_order_under_other_names(file: Path) -> None:
    for args in ({"p": floats(), "q": (y := np.ones(8, np.float32)), "r": 2.0, "s": 8},):
        run(file, args)
        assert y.tolist() == (2 * floats() + 10).tolist()
    y = np.ones(8, np.float32)
    run(file, [floats(), y, 2.0, 8])
    assert y.tolist() == (2 * floats() + 10).tolist()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"z": 1}, r"no parameter 'z'; it is axpy\(const float \* __restrict__ x, float \* y"),
        ({"n": None}, r"no argument for n; add --arg n=int32:VALUE"),
        ({"x": None, "y": None}, r"add --arg x=float32\[SHAPE\]:random --arg y=float32\["),
        ({"x": np.ones(8)}, r"x is .*\(float32\), got an array of float64"),
        ({"x": 3}, r"x is .* needs an array: x=float32\[SHAPE\]"),
        ({"n": floats()}, r"n is int, not an array"),
        ({"n": np.int64(3)}, r"n is int \(int32\), got int64"),
        ({"n": np.float32(3)}, r"n is int \(int32\), got float32"),
        ({"n": 2.5}, r"n is int, got 2.5"),
        ({"n": 1 << 31}, r"does not fit into int"),
        ({"a": np.int32(2)}, r"a is float \(float32\), got int32"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, change: dict[str, object], says: str) -> None:
    args: dict[str, object] = {"x": floats(), "y": floats(), "a": np.float32(1), "n": np.int32(8)}
    args |= change
    with pytest.raises(UsageError, match=says):
        run(file, {k: v for k, v in args.items() if v is not None})


def test_nothing_given_is_answered_with_what_to_give(file: Path) -> None:
    with pytest.raises(UsageError, match=r"axpy has 4 parameters, got 0; .* --arg x=float32") as e:
        run(file, {})
    assert "--arg n=int32:VALUE" in str(e.value)
    with pytest.raises(UsageError, match=r"--arg v=float32\[SHAPE\]:random --arg h=float16") as e:
        run(file, {}, "wide")
    assert "--arg bytes=uint8[SHAPE]:random --arg m=uint64:VALUE" in str(e.value)


def test_vectors_halves_and_bytes_take_their_numbers(file: Path) -> None:
    v, out = np.zeros((1, 4), np.float32), np.zeros(4, np.uint8)
    run(file, {"v": v, "h": np.full(3, 5, np.float16), "bytes": out, "m": 1 << 40}, "wide")
    assert (v[0, 0], out[0]) == (2.0**40, 5)


def test_templates_and_overloads(file: Path) -> None:
    out = np.zeros(1, np.float64)
    run(file, {"on": True, "value": 3, "out": out}, "fill<double>")
    assert out[0] == 3
    a = np.zeros(1, np.int32)
    run(file, {"a": a, "b": 7.5}, "twice(int*, float)")
    assert a[0] == 7


def test_templates_that_the_file_launches_are_suggested(tmp_path: Path) -> None:
    path = tmp_path / "t.cu"
    path.write_text(
        "template <typename T, int N> __global__ void scale(T *x) { *x *= N; }\n"
        "void f(float *x) { scale<float, 2><<<1, 1>>>(x);\n"
        "scale<float,\n  (1 > 0)><<<1, 1>>>(x); }\n"
    )
    with pytest.raises(UsageError, match=r"no kernel 'scale'.* launches scale<float, 2>, scale<f"):
        kernprof.predict(path, {}, kernel="scale", grid=1, block=1, gpu="a100")
    x = np.full(1, 3, np.float32)
    kernprof.predict(path, {"x": x}, kernel="scale<float, 2>", grid=1, block=1, gpu="a100")
    assert x[0] == 6


def test_a_cubin_goes_by_order_with_the_symbols_types(file: Path, tmp_path: Path) -> None:
    code = "__global__ void k(float *x, int n) { *x = n; }"
    cubin = tmp_path / "k.cubin"
    cubin.write_bytes(compile_source(code, arch="sm_80").image)
    x = floats()
    kernprof.predict(cubin, {"any": x, "thing": 4}, grid=1, block=1)
    assert x[0] == 4
    with pytest.raises(UsageError, match=r"thing is int \(int32\), got float32"):
        kernprof.predict(cubin, {"any": x, "thing": np.float32(4)}, grid=1, block=1)
    with pytest.raises(UsageError, match=r"--arg p0=float32\[SHAPE\]:random --arg p1=int32:VALUE"):
        kernprof.predict(cubin, {}, grid=1, block=1)


def test_unknown_types_are_told_by_size() -> None:
    unknown = parameters([8, 4, 24], None)
    assert unknown == tuple(Parameter("", "", n) for n in (8, 4, 24))
    with pytest.raises(UsageError, match=r"p0=... \(8 bytes: an array, int64 or float64\)") as e:
        arrange("k", unknown, {})
    assert "p2=bytes:HEX (a struct, 24 bytes)" in str(e.value)
    assert list(arrange("k", unknown, {"a": 1, "b": 2, "c": bytes(24)})) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("demangled", "types"),
    [
        (
            "void f<int, 3>(int*, Vec<float, 2>, a::B<(x)1>)",
            ["int*", "Vec<float, 2>", "a::B<(x)1>"],
        ),
        ("f()", []),
        ("f(void (*)(int, int), float const*)", ["void (*)(int, int)", "float const*"]),
    ],
)
def test_types_of_a_symbol(demangled: str, types: list[str]) -> None:
    assert [p.type for p in parameters([8] * len(types), demangled)] == types


def test_numbers_without_a_type_take_the_parameters() -> None:
    specs = [parse(text) for text in ("n=0x10", "a=2", "x=0", "b=-1.5e1")]
    wanted = (
        Parameter("n", "unsigned int", 4),
        Parameter("a", "float", 4),
        Parameter("x", "float const*", 8),
        Parameter("b", "double", 8),
    )
    made = arrange("k", wanted, build(specs))
    assert made["n"] == np.uint32(16)
    assert isinstance(made["n"], np.uint32)
    assert isinstance(made["a"], np.float32)
    assert made["x"] == 0
    assert made["b"] == np.float64(-15)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("n=1.5", "int", "n is int, got 1.5"),
        ("n=-1", "unsigned int", "does not fit into unsigned int"),
        ("n=1e99", "int", "n is"),
        ("n=3", "", "say which number it is, such as int32:3"),
        ("n=3", "float*", "needs an array"),
        ("n=3", "Point", "say which number it is"),
    ],
)
def test_a_number_that_can_not_be_the_parameter_is_refused(text: str, kind: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        arrange("k", (Parameter("n", kind, 4),), build([parse(text)]))
