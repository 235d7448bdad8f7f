"""Everything the tables show about one launch, in one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from kernprof._frames import frame, html_table
from kernprof.devices.occupancy import Limiter, Occupancy, occupancy
from kernprof.devices.table import architecture
from kernprof.errors import UsageError
from kernprof.metrics.stall_reasons import ClassMap, Family, StallClass, families
from kernprof.profile import KernelProfile, Missing
from kernprof.stalls.breakdown import Breakdown, breakdown, nan_reasons
from kernprof.stalls.figures import Figure, evaluate, returned_nan
from kernprof.stalls.group import merge
from kernprof.stalls.verdict import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd

_THEORETICAL = "theoretical_occupancy_pct"

_LIMITER_LABELS = {
    Limiter.WARPS: "warps",
    Limiter.REGISTERS: "registers",
    Limiter.SHARED_MEMORY: "shared memory",
    Limiter.BLOCKS: "blocks",
    Limiter.BARRIERS: "barriers",
}

_LIMITS = {
    "launch__occupancy_limit_registers": "registers",
    "launch__occupancy_limit_shared_mem": "shared memory",
    "launch__occupancy_limit_warps": "warps",
    "launch__occupancy_limit_blocks": "blocks",
    "launch__occupancy_limit_barriers": "barriers",
}


@dataclass(frozen=True, slots=True)
class StallOptions:
    """How stalls are to be counted.

    Parameters
    ----------
    class_map
        Which map puts reasons into the four classes.
    family
        Family of metrics to take instead of the best one, or None.
    count_not_selected
        Whether ready warps that were not chosen count in the base.
    """

    class_map: ClassMap = ClassMap.PAPER
    family: str | None = None
    count_not_selected: bool = True


@dataclass(frozen=True, slots=True)
class LaunchAnalysis:
    """One launch (or several like ones, merged) with all that is derived from its metrics.

    Parameters
    ----------
    profile
        The launch.
    figures
        Rows of Table V other than the stall classes, by key.
    extras
        What stands beside Table V (issue activity, waves, ...), by key.
    stalls
        Stall breakdown, or None when the profile holds no whole family.
    classes_pct
        Shares of the four classes in percent, empty without stalls.
    limiters
        What limits the theoretical occupancy, all that tie; empty when not told.
    verdict
        What bounds the launch.
    missing
        Rows without a value, and what would bring them.
    classes_spread
        (smallest, largest) share of a class over the launches that were merged.
    """

    profile: KernelProfile
    options: StallOptions
    figures: Mapping[str, Figure]
    extras: Mapping[str, Figure]
    stalls: Breakdown | None
    classes_pct: Mapping[StallClass, float]
    limiters: tuple[str, ...]
    verdict: Verdict
    missing: tuple[Missing, ...]
    classes_spread: Mapping[StallClass, tuple[float, float]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of this launch's figures must know."""
        stall_notes = self.stalls.notes if self.stalls is not None else ()
        approximate = tuple(
            f"{figure.label} is approximate: {figure.approximate}"
            for figure in self.figures.values()
            if figure.approximate
        )
        return (*self.profile.notes, *stall_notes, *approximate)

    def records(self) -> Iterable[Mapping[str, str | float | None]]:
        """Yield one record a figure: Table V's rows, the four classes, then each stall reason."""
        source = str(self.profile.source)
        for key, figure in self.figures.items():
            yield {"figure": key, "label": figure.label, "value": figure.value, "source": source}
        for name, share in self.classes_pct.items():
            yield {
                "figure": f"class.{name}",
                "label": f"{name} %",
                "value": share,
                "source": source,
            }
        for reason, share in (self.stalls.shares_pct if self.stalls else {}).items():
            yield {
                "figure": f"stall.{reason}",
                "label": f"stall {reason} %",
                "value": share,
                "source": source,
            }

    def to_frame(self) -> pd.DataFrame:
        """Return one row a figure; see :meth:`records`.

        Raises
        ------
        UnavailableError
            pandas is not installed.
        """
        return frame(self.records())

    def _repr_html_(self) -> str:
        """Show the figures in a notebook."""
        return html_table(self.records())


