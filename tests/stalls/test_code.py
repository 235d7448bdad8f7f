from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kernprof import main
from kernprof.compile import compile_source, elf
from kernprof.errors import CubinError, UnavailableError
from kernprof.profile import MachineCode
from kernprof.stalls.code import function_name, instructions

sys.path.insert(0, str(Path(__file__).parents[1] / "reports"))
import ncurep_builder as build

SOURCE = """extern "C" __global__ void scale(float *y, const float *x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = a * x[i];
}
extern "C" __global__ void other(float *y) { y[threadIdx.x] = 1.0f; }
"""
FILE = "/kernprof/scale.cu"
BASE = 0x7F00_0000_0000


@pytest.fixture(scope="module")
def cubin() -> bytes:
    return compile_source(SOURCE, arch="sm_80", name=FILE).image


def symbol(cubin: bytes, name: str) -> int:
    return next(s.index for s in elf.parse(cubin).symbols if s.name == name and s.type == 2)


def test_the_launched_function_is_disassembled_with_its_lines(cubin: bytes) -> None:
    code = MachineCode(cubin, symbol(cubin, "scale"), BASE)
    assert function_name(code) == "scale"
    try:
        listing = instructions(code)
    except UnavailableError as error:
        pytest.skip(str(error))
    assert [i.offset for i in listing] == [16 * n for n in range(len(listing))]
    stores = [i for i in listing if (i.text or "").startswith("STG")]
    assert len(stores) == 1
    assert (stores[0].file, stores[0].line) == (FILE, 4)
    assert any("EXIT" in (i.text or "") for i in listing)


def test_a_symbol_that_is_not_there_is_an_error(cubin: bytes) -> None:
    with pytest.raises(CubinError, match="symbol 999"):
        function_name(MachineCode(cubin, 999, BASE))
    with pytest.raises(CubinError, match="which of 2 functions"):
        function_name(MachineCode(cubin, None, None))


def test_the_command_shows_instructions_and_source_lines(
    cubin: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = "smsp__pcsamp_warps_issue_stalled_wait"
    scoreboard = "smsp__pcsamp_warps_issue_stalled_long_scoreboard"
    code = MachineCode(cubin, symbol(cubin, "scale"), BASE)
    try:
        listing = instructions(code)
    except UnavailableError as error:
        pytest.skip(str(error))
    multiply = next(i.offset for i in listing if (i.text or "").startswith("FMUL"))
    ids = {"launch__function_pcs": 0, wait: 1, scoreboard: 2, "inst_executed": 3}
    launch = build.Launch(
        kernel="scale",
        mangled="scale",
        metrics={"launch__function_pcs": BASE},
        instances={
            wait: {BASE + multiply: 10},
            scoreboard: {BASE + multiply: 30},
            "inst_executed": {BASE + i.offset: 8 for i in listing},
        },
        source=1,
    )
    entry = build.source(cubin, 1, [(BASE, symbol(cubin, "scale"))], **{FILE: SOURCE})
    report = tmp_path / "r.ncu-rep"
    report.write_bytes(
        build.head()
        + build.block(strings=ids, sources=[entry], results=[build.result(launch, ids)])
    )
    assert main(["stalls", str(report), "--lines"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "FMUL" in line)
    assert "100.0" in row
    assert "long_scoreboard 75 %" in row
    assert f"{FILE}:4" in row
    assert "y[i] = a * x[i];" in out


def test_damaged_machine_code_leaves_offsets_and_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = "smsp__pcsamp_warps_issue_stalled_wait"
    ids = {"launch__function_pcs": 0, wait: 1}
    launch = build.Launch(
        metrics={"launch__function_pcs": BASE}, instances={wait: {BASE + 32: 5}}, source=1
    )
    entry = build.source(b"\x7fELF" + b"\xff" * 200, 1, [(BASE, 1)])
    report = tmp_path / "r.ncu-rep"
    report.write_bytes(
        build.head()
        + build.block(strings=ids, sources=[entry], results=[build.result(launch, ids)])
    )
    assert main(["stalls", str(report), "--lines"]) == 0
    captured = capsys.readouterr()
    assert "0x0020" in captured.out
    assert "offset only" in captured.err
