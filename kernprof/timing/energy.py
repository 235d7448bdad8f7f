"""Energy of a simulated launch, from published energies per operation.

A rough model with stated bounds: a board's constant power and the static power of its SMs over the
predicted time, plus an energy for every thread instruction, every sector that moves and every bit
of DRAM traffic. ``data/energy.toml`` has the numbers and where each comes from.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from kernprof.devices import Device, find
from kernprof.timing.extrapolate import estimate
from kernprof.timing.model import Timing

_SECTOR_BITS = 256
_WAVEFRONT_SECTORS = 4
_FP64 = ("DADD", "DMUL", "DFMA")
_SHARED = ("LDS", "STS", "ATOMS")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A figure and the bounds it is known within."""

    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, factor: float) -> Bounds:
        return Bounds(self.low * factor, self.mid * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of GPU work in joules, by where it goes.

    Parameters
    ----------
    constant
        What the board takes whatever it does, over the time of the work.
    idle
        Static power of all SMs as if none worked.
    active
        Static power of working SMs beyond that.
    instructions
        Thread instructions: fetch, decode, operands and operation.
    l1, l2, dram
        Data moved in L1 and shared memory, L2 and DRAM.
    """

    constant: Bounds = Bounds()
    idle: Bounds = Bounds()
    active: Bounds = Bounds()
    instructions: Bounds = Bounds()
    l1: Bounds = Bounds()
    l2: Bounds = Bounds()
    dram: Bounds = Bounds()

    @property
    def total(self) -> Bounds:
        """All of it, as a power sensor of the board would see it."""
        return self.constant + self.idle + self.above_idle

    @property
    def above_idle(self) -> Bounds:
        """What the work adds to a board that would otherwise idle at full clocks."""
        return self.active + self.instructions + self.l1 + self.l2 + self.dram

    def __mul__(self, factor: float) -> Energy:
        return Energy(*(getattr(self, f.name) * factor for f in fields(self)))


def summed(parts: Iterable[Energy]) -> Energy:
    """Add energies up, part by part."""
    found = list(parts)
    return Energy(
        *(sum((getattr(p, f.name) for p in found), start=Bounds()) for f in fields(Energy))
    )


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A board's powers in watts and energies in joules.

    Parameters
    ----------
    constant_w, idle_sm_w, first_lane_w, further_lane_w
        Constant power of the board; static power of one idle SM, and of one working SM for its
        first and each further active lane.
    thread_instruction, fp64
        One instruction of one thread; what one in double precision costs more.
    l1_sector, l2_sector, dram_sector
        32 bytes moved.
    """

    constant_w: Bounds
    idle_sm_w: Bounds
    first_lane_w: Bounds
    further_lane_w: Bounds
    thread_instruction: Bounds
    fp64: Bounds
    l1_sector: Bounds
    l2_sector: Bounds
    dram_sector: Bounds


@cache
def _document() -> Mapping[str, Any]:
    text = (resources.files("kernprof.timing") / "data" / "energy.toml").read_text("utf-8")
    return tomllib.loads(text)


def why_not(device: Device) -> str:
    """Say why the energy on a GPU can't be predicted, or return an empty string."""
    if device.power_limit_w is None or device.dram_kind is None:
        return (
            f"the power limit and kind of memory of {device.name} are not in the table of GPUs; "
            "name a board with --gpu"
        )
    if device.dram_kind not in _document()["dram_bit_pj"]:
        return f"no energy is known for {device.dram_kind}, the memory of {device.name}"
    if device.arch.units is None or not (device.base_clock_mhz or device.boost_clock_mhz):
        return f"lanes or clock of {device.name} are not known"
    return ""


def coefficients(device: Device) -> Coefficients:
    """Return what operations cost on a board.

    Constant and static power are those of the reference board, scaled by the power limits. The
    upper bound of a thread instruction is what the power limit leaves to each FP32 lane; its other
    numbers go with that bound from board to board.

    Raises
    ------
    ValueError
        :func:`why_not` has a reason.
    """
    reason = why_not(device)
    if reason:
        raise ValueError(reason)
    document = _document()
    reference = find(document["reference"]["board"])
    assert device.power_limit_w is not None
    assert reference.power_limit_w is not None
    scale = device.power_limit_w / reference.power_limit_w
    per_sm = scale * document["reference"]["sm_count"] / device.sm_count
    constant = _bounds("constant_w") * scale
    ceiling = _lane_ceiling(device, constant.mid)
    relative = ceiling / _lane_ceiling(reference, _bounds("constant_w").mid)
    row = document["thread_instruction_pj"]
    instruction = Bounds(
        row["low"] * relative * 1e-12,
        min(row["mid"] * relative * 1e-12, ceiling),
        ceiling,
    )
    bit = document["dram_bit_pj"][device.dram_kind]
    dram = Bounds(bit["low"], math.sqrt(bit["low"] * bit["high"]), bit["high"])
    return Coefficients(
        constant_w=constant,
        idle_sm_w=_bounds("idle_sm_w") * per_sm,
        first_lane_w=_bounds("active_sm_first_lane_w") * per_sm,
        further_lane_w=_bounds("active_sm_further_lane_w") * per_sm,
        thread_instruction=instruction,
        fp64=_bounds("fp64_pj") * 1e-12,
        l1_sector=_bounds("l1_sector_pj") * 1e-12,
        l2_sector=_bounds("l2_sector_pj") * 1e-12,
        dram_sector=dram * (_SECTOR_BITS * 1e-12),
    )


def launch_energy(timing: Timing) -> Energy | None:
    """Predict the energy of one launch; None where the board's numbers are not known.

    The bounds of the time that extrapolation leaves open are part of the energy's bounds; the
    timing model's own error is not.
    """
    if why_not(timing.device) or not timing.clock_mhz:
        return None
    cost = coefficients(timing.device)
    whole = estimate(timing)
    second = 1e-6 / timing.clock_mhz
    low_s, mid_s, high_s = whole.low * second, whole.cycles * second, whole.high * second

    def over_time(power: Bounds, share: float = 1.0) -> Bounds:
        return Bounds(power.low * low_s, power.mid * mid_s, power.high * high_s) * share

    execution = timing.execution
    executed = int(execution.executed.sum())
    scale = executed / timing.issued if timing.issued else 1.0
    threads = int(execution.threads.sum())
    lanes = threads / executed if executed else 0.0
    active_sms = timing.sm_active_cycles / max(1, timing.simulated_cycles)
    working = cost.first_lane_w + cost.further_lane_w * max(0.0, lanes - 1)
    opcodes = np.array([i.opcode for i in execution.kernel.instructions])
    doubles = int(execution.predicated_on[np.isin(opcodes, _FP64)].sum())
    wavefronts = int(execution.wavefronts[np.isin(opcodes, _SHARED)].sum())
    counters = timing.counters
    dram = counters["dram_read_sectors"] + counters["dram_write_sectors"]
    return Energy(
        constant=over_time(cost.constant_w),
        idle=over_time(cost.idle_sm_w, timing.device.sm_count),
        active=over_time(working, active_sms),
        instructions=cost.thread_instruction * threads + cost.fp64 * doubles,
        l1=cost.l1_sector * (counters["l1_sectors"] * scale + wavefronts * _WAVEFRONT_SECTORS),
        l2=cost.l2_sector * (counters["l2_sectors"] * scale),
        dram=cost.dram_sector * (dram * scale),
    )


def _bounds(key: str) -> Bounds:
    row = _document()[key]
    return Bounds(row["low"], row["mid"], row["high"])


def _lane_ceiling(device: Device, constant_w: float) -> float:
    """Joules that the power limit leaves to one lane's instruction when all lanes work."""
    assert device.arch.units is not None
    assert device.power_limit_w is not None
    clock = device.base_clock_mhz or device.boost_clock_mhz
    assert clock is not None
    lanes = device.arch.units.fp32_lanes * device.sm_count
    return (device.power_limit_w - constant_w) / (lanes * clock * 1e6)
