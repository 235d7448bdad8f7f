"""Predicted energy: the parts follow their formulas, the bounds hold, unknown boards say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.sim.recording import TraceBudget
from kernprof.timing import Timing, estimate, launch_energy, simulate
from kernprof.timing.energy import Bounds, Energy, coefficients, summed, why_not
from kernprof.timing.native import core
from kernprof.view.energy import energy_note, energy_record, joules

SOURCE = """
extern "C" __global__ void copy(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i];
}
extern "C" __global__ void doubles(double* y, double a) {
  double v = threadIdx.x;
#pragma unroll
  for (int i = 0; i < 64; ++i) v = fma(v, a, 1.0);
  y[threadIdx.x] = v;
}
"""
A100 = find("a100")
BOARDS = ("p100", "v100", "t4", "a100", "rtx3090", "rtx4090", "h100")


@pytest.fixture(scope="module")
def program() -> sim.Program:
    try:
        core()
        return sim.load(compile_source(SOURCE, arch="sm_80", name="/kernprof/energy.cu").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def run(program: sim.Program, kernel: str, grid: int, block: int, args: list[object]) -> Timing:
    done = sim.run(program, kernel, grid, block, args, trace=TraceBudget(1 << 30, 1000))
    return simulate(done, A100)


def copied(program: sim.Program, n: int) -> Timing:
    x = np.ones(n, np.float32)
    return run(program, "copy", n // 256, 256, [x, x.copy(), np.int32(n)])


@pytest.mark.parametrize("board", BOARDS)
def test_coefficients_are_ordered_and_within_the_power_limit(board: str) -> None:
    device = find(board)
    cost = coefficients(device)
    for bounds in (getattr(cost, name) for name in cost.__slots__):
        assert 0 < bounds.low <= bounds.mid <= bounds.high
    # All lanes at work at the base clock take no more than the board may.
    assert device.arch.units is not None
    assert device.power_limit_w is not None
    clock = device.base_clock_mhz or device.boost_clock_mhz
    assert clock is not None
    rate = device.arch.units.fp32_lanes * device.sm_count * clock * 1e6
    full = cost.thread_instruction.high * rate + cost.constant_w.mid
    assert full == pytest.approx(device.power_limit_w)


def test_the_reference_board_has_the_published_numbers() -> None:
    cost = coefficients(find("v100"))
    assert cost.constant_w.mid == pytest.approx(32.3)
    assert 80 * cost.idle_sm_w.mid == pytest.approx(80 * 0.283)
    assert cost.thread_instruction.mid == pytest.approx(31.5e-12)
    assert 80 * (cost.first_lane_w.mid + 31 * cost.further_lane_w.mid) == pytest.approx(
        18.6 + 31 * 0.645, rel=2e-3
    )


def test_parts_follow_time_instructions_and_traffic(program: sim.Program) -> None:
    timing = copied(program, 1 << 16)
    found = launch_energy(timing)
    assert found is not None
    assert timing.clock_mhz
    cost = coefficients(A100)
    seconds = estimate(timing).cycles / (timing.clock_mhz * 1e6)
    assert found.constant.mid == pytest.approx(cost.constant_w.mid * seconds)
    assert found.idle.mid == pytest.approx(cost.idle_sm_w.mid * 108 * seconds)
    threads = int(timing.execution.threads.sum())
    assert found.instructions.mid == pytest.approx(cost.thread_instruction.mid * threads)
    # The input comes from DRAM once: 32 bytes a sector.
    assert found.dram.mid >= cost.dram_sector.mid * (1 << 16) * 4 / 32
    parts = [getattr(found, name).mid for name in found.__slots__]
    assert sum(parts) == pytest.approx(found.total.mid)
    assert found.total.low < found.total.mid < found.total.high
    assert found.above_idle.mid == pytest.approx(sum(parts[2:]))


def test_more_work_takes_more(program: sim.Program) -> None:
    small, large = (launch_energy(copied(program, n)) for n in (1 << 14, 1 << 17))
    assert small is not None
    assert large is not None
    for name in ("constant", "instructions", "l1", "l2", "dram"):
        assert getattr(small, name).mid < getattr(large, name).mid


def test_double_precision_costs_more(program: sim.Program) -> None:
    timing = run(program, "doubles", 1, 32, [np.zeros(32), np.float64(0.5)])
    found = launch_energy(timing)
    assert found is not None
    cost = coefficients(A100)
    plain = cost.thread_instruction.mid * int(timing.execution.threads.sum())
    assert found.instructions.mid - plain == pytest.approx(cost.fp64.mid * 64 * 32, rel=1e-6)


def test_a_board_that_is_in_no_table_says_so(program: sim.Program) -> None:
    unknown = replace(A100, power_limit_w=None)
    assert "--gpu" in why_not(unknown)
    timing = replace(copied(program, 1 << 14), device=unknown)
    assert launch_energy(timing) is None
    assert energy_note(None, why_not(unknown)).startswith("Energy n/a: ")
    assert energy_record(None) is None
    with pytest.raises(ValueError, match="power limit"):
        coefficients(unknown)
    assert "HBM9" in why_not(replace(A100, dram_kind="HBM9"))


numbers = st.floats(0, 1e3)


@given(st.lists(st.tuples(numbers, numbers), max_size=5), numbers)
def test_sums_are_those_of_the_parts(values: list[tuple[float, float]], factor: float) -> None:
    found = [Energy(constant=Bounds(a, a, a), dram=Bounds(b, b, b)) for a, b in values]
    whole = summed(found) * factor
    assert whole.total.mid == pytest.approx(factor * sum(a + b for a, b in values))
    assert whole.above_idle.mid == pytest.approx(factor * sum(b for _, b in values))


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.84, "1.8 J"), (0.9996, "1 J"), (0.123, "120 mJ"), (4.56e-6, "4.6 uJ"), (0, "0 nJ")],
)
def test_energies_have_two_digits(value: float, text: str) -> None:
    assert joules(value) == text
