"""Where the elapsed cycles of a launch go, in parts that add up.

For a scheduler of the busiest SM, whose work decides when the launch ends::

    elapsed = no warp resident + issuing + one part per stall reason

* no warp resident: cycles in which that SM holds no warp (start and end of the launch). A profile
  that tells only the average over all SMs is split for the average SM instead: there SMs without
  any block count as well. Both sides are always split the same way.
* issuing: cycles in which the scheduler issues: the instructions' own time.
* stalled: the rest. No warp is ready in these cycles, so they are split in proportion to the time
  warps spend in each stall reason, without ``selected`` and ``not_selected``.

Totals are the hardware's own counters; the split among the reasons is an attribution, since
several warps wait at once for different things. What is left without any reason is its own part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernprof.comparison.noise import Noise, Sample, Verdict, assess
from kernprof.metrics.stall_reasons import families
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.stalls.breakdown import Breakdown, breakdown

NO_WARP = "no_warp_resident"
ISSUING = "issuing"
UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, slots=True)
class Account:
    """Elapsed cycles by where they go.

    Parameters
    ----------
    cycles
        Cycles per part; they add up to the elapsed cycles of the launch.
    family
        The family of stall metrics behind the split.
    """

    cycles: Mapping[str, float]
    family: str


_BUSIEST = ("sm__cycles_active.max", "smsp__cycles_active.max")


@dataclass(frozen=True, slots=True)
class Part:
    """One part on both sides.

    ``share_of_change_pct`` is its share of the change of all cycles (100 together; a part that
    moved the other way is negative), None where the elapsed cycles did not change. ``verdict`` is
    what the launches say of this part.
    """

    name: str
    base_cycles: float
    new_cycles: float
    share_of_change_pct: float | None
    verdict: Verdict

    @property
    def noise(self) -> Noise:
        """Whether the part changed by more than the spread of the launches."""
        return self.verdict.noise

    @property
    def delta_cycles(self) -> float:
        """Change in cycles; negative is faster."""
        return self.new_cycles - self.base_cycles


def common_family(base: KernelProfile, new: KernelProfile, wanted: str | None) -> str | None:
    """Return the best family of stall metrics that both hold whole: never one of each."""
    names = [family.name for family in families()] if wanted is None else [wanted]
    for name in names:
        if all(breakdown(profile, family=name) is not None for profile in (base, new)):
            return name
    return None


def tells_busiest(profile: KernelProfile) -> bool:
    """Tell whether a profile has the active cycles of the busiest SM."""
    return _busiest(profile) is not None


def account(analysis: LaunchAnalysis, family: str | None, *, busiest: bool) -> Account | None:
    """Split a launch's elapsed cycles; None where a counter that it needs is missing.

    Parameters
    ----------
    family
        The family of stall metrics to take.
    busiest
        Split the cycles of the busiest SM, not of the average one.
    """
    cycles = analysis.profile.cycles
    utilized = _utilized(analysis, busiest)
    issuing = analysis.extras["issue_active_pct"].value
    stalls = None if family is None else breakdown(analysis.profile, family=family)
    if cycles is None or utilized is None or issuing is None or stalls is None:
        return None
    active = cycles * min(utilized, 100.0) / 100
    issue_cycles = active * min(issuing, 100.0) / 100
    parts = {NO_WARP: cycles - active, ISSUING: issue_cycles}
    parts.update(_stalled(stalls, active - issue_cycles))
    return Account(parts, stalls.family.name)


def lacking(analysis: LaunchAnalysis, family: str | None) -> list[str]:
    """Name what is missing for an account, with the option that would bring it."""
    found = []
    if analysis.profile.cycles is None:
        found.append("elapsed cycles (ncu --section SpeedOfLight)")
    for figure in (analysis.figures["sm_utilization_pct"], analysis.extras["issue_active_pct"]):
        if figure.value is None:
            found.append(f"{figure.label} ({figure.hint})")
    if family is None:
        found.append("a family of stall reasons on both sides (ncu --section WarpStateStats)")
    return found


def parts(
    base: Account,
    new: Account,
    base_launches: Sequence[Account] = (),
    new_launches: Sequence[Account] = (),
) -> tuple[Part, ...]:
    """Set two accounts side by side, the part that changed most first.

    Parameters
    ----------
    base, new
        Accounts of the medians.
    base_launches, new_launches
        Accounts of the single launches where there are several: their spread decides what is noise.
    """
    total = math.fsum(new.cycles.values()) - math.fsum(base.cycles.values())
    found = []
    for name in dict.fromkeys([*base.cycles, *new.cycles]):
        before, after = base.cycles.get(name, 0.0), new.cycles.get(name, 0.0)
        share = 100 * (after - before) / total if total else None
        samples = [
            _sample(value, [launch.cycles.get(name, 0.0) for launch in launches])
            for value, launches in ((before, base_launches), (after, new_launches))
        ]
        found.append(Part(name, before, after, share, assess(*samples)))
    return tuple(sorted(found, key=lambda part: -abs(part.delta_cycles)))


def _sample(value: float, singles: Sequence[float]) -> Sample:
    values = tuple(singles) if len(singles) > 1 else (value,)
    return Sample(values, (min(values), max(values)))


def _utilized(analysis: LaunchAnalysis, busiest: bool) -> float | None:
    if not busiest:
        return analysis.figures["sm_utilization_pct"].value
    active, cycles = _busiest(analysis.profile), analysis.profile.cycles
    return None if active is None or not cycles else 100 * active / cycles


def _busiest(profile: KernelProfile) -> float | None:
    found = (profile.value(metric) for metric in _BUSIEST)
    return next((value for value in found if value is not None), None)


def _stalled(stalls: Breakdown, cycles: float) -> dict[str, float]:
    shares = {n: s for n, s in stalls.shares_pct.items() if n != "not_selected"}
    total = math.fsum(shares.values())
    if total <= 0:
        return {UNATTRIBUTED: cycles}
    return {name: cycles * share / total for name, share in shares.items()}
