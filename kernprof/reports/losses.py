"""What a report tells of its own losses: identifiers with gaps, launches unlike the others.

A damaged file can still be read. Where its parts contradict each other, something is missing, and a
notice says what and how much; where they agree, nothing is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

from kernprof.reports.base import Candidate
from kernprof.reports.lines import encoding_of
from kernprof.text import clean

_SHOWN = 3
_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class Held:
    """One launch of a report, as far as its completeness goes.

    Parameters
    ----------
    label
        How a notice calls it ("launch 3", "kernel gemv2T").
    group
        Launches of one group (one table, one GPU) were collected alike.
    names
        Every metric it lists, with or without a value.
    """

    label: str
    group: Hashable
    names: Collection[str]


def unlike(launches: Sequence[Held]) -> list[str]:
    """Notice launches that lack metrics which the others of their group have.

    A profiler collects the same metrics of every launch and prints those without a value too, so
    that a name which at least half of the launches have is missing in the others.
    """
    lacking: list[tuple[str, list[str]]] = []
    groups: dict[Hashable, list[Held]] = {}
    for launch in launches:
        groups.setdefault(launch.group, []).append(launch)
    for members in groups.values():
        if len(members) < 2 or len({frozenset(member.names) for member in members}) == 1:
            continue
        counts = Counter(name for member in members for name in member.names)
        usual = {name for name, count in counts.items() if 2 * count >= len(members)}
        for member in members:
            missing = sorted(usual.difference(member.names))
            if missing:
                lacking.append((member.label, missing))
    if not lacking:
        return []
    total = sum(len(names) for _, names in lacking)
    told = "; ".join(f"{label}: {listed(names)}" for label, names in lacking[:_SHOWN])
    more = f"; and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    return [
        f"{total} metric(s) are missing in {len(lacking)} of {len(launches)} launches, where the "
        f"others have them ({told}{more}): part of the file may be lost"
    ]


def gaps(numbers: Collection[int], what: str) -> list[str]:
    """Notice numbers that are missing between 0 and the largest one.

    Parameters
    ----------
    numbers
        Identifiers that the profiler counts up from 0.
    what
        What they number, in the plural ("launches").
    """
    found = set(numbers)
    if not found:
        return []
    missing = max(found) + 1 - len(found)
    if missing <= 0:
        return []
    return [
        f"the IDs of the {what} go up to {max(found)}, but {missing} of them are missing "
        f"({_first_missing(found)}): they were left out of the export, or are lost"
    ]


def _first_missing(found: set[int]) -> str:
    shown: list[str] = []
    number = 0
    for following in sorted(found):
        if following > number:
            shown.append(str(number) if following == number + 1 else f"{number}-{following - 1}")
            if len(shown) == _SHOWN:
                break
        number = following + 1
    return ", ".join(shown)


def unfinished(candidate: Candidate) -> list[str]:
    """Notice a text report that does not end in a line break, as profilers end theirs."""
    name, _ = encoding_of(candidate.head)
    size = len("\n".encode(name))
    if candidate.size_bytes < size:
        return []
    with candidate.content.open("rb") as file:
        file.seek(candidate.size_bytes - size)
        end = file.read(size)
    if end == "\n".encode(name):
        return []
    return ["the last line has no line break: the file may be cut there"]


def listed(names: Iterable[str]) -> str:
    """Return the first few names, and how many follow."""
    every = list(names)
    shown = ", ".join(clean(name, _NAME_CHARS) for name in every[:_SHOWN])
    return shown + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")
