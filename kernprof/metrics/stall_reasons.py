"""Stall reasons, their class maps and the metric families that carry them.

The facts are in ``data/stall_reasons.toml`` and ``data/stall_families.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from kernprof.metrics.tables import table


class ClassMap(StrEnum):
    """How reasons are put into classes."""

    PAPER = "paper"
    EXTENDED = "extended"


class StallClass(StrEnum):
    """The four classes of Table V, and what is outside the base."""

    MEMORY = "memory"
    INSTRUCTION = "instruction"
    SYNCHRONIZATION = "synchronization"
    OTHERS = "others"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class Reason:
    """One stall reason.

    Parameters
    ----------
    name
        Canonical spelling, as the hardware counters have it.
    classes
        Its class under each map.
    core
        True when every chip and profiler version has it.
    part_of
        Name of the reason that already contains it, or None.
    meaning
        What the warp waits for.
    """

    name: str
    classes: Mapping[ClassMap, StallClass]
    core: bool
    part_of: str | None
    meaning: str


@dataclass(frozen=True, slots=True)
class Family:
    """One way in which a profiler tells stall reasons.

    Parameters
    ----------
    name
        Short name, printed with the table.
    vocabulary
        ``reason`` (Nsight Compute) or ``legacy`` (nvprof).
    exact
        True for hardware counters, False for samples.
    meaning
        What the numbers are.
    total
        Metric that all members together should equal, "100" for shares, or None.
    collect
        The profiler option that collects the family.
    pattern
        Metric name with ``{R}`` in place of the reason.
    absent
        Core reasons that the family's GPUs do not have: it is whole without them.
    sparse
        True when reasons that never occurred are left out by the profiler.
    """

    name: str
    vocabulary: str
    exact: bool
    meaning: str
    total: str | None
    collect: str
    pattern: str
    absent: tuple[str, ...]
    sparse: bool

    def reason_in(self, metric: str) -> str | None:
        """Return the reason's spelling inside a metric name, or None if it is not a member."""
        prefix, suffix = self.pattern.split("{R}")
        if not metric.startswith(prefix) or not metric.endswith(suffix):
            return None
        spelled = metric[len(prefix) : len(metric) - len(suffix)]
        # The plain sampled family's pattern also matches "..._not_issued": that is another family.
        if not suffix and spelled.endswith("_not_issued"):
            return None
        return spelled if re.fullmatch(r"[a-z0-9_]+", spelled) else None


@cache
def families() -> tuple[Family, ...]:
    """Return every family, the preferred one first."""
    return tuple(
        Family(
            name=row["name"],
            vocabulary=row["vocabulary"],
            exact=row["exact"],
            meaning=row["meaning"],
            total=row["total"] or None,
            collect=row["collect"],
            pattern=row["pattern"],
            absent=tuple(row.get("absent", ())),
            sparse=row.get("sparse", False),
        )
        for row in table("stall_families")["family"]
    )


@cache
def reasons(vocabulary: str) -> dict[str, Reason]:
    """Return the reasons of a vocabulary by every spelling; callers must not change it."""
    found: dict[str, Reason] = {}
    for row in table("stall_reasons")[vocabulary]:
        part_of = row.get("part_of")
        reason = Reason(
            name=row["name"],
            classes={
                ClassMap(m): StallClass.OTHERS if part_of else StallClass(row[m]) for m in ClassMap
            },
            core=row["core"],
            part_of=part_of,
            meaning=row["meaning"],
        )
        for spelling in (row["name"], *row.get("ncu_also", ())):
            found[spelling] = reason
    return found


def lookup(vocabulary: str, spelled: str) -> Reason | None:
    """Return the reason of that spelling.

    A spelling that no table knows but that extends a known reason by ``_pipe_...`` is a part of
    that reason (newer chips split some of them); any other unknown spelling gives None. Note that
    ``math_pipe_throttle`` is a reason of its own, not a part.
    """
    known = reasons(vocabulary)
    if spelled in known:
        return known[spelled]
    parent, mark, _ = spelled.partition("_pipe_")
    if mark and parent in known:
        base = known[parent]
        return Reason(spelled, base.classes, False, base.name, f"part of {base.name}")
    return None
