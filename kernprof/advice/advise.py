"""All advice for a launch, what holds most of its cycles first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernprof.advice import execution, memory
from kernprof.advice.model import Advice, Case, bounded, case, hidden_by, rank, threshold
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis, StallOptions, analyse

_RULES: Final[tuple[Callable[[Case], Advice | None], ...]] = (
    execution.unoptimised,
    memory.bandwidth,
    memory.uncoalesced,
    memory.atomics,
    memory.bank_conflicts,
    memory.spills,
    memory.cache,
    memory.queue,
    memory.shared_traffic,
    memory.latency,
    execution.parallelism,
    execution.unused_occupancy,
    execution.low_residency,
    execution.divergence,
    execution.barrier,
    execution.dependency,
    execution.pipe,
    execution.compute,
    execution.balanced,
    execution.fetch,
    execution.start,
)


def advise(profile: KernelProfile, options: StallOptions | None = None) -> tuple[Advice, ...]:
    """Name the likely causes of a launch's lost time, the largest share of the cycles first.

    Every gain is an upper bound for its cause alone: causes overlap, so bounds don't add up. What
    can't save 5 % is left out, and so is what another cause brings with it.

    Raises
    ------
    UsageError
        When the options name a stall family that does not exist.
    """
    return advise_analysed(analyse(profile, options))


def advise_analysed(analysis: LaunchAnalysis, *, with_lines: bool = True) -> tuple[Advice, ...]:
    """Return the advice for a launch that is analysed already; see :func:`advise`.

    Parameters
    ----------
    with_lines
        Look source lines up in the machine code, which takes some milliseconds a launch.
    """
    facts = case(analysis, with_lines=with_lines)
    made = [item for rule in _RULES if (item := rule(facts)) is not None]
    found = [bounded(facts, item) for item in made]
    least = threshold("least_gain_pct")
    kept = [item for item in found if item.gain_pct is None or item.weight_pct >= least]
    hidden = hidden_by(kept)
    kept = [item for item in kept if item.key not in hidden]
    # A stable sort: of equal weight the more specific cause, listed first, stays first.
    return tuple(sorted(kept, key=rank))
