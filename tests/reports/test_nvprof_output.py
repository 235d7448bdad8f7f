"""nvprof's printed tables: metrics, events, summaries, traces; CSV and text."""

from __future__ import annotations

from pathlib import Path

import csv_builder as build
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
    UnknownFormatError,
    UnsupportedVersionError,
)
from kernprof.profile import Dim3, Report, SharedMemory
from kernprof.reports import Limits, load
from kernprof.reports.nvprof.values import metric_value, parse_value

DURATION = "gpu__time_duration.sum"
OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"
ROWS = (
    ("3", "achieved_occupancy", "Achieved Occupancy", "0.500000", "0.700000", "0.600000"),
    ("3", "warp_execution_efficiency", "Warp Execution Efficiency", "99.00%", "100.00%", "99.50%"),
    (
        "3",
        "dram_read_throughput",
        "Device Memory Read Throughput",
        "1.0000GB/s",
        "2.0000GB/s",
        "1.5000GB/s",
    ),
    ("3", "dram_utilization", "Device Memory Utilization", "Low (1)", "High (8)", "Mid (5)"),
    ("3", "inst_executed", "Instructions Executed", "10", "30", "20"),
    (
        "3",
        "flop_count_dp_add",
        "Floating Point Operations(Double Precision Add)",
        "2.7319e+11",
        "2.7319e+11",
        "2.7319e+11",
    ),
    ("3", "stall_sync", "Issue Stall Reasons (Synchronization)", "1.00%", "3.00%", "2.00%"),
    ("3", "tex_utilization", "Unified Cache Utilization", "<OVERFLOW>", "<OVERFLOW>", "<OVERFLOW>"),
)


@pytest.fixture
def read(tmp_path: Path):
    def reader(content: str | bytes, limits: Limits | None = None) -> Report:
        path = tmp_path / "nvprof.log"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path, limits=limits)

    return reader


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("443.35MB/s", 443.35 * 2**20, "byte/second"),
        ("1.1655GB/s", 1.1655 * 2**30, "byte/second"),
        ("0.00000B/s", 0.0, "byte/second"),
        ("4.0000KB", 4096.0, "byte"),
        ("0B", 0, "byte"),
        ("12.052ms", 12_052_000.0, "time"),
        ("1.72898s", 1_728_980_000.0, "time"),
        ("1us", 1000, "time"),
        ("52.3%", 52.3, "percent"),
        ("Low (3)", 3, "level"),
        ("Max (10)", 10, "level"),
        ("Idle (0)", 0, "level"),
        ("1.5992e+11", 159_920_000_000.0, ""),
        ("8723051220", 8_723_051_220, ""),
        ("18446744073709551615", 2**64 - 1, ""),
        ("-1", -1, ""),
    ],
)
def test_values(text: str, value: float, kind: str) -> None:
    printed = parse_value(text, 1)
    assert printed is not None
    assert printed.value == pytest.approx(value, rel=1e-15)
    assert type(printed.value) is type(value)
    assert printed.kind == kind


@pytest.mark.parametrize("text", ["-", "", "<OVERFLOW>", "n/a"])
def test_absent_values(text: str) -> None:
    assert parse_value(text, 1) is None


@pytest.mark.parametrize("text", ["33,16%", "1.2.3", "Low", "5 parsecs", "12GiB", "0x10", "GB/s"])
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(DamagedReportError) as caught:
        parse_value(text, 7)
    assert caught.value.where == "line 7"


def test_bytes_have_binary_prefixes() -> None:
    """Bytes over rate must give one duration for reads and writes of the same launch.

    nvprof printed for one kernel 214694976 bytes read at 298.33GB/s, and 593472 bytes written at
    844.46MB/s.
    """
    read, write = parse_value("298.33GB/s", 1), parse_value("844.46MB/s", 1)
    assert read is not None
    assert write is not None
    assert 214694976 / read.value == pytest.approx(593472 / write.value, rel=2e-5)


