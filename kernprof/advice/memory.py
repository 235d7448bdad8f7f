"""Advice on memory: coalescing, queues, latency, bank conflicts, spills, bandwidth."""

from __future__ import annotations

import math
from dataclasses import replace

from kernprof.advice.model import Advice, Case, Evidence, advice, stall_advice, threshold

_GLOBAL = ("long_scoreboard", "lg_throttle", "drain", "memory_dependency", "memory_throttle")
_SHARED = ("short_scoreboard", "mio_throttle")
_SECTORS = "memory_l2_theoretical_sectors_global"
_IDEAL = "memory_l2_theoretical_sectors_global_ideal"
_CACHES = {
    "l1": "l1tex__throughput.avg.pct_of_peak_sustained_elapsed",
    "l2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
}
_ATOMICS = "l1tex__t_requests_pipe_lsu_mem_global_op_{}.sum"
_ATOMICS_AT_L2 = "lts__t_requests_srcunit_tex_op_{}.sum"


def uncoalesced(case: Case) -> Advice | None:
    """Sectors beyond what the same bytes need, while warps wait for global memory.

    The excess is counted per instruction by the profiler (theoretical against ideal sectors); where
    that is missing, more sectors per request than the widest access needs (16 of 32 bytes for 32
    threads of 16 bytes) are.
    """
    found = _excess(case)
    if found is None or not case.matters(*_GLOBAL):
        return None
    excess_pct, evidence = found
    if excess_pct < threshold("excessive_pct"):
        return None
    for kind in ("load", "store"):
        per_request = case.figure(f"global_{kind}_sectors_per_request")
        if per_request is not None:
            evidence = (*evidence, Evidence(f"sectors per global {kind} request", per_request))
    return stall_advice(case, "uncoalesced", evidence, _GLOBAL, part=excess_pct / 100)


def _mostly_uncoalesced(case: Case) -> bool:
    """Tell whether waits for global memory are those of sectors beyond the fewest possible."""
    found = _excess(case)
    return found is not None and found[0] >= threshold("dominant_excess_pct")


def _excess(case: Case) -> tuple[float, tuple[Evidence, ...]] | None:
    sectors, ideal = _total(case, _SECTORS), _total(case, _IDEAL)
    if sectors and ideal is not None:
        excess = 100 * (sectors - ideal) / sectors
        return excess, (Evidence("excessive global sectors", excess, "%"),)
    widest = threshold("widest_sectors_per_request")
    worst = max(
        (case.figure(f"global_{kind}_sectors_per_request") or 0.0 for kind in ("load", "store")),
    )
    return (100 * (worst - widest) / worst, ()) if worst > widest else None


def _total(case: Case, metric: str) -> float | None:
    table = case.profile.instances.get(metric)
    if table is None:
        return case.profile.value(metric)
    total = math.fsum(v for v in table.values if isinstance(v, (int, float)))
    return total if math.isfinite(total) else None


def queue(case: Case) -> Advice | None:
    """Many requests that are coalesced: the queue for global and local memory is full."""
    if not case.matters("lg_throttle") or _mostly_uncoalesced(case):
        return None
    evidence = case.waits("lg_throttle")
    requests = case.figure("global_load_requests")
    instructions = case.figure("instructions")
    if requests is not None and instructions:
        share = 100 * requests / instructions
        evidence.append(Evidence("global loads of all instructions", share, "%"))
    return stall_advice(case, "requests", tuple(evidence), ("lg_throttle",))


def latency(case: Case) -> Advice | None:
    """Warps wait for data while no memory unit is near its peak: latency, not bandwidth."""
    names = ("long_scoreboard", "memory_dependency")
    near = threshold("near_peak_pct")
    busiest = max(
        case.figure(key) or 0.0 for key in ("memory_throughput_pct", "bandwidth_utilization_pct")
    )
    if not case.matters(*names) or busiest >= near or _mostly_uncoalesced(case):
        return None
    evidence = case.waits(*names)
    evidence += [
        Evidence(label, value, unit)
        for label, key, unit in (
            ("L1 hit rate", "l1_hit_rate_pct", "%"),
            ("L2 hit rate", "l2_hit_rate_pct", "%"),
            ("eligible warps per scheduler", "eligible_warps", ""),
        )
        if (value := case.figure(key)) is not None
    ]
    return stall_advice(case, "memory_latency", tuple(evidence), names)


def bank_conflicts(case: Case) -> Advice | None:
    """Shared-memory accesses that take more wavefronts than one because of their banks."""
    conflicts = case.figure("shared_bank_conflicts")
    wavefronts = case.figure("shared_wavefronts")
    if not conflicts or not wavefronts or not case.matters(*_SHARED):
        return None
    share = 100 * conflicts / wavefronts
    if share < threshold("excessive_pct"):
        return None
    evidence = (
        Evidence("bank conflicts", conflicts),
        Evidence("of all shared-memory wavefronts", share, "%"),
    )
    found = stall_advice(case, "bank_conflicts", evidence, _SHARED)
    pipe = _conflict_cycles_pct(case, conflicts)
    if pipe is not None and (found.gain_pct is None or pipe < found.gain_pct):
        found = replace(
            found,
            gain_pct=pipe,
            bound="one cycle a conflict on the busiest SM",
            share_pct=None if found.share_pct is None else min(found.share_pct, pipe),
        )
    return found


