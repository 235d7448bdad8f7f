"""Readers tell what a report's own counts show to be missing."""

from __future__ import annotations

import math
from pathlib import Path

import csv_builder as build
import ncurep_builder as ncurep
import pytest

from kernprof.errors import ReportError
from kernprof.profile import Report
from kernprof.reports import load
from kernprof.reports.losses import Held, gaps, listed, unlike

DURATION = "gpu__time_duration.sum"


@pytest.fixture
def read(tmp_path: Path):
    def reader(content: str | bytes) -> Report:
        path = tmp_path / "report"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load(path)

    return reader


def raw_table(numbers: list[int], process: int = 1) -> str:
    units = {DURATION: "ns", "dram__bytes_read.sum": "byte"}
    return build.raw(
        units, [(build.keys(number, process=process), ("700", "512")) for number in numbers]
    )


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([], None),
        ([0, 1, 2], None),
        ([2, 0, 1], None),
        ([0, 2], "1 of them are missing (1)"),
        ([3, 4, 9], "7 of them are missing (0-2, 5-8)"),
        ([1, 3, 5, 7], "4 of them are missing (0, 2, 4)"),
    ],
)
def test_gaps(numbers: list[int], told: str | None) -> None:
    found = gaps(numbers, "launches")
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_launches_unlike_the_others_of_their_group() -> None:
    sound = [Held(f"launch {index}", "a", {"x", "y"}) for index in range(3)]
    alone = Held("launch 3", "b", {"x"})
    assert unlike([*sound, alone]) == []
    (notice,) = unlike([*sound, Held("launch 3", "a", {"x", "z"})])
    assert "1 metric(s) are missing in 1 of 4 launches" in notice
    assert "launch 3: y" in notice
    (notice,) = unlike([Held("launch 0", "a", {"x"}), Held("launch 1", "a", {"x", "y"})])
    assert "launch 0: y" in notice


def test_a_list_of_names_ends_somewhere() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcdef") == "a, b, c and 3 more"


def test_missing_ids_of_an_export_are_told(read) -> None:
    assert read(raw_table([0, 1, 2])).notices == ()
    (notice,) = read(raw_table([0, 2])).notices
    assert "IDs of the launches go up to 2, but 1 of them are missing (1)" in notice


@pytest.mark.parametrize("second", [[0, 1], [2, 3]])
def test_ids_count_in_a_process_or_in_the_run(read, second: list[int]) -> None:
    rows = [
        build.detail(DURATION, "ns", "7", launch=number, process=process)
        for process, numbers in ((1, [0, 1]), (2, second))
        for number in numbers
    ]
    assert read(build.details(rows)).notices == ()


def test_a_damaged_row_is_told(read) -> None:
    table = raw_table([0, 1, 2])
    at = table.index('"2","1","app"')
    found = read(table[:at] + "#" + table[at + 1 :])
    assert len(found.profiles) == 2
    assert any("1 line(s) below the header look like damaged rows" in n for n in found.notices)
    assert read(table.replace('"1","1"', 'step 7, loss 0.5\n"1","1"')).notices == ()


def test_a_row_of_a_label_that_no_table_knows_is_missed(read) -> None:
    rows = [
        build.detail(label, "%", "5", "Speed", launch=number)
        for number in range(3)
        for label in ("SOL FB", "Duration%")
    ]
    assert read(build.details(rows)).notices == ()
    (notice,) = read(build.details(rows[1:])).notices
    assert "launch 0: Speed: SOL FB" in notice


@pytest.mark.parametrize("title", ["Block Sise", "dram__bytes\x7fread.sum", "7", "d\ufffdm__x"])
def test_a_title_that_is_no_name_is_told(read, title: str) -> None:
    (notice,) = read(raw_table([0]).replace("dram__bytes_read.sum", title)).notices
    assert "1 column(s) have titles that are no metric names" in notice


@pytest.mark.parametrize("encode", [str.encode, lambda text: text.encode("utf-16")])
def test_a_last_line_without_a_break_is_told(read, encode) -> None:
    assert read(encode(raw_table([0]))).notices == ()
    (notice,) = read(encode(raw_table([0])[:-1])).notices
    assert "no line break" in notice


