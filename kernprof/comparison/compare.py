"""``kernprof.compare``: two profiles or reports, kernel by kernel."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernprof._frames import frame, html_table
from kernprof.comparison.changes import Change, changes, metric_change
from kernprof.comparison.cycles import (
    Account,
    Part,
    account,
    common_family,
    lacking,
    parts,
    tells_busiest,
)
from kernprof.comparison.gates import Failure, Gate, check, parse, uncovered
from kernprof.comparison.levers import levers
from kernprof.comparison.match import Match, Matched, match
from kernprof.comparison.noise import Noise
from kernprof.comparison.sides import Lever, Side, Sides
from kernprof.comparison.story import tell
from kernprof.errors import UnknownNameError, UsageError
from kernprof.profile import KernelProfile, Report
from kernprof.stalls.analysis import LaunchAnalysis, StallOptions, analyse
from kernprof.stalls.group import merge
from kernprof.stalls.mix import mix

if TYPE_CHECKING:
    import pandas as pd

_DISASSEMBLED_PAIRS = 20
"""Up to so many pairs opcodes that a report does not store are had from its machine code."""

Profiles = str | os.PathLike[str] | Report | KernelProfile | Sequence[KernelProfile]


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

    def whole(self, key: str) -> tuple[float, float] | None:
        """Return cycles or time of all launches of each side together; None where one is unknown.

        Parameters
        ----------
        key
            ``cycles`` or ``duration_ns``.
        """
        found = self.change(key)
        if found.base is None or found.new is None:
            return None
        return found.base * self.base.profile.launches, found.new * self.new.profile.launches

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
                return Change(name, name, "parts", "cycles", *values, part.noise)
        known = [f"stall.{part.name}" for part in self.parts]
        if known:
            raise UnknownNameError("stall reason", name, known)
        hint = "; ".join(self.notes) or "the cycles can't be split"
        return Change(name, name, "parts", "cycles", None, None, Noise.UNKNOWN, hint)


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
    """

    pairs: tuple[Pair, ...]
    only_base: tuple[KernelProfile, ...]
    only_new: tuple[KernelProfile, ...]
    gates: tuple[Gate, ...] = ()
    failed: tuple[Failure, ...] = ()

    @property
    def measure(self) -> str | None:
        """What all pairs tell and is summed up: ``duration_ns``, ``cycles`` or None."""
        return _measure(self.pairs)

    def whole(self) -> tuple[float, float] | None:
        """Return time (or cycles) of all compared launches together, base and new."""
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


def compare(
    base: Profiles,
    new: Profiles,
    *,
    match_by: Match | str = Match.AUTO,
    fail_if: Sequence[str] = (),
    options: StallOptions | None = None,
) -> Comparison:
    """Compare two reports, or two sets of profiles, kernel by kernel.

    Parameters
    ----------
    base, new
        A report's path, a report, profiles or one profile: before and after.
    match_by
        How kernels are matched: "auto", "geometry", "name" or "order".
    fail_if
        Gates; see ``kernprof.comparison.gates``. What fails is in the result, nothing is raised.
    options
        How stalls are counted.

    Raises
    ------
    ReportError
        A report can't be read.
    UsageError
        A gate or option that makes no sense, or no kernel in common.
    """
    try:
        how = Match(match_by)
    except ValueError:
        raise UnknownNameError("way to match", str(match_by), [str(m) for m in Match]) from None
    gates = tuple(parse(text) for text in fail_if)
    options = options or StallOptions()
    matching = match(_profiles(base), _profiles(new), how)
    only_base = tuple(merge(members) for members in matching.only_base)
    only_new = tuple(merge(members) for members in matching.only_new)
    if not matching.pairs:
        names = [", ".join(dict.fromkeys(p.kernel for p in side)) for side in (only_base, only_new)]
        raise UsageError(
            f"no kernel in common: the base holds {names[0]}; the new one {names[1]}; "
            "--match order pairs them as they come, --kernel and --base-launch choose"
        )
    few = len(matching.pairs) <= _DISASSEMBLED_PAIRS
    pairs = _ranked([_pair(found, options, disassembled=few) for found in matching.pairs])
    names_of = [
        (
            p.base.profile.kernel,
            p.base.profile.demangled,
            p.new.profile.kernel,
            p.new.profile.demangled,
        )
        for p in pairs
    ]
    for gate in uncovered(gates, names_of):
        shown = ", ".join(dict.fromkeys(pair.kernel for pair in pairs))
        raise UsageError(f"--fail-if {gate.text!r} is for no kernel; compared are: {shown}")
    failed = [
        Failure(gate.text, index, pair.kernel, reason)
        for index, (pair, names) in enumerate(zip(pairs, names_of, strict=True))
        for gate in gates
        if gate.concerns(*names) and (reason := check(gate, pair.change)) is not None
    ]
    return Comparison(pairs, only_base, only_new, gates, tuple(failed))


