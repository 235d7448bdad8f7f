"""What ``ncu --csv`` prints, over releases, pages, units, locales and shells."""

from __future__ import annotations

import math
from fractions import Fraction
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
)
from kernprof.profile import Dim3, Report, SharedMemory, Source
from kernprof.reports import Limits, load
from kernprof.reports.ncu_units import parse_unit

OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"
DURATION = "gpu__time_duration.sum"


@pytest.fixture
def read(tmp_path: Path):
    def reader(content: str | bytes, limits: Limits | None = None) -> Report:
        path = tmp_path / "export.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path, limits=limits)

    return reader


RAW_UNITS = {
    "device__attribute_display_name": "",
    "dram__bytes_read.sum": "byte",
    DURATION: "ns",
    "launch__func_cache_config": "",
    "launch__registers_per_thread": "register/thread",
    "launch__shared_mem_per_block_dynamic": "byte/block",
    "launch__shared_mem_per_block_static": "byte/block",
    "launch__sm_count": "SM",
    OCCUPANCY: "%",
}
RAW_VALUES = (
    "NVIDIA A100",
    "2,560,000",
    "211,936",
    "CachePreferNone",
    "32",
    "0",
    "1,024",
    "108",
    "61.30",
)


def raw_table(count: int = 2) -> str:
    return build.raw(RAW_UNITS, [(build.keys(n), RAW_VALUES) for n in range(count)])


def test_raw_page(read) -> None:
    report = read(raw_table())
    assert report.format == "ncu csv (raw)"
    assert report.notices == ()
    assert len(report.profiles) == 2
    profile = report.profiles[1]
    assert profile.kernel == "saxpy"
    assert profile.demangled == "saxpy(int, float, const float *, float *)"
    assert profile.source is Source.IMPORTED
    assert profile.origin.endswith("export.csv#1")
    assert (profile.grid, profile.block) == (Dim3(16), Dim3(256))
    assert (profile.gpu.name, profile.gpu.cc, profile.gpu.sm_count) == ("NVIDIA A100", "8.0", 108)
    assert profile.registers == 32
    assert profile.shared_mem == SharedMemory(1024, 0)
    assert profile.metrics["dram__bytes_read.sum"] == 2_560_000
    assert profile.duration_ns == 211_936
    assert profile.metrics[OCCUPANCY] == 61.3
    assert profile.metrics["launch__func_cache_config"] == "CachePreferNone"


def test_private_columns_are_not_kept(read) -> None:
    text = build.raw(
        {DURATION: "ns"},
        [
            (
                (
                    "0",
                    "99",
                    "secret-app",
                    "secret-host",
                    "k",
                    "1",
                    "7",
                    "(1, 1, 1)",
                    "(1, 1, 1)",
                    "0",
                    "8.0",
                ),
                ("5",),
            )
        ],
    )
    assert "secret" not in repr(read(text))


def test_details_page_of_2020(read) -> None:
    header = (*build.KEYS_2020, *build.METRIC)
    key = ("0", "28439", "cfd", "127.0.0.1", "flux(int,float*)", "2020-May-29 12:02:46", "1", "7")
    # These releases left an empty line below the header.
    text = (
        build.quoted(header)
        + "\n"
        + "".join(
            build.quoted((*key, *row))
            for row in (
                ("GPU Speed Of Light", "Memory Frequency", "cycle/second", "768683274.02"),
                ("GPU Speed Of Light", "SOL FB", "%", "46.47"),
                ("GPU Speed Of Light", "Memory [%]", "%", "46.47"),
                ("GPU Speed Of Light", "Duration", "nsecond", "8992"),
                ("Launch Statistics", "Registers Per Thread", "register/thread", "20"),
                ("Occupancy", "Achieved Occupancy", "%", "48.00"),
            )
        )
    )
    (profile,) = read(text).profiles
    assert profile.grid is None
    assert profile.gpu.cc is None
    assert profile.duration_ns == 8992
    assert profile.registers == 20
    assert profile.metrics[OCCUPANCY] == 48.0
    assert profile.metrics["dram__cycles_elapsed.avg.per_second"] == 768683274.02
    assert profile.metrics["SOL FB"] == 46.47
    assert any("SOL FB [%]" in note for note in profile.notes)


