"""Damaged text and SQLite reports: a reason, or values that the sound file has too."""

from __future__ import annotations

from pathlib import Path

import damage_text
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_damage import run_all

from kernprof.errors import ReportError
from kernprof.profile import Report
from kernprof.reports import load

SAMPLES = damage_text.samples()
TEXTS = sorted(set(SAMPLES) - {"nvprof sqlite"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


def read(folder: Path, content: bytes) -> Report | ReportError:
    path = folder / "report"
    path.write_bytes(content)
    try:
        return load(path)
    except ReportError as error:
        assert error.reason
        assert "\n" not in str(error)
        return error


@pytest.mark.parametrize("name", SAMPLES)
def test_the_sound_files_are_sound(folder: Path, name: str) -> None:
    report = read(folder, SAMPLES[name])
    assert isinstance(report, Report), report
    assert all(profile.kernel and profile.metrics for profile in report.profiles)


@pytest.mark.parametrize("name", TEXTS)
def test_a_cut_file_never_gives_a_wrong_value(folder: Path, name: str) -> None:
    """Cut at every byte: refused, or every launch and value is one of the whole file's."""
    whole = read(folder, SAMPLES[name])
    assert isinstance(whole, Report)
    refused = 0
    for length in range(1, len(SAMPLES[name])):
        report = read(folder, SAMPLES[name][:length])
        if isinstance(report, ReportError):
            refused += 1
            continue
        for found, expected in zip(report.profiles, whole.profiles, strict=False):
            assert (found.kernel, found.demangled) == (expected.kernel, expected.demangled), length
            assert found.launches == expected.launches
            assert found.metrics.items() <= expected.metrics.items(), length
            assert found.spread.items() <= expected.spread.items(), length
        assert len(report.profiles) <= len(whole.profiles)
    assert refused > 0.75 * len(SAMPLES[name])


def test_damaged_reports_through_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = list(damage_text.cases())
    assert len(inputs) >= 600
    outcomes = run_all(tmp_path, inputs)
    for label, row in outcomes.items():
        told = f"{label}: {row}"
        assert row["code"] in (0, 3), told
        assert "Traceback" not in row["stderr"], told
        if row["code"] == 3:
            assert row["stderr"].splitlines()[-1].startswith("kernprof: error: "), told
            assert row["stdout_bytes"] == 0, told
        else:
            assert row["launches"] > 0, told
    refused = sum(row["code"] == 3 for row in outcomes.values())
    slowest = max(outcomes.items(), key=lambda item: item[1]["seconds"])
    with capsys.disabled():
        print(
            f"\n{len(inputs)} damaged text and SQLite reports: {refused} refused; slowest "
            f"{slowest[1]['seconds']} s ({slowest[0]}); limits 10 s and 1 GiB each"
        )
    assert refused > len(inputs) / 2


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_change_is_a_report_error_or_a_report(data: st.DataObject, folder: Path) -> None:
    content = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(["set", "drop", "insert", "cut"]))
        if kind == "set" and content:
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del content[at : at + data.draw(st.integers(1, 40))]
        elif kind == "insert":
            piece = st.sampled_from(
                [b'"', b",", b"\n", b"  ", b"-", b"9", b"==", b"\xff", b"(", b"%"]
            )
            content[at:at] = data.draw(piece)
        else:
            del content[at:]
    report = read(folder, bytes(content))
    if isinstance(report, Report):
        assert all(profile.kernel and profile.metrics for profile in report.profiles)


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(
        [
            b"",
            b"\xff\xfe",
            b'"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n',
            b'"ID","Kernel Name","a__b.sum"\n"","",""\n',
            b"==1== NVPROF is profiling process 1\n",
            b"Time(%)      Time     Calls       Avg       Min       Max  Name\n",
            b"Invocations  Metric Name  Metric Description  Min  Max  Avg\n",
            b"SQLite format 3\x00CUPTI_ACTIVITY_KIND_",
        ]
    ),
    garbage=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)),
)
def test_garbage_is_a_report_error(start: bytes, garbage: bytes, folder: Path) -> None:
    assert isinstance(read(folder, start + garbage), ReportError)