def _measure(pairs: Sequence[Pair]) -> str | None:
    keys = ("duration_ns", "cycles")
    return next((k for k in keys if pairs and all(pair.whole(k) for pair in pairs)), None)


def _ranked(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Sort by what each pair adds to the difference of all, the most first."""
    key = _measure(pairs)
    if key is None:
        return tuple(pairs)

    def moved(pair: Pair) -> float:
        own = pair.whole(key)
        return 0.0 if own is None else -abs(own[1] - own[0])

    return tuple(sorted(pairs, key=moved))


def _profiles(given: Profiles) -> Sequence[KernelProfile]:
    if isinstance(given, KernelProfile):
        return [given]
    if isinstance(given, Report):
        return given.profiles
    if isinstance(given, (str, os.PathLike)):
        from kernprof.reports import load

        return load(given).profiles
    return given


def _pair(found: Matched, options: StallOptions, *, disassembled: bool) -> Pair:
    base = analyse(merge(found.base), options)
    new = analyse(merge(found.new), options)
    family = common_family(base.profile, new.profile, options.family)
    busiest = tells_busiest(base.profile) and tells_busiest(new.profile)
    accounts = tuple(account(side, family, busiest=busiest) for side in (base, new))
    side_by_side: tuple[Part, ...] = ()
    notes = _notes(base, new)
    if accounts[0] is not None and accounts[1] is not None:
        singles = [
            _accounts(launches, options, family, busiest=busiest)
            for launches in (found.base, found.new)
        ]
        side_by_side = parts(accounts[0], accounts[1], *singles)
    else:
        needed = dict.fromkeys([*lacking(base, family), *lacking(new, family)])
        notes.append("the cycles can't be split among causes without " + ", ".join(needed))
    all_changes = changes(base, new, found.base, found.new)
    changed = _levers(found, all_changes, disassembled=disassembled)
    return Pair(
        base,
        new,
        found.by,
        all_changes,
        side_by_side,
        family,
        "busiest SM" if busiest else "average SM",
        tell(all_changes, side_by_side, _limiter_change(base, new), changed),
        changed,
        tuple(notes),
        (found.base, found.new),
    )


def _accounts(
    launches: Sequence[KernelProfile], options: StallOptions, family: str | None, *, busiest: bool
) -> list[Account]:
    """Split the cycles of single launches; nothing where there is only one."""
    if len(launches) < 2:
        return []
    split = (account(analyse(one, options), family, busiest=busiest) for one in launches)
    return [found for found in split if found is not None]


def _levers(
    found: Matched, all_changes: Sequence[Change], *, disassembled: bool
) -> tuple[Lever, ...]:
    """Look for changes of design; instructions are those of each side's first launch."""
    by_key = {change.key: change for change in all_changes}
    total = by_key["cycles"] if by_key["cycles"].delta is not None else by_key["duration_ns"]
    base, new = (
        Side(launches[0], mix(launches[0], disassembled=disassembled))
        for launches in (found.base, found.new)
    )
    return levers(Sides(base, new, by_key), faster=(total.delta or 0.0) <= 0)


def _notes(base: LaunchAnalysis, new: LaunchAnalysis) -> list[str]:
    before, after = base.profile, new.profile
    notes = []
    if before.gpu.name != after.gpu.name or before.gpu.cc != after.gpu.cc:
        notes.append(f"different GPUs: {before.gpu.name} and {after.gpu.name}")
    if before.source != after.source:
        notes.append(f"different sources: {before.source} and {after.source}")
    for what in ("clock_control", "cache_control"):
        sides = [getattr(p.collector, what, None) for p in (before, after)]
        if sides[0] != sides[1]:
            name = what.replace("_", " ")
            notes.append(f"different {name}: {sides[0] or 'not told'} and {sides[1] or 'not told'}")
    if before.kernel == after.kernel and before.grid != after.grid:
        notes.append("different grids: unless the work of a block changed, the problem did")
    if before.launches == after.launches == 1:
        notes.append("one launch on each side: nothing tells how much of a difference is noise")
    return notes


def _limiter_change(base: LaunchAnalysis, new: LaunchAnalysis) -> str | None:
    occupancy = [a.figures["theoretical_occupancy_pct"].value for a in (base, new)]
    if occupancy[0] == occupancy[1]:
        return None
    sides = [
        f"{'n/a' if value is None else f'{value:.0f} %'}"
        + (f" by {' and '.join(analysis.limiters)}" if analysis.limiters else "")
        for analysis, value in zip((base, new), occupancy, strict=True)
    ]
    return f"Occupancy is limited to {sides[1]} (was {sides[0]})"
