"""From one decoded result to a profile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
    Placement,
    SharedMemory,
    Source,
)
from kernprof.reports.base import Limits
from kernprof.reports.names import demangle, function_name
from kernprof.reports.ncurep import details
from kernprof.reports.ncurep.frame import parse
from kernprof.reports.ncurep.losses import Ledger
from kernprof.reports.ncurep.values import Names, instances, integer, plain_values, scalar
from kernprof.reports.repeats import Repeats
from kernprof.reports.text import decode
from kernprof.text import clean

PROVENANCE = "kernprof__provenance"
LAUNCHES = "kernprof__launches"
"""Written where one record stands for several launches; no profiler's own metric."""
"""Metric of text by which a report says that no GPU was involved: "predicted", or "predicted: how".

The profiler's own programs show it among the raw metrics.
"""

_MOST_REPEATS = 4
"""How often a launch may repeat each metric; the profiler repeats a few of them once."""

_FIRST_IN_BLOCKS = (2020, 3)
"""First release that stores the grid in blocks."""

_RELEASE = re.compile(r"(\d{4})\.(\d+)")

_ATTRIBUTE = "device__attribute_"
_LARGEST_EXTENT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Context:
    """What the launches of one report have in common."""

    names: Names
    path: str
    limits: Limits
    modules: Mapping[int, details.Module]
    session: details.Session
    allowance: details.Allowance
    ledger: Ledger


def failed(result: Any, position: int, where: str, context: Context) -> str | None:
    """Return how to call a launch that failed under the profiler, None for every other one.

    The profiler keeps such a launch with a block of (0, 0, 0), and metrics that are NaN.
    """
    block = result.BlockSize
    if block.X or block.Y or block.Z:
        return None
    kernel, _, _ = _names(result, where, context.limits)
    return f"launch {position} ({kernel}, {len(result.MetricResults)} metrics)"