def test_units_must_fit_the_metric() -> None:
    assert metric_value("achieved_occupancy", "92.79%", 1) == pytest.approx(0.9279)
    assert metric_value("my_event", "12", 1) == 12
    for name, text in (
        ("branch_efficiency", "0.98"),
        ("inst_executed", "12%"),
        ("dram_read_throughput", "12ms"),
        ("stall_sync", "Low (2)"),
    ):
        with pytest.raises(DamagedReportError, match="expected a value in"):
            metric_value(name, text, 1)


def check_metrics(report: Report) -> None:
    (profile,) = report.profiles
    assert profile.kernel == "gemv2T"
    assert profile.demangled == "void gemv2T<int=128>(int, float*)"
    assert profile.gpu.name == "Tesla P100-PCIE-16GB"
    assert profile.launches == 3
    assert profile.grid is None
    metrics = profile.metrics
    assert metrics["achieved_occupancy"] == 0.6
    assert metrics[OCCUPANCY] == 60.0
    assert profile.spread[OCCUPANCY] == (50.0, 70.0)
    assert metrics["smsp__thread_inst_executed_per_inst_executed.ratio"] == 31.84
    assert metrics["dram__bytes_read.sum.per_second"] == 1.5 * 2**30
    assert metrics["dram_utilization"] == 5
    assert metrics["inst_executed"] == metrics["smsp__inst_executed.sum"] == 20
    assert metrics["smsp__sass_thread_inst_executed_op_dadd_pred_on.sum"] == 2.7319e11
    assert metrics["stall_sync"] == 2.0
    assert profile.spread["stall_sync"] == (1.0, 3.0)
    assert not any("stalled" in name for name in metrics)
    assert "tex_utilization" not in metrics
    assert profile.notes == ("overflown or not measured: tex_utilization",)


def test_metrics_as_text(read) -> None:
    report = read(build.nvprof_metrics_text({"void gemv2T<int=128>(int, float*)": ROWS}))
    assert report.format == "nvprof text (metrics)"
    check_metrics(report)


def test_metrics_as_csv(read) -> None:
    rows = [("Tesla P100-PCIE-16GB (0)", "void gemv2T<int=128>(int, float*)", *row) for row in ROWS]
    report = read(build.nvprof_metrics_csv(rows))
    assert report.format == "nvprof csv (metrics)"
    check_metrics(report)


def test_metrics_in_every_shell(read) -> None:
    text = build.nvprof_metrics_text({"void gemv2T<int=128>(int, float*)": ROWS})
    check_metrics(read(text.replace("\n", "\r\n")))
    check_metrics(read(b"\xff\xfe" + text.encode("utf-16-le")))
    check_metrics(
        read("Loading...\nMax error = 0.5\n\n" + text + "\n\n$ ls\na.out  b.out  c.out\n")
    )


def test_events_and_metrics_of_a_kernel_are_one_profile(read) -> None:
    events = build.nvprof_metrics_text(
        {"k(int)": [("2", "branch", "10", "14", "12", "24")]}, heading="Event"
    )
    metrics = build.nvprof_metrics_text(
        {"k(int)": [("2", "branch_efficiency", "Branch Efficiency", "90.00%", "96.00%", "93.00%")]},
        log="",
    )
    report = read(events + "\n" + metrics)
    assert report.format == "nvprof text (events), text (metrics)"
    (profile,) = report.profiles
    assert profile.metrics == {"branch": 12, "branch_efficiency": 93.0}


def test_runs_and_devices_stay_apart(read) -> None:
    row = ("1", "inst_executed", "Instructions Executed", "10", "10", "10")
    one = build.nvprof_metrics_text({"k(int)": [row]})
    other = build.nvprof_metrics_text({"k(int)": [row]}, device="Quadro (1)", log="").split(
        "\n", 2
    )[2]
    report = read(one + other + one)
    assert [profile.gpu.name for profile in report.profiles] == [
        "Tesla P100-PCIE-16GB",
        "Quadro",
        "Tesla P100-PCIE-16GB",
    ]