def analyse(profile: KernelProfile, options: StallOptions | None = None) -> LaunchAnalysis:
    """Derive Table V, the stall classes and the verdict of one launch.

    Raises
    ------
    UsageError
        When the options name a stall family that does not exist.
    """
    options = options or StallOptions()
    figures = dict(evaluate(profile, "row"))
    extras = evaluate(profile, "extra")
    limiters = occupancy_limiters(profile)
    if figures[_THEORETICAL].value is None:
        computed = _computed_occupancy(profile)
        if computed is not None:
            figures[_THEORETICAL] = replace(
                figures[_THEORETICAL],
                value=computed.occupancy_pct,
                uses="registers, shared memory and block size, by NVIDIA's occupancy rules",
                hint=None,
            )
            limiters = limiters or tuple(_LIMITER_LABELS[name] for name in computed.limiters)
    stalls = breakdown(
        profile, family=options.family, count_not_selected=options.count_not_selected
    )
    classes = stalls.classes_pct(options.class_map) if stalls is not None else {}
    return LaunchAnalysis(
        profile=profile,
        options=options,
        figures=figures,
        extras=extras,
        stalls=stalls,
        classes_pct=classes,
        limiters=limiters,
        verdict=judge({**figures, **extras}, stalls),
        missing=_missing(profile, figures, stalls, options),
    )


def analyse_together(
    members: Sequence[KernelProfile], options: StallOptions | None = None
) -> LaunchAnalysis:
    """Derive the same of several like launches: medians, and how far the launches are apart.

    Raises
    ------
    UsageError
        When the options name a stall family that does not exist.
    """
    options = options or StallOptions()
    whole = analyse(merge(members), options)
    if len(members) == 1 or whole.stalls is None:
        return whole
    family = whole.stalls.family.name
    shares: dict[StallClass, list[float]] = {}
    for member in members:
        single = breakdown(member, family=family, count_not_selected=options.count_not_selected)
        if single is not None:
            for name, share in single.classes_pct(options.class_map).items():
                shares.setdefault(name, []).append(share)
    spread = {name: (min(found), max(found)) for name, found in shares.items()}
    return replace(whole, classes_spread=MappingProxyType(spread))


def occupancy_limiters(profile: KernelProfile) -> tuple[str, ...]:
    """Return what limits the number of resident blocks, by the profiler's own limits.

    Several limits can tie; all of them are returned. Empty when the profile does not tell.
    """
    limits = {
        label: value
        for metric, label in _LIMITS.items()
        if (value := profile.value(metric)) is not None
    }
    if not limits:
        return ()
    lowest = min(limits.values())
    return tuple(label for label, value in limits.items() if value == lowest)


def _computed_occupancy(profile: KernelProfile) -> Occupancy | None:
    """Compute what the source does not tell; None when it lacks geometry, registers or GPU."""
    shared = profile.shared_mem
    if profile.block is None or profile.registers is None or profile.gpu.cc is None:
        return None
    if shared.static_bytes is None or shared.dynamic_bytes is None:
        return None
    try:
        arch = architecture(profile.gpu.cc)
        return occupancy(
            arch,
            threads_per_block=profile.block.total,
            registers=profile.registers,
            static_shared_bytes=shared.static_bytes,
            dynamic_shared_bytes=shared.dynamic_bytes,
        )
    except UsageError:
        # A GPU that the table lacks, or a launch that no GPU could run.
        return None


def _missing(
    profile: KernelProfile,
    figures: Mapping[str, Figure],
    stalls: Breakdown | None,
    options: StallOptions,
) -> tuple[Missing, ...]:
    found = [
        Missing(figure.key, figure.hint or "")
        for figure in figures.values()
        if figure.value is None
    ]
    if stalls is None:
        found.append(Missing("stalls", _stall_remedy(profile, options)))
    return tuple(found)


def _stall_remedy(profile: KernelProfile, options: StallOptions) -> str:
    if profile.source == "static":
        return "a static view has no stalls: profile the launch or predict it"
    if profile.source == "published":
        return "the published figures this file holds have no stall reasons"
    for family in families():
        nan = nan_reasons(profile, family)
        if nan:
            return returned_nan([family.pattern.replace("{R}", reason) for reason in nan])
    if profile.collector is not None and profile.collector.tool == "nvprof":
        wanted = _family("nvprof").collect
        return f"collect them with {wanted}"
    if options.family is not None:
        return f"collect them with ncu {_family(options.family).collect}"
    return (
        "collect them with ncu --section WarpStateStats --section SourceCounters "
        "--section SchedulerStats (or --set full)"
    )


def _family(name: str) -> Family:
    return next(family for family in families() if family.name == name)
