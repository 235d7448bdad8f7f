"""One launch out of the rows of ``ncu --csv``: built up row by row, then checked and frozen."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from kernprof.errors import DamagedReportError
from kernprof.profile import (
    Collector,
    Dim3,
    Gpu,
    KernelProfile,
    MetricValue,
    Placement,
    RuleResult,
    SharedMemory,
    Source,
)
from kernprof.reports import names
from kernprof.reports.base import Limits
from kernprof.reports.ncu_labels import Naming
from kernprof.reports.ncu_units import Kind, Unit, parse_unit
from kernprof.reports.numbers import NumberFormat, narrow
from kernprof.reports.repeats import Repeats
from kernprof.text import clean

_DIMENSIONS = re.compile(r"\(?\s*(\d{1,19})\s*[,;x ]\s*(\d{1,19})\s*[,;x ]\s*(\d{1,19})\s*\)?")
_INDEX_DIGITS = 18
_CAPABILITY = re.compile(r"(\d{1,3})[.,](\d{1,2})")
_DEVICE_ATTRIBUTE = "device__attribute_"
_NOT_AVAILABLE = frozenset({"", "n/a", "N/A", "-"})
_MARKED = "(!) "
"""ncu puts it before a value that it has doubts about."""
_INSTANCES = re.compile(r"([^()]*[^() ]) \(.*\)", re.DOTALL)
_RULE_KINDS = {
    "OPT": "optimization",
    "WRN": "warning",
    "ERR": "error",
    "OK": "ok",
    "INF": "none",
}


@dataclass(slots=True)
class LaunchBuilder:
    """A launch whose rows are still coming."""

    line: int
    name: str
    grid: str
    block: str
    device: str
    capability: str
    process: str = ""
    context: str = ""
    number: str = ""
    table: int = 0
    invocations: int = 1
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    printed: dict[str, tuple[str, str]] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    rules: list[RuleResult] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    rows: set[str] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)
    with_instances: int = 0

    def add(
        self, naming: Naming, text: str, unit: Unit, number_format: NumberFormat, line: int
    ) -> bool:
        """Add one metric value; return whether the launch holds a value under that name now.

        What comes twice follows ``kernprof.reports.repeats``: the later value counts.

        Raises
        ------
        DamagedReportError
            A number that is none.
        """
        metric = naming.metric
        text = text.removeprefix(_MARKED)
        if text in _NOT_AVAILABLE:
            if metric not in self.metrics:
                self.absent.append(metric)
            return False
        before = self.printed.get(metric)
        if before == (text, unit.text):
            self.repeats.add(metric, self.metrics[metric], self.metrics[metric])
            return True
        self.printed[metric] = (text, unit.text)
        instanced = _INSTANCES.fullmatch(text) if text[-1] == ")" else None
        if instanced is not None and text[0] in "+-.,0123456789":
            text = instanced.group(1)
            self.with_instances += 1
        value = to_base(text, unit, number_format, line)
        if before is not None:
            self.repeats.add(metric, self.metrics[metric], value)
        self.metrics[metric] = value
        if not naming.known:
            self.unknown[metric] = unit.base
        elif unit.kind is Kind.UNKNOWN:
            self.unknown[metric] = f"{unit.text}?"
        return True

    def distinct(self, label: str, section: str, text: str, unit: Unit) -> str:
        """Return the name for a label that no table knows, apart from others of the same label.

        Tables of the details page repeat a label in several sections, and within one.
        """
        for name in (label, f"{section}: {label}"):
            if self.printed.get(name, (text, unit.text)) == (text, unit.text):
                return name
        name = f"{section}: {label}"
        count = self.labels[name] = self.labels.get(name, 1) + 1
        return f"{name} ({count})"


def to_base(text: str, unit: Unit, number_format: NumberFormat, line: int) -> MetricValue:
    """Return a cell's value in base units, text where it is no number.

    Raises
    ------
    DamagedReportError
        Digits and separators that make no number.
    """
    try:
        value = number_format.parse(text)
    except ValueError:
        raise DamagedReportError(
            f"{text!r} is not a number in a file with decimal mark {number_format.decimal!r}",
            where=f"line {line}",
        ) from None
    if value is None:
        if unit.text:
            raise DamagedReportError(
                f"{clean(text, 60)!r} is no number, but has the unit {clean(unit.text, 20)!r}",
                where=f"line {line}",
            )
        return text
    if isinstance(value, float) or not unit.scaled:
        return narrow(value)
    exact = Fraction(value) * unit.factor
    if isinstance(value, Decimal) and value.is_signed() and not value:
        return -0.0
    return exact.numerator if exact.denominator == 1 and isinstance(value, int) else float(exact)


def dimensions(text: str, line: int) -> Dim3 | None:
    """Return the extents out of ``(256, 1, 1)``, None for an empty cell or all zeros.

    Raises
    ------
    DamagedReportError
        Anything else.
    """
    if text in _NOT_AVAILABLE:
        return None
    match = _DIMENSIONS.fullmatch(text)
    if match is None:
        raise DamagedReportError(
            f"{clean(text, 60)!r} is no size; expected '(x, y, z)'", where=f"line {line}"
        )
    x, y, z = (int(part) for part in match.groups())
    return Dim3(x, y, z) if x and y and z else None


def number(text: str, number_format: NumberFormat, line: int) -> float | None:
    """Return a cell's number, or None where it holds none.

    Raises
    ------
    DamagedReportError
        Digits and separators that make no number.
    """
    value = to_base(text, parse_unit(""), number_format, line)
    return None if isinstance(value, str) else float(value)


def rule(cells: tuple[str, str, str, str, str], limit: int, pct: float | None) -> RuleResult:
    """Make a rule result of a row's section, rule name, type, description and speedup type."""
    section, name, kind, message, scope = cells
    return RuleResult(
        identifier=clean(name, limit),
        name=clean(name, limit),
        kind=_RULE_KINDS.get(kind, "none"),
        message=clean(message, limit),
        section=clean(section, limit) or None,
        speedup_pct=pct,
        speedup_scope=scope if scope in ("local", "global") else None,
    )


