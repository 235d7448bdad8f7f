"""Single figures (occupancy, divergence, utilisations) from whatever metrics a profile holds.

How each figure is made is told in ``kernprof/metrics/data/table_v.toml`` and ``work.toml``: a list
of ways, the best first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from kernprof.metrics.tables import table
from kernprof.profile import KernelProfile

_CAP_TOLERANCE = 1.05
"""Counters of separate replay passes exceed their peak by a few percent; more is shown as it is."""


_FILES = {"row": "table_v", "extra": "table_v", "work": "work"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make a figure; one of ``metric``, ``sum``, ``ratio`` and ``instances`` is set."""

    metric: str | None = None
    sum: tuple[str, ...] = ()
    ratio: tuple[str, str] | None = None
    instances: tuple[str, str] | None = None
    scale: float = 1.0
    offset: float = 0.0
    void_at_zero_with: tuple[str, ...] = ()
    approximate: str | None = None

    @property
    def uses(self) -> str:
        """The metrics it is made of, for display."""
        if self.metric is not None:
            return self.metric
        if self.sum:
            return " + ".join(self.sum)
        first, second = self.ratio or self.instances or ("", "")
        return f"{first} / {second}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Parameters
    ----------
    key
        Name in JSON and CSV; ends with its unit.
    label
        Name in the table.
    ways
        How to make it, best first.
    collect
        The ``ncu`` option that collects it.
    nvprof
        The nvprof metric that stands for it, or None.
    no_branch
        Metrics that are 0 when the kernel has no branch, which leaves the row without a value.
    absent_on_soc
        What to say on chips without memory of their own, or None.
    words
        Metric that holds a word where a source has no number ("Poor"), or None.
    cap
        Physical upper bound of the value, or None.
    unit
        Unit of the value: "%", "B", or "" for a plain number.
    group
        Which part of a comparison the row belongs to.
    """

    key: str
    label: str
    ways: tuple[Way, ...]
    collect: str
    nvprof: str | None
    no_branch: tuple[str, ...]
    absent_on_soc: str | None
    words: str | None
    cap: float | None
    unit: str
    group: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A row's value for one profile.

    ``value`` is None when it can't be told; ``hint`` then says why or what would bring it.
    ``uses`` names the metrics behind the value, ``approximate`` why it is only close, ``spread``
    is (minimum, maximum) over the launches that the profile stands for. ``words`` is what a source
    says that has no number for it.
    """

    key: str
    label: str
    value: float | None
    uses: str | None = None
    approximate: str | None = None
    hint: str | None = None
    spread: tuple[float, float] | None = None
    words: str | None = None


@cache
def rows(kind: str = "row") -> tuple[Row, ...]:
    """Return the rows of Table V (``row``), what stands beside it (``extra``), or of ``work``.

    ``work`` is what a launch executes and moves: instructions, requests, sectors, bytes, hit rates.
    """
    return tuple(
        Row(
            key=entry["key"],
            label=entry["label"],
            ways=tuple(
                Way(
                    metric=way.get("metric"),
                    sum=tuple(way.get("sum", ())),
                    ratio=tuple(way["ratio"]) if "ratio" in way else None,
                    instances=tuple(way["instances"]) if "instances" in way else None,
                    scale=way.get("scale", 1.0),
                    offset=way.get("offset", 0.0),
                    void_at_zero_with=tuple(way.get("void_at_zero_with", ())),
                    approximate=way.get("approximate"),
                )
                for way in entry["from"]
            ),
            collect=entry["collect"],
            nvprof=entry.get("nvprof"),
            no_branch=tuple(entry.get("no_branch", ())),
            absent_on_soc=entry.get("absent_on_soc"),
            words=entry.get("words"),
            cap=entry.get("cap"),
            unit=entry.get("unit", "%" if entry["key"].endswith("_pct") else ""),
            group=entry.get("group", kind),
        )
        for entry in table(_FILES[kind])[kind]
    )


def evaluate(profile: KernelProfile, kind: str = "row") -> Mapping[str, Figure]:
    """Return the figures of all rows of a kind, by key, in table order."""
    return {row.key: figure(profile, row) for row in rows(kind)}


