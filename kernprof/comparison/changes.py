"""The figures of one kernel on both sides, and whether each change is more than noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from kernprof.comparison.noise import LaunchPairs, Noise, Sample, Verdict, assess
from kernprof.metrics.stall_reasons import StallClass
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.stalls.breakdown import breakdown
from kernprof.stalls.figures import Figure, evaluate, rows

CLASS_KEYS: Final[Mapping[str, tuple[StallClass, str]]] = {
    "memory_dependency_pct": (StallClass.MEMORY, "Memory dependency"),
    "instruction_dependency_pct": (StallClass.INSTRUCTION, "Instruction dependency"),
    "synchronization_pct": (StallClass.SYNCHRONIZATION, "Synchronization"),
    "others_pct": (StallClass.OTHERS, "Others"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One figure on both sides.

    Parameters
    ----------
    key, label
        Name in JSON and gates, and name in the table.
    group
        ``time``, ``row`` (Table V), ``extra``, ``occupancy``, ``work`` or ``traffic``.
    unit
        "%", "B", "ns", "cycles", "GHz", "" for a plain number.
    base, new
        Median over the launches; None where the profile doesn't tell.
    verdict
        What the launches say of the difference.
    hint
        Why a value is missing, or what would bring it.
    """

    key: str
    label: str
    group: str
    unit: str
    base: float | None
    new: float | None
    verdict: Verdict
    hint: str | None = None

    @property
    def noise(self) -> Noise:
        """Whether the figure changed by more than the spread of the launches."""
        return self.verdict.noise

    @property
    def pairs(self) -> LaunchPairs:
        """(base, new) of each launch in order, where the launches of both sides belong together."""
        return self.verdict.pairs

    @property
    def delta(self) -> float | None:
        """New minus base, in the figure's own unit (percentage points for percent)."""
        return None if self.base is None or self.new is None else self.new - self.base

    @property
    def relative_pct(self) -> float | None:
        """Change in percent of the base; None where that is 0 or a value is missing."""
        if self.base is None or self.new is None or self.base == 0:
            return None
        return in_percent(self.base, self.new)

    @property
    def launches_pct(self) -> tuple[float, float, float] | None:
        """Change of the single launches in percent: least, median and largest; None unpaired."""
        if not self.pairs or any(before == 0 for before, _ in self.pairs):
            return None
        each = [in_percent(before, after) for before, after in self.pairs]
        return min(each), median(each), max(each)

    @property
    def magnitude(self) -> float:
        """How much it changed, whatever the direction and unit: |ln(new / base)|."""
        if self.base is None or self.new is None or self.base == self.new:
            return 0.0
        if self.base <= 0 or self.new <= 0:
            return math.inf
        return abs(math.log(self.new / self.base))


def in_percent(base: float, new: float) -> float:
    """Return a change in percent of the base; what appears out of nothing is beyond any percent."""
    if base == 0:
        return 0.0 if new == 0 else math.copysign(math.inf, new)
    return 100 * (new - base) / abs(base)


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    label: str
    group: str
    unit: str
    value: Callable[[KernelProfile], float | None]
    spread: Callable[[KernelProfile], tuple[float, float] | None]
    hint: str | None


def changes(
    base: LaunchAnalysis,
    new: LaunchAnalysis,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
) -> tuple[Change, ...]:
    """Compare every figure of two kernels.

    Parameters
    ----------
    base, new
        The merged launches (medians), analysed.
    base_launches, new_launches
        The single launches behind them: their spread decides what is noise.

    Returns
    -------
    tuple of Change
        Time first, then Table V in its own order, then the rest, what changed most first within
        each group.
    """
    table_v = [*_figure_changes(base, new, base_launches, new_launches, "row")]
    table_v += _class_changes(base, new, base_launches, new_launches)
    work = _figure_changes(base, new, base_launches, new_launches, "work")
    listed = {change.key for change in work}
    extras = _figure_changes(base, new, base_launches, new_launches, "extra")
    rest = [
        *_direct_changes(base.profile, new.profile, base_launches, new_launches, _RESOURCES),
        # Bank conflicts stand beside Table V and among the work.
        *(change for change in extras if change.key not in listed),
        *work,
    ]
    order = {group: index for index, group in enumerate(dict.fromkeys(c.group for c in rest))}
    rest.sort(key=lambda change: (order[change.group], -change.magnitude))
    times = _direct_changes(base.profile, new.profile, base_launches, new_launches, _TIMES)
    return (*times, *table_v, *rest)


def metric_change(
    name: str,
    base: KernelProfile,
    new: KernelProfile,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
) -> Change:
    """Compare one raw metric by its own name."""
    row = _metric_row(name, name, name, "metric", base.unit(name) or "")
    return _direct(row, base, new, base_launches, new_launches)


def _figure_changes(
    base: LaunchAnalysis,
    new: LaunchAnalysis,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
    kind: str,
) -> list[Change]:
    before, after = _figures(base, kind), _figures(new, kind)
    lists = [
        [evaluate(launch, kind) for launch in launches] if len(launches) > 1 else []
        for launches in (base_launches, new_launches)
    ]
    found = []
    for row in rows(kind):
        pair = before[row.key], after[row.key]
        samples = [
            _sample(figure.value, figure.spread, [one[row.key].value for one in singles])
            for figure, singles in zip(pair, lists, strict=True)
        ]
        found.append(
            Change(
                row.key,
                row.label,
                row.group,
                row.unit,
                pair[0].value,
                pair[1].value,
                _verdict(*samples),
                pair[0].hint or pair[1].hint,
            )
        )
    return found


