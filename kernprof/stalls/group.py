"""Choosing launches, and putting repeated launches of one kernel together."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kernprof.errors import UsageError
from kernprof.profile import Instances, InstanceTable, KernelProfile, MetricValue

_UNLIKE = 2.0
"""Launches of one kernel that differ by more than this factor did different work."""
_BY_OPCODE = "sass__inst_executed_per_opcode"


def select(
    profiles: Sequence[KernelProfile], *, kernel: str | None = None, launch: int | None = None
) -> list[KernelProfile]:
    """Choose launches by name and by position.

    Parameters
    ----------
    profiles
        The launches of one report, in file order.
    kernel
        Regular expression, searched for in the function name and in the demangled name.
    launch
        Position in the report, counted from 0; as printed after ``#`` in the origin.

    Raises
    ------
    UsageError
        For a bad expression, or when nothing is left; the message lists what there is.
    """
    chosen = list(enumerate(profiles))
    if launch is not None:
        if not 0 <= launch < len(profiles):
            last = len(profiles) - 1
            raise UsageError(f"no launch {launch}: the report holds launches 0 to {last}")
        chosen = [chosen[launch]]
    if kernel is not None:
        try:
            pattern = re.compile(kernel)
        except re.error as error:
            raise UsageError(f"--kernel {kernel!r} is no regular expression: {error}") from None
        chosen = [
            (index, profile)
            for index, profile in chosen
            if pattern.search(profile.kernel) or pattern.search(profile.demangled or "")
        ]
    if not chosen:
        names = sorted({profile.kernel for profile in profiles})
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise UsageError(f"no launch matches; kernels here: {shown}")
    return [profile for _, profile in chosen]


def grouped(profiles: Iterable[KernelProfile]) -> list[KernelProfile]:
    """Merge like launches, as :func:`alike` puts them together, in order of first appearance."""
    return [merge(members) for members in alike(profiles)]


def gathered(profiles: Iterable[KernelProfile]) -> list[list[KernelProfile]]:
    """Put launches of one kernel with equal geometry on one GPU together, unmerged.

    Returns
    -------
    list of lists
        One list a kernel and geometry, in order of first appearance; launches in the given order.
    """
    groups: dict[object, list[KernelProfile]] = {}
    for profile in profiles:
        key = (
            profile.source,
            profile.demangled or profile.kernel,
            profile.grid,
            profile.block,
            profile.shared_mem,
            profile.gpu.name,
            profile.origin.partition("#")[0],
        )
        groups.setdefault(key, []).append(profile)
    return list(groups.values())


def alike(profiles: Iterable[KernelProfile]) -> list[list[KernelProfile]]:
    """Put launches together, unmerged, that one column of a table can stand for.

    These have the kernel, its geometry, process, context, device and NVTX ranges in common, and
    none took more than twice the time of another: a mean over launches that did different work is a
    launch that nobody made.

    Returns
    -------
    list of lists
        In order of first appearance; launches in the given order.
    """
    profiles = list(profiles)
    order = {id(profile): number for number, profile in enumerate(profiles)}
    apart: list[tuple[int, list[KernelProfile]]] = []
    for members in gathered(profiles):
        places: dict[object, list[KernelProfile]] = {}
        for member in members:
            places.setdefault((member.placement, member.nvtx), []).append(member)
        for together in places.values():
            parts = _by_duration(together)
            for part in parts:
                part.sort(key=lambda member: order[id(member)])
                apart.append((order[id(part[0])], _with_note(part, parts, order)))
    return [part for _, part in sorted(apart, key=lambda pair: pair[0])]


def _by_duration(members: Sequence[KernelProfile]) -> list[list[KernelProfile]]:
    """Part launches whose durations differ more than twofold; unless all have one, they stay."""
    timed = [(m.duration_ns, m) for m in members]
    if len(members) < 2 or any(not time for time, _ in timed):
        return [list(members)]
    parts: list[list[KernelProfile]] = []
    shortest = 0.0
    for time, member in sorted(timed, key=lambda pair: pair[0] or 0.0):
        assert time is not None
        if not parts or time > _UNLIKE * shortest:
            parts.append([])
            shortest = time
        parts[-1].append(member)
    return parts


def _with_note(
    part: Sequence[KernelProfile],
    parts: Sequence[Sequence[KernelProfile]],
    order: Mapping[int, int],
) -> list[KernelProfile]:
    """Say of the first of a part's launches where they took longer than others of the kernel."""
    others = [member for other in parts if other is not part for member in other]
    if not others:
        return list(part)
    mean, rest = (sum(m.duration_ns or 0.0 for m in s) / len(s) for s in (part, others))
    if mean < rest:
        return list(part)
    first = max(order[id(m)] for m in part) < min(order[id(m)] for m in others)
    counted = "1 launch" if len(part) == 1 else f"{len(part)} launches"
    what = f"warm-up, {counted}" if first else counted
    note = (
        f"{part[0].kernel}: {what} {mean / rest:.1f} times as long as the other {len(others)} of "
        "the same geometry"
    )
    return [replace(part[0], notes=(*part[0].notes, note)), *part[1:]]


