"""nvprof's tables of metrics and events: from rows to one profile per kernel and device."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.metrics.nvprof import lookup, modern
from kernprof.metrics.tables import table
from kernprof.profile import (
    Collector,
    Gpu,
    InstanceTable,
    KernelProfile,
    MetricValue,
    Source,
)
from kernprof.reports import names
from kernprof.reports.base import Limits
from kernprof.reports.losses import Held, listed, unlike
from kernprof.reports.nvprof.tables import Kind, Row
from kernprof.reports.nvprof.values import metric_value
from kernprof.reports.repeats import Repeats
from kernprof.text import clean

_DEVICE_INDEX = re.compile(r" \(\d+\)$")
_INSTANCED = re.compile(r"(?P<name>\S+) \((?P<count>\d{1,6}) instances\)")
_MEAN_OF_SMS = frozenset({"sm_efficiency"})
"""Metrics that nvprof itself averages over the SMs where it aggregates."""

_SLACK = 0.05
"""nvprof rounds throughputs before it averages them: the average can lie off the extremes."""


@dataclass(slots=True)
class _Kernel:
    line: int
    device: str
    name: str
    launches: int
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    instances: dict[str, InstanceTable] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    overflown: list[str] = field(default_factory=list)
    printed: set[str] = field(default_factory=set)
    repeats: Repeats = field(default_factory=Repeats)


class CounterTable:
    """Gathers the rows of one file's metric and event tables."""

    def __init__(self) -> None:
        self._kernels: dict[tuple[int, str, str], _Kernel] = {}
        self._run = 0
        self._kinds: set[Kind] = set()
        self._names: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._kernels)

    def new_run(self) -> None:
        """Note that another process' output begins; its kernels are apart from those before."""
        self._run += 1
        self._kinds.clear()

    def new_table(self, kind: Kind) -> None:
        """Note a header; a second one of its kind means another run (or export) joined on."""
        if kind in self._kinds:
            self.new_run()
        self._kinds.add(kind)

    def add(self, row: Row, limits: Limits) -> None:
        """Add a row.

        Raises
        ------
        DamagedReportError
            No kernel or metric name, no invocations, values that contradict each other.
        LimitExceededError
            More metrics of one kernel than the limits allow.
        """
        where = f"line {row.line}"
        device, name = row.get("Device"), row.get("Kernel")
        metric = row.get("Metric Name", "Event Name")
        if not name or not metric:
            raise DamagedReportError("a row without kernel or metric name", where=where)
        launches = _invocations(row)
        key = (self._run, device, name)
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = self._kernels[key] = _Kernel(row.line, device, name, launches)
        elif kernel.launches != launches:
            kernel.notes.append(
                f"{clean(metric, 60)} comes from {launches} invocations, the first metric from "
                f"{kernel.launches}"
            )
        if len(kernel.metrics) >= limits.metrics_per_launch:
            raise LimitExceededError(
                f"more than {limits.metrics_per_launch} metrics of one kernel", where=where
            )
        instanced = _INSTANCED.fullmatch(metric)
        if row.header.kind is Kind.METRICS:
            self._names[clean(instanced["name"] if instanced else metric, limits.name_chars)] = None
        if instanced is not None:
            kernel.printed.add(instanced["name"])
            _add_instances(kernel, row, instanced["name"], int(instanced["count"]))
        else:
            _add_metric(kernel, row, clean(metric, limits.name_chars))

    def profiles(self, file_name: str, limits: Limits) -> Iterator[KernelProfile]:
        """Yield one profile per kernel and device, in file order.

        Raises
        ------
        DamagedReportError
            A kernel without any value, or with two of each.
        """
        for index, kernel in enumerate(self._kernels.values()):
            if not kernel.metrics:
                raise DamagedReportError(
                    f"kernel {clean(kernel.name, 60)!r} has no metric value",
                    where=f"line {kernel.line}",
                )
            name = names.parse(kernel.name, limits.name_chars)
            if not name.kernel:
                raise DamagedReportError("a kernel without a name", where=f"line {kernel.line}")
            if kernel.repeats.all_of(kernel.printed - set(kernel.overflown)):
                raise DamagedReportError(
                    f"every metric of kernel {name.kernel!r} stands twice, with other values: two "
                    "tables joined without their headers?",
                    where=f"line {kernel.line}",
                )
            device = clean(_DEVICE_INDEX.sub("", kernel.device.strip()), limits.name_chars)
            notes = [*dict.fromkeys(kernel.notes), *kernel.repeats.notes()]
            if kernel.overflown:
                notes.append(f"overflown or not measured: {', '.join(kernel.overflown)}")
            yield KernelProfile(
                kernel=name.kernel,
                source=Source.IMPORTED,
                origin=f"{file_name}#{index}",
                gpu=Gpu(name=device or None),
                demangled=name.demangled,
                mangled=name.mangled,
                launches=kernel.launches,
                metrics=kernel.metrics,
                spread=kernel.spread,
                instances=kernel.instances,
                collector=Collector("nvprof"),
                notes=tuple(notes),
            )

    def losses(self, *, printed: bool) -> list[str]:
        """Tell kernels that lack metrics which the others have, and metrics that nvprof has not.

        Parameters
        ----------
        printed
            Whether the tables hold printed figures: those their author chose, under names of ours
            too.
        """
        ours = {row["key"] for row in table("table_v")["row"]} if printed else set()
        strange = [name for name in self._names if lookup(name) is None and name not in ours]
        found = []
        if strange:
            found.append(
                f"{len(strange)} metric(s) have names that nvprof's list does not hold "
                f"({listed(strange)}): their own names may be lost"
            )
        if printed:
            return found
        return found + unlike(
            [
                Held(f"kernel {clean(name, 60)}", (run, device), kernel.printed)
                for (run, device, name), kernel in self._kernels.items()
            ]
        )