def test_details_page_with_rules(read) -> None:
    rows = [
        build.detail("SM Active Cycles", "cycle", "462061.91", "GPU Speed Of Light Throughput"),
        (
            *build.keys(),
            "SpeedOfLight",
            "",
            "",
            "",
            "SOLBottleneck",
            "OPT",
            'Say "no"',
            "global",
            "12.5",
        ),
        build.detail("Grid Size", "", "16", "Launch Statistics"),
        (
            *build.keys(),
            "LaunchStats",
            "",
            "",
            "",
            "LaunchConfiguration",
            "WRN",
            "Two\nlines",
            "",
            "",
        ),
    ]
    (profile,) = read(build.details(rows, rules=True)).profiles
    assert profile.metrics == {"sm__cycles_active.avg": 462061.91, "launch__grid_size": 16}
    first, second = profile.rules
    assert (first.identifier, first.kind, first.message) == (
        "SOLBottleneck",
        "optimization",
        'Say "no"',
    )
    assert (first.section, first.speedup_pct, first.speedup_scope) == (
        "SpeedOfLight",
        12.5,
        "global",
    )
    assert (second.kind, second.message, second.speedup_pct) == ("warning", "Two lines", None)


def test_launches_are_told_apart_by_process_and_id(read) -> None:
    rows = [
        build.detail(DURATION, "ns", value, launch=launch, process=process)
        for value, (launch, process) in enumerate(((0, 1), (1, 1), (0, 2), (0, 1)), start=10)
        if (launch, process, value) != (0, 1, 13)
    ]
    report = read(build.details(rows))
    assert [profile.duration_ns for profile in report.profiles] == [10, 11, 12]


def test_rows_of_a_sorted_table_find_their_launch(read) -> None:
    rows = [
        build.detail(metric, unit, value, launch=launch)
        for metric, unit, value in ((DURATION, "ns", "700"), (OCCUPANCY, "%", "50.00"))
        for launch in (0, 1)
    ]
    report = read(build.details(rows))
    assert [len(profile.metrics) for profile in report.profiles] == [2, 2]


def test_a_launch_that_comes_twice_is_refused(read) -> None:
    rows = [
        build.detail(metric, unit, value)
        for duration in ("700", "701")
        for metric, unit, value in ((DURATION, "ns", duration), (OCCUPANCY, "%", "50.00"))
    ]
    with pytest.raises(DamagedReportError, match="two launches under one ID") as caught:
        read(build.details(rows))
    assert caught.value.where == "line 2"


def test_of_two_values_the_later_one_counts_and_a_note_tells(read) -> None:
    rows = [
        build.detail(DURATION, "ns", "700"),
        build.detail(OCCUPANCY, "%", "50.00"),
        build.detail(DURATION, "ns", "701"),
    ]
    (profile,) = read(build.details(rows)).profiles
    assert profile.duration_ns == 701
    assert profile.notes == (
        f"the report holds {DURATION} twice, 700 and 701; the later one counts",
    )


def test_the_same_value_in_two_sections_is_one(read) -> None:
    rows = [build.detail("Duration", "us", "1.50", section) for section in ("A", "B")]
    (profile,) = read(build.details(rows)).profiles
    assert profile.metrics == {DURATION: 1500.0}


def test_one_unknown_label_in_two_sections_is_two_values(read) -> None:
    rows = [
        build.detail("Total", "", value, section)
        for value, section in ((1, "L1"), (2, "L2"), (3, "L2"), (1, "L3"))
    ]
    (profile,) = read(build.details(rows)).profiles
    assert profile.metrics == {"Total": 1, "L2: Total": 2, "L2: Total (2)": 3}


