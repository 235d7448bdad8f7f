"""One piece of advice, and the facts about a launch that all advice is made from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from kernprof.comparison.cycles import ISSUING, NO_WARP, Account, account, tells_busiest
from kernprof.metrics.stall_reasons import families
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.stalls.figures import Figure, evaluate


@dataclass(frozen=True, slots=True)
class Evidence:
    """A metric or figure and its value, as read or computed from the profile."""

    name: str
    value: float | str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """A likely cause of lost time.

    Parameters
    ----------
    key, title
        Name of the cause, and in words.
    evidence
        Why we say so: figures of this launch.
    remedy
        What to do about it.
    gain_pct
        Upper bound on the elapsed time that it can save, in percent; None where the profile
        doesn't tell the cycles.
    bound
        How the upper bound was computed, and what it takes for granted.
    share_pct
        Share of the elapsed cycles attributed to the cause's stalls (``comparison.cycles``), or to
        the part of them that the cause makes: what removing it saves if the other waits stay; None
        for causes that are no stall.
    stalls
        The stall reasons that it explains.
    waits_pct
        Their share of the stalled warp time: what is left to sort by where no cycles are known.
    """

    key: str
    title: str
    evidence: tuple[Evidence, ...]
    remedy: str
    gain_pct: float | None
    bound: str
    stalls: tuple[str, ...] = ()
    share_pct: float | None = None
    waits_pct: float | None = None

    @property
    def weight_pct(self) -> float:
        """What advice is sorted by: the attributed share, and never more than the bound."""
        known = [value for value in (self.share_pct, self.gain_pct) if value is not None]
        return min(known, default=0.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A launch with everything that advice looks at.

    Parameters
    ----------
    analysis
        The analysed launch.
    account
        Where its cycles go, or None.
    work
        What it executes and moves, by key.
    with_lines
        Whether the machine code may be looked into, for source lines and opcodes that the report
        does not store: that takes from milliseconds to a fifth of a second.
    """

    analysis: LaunchAnalysis
    account: Account | None
    work: Mapping[str, Figure]
    with_lines: bool = True

    @property
    def profile(self) -> KernelProfile:
        """The launch."""
        return self.analysis.profile

    def share_pct(self, *names: str) -> float | None:
        """Return the share of elapsed cycles in some parts; None where cycles can't be split."""
        if self.account is None or not self.profile.cycles:
            return None
        spent = sum(self.account.cycles.get(name, 0.0) for name in names)
        return 100 * spent / self.profile.cycles

    def ceiling_pct(self, *names: str) -> float | None:
        """Return an upper bound on what removing some stalls saves, in percent of elapsed cycles.

        A cycle without an issue can be put to use only if a warp in one of these stalls is there to
        use it. The share of such cycles is at most the average number of those warps (Markov's
        inequality), and all cycles without an issue at the very most. Several warps wait at once,
        so the attributed share is no bound: a warp that is freed fills cycles in which others wait.
        """
        idle, issuing = self.share_pct(NO_WARP), self.share_pct(ISSUING)
        if idle is None or issuing is None:
            return None
        stalled = 100 - idle - issuing
        warps = self._warps(names)
        return stalled if warps is None else min(stalled, warps * (100 - idle))

    def _warps(self, names: tuple[str, ...]) -> float | None:
        """Return how many warps of a scheduler wait for some reasons, on average."""
        stalls = self.analysis.stalls
        resident = self.profile.value("smsp__warps_active.avg.per_cycle_active")
        if stalls is None or resident is None or stalls.family.vocabulary != "reason":
            return None
        # "selected" is needed for the whole; the sampled family of idle cycles lacks it.
        total = sum(stalls.raw.values())
        if "selected" not in stalls.raw or total <= 0:
            return None
        return resident * sum(stalls.raw.get(name, 0.0) for name in names) / total

    def waits_pct(self, *names: str) -> float:
        """Return how much of the stalled warp time some reasons hold, 0 where stalls are unknown.

        For deciding whether a cause is worth a look; gains are told in elapsed cycles.
        """
        stalls = self.analysis.stalls
        return 0.0 if stalls is None else sum(stalls.shares_pct.get(n, 0.0) for n in names)

    def matters(self, *names: str) -> bool:
        """Tell whether the reasons hold enough time to be a cause."""
        share = self.share_pct(*names)
        least = threshold("least_share_pct")
        return (self.waits_pct(*names) if share is None else share) >= least

    def figure(self, key: str) -> float | None:
        """Return a row of Table V, an extra row or a row of the work by its key."""
        for rows in (self.analysis.figures, self.analysis.extras, self.work):
            if key in rows:
                return rows[key].value
        return None

    def waits(self, *names: str) -> list[Evidence]:
        """Return, for the reasons that are there, how much of the stalled warp time each holds."""
        shares = {name: self.waits_pct(name) for name in names}
        return [Evidence(n, v, "% of stalled warp time") for n, v in shares.items() if v > 0]

    @property
    def issue_pct(self) -> float | None:
        """How often the schedulers issue."""
        return self.figure("issue_active_pct")


