"""The two predicates of a comparison: compilers seldom ask for the second one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kernprof.sim.operands import Predicate
from kernprof.sim.ops_integer import write_comparison

WORD = 0xFFFFFFFF


class Recorder:
    """Takes what is written in the place of a site."""

    def __init__(self) -> None:
        self.written: dict[int, int] = {}

    def write_condition(self, target: Predicate, value: int) -> None:
        self.written[target.index] = value & WORD


@pytest.mark.parametrize(
    ("join", "first", "second"),
    [
        ("AND", 0b1000, 0b0010),
        ("OR", 0b1110, WORD & ~0b0100),
        ("XOR", 0b0110, WORD & ~0b0110),
    ],
)
def test_the_second_is_the_opposite_joined_alike(join: str, first: int, second: int) -> None:
    site, targets = Recorder(), (Predicate(0), Predicate(1))
    result, other = 0b1100, 0b1010
    write_comparison(cast("Any", site), targets, join, cast("Any", result), cast("Any", other))
    assert site.written == {0: first, 1: second}