def finish(builder: LaunchBuilder, origin: str, limits: Limits) -> KernelProfile:
    """Check a launch and make its record.

    Raises
    ------
    DamagedReportError
        No name, no metric, or a shape that contradicts the metrics.
    """
    where = f"line {builder.line}"
    name = names.parse(builder.name, limits.name_chars)
    if not name.kernel:
        raise DamagedReportError("a launch without a kernel name", where=where)
    attributes = {
        metric.removeprefix(_DEVICE_ATTRIBUTE): _attribute(value, limits)
        for metric, value in builder.metrics.items()
        if metric.startswith(_DEVICE_ATTRIBUTE)
    }
    metrics = {
        metric: clean(value, limits.name_chars) if isinstance(value, str) else value
        for metric, value in builder.metrics.items()
    }
    if len(metrics) == len(attributes):
        raise DamagedReportError(
            f"launch {name.kernel!r} has no metric value; it was profiled without metrics, or the "
            "table is cut",
            where=where,
        )
    if builder.repeats.all_of(metrics):
        raise DamagedReportError(
            f"every metric of launch {name.kernel!r} stands twice, with other values: two launches "
            "under one ID? (several exports joined in one file need their header rows)",
            where=where,
        )
    grid = dimensions(builder.grid, builder.line) or _shape(metrics, "grid")
    block = dimensions(builder.block, builder.line) or _shape(metrics, "block")
    _check_total(metrics, "launch__grid_size", grid, where)
    _check_total(metrics, "launch__block_size", block, where)
    return KernelProfile(
        kernel=name.kernel,
        source=Source.IMPORTED,
        origin=origin,
        gpu=_gpu(builder, metrics, attributes, limits),
        demangled=name.demangled,
        mangled=name.mangled,
        grid=grid,
        block=block,
        registers=_whole(metrics, "launch__registers_per_thread"),
        shared_mem=SharedMemory(
            _whole(metrics, "launch__shared_mem_per_block_static"),
            _whole(metrics, "launch__shared_mem_per_block_dynamic"),
        ),
        launches=builder.invocations,
        metrics=metrics,
        spread=builder.spread,
        rules=tuple(builder.rules),
        placement=Placement(
            process=_index(builder.process),
            context=_index(builder.context),
            device=_index(builder.device),
        ),
        collector=Collector("ncu"),
        notes=_notes(builder),
    )


def _index(text: str) -> int | None:
    """Read a column that numbers something; some versions have a name there."""
    return int(text) if text.isdecimal() and len(text) <= _INDEX_DIGITS else None


def _notes(builder: LaunchBuilder) -> tuple[str, ...]:
    notes = list(builder.repeats.notes())
    if builder.unknown:
        listed = ", ".join(f"{name} [{unit}]" for name, unit in sorted(builder.unknown.items()))
        notes.append(f"kept as printed, under names or in units that no table knows: {listed}")
    absent = sorted(set(builder.absent) - builder.metrics.keys())
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes.append(f"{len(absent)} metric(s) were not available on this GPU: {shown}")
    return tuple(notes)


def _gpu(
    builder: LaunchBuilder,
    metrics: dict[str, MetricValue],
    attributes: dict[str, MetricValue],
    limits: Limits,
) -> Gpu:
    display = attributes.get("display_name")
    name = display if isinstance(display, str) and display else None
    # The column holds the device's index, in some versions its name.
    if name is None and builder.device and not builder.device.isdecimal():
        name = clean(builder.device, limits.name_chars) or None
    capability = _CAPABILITY.fullmatch(builder.capability)
    cc = f"{int(capability.group(1))}.{int(capability.group(2))}" if capability else None
    if cc is None:
        major = attributes.get("compute_capability_major")
        minor = attributes.get("compute_capability_minor")
        if isinstance(major, int) and isinstance(minor, int):
            cc = f"{major}.{minor}"
    count = _whole(metrics, "launch__sm_count")
    if count is None:
        count = _whole(attributes, "multiprocessor_count")
    return Gpu(name=name, cc=cc, sm_count=count, attributes=attributes)


def _attribute(value: MetricValue, limits: Limits) -> MetricValue:
    return clean(value, limits.name_chars) if isinstance(value, str) else value


def _whole(metrics: dict[str, MetricValue], name: str) -> int | None:
    value = metrics.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _shape(metrics: dict[str, MetricValue], what: str) -> Dim3 | None:
    extents = [_whole(metrics, f"launch__{what}_dim_{axis}") for axis in "xyz"]
    x, y, z = extents
    return Dim3(x, y, z) if x and y and z else None


def _check_total(
    metrics: dict[str, MetricValue], name: str, shape: Dim3 | None, where: str
) -> None:
    value = metrics.get(name)
    if shape is None or not isinstance(value, (int, float)) or not value:
        return
    if not math.isclose(value, shape.total, rel_tol=1e-9):
        raise DamagedReportError(
            f"{name} is {value}, but the size column says {shape} = {shape.total}", where=where
        )