def _conflict_cycles_pct(case: Case, conflicts: float) -> float | None:
    """Return conflicts of the busiest SM in percent of the elapsed cycles.

    The data stage takes one wavefront a cycle, so that many cycles at most are lost to them.
    """
    sms, cycles = case.profile.gpu.sm_count, case.profile.cycles
    balance = case.figure("sm_balance_pct")
    if not sms or not cycles or not balance:
        return None
    return 100 * conflicts / sms / cycles / (balance / 100)


def shared_traffic(case: Case) -> Advice | None:
    """Much traffic to shared memory, without bank conflicts to blame for the waits."""
    wavefronts = case.figure("shared_wavefronts")
    instructions = case.figure("instructions")
    conflicts = case.figure("shared_bank_conflicts") or 0.0
    if not wavefronts or not instructions or not case.matters(*_SHARED):
        return None
    if 100 * conflicts / wavefronts >= threshold("excessive_pct"):
        return None
    if wavefronts / instructions < threshold("shared_per_instruction"):
        return None
    evidence = (
        Evidence("shared-memory wavefronts per instruction", wavefronts / instructions),
        *case.waits(*_SHARED),
    )
    return stall_advice(case, "shared_traffic", evidence, _SHARED)


def spills(case: Case) -> Advice | None:
    """Local memory: registers that did not fit, or arrays that are indexed at run time."""
    local = [case.figure(f"local_{kind}_sectors") for kind in ("load", "store")]
    total = sum(value or 0.0 for value in local)
    shared = [case.figure(f"global_{kind}_sectors") or 0.0 for kind in ("load", "store")]
    if not total or not case.matters(*_GLOBAL):
        return None
    share = 100 * total / (total + sum(shared))
    if share < threshold("excessive_pct"):
        return None
    evidence = [Evidence("local sectors of all L1 sectors", share, "%")]
    if case.profile.registers is not None:
        evidence.append(Evidence("registers per thread", case.profile.registers))
    return stall_advice(case, "spills", tuple(evidence), _GLOBAL)


def bandwidth(case: Case) -> Advice | None:
    """DRAM near its peak: nothing but fewer bytes helps."""
    used = case.figure("bandwidth_utilization_pct")
    compute = case.figure("compute_utilization_pct")
    if used is None or compute is None or used < threshold("near_peak_pct"):
        return None
    evidence = (
        Evidence("DRAM bandwidth", used, "% of peak"),
        Evidence("compute", compute, "% of peak"),
    )
    gain = 100 * (1 - compute / used)
    return advice("bandwidth", evidence, gain, "until compute is as busy as DRAM is now")


def cache(case: Case) -> Advice | None:
    """L1 or L2 near its peak, while DRAM is not."""
    near = threshold("near_peak_pct")
    dram = case.figure("bandwidth_utilization_pct")
    if dram is not None and dram >= near:
        return None
    used = {
        key: value
        for key, metric in _CACHES.items()
        if (value := case.profile.value(metric)) is not None and value >= near
    }
    if not used:
        return None
    key = max(used, key=lambda name: used[name])
    evidence = [Evidence(_CACHES[key], used[key], "% of peak")]
    if dram is not None:
        evidence.append(Evidence("DRAM bandwidth", dram, "% of peak"))
    compute = case.figure("compute_utilization_pct")
    if compute is None:
        return advice(key, tuple(evidence), None, "compute utilization is not told")
    evidence.append(Evidence("compute", compute, "% of peak"))
    gain = 100 * (1 - compute / used[key])
    return advice(key, tuple(evidence), gain, "until compute is as busy as this cache is now")


def atomics(case: Case) -> Advice | None:
    """Atomic operations on global memory that queue up, most of all on one address."""
    requests = {kind: case.profile.value(_ATOMICS.format(kind)) or 0.0 for kind in ("red", "atom")}
    total = sum(requests.values())
    others = sum(case.figure(f"global_{kind}_requests") or 0.0 for kind in ("load", "store"))
    if not total or not case.matters(*_GLOBAL, "membar"):
        return None
    share = 100 * total / (total + others)
    if share < threshold("atomic_share_pct"):
        return None
    evidence = [
        Evidence("atomics and reductions", total, "requests of warps"),
        Evidence("of all global requests", share, "%"),
    ]
    at_l2 = sum(case.profile.value(_ATOMICS_AT_L2.format(kind)) or 0.0 for kind in requests)
    if at_l2:
        evidence.append(Evidence("requests at L2 for each", at_l2 / total))
    # Lanes with one address take their turns: a request counts as often as it goes to L2.
    turns = max(at_l2, total)
    part = turns / (turns + others)
    return stall_advice(case, "atomics", tuple(evidence), (*_GLOBAL, "membar"), part=part)