def merge(members: Sequence[KernelProfile]) -> KernelProfile:
    """Make one record of several like launches.

    Returns
    -------
    KernelProfile
        The first launch with the median of every number that all launches hold (weighted by
        ``launches`` where a record already stands for several) and its (minimum, maximum) as
        ``spread``; of instanced values only the counts by opcode, their medians too: values per
        instruction belong to single launches.
    """
    if len(members) == 1:
        return members[0]
    first = members[0]
    metrics: dict[str, MetricValue] = {}
    spread: dict[str, tuple[float, float]] = {}
    for name, value in first.metrics.items():
        values = [member.metrics.get(name) for member in members]
        numbers = [v for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
        if len(numbers) == len(members):
            weights = [member.launches for member in members]
            metrics[name] = _median(sorted(zip(numbers, weights, strict=True)))
            spread[name] = (min(numbers), max(numbers))
        elif all(v == value for v in values):
            metrics[name] = value
    notes = tuple(dict.fromkeys(note for member in members for note in member.notes))
    positions = ",".join(member.origin.partition("#")[2] for member in members[:3])
    more = ",..." if len(members) > 3 else ""
    return replace(
        first,
        origin=f"{first.origin.partition('#')[0]}#{positions}{more}",
        launches=sum(member.launches for member in members),
        metrics=metrics,
        spread=spread,
        instances=_opcodes(members),
        code=None,
        notes=notes,
    )


def _opcodes(members: Sequence[KernelProfile]) -> dict[str, Instances]:
    """Merge the counts by opcode that all launches hold."""
    found: dict[str, Instances] = {}
    for name in members[0].instances:
        if not name.startswith(_BY_OPCODE) or any(name not in m.instances for m in members):
            continue
        tables = [
            {
                key: float(value)
                for key, value in zip(table.keys, table.values, strict=True)
                if isinstance(value, (int, float)) and math.isfinite(value)
            }
            for table in (member.instances[name] for member in members)
        ]
        keys = list(dict.fromkeys(key for table in tables for key in table))
        weights = [member.launches for member in members]
        values = [
            _median(sorted(zip((table.get(key, 0.0) for table in tables), weights, strict=True)))
            for key in keys
        ]
        found[name] = InstanceTable(keys, values)
    return found


def _median(ordered: Sequence[tuple[float, int]]) -> float:
    """Return the median of (value, weight) pairs in ascending order of value."""
    total = sum(weight for _, weight in ordered)
    passed = 0
    for index, (value, weight) in enumerate(ordered):
        passed += weight
        if 2 * passed > total:
            return value
        if 2 * passed == total:
            return (value + ordered[index + 1][0]) / 2
    raise AssertionError("weights are positive")
