"""Conditions that fail a comparison: ``cycles > +5%``.

Grammar, nothing of it evaluated by Python::

    gate   = test { "and" test } [ "for" PATTERN ]
    test   = NAME OP AMOUNT
    OP     = ">" | ">=" | "<" | "<="
    AMOUNT = SIGN NUMBER "%"      change in percent of the base
           | SIGN NUMBER          change in the figure's own unit (points for percent)
           | NUMBER               the new value itself

NAME is ``cycles``, ``duration_ns``, any other key of the comparison, ``stall.REASON`` (attributed
cycles) or a metric by its whole name. PATTERN is a regular expression for kernel names.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kernprof.comparison.changes import Change
from kernprof.comparison.noise import Noise
from kernprof.errors import UsageError

_MOST_CHARS = 1000
_TEST = re.compile(
    r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*(?P<op>>=|<=|>|<)\s*"
    r"(?P<sign>[-+]?)(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*(?P<percent>%?)\s*"
)
_JOIN = re.compile(r"(and|for)\s+")
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Test:
    """One condition: ``name op amount``; ``kind`` is ``relative``, ``difference`` or ``value``."""

    name: str
    op: str
    amount: float
    kind: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Tests that fail a kernel when all of them hold, and the kernels that they are for."""

    text: str
    tests: tuple[Test, ...]
    kernels: re.Pattern[str] | None

    def concerns(self, *names: str | None) -> bool:
        """Tell whether one of a kernel's names is meant."""
        if self.kernels is None:
            return True
        return any(self.kernels.search(name) for name in names if name)


@dataclass(frozen=True, slots=True)
class Failure:
    """A gate that a kernel does not pass, and the figures that say so.

    ``pair`` is the kernel's position in the comparison: several pairs can have one name.
    """

    gate: str
    pair: int
    kernel: str
    reason: str


def parse(text: str) -> Gate:
    """Read one gate.

    Raises
    ------
    UsageError
        What was expected at which character.
    """
    if len(text) > _MOST_CHARS:
        raise UsageError(f"--fail-if takes at most {_MOST_CHARS} characters, found {len(text)}")
    tests: list[Test] = []
    kernels: re.Pattern[str] | None = None
    position = 0
    while True:
        found = _TEST.match(text, position)
        if found is None:
            raise _wrong(text, position, "a test like cycles > +5%")
        tests.append(_test(found, text))
        position = found.end()
        if position == len(text):
            break
        join = _JOIN.match(text, position)
        if join is None:
            raise _wrong(text, position, "'and', 'for' or the end")
        position = join.end()
        if join[1] == "for":
            try:
                kernels = re.compile(text[position:].strip())
            except re.error as error:
                raise UsageError(
                    f"--fail-if {text!r}: {text[position:]!r} is no regular expression: {error}"
                ) from None
            break
    return Gate(text.strip(), tuple(tests), kernels)


def check(gate: Gate, find: Callable[[str], Change]) -> str | None:
    """Check one kernel against a gate.

    Parameters
    ----------
    find
        Returns the change of a name.

    Returns
    -------
    str or None
        Why the kernel fails: when all tests hold, or when one of them can't be told (a gate that
        passes because its metric was not collected would guard nothing). A change within the noise
        of the launches doesn't hold.
    """
    reasons: list[str] = []
    for test in gate.tests:
        change = find(test.name)
        measured = _measured(test, change)
        if measured is None:
            return _unknown(test, change)
        if test.kind != "value" and change.noise is Noise.WITHIN_NOISE:
            return None
        if not _OPERATORS[test.op](measured, test.amount):
            return None
        reasons.append(f"{test.name} {_plain(change.base)} -> {_plain(change.new)}{_shown(change)}")
    return "; ".join(reasons)


def _test(found: re.Match[str], text: str) -> Test:
    sign, percent = found["sign"], bool(found["percent"])
    if percent and not sign:
        raise UsageError(
            f"--fail-if {text!r}: a change in percent needs its sign (+{found['number']}%); a "
            "value in percent is written without %"
        )
    amount = float(sign + found["number"])
    kind = "relative" if percent else "difference" if sign else "value"
    return Test(found["name"], found["op"], amount, kind)


def _measured(test: Test, change: Change) -> float | None:
    if test.kind == "relative":
        # From nothing to nothing is no change; from nothing to something is beyond any percentage.
        if change.base == 0 and change.new is not None:
            return 0.0 if change.new == 0 else float("inf") if change.new > 0 else float("-inf")
        return change.relative_pct
    return change.delta if test.kind == "difference" else change.new


def _unknown(test: Test, change: Change) -> str:
    sides = [side for side, value in (("base", change.base), ("new", change.new)) if value is None]
    hint = f": {change.hint}" if change.hint else ""
    return f"{test.name} is n/a in {' and '.join(sides)}{hint}"


def _plain(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.10g}"


def _shown(change: Change) -> str:
    relative = change.relative_pct
    return "" if relative is None else f" ({relative:+.2f} %)"


def _wrong(text: str, position: int, expected: str) -> UsageError:
    rest = text[position:]
    found = f"{rest!r}" if rest else "the end"
    return UsageError(
        f"--fail-if {text!r}, character {position}: expected {expected}, found {found}"
    )


def uncovered(gates: Sequence[Gate], names: Sequence[tuple[str | None, ...]]) -> list[Gate]:
    """Return the gates that are for no kernel at all: most likely a misspelt pattern."""
    return [gate for gate in gates if not any(gate.concerns(*each) for each in names)]
