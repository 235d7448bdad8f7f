"""Writes what ``ncu --csv`` and nvprof print: exact headers, quoting and number formats."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

KEYS_2020 = (
    "ID",
    "Process ID",
    "Process Name",
    "Host Name",
    "Kernel Name",
    "Kernel Time",
    "Context",
    "Stream",
)
KEYS = (
    "ID",
    "Process ID",
    "Process Name",
    "Host Name",
    "Kernel Name",
    "Context",
    "Stream",
    "Block Size",
    "Grid Size",
    "Device",
    "CC",
)
METRIC = ("Section Name", "Metric Name", "Metric Unit", "Metric Value")
RULES = (
    "Rule Name",
    "Rule Type",
    "Rule Description",
    "Estimated Speedup Type",
    "Estimated Speedup",
)


def quoted(cells: Iterable[object], delimiter: str = ",") -> str:
    return delimiter.join('"' + str(cell).replace('"', '""') + '"' for cell in cells) + "\n"


def group(number: float, decimal: str = ".", mark: str = ",", digits: int = 2) -> str:
    """Print a number in a locale: whole numbers without fraction, others with fixed digits."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:,.{digits}f}"
    return text.translate(str.maketrans({",": mark, ".": decimal}))


def keys(
    launch: int = 0,
    kernel: str = "saxpy(int, float, const float *, float *)",
    block: str = "(256, 1, 1)",
    grid: str = "(16, 1, 1)",
    process: int = 1234,
) -> tuple[str, ...]:
    return (
        str(launch),
        str(process),
        "app",
        "127.0.0.1",
        kernel,
        "1",
        "7",
        block,
        grid,
        "0",
        "8.0",
    )


def details(rows: Iterable[Sequence[object]], *, rules: bool = False) -> str:
    """Rows are (keys, section, label, unit, value) and, for rules, whole rows."""
    text = quoted((*KEYS, *METRIC, *(RULES if rules else ())))
    for row in rows:
        line = quoted(row)
        # Releases with rule columns end a metric row in a single empty cell.
        text += line if len(row) > len(KEYS) + len(METRIC) or not rules else line[:-1] + ",\n"
    return text


def detail(
    metric: str,
    unit: str,
    value: object,
    section: str = "Command line profiler metrics",
    **key: object,
) -> tuple[object, ...]:
    return (*keys(**key), section, metric, unit, value)  # type: ignore[arg-type]


def raw(
    units: Mapping[str, str],
    launches: Iterable[tuple[Sequence[str], Sequence[object]]],
    delimiter: str = ",",
) -> str:
    text = quoted((*KEYS, *units), delimiter)
    text += quoted((*("" for _ in KEYS), *units.values()), delimiter)
    for key, values in launches:
        text += quoted((*key, *values), delimiter)
    return text


NVPROF_LOG = (
    "==9809== NVPROF is profiling process 9809, command: ./a.out\n"
    "==9809== Profiling application: ./a.out\n"
    "==9809== Profiling result:\n"
)


def nvprof_metrics_text(
    kernels: Mapping[str, Sequence[Sequence[str]]],
    device: str = "Tesla P100-PCIE-16GB (0)",
    heading: str = "Metric",
    log: str = NVPROF_LOG,
) -> str:
    """Rows are (invocations, name, description, min, max, avg)."""
    text = log + f"==9809== {heading} result:\n"
    if heading == "Metric":
        text += (
            "Invocations                               Metric Name                        "
            "Metric Description         Min         Max         Avg\n"
        )
    else:
        text += (
            "Invocations                                Event Name         Min         Max"
            "         Avg       Total\n"
        )
    text += f'Device "{device}"\n'
    for kernel, rows in kernels.items():
        text += f"    Kernel: {kernel}\n"
        for row in rows:
            if heading == "Metric":
                count, name, about, *values = row
                text += (
                    f"{count:>11}  {name:>40}  {about:>28}"
                    + "".join(f"  {value:>10}" for value in values)
                    + "\n"
                )
            else:
                count, name, *values = row
                text += f"{count:>11}  {name:>40}" + "".join(f"  {v:>10}" for v in values) + "\n"
    return text


def nvprof_metrics_csv(rows: Iterable[Sequence[object]], log: str = NVPROF_LOG) -> str:
    text = log + "==9809== Metric result:\n"
    text += '"Device","Kernel","Invocations","Metric Name","Metric Description","Min","Max","Avg"\n'
    for device, kernel, count, name, about, low, high, average in rows:
        text += f'"{device}","{kernel}",{count},"{name}","{about}",{low},{high},{average}\n'
    return text


