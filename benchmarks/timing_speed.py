"""Speed of the timing model: warp instructions timed per second on one core, and whole commands.

Published simulators of this kind run 0.006 to 0.012 million warp instructions a second (Huerta et
al., arXiv 2503.20481, on Accel-Sim); the bar is one million.

A whole command is a layer with an empty cache and with a full one. Its bars are for processor time
of the program and the programs that it starts, which the load of others hardly changes; the wall
time beside them is shorter by what runs at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR_WARP_INSTRUCTIONS_PER_S = 1e6
BAR_COLD_S, BAR_WARM_S = 2.8, 0.65
REPEATS = 3
_CASES = (
    ("pointwise_tiled", {"batch": 4, "in_channels": 128, "out_channels": 256, "pixels": 3136}),
    ("pointwise_register", {"batch": 4, "in_channels": 128, "out_channels": 256, "pixels": 3136}),
    ("gemv2N", {"m": 8192, "n": 2048}),
    ("gemv2T", {"m": 4096, "n": 4096}),
)


def main() -> bool:
    """Measure and print; returns whether the bars are met."""
    from kernprof import sim
    from kernprof.compile import compile_source
    from kernprof.devices import find
    from kernprof.library import entry, source
    from kernprof.library.content import sample_arguments
    from kernprof.sim.recording import TraceBudget
    from kernprof.timing import launch_occupancy, simulate

    device = find("a100")
    good = True
    print(f"{'kernel':<22}{'M inst timed':>13}{'M/s':>8}")
    for name, sizes in _CASES:
        item = entry(name)
        shape = {p: sizes.get(p, 0) for p in item.parameters}
        geometry = item.launch_geometry(shape)
        program = sim.load(compile_source(source(item), arch=device.arch.name).image)
        image = program.kernel(name).image
        found = launch_occupancy(
            device,
            geometry.block.total,
            image.registers,
            image.shared_bytes,
            geometry.dynamic_shared_bytes,
        )
        done = sim.run(
            program,
            name,
            tuple(geometry.grid),
            tuple(geometry.block),
            sample_arguments(item, shape),
            dynamic_shared=geometry.dynamic_shared_bytes,
            trace=TraceBudget(8_000_000, found.blocks_per_sm * device.sm_count),
        )
        started = time.perf_counter()
        timing = simulate(done, device)
        speed = timing.issued / (time.perf_counter() - started)
        good &= speed >= BAR_WARP_INSTRUCTIONS_PER_S
        print(f"{name:<22}{timing.issued / 1e6:>13.1f}{speed / 1e6:>8.1f}")
    return _commands() and good


def _commands() -> bool:
    """Time a layer with an empty cache and with a full one; returns whether the bars are met."""
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as folder:
        # Bytecode is there where a package is installed; the first run writes it.
        bytecode = str(Path(folder) / "bytecode")
        for number in range(REPEATS + 1):
            cache = str(Path(folder) / str(number))
            cold.append(_layer(cache, bytecode))
            warm.append(_layer(cache, bytecode))
    good = True
    for label, runs, bar in (("cold", cold[1:], BAR_COLD_S), ("warm", warm[1:], BAR_WARM_S)):
        processor, wall = (min(times) for times in zip(*runs, strict=True))
        good &= processor <= bar
        print(
            f"kernprof layer --type depthwise --gpu a100, {label}: {processor:.2f} s of processor "
            f"time, bar {bar} s; {wall:.2f} s"
        )
    return good


def _layer(cache: str, bytecode: str) -> tuple[float, float]:
    """Return the processor time of the command with all that it starts, and its wall time, in s."""
    command = [sys.executable, "-m", "kernprof", "layer", "--type", "depthwise", "--gpu", "a100"]
    environment = {**os.environ, "KERNPROF_CACHE_DIR": cache, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after, wall = os.times(), time.perf_counter() - started
    spent = after.children_user - before.children_user
    return spent + after.children_system - before.children_system, wall


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
