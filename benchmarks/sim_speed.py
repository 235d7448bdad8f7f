"""Speed of the functional simulator: warp instructions per second on one core and on two.

The bar is that of pointwise and gemv2N kernels on one core. Compiling is timed apart. The gain of a
second core is measured on a launch that takes about a second.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

BAR_WARP_INSTRUCTIONS_PER_S = 20e6
BAR_SECOND_CORE = 1.7
BAR_MEMORY_MB = 2048
ARCH = "sm_80"

_POINTWISE = {"batch": 4, "in_channels": 128, "out_channels": 256, "pixels": 3136, "bias": 0}
_CASES: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("gemv2N", {"m": 8192, "n": 2048, "beta": 0}),
    ("gemv2T", {"m": 4096, "n": 4096, "beta": 0}),
    *(
        (f"pointwise_{step}", _POINTWISE)
        for step in ("naive", "coalesced", "tiled", "register", "vector")
    ),
)


def _arguments(item: Any, shape: Mapping[str, int]) -> list[Any]:
    import numpy as np

    from kernprof.library import Pointer

    made: list[Any] = []
    for argument in item.arguments:
        if isinstance(argument, Pointer):
            count = argument.elements(shape)
            made.append(np.ones(count, argument.dtype) if count else 0)
        else:
            made.append(int(argument.of(shape)))
    return made


_DIVERGENT = """
extern "C" __global__ void collatz(int n, int* steps) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = i + 1;
  int count = 0;
  while (v != 1) { if (v & 1) v = 3 * v + 1; else v >>= 1; ++count; }
  steps[i] = count;
}
"""
_DIVERGENT_THREADS = 1 << 20


def _divergent() -> tuple[int, int, float]:
    """Return warp and thread instructions of a loop that every lane leaves on its own, seconds."""
    import numpy as np

    from kernprof import sim
    from kernprof.compile import compile_source
    from kernprof.sim.engine import compile_kernel

    program = sim.load(compile_source(_DIVERGENT, arch=ARCH).image)
    compile_kernel(program, "collatz")
    steps = np.zeros(_DIVERGENT_THREADS, np.int32)
    started = time.perf_counter()
    done = sim.run(
        program,
        "collatz",
        _DIVERGENT_THREADS // 256,
        256,
        [np.int32(_DIVERGENT_THREADS), steps],
        workers=1,
    )
    spent = time.perf_counter() - started
    return int(done.executed.sum()), int(done.threads.sum()), spent


def _measure(name: str, shape: Mapping[str, int]) -> tuple[int, float, float, float]:
    """Return warp instructions, seconds to compile, seconds on one core and on two."""
    from kernprof import sim
    from kernprof.compile import compile_source
    from kernprof.library import entry, source
    from kernprof.sim.engine import compile_kernel

    item = entry(name)
    program = sim.load(compile_source(source(item), arch=ARCH).image)
    started = time.perf_counter()
    compile_kernel(program, name)
    compiling = time.perf_counter() - started
    geometry = item.launch_geometry(shape)
    times = []
    executed = 0
    for workers in (1, 2):
        arguments = _arguments(item, shape)
        started = time.perf_counter()
        done = sim.run(
            program,
            name,
            tuple(geometry.grid),
            tuple(geometry.block),
            arguments,
            dynamic_shared=geometry.dynamic_shared_bytes,
            workers=workers,
        )
        times.append(time.perf_counter() - started)
        executed = int(done.executed.sum())
    return executed, compiling, times[0], times[1]


def main() -> bool:
    """Measure and print; returns whether the bars are met."""
    good = True
    best_gain = 0.0
    print(f"{'kernel':<22}{'M inst':>9}{'compile s':>11}{'M/s, 1 core':>13}{'2 cores':>9}")
    for name, shape in _CASES:
        executed, compiling, one, two = _measure(name, shape)
        speed = executed / one
        good &= speed >= BAR_WARP_INSTRUCTIONS_PER_S
        best_gain = max(best_gain, one / two)
        print(
            f"{name:<22}{executed / 1e6:>9.1f}{compiling:>11.2f}{speed / 1e6:>13.0f}"
            f"{one / two:>8.2f}x"
        )
    executed, threads, spent = _divergent()
    speed = executed / spent
    good &= speed >= BAR_WARP_INSTRUCTIONS_PER_S
    print(
        f"{'collatz (divergent)':<22}{executed / 1e6:>9.1f}{'':>11}{speed / 1e6:>13.0f}"
        f"   {threads / executed:.1f} lanes on"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB; bar {BAR_MEMORY_MB} MB")
    print(f"best gain of a second core {best_gain:.2f}; bar {BAR_SECOND_CORE}")
    return good and peak <= BAR_MEMORY_MB and best_gain >= BAR_SECOND_CORE


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