SUMMARY_CSV = (
    "==9809== Profiling result:\n"
    '"Type","Time(%)","Time","Calls","Avg","Min","Max","Name"\n'
    ",%,us,,us,us,us,\n"
    '"GPU activities",60.000000,120.000000,4,30.000000,20.000000,40.000000,'
    '"void gemv2T<float, int=128>(int, float*)"\n'
    '"GPU activities",40.000000,80.000000,2,40.000000,30.000000,50.000000,"[CUDA memcpy HtoD]"\n'
    '"API calls",100.000000,900.000000,9,100.000000,1.000000,400.000000,"cudaMalloc"\n'
)

TRACE_CSV = (
    "==9809== Profiling result:\n"
    '"Start","Duration","Grid X","Grid Y","Grid Z","Block X","Block Y","Block Z",'
    '"Registers Per Thread","Static SMem","Dynamic SMem","Size","Throughput","SrcMemType",'
    '"DstMemType","Device","Context","Stream","Name","Correlation_ID"\n'
    "us,us,,,,,,,,KB,B,KB,GB/s,,,,,,,\n"
    '0.000000,1.568000,,,,,,,,,,1.003906,0.610586,"Device",,"GeForce RTX 2080 Ti (0)","1","7",'
    '"[CUDA memset]",274\n'
    '5.000000,1.888000,8,2,1,128,1,1,32,4.500000,16,,,,,"GeForce RTX 2080 Ti (0)","1","7",'
    '"void k<int>(float*)",275\n'
)

TRACE_TEXT = (
    NVPROF_LOG
    + "   Start  Duration            Grid Size      Block Size     Regs*    SSMem*    DSMem*"
    "      Size  Throughput  SrcMemType  DstMemType           Device   Context    Stream  Name\n"
    "182.96ms  6.4049ms                    -               -         -         -         -"
    "  38.147MB  5.8163GB/s    Pageable      Device  GeForce GT 650M         1         7"
    "  [CUDA memcpy HtoD]\n"
    "195.89ms  3.4072ms          (39063 1 1)       (256 1 1)         8  4.0000KB        0B"
    "         -           -           -           -  GeForce GT 650M         1         7"
    "  vectorAdd(float const *, float const *, float*, int) [112]\n"
    "\n"
    "Regs: Number of registers used per CUDA thread. This number includes more\n"
    "SSMem: Static shared memory allocated per CUDA block.\n"
)

SUMMARY_TEXT = (
    NVPROF_LOG
    + "            Type  Time(%)      Time     Calls       Avg       Min       Max  Name\n"
    " GPU activities:   49.13%  169.63us         1  169.63us  169.63us  169.63us"
    "  [CUDA memcpy HtoD]\n"
    "                   45.01%  155.39us         1  155.39us  155.39us  155.39us"
    "  [CUDA memcpy DtoH]\n"
    "                    5.86%  20.224us         2  10.112us  2.7200us  17.504us"
    "  sum_reduction(int*, int*)\n"
    "      API calls:   99.09%  12.289ms       102  120.48us  11.209us  5.5161ms  cudaMemcpy\n"
    "                    0.91%  112.91us       102  1.1069us  1.0000us  1.2000us  cudaFree\n"
)

