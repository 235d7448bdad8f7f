"""Both sides of a comparison as its rules look at them, and what a rule says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kernprof.comparison.changes import Change
from kernprof.profile import KernelProfile
from kernprof.stalls.mix import Mix

_SAME_WORK: Final = math.log(1.15)
"""Arithmetic this close is the same problem: compilers move a few multiplications about."""


@dataclass(frozen=True, slots=True)
class Lever:
    """One change of design.

    Parameters
    ----------
    key, text
        Name, and what changed with both figures.
    helps
        1 where such a change should save time, -1 where it should cost, 0 where it depends.
    """

    key: str
    text: str
    helps: int


@dataclass(frozen=True, slots=True)
class Side:
    """One kernel as levers look at it: the launch, and its instructions where they are known."""

    profile: KernelProfile
    mix: Mix | None

    @property
    def threads(self) -> int | None:
        """Threads of the whole grid."""
        launch = self.profile
        if launch.grid is None or launch.block is None:
            return None
        return launch.grid.total * launch.block.total

    @property
    def shared_bytes(self) -> int | None:
        """Shared memory of a block, static and dynamic."""
        static, dynamic = (
            self.profile.shared_mem.static_bytes,
            self.profile.shared_mem.dynamic_bytes,
        )
        return None if static is None else static + (dynamic or 0)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both kernels and their figures by key."""

    base: Side
    new: Side
    changes: Mapping[str, Change]

    @property
    def both(self) -> tuple[Side, Side]:
        """Base and new."""
        return self.base, self.new

    def pair(self, key: str) -> tuple[float, float] | None:
        """Return a figure of both sides; None where one is missing or the change may be noise."""
        change = self.changes.get(key)
        if change is None or change.base is None or change.new is None:
            return None
        return None if change.noise.doubtful else (change.base, change.new)

    def counts(self, group: str) -> tuple[float, float] | None:
        """Return the instructions of a group on both sides."""
        if self.base.mix is None or self.new.mix is None:
            return None
        return self.base.mix.of(group), self.new.mix.of(group)

    @property
    def same_work(self) -> bool:
        """Whether both execute the same arithmetic, so that the problem is the same."""
        if self.base.mix is None or self.new.mix is None:
            return False
        work = self.base.mix.arithmetic, self.new.mix.arithmetic
        return all(work) and within(work, _SAME_WORK)

    def per_arithmetic(self, group: str) -> tuple[float, float] | None:
        """Return a group's instructions per arithmetic instruction on both sides."""
        found = self.counts(group)
        if found is None or not self.same_work or self.base.mix is None or self.new.mix is None:
            return None
        return found[0] / self.base.mix.arithmetic, found[1] / self.new.mix.arithmetic


def weight(pair: tuple[float, float]) -> float:
    """Return |ln(new / base)|; infinite where something appeared or went."""
    return abs(math.log(pair[1] / pair[0])) if pair[0] > 0 and pair[1] > 0 else math.inf


def within(pair: tuple[float, float], least: float) -> bool:
    """Tell whether a count changed by less than ``least``, a |ln(new / base)|."""
    if pair[0] == pair[1]:
        return True
    return weight(pair) < least


def times(pair: tuple[float, float]) -> str:
    """Say by which factor a count changed: "4x fewer"."""
    if not pair[0] or not pair[1]:
        return "no" if not pair[1] else "the first"
    less = pair[1] < pair[0]
    factor = pair[0] / pair[1] if less else pair[1] / pair[0]
    return f"{factor:.3g}x {'fewer' if less else 'more'}"
