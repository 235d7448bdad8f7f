"""The timing model's findings under Nsight Compute's metric names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kernprof.profile import InstanceTable, KernelProfile
from kernprof.timing.caches import Caches
from kernprof.timing.extrapolate import Estimate, estimate
from kernprof.timing.model import Timing
from kernprof.timing.native import REASONS

_SECTOR_BYTES = 32
_ARITHMETIC = ("fma", "imad", "alu", "half", "fp64", "special", "uniform", "tensor")


def timed(profile: KernelProfile, timing: Timing) -> KernelProfile:
    """Add cycles, time, achieved occupancy, utilisation, hit rates and stall reasons to a profile.

    Parameters
    ----------
    profile
        From :func:`kernprof.sim.profile` for the same launch.
    timing
        From :func:`kernprof.timing.simulate`.
    """
    whole = estimate(timing)
    found = metrics(timing, whole)
    offsets = [i.offset for i in timing.execution.kernel.instructions]
    scaled = _scale(timing) * timing.stalls
    instances = dict(profile.instances)
    for number, reason in enumerate(REASONS):
        if scaled[:, number].any():
            instances[f"smsp__warps_issue_stalled_{reason}.sum"] = InstanceTable(
                offsets, [float(v) for v in scaled[:, number]]
            )
    return replace(
        profile,
        metrics={**profile.metrics, **found},
        instances=instances,
        gpu=timing.device.gpu,
        notes=(*profile.notes, *notes(timing, whole)),
    )


def notes(timing: Timing, whole: Estimate) -> tuple[str, ...]:
    """Say what a reader of the figures must know."""
    clock = f"{timing.clock_mhz:.0f} MHz" if timing.clock_mhz else "an unknown clock"
    said = [f"predicted for {timing.device.name} at {clock}"]
    if timing.what_if.text:
        said.append(f"what if: a GPU that does not exist, with {timing.what_if.text}")
    if timing.caches is Caches.WARM:
        what = "the same launch ran right before"
        if not timing.finished:
            what += "; a part of it is simulated, its code warm and its data cold"
        said.append(f"caches warm: {what}")
    if timing.caches is Caches.BACK_TO_BACK:
        said.append("caches back-to-back: as the launches before it left them")
    if not timing.finished:
        said.append(
            f"{whole.simulated_pct:.2g} % of the warp instructions were simulated for time; the "
            f"rest is extrapolated, which leaves {whole.low:.4g} to {whole.high:.4g} cycles open"
        )
    if timing.counters["forced_barriers"]:
        said.append("parts of warps wait at different barriers; their order is a guess")
    return tuple(said)


def _scale(timing: Timing) -> float:
    """All warp instructions of the launch over those simulated."""
    total = int(timing.execution.executed.sum())
    return total / timing.issued if timing.issued else 1.0


def metrics(timing: Timing, whole: Estimate) -> dict[str, int | float]:
    """Compute the launch's predicted metrics.

    Rates and shares are those of the simulated part, cycles and sums those of the whole launch.
    """
    device, arch = timing.device, timing.device.arch
    schedulers = arch.sub_partitions
    sms = device.sm_count
    cycles = whole.cycles
    simulated = max(1, timing.simulated_cycles)
    scale = _scale(timing)
    sm_cycles = simulated * sms
    active = max(1, timing.sm_active_cycles)
    issue = max(1, timing.issue_cycles)
    counters = timing.counters
    executed = int(timing.execution.executed.sum())
    warps = timing.warp_cycles
    found: dict[str, int | float] = {
        "gpc__cycles_elapsed.max": round(cycles),
        "sm__cycles_elapsed.max": round(cycles),
        "sm__cycles_active.avg": cycles * active / sm_cycles,
        "smsp__cycles_active.avg.pct_of_peak_sustained_elapsed": 100 * active / sm_cycles,
        "sm__warps_active.avg.pct_of_peak_sustained_active": 100
        * warps
        / (active * arch.max_warps_per_sm),
        "sm__maximum_warps_per_active_cycle_pct": timing.occupancy.occupancy_pct,
        "smsp__issue_active.avg.pct_of_peak_sustained_active": 100 * issue / (active * schedulers),
        "smsp__issue_active.avg.per_cycle_active": issue / (active * schedulers),
        "sm__inst_executed.avg.per_cycle_elapsed": executed / (cycles * sms),
        "smsp__average_warp_latency_per_inst_issued.ratio": warps / issue,
        "smsp__warps_active.sum": round(warps * scale),
        "smsp__warps_active.avg.per_cycle_active": warps / (active * schedulers),
        "launch__waves_per_multiprocessor": int(np.prod(timing.execution.grid))
        / (timing.occupancy.blocks_per_sm * sms),
        "dram__bytes_read.sum": round(counters["dram_read_sectors"] * _SECTOR_BYTES * scale),
        "dram__bytes_write.sum": round(counters["dram_write_sectors"] * _SECTOR_BYTES * scale),
    }
    for name, limit in timing.occupancy.limits.items():
        found[f"launch__occupancy_limit_{name}"] = limit
    if counters["l1_sectors"]:
        found["l1tex__t_sector_hit_rate.pct"] = 100 * counters["l1_hits"] / counters["l1_sectors"]
    if counters["l2_sectors"]:
        found["lts__t_sector_hit_rate.pct"] = 100 * counters["l2_hits"] / counters["l2_sectors"]
    # Every warp-cycle of the model has a reason: nothing is left for `misc`.
    for reason, value in {**timing.reasons, "misc": 0}.items():
        found[f"smsp__average_warps_issue_stalled_{reason}_per_issue_active.ratio"] = value / issue
        found[f"smsp__warps_issue_stalled_{reason}.sum"] = round(value * scale)
    eligible = timing.reasons["not_selected"] + timing.reasons["selected"]
    found["smsp__warps_eligible.avg.per_cycle_active"] = eligible / (active * schedulers)
    found.update(_utilisation(timing, simulated))
    if timing.clock_mhz:
        found["gpu__time_duration.sum"] = cycles * 1e3 / timing.clock_mhz
        found["smsp__cycles_elapsed.avg.per_second"] = timing.clock_mhz * 1e6
    return found


def _utilisation(timing: Timing, simulated: int) -> dict[str, float]:
    """Shares of what the busiest units could have done, 0-100."""
    device = timing.device
    sms, schedulers = device.sm_count, device.arch.sub_partitions
    slots = simulated * sms * schedulers
    peak = device.dram_bandwidth_bytes_per_s
    found: dict[str, float] = {}
    busy = {name: 100 * timing.unit_busy[name] / slots for name in _ARITHMETIC}
    lsu = 100 * timing.counters["lsu_busy_cycles"] / (simulated * sms)
    issue = 100 * timing.issue_cycles / slots
    found["sm__throughput.avg.pct_of_peak_sustained_elapsed"] = min(
        100.0, max(issue, lsu, *busy.values())
    )
    memory = lsu
    if peak and timing.clock_mhz:
        sectors = timing.counters["dram_read_sectors"] + timing.counters["dram_write_sectors"]
        per_cycle = peak / (timing.clock_mhz * 1e6)
        dram = min(100.0, 100 * sectors * _SECTOR_BYTES / (per_cycle * simulated))
        found["gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"] = dram
        memory = max(memory, dram)
    found["gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"] = min(100.0, memory)
    return found
