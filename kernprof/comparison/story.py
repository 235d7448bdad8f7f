"""One sentence that says what changed and what explains it, made from the figures."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kernprof.comparison.changes import Change
from kernprof.comparison.cycles import Part
from kernprof.comparison.levers import told
from kernprof.comparison.noise import Noise
from kernprof.comparison.numbers import short
from kernprof.comparison.sides import Lever

_EXPLAINED_PCT = 80.0
"""Causes are listed until they explain this much of the change, at most three of them."""
_MOST_CAUSES = 3
_COUNTER_PCT = 10.0
"""A part that moved the other way is told from this share of the change on."""
_LEAST_LINK = 0.05
"""A linked figure is cited from a change of 5 % on (as |ln(new / base)|)."""
_CLOCK_PCT = 2.0
_EQUAL_PCT = 1.0
"""Below this nothing is said to explain the change; parts that moved far more are still told."""
_MOVED_PCT = 5.0
_ALWAYS = "sm_balance_pct"
"""Fewer SMs that share the work mean more cycles of every kind on the busiest."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a part of the elapsed cycles is called, and which figures bear witness to it."""

    says: str
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()


def tell(
    all_changes: Sequence[Change],
    parts: Sequence[Part],
    limiters: str | None,
    levers: Sequence[Lever] = (),
) -> str:
    """Say what changed and why.

    Parameters
    ----------
    all_changes
        The figures of both sides.
    parts
        Where the cycles went on both sides; empty when that can't be told.
    limiters
        How the limiter of occupancy changed, or None.
    levers
        What changed in the kernel itself.
    """
    by_key = {change.key: change for change in all_changes}
    total = by_key["cycles"] if by_key["cycles"].delta is not None else by_key["duration_ns"]
    headline = _headline(total) + _each_launch(total)
    if total.delta is None:
        return headline + "."
    if total.noise is Noise.WITHIN_NOISE:
        return f"{headline}: within the spread of the launches, so no difference is shown."
    if total.noise is Noise.TOO_FEW:
        return f"{headline}: too few launches to tell this from noise."
    sentences = [headline]
    if _is_equal(total):
        sentences += _moved(parts, total, by_key)
    else:
        causes = [_cause_text(part, by_key) for part in _explaining(parts, total.delta)]
        if causes:
            sentences[0] += ", mostly " + "; ".join(causes)
        against = _against(parts, total.delta)
        if against is not None:
            sentences.append(f"Against it: {_cause_text(against, by_key)}")
    changed = told(levers, faster=total.delta <= 0)
    if changed is not None:
        sentences.append(changed)
    if limiters is not None:
        sentences.append(limiters)
    if not parts and total.delta:
        sentences.append(
            "Where the cycles went is not in the reports (the notes say what to collect)"
        )
    clock = by_key["clock_ghz"].relative_pct
    if total.key == "cycles" and clock is not None and abs(clock) >= _CLOCK_PCT:
        sentences.append(f"The clock differs by {clock:+.1f} %, so time changes otherwise")
    return ". ".join(sentences) + "."


def cause(name: str) -> Cause:
    """Return what a part is called; an unknown stall reason is called by its own name."""
    return _causes().get(name, Cause(f"in {name}"))


@cache
def _causes() -> Mapping[str, Cause]:
    text = resources.files("kernprof.comparison").joinpath("data", "causes.toml").read_text("utf-8")
    return {
        row["name"]: Cause(row["says"], tuple(row["more"]), tuple(row["less"]))
        for row in tomllib.loads(text)["cause"]
    }


def _headline(total: Change) -> str:
    unit = "cycles" if total.key == "cycles" else "ns"
    if total.base is None or total.new is None:
        return f"Neither cycles nor time are known on both sides ({total.hint})"
    figures = f"{total.base:,.0f} -> {total.new:,.0f} {unit}"
    if total.base == total.new:
        return f"No change: {total.base:,.0f} {unit}"
    if total.base <= 0 or total.new <= 0:
        return figures
    if _is_equal(total):
        return f"Practically equal ({figures}, {total.relative_pct:+.1f} %)"
    faster = total.new < total.base
    factor = total.base / total.new if faster else total.new / total.base
    word = "faster" if faster else "slower"
    return f"{factor:.{2 if factor < 10 else 1}f}x {word} ({figures}, {total.relative_pct:+.1f} %)"


def _each_launch(total: Change) -> str:
    """Say how far the launches moved one by one, where they belong together."""
    each = total.launches_pct
    if each is None or each[0] == each[2]:
        return ""
    return f", launch by launch {each[0]:+.1f} to {each[2]:+.1f} %"


def _is_equal(total: Change) -> bool:
    return total.relative_pct is not None and abs(total.relative_pct) < _EQUAL_PCT


def _moved(parts: Sequence[Part], total: Change, by_key: Mapping[str, Change]) -> list[str]:
    """Tell the largest gain and the largest loss that make up for each other."""
    least = _MOVED_PCT / 100 * (total.base or 0.0)
    told = [part for part in parts if not part.noise.doubtful]
    fewer = next((p for p in told if p.delta_cycles < -least), None)
    more = next((p for p in told if p.delta_cycles > least), None)
    if fewer is None or more is None:
        return []
    return [f"{_cause_text(fewer, by_key)}, but {_cause_text(more, by_key)}"]


def _explaining(parts: Sequence[Part], delta: float) -> list[Part]:
    """Return the parts that moved with the whole, the largest first, until enough is explained."""
    found: list[Part] = []
    explained = 0.0
    for part in parts:
        if part.delta_cycles * delta <= 0 or part.noise.doubtful:
            continue
        share = part.share_of_change_pct or 0.0
        if found and (explained >= _EXPLAINED_PCT or share < _COUNTER_PCT):
            break
        found.append(part)
        explained += share
        if len(found) == _MOST_CAUSES:
            break
    return found


def _against(parts: Sequence[Part], delta: float) -> Part | None:
    for part in parts:
        if part.delta_cycles * delta < 0 and not part.noise.doubtful:
            enough = abs(part.share_of_change_pct or 0.0) >= _COUNTER_PCT
            return part if enough else None
    return None


def _cause_text(part: Part, by_key: Mapping[str, Change]) -> str:
    known = cause(part.name)
    direction = "fewer" if part.delta_cycles < 0 else "more"
    text = f"{abs(part.delta_cycles):,.0f} {direction} cycles {known.says}"
    if known.says != f"in {part.name}" and part.name not in ("issuing", "no_warp_resident"):
        text += f" [{part.name}]"
    witness = _witness(part, known, by_key)
    return text + (f" ({witness})" if witness else "")


def _witness(part: Part, known: Cause, by_key: Mapping[str, Change]) -> str | None:
    """Return the best witness (first in the table) among those that moved the fitting way."""
    sign = 1 if part.delta_cycles > 0 else -1
    fitting = [
        change
        for keys, expected in ((known.more, sign), ((*known.less, _ALWAYS), -sign))
        for key in keys
        if (change := by_key.get(key)) is not None
        and change.delta is not None
        and change.delta * expected > 0
        and not change.noise.doubtful
        and change.magnitude >= _LEAST_LINK
    ]
    if not fitting:
        return None
    best = fitting[0]
    byte = "B" if best.unit == "B" else ""
    percent = " %" if best.unit == "%" else ""
    return f"{best.label} {short(best.base)}{byte} -> {short(best.new)}{byte}{percent}"
