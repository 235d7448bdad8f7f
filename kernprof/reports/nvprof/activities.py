"""CUPTI's activity tables in nvprof's SQLite export: kernels, devices, source-level results.

Tables and columns: ``cupti_activity.h``, structures ``CUpti_ActivityKernel*``,
``CUpti_ActivityDevice*``, ``CUpti_ActivityPCSampling*``, ``CUpti_ActivityInstructionExecution``,
``CUpti_ActivityBranch*``, ``CUpti_ActivityFunction``, ``CUpti_ActivityModule``. Columns grew over
the releases; those that are missing leave their values unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.metrics.tables import table as facts
from kernprof.profile import Dim3, Gpu, MachineCode, MetricValue
from kernprof.reports.base import Limits
from kernprof.reports.nvprof.database import Database
from kernprof.text import clean

_PREFIX = "CUPTI_ACTIVITY_KIND_"
KERNEL_TABLES = (
    _PREFIX + "KERNEL",
    _PREFIX + "CONCURRENT_KERNEL",
    _PREFIX + "CDP_KERNEL",
)
PC_SAMPLING = _PREFIX + "PC_SAMPLING"
PC_SAMPLING_INFO = _PREFIX + "PC_SAMPLING_RECORD_INFO"
EXECUTION = _PREFIX + "INSTRUCTION_EXECUTION"
BRANCH = _PREFIX + "BRANCH"
FUNCTION = _PREFIX + "FUNCTION"
MODULE = _PREFIX + "MODULE"
DEVICE = _PREFIX + "DEVICE"
METRIC = _PREFIX + "METRIC"
EVENT = _PREFIX + "EVENT"
COPIES = (_PREFIX + "MEMCPY", _PREFIX + "MEMCPY2", _PREFIX + "MEMSET")

_WRAP = 1 << 32
"""``executed`` and ``diverged`` are 32-bit counters in CUPTI, written as signed integers."""

_WARP = 32

# Column of CUPTI_ACTIVITY_KIND_DEVICE -> device attribute as Nsight Compute names it.
_ATTRIBUTES = {
    "numMultiprocessors": "multiprocessor_count",
    "coreClockRate": "clock_rate",
    "computeCapabilityMajor": "compute_capability_major",
    "computeCapabilityMinor": "compute_capability_minor",
    "numThreadsPerWarp": "warp_size",
    "l2CacheSize": "l2_cache_size",
    "maxWarpsPerMultiprocessor": "max_warps_per_multiprocessor",
    "maxBlocksPerMultiprocessor": "max_blocks_per_multiprocessor",
    "maxSharedMemoryPerMultiprocessor": "max_shared_memory_per_multiprocessor",
    "maxRegistersPerMultiprocessor": "max_registers_per_multiprocessor",
    "maxSharedMemoryPerBlock": "max_shared_memory_per_block",
    "maxRegistersPerBlock": "max_registers_per_block",
    "maxThreadsPerBlock": "max_threads_per_block",
}

_KERNEL_COLUMNS = (
    "_id_",
    "registersPerThread",
    "start",
    "end",
    "deviceId",
    "gridX",
    "gridY",
    "gridZ",
    "blockX",
    "blockY",
    "blockZ",
    "staticSharedMemory",
    "dynamicSharedMemory",
    "correlationId",
    "name",
)


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One launch.

    Parameters
    ----------
    symbol
        The kernel's linker symbol (or name).
    correlation
        What joins other tables to it; None for launches made by other kernels.
    duration_ns
        GPU time, None where nvprof took no time stamps.
    """

    symbol: str
    device: int
    correlation: int | None
    start_ns: int
    duration_ns: int | None
    grid: Dim3
    block: Dim3
    registers: int
    static_bytes: int
    dynamic_bytes: int


@dataclass(slots=True)
class SourceLevel:
    """Per-instruction results of one launch; keys are (function id, byte offset)."""

    samples: dict[str, dict[tuple[int, int], int]] = field(default_factory=dict)
    latency: dict[str, dict[tuple[int, int], int]] = field(default_factory=dict)
    info: dict[str, int] = field(default_factory=dict)
    executed: dict[tuple[int, int], int | None] = field(default_factory=dict)
    threads: dict[tuple[int, int], int] = field(default_factory=dict)
    active: dict[tuple[int, int], int] = field(default_factory=dict)
    branches: list[tuple[int | None, int | None]] = field(default_factory=list)


