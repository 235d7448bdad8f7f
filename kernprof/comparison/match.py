"""Which kernel of one report belongs to which kernel of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kernprof.errors import UsageError
from kernprof.profile import KernelProfile
from kernprof.stalls.group import gathered

Members = list[KernelProfile]

RENAMED = "order: renamed, with equal geometry and number of launches"
"""What kernels of different names are matched by."""


class Match(StrEnum):
    """How kernels are matched.

    ``auto`` takes what is surest first: name and geometry, then name, then order: where each side
    has exactly one kernel at all, and where what is left on both sides is alike in everything but
    the name (as many kernels, each with the geometry and the number of launches of its partner).
    The others do only what they say.
    """

    AUTO = "auto"
    GEOMETRY = "geometry"
    NAME = "name"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Matched:
    """Launches of one kernel on both sides; ``by`` says what they have in common."""

    base: tuple[KernelProfile, ...]
    new: tuple[KernelProfile, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs in the order of the base, and the kernels that only one side has."""

    pairs: tuple[Matched, ...]
    only_base: tuple[tuple[KernelProfile, ...], ...]
    only_new: tuple[tuple[KernelProfile, ...], ...]


def match(
    base: Sequence[KernelProfile], new: Sequence[KernelProfile], how: Match = Match.AUTO
) -> Matching:
    """Match the kernels of two reports; repeated launches of one kernel belong together.

    Raises
    ------
    UsageError
        With ``order``, when the two sides hold different numbers of kernels.
    """
    left, right = list(gathered(base)), list(gathered(new))
    order = {id(members[0]): index for index, members in enumerate(left)}
    pairs: list[tuple[Members, Members, str]] = []
    if how is Match.ORDER:
        if len(left) != len(right):
            raise UsageError(
                f"--match order needs as many kernels on both sides; found {len(left)} and "
                f"{len(right)} (repeated launches of one kernel count once)"
            )
        pairs = [(a, b, "order") for a, b in zip(left, right, strict=True)]
        left, right = [], []
    else:
        alone = len(left) == len(right) == 1
        if how in (Match.AUTO, Match.GEOMETRY):
            pairs += _take(left, right, _geometry, "name and geometry")
        if how in (Match.AUTO, Match.NAME):
            pairs += _take(left, right, _whole_name, "name")
            pairs += _take(left, right, _short_name, "function name")
        if how is Match.AUTO and alone and left:
            pairs.append((left.pop(), right.pop(), "order: one kernel on each side"))
        elif how is Match.AUTO and _renamed(left, right):
            pairs += [(a, b, RENAMED) for a, b in zip(left, right, strict=True)]
            left, right = [], []
    pairs.sort(key=lambda pair: order[id(pair[0][0])])
    return Matching(
        tuple(Matched(tuple(a), tuple(b), by) for a, b, by in pairs),
        tuple(tuple(members) for members in left),
        tuple(tuple(members) for members in right),
    )


def _take(
    left: list[Members], right: list[Members], key: Callable[[KernelProfile], object], by: str
) -> list[tuple[Members, Members, str]]:
    """Pair what has the same key, in order of appearance, and take it out of both lists."""
    pairs = []
    waiting: dict[object, list[Members]] = {}
    for members in right:
        waiting.setdefault(key(members[0]), []).append(members)
    for members in list(left):
        partners = waiting.get(key(members[0]))
        if partners:
            partner = partners.pop(0)
            pairs.append((members, partner, by))
            left[:] = [item for item in left if item is not members]
            right[:] = [item for item in right if item is not partner]
    return pairs


def _renamed(left: Sequence[Members], right: Sequence[Members]) -> bool:
    """Tell whether the kernels left on both sides differ, one by one, in nothing but the name."""
    return len(left) == len(right) and all(map(_alike, left, right))


def _alike(base: Members, new: Members) -> bool:
    before, after = base[0], new[0]
    # A geometry that neither side tells is no likeness.
    if before.grid is None or before.block is None:
        return False
    if (before.grid, before.block) != (after.grid, after.block):
        return False
    return sum(p.launches for p in base) == sum(p.launches for p in new)


def _geometry(profile: KernelProfile) -> object:
    return _whole_name(profile), profile.grid, profile.block


def _whole_name(profile: KernelProfile) -> str:
    return profile.demangled or profile.kernel


def _short_name(profile: KernelProfile) -> str:
    return profile.kernel
