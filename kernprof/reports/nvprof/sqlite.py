"""Reader of nvprof's SQLite export (``nvprof --export-profile``, ``--analysis-metrics -o``).

The file holds launches with their shapes and times, PC samples, executions per instruction and the
kernel's cubin. It also holds metric and event values, but only under CUPTI's numeric ids: which
name an id has depends on the GPU and is known to nvprof alone, so those values are left out with a
notice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from kernprof.errors import DamagedReportError, UnsupportedVersionError
from kernprof.profile import (
    Collector,
    Gpu,
    InstanceTable,
    KernelProfile,
    MachineCode,
    MetricValue,
    Placement,
    Report,
    SharedMemory,
    Source,
)
from kernprof.reports import names
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.nvprof import activities, losses
from kernprof.reports.nvprof.activities import KernelRow, SourceLevel, Strings
from kernprof.reports.nvprof.database import MAGIC, Database

REMEDY = "`nvprof --import-profile FILE --csv --log-file OUT.csv` prints them with their names"

_CHECKED_BYTES = 100
_MAX_CELL_BYTES = (1 << 31) - 1

Key = tuple[int, int]


class NvprofSqliteReader:
    """Reader of nvprof's SQLite export; see the module's docstring."""

    name = "nvprof sqlite"

    def recognises(self, candidate: Candidate) -> bool:
        """Tell by SQLite's magic number and the names of CUPTI's tables."""
        return candidate.head.startswith(MAGIC) and b"CUPTI_ACTIVITY_KIND_" in candidate.head

    def read(self, candidate: Candidate, limits: Limits) -> Report:
        """Read the file.

        Raises
        ------
        DamagedReportError
            Not a sound database, or its content contradicts itself.
        UnsupportedVersionError
            An export of Nsight Systems, or without nvprof's tables.
        LimitExceededError
            More rows, launches or time than the limits allow.
        """
        _check_length(candidate)
        cell_bytes = min(limits.entry_bytes, _MAX_CELL_BYTES)
        with Database(candidate.content, cell_bytes=cell_bytes) as database:
            _check_product(database)
            strings = Strings(database, limits)
            launches = activities.kernels(database, strings, limits)
            if not launches:
                raise DamagedReportError("the database holds no kernel launch")
            gpus = activities.devices(database, strings)
            results = activities.source_level(database)
            codes = _Codes(database, strings)
            profiles = tuple(
                _profile(
                    kernel,
                    f"{candidate.name}#{index}",
                    gpus.get(kernel.device, Gpu()),
                    results.pop(kernel.correlation, None) if kernel.correlation else None,
                    codes,
                    limits,
                )
                for index, kernel in enumerate(launches)
            )
            notices = (
                *_notices(database, results),
                *losses.told(database, launches, gpus, codes.unknown, candidate.size_bytes),
            )
            version = next(iter(database.integers("Version", ("version",))), (0,))[0]
        return Report(
            path=str(candidate.path),
            format=f"nvprof sqlite (schema {version})",
            profiles=profiles,
            notices=notices,
            session={"profiler": "nvprof"},
        )


def _check_length(candidate: Candidate) -> None:
    """Compare the file's length with what its header says (SQLite file format, section 1.3)."""
    head = candidate.head
    if len(head) < _CHECKED_BYTES:
        raise DamagedReportError("the SQLite header is cut")
    page = int.from_bytes(head[16:18], "big")
    page = 65_536 if page == 1 else page
    pages = int.from_bytes(head[28:32], "big")
    # The page count is valid only where the two change counters agree.
    if head[24:28] != head[92:96] or not pages:
        return
    if page * pages > candidate.size_bytes:
        raise DamagedReportError(f"the file is cut: {candidate.size_bytes} bytes of {page * pages}")


def _check_product(database: Database) -> None:
    if database.has("StringIds") and not database.has("StringTable"):
        raise UnsupportedVersionError(
            "an SQLite export of Nsight Systems, which holds no kernel metrics; kernprof reads "
            "nvprof's exports and Nsight Compute's reports"
        )
    for table in ("StringTable", "Version"):
        if not database.has(table):
            raise UnsupportedVersionError(f"an SQLite database without nvprof's table {table}")
        database.check(table)


def _notices(database: Database, unclaimed: Mapping[int, SourceLevel]) -> tuple[str, ...]:
    found = []
    for table, what in ((activities.METRIC, "metric"), (activities.EVENT, "event")):
        count = database.count(table)
        if count:
            found.append(
                f"{count} {what} value(s) are left out: the file has them under CUPTI's numeric "
                f"ids only; {REMEDY}"
            )
    copies = sum(database.count(table) for table in activities.COPIES)
    if copies:
        found.append(f"{copies} copies and memsets are left out")
    if unclaimed:
        found.append(
            f"source-level results of {len(unclaimed)} launch(es) are left out: their kernel "
            "records are not in the file"
        )
    return tuple(found)


class _Codes:
    """Functions of the file, and their cubins, each read once."""

    def __init__(self, database: Database, strings: Strings) -> None:
        self._database = database
        self._functions = activities.functions(database, strings)
        self._loaded: dict[int, MachineCode | None] = {}
        self.unknown: set[int] = set()
        """Functions that were asked for and are not in the file."""

    def symbol(self, function: int) -> str | None:
        """Return a function's symbol by its id."""
        entry = self._functions.get(function)
        if entry is None:
            self.unknown.add(function)
            return None
        return entry[0]

    def of(self, function: int) -> MachineCode | None:
        """Return the machine code with a function."""
        entry = self._functions.get(function)
        if entry is None:
            return None
        if function not in self._loaded:
            _, module, context, index = entry
            self._loaded[function] = activities.machine_code(self._database, module, context, index)
        return self._loaded[function]


