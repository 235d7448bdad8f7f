"""Numbers and traces that make no sense are refused before the core works with them."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import UnavailableError, UsageError
from kernprof.sim.execute import Execution
from kernprof.sim.recording import Trace, TraceBudget
from kernprof.timing import WhatIf, native, simulate

A100 = find("a100")
ROOT = Path(__file__).parents[2]
CORE = ROOT / "kernprof" / "timing" / "core"
SANITIZER = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SOURCE = (
    'extern "C" __global__ void scale(float* y, float a) {\n'
    "  int i = blockIdx.x * blockDim.x + threadIdx.x; y[i] = y[i] * a; }\n"
)


@pytest.fixture(scope="module")
def done() -> Execution:
    try:
        native.core()
        program = sim.load(compile_source(SOURCE, arch="sm_80", name="/kernprof/bounds.cu").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    args = [np.ones(512, np.float32), np.float32(2)]
    return sim.run(program, "scale", 4, 128, args, trace=TraceBudget(1 << 20, 4))


def traced(done: Execution, **changed: Any) -> Execution:
    assert done.trace is not None
    return replace(done, trace=replace(done.trace, **changed))


def test_changed_inputs_end_in_a_status(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here, which builds the core with sanitizers")
    program = tmp_path / "core_fuzz"
    sources = [ROOT / "tests" / "timing" / "core_fuzz.cpp", *sorted(CORE.glob("*.cpp"))]
    built = subprocess.run(
        [compiler, *SANITIZER, "-o", program, *sources], capture_output=True, text=True
    )
    if built.returncode and "asan" in built.stderr:
        pytest.skip("gcc's address sanitizer (libasan) is not installed")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([program, "2000"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_core_has_a_range_of_every_field() -> None:
    found = native.ranges()
    assert list(found) == [name for name, _ in native.Config._fields_]
    assert (found["sm_count"].low, found["sm_count"].high) == (1, 1024)
    assert found["write_through"].high == 1


@pytest.mark.parametrize("value", [0, -1, 1e300, 2**63, 2**64 + 5, math.inf, math.nan, 10**400])
@pytest.mark.parametrize("name", ["sm_count", "l2_ways", "dram_sectors"])
def test_numbers_of_the_configuration(done: Execution, name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"{name}, .* is .*; expected a number from"):
        simulate(done, A100, overrides={name: value})


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, 1e300, 2**63])
@pytest.mark.parametrize(
    "field", ["sm_count", "base_clock_mhz", "dram_bandwidth_bytes_per_s", "l2_bytes"]
)
def test_numbers_of_the_gpu(done: Execution, field: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"{field} of .*A100.* is .*; expected a number from"):
        simulate(done, replace(A100, **{field: value}))


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e300])
def test_clocks(done: Execution, value: float) -> None:
    with pytest.raises(UsageError, match=r"SM clock is .*; expected a number from 1 to 10000 MHz"):
        simulate(done, A100, clock_mhz=value)


@pytest.mark.parametrize("field", ["bandwidth", "latency", "sm_count"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e300, 2**63])
def test_what_if(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=r"is .*; expected a number from"):
        WhatIf(**{field: value})


def test_the_ends_of_what_if_can_be_timed(done: Execution) -> None:
    for change in (WhatIf(bandwidth=0.01, latency=1000), WhatIf(bandwidth=1000, latency=0.01)):
        assert simulate(done, A100, what_if=change).finished


def words(trace: Trace, value: int) -> np.ndarray:
    changed = trace.words.copy()
    changed[0] = value
    return changed


def test_traces_that_contradict_themselves(done: Execution) -> None:
    trace = done.trace
    assert trace is not None
    later = trace.starts.copy()
    later[2] = len(trace.words) + 1
    for changed, said in (
        ({"words": words(trace, 1 << 20)}, "word 0, which names no basic block"),
        ({"words": trace.words[:-1]}, r"warp \d+ outside of the trace"),
        ({"starts": later}, "warp 1 outside of the trace"),
        ({"starts": trace.starts[:-1]}, r"arrays of another length \(warps\)"),
        ({"blocks": trace.blocks - 1}, r"arrays of another length \(warps\)"),
        ({"complete": trace.complete[:-1]}, r"arrays of another length \(warps\)"),
    ):
        with pytest.raises(UsageError, match=said):
            simulate(traced(done, **changed), A100)


def test_a_budget_of_steps_ends_a_launch(done: Execution) -> None:
    with pytest.raises(UsageError, match="gave up after 10 steps"):
        simulate(done, A100, overrides={"max_steps": 10})


def test_numbers_that_contradict_each_other(done: Execution) -> None:
    with pytest.raises(UsageError, match=r"refuses blocks_per_sm = 64; .* goes with the other"):
        simulate(done, A100, overrides={"blocks_per_sm": 64, "schedulers": 1})


def test_a_small_launch_touches_little_of_the_tables(done: Execution) -> None:
    """Those of this GPU's caches and rates are 200 MB; their pages come as they are touched."""
    resource = pytest.importorskip("resource")
    simulate(done, A100)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    simulate(done, A100)
    touched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    assert touched * resource.getpagesize() < 40e6