def test_summary_per_kernel(read) -> None:
    keys = (
        "109199",
        "app",
        "127.0.0.1",
        "ns::saxpy(float)",
        "(256, 1, 1)",
        "(4096, 1, 1)",
        "0",
        "11.0",
    )
    text = build.quoted(
        (
            "Process ID",
            "Process Name",
            "Host Name",
            "Kernel Name",
            "Block Size",
            "Grid Size",
            "Device",
            "CC",
            "Invocations",
            *build.METRIC[:3],
            "Minimum",
            "Maximum",
            "Average",
        )
    )
    text += build.quoted(
        (*keys, "14", "Occupancy", "Achieved Occupancy", "%", "73.56", "79.38", "74.92")
    )
    text += build.quoted((*keys, "14", "SpeedOfLight", "Duration", "us", "1.00", "3.00", "2.00"))
    (profile,) = read(text).profiles
    assert profile.launches == 14
    assert profile.metrics == {OCCUPANCY: 74.92, DURATION: 2000.0}
    assert profile.spread == {OCCUPANCY: (73.56, 79.38), DURATION: (1000.0, 3000.0)}


@pytest.mark.parametrize(
    ("printed", "unit", "expected"),
    [
        ("211.94", "us", 211_940.0),
        ("1,205.00", "msecond", 1_205_000_000.0),
        ("2.56", "Mbyte", 2_560_000.0),
        ("1.37", "Gbyte/second", 1_370_000_000.0),
        ("1.41", "cycle/nsecond", 1_410_000_000.0),
        ("1.02", "Kbyte/block", 1020.0),
        ("8", "Kbyte", 8000),
        ("nan", "%", math.nan),
    ],
)
def test_scaled_units_become_base_units(read, printed: str, unit: str, expected: float) -> None:
    (profile,) = read(build.details([build.detail("x__y.avg", unit, printed)])).profiles
    value = profile.metrics["x__y.avg"]
    assert value == expected or (math.isnan(expected) and math.isnan(value))
    assert isinstance(value, type(expected))


def test_scaled_units_are_noticed(read) -> None:
    report = read(build.details([build.detail(DURATION, "us", "211.94")]))
    assert any("--print-units base" in notice for notice in report.notices)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(st.integers(0, 10**13), min_size=2, max_size=8),
    locale=st.sampled_from([(".", ","), (",", "."), (",", " "), (",", "\u202f"), (".", "'")]),
    unit=st.sampled_from(
        [
            "ns",
            "us",
            "ms",
            "second",
            "byte",
            "Kbyte",
            "Gbyte",
            "Gbyte/second",
            "cycle/nsecond",
            "%",
            "inst/cycle",
            "",
        ]
    ),
    page=st.sampled_from(["raw", "details"]),
)
def test_numbers_survive_every_unit_and_locale(read, values, locale, unit, page) -> None:
    """Print hundredths in a unit and a locale; read base units, exactly."""
    decimal, mark = locale
    numbers = [Fraction(value, 100) for value in values]
    printed = [build.group(value / 100, decimal, mark) for value in values]
    names = [f"unit__metric_{index}.avg" for index in range(len(values))]
    if page == "raw":
        text = build.raw(dict.fromkeys(names, unit), [(build.keys(), printed)])
    else:
        text = build.details(
            [build.detail(name, unit, text) for name, text in zip(names, printed, strict=True)]
        )
    (profile,) = read(text).profiles
    expected = [float(number * parse_unit(unit).factor) for number in numbers]
    assert [profile.metrics[name] for name in names] == expected


def test_a_german_export(read) -> None:
    rows = [
        build.detail(DURATION, "ns", "117.344"),
        build.detail("dram__bytes.sum", "byte", "27.595.520"),
        build.detail(OCCUPANCY, "%", "10,00"),
    ]
    report = read(build.details(rows))
    assert report.profiles[0].metrics == {
        DURATION: 117_344,
        "dram__bytes.sum": 27_595_520,
        OCCUPANCY: 10.0,
    }
    assert any("decimal comma" in notice for notice in report.notices)


def test_an_indian_export(read) -> None:
    report = read(raw_table(1).replace("2,560,000", "25,60,000"))
    assert report.profiles[0].metrics["dram__bytes_read.sum"] == 2_560_000
    assert any("lakhs" in notice for notice in report.notices)


