"""Conditions that fail a comparison: ``cycles > +5%``.

Grammar, nothing of it evaluated by Python::

    gate   = test { "and" test } [ "for" PATTERN ]
    test   = NAME OP AMOUNT
    OP     = ">" | ">=" | "<" | "<="
    AMOUNT = SIGN NUMBER "%"      change in percent of the base
           | SIGN NUMBER          change in the figure's own unit (points for percent)
           | NUMBER               the new value itself

A gate that can't be judged (a value is missing, the launches are too few, only one side has the
kernel) does not pass. Of launches that belong together (``kernprof.comparison.noise``) both the
median of their changes and the change of all together are held against an amount.

NAME is ``cycles``, ``duration_ns``, any other key of the comparison, ``stall.REASON`` (attributed
cycles) or a metric by its whole name. PATTERN is a regular expression for kernel names.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

from kernprof.comparison.changes import Change, in_percent
from kernprof.comparison.noise import Noise, few_decide, one_way
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


# Launches of unlike work are no repeats of one another.
_FEW_DECIDE: Final = (
    "all launches together exceed the amount, but one by one they don't bear it out: a few "
    "launches decide, and nothing tells whether their change is noise (--base-launch and "
    "--new-launch choose one)"
)
_UNLIKE: Final = (
    "the launches differ too much from one another to be repeats, and those of one side don't "
    "belong to those of the other in order, so that nothing tells work from noise (--kernel, "
    "--base-launch and --new-launch choose)"
)


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


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A gate of which nothing can be said for a kernel, and why; it does not pass.

    ``pair`` is the kernel's position in the comparison, None for a kernel that only one side has;
    ``side`` is that side ("base" or "new"), None for a pair. ``origin`` tells kernels of one name
    apart there.
    """

    gate: str
    pair: int | None
    kernel: str
    reason: str
    side: str | None = None
    origin: str | None = None


class Outcome(StrEnum):
    """What a gate says of a kernel."""

    PASSED = "passed"
    FAILED = "failed"
    UNJUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says of a kernel, and why it doesn't pass (empty where it does)."""

    outcome: Outcome
    reason: str = ""


_PASSED: Final = Judgement(Outcome.PASSED)


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


def check(gate: Gate, find: Callable[[str], Change]) -> Judgement:
    """Check one kernel against a gate.

    Parameters
    ----------
    find
        Returns the change of a name.

    Returns
    -------
    Judgement
        Failed when all tests hold; passed when one of them doesn't, whatever the others say. Else
        it is not judged: a gate that passes because its metric was not collected, or because too
        few launches were, would guard nothing.
    """
    found = [_judge(test, find(test.name)) for test in gate.tests]
    for outcome in (Outcome.PASSED, Outcome.UNJUDGED):
        reasons = [each.reason for each in found if each.outcome is outcome]
        if reasons:
            return Judgement(outcome, "; ".join(filter(None, reasons)))
    return Judgement(Outcome.FAILED, "; ".join(each.reason for each in found))


def _judge(test: Test, change: Change) -> Judgement:
    """Tell whether one test holds (failed), doesn't (passed), or can't be judged."""
    # The new value alone is enough where nothing is compared.
    if change.new is None or (change.base is None and test.kind != "value"):
        return Judgement(Outcome.UNJUDGED, _unknown(test, change))
    figures = f"{test.name} {_plain(change.base)} -> {_plain(change.new)}{_shown(change)}"
    holds = _OPERATORS[test.op]
    exceeds = [holds(amount, test.amount) for amount in _amounts(test, change)]
    needs_change = test.kind != "value" and holds(0.0, test.amount)
    if not any(exceeds):
        # "cycles > -5%" asks for an improvement, which noise is not.
        if needs_change and change.noise.doubtful:
            return Judgement(Outcome.UNJUDGED, f"{figures}: the launches show no difference")
        return _PASSED
    if needs_change or test.kind == "value":
        return Judgement(Outcome.FAILED, figures)
    if change.noise is Noise.TOO_FEW:
        return Judgement(Outcome.UNJUDGED, f"{figures}: {_too_few(change)}")
    if change.pairs and exceeds[1] and not (exceeds[0] and change.noise is Noise.SIGNIFICANT):
        return _all_together(change, figures)
    if change.verdict.unlike and not (exceeds[0] and change.noise is Noise.SIGNIFICANT):
        return Judgement(Outcome.UNJUDGED, f"{figures}: {_UNLIKE}")
    return _PASSED if change.noise is Noise.WITHIN_NOISE else Judgement(Outcome.FAILED, figures)


def _all_together(change: Change, figures: str) -> Judgement:
    """Judge launches that exceed the amount together, while their median does not for sure."""
    few = few_decide(change.pairs)
    if change.noise is not Noise.SIGNIFICANT:
        return Judgement(Outcome.UNJUDGED, f"{figures}: {_FEW_DECIDE}") if few else _PASSED
    total = math.fsum(after - before for before, after in change.pairs)
    middle = median(after - before for before, after in change.pairs)
    if one_way(change.pairs) or (not few and middle * total > 0):
        return Judgement(Outcome.FAILED, figures)
    return Judgement(Outcome.UNJUDGED, f"{figures}: {_FEW_DECIDE}")


def _amounts(test: Test, change: Change) -> tuple[float, ...]:
    """Return what is held against the amount: the median; of launches of unlike work the mean too.

    The mean changes by as many percent as the sum: a long launch that got slower is in it, while
    the median doesn't see it.
    """
    if test.kind == "value":
        return () if change.new is None else (change.new,)
    sides = change.base or 0.0, change.new or 0.0
    amount = in_percent if test.kind == "relative" else _difference
    verdict = change.verdict
    middle = median(amount(*pair) for pair in verdict.pairs) if verdict.paired else amount(*sides)
    if not verdict.paired and not verdict.unlike:
        return (middle,)
    means = [math.fsum(side) / len(side) for side in (verdict.base, verdict.new)]
    return middle, amount(means[0], means[1])


def _difference(base: float, new: float) -> float:
    return new - base


def _too_few(change: Change) -> str:
    base, new = len(change.verdict.base), len(change.verdict.new)
    if base == new == 1:
        return "of launches only least and largest are known, and the sides overlap"
    held = f"{base} and {new} launches are too few to tell this from noise"
    return f"{held}; 6 on each side tell"


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


def _unknown(test: Test, change: Change) -> str:
    sides = [side for side, value in (("base", change.base), ("new", change.new)) if value is None]
    hint = f": {change.hint}" if change.hint else ""
    return f"{test.name} is n/a in {' and '.join(sides)}{hint}"


def _plain(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.10g}"


def _shown(change: Change) -> str:
    relative, each = change.relative_pct, change.launches_pct
    shown = "" if relative is None else f" ({relative:+.2f} %)"
    if each is None:
        return shown
    return f"{shown}, launch by launch {each[0]:+.2f} to {each[2]:+.2f} %, median {each[1]:+.2f} %"


def _wrong(text: str, position: int, expected: str) -> UsageError:
    rest = text[position:]
    found = f"{rest!r}" if rest else "the end"
    return UsageError(
        f"--fail-if {text!r}, character {position}: expected {expected}, found {found}"
    )


def uncovered(gates: Sequence[Gate], names: Sequence[tuple[str | None, ...]]) -> list[Gate]:
    """Return the gates that are for no kernel at all: most likely a misspelt pattern."""
    return [gate for gate in gates if not any(gate.concerns(*each) for each in names)]