def _figures(analysis: LaunchAnalysis, kind: str) -> Mapping[str, Figure]:
    if kind == "row":
        return analysis.figures
    return analysis.extras if kind == "extra" else evaluate(analysis.profile, kind)


def _class_changes(
    base: LaunchAnalysis,
    new: LaunchAnalysis,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
) -> list[Change]:
    hint = next((m.hint for a in (base, new) for m in a.missing if m.metric == "stalls"), None)
    sides = ((base, base_launches), (new, new_launches))
    singles = [_classes(analysis, launches) for analysis, launches in sides]
    found = []
    for key, (stall_class, label) in CLASS_KEYS.items():
        before = base.classes_pct.get(stall_class)
        after = new.classes_pct.get(stall_class)
        samples = [
            _sample(value, None, [shares[stall_class] for shares in of_side])
            for value, of_side in zip((before, after), singles, strict=True)
        ]
        found.append(Change(key, label, "row", "%", before, after, _verdict(*samples), hint))
    return found


def _classes(
    analysis: LaunchAnalysis, launches: Sequence[KernelProfile]
) -> list[Mapping[StallClass, float]]:
    """Return the shares of the classes of each launch, where there are several."""
    if len(launches) < 2 or analysis.stalls is None:
        return []
    options = analysis.options
    broken = (
        breakdown(
            launch,
            family=analysis.stalls.family.name,
            count_not_selected=options.count_not_selected,
        )
        for launch in launches
    )
    return [found.classes_pct(options.class_map) for found in broken if found is not None]


def _direct_changes(
    base: KernelProfile,
    new: KernelProfile,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
    wanted: Sequence[_Row],
) -> list[Change]:
    return [_direct(row, base, new, base_launches, new_launches) for row in wanted]


def _direct(
    row: _Row,
    base: KernelProfile,
    new: KernelProfile,
    base_launches: Sequence[KernelProfile],
    new_launches: Sequence[KernelProfile],
) -> Change:
    values = row.value(base), row.value(new)
    samples = [
        _sample(
            value,
            row.spread(merged),
            [row.value(launch) for launch in launches] if len(launches) > 1 else [],
        )
        for value, merged, launches in zip(
            values, (base, new), (base_launches, new_launches), strict=True
        )
    ]
    hint = None
    if None in values:
        lacking = base if values[0] is None else new
        told_by_nvprof = lacking.collector is not None and lacking.collector.tool == "nvprof"
        hint = _NVPROF.get(row.group, row.hint) if told_by_nvprof else row.hint
        launches = base_launches if lacking is base else new_launches
        telling = sum(row.value(launch) is not None for launch in launches)
        if telling:
            hint = (
                f"only {telling} of its {len(launches)} launches tell it; {hint}, for all of them"
            )
    return Change(row.key, row.label, row.group, row.unit, *values, _verdict(*samples), hint)


def _sample(
    value: float | None, spread: tuple[float, float] | None, singles: Sequence[float | None]
) -> Sample | None:
    if value is None:
        return None
    known = tuple(single for single in singles if single is not None)
    if len(known) > 1:
        return Sample(known, (min(known), max(known)), whole=len(known) == len(singles))
    return Sample((value,), spread or (value, value))


def _verdict(base: Sample | None, new: Sample | None) -> Verdict:
    return Verdict(Noise.UNKNOWN) if base is None or new is None else assess(base, new)


_NVPROF: Final = {
    "time": "nvprof tells durations with --print-gpu-trace, and no elapsed cycles",
    "occupancy": "nvprof tells the launch with --print-gpu-trace",
}


def _clock_ghz(profile: KernelProfile) -> float | None:
    if profile.cycles is None or not profile.duration_ns:
        return None
    return profile.cycles / profile.duration_ns


def _metric_row(
    key: str, label: str, metric: str, group: str, unit: str, hint: str | None = None
) -> _Row:
    return _Row(
        key,
        label,
        group,
        unit,
        lambda profile: profile.value(metric),
        lambda profile: profile.spread.get(metric),
        hint or f"collect it with --metrics {metric}",
    )


def _fixed_row(
    key: str, label: str, unit: str, value: Callable[[KernelProfile], float | None]
) -> _Row:
    return _Row(
        key, label, "occupancy", unit, value, lambda _: None, "the source doesn't tell the launch"
    )


_TIMES: Final = (
    _metric_row(
        "cycles",
        "Elapsed cycles",
        "gpc__cycles_elapsed.max",
        "time",
        "cycles",
        "collect it with ncu --section SpeedOfLight",
    ),
    _metric_row(
        "duration_ns",
        "Duration",
        "gpu__time_duration.sum",
        "time",
        "ns",
        "collect it with ncu --section SpeedOfLight",
    ),
    _Row(
        "clock_ghz",
        "Clock",
        "time",
        "GHz",
        _clock_ghz,
        lambda _: None,
        "needs elapsed cycles and the duration",
    ),
)

_RESOURCES: Final = (
    _fixed_row("registers", "Registers per thread", "", lambda p: p.registers),
    _fixed_row(
        "shared_static_bytes", "Shared memory, static", "B", lambda p: p.shared_mem.static_bytes
    ),
    _fixed_row(
        "shared_dynamic_bytes", "Shared memory, dynamic", "B", lambda p: p.shared_mem.dynamic_bytes
    ),
    _fixed_row("grid_blocks", "Blocks of the grid", "", lambda p: p.grid.total if p.grid else None),
    _fixed_row(
        "block_threads", "Threads of a block", "", lambda p: p.block.total if p.block else None
    ),
)
