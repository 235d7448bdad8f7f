"""A prediction beside the counters of the report that its machine code came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kernprof.profile import KernelProfile
from kernprof.stalls.lines import base_address

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric in both.

    Parameters
    ----------
    metric
        Nsight Compute's name; ``(per instruction)`` behind it for a table.
    report, predicted
        Values; of a table, the number of its instructions and of those that are equal.
    equal
        Whether they are the same number; ratios and percentages, which reports round, within 1e-6.
    per_instruction
        Whether this is a table.
    """

    metric: str
    report: int | float
    predicted: int | float
    equal: bool
    per_instruction: bool = False

    @property
    def difference_pct(self) -> float | None:
        """Difference in percent of the report's value; None where that is 0."""
        if not self.report:
            return None
        return 100.0 * (self.predicted - self.report) / self.report


def compare(reference: KernelProfile, predicted: KernelProfile) -> tuple[Compared, ...]:
    """Compare all metrics that both have; geometry, which was taken over, is left out."""
    return tuple(_metrics(reference, predicted)) + tuple(_tables(reference, predicted))


def _metrics(reference: KernelProfile, predicted: KernelProfile) -> Iterator[Compared]:
    for name in predicted.metrics:
        if name.startswith("launch__"):
            continue
        theirs, ours = reference.value(name), predicted.value(name)
        if theirs is not None and ours is not None:
            yield Compared(name, theirs, ours, _same(name, theirs, ours))


def _same(name: str, theirs: float, ours: float) -> bool:
    if name.endswith((".ratio", ".pct")):
        return math.isclose(theirs, ours, rel_tol=_ROUNDING)
    return theirs == ours


def _tables(reference: KernelProfile, predicted: KernelProfile) -> Iterator[Compared]:
    for name, ours in predicted.instances.items():
        theirs = reference.instances.get(name)
        if theirs is None:
            continue
        everywhere = reference.instances.get("inst_executed", theirs)
        base = base_address(reference, [k for k in everywhere.keys if isinstance(k, int)])
        mine = dict(zip(ours.keys, ours.values, strict=True))
        pairs = [
            (v, mine[k - base])
            for k, v in zip(theirs.keys, theirs.values, strict=True)
            if isinstance(k, int) and k - base in mine
        ]
        same = sum(1 for a, b in pairs if a == b)
        if pairs:
            label = f"{name} (per instruction)"
            yield Compared(label, len(pairs), same, same == len(pairs), per_instruction=True)