KERNEL = (
    "CREATE TABLE {name}(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, cacheConfig BLOB NOT NULL, "
    "registersPerThread INT NOT NULL, start INT NOT NULL, end INT NOT NULL, deviceId INT NOT NULL, "
    "gridX INT NOT NULL, gridY INT NOT NULL, gridZ INT NOT NULL, blockX INT NOT NULL, "
    "blockY INT NOT NULL, blockZ INT NOT NULL, staticSharedMemory INT NOT NULL, "
    "dynamicSharedMemory INT NOT NULL, correlationId INT NOT NULL, name INT NOT NULL)"
)
SCHEMA = (
    "CREATE TABLE StringTable(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT NOT NULL UNIQUE)",
    "CREATE TABLE Version(version INTEGER)",
    KERNEL.format(name="CUPTI_ACTIVITY_KIND_KERNEL"),
    KERNEL.format(name="CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL"),
    "CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, bytes INT)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_METRIC(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "id INT NOT NULL, value BLOB NOT NULL, correlationId INT NOT NULL, flags INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_DEVICE(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "coreClockRate INT NOT NULL, numMultiprocessors INT NOT NULL, numThreadsPerWarp INT NOT NULL, "
    "computeCapabilityMajor INT NOT NULL, computeCapabilityMinor INT NOT NULL, id INT NOT NULL, "
    "name INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_PC_SAMPLING(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "flags INT NOT NULL, sourceLocatorId INT NOT NULL, correlationId INT NOT NULL, "
    "functionId INT NOT NULL, latencySamples INT NOT NULL, samples INT NOT NULL, "
    "stallReason INT NOT NULL, pcOffset INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_PC_SAMPLING_RECORD_INFO(_id_ INTEGER PRIMARY KEY "
    "AUTOINCREMENT, correlationId INT NOT NULL, totalSamples INT NOT NULL, "
    "droppedSamples INT NOT NULL, samplingPeriodInCycles INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_INSTRUCTION_EXECUTION(_id_ INTEGER PRIMARY KEY "
    "AUTOINCREMENT, flags INT NOT NULL, sourceLocatorId INT NOT NULL, correlationId INT NOT NULL, "
    "functionId INT NOT NULL, pcOffset INT NOT NULL, threadsExecuted INT NOT NULL, "
    "notPredOffThreadsExecuted INT NOT NULL, executed INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_BRANCH(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "sourceLocatorId INT NOT NULL, correlationId INT NOT NULL, functionId INT NOT NULL, "
    "pcOffset INT NOT NULL, diverged INT NOT NULL, threadsExecuted INT NOT NULL, "
    "executed INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_FUNCTION(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "id INT NOT NULL, contextId INT NOT NULL, moduleId INT NOT NULL, functionIndex INT NOT NULL, "
    "name INT NOT NULL)",
    "CREATE TABLE CUPTI_ACTIVITY_KIND_MODULE(_id_ INTEGER PRIMARY KEY AUTOINCREMENT, "
    "contextId INT NOT NULL, id INT NOT NULL, cubinSize INT NOT NULL, cubin BLOB NOT NULL)",
)
CUBIN = b"\x7fELF" + bytes(60)
SAMPLES = ((0, 4, 100), (16, 4, 20), (16, 3, 50), (32, 6, 10), (32, 1, 20))
"""(offset, CUPTI stall reason, samples)."""


def database(path: Path, *, cc: tuple[int, int] = (6, 0), extra: Sequence[str] = ()) -> None:
    """Write an export with two launches, the first one with source-level results."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    for statement in SCHEMA:
        connection.execute(statement)
    put = connection.execute
    put("INSERT INTO Version VALUES(12)")
    for key, text in enumerate(("-- null --", "_Z6gemv2TPKfPf", "Tesla P100-PCIE-16GB", "plain")):
        put("INSERT INTO StringTable VALUES(?, ?)", (key, text))
    put("INSERT INTO CUPTI_ACTIVITY_KIND_DEVICE VALUES(1, 1328500, 56, 32, ?, ?, 0, 2)", cc)
    for table, start, correlation, name in (
        ("KERNEL", 5000, 7, 1),
        ("CONCURRENT_KERNEL", 9000, 8, 3),
    ):
        put(
            f"INSERT INTO CUPTI_ACTIVITY_KIND_{table} VALUES(NULL, x'00', 32, ?, ?, 0, 40, 2, 1, "
            "128, 1, 1, 1024, 0, ?, ?)",
            (start, start + 1500, correlation, name),
        )
    for offset, reason, samples in SAMPLES:
        put(
            "INSERT INTO CUPTI_ACTIVITY_KIND_PC_SAMPLING VALUES(NULL, 0, 1, 7, 3, ?, ?, ?, ?)",
            (samples // 2, samples, reason, offset),
        )
    put("INSERT INTO CUPTI_ACTIVITY_KIND_PC_SAMPLING_RECORD_INFO VALUES(NULL, 7, 210, 1, 2048)")
    for offset, executed, threads, active in ((0, 100, 3200, 3200), (16, 100, 1600, 800)):
        put(
            "INSERT INTO CUPTI_ACTIVITY_KIND_INSTRUCTION_EXECUTION VALUES"
            "(NULL, 0, 1, 7, 3, ?, ?, ?, ?)",
            (offset, threads, active, executed),
        )
    put("INSERT INTO CUPTI_ACTIVITY_KIND_BRANCH VALUES(NULL, 1, 7, 3, 16, 25, 3200, 100)")
    put("INSERT INTO CUPTI_ACTIVITY_KIND_FUNCTION VALUES(NULL, 3, 1, 16, 5, 1)")
    put("INSERT INTO CUPTI_ACTIVITY_KIND_MODULE VALUES(NULL, 1, 16, ?, ?)", (len(CUBIN), CUBIN))
    for key in range(3):
        put(
            "INSERT INTO CUPTI_ACTIVITY_KIND_METRIC VALUES(NULL, ?, ?, 7, 0)",
            (20971523 + key, struct.pack("<d", 1.5)),
        )
    put("INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES(NULL, 64)")
    for statement in extra:
        put(statement)
    connection.commit()
    connection.close()
