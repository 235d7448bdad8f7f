"""From the simulated part of a launch to the whole of it, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kernprof.timing.model import Timing

_WARM_UP = 1 / 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cycles of a whole launch.

    Parameters
    ----------
    cycles
        SM cycles from the start of the launch to the end of its last block.
    low, high
        Bounds that the extrapolation leaves open; both equal ``cycles`` where the whole launch was
        simulated. The model's own error comes on top: docs/accuracy.md has it.
    simulated_pct
        Warp instructions simulated, of all that the launch executes, 0-100.
    """

    cycles: float
    low: float
    high: float
    simulated_pct: float

    @property
    def sampling_pct(self) -> float:
        """Half the width of the bounds in percent of ``cycles``."""
        return 100 * (self.high - self.low) / (2 * self.cycles)


def estimate(timing: Timing) -> Estimate:
    """Extrapolate a launch of which only the beginning was simulated.

    The warp instructions that are left go at the rate of the steady part: all of the simulation but
    its first third. Its two halves give the bounds. Where the grid ends in a part of a wave, the
    SMs are less full: this costs between nothing (the kernel was limited by what all SMs share) and
    a whole wave (it was limited by latency); taken is what an SM's own limits would cost, the share
    of its blocks that the fullest SM still has.
    """
    total = int(timing.execution.executed.sum())
    simulated_pct = 100 * timing.issued / total if total else 100.0
    done = float(timing.simulated_cycles)
    left = total - timing.issued
    if timing.finished or left <= 0:
        return Estimate(done, done, done, min(100.0, simulated_pct))
    rate, slow, fast = _rates(timing)
    tail, most = _tail(timing, total / rate)
    middle = done + left / rate + tail
    low = done + left / max(rate, fast)
    high = done + left / min(rate, slow) + most
    # Atomics on one address go one after another, however fast the warps that sent them ended.
    serial = _atomics(timing)
    low, middle, high = max(low, serial), max(middle, serial), max(high, serial)
    return Estimate(middle, min(low, middle), max(high, middle), simulated_pct)


def _rates(timing: Timing) -> tuple[float, float, float]:
    """Warp instructions per cycle of the steady part; of its slower and faster half."""
    cycles, issued = timing.progress.astype(float)
    whole = timing.issued / timing.simulated_cycles
    if len(cycles) < 6:
        return whole, whole, whole
    first = int(len(cycles) * _WARM_UP)
    middle = (first + len(cycles) - 1) // 2

    def rate(a: int, b: int) -> float:
        return float((issued[b] - issued[a]) / (cycles[b] - cycles[a]))

    last = len(cycles) - 1
    halves = [r for r in (rate(first, middle), rate(middle, last)) if r > 0]
    steady = rate(first, last)
    if steady <= 0 or not halves:
        return whole, whole, whole
    return steady, min(halves), max(halves)


def _atomics(timing: Timing) -> float:
    """Cycles until the busiest address has served all atomics of the launch."""
    seen = timing.counters["atomic_lanes"]
    if not seen:
        return 0.0
    kernel = timing.execution.kernel
    rows = [i.index for i in kernel.instructions if i.opcode in ("RED", "REDG", "ATOM", "ATOMG")]
    lanes = int(timing.execution.predicated_on[rows].sum())
    return timing.counters["atomic_work"] * lanes / seen


def _tail(timing: Timing, full_rate_cycles: float) -> tuple[float, float]:
    """Cycles that the last, part-full wave costs beyond its share: taken, and at most."""
    blocks = int(np.prod(timing.execution.grid))
    resident = timing.occupancy.blocks_per_sm
    waves = blocks / (resident * timing.device.sm_count)
    part = waves - math.floor(waves)
    if part == 0:
        return 0.0, 0.0
    wave_cycles = full_rate_cycles / waves
    if waves < 1:
        # All blocks run at once; of the SMs that have any, the fullest decides.
        sms = timing.device.sm_count
        mean = blocks / min(blocks, sms)
        excess = math.ceil(blocks / sms) / mean - 1
        return 0.0, full_rate_cycles * excess
    taken = (math.ceil(part * resident) / resident - part) * wave_cycles
    return taken, (1 - part) * wave_cycles
