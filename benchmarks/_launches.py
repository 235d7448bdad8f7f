"""Launches that several benchmarks time: kernels of the library, and one that diverges."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.library import entry, source
from kernprof.library.content import sample_arguments

ARCH = "sm_80"
DIVERGENT = "collatz"
# Every lane leaves the loop on its own.
_COLLATZ = """
extern "C" __global__ void collatz(int n, int* steps) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = i + 1;
  int count = 0;
  while (v != 1) { if (v & 1) v = 3 * v + 1; else v >>= 1; ++count; }
  steps[i] = count;
}
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel and what it is launched with."""

    program: sim.Program
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: list[Any]
    dynamic_shared: int = 0

    def run(self, **options: Any) -> sim.Execution:
        """Execute it."""
        return sim.run(
            self.program,
            self.kernel,
            self.grid,
            self.block,
            self.arguments,
            dynamic_shared=self.dynamic_shared,
            **options,
        )


@cache
def _program(name: str) -> sim.Program:
    text = _COLLATZ if name == DIVERGENT else source(entry(name))
    return sim.load(compile_source(text, arch=ARCH).image)


def launch(name: str, sizes: Mapping[str, int]) -> Launch:
    """Make a launch of a kernel; sizes that are not told are 0."""
    import numpy as np

    if name == DIVERGENT:
        count = sizes["n"]
        arguments: list[Any] = [np.int32(count), np.zeros(count, np.int32)]
        return Launch(_program(name), name, (-(-count // 256),), (256,), arguments)
    item = entry(name)
    shape = {p: sizes.get(p, 0) for p in item.parameters}
    geometry = item.launch_geometry(shape)
    return Launch(
        _program(name),
        name,
        tuple(geometry.grid),
        tuple(geometry.block),
        sample_arguments(item, shape),
        geometry.dynamic_shared_bytes,
    )


def seconds(
    made: Launch, *, launches: int = 1, repeats: int = 3, wall: bool = False, **options: Any
) -> float:
    """Return the least time of some repeats: processor time, or wall time."""
    clock = time.perf_counter if wall else time.process_time
    best = float("inf")
    for _ in range(repeats):
        started = clock()
        for _ in range(launches):
            made.run(**options)
        best = min(best, clock() - started)
    return best
