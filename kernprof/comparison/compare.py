"""``kernprof.compare``: two profiles or reports, kernel by kernel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernprof.comparison.changes import Change, changes
from kernprof.comparison.cycles import (
    Account,
    Part,
    account,
    common_family,
    lacking,
    parts,
    tells_busiest,
)
from kernprof.comparison.gates import (
    Failure,
    Gate,
    Outcome,
    Unjudged,
    check,
    parse,
    uncovered,
)
from kernprof.comparison.levers import levers
from kernprof.comparison.match import RENAMED, Match, Matched, match
from kernprof.comparison.result import Comparison, Pair, common_measure, names_of
from kernprof.comparison.sides import Lever, Side, Sides
from kernprof.comparison.story import tell
from kernprof.errors import UnknownNameError, UsageError
from kernprof.profile import KernelProfile, Report
from kernprof.stalls.analysis import LaunchAnalysis, StallOptions, analyse
from kernprof.stalls.group import merge
from kernprof.stalls.mix import mix

if TYPE_CHECKING:
    pass

_DISASSEMBLED_PAIRS = 20
"""Up to so many pairs opcodes that a report does not store are had from its machine code."""

Profiles = str | os.PathLike[str] | Report | KernelProfile | Sequence[KernelProfile]


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
        Gates; see ``kernprof.comparison.gates``. What fails or can't be judged is in the result,
        nothing is raised.
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
    failed, unjudged = _judged(gates, pairs, only_base, only_new)
    return Comparison(pairs, only_base, only_new, gates, failed, unjudged)


def _judged(
    gates: Sequence[Gate],
    pairs: Sequence[Pair],
    only_base: Sequence[KernelProfile],
    only_new: Sequence[KernelProfile],
) -> tuple[tuple[Failure, ...], tuple[Unjudged, ...]]:
    """Check all kernels against all gates."""
    alone = [("base", profile) for profile in only_base]
    alone += [("new", profile) for profile in only_new]
    names = [pair.names for pair in pairs]
    for gate in uncovered(gates, [*names, *(names_of(profile) for _, profile in alone)]):
        shown = ", ".join(dict.fromkeys(pair.kernel for pair in pairs))
        raise UsageError(f"--fail-if {gate.text!r} is for no kernel; compared are: {shown}")
    failed: list[Failure] = []
    unjudged: list[Unjudged] = []
    for index, pair in enumerate(pairs):
        for gate in gates:
            if not gate.concerns(*names[index]):
                continue
            found = check(gate, pair.change)
            if found.outcome is Outcome.FAILED:
                failed.append(Failure(gate.text, index, pair.kernel, found.reason))
            elif found.outcome is Outcome.UNJUDGED:
                unjudged.append(Unjudged(gate.text, index, pair.kernel, found.reason))
    unjudged += [
        Unjudged(
            gate.text,
            None,
            profile.kernel,
            f"only the {side} has this kernel, so there is nothing to compare",
            side,
            profile.origin,
        )
        for side, profile in alone
        for gate in gates
        if gate.concerns(*names_of(profile))
    ]
    return tuple(failed), tuple(unjudged)


def _ranked(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Sort by what each pair adds to the difference of all, the most first."""
    key = common_measure(pairs)
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
    notes = _notes(base, new, found.by)
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


def _notes(base: LaunchAnalysis, new: LaunchAnalysis, matched_by: str) -> list[str]:
    before, after = base.profile, new.profile
    notes = []
    if matched_by == RENAMED:
        notes.append(
            "the names differ: taken for one kernel, since what is left on both sides has equal "
            "geometry and equally many launches, in order (--match name does not)"
        )
    if before.launches != after.launches:
        notes.append(
            f"different numbers of launches ({before.launches:,} and {after.launches:,}): figures "
            "are those of one launch"
        )
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
