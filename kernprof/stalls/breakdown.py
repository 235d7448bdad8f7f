"""Stall reasons of one launch: which family of metrics to believe, shares, classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kernprof.errors import UsageError
from kernprof.metrics.stall_reasons import (
    ClassMap,
    Family,
    StallClass,
    families,
    lookup,
    reasons,
)
from kernprof.profile import KernelProfile

_SUM_TOLERANCE = 0.1
"""Reasons come from several replay passes; a total further off than this is worth a notice."""

_WHOLE_TOLERANCE = 0.5
"""Rounding of a dozen printed percentages."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the warps of one launch spend their time.

    Parameters
    ----------
    family
        The family of metrics that the numbers are taken from.
    raw
        Value per canonical reason in the family's own unit, ``selected`` included.
    parts
        Values of reasons that other reasons already contain.
    shares_pct
        Share per reason in percent; the base is all reasons without ``selected`` (and without
        ``not_selected`` where asked). Sums to 100.
    unknown
        Reasons in the profile that no table knows; they count as others.
    notes
        What a reader must know (families that were incomplete, totals that are off).
    """

    family: Family
    raw: Mapping[str, float]
    parts: Mapping[str, float]
    shares_pct: Mapping[str, float]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]

    def classes_pct(self, class_map: ClassMap) -> Mapping[StallClass, float]:
        """Return the share of each of the four classes in percent; they sum to 100."""
        totals = dict.fromkeys(
            (
                StallClass.MEMORY,
                StallClass.INSTRUCTION,
                StallClass.SYNCHRONIZATION,
                StallClass.OTHERS,
            ),
            0.0,
        )
        for name, share in self.shares_pct.items():
            totals[self.class_of(name, class_map)] += share
        return totals

    def class_of(self, name: str, class_map: ClassMap) -> StallClass:
        """Return the class of a reason; unknown reasons are others."""
        reason = lookup(self.family.vocabulary, name)
        return reason.classes[class_map] if reason is not None else StallClass.OTHERS

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the largest reasons with their shares, the largest first."""
        ranked = sorted(self.shares_pct.items(), key=lambda item: (-item[1], item[0]))
        return [item for item in ranked if item[1] > 0][:count]


def breakdown(
    profile: KernelProfile,
    *,
    family: str | None = None,
    count_not_selected: bool = True,
) -> Breakdown | None:
    """Break the stalls of one launch down, from the best family that the profile holds whole.

    Parameters
    ----------
    profile
        The launch.
    family
        Take this family instead of the best one.
    count_not_selected
        Whether warps that were ready but not chosen count in the base, as nvprof does.

    Returns
    -------
    Breakdown or None
        None when the profile holds no complete family with a stalled warp in it.

    Raises
    ------
    UsageError
        For a family that does not exist.
    """
    known = {f.name: f for f in families()}
    if family is not None and family not in known:
        raise UsageError(f"no stall family named {family!r}; known: {', '.join(known)}")
    incomplete: list[str] = []
    for candidate in [known[family]] if family else families():
        raw, parts, unknown = _collect(profile, candidate)
        if not raw:
            continue
        nan = nan_reasons(profile, candidate)
        if nan:
            incomplete.append(
                f"the profiler returned NaN for {len(nan)} reason(s) of the family "
                f"{candidate.name} ({', '.join(nan[:3])}): not used, its shares would be wrong"
            )
            continue
        lacking = _lacking(candidate, raw)
        if lacking:
            incomplete.append(
                f"the report holds only {len(raw)} reason(s) of the family {candidate.name} "
                f"({', '.join(sorted(raw)[:3])}): not used; {candidate.collect} collects all"
            )
            continue
        shares = _shares(candidate, raw, count_not_selected)
        if shares is None:
            continue
        notes = [*incomplete, *_total_notes(profile, candidate, raw)]
        if unknown:
            notes.append(f"unknown stall reason(s) counted as others: {', '.join(unknown)}")
        return Breakdown(candidate, raw, parts, shares, tuple(unknown), tuple(notes))
    return None


def nan_reasons(profile: KernelProfile, family: Family) -> list[str]:
    """Return the reasons of a family that were collected and have no value."""
    found = []
    for metric, value in profile.metrics.items():
        spelled = family.reason_in(metric)
        if spelled is None or not isinstance(value, float) or math.isfinite(value):
            continue
        if lookup(family.vocabulary, spelled) is not None:
            found.append(spelled)
    return sorted(found)


def _collect(
    profile: KernelProfile, family: Family
) -> tuple[dict[str, float], dict[str, float], list[str]]:
    raw: dict[str, float] = {}
    parts: dict[str, float] = {}
    unknown: list[str] = []
    for metric, value in profile.metrics.items():
        spelled = family.reason_in(metric)
        if spelled is None or not isinstance(value, (int, float)) or not math.isfinite(value):
            continue
        reason = lookup(family.vocabulary, spelled)
        if reason is None:
            unknown.append(spelled)
            raw[spelled] = float(value)
        elif reason.part_of is not None:
            parts[reason.name] = float(value)
        else:
            raw[reason.name] = float(value)
    # A pattern as wide as nvprof's "stall_{R}" could catch a stray metric; without one known reason
    # there is no family.
    if len(unknown) == len(raw):
        return {}, {}, []
    return raw, parts, sorted(unknown)


def _lacking(family: Family, raw: Mapping[str, float]) -> list[str]:
    """Return the core reasons that are not there: shares of a part would be silently wrong."""
    if family.sparse:
        return []
    # Shares that add up to the whole are whole, whatever was left out.
    if family.total == "100" and abs(math.fsum(raw.values()) - 100.0) <= _WHOLE_TOLERANCE:
        return []
    core = {reason.name for reason in reasons(family.vocabulary).values() if reason.core}
    return sorted(core.difference(raw, family.absent))


def _shares(
    family: Family, raw: Mapping[str, float], count_not_selected: bool
) -> dict[str, float] | None:
    base: dict[str, float] = {}
    for name, value in raw.items():
        reason = lookup(family.vocabulary, name)
        if reason is not None and reason.classes[ClassMap.PAPER] is StallClass.ISSUED:
            continue
        if name == "not_selected" and not count_not_selected:
            continue
        base[name] = max(value, 0.0)
    total = math.fsum(base.values())
    if total <= 0:
        return None
    return {name: 100.0 * value / total for name, value in base.items()}


def _total_notes(profile: KernelProfile, family: Family, raw: Mapping[str, float]) -> list[str]:
    if family.total is None:
        return []
    expected = 100.0 if family.total == "100" else profile.value(family.total)
    found = math.fsum(raw.values())
    if not expected or abs(found / expected - 1) <= _SUM_TOLERANCE:
        return []
    return [
        f"the reasons add up to {found:.3g} where {family.total} says {expected:.3g}: they were "
        "collected in separate passes that did not run alike"
    ]