def case(analysis: LaunchAnalysis, *, with_lines: bool = True) -> Case:
    """Collect what advice looks at."""
    family = analysis.stalls.family.name if analysis.stalls is not None else None
    known = {found.name for found in families()}
    spent = None
    if family in known:
        spent = account(analysis, family, busiest=tells_busiest(analysis.profile))
    return Case(analysis, spent, evaluate(analysis.profile, "work"), with_lines)


_UNITS = {
    "compute": ("compute_utilization_pct", "compute"),
    "memory": ("memory_throughput_pct", "memory"),
    "dram": ("bandwidth_utilization_pct", "DRAM"),
}


def bounded(facts: Case, item: Advice) -> Advice:
    """Lower a bound to what the units leave whose work the remedy doesn't touch.

    A unit that is busy for u % of its peak needs u % of the time for the same work at its peak.
    """
    if item.gain_pct is None:
        return item
    found = [
        (used, _UNITS[name][1])
        for name in _table()["cause"][item.key]["keeps"]
        if (used := facts.figure(_UNITS[name][0])) is not None
    ]
    used, unit = max(found, default=(0.0, ""))
    left = max(100.0 - used, 0.0)
    if left >= item.gain_pct:
        return item
    bound = f"{unit}, now at {used:.0f} % of its peak, needs the rest for the same work"
    return replace(item, gain_pct=left, bound=bound)


def rank(item: Advice) -> tuple[bool, float]:
    """Return what advice is sorted by: what puts the rest in doubt first, then by weight."""
    known = item.gain_pct is not None or item.share_pct is not None
    weight = item.weight_pct if known else item.waits_pct or 0.0
    return not _table()["cause"][item.key].get("first", False), -weight


def hidden_by(items: Sequence[Advice]) -> frozenset[str]:
    """Return the causes that others among these bring with them."""
    return frozenset(key for item in items for key in _table()["cause"][item.key]["hides"])


def threshold(name: str) -> float:
    """Return a threshold of ``data/advice.toml``."""
    return float(_table()["threshold"][name])


def advice(
    key: str,
    evidence: tuple[Evidence, ...],
    gain_pct: float | None,
    bound: str,
    *stalls: str,
    remedy: str | None = None,
    share_pct: float | None = None,
) -> Advice:
    """Make a piece of advice with the texts of ``data/advice.toml``."""
    texts = _table()["cause"][key]
    gain = None if gain_pct is None else min(max(gain_pct, 0.0), 100.0)
    told = remedy or texts["remedy"]
    return Advice(key, texts["title"], evidence, told, gain, bound, stalls, share_pct)


def stall_advice(
    facts: Case,
    key: str,
    evidence: tuple[Evidence, ...],
    names: tuple[str, ...],
    part: float = 1.0,
) -> Advice:
    """Make advice about stall reasons: its share is attributed, its gain bounded.

    ``part`` is the part of those waits that the cause makes, 0 to 1.
    """
    here = tuple(name for name in names if facts.waits_pct(name) > 0)
    share = facts.share_pct(*names)
    found = advice(
        key,
        evidence,
        facts.ceiling_pct(*names),
        "cycles without an issue that such a warp could use, with the same instructions",
        *here,
        share_pct=None if share is None else part * share,
    )
    return replace(found, waits_pct=part * facts.waits_pct(*names))


@cache
def _table() -> dict[str, Any]:
    text = resources.files("kernprof.advice").joinpath("data", "advice.toml").read_text("utf-8")
    return tomllib.loads(text)
