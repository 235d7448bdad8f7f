"""What bounds a launch, and the evidence in one sentence.

Thresholds are those of NVIDIA's own rules (section files of Nsight Compute 2024.1: SpeedOfLight and
WarpStateStats), which the reference paper uses as well: a kernel that reaches neither 60 % of the
compute nor of the memory throughput is bound by latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernprof.metrics.stall_reasons import ClassMap, StallClass, lookup
from kernprof.stalls.breakdown import Breakdown
from kernprof.stalls.figures import Figure

LATENCY_BELOW_PCT = 60.0
BALANCED_WITHIN_POINTS = 10.0
ISSUE_SATURATED_PCT = 80.0


class Bound(StrEnum):
    """The verdicts of the JSON contract."""

    MEMORY_LATENCY = "memory latency"
    INSTRUCTION_LATENCY = "instruction latency"
    SYNCHRONIZATION = "synchronization"
    BANDWIDTH = "bandwidth"
    COMPUTE = "compute"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What bounds the launch, and why we say so."""

    bound: Bound
    evidence: str


_BY_CLASS = {
    StallClass.MEMORY: Bound.MEMORY_LATENCY,
    StallClass.INSTRUCTION: Bound.INSTRUCTION_LATENCY,
    StallClass.SYNCHRONIZATION: Bound.SYNCHRONIZATION,
}


def judge(figures: Mapping[str, Figure], stalls: Breakdown | None) -> Verdict:
    """Judge one launch.

    Parameters
    ----------
    figures
        The rows of Table V and the extra rows, by key.
    stalls
        Its stall breakdown, or None.

    Returns
    -------
    Verdict
        Throughput decides first (bandwidth, compute), then a saturated issue stage, then the class
        of stalls that holds most warp time. The classes used here are those of the extended map
        whatever map the table shows: under the paper's map a full memory queue counts as others,
        which names no cause.
    """
    compute = figures["compute_utilization_pct"].value
    memory = _memory(figures)
    issue = figures["issue_active_pct"].value
    context = _context(figures)
    busiest = max((x for x in (compute, memory) if x is not None), default=None)
    if busiest is not None and busiest >= LATENCY_BELOW_PCT:
        return _by_throughput(compute, memory, stalls, context)
    if issue is not None and issue >= ISSUE_SATURATED_PCT:
        return Verdict(Bound.COMPUTE, f"the schedulers issue in {issue:.0f} % of cycles{context}")
    if stalls is None:
        return Verdict(Bound.UNKNOWN, _without_stalls(compute, memory))
    return _by_stalls(stalls, compute, memory, issue, context)


def _memory(figures: Mapping[str, Figure]) -> float | None:
    values = [
        figures[key].value
        for key in ("memory_throughput_pct", "bandwidth_utilization_pct")
        if figures[key].value is not None
    ]
    return max((v for v in values if v is not None), default=None)


def _by_throughput(
    compute: float | None, memory: float | None, stalls: Breakdown | None, context: str
) -> Verdict:
    parts = []
    if compute is not None:
        parts.append(f"compute reaches {compute:.0f} %")
    if memory is not None:
        parts.append(f"memory {memory:.0f} %")
    sentence = " and ".join(parts) + " of peak"
    known = compute is not None and memory is not None
    if known and abs((compute or 0) - (memory or 0)) < BALANCED_WITHIN_POINTS:
        sentence += ", nearly balanced"
    if stalls is not None and (top := stalls.top(1)):
        name, share = top[0]
        if name == "not_selected":
            sentence += f"; more warps are ready than can issue (not_selected {share:.0f} %)"
        else:
            sentence += f"; the largest stall is {name} ({share:.0f} %)"
    bound = Bound.BANDWIDTH if (memory or 0) >= (compute or 0) else Bound.COMPUTE
    return Verdict(bound, sentence + context)


def _by_stalls(
    stalls: Breakdown,
    compute: float | None,
    memory: float | None,
    issue: float | None,
    context: str,
) -> Verdict:
    classes = stalls.classes_pct(ClassMap.EXTENDED)
    leading = max(_BY_CLASS, key=lambda c: classes[c])
    if classes[leading] <= 0:
        return Verdict(Bound.UNKNOWN, "no warp stalls for a reason that names a cause" + context)
    name, share = next(
        (n, s)
        for n, s in stalls.top(len(stalls.shares_pct))
        if stalls.class_of(n, ClassMap.EXTENDED) is leading
    )
    reason = lookup(stalls.family.vocabulary, name)
    sentence = f"{name} holds {share:.0f} % of stalled warp time"
    if reason is not None:
        sentence += f" (a warp {reason.meaning})"
    if compute is not None or memory is not None:
        reached = max(x for x in (compute, memory) if x is not None)
        sentence += f", no unit passes {reached:.0f} % of peak"
    if issue is not None:
        sentence += f", the schedulers issue in {issue:.0f} % of cycles"
    return Verdict(_BY_CLASS[leading], sentence + context)


def _without_stalls(compute: float | None, memory: float | None) -> str:
    if compute is None and memory is None:
        return "the source holds neither throughput nor stall reasons"
    reached = max(x for x in (compute, memory) if x is not None)
    return (
        f"no unit passes {reached:.0f} % of peak, so latency bounds it, but without stall reasons "
        "nothing tells which"
    )


def _context(figures: Mapping[str, Figure]) -> str:
    waves = figures["waves"].value
    if waves is not None and waves < 1:
        return f"; the grid fills only {waves:.2g} of one wave"
    return ""
