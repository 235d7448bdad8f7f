"""nvprof's SQLite export, sound, hostile and damaged."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import csv_builder as build
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
    UnsupportedVersionError,
)
from kernprof.profile import Dim3, Report, SharedMemory
from kernprof.reports import Limits, load
from kernprof.reports.nvprof import database
from kernprof.reports.nvprof.activities import unwrap
from kernprof.reports.nvprof.database import Database
from kernprof.stalls.breakdown import breakdown


@pytest.fixture
def write(tmp_path: Path):
    def writer(*extra: str, cc: tuple[int, int] = (6, 0)) -> Path:
        path = tmp_path / "analysis #1?.nvprof"
        build.database(path, cc=cc, extra=extra)
        return path

    return writer


def profiles(report: Report):
    return {profile.kernel: profile for profile in report.profiles}


def test_launches(write) -> None:
    report = load(write())
    assert report.format == "nvprof sqlite (schema 12)"
    assert [profile.kernel for profile in report.profiles] == ["gemv2T", "plain"]
    first, second = report.profiles
    assert first.mangled == "_Z6gemv2TPKfPf"
    assert (first.grid, first.block, first.registers) == (Dim3(40, 2, 1), Dim3(128), 32)
    assert first.shared_mem == SharedMemory(1024, 0)
    assert first.duration_ns == 1500
    assert (first.gpu.name, first.gpu.cc, first.gpu.sm_count) == ("Tesla P100-PCIE-16GB", "6.0", 56)
    assert first.gpu.attributes["warp_size"] == 32
    assert first.metrics["launch__thread_count"] == 10_240
    assert not second.instances
    assert "3 metric value(s) are left out" in report.notices[0]
    assert "--import-profile" in report.notices[0]
    assert report.notices[1] == "1 copies and memsets are left out"


def test_samples_give_the_stall_table(write) -> None:
    profile = load(write()).profiles[0]
    metrics = profile.metrics
    assert metrics["pcsamp_stall_memory_dependency"] == 120
    assert metrics["pcsamp_stall_none"] == 20
    assert metrics["pcsamp_latency_stall_memory_dependency"] == 60
    assert metrics["pcsamp_samples"] == 210
    assert metrics["pcsamp_dropped_samples"] == 1
    table = profile.instances["pcsamp_stall_memory_dependency"]
    assert list(zip(table.keys, table.values, strict=True)) == [(0, 100), (16, 20)]
    found = breakdown(profile)
    assert found is not None
    assert found.family.name == "nvprof_samples"
    assert found.shares_pct == pytest.approx(
        {
            "memory_dependency": 100 * 120 / 180,
            "exec_dependency": 100 * 50 / 180,
            "sync": 100 * 10 / 180,
        }
    )


def test_executions_give_the_efficiencies(write) -> None:
    profile = load(write()).profiles[0]
    assert tuple(profile.instances["inst_executed"].values) == (100, 100)
    assert tuple(profile.instances["thread_inst_executed"].values) == (3200, 1600)
    assert profile.metrics["smsp__thread_inst_executed_per_inst_executed.ratio"] == 24.0
    assert profile.metrics["smsp__thread_inst_executed_pred_on_per_inst_executed.ratio"] == 20.0


@pytest.mark.parametrize(("cc", "expected"), [((6, 1), 75.0), ((7, 0), 80.0)])
def test_branch_efficiency_by_the_definition_of_the_gpu(write, cc, expected: float) -> None:
    """Of 100 branches 25 diverge: 75/100 up to 6.x, and 100/125 on 7.x."""
    profile = load(write(cc=cc)).profiles[0]
    assert profile.metrics["branch_efficiency"] == expected


def test_machine_code(write) -> None:
    profile = load(write()).profiles[0]
    assert profile.code is not None
    assert (profile.code.cubin, profile.code.symbol_index, profile.code.base_address) == (
        build.CUBIN,
        5,
        0,
    )


@given(executed=st.integers(0, 2**36), lanes=st.integers(1, 32), data=st.data())
def test_wrapped_counters_come_back_or_are_not_known(executed: int, lanes: int, data) -> None:
    threads = (
        executed * lanes if lanes == 32 else data.draw(st.integers(executed, executed * lanes))
    )
    low = executed % 2**32
    signed = low - 2**32 if low >= 2**31 else low
    for written in (low, signed):
        found = unwrap(written, threads)
        assert found in (executed, None)
        if executed < 2**27:
            assert found == executed


def test_an_impossible_counter_is_not_known() -> None:
    assert unwrap(10, 9) is None
    assert unwrap(10, 321) is None


def test_unknown_executions_are_nan_and_leave_out_the_ratio(write) -> None:
    # 4 294 967 306 or 10 executions: both fit this many threads.
    path = write(
        "UPDATE CUPTI_ACTIVITY_KIND_INSTRUCTION_EXECUTION SET executed = 1000000000, "
        "threadsExecuted = 6000000000 WHERE pcOffset = 0"
    )
    profile = load(path).profiles[0]
    first, second = profile.instances["inst_executed"].values
    assert math.isnan(first)
    assert second == 100
    assert "smsp__thread_inst_executed_per_inst_executed.ratio" not in profile.metrics
    assert any("executions of 1 instruction(s) are not known" in note for note in profile.notes)


def test_results_of_called_functions_have_keys_of_their_own(write) -> None:
    path = write(
        "INSERT INTO StringTable VALUES(9, '_Z6helperf')",
        "INSERT INTO CUPTI_ACTIVITY_KIND_FUNCTION VALUES(NULL, 4, 1, 16, 6, 9)",
        "INSERT INTO CUPTI_ACTIVITY_KIND_PC_SAMPLING VALUES(NULL, 0, 1, 7, 4, 0, 3, 4, 32)",
    )
    table = load(path).profiles[0].instances["pcsamp_stall_memory_dependency"]
    assert list(zip(table.keys, table.values, strict=True)) == [
        (0, 100),
        (16, 20),
        ("_Z6helperf+0x20", 3),
    ]


def test_a_code_that_no_table_knows_is_kept(write) -> None:
    path = write(
        "UPDATE CUPTI_ACTIVITY_KIND_PC_SAMPLING SET stallReason = 99 WHERE stallReason = 6"
    )
    assert load(path).profiles[0].metrics["pcsamp_stall_code_99"] == 10


def test_launches_without_time_stamps_have_no_duration(write) -> None:
    path = write("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = 0, end = 0")
    assert profiles(load(path))["gemv2T"].duration_ns is None


def test_results_without_their_launch_are_noticed(write) -> None:
    report = load(write("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET correlationId = 70"))
    assert any("source-level results of 1 launch" in notice for notice in report.notices)


HOSTILE = {
    "view for a table": (
        [
            "ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL RENAME TO hidden",
            "CREATE VIEW CUPTI_ACTIVITY_KIND_KERNEL AS SELECT * FROM hidden",
        ],
        DamagedReportError,
        "is a view",
    ),
    "endless view": (
        [
            "DROP TABLE CUPTI_ACTIVITY_KIND_PC_SAMPLING",
            "CREATE VIEW CUPTI_ACTIVITY_KIND_PC_SAMPLING AS WITH RECURSIVE r(correlationId) AS "
            "(SELECT 1 UNION ALL SELECT correlationId FROM r) SELECT * FROM r",
        ],
        DamagedReportError,
        "is a view",
    ),
    "virtual table": (
        [
            "DROP TABLE CUPTI_ACTIVITY_KIND_BRANCH",
            "CREATE VIRTUAL TABLE CUPTI_ACTIVITY_KIND_BRANCH USING fts5(executed)",
        ],
        DamagedReportError,
        "is a virtual table",
    ),
    "text for a number": (
        ["UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET gridX = 'many'"],
        DamagedReportError,
        "gridX holds str",
    ),
    "real for a number": (
        ["UPDATE CUPTI_ACTIVITY_KIND_PC_SAMPLING SET samples = 0.5"],
        DamagedReportError,
        "samples holds float",
    ),
    "no column": (
        ["ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN gridZ"],
        DamagedReportError,
        "no column gridZ",
    ),
    "no string": (["DELETE FROM StringTable WHERE _id_ = 1"], DamagedReportError, "no string"),
    "no launches": (
        [
            "DELETE FROM CUPTI_ACTIVITY_KIND_KERNEL",
            "DELETE FROM CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL",
        ],
        DamagedReportError,
        "no kernel launch",
    ),
    "no grid": (
        ["UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET gridX = 0"],
        DamagedReportError,
        "impossible size",
    ),
    "ends before it starts": (
        ["UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET end = 1"],
        DamagedReportError,
        "ends before it starts",
    ),
    "one id for two launches": (
        ["UPDATE CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL SET correlationId = 7"],
        DamagedReportError,
        "correlation id 7",
    ),
    "instruction twice": (
        ["UPDATE CUPTI_ACTIVITY_KIND_INSTRUCTION_EXECUTION SET pcOffset = 0"],
        DamagedReportError,
        "is twice",
    ),
    "negative samples": (
        ["UPDATE CUPTI_ACTIVITY_KIND_PC_SAMPLING SET samples = -5"],
        DamagedReportError,
        "negative",
    ),
    "cubin of another length": (
        ["UPDATE CUPTI_ACTIVITY_KIND_MODULE SET cubinSize = 5"],
        DamagedReportError,
        "5 are told",
    ),
    "no strings": (["DROP TABLE StringTable"], UnsupportedVersionError, "StringTable"),
    "Nsight Systems": (
        ["ALTER TABLE StringTable RENAME TO StringIds"],
        UnsupportedVersionError,
        "Nsight Systems",
    ),
}


@pytest.mark.parametrize(
    ("statements", "kind", "message"),
    [pytest.param(*case, id=name) for name, case in HOSTILE.items()],
)
def test_hostile_content_is_refused_with_a_reason(
    write, statements: list[str], kind: type[ReportError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        load(write(*statements))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_refused(write) -> None:
    path = write()
    content = path.read_bytes()
    for size in (len(content) - 1, len(content) // 2, 4096, 200, 50):
        path.write_bytes(content[:size])
        with pytest.raises(ReportError):
            load(path)


def test_nothing_is_written(write) -> None:
    path = write()
    before = path.read_bytes()
    load(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_in_wal_mode_is_read_without_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "wal.nvprof"
    build.database(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert len(load(path).profiles) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["wal.nvprof"]


def test_the_connection_allows_nothing_but_reading(write) -> None:
    with Database(write(), cell_bytes=1 << 20) as opened:
        for statement in (
            "DELETE FROM StringTable",
            "ATTACH ':memory:' AS other",
            "PRAGMA writable_schema = ON",
            "SELECT load_extension('x')",
            "SELECT randomblob(1000000000)",
            "CREATE TEMP TABLE t(x)",
        ):
            with pytest.raises(DamagedReportError, match="SQLite can't read it"):
                list(opened._rows(statement, ()))


def test_reading_ends_when_the_time_is_over(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SECONDS", -1.0)
    monkeypatch.setattr(database, "_STEPS", 1)
    with pytest.raises(LimitExceededError, match="takes more than"):
        load(write())


def test_limits(write, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceededError, match="more than 1 launches"):
        load(write(), limits=Limits(launches=1))
    with pytest.raises(LimitExceededError, match="too large"):
        load(write(), limits=Limits(entry_bytes=60))
    monkeypatch.setattr(database, "ROWS", 2)
    with pytest.raises(LimitExceededError, match="more than 2 rows"):
        load(write())
