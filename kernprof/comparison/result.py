"""What a comparison finds: kernels side by side, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kernprof._frames import frame, html_table
from kernprof.comparison.changes import Change, metric_change
from kernprof.comparison.cycles import Part
from kernprof.comparison.gates import Failure, Gate, Unjudged
from kernprof.comparison.noise import Noise, Verdict
from kernprof.comparison.sides import Lever
from kernprof.errors import UnknownNameError
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Pair:
    """One kernel on both sides.

    Parameters
    ----------
    base, new
        The launches of each side, merged (medians) and analysed.
    matched_by
        What the two have in common.
    changes
        Figures of both sides.
    parts
        Where the elapsed cycles went, what changed most first; empty where it can't be told.
    family
        Family of stall metrics behind ``parts``.
    scope
        Whose cycles ``parts`` are: "busiest SM" or "average SM".
    sentence
        What changed and what explains it.
    levers
        What changed in the kernel itself, as far as counts show it.
    notes
        What a reader must know (different GPUs, sources, clocks).
    launches
        The single launches of the base and of the new side.
    """

    base: LaunchAnalysis
    new: LaunchAnalysis
    matched_by: str
    changes: tuple[Change, ...]
    parts: tuple[Part, ...]
    family: str | None
    scope: str
    sentence: str
    levers: tuple[Lever, ...]
    notes: tuple[str, ...]
    launches: tuple[tuple[KernelProfile, ...], tuple[KernelProfile, ...]]

    @property
    def kernel(self) -> str:
        """Name of the kernel; both names where they differ."""
        before, after = self.base.profile.kernel, self.new.profile.kernel
        return before if before == after else f"{before} -> {after}"

    @property
    def counts(self) -> tuple[int, int]:
        """How often the base and the new side launch the kernel."""
        return self.base.profile.launches, self.new.profile.launches

    @property
    def names(self) -> tuple[str | None, ...]:
        """All names of the kernel on both sides: gates are for one of them."""
        return (*names_of(self.base.profile), *names_of(self.new.profile))

    def whole(self, key: str) -> tuple[float, float] | None:
        """Return cycles or time of all launches of each side together; None where one is unknown.

        Where one side has more launches, both are as many as the base has: a kernel that ran more
        often in one of the reports is not slower for it.

        Parameters
        ----------
        key
            ``cycles`` or ``duration_ns``.
        """
        found = self.change(key)
        if found.base is None or found.new is None:
            return None
        base = _mean(self.launches[0], key, found.base)
        new = _mean(self.launches[1], key, found.new)
        return base * self.counts[0], new * self.counts[0]

    def change(self, name: str) -> Change:
        """Return the change of a figure, of ``stall.REASON`` or of a metric by its name.

        Raises
        ------
        UnknownNameError
            No figure has that name.
        """
        for found in self.changes:
            if found.key == name:
                return found
        if name.startswith("stall."):
            return self._stall(name)
        if "__" in name:
            return metric_change(name, self.base.profile, self.new.profile, *self.launches)
        known = [change.key for change in self.changes]
        raise UnknownNameError("figure", name, [*known, "stall.long_scoreboard"])

    def _stall(self, name: str) -> Change:
        wanted = name.removeprefix("stall.")
        for part in self.parts:
            if part.name == wanted:
                values = part.base_cycles, part.new_cycles
                return Change(name, name, "parts", "cycles", *values, part.verdict)
        known = [f"stall.{part.name}" for part in self.parts]
        if known:
            raise UnknownNameError("stall reason", name, known)
        hint = "; ".join(self.notes) or "the cycles can't be split"
        return Change(name, name, "parts", "cycles", None, None, Verdict(Noise.UNKNOWN), hint)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports, kernel by kernel.

    Parameters
    ----------
    pairs
        Kernels that both sides have: first what explains most of the difference of all of them
        together, in the order of the base where that isn't known.
    only_base, only_new
        Kernels that one side lacks.
    gates, failed
        The gates that were checked, and those that kernels don't pass.
    unjudged
        Gates of which nothing can be said: a value is missing, the launches are too few, only one
        side has the kernel. They don't pass either.
    """

    pairs: tuple[Pair, ...]
    only_base: tuple[KernelProfile, ...]
    only_new: tuple[KernelProfile, ...]
    gates: tuple[Gate, ...] = ()
    failed: tuple[Failure, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate was judged and none failed; True without gates."""
        return not self.failed and not self.unjudged

    @property
    def measure(self) -> str | None:
        """What all pairs tell and is summed up: ``duration_ns``, ``cycles`` or None."""
        return common_measure(self.pairs)

    def whole(self) -> tuple[float, float] | None:
        """Return time (or cycles) of all compared launches together, base and new.

        Kernels launched more often on one side count as often as in the base: see ``Pair.whole``.
        """
        key = self.measure
        if key is None:
            return None
        sums = [pair.whole(key) or (0.0, 0.0) for pair in self.pairs]
        return math.fsum(s[0] for s in sums), math.fsum(s[1] for s in sums)

    def share_of_change_pct(self, pair: Pair) -> float | None:
        """Return a pair's share of the change of all together (they add up to 100).

        None where a pair tells neither time nor cycles, or nothing changed.
        """
        key, together = self.measure, self.whole()
        own = None if key is None else pair.whole(key)
        if own is None or together is None or together[0] == together[1]:
            return None
        return 100 * (own[1] - own[0]) / (together[1] - together[0])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a kernel and figure.

        Raises
        ------
        UnavailableError
            pandas is not installed.
        """
        return frame(self.records())

    def records(self) -> Iterable[Mapping[str, str | float | None]]:
        """Yield one flat record a kernel and figure, attributed cycles included."""
        for pair in self.pairs:
            attributed = [pair.change(f"stall.{part.name}") for part in pair.parts]
            for change in (*pair.changes, *attributed):
                yield {
                    "kernel": pair.kernel,
                    "base_origin": pair.base.profile.origin,
                    "new_origin": pair.new.profile.origin,
                    "group": change.group,
                    "key": change.key,
                    "unit": change.unit,
                    "base": change.base,
                    "new": change.new,
                    "delta": change.delta,
                    "relative_pct": change.relative_pct,
                    "noise": str(change.noise),
                }

    def _repr_html_(self) -> str:
        """Show the changes in a notebook."""
        return html_table(self.records())


def names_of(profile: KernelProfile) -> tuple[str | None, ...]:
    """Return the names of a kernel that gates can be for."""
    return profile.kernel, profile.demangled


def _mean(launches: Sequence[KernelProfile], key: str, median: float) -> float:
    """Return cycles or time of a launch on average; the median where a launch doesn't tell."""
    told = [(_TOTALS[key](launch), launch.launches) for launch in launches]
    known = [(value, times) for value, times in told if value is not None]
    if len(known) < len(told):
        return median
    return math.fsum(value * times for value, times in known) / sum(times for _, times in known)


_TOTALS: Final[Mapping[str, Callable[[KernelProfile], float | None]]] = {
    "cycles": lambda launch: launch.cycles,
    "duration_ns": lambda launch: launch.duration_ns,
}


def common_measure(pairs: Sequence[Pair]) -> str | None:
    """Return what all pairs tell: ``duration_ns``, else ``cycles``, else None."""
    keys = ("duration_ns", "cycles")
    return next((k for k in keys if pairs and all(pair.whole(k) for pair in pairs)), None)