def test_warnings_between_rows_lose_nothing(read) -> None:
    text = build.nvprof_metrics_text({"k(int)": ROWS[:2]})
    lines = text.splitlines(keepends=True)
    lines.insert(-1, "==9809== Warning: Some kernel(s) will be replayed on device 0\n")
    lines.insert(-1, "==9809== Warning: 3 records have invalid timestamps\n")
    report = read("".join(lines))
    assert len(report.profiles[0].metrics) == 4
    assert report.notices == ("Warning: 3 records have invalid timestamps",)


def test_metrics_per_sm(read) -> None:
    values = "[  " + "     ".join(["99.00%"] * 3 + ["95.00%"]) + " ]"
    row = ("1", "sm_efficiency (4 instances)", "Multiprocessor Activity", "-", "-", values)
    (profile,) = read(build.nvprof_metrics_text({"k(int)": [row]})).profiles
    assert profile.metrics["sm_efficiency"] == 98.0
    assert profile.spread["sm_efficiency"] == (95.0, 99.0)
    assert tuple(profile.instances["sm_efficiency"].values) == (99.0, 99.0, 99.0, 95.0)
    with pytest.raises(DamagedReportError, match="4 instances are told, 3 values"):
        read(build.nvprof_metrics_text({"k(int)": [(*row[:5], values.replace(" 95.00%", ""))]}))


def test_summary_as_csv(read) -> None:
    report = read(build.SUMMARY_CSV)
    assert report.format == "nvprof csv (summary)"
    (profile,) = report.profiles
    assert (profile.kernel, profile.launches, profile.duration_ns) == ("gemv2T", 4, 30_000.0)
    assert profile.spread == {DURATION: (20_000.0, 40_000.0)}
    assert report.notices == (
        "1 row(s) of copies and memsets are left out",
        "1 row(s) of API calls are left out",
    )


def test_summary_as_text(read) -> None:
    report = read(build.SUMMARY_TEXT)
    (profile,) = report.profiles
    assert (profile.kernel, profile.launches, profile.duration_ns) == ("sum_reduction", 2, 10_112.0)


def test_summary_with_normalized_units(read) -> None:
    """As ``--normalized-time-unit ms`` prints it."""
    text = (
        build.NVPROF_LOG
        + "            Type  Time(%)      Time     Calls       Avg       Min       Max  Name\n"
        "                        %        ms                  ms        ms        ms\n"
        " GPU activities:    91.26  5.813500        18  0.322972  1.47e-03  3.010550"
        "  [CUDA memcpy HtoD]\n"
        "                     8.74  0.556848        12  0.046404  6.15e-03  0.214502"
        "  Kernel(int*, bool*)\n"
        "      API calls:   100.00  270.4270         6  45.07116  0.011586  269.8889  cudaMalloc\n"
    )
    (profile,) = read(text).profiles
    assert profile.launches == 12
    assert profile.duration_ns == 46_404.0
    assert profile.spread == {DURATION: (6150.0, 214_502.0)}
    misaligned = text.replace("      %        ms", "   %           ms")
    with pytest.raises(DamagedReportError, match="not a row"):
        read(misaligned)


def test_summary_of_cuda_5_with_bare_names(read) -> None:
    text = (
        "Time(%),Time,Calls,Avg,Min,Max,Name\n"
        "60.00%,542.36ms,45,12.052ms,12.007ms,12.110ms,[CUDA memcpy HtoD]\n"
        "40.00%,237.43ms,150,1.5829ms,1.5103ms,2.1174ms,red_sor(float*, float*, int)"
    )
    (profile,) = read(text).profiles
    assert profile.demangled == "red_sor(float*, float*, int)"
    assert profile.launches == 150


def test_api_calls_of_old_summaries_are_no_kernels(read) -> None:
    header = "Time(%)      Time     Calls       Avg       Min       Max  Name\n"
    text = (
        build.NVPROF_LOG
        + header
        + "100.00%  20.000us         2  10.000us  9.0000us  11.000us  k(int)\n\n"
        + "==9809== API calls:\n"
        + header
        + "100.00%  90.000us         9  10.000us  9.0000us  11.000us  cudaMalloc\n"
    )
    assert [profile.kernel for profile in read(text).profiles] == ["k"]