def figure(profile: KernelProfile, row: Row) -> Figure:
    """Make one figure from the first way for which the profile holds the metrics."""
    no_branch = any(profile.value(metric) == 0 for metric in row.no_branch)
    if not no_branch:
        for way in row.ways:
            value = _value(profile, way)
            if value is None:
                continue
            if _is_void(profile, way):
                no_branch = True
                break
            if row.cap is not None and row.cap < value <= row.cap * _CAP_TOLERANCE:
                value = row.cap
            return Figure(
                row.key,
                row.label,
                value,
                way.uses,
                way.approximate,
                spread=_spread(profile, row, way),
            )
    if no_branch:
        return Figure(row.key, row.label, None, hint="the kernel executes no branch")
    words = None if row.words is None else profile.metrics.get(row.words)
    if isinstance(words, str):
        hint = f'the source has a word for it and no number: "{words}"'
        return Figure(row.key, row.label, None, uses=row.words, hint=hint, words=words)
    return Figure(row.key, row.label, None, hint=_remedy(profile, row))


def _value(profile: KernelProfile, way: Way) -> float | None:
    if way.metric is not None:
        raw = profile.value(way.metric)
    elif way.sum:
        parts = [profile.value(name) for name in way.sum]
        known = [part for part in parts if part is not None]
        raw = math.fsum(known) if len(known) == len(parts) else None
    elif way.ratio is not None:
        raw = _quotient(profile.value(way.ratio[0]), profile.value(way.ratio[1]))
    elif way.instances is not None:
        raw = _quotient(_total(profile, way.instances[0]), _total(profile, way.instances[1]))
    else:
        raw = None
    return None if raw is None else way.scale * raw + way.offset


def _spread(profile: KernelProfile, row: Row, way: Way) -> tuple[float, float] | None:
    if way.metric is None or way.metric not in profile.spread:
        return None
    ends = [way.scale * end + way.offset for end in profile.spread[way.metric]]
    if row.cap is not None:
        ends = [row.cap if row.cap < end <= row.cap * _CAP_TOLERANCE else end for end in ends]
    return min(ends), max(ends)


def _is_void(profile: KernelProfile, way: Way) -> bool:
    """Tell an average over nothing (stored as 0) from an average that is 0."""
    if way.metric is None or not way.void_at_zero_with:
        return False
    witnesses = [profile.value(metric) for metric in way.void_at_zero_with]
    return profile.value(way.metric) == 0 and not any(witnesses)


def _operands(way: Way) -> tuple[str, ...]:
    single = (way.metric,) if way.metric is not None else ()
    return (*single, *way.sum, *(way.ratio or ()))


def _quotient(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def _total(profile: KernelProfile, metric: str) -> float | None:
    instances = profile.instances.get(metric)
    if instances is None:
        return None
    total = math.fsum(v for v in instances.values if isinstance(v, (int, float)))
    # One unknown count leaves the sum unknown.
    return total if math.isfinite(total) else None


def returned_nan(names: Sequence[str]) -> str:
    """Say of collected metrics that the profiler had no value for them."""
    shown = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    return (
        f"{shown} was collected, but the profiler returned NaN (a counter that this GPU or MIG "
        "instance does not serve, or a release that does not know the GPU)"
    )


def _remedy(profile: KernelProfile, row: Row) -> str:
    if row.absent_on_soc and profile.gpu.attributes.get("integrated") == 1:
        return row.absent_on_soc
    nan = [name for way in row.ways for name in _operands(way) if profile.not_a_number(name)]
    if nan:
        return returned_nan(nan[:1])
    if profile.collector is not None and profile.collector.tool == "nvprof":
        if row.nvprof is None:
            return "nvprof has no metric for it"
        return f"collect it with nvprof --metrics {row.nvprof}"
    if profile.source == "static":
        return "a static view tells what holds before a launch runs: profile it or predict it"
    if profile.source == "published":
        return "not among the published figures this file holds"
    return f"collect it with ncu {row.collect}"
