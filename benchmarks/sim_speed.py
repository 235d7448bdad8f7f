"""Speed of the functional simulator: warp instructions per second on one core and on two.

The bar is that of pointwise, gemv2N and divergent kernels on one core, in processor time, which the
load of others hardly changes; the gain of a second core is wall time, so it needs an idle machine.
Translating a kernel is timed apart (nothing where the cache has it).
Beside them, in the same run: Numba's CUDA simulator on the same algorithms, peak memory of a layer
with 1024 channels, and how time grows with the number of launches.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

BAR_WARP_INSTRUCTIONS_PER_S = 20e6
BAR_SECOND_CORE = 1.7
BAR_MEMORY_MB = 2048
BAR_GROWTH = 1.2

_POINTWISE = {"batch": 4, "in_channels": 128, "out_channels": 256, "pixels": 3136, "bias": 0}
# Columns 32 KiB apart: the lanes of a warp load from addresses that share a set of the host's
# caches, so that the host's memory is timed, not the simulator. Shown, and not held to the bar.
_COLLIDING = {"m": 8192, "n": 2048}
_CASES: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("gemv2N", {"m": 8200, "n": 2048}),
    ("gemv2N", _COLLIDING),
    ("gemv2T", {"m": 4096, "n": 4096}),
    *(
        (f"pointwise_{step}", _POINTWISE)
        for step in ("naive", "coalesced", "tiled", "register", "vector")
    ),
    ("collatz", {"n": 1 << 20}),
)
_LAYER = (
    "layer", "--type", "pointwise", "--in-channels", "1024", "--out-channels", "1024",
    "--size", "14", "--pass", "both", "--gpu", "a100",
)  # fmt: skip


def _speeds() -> tuple[bool, float]:
    """Print a row a kernel; returns whether all are fast enough and the best gain of two cores."""
    from benchmarks._launches import launch, seconds
    from kernprof.sim.engine import compile_kernel

    good, best = True, 0.0
    print(
        f"{'kernel':<22}{'M inst':>9}{'translate s':>13}{'M/s, 1 core':>13}{'2 cores':>9}"
        f"{'lanes on':>10}"
    )
    for name, sizes in _CASES:
        made = launch(name, sizes)
        started = time.perf_counter()
        compile_kernel(made.program, name)
        translating = time.perf_counter() - started
        done = made.run(workers=2)
        executed, threads = int(done.executed.sum()), int(done.threads.sum())
        speed = executed / seconds(made, workers=1)
        one, two = (seconds(made, workers=n, wall=True) for n in (1, 2))
        collides = sizes is _COLLIDING
        good &= collides or speed >= BAR_WARP_INSTRUCTIONS_PER_S
        best = max(best, one / two)
        label = name + (" (32 KiB apart)" if collides else "")
        print(
            f"{label:<22}{executed / 1e6:>9.1f}{translating:>13.2f}{speed / 1e6:>13.0f}"
            f"{one / two:>8.2f}x{threads / executed:>10.1f}"
        )
    return good, best


def _beside_numba() -> None:
    """Time Numba's simulator and ours on the same small launches."""
    from benchmarks._launches import launch, seconds

    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("_numba_simulator.py"))],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout) if done.returncode == 0 else {"missing": done.stderr[-200:]}
    if "missing" in told:
        print(f"Numba's CUDA simulator: SKIPPED ({told['missing']}); pip install numba numba-cuda")
        return
    theirs = told["seconds"]
    print("Numba's CUDA simulator, the same algorithms on small launches:")
    for name, sizes in told["sizes"].items():
        made = launch(name, sizes)
        executed = int(made.run(workers=1).executed.sum())
        ours = seconds(made, workers=1)
        print(
            f"  {name:<20}{executed / 1e3:>8.1f} k inst: {theirs[name]:.3f} s there "
            f"({executed / theirs[name] / 1e3:.1f} k/s), {ours * 1e3:.2f} ms here: "
            f"{theirs[name] / ours:,.0f} times as fast"
        )


def _growth() -> float:
    """Return how the time of a launch grows from 4 launches to 32."""
    from benchmarks._launches import launch, seconds

    made = launch(
        "pointwise_tiled", {"batch": 1, "in_channels": 64, "out_channels": 64, "pixels": 3136}
    )
    made.run(workers=1)
    each = {n: seconds(made, launches=n, workers=1) / n for n in (4, 32)}
    print(f"a launch takes {each[4] * 1e3:.1f} ms among 4, {each[32] * 1e3:.1f} ms among 32")
    return each[32] / each[4]


def _layer_memory_mb() -> float:
    """Return the peak memory of predicting a layer with 1024 channels, in a process of its own."""
    code = (
        "import resource, sys, kernprof; status = kernprof.main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr);"
        "sys.exit(status)"
    )
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", code, *_LAYER],
            env={**os.environ, "KERNPROF_CACHE_DIR": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stderr.split()[-1]) / 1024


def main() -> bool:
    """Measure and print; returns whether the bars are met."""
    good, gain = _speeds()
    print(f"bar {BAR_WARP_INSTRUCTIONS_PER_S / 1e6:.0f} M/s on one core")
    _beside_numba()
    growth = _growth()
    print(f"growth with the number of launches {growth:.2f}; linear is 1, bar {BAR_GROWTH}")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    layer = _layer_memory_mb()
    print(
        f"peak memory {own:.0f} MB, of a layer with 1024 channels {layer:.0f} MB; "
        f"bar {BAR_MEMORY_MB}"
    )
    print(
        f"best gain of a second core {gain:.2f}; bar {BAR_SECOND_CORE} (load of this machine "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    )
    bounded = max(own, layer) <= BAR_MEMORY_MB and growth <= BAR_GROWTH
    return good and bounded and gain >= BAR_SECOND_CORE


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