def test_a_table_that_does_not_tell_its_locale_is_refused(read) -> None:
    with pytest.raises(ReportError, match=r"can be 117344 or 117\.344"):
        read(build.details([build.detail("x__y.avg", "ns", "117.344")]))


def test_counters_tell_the_locale(read) -> None:
    (profile,) = read(
        build.details([build.detail("dram__bytes_read.sum", "byte", "2,816")])
    ).profiles
    assert profile.metrics == {"dram__bytes_read.sum": 2816}


SHELLS = {
    "plain": lambda text: text.encode(),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "PowerShell": lambda text: b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "no last line break": lambda text: text.rstrip("\n").encode(),
    "chatter": lambda text: (
        'Max error: 0,0\n"quoted, chatter"\n==PROF== Connected to process 1 (/app)\n'
        '==PROF== Profiling "saxpy" - 0: 0%....50%....100% - 9 passes\n'
        '==PROF== Profiling "saxpy" - 1: 0%....50%....100% - 9 passes\n'
        "==PROF== Disconnected from process 1\n"
        + text.replace('\n"1"', '\n==WARNING== Found outstanding GPU clock reset\ndone: 3, 4\n"1"')
        + "==PROF== Report: x\nTest PASSED\n"
    ).encode(),
    "latin-1 chatter": lambda text: "température: 40 °C\n".encode("latin-1") + text.encode(),
    "semicolons": lambda text: text.replace('","', '";"').encode(),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_change_nothing(read, shell: str) -> None:
    expected = read(raw_table())
    found = read(SHELLS[shell](raw_table()))
    assert found.profiles == expected.profiles


def test_exports_one_after_the_other(read) -> None:
    details = build.details([build.detail(DURATION, "us", "1.50")])
    report = read(raw_table(1) + details + raw_table(1))
    assert report.format == "ncu csv (raw + details)"
    assert [profile.duration_ns for profile in report.profiles] == [211_936, 1500, 211_936]


def test_values_that_are_not_available(read) -> None:
    rows = [
        build.detail("dram__throughput.avg.pct_of_peak_sustained_elapsed", "", "n/a"),
        build.detail("wrong__name.sum", "", "(!) n/a"),
        build.detail(DURATION, "ns", "7"),
    ]
    (profile,) = read(build.details(rows)).profiles
    assert profile.metrics == {DURATION: 7}
    assert any("2 metric(s) were not available" in note for note in profile.notes)


def test_listed_instances_leave_the_total(read) -> None:
    rows = [build.detail(DURATION, "ns", "7"), build.detail("a__b.sum", "inst", "12 (3; 4; 5)")]
    report = read(build.details(rows))
    assert report.profiles[0].metrics["a__b.sum"] == 12
    assert any("instances" in notice for notice in report.notices)


def test_a_shape_in_metrics_only(read) -> None:
    units = {f"launch__grid_dim_{axis}": "" for axis in "xyz"}
    key = (*build.keys()[:7], "", "", "0", "8.0")
    (profile,) = read(build.raw(units, [(key, ("4", "2", "1"))])).profiles
    assert (profile.grid, profile.block) == (Dim3(4, 2, 1), None)


def test_nvtx_columns_are_no_metrics(read) -> None:
    title = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
    text = build.raw({title: "", DURATION: "ns"}, [(build.keys(), ("dom:range", "5"))])
    assert read(text).profiles[0].metrics == {DURATION: 5}


def broken() -> dict[str, tuple[str, type[ReportError], str]]:
    table = raw_table()
    lines = table.splitlines(keepends=True)
    log = '==PROF== Profiling "saxpy" - {}: 0%....100% - 9 passes\n'
    return {
        "cut in a cell": (table[:-4], DamagedReportError, "inside a quoted cell"),
        "cut between cells": (table[: table.rindex(',"')], DamagedReportError, "the row is cut"),
        "header only": (lines[0], DamagedReportError, "no rows"),
        "no units": (lines[0] + lines[2], DamagedReportError, "row of units is missing"),
        "no name": (
            table.replace("saxpy(int, float, const float *, float *)", ""),
            DamagedReportError,
            "without a kernel name",
        ),
        "no metrics": (
            build.details([build.detail(DURATION, "ns", "n/a")]),
            DamagedReportError,
            "no metric value",
        ),
        "row too long": (
            lines[0] + lines[1] + lines[2][:-1] + ',"1"\n',
            DamagedReportError,
            "too long",
        ),
        "launch twice": (table + lines[2], DamagedReportError, "two rows"),
        "title twice": (
            table.replace('"Device"', '"CC"'),
            DamagedReportError,
            "two columns are titled",
        ),
        "bad size": (table.replace("(16, 1, 1)", "(16, 1)"), DamagedReportError, "is no size"),
        "sizes disagree": (
            build.details([build.detail("Grid Size", "", "17")]),
            DamagedReportError,
            "launch__grid_size is 17",
        ),
        "bad number": (table.replace("2,560,000", "2,5600,00"), DamagedReportError, "not a number"),
        "word for a number": (table.replace("61.30", "many"), DamagedReportError, "no number"),
        "no ID": (
            build.quoted(("Kernel Name", *build.METRIC)),
            DamagedReportError,
            "no column 'ID'",
        ),
        "fewer than the log says": (
            "".join(log.format(n) for n in range(3)) + table,
            DamagedReportError,
            "3 profiled launches, the table holds 2",
        ),
        "quotes": (
            table.replace('"CachePreferNone"', '"Cache"Prefer"None"'),
            DamagedReportError,
            "not a CSV row",
        ),
        "NUL": (table.replace("CachePreferNone", "\x00"), ReportError, ""),
        "unquoted end": (
            table.replace('"', "")
            .replace("(256, 1, 1)", "")
            .replace("(16, 1, 1)", "")
            .replace(", ", " ")
            .replace("2,560,000", "2560000")
            .replace("211,936", "211936")
            .replace("1,024", "1024")[:-2],
            DamagedReportError,
            "may be cut",
        ),
        "no permission": (
            "==PROF== Connected to process 1\n==ERROR== ERR_NVGPUCTRPERM - The user\n",
            ReportError,
            "ERR_NVGPUCTRPERM",
        ),
        "no kernels": (
            "==PROF== Connected to process 1\n==WARNING== No kernels were profiled.\n",
            UnknownFormatError,
            "No kernels were profiled",
        ),
        "text page": (
            "==PROF== Connected\n  k, Context 1\n    Section: GPU Speed Of Light\n",
            UnknownFormatError,
            "--csv --page raw",
        ),
    }


@pytest.mark.parametrize(
    ("text", "kind", "message"), [pytest.param(*case, id=name) for name, case in broken().items()]
)
def test_broken_tables_are_refused_with_a_reason(
    read, text: str, kind: type[ReportError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_log_with_errors_explains_missing_launches(read) -> None:
    log = '==PROF== Profiling "saxpy" - 0: 0%....100%\n' * 3
    report = read(log + "==ERROR== Failed to profile kernel\n" + raw_table())
    assert any("3 profiled launches" in notice for notice in report.notices)


def test_a_last_launch_with_fewer_metrics_is_noticed(read) -> None:
    rows = [
        build.detail(name, "ns", "5", launch=launch)
        for launch in range(3)
        for name in ("a__b.sum", "c__d.sum")
    ]
    assert read(build.details(rows)).notices == ()
    (notice,) = read(build.details(rows[:-1])).notices
    assert "1 metric(s) are missing in 1 of 3 launches" in notice
    assert "launch 2: Command line profiler metrics: c__d.sum" in notice


@pytest.mark.parametrize(
    "limits",
    [Limits(launches=1), Limits(metrics_per_launch=3)],
)
def test_limits(read, limits: Limits) -> None:
    with pytest.raises(LimitExceededError):
        read(raw_table(), limits)


def test_control_characters_in_names_are_removed(read) -> None:
    text = build.raw({DURATION: "ns"}, [(build.keys(kernel="k\x1b[31m\u202ex(int)"), ("5",))])
    assert read(text).profiles[0].kernel == "k[31mx"