def _invocations(row: Row) -> int:
    text = row.get("Invocations")
    if not text.isdecimal() or not 0 < len(text) <= 18 or int(text) < 1:
        raise DamagedReportError(
            f"{clean(text, 40)!r} is no number of invocations", where=f"line {row.line}"
        )
    return int(text)


def _add_metric(kernel: _Kernel, row: Row, metric: str) -> None:
    low, high, value = (
        metric_value(metric, row.get(title), row.line) for title in ("Min", "Max", "Avg")
    )
    kernel.printed.add(metric)
    if value is None:
        kernel.overflown.append(metric)
        return
    if low is not None and high is not None:
        _check_order(row, metric, low, high, value)
    if metric in kernel.metrics:
        kernel.repeats.add(metric, kernel.metrics[metric], value)
    _store(kernel, metric, value, low, high)


def _store(
    kernel: _Kernel,
    metric: str,
    value: int | float,
    low: int | float | None = None,
    high: int | float | None = None,
) -> None:
    """Keep a value under nvprof's name, and under ncu's where both are the same quantity."""
    kernel.metrics[metric] = value
    if low is not None and high is not None:
        kernel.spread[metric] = (float(low), float(high))
    successor = modern(metric, value)
    if successor is None:
        return
    name, converted = successor
    kernel.metrics[name] = converted
    ends = [modern(metric, end) for end in (low, high) if end is not None]
    if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
        kernel.spread[name] = (float(ends[0][1]), float(ends[1][1]))


def _check_order(
    row: Row, metric: str, low: int | float, high: int | float, value: int | float
) -> None:
    """Check minimum <= average <= maximum, and that a last row is not cut inside the average."""
    where = f"line {row.line}"
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(value)):
        return
    slack = _SLACK * max(abs(low), abs(high))
    if low > high or not low - slack <= value <= high + slack:
        raise DamagedReportError(
            f"{metric}: the average {row.get('Avg')} is not between the minimum {row.get('Min')} "
            f"and the maximum {row.get('Max')}",
            where=where,
        )
    if not row.ended and row.header.titles[-1] == "Avg":
        shapes = {_decimals(row.get(title)) for title in ("Min", "Max")}
        if _decimals(row.get("Avg")) not in shapes:
            raise DamagedReportError(
                f"the last row ends without line break in {row.get('Avg')!r}: the file is cut, or "
                "needs a line break",
                where=where,
            )


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _add_instances(kernel: _Kernel, row: Row, metric: str, count: int) -> None:
    """Take a row of a table that is not aggregated: one value per instance, in brackets."""
    listed = row.get("Avg")
    if not (listed.startswith("[") and listed.endswith("]")):
        raise DamagedReportError(
            f"{metric}: {count} instances are told, but no list of values",
            where=f"line {row.line}",
        )
    values = [metric_value(metric, text, row.line) for text in listed[1:-1].split()]
    if len(values) != count or any(value is None for value in values):
        raise DamagedReportError(
            f"{metric}: {count} instances are told, {len(values)} values listed: the file is cut",
            where=f"line {row.line}",
        )
    numbers = [value for value in values if value is not None]
    kernel.instances[metric] = InstanceTable((None,) * count, tuple(numbers))
    if metric in _MEAN_OF_SMS:
        mean = math.fsum(numbers) / count
        _store(kernel, metric, mean, min(numbers), max(numbers))
        kernel.notes.append(f"{metric} is the mean over {count} SMs")