def test_trace_as_csv(read) -> None:
    report = read(build.TRACE_CSV)
    (profile,) = report.profiles
    assert profile.kernel == "k"
    assert (profile.grid, profile.block) == (Dim3(8, 2, 1), Dim3(128))
    assert profile.shared_mem == SharedMemory(4608, 16)
    assert profile.gpu.name == "GeForce RTX 2080 Ti"
    assert profile.metrics == {
        DURATION: 1888.0,
        "launch__grid_size": 16,
        "launch__block_size": 128,
        "launch__thread_count": 2048,
        "launch__registers_per_thread": 32,
        "launch__shared_mem_per_block_static": 4608,
        "launch__shared_mem_per_block_dynamic": 16,
    }
    assert "1 copies" in report.notices[0]


def test_trace_as_text(read) -> None:
    (profile,) = read(build.TRACE_TEXT).profiles
    assert profile.demangled == "vectorAdd(float const *, float const *, float*, int)"
    assert (profile.grid, profile.block, profile.registers) == (Dim3(39063), Dim3(256), 8)
    assert profile.duration_ns == 3_407_200.0
    assert profile.shared_mem == SharedMemory(4096, 0)
    # nvprof cuts the name to 15 characters here, which must be seen.
    assert profile.gpu.name == "GeForce GT 650M…"


def test_shared_memory_that_is_printed_too_short_is_noted(read) -> None:
    text = build.TRACE_TEXT.replace("4.0000KB", "12.207KB")
    (profile,) = read(text).profiles
    assert profile.shared_mem.static_bytes == 12_500
    assert "12.207KB" in profile.notes[0]


def test_of_two_values_the_later_one_counts_and_a_note_tells(read) -> None:
    row = ("3", "inst_executed", "Instructions", "1", "9", "5")
    rows = [("P100 (0)", "k", *cells) for cells in (row, ROWS[0], (*row[:5], "6"))]
    (profile,) = read(build.nvprof_metrics_csv(rows)).profiles
    assert profile.metrics["inst_executed"] == 6
    assert "holds inst_executed twice, 5 and 6; the later" in profile.notes[0]


NVVP = (
    '"Name","Start Time","Duration","Grid Size","Block Size","Regs","Static SMem","Dynamic SMem"\n'
    '"[CUDA memcpy HtoD]","1.00 ms","2.000 µs",,,,,\n'
    '"void k<int>(int)","1.25 ms","3.500 µs","[ 8,2,1 ]","[ 256,1,1 ]","10","0","2 KB"\n'
)


def test_a_timeline_of_the_visual_profiler(read) -> None:
    report = read(NVVP)
    (profile,) = report.profiles
    assert (profile.kernel, profile.grid, profile.block) == ("k", Dim3(8, 2, 1), Dim3(256))
    assert profile.duration_ns == 3500
    assert (profile.registers, profile.shared_mem) == (10, SharedMemory(0, 2048))
    assert any("1 copies" in notice for notice in report.notices)