def _profile(
    kernel: KernelRow,
    origin: str,
    gpu: Gpu,
    result: SourceLevel | None,
    codes: _Codes,
    limits: Limits,
) -> KernelProfile:
    name = names.parse(kernel.symbol, limits.name_chars)
    metrics: dict[str, MetricValue] = {
        "launch__grid_size": kernel.grid.total,
        "launch__block_size": kernel.block.total,
        "launch__thread_count": kernel.grid.total * kernel.block.total,
        "launch__registers_per_thread": kernel.registers,
        "launch__shared_mem_per_block_static": kernel.static_bytes,
        "launch__shared_mem_per_block_dynamic": kernel.dynamic_bytes,
    }
    if kernel.duration_ns is not None:
        metrics["gpu__time_duration.sum"] = kernel.duration_ns
    instances: dict[str, InstanceTable] = {}
    notes: list[str] = []
    code = None
    if result is not None:
        home = _home(result, kernel, codes)
        code = codes.of(home) if home is not None else None
        instances, found = _tables(result, home, codes)
        metrics.update(found)
        derived, notes = _derived(result, gpu)
        metrics.update(derived)
    return KernelProfile(
        kernel=name.kernel,
        source=Source.IMPORTED,
        origin=origin,
        gpu=gpu,
        demangled=name.demangled,
        mangled=name.mangled,
        grid=kernel.grid,
        block=kernel.block,
        registers=kernel.registers,
        shared_mem=SharedMemory(kernel.static_bytes, kernel.dynamic_bytes),
        metrics=metrics,
        instances=instances,
        code=code,
        placement=Placement(device=kernel.device),
        collector=Collector("nvprof"),
        notes=tuple(notes),
    )


def _home(result: SourceLevel, kernel: KernelRow, codes: _Codes) -> int | None:
    """Return the id of the kernel's own function among those that have results."""
    ids = {function for table in result.samples.values() for function, _ in table}
    ids.update(function for function, _ in result.executed)
    own = [function for function in sorted(ids) if codes.symbol(function) == kernel.symbol]
    if len(own) == 1:
        return own[0]
    return ids.pop() if len(ids) == 1 else None


def _tables(
    result: SourceLevel, home: int | None, codes: _Codes
) -> tuple[dict[str, InstanceTable], dict[str, MetricValue]]:
    """Return instances by metric, and the totals of the samples."""
    instances: dict[str, InstanceTable] = {}
    totals: dict[str, MetricValue] = dict(result.info)
    for prefix, reasons in (
        ("pcsamp_stall", result.samples),
        ("pcsamp_latency_stall", result.latency),
    ):
        for reason, table in sorted(reasons.items()):
            metric = f"{prefix}_{reason}"
            totals[metric] = sum(table.values())
            instances[metric] = _instances(table, home, codes)
    for metric, counts in (
        ("inst_executed", result.executed),
        ("thread_inst_executed", result.threads),
        ("thread_inst_executed_true", result.active),
    ):
        if counts:
            instances[metric] = _instances(counts, home, codes)
    return instances, totals


def _instances(
    table: Mapping[Key, int] | Mapping[Key, int | None], home: int | None, codes: _Codes
) -> InstanceTable:
    """Order a table by address; offsets in other functions are keyed by ``name+0xoffset``."""
    ordered = sorted(table.items(), key=lambda item: (item[0][0] != home, item[0]))
    keys = tuple(
        offset
        if function == home
        else f"{codes.symbol(function) or f'function {function}'}+{offset:#x}"
        for (function, offset), _ in ordered
    )
    return InstanceTable(keys, tuple(math.nan if value is None else value for _, value in ordered))


def _derived(result: SourceLevel, gpu: Gpu) -> tuple[dict[str, MetricValue], list[str]]:
    """Compute the metrics that are sums over instructions.

    Threads per instruction are Nsight Compute's ratios. Branch efficiency is nvprof's: CUPTI has it
    as non-divergent over all branches up to compute capability 6.x, and for 7.x as branches over
    the sum of branches and divergent branches.
    """
    metrics: dict[str, MetricValue] = {}
    notes: list[str] = []
    executed = [value for value in result.executed.values() if value is not None]
    unknown = len(result.executed) - len(executed)
    if unknown:
        notes.append(
            f"executions of {unknown} instruction(s) are not known: their 32-bit counters can "
            "have wrapped, so warp execution efficiency is not known either"
        )
    elif sum(executed):
        for metric, table in (
            ("smsp__thread_inst_executed_per_inst_executed.ratio", result.threads),
            ("smsp__thread_inst_executed_pred_on_per_inst_executed.ratio", result.active),
        ):
            if table:
                metrics[metric] = sum(table.values()) / sum(executed)
    taken = [whole for whole, _ in result.branches if whole is not None]
    diverged = [split for _, split in result.branches if split is not None]
    if not len(taken) == len(diverged) == len(result.branches):
        notes.append("branch efficiency is not known: 32-bit counters of branches can have wrapped")
    elif sum(taken) and gpu.cc is not None:
        every, apart = sum(taken), sum(diverged)
        good, base = (every, every + apart) if _is_volta(gpu.cc) else (every - apart, every)
        metrics["branch_efficiency"] = 100.0 * good / base
        notes.append("branch efficiency is computed from the counts per branch")
    return metrics, notes


def _is_volta(cc: str) -> bool:
    return int(cc.partition(".")[0]) >= 7