def test_a_column_twice_follows_the_rule_of_repeats(read) -> None:
    units = (DURATION, "dram__bytes_read.sum", DURATION)
    for later, duration, notes in (("700", 700, 0), ("701", 701, 1)):
        text = build.quoted((*build.KEYS, *units))
        text += build.quoted((*("" for _ in build.KEYS), "ns", "byte", "ns"))
        text += build.quoted((*build.keys(), "700", "512", later))
        (profile,) = read(text).profiles
        assert profile.duration_ns == duration
        assert len(profile.notes) == notes


METRICS = [
    ("2", "inst_executed", "Instructions Executed", "1000", "3000", "2000"),
    ("2", "achieved_occupancy", "Achieved Occupancy", "0.500000", "0.700000", "0.600000"),
]


def nvprof_csv() -> str:
    rows = [("P100 (0)", kernel, *row) for kernel in ("a", "b", "c") for row in METRICS]
    return build.nvprof_metrics_csv(rows)


def test_a_kernel_with_fewer_counters_is_told(read) -> None:
    assert read(nvprof_csv()).notices == ()
    (notice,) = read(nvprof_csv()[: nvprof_csv().rindex('"P100')]).notices
    assert "1 metric(s) are missing in 1 of 3 launches" in notice
    assert "kernel c: achieved_occupancy" in notice


def test_a_name_that_nvprof_has_not_is_told(read) -> None:
    (notice,) = read(nvprof_csv().replace('"inst_executed"', '"inst_exemuted"')).notices
    assert "1 metric(s) have names that nvprof's list does not hold (inst_exemuted)" in notice
    printed = "==kernprof== source: published\n" + nvprof_csv()
    ours = printed.replace('"inst_executed"', '"compute_utilization_pct"')
    assert read(ours).notices == ()
    assert "1 metric(s) have names" in read(printed.replace('"inst_e', '"inst_o')).notices[0]


def test_a_blank_line_between_rows_is_told(read) -> None:
    text = build.nvprof_metrics_text({"k": METRICS})
    at = text.index("          2", text.index("inst_executed"))
    (notice,) = read(text[:at] + "   \n" + text[at:]).notices
    assert "1 blank line(s) stand between rows of a table" in notice
    assert read(text + "\n\ndone\n").notices == ()


def test_rows_outside_of_a_table_are_told(read) -> None:
    text = nvprof_csv()
    at = text.index('"P100 (0)","b"')
    (lost,) = [n for n in read(text[:at] + "\n" + text[at + 11 :]).notices if "look like rows" in n]
    assert "4 line(s) outside of the tables" in lost
    assert read(text + "\nloss 0.5, step 7\ndone\n").notices == ()


def test_a_section_whose_table_has_no_header_is_told(read) -> None:
    events = build.nvprof_metrics_text(
        {"k": [("2", "active_cycles", "1", "3", "2", "4")]}, heading="Event"
    )
    metrics = build.nvprof_metrics_text({"k": METRICS})
    assert read(events + metrics).notices == ()
    damaged = events.replace("Event Name", "Event NaMe") + metrics
    assert any("1 result section(s) hold no table" in n for n in read(damaged).notices)


def test_a_summary_that_adds_up_needs_no_line_break(read) -> None:
    text = build.SUMMARY_TEXT[:-1] + "()"
    assert not any("line break" in notice for notice in read(text).notices)
    assert any("line break" in notice for notice in read(build.TRACE_CSV[:-1]).notices)


