"""Clocks: a run has no time, so that they count what the warp has issued, and say so."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

SOURCE = """
extern "C" __global__ void watch(long long* wide, unsigned* narrow, float* x, int n) {
  long long start = clock64();
  unsigned begin = clock();
  float s = x[threadIdx.x];
#pragma unroll 1
  for (int i = 0; i < n; i++) s = s * x[i] + 1;
  x[threadIdx.x] = s;
  narrow[threadIdx.x] = (unsigned)clock() - begin;
  wide[threadIdx.x] = clock64() - start;
}
extern "C" __global__ void spin(unsigned long long* y, int wait) {
  unsigned long long g, h;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(g));
  long long start = clock64();
  while (clock64() - start < wait) {}
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(h));
  y[threadIdx.x] = h - g;
}
extern "C" __global__ void plain(float* x) { x[threadIdx.x] += 1; }
"""


@pytest.fixture(scope="module", params=["sm_60", "sm_70", "sm_80", "sm_90"])
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/t.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def elapsed(program: sim.Program, n: int) -> tuple[int, int, sim.Execution]:
    wide, narrow, x = np.zeros(32, np.int64), np.zeros(32, np.uint32), np.ones(64, np.float32)
    done = sim.run(program, "watch", 1, 32, [wide, narrow, x, n])
    assert len(set(wide.tolist())) == len(set(narrow.tolist())) == 1
    return int(wide[0]), int(narrow[0]), done


def test_a_clock_counts_the_warps_instructions(program: sim.Program) -> None:
    one, short_one, first = elapsed(program, 1)
    many, short_many, second = elapsed(program, 21)
    difference = int(second.executed.sum() - first.executed.sum())
    assert many - one == short_many - short_one == difference > 0
    # What runs outside of the clocks is in the total only.
    assert 0 < short_one < one < first.executed.sum()


def test_waiting_for_a_clock_ends(program: sim.Program) -> None:
    y = np.zeros(64, np.uint64)
    done = sim.run(program, "spin", 2, 64, [y, 5000])
    assert (y >= 5000).all()
    assert (y < 6000).all()
    assert len(set(y.tolist())) == 1
    assert done.executed.sum() < 4 * 6000


def test_a_launch_that_reads_a_clock_says_what_it_got(program: sim.Program) -> None:
    done = elapsed(program, 3)[2]
    assert any("not cycles" in note for note in done.notes)
    assert any("not cycles" in note for note in sim.profile(done).notes)
    assert not sim.run(program, "plain", 1, 32, [np.zeros(32, np.float32)]).notes
