"""Command lines that launch a kernel of the library."""

from __future__ import annotations

import pytest

from kernprof.errors import UnknownNameError, UsageError
from kernprof.library import Pointer, entries, entry
from kernprof.library.command import command, main, options, parse_shape


def test_the_whole_line() -> None:
    line = command("gemv2N", {"m": 10, "n": 7, "beta": 0})
    assert line == (
        "kernprof-launch --kernel gemv2N --grid 3,1,1 --block 128,1,1 --arg buf:70:random"
        " --arg buf:7:random --arg buf:10:random --arg i32:10 --arg i32:7 --arg i32:0"
        " --arg i32:32"
    )


def test_one_argument_for_each_of_the_kernels() -> None:
    item = entry("depthwise_tiled")
    sizes = "in_h=9,in_w=9,kernel_h=3,kernel_w=3,stride_h=1,stride_w=1,pad_h=1,pad_w=1"
    shape = parse_shape(item, f"batch=1,channels=2,{sizes}")
    words = options(item, shape)
    arguments = [words[at + 1] for at, word in enumerate(words) if word == "--arg"]
    assert len(arguments) == len(item.arguments)
    for argument, word in zip(item.arguments, arguments, strict=True):
        assert word.startswith(("buf:", "null") if isinstance(argument, Pointer) else "i32:")
    assert arguments[2] == "null"  # no bias
    shared = item.launch_geometry(shape).dynamic_shared_bytes
    assert shared > 0
    assert words[words.index("--shared") + 1] == str(shared)


def test_unsigned_constants_keep_their_bits() -> None:
    words = options(entry("rng_uniform"), {"count": 5})
    for word in words:
        if word.startswith("i32:"):
            assert -(2**31) <= int(word[4:]) < 2**31


@pytest.mark.parametrize("name", sorted(entries()))
def test_flags_may_be_left_out(name: str) -> None:
    item = entry(name)
    needed = [p for p in item.parameters if p not in ("beta", "bias", "trans_a", "trans_b")]
    shape = parse_shape(item, ",".join(f"{p}=1" for p in needed))
    assert set(shape) == set(item.parameters)


@pytest.mark.parametrize("text", ["m", "m=", "m=x", "m=1.5", "m=1,m=2", "=3"])
def test_bad_shapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gemv2T", text]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert len(out.err.splitlines()) == 1


def test_errors_name_what_is_known() -> None:
    with pytest.raises(UnknownNameError, match="gemv2T"):
        command("gemv2X", {})
    with pytest.raises(UsageError, match="m, n, beta"):
        parse_shape(entry("gemv2T"), "rows")


def test_main(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relu_forward", "count=1000"]) == 0
    assert capsys.readouterr().out.startswith("kernprof-launch --kernel relu_forward --grid 4,1,1")
    assert main(["relu_forward", "count=1000", "--plan"]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == ["--grid", "4,1,1", "--block", "256,1,1"]
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