@pytest.fixture
def export(tmp_path: Path):
    def write(*extra: str) -> tuple[str, ...]:
        path = tmp_path / "export"
        build.database(path, extra=extra)
        return load(path).notices

    return write


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "DELETE FROM CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL",
            "1 row(s) were written and are not in the file any more (CUPTI_ACTIVITY_KIND_CONC",
        ),
        (
            "DELETE FROM CUPTI_ACTIVITY_KIND_PC_SAMPLING WHERE _id_ < 3",
            "2 row(s) were written and are not in the file any more (CUPTI_ACTIVITY_KIND_PC_SAM",
        ),
        (
            "INSERT INTO sqlite_sequence VALUES('CUPTI_ACTIVITY_KIND_CDP_KERNEL', 4)",
            "4 row(s) were written",
        ),
        (
            "UPDATE CUPTI_ACTIVITY_KIND_METRIC SET correlationId = 5 WHERE _id_ = 1",
            "METRIC has values of 1 launch(es)",
        ),
        (
            "DROP TABLE CUPTI_ACTIVITY_KIND_BRANCH",
            "1 table(s) that nvprof writes, empty ones too, are not in the file",
        ),
        (
            "DELETE FROM CUPTI_ACTIVITY_KIND_PC_SAMPLING_RECORD_INFO",
            "1 launch(es) have PC samples without the record",
        ),
        (
            "UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET deviceId = 3",
            "1 device(s) with launches have no record",
        ),
        (
            "UPDATE CUPTI_ACTIVITY_KIND_PC_SAMPLING SET functionId = 9 WHERE _id_ = 1",
            "1 function(s) with source-level results have no record",
        ),
    ],
)
def test_what_an_export_lacks_is_told(export, statement: str, told: str) -> None:
    sound = export()
    found = [notice for notice in export(statement) if notice not in sound]
    assert any(told in notice for notice in found), found


def test_damage_outside_the_tables_that_are_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    build.database(
        path, extra=["CREATE TABLE other(x)", "INSERT INTO other VALUES(zeroblob(9000))"]
    )
    content = bytearray(path.read_bytes())
    assert not any("damaged" in notice for notice in load(path).notices)
    connection = build.sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name='other'").fetchone()
    connection.close()
    content[(root - 1) * 4096] = 0
    path.write_bytes(content)
    found = load(path)
    assert len(found.profiles) == 2
    assert any("SQLite finds the file damaged" in notice for notice in found.notices)


GOOD = {"gpu__time_duration.sum": 2048.0, "sm__warps_active.avg": 12.5}


def launches(count: int, **fields) -> list[ncurep.Launch]:
    return [ncurep.Launch(kernel=f"k{index}", metrics=GOOD, **fields) for index in range(count)]


@pytest.mark.parametrize("position", [0, 20, 44])
def test_a_failed_launch_costs_no_other(read, position: int) -> None:
    every = launches(44)
    nan = dict.fromkeys(GOOD, math.nan)
    every.insert(position, ncurep.Launch(kernel="broken", block=(0, 0, 0), metrics=nan))
    report = read(ncurep.report(every))
    assert [p.kernel for p in report.profiles] == [f"k{index}" for index in range(44)]
    numbers = [int(p.origin.rpartition("#")[2]) for p in report.profiles]
    assert numbers == [n for n in range(45) if n != position]
    (notice,) = report.notices
    assert notice.startswith("1 launch(es) failed under the profiler and are left out: launch ")
    assert f"launch {position} (broken, 2 metrics)" in notice


def test_a_report_of_failed_launches_only_is_no_report(read) -> None:
    with pytest.raises(ReportError, match="no kernel launch succeeded"):
        read(ncurep.report(launches(1, block=(0, 0, 0))))


def test_a_launch_with_fewer_metrics_is_told(read) -> None:
    assert read(ncurep.report(launches(3))).notices == ()
    every = [*launches(3), ncurep.Launch(kernel="less", metrics={DURATION: 1.0})]
    (notice,) = read(ncurep.report(every)).notices
    assert "missing in 1 of 4 launches" in notice
    assert "launch 3: sm__warps_active.avg" in notice


def whole(launch: ncurep.Launch, names: list[str], header: bytes = b"") -> bytes:
    ids = {name: index for index, name in reversed(list(enumerate(names)))}
    block = ncurep.block(strings=names, results=[ncurep.result(launch, ids)], extra=header)
    return ncurep.head() + ncurep.block(session=ncurep.session()) + block


def test_names_without_a_metric_are_told(read) -> None:
    launch = ncurep.Launch(metrics=GOOD)
    assert read(whole(launch, list(GOOD))).notices == ()
    (notice,) = read(whole(launch, [*GOOD, "a__b.sum"])).notices
    assert "1 of 3 metric names stand in the report without a metric (a__b.sum)" in notice
    (notice,) = read(whole(launch, [*GOOD, DURATION])).notices
    assert "1 metric name(s) stand in the report twice" in notice


