"""Units whose rates were measured on a GPU: barriers, and the one that gives out blocks (sm_90)."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.sim.recording import TraceBudget
from kernprof.timing import Timing, launch_occupancy, simulate
from kernprof.timing.machine import machine
from kernprof.timing.native import core

SOURCE = """
extern "C" __global__ void empty() {}
extern "C" __global__ void barriers(int* y, int steps) {
#pragma unroll 1
  for (int i = 0; i < steps; i += 16)
#pragma unroll
    for (int j = 0; j < 16; ++j) asm volatile("bar.sync 0;" ::: "memory");
  y[threadIdx.x] = steps;
}
"""
H100 = find("h100")


@pytest.fixture(scope="module")
def program() -> sim.Program:
    try:
        core()
        return sim.load(compile_source(SOURCE, arch="sm_90", name="/kernprof/units.cu").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def run(program: sim.Program, kernel: str, grid: int, block: int, args: list[object]) -> Timing:
    image = program.kernel(kernel).image
    found = launch_occupancy(H100, block, image.registers, image.shared_bytes, 0)
    wave = found.blocks_per_sm * H100.sm_count
    done = sim.run(program, kernel, grid, block, args, trace=TraceBudget(1 << 30, wave))
    return simulate(done, H100)


# Cycles a barrier, measured with validation/hardware on an H100.
@pytest.mark.parametrize(("warps", "cycles"), [(1, 18.4), (2, 20.5), (8, 32.7), (32, 81.6)])
def test_a_barrier_costs_its_warps(program: sim.Program, warps: int, cycles: float) -> None:
    y = np.zeros(32 * warps, np.int32)
    more, less = (
        run(program, "barriers", 1, 32 * warps, [y, np.int32(n)]).simulated_cycles
        for n in (256, 128)
    )
    assert (more - less) / 128 == pytest.approx(cycles, rel=0.1)


def test_blocks_of_the_whole_gpu_come_one_after_another(program: sim.Program) -> None:
    few, many = (run(program, "empty", n, 32, []).simulated_cycles for n in (132, 13_200))
    interval = machine("sm_90").block_interval
    assert (many - few) / (13_200 - 132) == pytest.approx(interval, rel=0.05)
    # Measured: 7.8 us between them at 1,980 MHz.
    assert (many - few) / 1980 == pytest.approx(7.8, rel=0.1)