def test_a_timeline_without_units_has_no_times(read) -> None:
    text = NVVP.replace(" ms", "").replace(" µs", "").replace(" KB", "")
    (profile,) = read(text).profiles
    assert profile.grid == Dim3(8, 2, 1)
    assert profile.duration_ns is None
    assert profile.shared_mem == SharedMemory(0, None)
    assert len([note for note in profile.notes if "without a unit" in note]) == 2


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def broken() -> dict[str, tuple[str, type[ReportError], str]]:
    metrics = build.nvprof_metrics_text({"k(int)": ROWS})
    csv = build.nvprof_metrics_csv([("P100 (0)", "k", *row) for row in ROWS[:1]])
    damaged = DamagedReportError
    return {
        "text row cut": (metrics[:-30], damaged, "not a row"),
        "text value cut": (build.nvprof_metrics_text({"k": ROWS[:1]})[:-2], damaged, "is cut"),
        "csv row cut": (csv[:-20], damaged, "the row is cut"),
        "csv value cut": (csv[:-2], damaged, "is cut"),
        "other output inside": (
            replaced(metrics, "          3   ", "ok\n          3   "),
            damaged,
            "not a row",
        ),
        "no kernel line": (replaced(metrics, "    Kernel: k(int)\n", ""), damaged, "its kernel"),
        "no device line": (
            replaced(metrics, 'Device "Tesla P100-PCIE-16GB (0)"\n', ""),
            damaged,
            "its device",
        ),
        "average outside": (replaced(metrics, "0.600000", "0.900000"), damaged, "is not between"),
        "minimum above maximum": (
            replaced(metrics, "0.500000", "0.800000"),
            damaged,
            "is not between",
        ),
        "no invocations": (replaced(csv, '",3,"', '",0,"'), damaged, "number of invocations"),
        "a kernel twice": (
            csv + csv.splitlines()[-1].replace("0.600000", "0.650000") + "\n",
            damaged,
            "stands twice",
        ),
        "no value": (build.nvprof_metrics_text({"k": ROWS[-1:]}), damaged, "no metric value"),
        "unit unknown": (replaced(metrics, "1.5000GB/s", "1.5000GW/s"), damaged, "unknown unit"),
        "summary rows missing": (
            "\n".join(build.SUMMARY_CSV.splitlines()[:4]) + "\n",
            damaged,
            "60.00 %, not 100 %",
        ),
        "summary times disagree": (
            replaced(build.SUMMARY_CSV, ",4,30", ",5,30"),
            damaged,
            "do not take",
        ),
        "summary without units": (
            replaced(build.SUMMARY_CSV, ",%,us,,us,us,us,\n", ""),
            damaged,
            "expected a percent value",
        ),
        "trace size": (replaced(build.TRACE_TEXT, "(39063 1 1)", "(0 1 1)"), damaged, "Grid size"),
        "trace cut": (
            build.TRACE_TEXT[: build.TRACE_TEXT.index("8  4.0000KB")],
            damaged,
            "not a row",
        ),
        "name cut": (
            build.SUMMARY_TEXT[: build.SUMMARY_TEXT.index("ion(int")],
            damaged,
            "line break",
        ),
        "no kernels": (
            build.NVPROF_LOG + "No kernels were profiled.\n",
            UnknownFormatError,
            "did one run",
        ),
        "only copies": (
            "\n".join(build.SUMMARY_TEXT.splitlines()[:5]).replace("49.13%", "100.00%") + "\n",
            damaged,
            "copies and memsets",
        ),
        "metric trace": (
            '"Device","Context","Stream","Kernel","Correlation_ID","inst_executed"\n',
            UnsupportedVersionError,
            "without --print-gpu-trace",
        ),
    }


@pytest.mark.parametrize(
    ("text", "kind", "message"), [pytest.param(*case, id=name) for name, case in broken().items()]
)
def test_broken_output_is_refused_with_a_reason(
    read, text: str, kind: type[ReportError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits(read) -> None:
    with pytest.raises(LimitExceededError):
        read(build.nvprof_metrics_text({"a": ROWS[:1], "b": ROWS[:1]}), Limits(launches=1))
    with pytest.raises(LimitExceededError):
        read(build.nvprof_metrics_text({"a": ROWS}), Limits(metrics_per_launch=2))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scale=st.sampled_from(["B", "KB", "MB", "GB", "TB"]),
    number=st.decimals(0, 9999, places=4),
    form=st.sampled_from(["text", "csv"]),
)
def test_rates_survive_every_prefix(read, scale: str, number, form: str) -> None:
    factor = 1024 ** ["B", "KB", "MB", "GB", "TB"].index(scale)
    printed = f"{number}{scale}/s"
    row = ("1", "dram_read_throughput", "Device Memory Read Throughput", *[printed] * 3)
    text = (
        build.nvprof_metrics_text({"k": [row]})
        if form == "text"
        else build.nvprof_metrics_csv([("P100 (0)", "k", *row)])
    )
    (profile,) = read(text).profiles
    assert profile.metrics["dram_read_throughput"] == float(number * factor)
