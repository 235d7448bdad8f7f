"""A metric that stands in one launch more than once: one rule for every reader.

Profilers repeat metrics: their own settings always with the same value, a duration that two
sections collect in different passes with two values. The same value is one. Of two values the later
one counts, and a note tells both: in public reports of Nsight Compute 2025.1 it is the one with
which the report's own rates per second were made (``gpc__cycles_elapsed.avg`` over
``gpc__cycles_elapsed.avg.per_second``).

Where everything that a launch holds comes a second time and differs, two launches stand under one
identifier; readers of tables refuse that, since no rule tells the two apart.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from kernprof.profile import MetricValue
from kernprof.text import clean

_MOST_NOTES = 10
_NOTE_CHARS = 200


class Repeats:
    """Collects the repeated metrics of one launch."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._replaced: dict[str, tuple[MetricValue, MetricValue]] = {}

    def add(self, name: str, earlier: MetricValue, later: MetricValue) -> None:
        """Note a metric that comes again; NaN equals NaN."""
        self._seen.add(name)
        if earlier != later and not (earlier != earlier and later != later):
            self._replaced[name] = earlier, later

    def all_of(self, names: Collection[str]) -> bool:
        """Tell whether every one of the launch's metrics came again, and one of them differs."""
        return bool(self._replaced) and self._seen.issuperset(names)

    def notes(self) -> tuple[str, ...]:
        """Say which metrics stand in the report with two values."""
        notes = [
            clean(
                f"the report holds {name} twice, {earlier} and {later}; the later one counts",
                _NOTE_CHARS,
            )
            for name, (earlier, later) in islice(self._replaced.items(), _MOST_NOTES)
        ]
        if len(self._replaced) > _MOST_NOTES:
            notes.append(f"so it holds {len(self._replaced) - _MOST_NOTES} more metrics")
        return tuple(notes)