def profile(
    result: Any, position: int, where: str, context: Context, process: int | None
) -> KernelProfile:
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
    context.ledger.fields("ProfileResult", result)
    context.ledger.fields("SourceReference", result.Source)
    found = _metrics(result, where, context)
    metrics, tables = found.values, found.tables
    block = _extent(result.BlockSize, "block", where)
    stored = _extent(result.GridSize, "grid", where)
    blocks = _integer(metrics, "launch__grid_size")
    grid, grid_notes = _grid(stored, block, blocks, context.session.profiler)
    base = _function_address(metrics, tables)
    module = context.modules.get(result.Source.Reference)
    return KernelProfile(
        kernel=kernel,
        demangled=demangled,
        mangled=mangled,
        source=_source(metrics),
        origin=f"{context.path}#{position}",
        gpu=_gpu(metrics),
        grid=grid,
        block=block,
        registers=_integer(metrics, "launch__registers_per_thread"),
        shared_mem=SharedMemory(
            _integer(metrics, "launch__shared_mem_per_block_static"),
            _integer(metrics, "launch__shared_mem_per_block_dynamic"),
        ),
        metrics=metrics,
        launches=_launches(metrics),
        instances=tables,
        unset=found.unset,
        code=details.machine_code(module, base, mangled) if module is not None else None,
        nvtx=details.nvtx_ranges(result.Nvtx, result.ThreadID, where, limits, context.allowance)
        if result.HasField("Nvtx")
        else (),
        placement=Placement(
            process,
            _integer(metrics, "launch__context_id"),
            _integer(metrics, "launch__device_id"),
        ),
        rules=details.rules(result.RuleResults, where, limits, context.allowance),
        collector=Collector(
            "ncu",
            context.session.profiler,
            clock_control=_clock(result),
            cache_control=context.session.cache_control,
        ),
        notes=(*found.notes, *grid_notes, *_comments(result, limits)),
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


@dataclass(frozen=True, slots=True)
class _Metrics:
    """The metrics of one launch: values, instances, names without either, and findings."""

    values: dict[str, MetricValue]
    tables: dict[str, Instances]
    unset: tuple[str, ...]
    notes: tuple[str, ...]


def _metrics(result: Any, where: str, context: Context) -> _Metrics:
    limits = context.limits
    count = len(result.MetricResults)
    if count == 0:
        raise DamagedReportError("a launch without metrics", where=where)
    if count > limits.metrics_per_launch:
        raise LimitExceededError(
            f"{count} metrics in one launch; the limit is {limits.metrics_per_launch}", where=where
        )
    if count > _MOST_REPEATS * len(context.names.by_index):
        raise DamagedReportError(
            f"{count} metrics in a launch where the file knows "
            f"{len(context.names.by_index)} metric names",
            where=where,
        )
    values, rest = plain_values(result.MetricResults, context.names)
    found = _one_by_one(values, rest, where, context)
    if found.notes and values:
        # Bulk decoding loses the order of the file, which decides between two values.
        found = _one_by_one({}, result.MetricResults, where, context)
    return found


def _one_by_one(
    values: dict[str, MetricValue], raws: Iterable[bytes], where: str, context: Context
) -> _Metrics:
    """Decode metrics in the order of the file and add them to those already known.

    What comes twice follows ``kernprof.reports.repeats``: the later value counts.
    """
    limits = context.limits
    names = context.names.by_index
    known = len(names)
    tables: dict[str, Instances] = {}
    unset: dict[str, None] = {}
    repeats = Repeats()
    for raw in raws:
        value: MetricValue | None
        plain = integer(raw) if len(raw) > 3 else None
        if plain is not None:
            index, value = plain
            metric = None
        else:
            metric = parse("Metric", raw, where)
            context.ledger.fields("Metric", metric)
            index = metric.NameId
            value = scalar(metric.MetricValue, where, limits)
        if index >= known:
            raise DamagedReportError(
                f"a metric refers to name {index}; the file holds {known} names", where=where
            )
        name = names[index]
        if value is not None:
            if name in values:
                repeats.add(name, values[name], value)
            values[name] = value
        if metric is not None and metric.MetricValueList:
            tables[name] = instances(metric, where, limits)
            context.ledger.total(name, value, metric, where)
        elif value is None:
            unset[name] = None
    missing = tuple(name for name in unset if name not in values and name not in tables)
    return _Metrics(values, tables, missing, repeats.notes())


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


def _grid(
    stored: Dim3, block: Dim3, blocks: int | None, version: str | None
) -> tuple[Dim3 | None, tuple[str, ...]]:
    """Return the grid in blocks, and what there is to say of it.

    Up to release 2020.2 the profiler stored the grid's extent in threads, in the same field; public
    reports of 2019 to 2020.3 show it, against their metric ``launch__grid_size``.

    Parameters
    ----------
    stored
        Extent as the report has it.
    block
        Extent of a block in threads.
    blocks
        ``launch__grid_size``, the number of blocks, where it was collected.
    version
        Release of the profiler ("2020.2.1.0 (build ...)"), where the report tells.

    Returns
    -------
    tuple
        The grid, None where it can't be told whether threads or blocks are meant; and notes.
    """
    quotients = [divmod(s, b) for s, b in zip(stored, block, strict=True)]
    divided = None
    if not any(rest for _, rest in quotients):
        divided = Dim3(*(quotient for quotient, _ in quotients))
    if blocks is not None:
        if stored.total == blocks:
            return stored, ()
        if divided is not None and divided.total == blocks:
            return divided, ()
        return stored, (f"the grid of {stored} blocks contradicts launch__grid_size {blocks}",)
    if divided is None or divided == stored:
        return stored, ()
    release = _RELEASE.match(version or "")
    if release is None:
        note = f"the report does not tell whether its grid of {stored} is in blocks or threads"
        return None, (note,)
    in_threads = (int(release.group(1)), int(release.group(2))) < _FIRST_IN_BLOCKS
    return divided if in_threads else stored, ()


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


def _source(metrics: Mapping[str, MetricValue]) -> Source:
    """Tell a report that the simulator wrote from one that a profiler took."""
    value = metrics.get(PROVENANCE)
    if isinstance(value, str) and value.split(":")[0] == Source.PREDICTED:
        return Source.PREDICTED
    return Source.IMPORTED


def _launches(metrics: Mapping[str, MetricValue]) -> int:
    value = _integer(metrics, LAUNCHES)
    return value if value is not None and 1 <= value < 1 << 31 else 1


def _comments(result: Any, limits: Limits) -> tuple[str, ...]:
    """Return what the user wrote beside the launch."""
    comment = decode(result.Comments, limits.name_chars)
    return (f"comment in the report: {comment}",) if comment else ()


def _clock(result: Any) -> str | None:
    if not result.HasField("ClockStatus"):
        return None
    return "locked to base" if result.ClockStatus.ExecutedLocked else "not locked"
