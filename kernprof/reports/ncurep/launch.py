"""From one decoded result to a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.profile import (
    Collector,
    Dim3,
    Gpu,
    Instances,
    KernelProfile,
    MetricValue,
    SharedMemory,
    Source,
)
from kernprof.reports.base import Limits
from kernprof.reports.names import demangle, function_name
from kernprof.reports.ncurep import details
from kernprof.reports.ncurep.frame import parse
from kernprof.reports.ncurep.values import Names, instances, integer, plain_values, scalar
from kernprof.reports.text import clean, decode

_ATTRIBUTE = "device__attribute_"
_LARGEST_EXTENT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Context:
    """What the launches of one report have in common."""

    names: Names
    path: str
    limits: Limits
    sources: Mapping[int, details.SourceEntry]
    version: str | None


def profile(result: Any, position: int, where: str, context: Context) -> KernelProfile:
    """Make the profile of one launch.

    Raises
    ------
    DamagedReportError
        It has no name or no metric, or a value that can't be.
    LimitExceededError
        It has more parts than the limits allow.
    """
    limits = context.limits
    kernel, demangled, mangled = _names(result, where, limits)
    metrics, tables, unset = _metrics(result, where, context)
    base = _function_address(metrics, tables)
    entry = context.sources.get(result.Source.Reference)
    if len(result.RuleResults) > limits.details_per_launch:
        raise LimitExceededError(f"{len(result.RuleResults)} rule results", where=where)
    return KernelProfile(
        kernel=kernel,
        demangled=demangled,
        mangled=mangled,
        source=Source.IMPORTED,
        origin=f"{context.path}#{position}",
        gpu=_gpu(metrics),
        grid=_extent(result.GridSize, "grid", where),
        block=_extent(result.BlockSize, "block", where),
        registers=_integer(metrics, "launch__registers_per_thread"),
        shared_mem=SharedMemory(
            _integer(metrics, "launch__shared_mem_per_block_static"),
            _integer(metrics, "launch__shared_mem_per_block_dynamic"),
        ),
        metrics=metrics,
        instances=tables,
        unset=unset,
        code=details.machine_code(entry, base) if entry is not None else None,
        nvtx=details.nvtx_ranges(result.Nvtx, result.ThreadID, where, limits)
        if result.HasField("Nvtx")
        else (),
        rules=tuple(details.rule(raw, where, limits) for raw in result.RuleResults),
        collector=Collector("ncu", context.version, clock_control=_clock(result)),
    )


def _names(result: Any, where: str, limits: Limits) -> tuple[str, str | None, str | None]:
    mangled = decode(result.KernelMangledName, limits.name_chars)
    function = decode(result.KernelFunctionName, limits.name_chars)
    demangled = decode(result.KernelDemangledName, limits.name_chars)
    if (not demangled or demangled == mangled) and mangled.startswith("_Z"):
        demangled = clean(demangle(mangled) or "", limits.name_chars)
    kernel = function or (function_name(demangled) if demangled else mangled)
    if not kernel:
        raise DamagedReportError("a launch without a kernel name", where=where)
    return kernel, demangled or None, mangled or None


def _metrics(
    result: Any, where: str, context: Context
) -> tuple[dict[str, MetricValue], dict[str, Instances], tuple[str, ...]]:
    limits = context.limits
    names = context.names.by_index
    count = len(result.MetricResults)
    if count == 0:
        raise DamagedReportError("a launch without metrics", where=where)
    if count > limits.metrics_per_launch:
        raise LimitExceededError(
            f"{count} metrics in one launch; the limit is {limits.metrics_per_launch}", where=where
        )
    metrics, rest = plain_values(result.MetricResults, context.names)
    tables: dict[str, Instances] = {}
    unset: list[str] = []
    known = len(names)
    for raw in rest:
        value: MetricValue | None
        plain = integer(raw) if len(raw) > 3 else None
        if plain is not None:
            index, value = plain
            metric = None
        else:
            metric = parse("Metric", raw, where)
            index = metric.NameId
            value = scalar(metric.MetricValue, where, limits)
        if index >= known:
            raise DamagedReportError(
                f"a metric refers to name {index}; the file holds {known} names", where=where
            )
        name = names[index]
        if value is not None:
            # The profiler repeats some of its own settings; two different values are damage.
            earlier = metrics.setdefault(name, value)
            if earlier != value and not (earlier != earlier and value != value):
                raise DamagedReportError(f"metric {name} is there with two values", where=where)
        if metric is not None and metric.MetricValueList:
            tables[name] = instances(metric, where, limits)
        elif value is None:
            unset.append(name)
    return metrics, tables, tuple(unset)


def _gpu(metrics: Mapping[str, MetricValue]) -> Gpu:
    attributes = {
        name.removeprefix(_ATTRIBUTE): value
        for name, value in metrics.items()
        if name.startswith(_ATTRIBUTE)
    }
    major = _integer(attributes, "compute_capability_major")
    minor = _integer(attributes, "compute_capability_minor")
    name = attributes.get("display_name")
    return Gpu(
        name=name if isinstance(name, str) else None,
        cc=None if major is None or minor is None else f"{major}.{minor}",
        sm_count=_integer(attributes, "multiprocessor_count"),
        attributes=attributes,
    )


def _integer(metrics: Mapping[str, MetricValue], name: str) -> int | None:
    # The profiler changed between doubles and integers for these over its versions.
    value = metrics.get(name)
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _extent(extent: Any, what: str, where: str) -> Dim3:
    values = (extent.X, extent.Y, extent.Z)
    if not all(0 < value <= _LARGEST_EXTENT for value in values):
        raise DamagedReportError(f"a {what} of {values}; expected 1 or more each", where=where)
    return Dim3(*values)


def _function_address(
    metrics: Mapping[str, MetricValue], tables: Mapping[str, Instances]
) -> int | None:
    """Return the load address of the launched function.

    It is the lowest program counter of ``launch__function_pcs``, which lists the functions that the
    launch can reach, the launched one first.
    """
    table = tables.get("launch__function_pcs")
    if table is not None:
        for key in (*table.values, *table.keys):
            if isinstance(key, (int, float)):
                return int(key)
    value = metrics.get("launch__function_pcs")
    return int(value) if isinstance(value, int) else None


def _clock(result: Any) -> str | None:
    if not result.HasField("ClockStatus"):
        return None
    return "locked to base" if result.ClockStatus.ExecutedLocked else "not locked"
