"""Micro-kernels of known cost: the timing model beside published measurements."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kernprof import sim
from kernprof.compile import compile_file
from kernprof.devices import Device, find
from kernprof.devices.model import WARP_SIZE
from kernprof.sim.recording import TraceBudget
from kernprof.timing import Timing, launch_occupancy, simulate

_HERE = Path(__file__).parent
_BUDGET = 1 << 30
_LINE_INTS = 32


@dataclass(frozen=True, slots=True)
class Micro:
    """One published cost and what the model says.

    Parameters
    ----------
    what, gpu, source
        The measurement.
    known, predicted
        Cycles a step, or results per cycle and SM.
    is_input
        Whether the model takes the number as a parameter.
    """

    what: str
    gpu: str
    source: str
    known: float
    predicted: float
    is_input: bool

    @property
    def error_pct(self) -> float:
        """Signed error."""
        return 100 * (self.predicted - self.known) / self.known


@cache
def _program(arch: str) -> sim.Program:
    return sim.load(compile_file(_HERE / "micro.cu", arch=arch).image)


def _run(device: Device, kernel: str, grid: int, block: int, args: list[Any]) -> Timing:
    program = _program(device.arch.name)
    image = program.kernel(kernel).image
    found = launch_occupancy(device, block, image.registers, image.shared_bytes, 0)
    budget = TraceBudget(_BUDGET, found.blocks_per_sm * device.sm_count)
    return simulate(sim.run(program, kernel, grid, block, args, trace=budget), device)


def _difference(device: Device, long: Timing, short: Timing, steps: int) -> float:
    return (long.simulated_cycles - short.simulated_cycles) / steps


def _chain(device: Device, kernel: str, kind: type[np.floating[Any]]) -> float:
    y = np.zeros(WARP_SIZE, kind)
    long, short = (
        _run(device, f"{kernel}_{name}", 1, WARP_SIZE, [y, kind(0.5)]) for name in ("long", "short")
    )
    # Straight code that is fetched for the first time costs more than the chain: waits for it go.
    cycles = [
        t.reasons["selected"]
        + t.reasons["wait"]
        + t.reasons["short_scoreboard"]
        + t.reasons["math_pipe_throttle"]
        for t in (long, short)
    ]
    return (cycles[0] - cycles[1]) / 512


def _rate(device: Device, kernel: str) -> float:
    """Results per cycle and SM of 128 multiply-adds or exponentials a thread and turn."""
    block, turns = 1024, (24, 8)
    grid = 2 * device.sm_count
    y = np.zeros(grid * block, np.float32)
    more, less = (
        _run(device, kernel, grid, block, [y, np.float32(0.5), np.int32(n)]) for n in turns
    )
    results = grid * block * 128 * (turns[0] - turns[1])
    return results / (more.simulated_cycles - less.simulated_cycles) / device.sm_count


def _chase(device: Device, lines: int, warm: bool) -> float:
    """Cycles a step through ``lines`` lines of 128 bytes, after a first lap where ``warm``."""
    size = lines * _LINE_INTS
    place = (np.arange(size, dtype=np.int32) + _LINE_INTS) % size
    steps = (2 * lines, lines) if warm else (lines, lines // 2)
    y = np.zeros(WARP_SIZE, np.int32)
    more, less = (_run(device, "chase", 1, WARP_SIZE, [place, y, np.int32(n)]) for n in steps)
    return _difference(device, more, less, steps[0] - steps[1])


def _chase_shared(device: Device) -> float:
    y = np.zeros(WARP_SIZE, np.int32)
    more, less = (_run(device, "chase_shared", 1, WARP_SIZE, [y, np.int32(n)]) for n in (512, 256))
    return _difference(device, more, less, 256)


def _barriers(device: Device, warps: int) -> float:
    y = np.zeros(WARP_SIZE * warps, np.int32)
    more, less = (
        _run(device, "barriers", 1, WARP_SIZE * warps, [y, np.int32(n)]) for n in (256, 128)
    )
    return _difference(device, more, less, 128)


def _beyond_l1(device: Device) -> int:
    """Lines that no L1 holds and any L2 does."""
    return 16384 if device.l2_bytes and device.l2_bytes > 3 << 20 else 8192


_KERNELS: dict[str, Callable[[Device], float]] = {
    "fma_chain": lambda device: _chain(device, "fma_chain", np.float32),
    "dfma_chain": lambda device: _chain(device, "dfma_chain", np.float64),
    "fma_rate": lambda device: _rate(device, "fma_rate"),
    "mufu_rate": lambda device: _rate(device, "mufu_rate"),
    "chase_shared": _chase_shared,
    "chase_l1": lambda device: _chase(device, 64, warm=True),
    "chase_l2": lambda device: _chase(device, _beyond_l1(device), warm=True),
    "chase_dram": lambda device: _chase(device, 8192, warm=False),
    **{f"barriers_{w}": lambda device, w=w: _barriers(device, w) for w in (1, 8, 32)},
}


def micro() -> Iterable[Micro]:
    """Run every micro-kernel of ``micro.toml`` on every GPU that it names."""
    document = tomllib.loads((_HERE / "micro.toml").read_text("utf-8"))
    for row in document["row"]:
        found: dict[str, float] = {}
        for value in row["values"]:
            gpu = value["gpu"]
            if gpu not in found:
                found[gpu] = _KERNELS[row["kernel"]](find(gpu))
            yield Micro(
                row["what"],
                find(gpu).name,
                document["sources"][value["source"]],
                value["value"],
                found[gpu],
                value.get("input", False),
            )


def section(rows: Iterable[Micro]) -> list[str]:
    """Write the part of the page about micro-kernels."""
    every = list(rows)
    apart = [abs(r.error_pct) for r in every if not r.is_input]
    given = [abs(r.error_pct) for r in every if r.is_input]
    return [
        "## Micro-kernels of known cost",
        "",
        "Kernels of `validation/micro.cu`, compiled, executed and timed, beside what was published",
        "for the same pattern on real GPUs. Numbers marked † are parameters of the model: these",
        f"rows ({len(given)}, mean absolute error {_mean(given):.1f} %) show what address",
        "arithmetic and loops add, or that a stated rate is reached. The others were not used",
        f"({len(apart)}, {_mean(apart):.1f} %); where sources contradict each other, the model can",
        "agree with one of them only. On P100 the compiler's own stall counts (14 cycles between",
        "dependent FP64 operations, 13 at every end of a line of code) are more than the units",
        "need; a GPU waits them out too.",
        "",
        "| What | GPU | Published | Predicted | Error | Source |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.what} | {r.gpu} | {r.known:g}{' †' if r.is_input else ''} | {r.predicted:.1f} | "
            f"{r.error_pct:+.1f} % | {r.source} |"
            for r in every
        ),
        "",
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
