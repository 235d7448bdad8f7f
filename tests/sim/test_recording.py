"""Traces: what they hold adds up to the exact counts of the same launch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError
from kernprof.sim.recording import Trace, TraceBudget
from kernprof.sim.tracing import HEAD, Access

SOURCE = """
extern "C" __global__ void mixed(const float* x, float* y, int* hits, int n) {
  __shared__ float s[256];
  float many[8];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  s[(threadIdx.x * 5) % 256] = x[(i * 3) % n];
  __syncthreads();
#pragma unroll 1
  for (int k = 0; k < 150; ++k) many[(k + i) & 7] = s[(threadIdx.x + k) % 256];
  float v = 0;
#pragma unroll 1
  for (int k = 0; k <= (i & 7); ++k) v += many[k];
  if (i < n) y[i] = v;
  if (v > 2.f) atomicAdd(hits + (i & 3), 1);
}
"""


@pytest.fixture(scope="module")
def program() -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch="sm_80").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def launch(program: sim.Program, blocks: int, budget: TraceBudget | None) -> sim.Execution:
    n = 128 * blocks - 5
    x = np.random.default_rng(1).random(n, np.float32)
    args = [x, np.zeros(n, np.float32), np.zeros(4, np.int32), np.int32(n)]
    return sim.run(program, "mixed", blocks, 128, args, trace=budget)


def tally(execution: sim.Execution, trace: Trace) -> dict[str, Counter[int]]:
    """Decode a trace again, in the slow and obvious way."""
    basic = {b.number: b for b in _blocks(execution)}
    found: dict[str, Counter[int]] = {
        n: Counter() for n in ("executed", "sectors", "lines", "waves", "atomics")
    }
    words = trace.words.tolist()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word < HEAD:
            found["executed"].update(i.index for i in basic[word].instructions)
            continue
        kind, pieces, index = word >> 28 & 7, word >> 20 & 255, word & 0xFFFFF
        body = words[at : at + pieces]
        at += pieces
        if kind == Access.SHARED:
            found["waves"][index] += body[0] & 0xFFFF
            continue
        if kind != Access.LOCAL:
            first = body.pop(0)
            found["atomics"][index] += (first >> 16) * (kind == Access.ATOMIC)
        found["sectors"][index] += sum((piece & 15).bit_count() for piece in body)
        if kind != Access.LOCAL:
            found["lines"][index] += len(body)
    return found


def _blocks(execution: sim.Execution) -> object:
    from kernprof.sim.flow import blocks

    return blocks(execution.kernel)


def test_a_whole_trace_adds_up_to_the_counters(program: sim.Program) -> None:
    done = launch(program, 6, TraceBudget(1 << 30, 1))
    trace = done.trace
    assert trace is not None
    assert trace.complete.all()
    assert (trace.blocks, trace.warps_per_block) == (6, 4)
    assert trace.instructions == done.executed.sum()
    found = tally(done, trace)
    loads = [i.index for i in done.kernel.instructions if i.opcode not in ("ATOMS",)]
    for name, counts in (
        ("executed", done.executed),
        ("sectors", done.sectors),
        ("lines", done.lines),
        ("waves", done.wavefronts),
    ):
        assert [found[name][k] for k in loads] == [int(counts[k]) for k in loads], name
    reds = [i.index for i in done.kernel.instructions if i.opcode.startswith(("RED", "ATOMG"))]
    assert reds
    assert sum(found["atomics"].values()) == done.predicated_on[reds].sum()
    assert done.sectors.sum()
    assert done.wavefronts.sum()


def test_counts_are_those_of_an_untraced_launch(program: sim.Program) -> None:
    plain, traced = launch(program, 9, None), launch(program, 9, TraceBudget(5000, 2))
    assert plain.trace is None
    for name in ("executed", "threads", "sectors", "wavefronts", "divergent"):
        assert np.array_equal(getattr(plain, name), getattr(traced, name)), name


def test_a_budget_takes_whole_blocks_where_a_wave_fits(program: sim.Program) -> None:
    every = launch(program, 12, TraceBudget(1 << 30, 1)).trace
    assert every is not None
    one = every.instructions / 12
    some = launch(program, 12, TraceBudget(int(5.5 * one), 3)).trace
    assert some is not None
    assert some.complete.all()
    assert 4 <= some.blocks <= 6
    ends = every.starts[some.blocks * some.warps_per_block]
    assert np.array_equal(some.words, every.words[:ends])


def test_a_small_budget_takes_the_beginning_of_every_resident_block(program: sim.Program) -> None:
    every = launch(program, 12, TraceBudget(1 << 30, 1)).trace
    some = launch(program, 12, TraceBudget(1, 8)).trace
    assert every is not None
    assert some is not None
    assert some.blocks == 8
    assert not some.complete.all()
    for warp in range(8 * 4):
        part = some.words[some.starts[warp] : some.starts[warp + 1]]
        whole = every.words[every.starts[warp] : every.starts[warp + 1]]
        assert np.array_equal(part, whole[: len(part)])
        assert some.complete[warp] == (len(part) == len(whole))