def test_fields_that_no_release_writes_are_told(read) -> None:
    for number, told in ((40, True), (13 + 32, True), (36, False), (31, False)):
        launch = ncurep.Launch(metrics=GOOD, extra=ncurep.text(number, b"abc"))
        notices = read(whole(launch, list(GOOD))).notices
        assert bool(notices) == told
        assert not told or "1 field(s) of ProfileResult messages" in notices[0]
    metric = ncurep.text(13, ncurep.integer(1, 0) + ncurep.text(10, ncurep.scalar(2.0)))
    launch = ncurep.Launch(metrics={"sm__warps_active.avg": 1.0}, extra=metric)
    (notice,) = read(whole(launch, [DURATION, "sm__warps_active.avg"])).notices
    assert "1 field(s) of Metric messages" in notice
    (notice,) = read(whole(ncurep.Launch(metrics=GOOD), list(GOOD), ncurep.integer(12, 1))).notices
    assert "1 field(s) of BlockHeader messages" in notice


def test_instances_that_do_not_make_their_total_are_told(read) -> None:
    def report(total: float, name: str = "inst_executed") -> Report:
        table = {0x7F00 + 16 * n: 10 + n for n in range(4)}
        launch = ncurep.Launch(metrics={**GOOD, name: total}, instances={name: table})
        return read(ncurep.report([launch]))

    assert report(46).notices == ()
    assert report(46.0).notices == ()
    assert report(47, "some__other_metric").notices == ()
    (notice,) = report(59).notices
    assert "the instances of 1 metric(s) do not add up to the total (inst_executed)" in notice


def test_a_family_member_with_fewer_instances_is_told(read) -> None:
    def report(lost: int) -> Report:
        names = [f"smsp__pcsamp_warps_issue_stalled_{reason}" for reason in ("wait", "barrier")]
        tables = {name: dict.fromkeys(range(0x7F00, 0x7F40, 16), 0) for name in names}
        for key in list(tables[names[1]])[:lost]:
            del tables[names[1]][key]
        launch = ncurep.Launch(metrics={**GOOD, **dict.fromkeys(names, 0)}, instances=tables)
        return read(ncurep.report([launch]))

    assert report(0).notices == ()
    (notice,) = report(1).notices
    assert "1 metric(s) have fewer instances than the others of their family" in notice


def test_a_launch_told_as_a_source_is_told(read) -> None:
    launch = ncurep.Launch(metrics=GOOD)
    ids = ncurep.names_of([launch])
    sound = ncurep.result(launch, ids)
    first = ncurep.block(strings=ids, results=[sound])
    other = ncurep.block(sources=[ncurep.integer(1, 5) + ncurep.text(19, b"")])
    found = read(ncurep.head() + ncurep.block(session=ncurep.session()) + first + other)
    assert any("1 field(s) of SourceData messages" in notice for notice in found.notices)


def test_a_report_without_a_session_is_told(read) -> None:
    ids = ncurep.names_of(launches(1))
    block = ncurep.block(strings=ids, results=[ncurep.result(launches(1)[0], ids)])
    (notice,) = read(ncurep.head() + block).notices
    assert "neither its profiler nor its driver" in notice


def test_public_reports_agree_with_themselves(shared_reports: Path) -> None:
    for path in sorted(shared_reports.glob("*.ncu-rep"))[::4]:
        told = [n for n in load(path).notices if "without a metric" not in n]
        assert told == [], path


@pytest.mark.parametrize("name", ["sm__x\x00y.sum", "sm__x\\y", "#"])
def test_a_metric_name_that_is_none_is_told(read, name: str) -> None:
    (notice,) = read(ncurep.report([ncurep.Launch(metrics={**GOOD, name: 1.0})])).notices
    assert "1 metric name(s) are none as a profiler has them" in notice


def test_a_metric_among_the_sources_is_told(read) -> None:
    metric = ncurep.text(15, ncurep.integer(1, 0) + ncurep.text(2, ncurep.scalar(2.0)))
    (notice,) = read(whole(ncurep.Launch(metrics=GOOD, extra=metric), list(GOOD))).notices
    assert "1 field(s) of SourceReference messages" in notice


def test_a_trace_without_a_column_is_told(read) -> None:
    assert not any("column(s)" in notice for notice in read(build.TRACE_CSV).notices)
    damaged = build.TRACE_CSV.replace("Registers Per", "Pegisters Per")
    assert any(
        "missing in this one, or have other titles: registers" in n for n in read(damaged).notices
    )