class Strings:
    """The file's table of strings, looked up one by one."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limit = limits.name_chars
        self._known: dict[int, str] = {}

    def get(self, key: int) -> str:
        """Return a string.

        Raises
        ------
        DamagedReportError
            There is none under the key.
        """
        if key not in self._known:
            found = None
            for row in self._database.cells("StringTable", ("value",), "_id_", (key,)):
                found = row[0]
            if not isinstance(found, str):
                raise DamagedReportError(f"no string with number {key} in StringTable")
            self._known[key] = clean(found, self._limit)
        return self._known[key]


def kernels(database: Database, strings: Strings, limits: Limits) -> list[KernelRow]:
    """Return all launches in the order in which they started.

    Raises
    ------
    DamagedReportError
        Impossible sizes or times, or two launches under one correlation id.
    LimitExceededError
        More launches than ``limits.launches``.
    """
    found: list[KernelRow] = []
    correlations: set[int] = set()
    for table in KERNEL_TABLES:
        if not database.has(table) or not database.count(table):
            continue
        database.check(table)
        nested = table.endswith("CDP_KERNEL")
        for row in database.integers(table, _KERNEL_COLUMNS):
            kernel = _kernel(dict(zip(_KERNEL_COLUMNS, row, strict=True)), table, strings, nested)
            if kernel.correlation is not None:
                if kernel.correlation in correlations:
                    raise DamagedReportError(
                        f"two launches have the correlation id {kernel.correlation}"
                    )
                correlations.add(kernel.correlation)
            found.append(kernel)
            if len(found) > limits.launches:
                raise LimitExceededError(f"more than {limits.launches} launches")
    return sorted(found, key=lambda kernel: kernel.start_ns)


def _kernel(row: Mapping[str, int], table: str, strings: Strings, nested: bool) -> KernelRow:
    where = f"{table}, row {row['_id_']}"
    extents = [row[f"{what}{axis}"] for what in ("grid", "block") for axis in "XYZ"]
    sizes = (row["registersPerThread"], row["staticSharedMemory"], row["dynamicSharedMemory"])
    if min(extents) < 1 or min(sizes) < 0:
        raise DamagedReportError("a launch with an impossible size", where=where)
    start, end = row["start"], row["end"]
    if end < start:
        raise DamagedReportError("a launch that ends before it starts", where=where)
    symbol = strings.get(row["name"])
    if not symbol:
        raise DamagedReportError("a launch without a kernel name", where=where)
    return KernelRow(
        symbol=symbol,
        device=row["deviceId"],
        correlation=None if nested else row["correlationId"],
        start_ns=start,
        # CUPTI writes 0 for both where it could take no time stamps.
        duration_ns=end - start if end else None,
        grid=Dim3(*extents[:3]),
        block=Dim3(*extents[3:]),
        registers=sizes[0],
        static_bytes=sizes[1],
        dynamic_bytes=sizes[2],
    )


def devices(database: Database, strings: Strings) -> dict[int, Gpu]:
    """Return the GPUs by device id."""
    found: dict[int, Gpu] = {}
    if not database.count(DEVICE):
        return found
    database.check(DEVICE)
    present = database.columns(DEVICE)
    columns = [name for name in _ATTRIBUTES if name in present]
    for row in database.cells(DEVICE, ("id", "name", *columns)):
        key, name, *values = row
        if not isinstance(key, int) or any(not isinstance(value, int) for value in values):
            raise DamagedReportError(f"{DEVICE} holds something else than integers")
        attributes: dict[str, MetricValue] = {
            _ATTRIBUTES[column]: value
            for column, value in zip(columns, values, strict=True)
            if isinstance(value, int)
        }
        shown = strings.get(name) if isinstance(name, int) else name
        major = attributes.get("compute_capability_major")
        minor = attributes.get("compute_capability_minor")
        count = attributes.get("multiprocessor_count")
        found[key] = Gpu(
            name=clean(shown, 200) if isinstance(shown, str) and shown else None,
            cc=f"{major}.{minor}" if major is not None and minor is not None else None,
            sm_count=count if isinstance(count, int) and count > 0 else None,
            attributes=attributes,
        )
    return found


def source_level(database: Database) -> dict[int, SourceLevel]:
    """Return the per-instruction results by correlation id.

    Raises
    ------
    DamagedReportError
        Negative counts, or an instruction that is told twice.
    """
    found: dict[int, SourceLevel] = {}
    _read_samples(database, found)
    _read_sampling_info(database, found)
    _read_executions(database, found)
    _read_branches(database, found)
    return found


def _read_samples(database: Database, found: dict[int, SourceLevel]) -> None:
    names = {row["code"]: row["name"] for row in facts("stall_reasons")["legacy"]}
    columns = ["correlationId", "functionId", "pcOffset", "stallReason", "samples"]
    has_latency = "latencySamples" in database.columns(PC_SAMPLING)
    if has_latency:
        columns.append("latencySamples")
    for row in _rows(database, PC_SAMPLING, columns):
        launch, function, offset, code, samples = row[:5]
        latency = row[5] if has_latency else 0
        if samples < 0 or latency < 0 or offset < 0:
            raise DamagedReportError(f"a negative number in {PC_SAMPLING}")
        reason = names.get(code, f"code_{code}")
        result = found.setdefault(launch, SourceLevel())
        key = (function, offset)
        per_reason = result.samples.setdefault(reason, {})
        per_reason[key] = per_reason.get(key, 0) + samples
        if has_latency:
            per_latency = result.latency.setdefault(reason, {})
            per_latency[key] = per_latency.get(key, 0) + latency


def _read_sampling_info(database: Database, found: dict[int, SourceLevel]) -> None:
    columns = ["correlationId", "totalSamples", "droppedSamples", "samplingPeriodInCycles"]
    for launch, total, dropped, period in _rows(database, PC_SAMPLING_INFO, columns):
        if min(total, dropped, period) < 0:
            raise DamagedReportError(f"a negative number in {PC_SAMPLING_INFO}")
        found.setdefault(launch, SourceLevel()).info = {
            "pcsamp_samples": total,
            "pcsamp_dropped_samples": dropped,
            "pcsamp_period_cycles": period,
        }


def _read_executions(database: Database, found: dict[int, SourceLevel]) -> None:
    columns = ["correlationId", "functionId", "pcOffset", "executed", "threadsExecuted"]
    has_active = "notPredOffThreadsExecuted" in database.columns(EXECUTION)
    if has_active:
        columns.append("notPredOffThreadsExecuted")
    for row in _rows(database, EXECUTION, columns):
        launch, function, offset, executed, threads = row[:5]
        result = found.setdefault(launch, SourceLevel())
        key = (function, offset)
        if key in result.executed:
            raise DamagedReportError(f"instruction at offset {offset} is twice in {EXECUTION}")
        if threads < 0 or offset < 0:
            raise DamagedReportError(f"a negative number in {EXECUTION}")
        result.executed[key] = unwrap(executed, threads)
        result.threads[key] = threads
        if has_active:
            if not 0 <= row[5] <= threads:
                raise DamagedReportError(
                    f"{EXECUTION}: more threads not predicated off than threads at offset {offset}"
                )
            result.active[key] = row[5]


def _read_branches(database: Database, found: dict[int, SourceLevel]) -> None:
    columns = ["correlationId", "executed", "threadsExecuted", "diverged"]
    for launch, executed, threads, diverged in _rows(database, BRANCH, columns):
        whole = unwrap(executed, threads)
        if diverged < 0:
            diverged += _WRAP
        split = diverged if whole is not None and 0 <= diverged <= whole else None
        found.setdefault(launch, SourceLevel()).branches.append((whole, split))


def unwrap(executed: int, threads: int) -> int | None:
    """Return how often warps executed an instruction, from a counter that wraps at 2^32.

    Each execution has 1 to 32 threads, so ``threads`` (which does not wrap) bounds it. None where
    that leaves several values, or none.

    Parameters
    ----------
    executed
        The counter as written: its low 32 bits, as a signed or unsigned number.
    threads
        Thread executions of the same instruction.
    """
    low = executed % _WRAP
    least = -(-threads // _WARP)
    first = low + max(0, -(-(least - low) // _WRAP)) * _WRAP
    if first > threads or first + _WRAP <= threads:
        return None
    return first


def _rows(database: Database, table: str, columns: list[str]) -> Iterator[tuple[int, ...]]:
    if database.count(table):
        database.check(table)
        yield from database.integers(table, columns)


def functions(database: Database, strings: Strings) -> dict[int, tuple[str, int, int, int]]:
    """Return (symbol, module id, context id, symbol index) by function id."""
    columns = ["id", "name", "moduleId", "contextId", "functionIndex"]
    return {
        key: (strings.get(name), module, context, index)
        for key, name, module, context, index in _rows(database, FUNCTION, columns)
    }


def machine_code(
    database: Database, module: int, context: int, symbol_index: int
) -> MachineCode | None:
    """Return the cubin of a module, None where the file has none.

    Raises
    ------
    DamagedReportError
        Its length is not the one told.
    """
    if not database.count(MODULE):
        return None
    columns = ("contextId", "cubinSize", "cubin")
    for found_context, size, cubin in database.cells(MODULE, columns, "id", (module,)):
        if found_context != context or not isinstance(cubin, bytes) or not cubin:
            continue
        if not isinstance(size, int) or size != len(cubin):
            raise DamagedReportError(
                f"the cubin of module {module} has {len(cubin)} bytes; {size!r} are told"
            )
        return MachineCode(cubin, symbol_index if symbol_index >= 0 else None, 0)
    return None
