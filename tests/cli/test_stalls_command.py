from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reports"))
import damage
import ncurep_builder as build

from kernprof import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.ncu-rep"
    path.write_bytes(damage.sound())
    return path


@pytest.fixture
def repeated(tmp_path: Path) -> Path:
    path = tmp_path / "repeated.ncu-rep"
    launches = [build.Launch(metrics={"gpu__time_duration.sum": 1000.0 * n}) for n in (2, 3, 4)]
    path.write_bytes(build.report(launches))
    return path


def run(*arguments: object) -> int:
    return main(["stalls", *(str(a) for a in arguments)])


def document(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_the_table_names_source_classes_and_verdict(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(report) == 0
    out = capsys.readouterr().out
    for text in ("kernel_0", "imported", "Memory dependency %", "Bound by", "classes: paper"):
        assert text in out


def test_json_has_one_profile_a_launch(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report, "--format", "json") == 0
    found = document(capsys)
    assert [p["origin"] for p in found["profiles"]] == [f"report.ncu-rep#{n}" for n in range(3)]
    for profile in found["profiles"]:
        table = profile["table_v"]
        assert sum(
            table[k]
            for k in (
                "memory_dependency_pct",
                "instruction_dependency_pct",
                "synchronization_pct",
                "others_pct",
            )
        ) == pytest.approx(100)


def test_csv_and_markdown(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["kernel"] for row in rows] == ["kernel_0", "kernel_1", "kernel_2"]
    assert rows[0]["occupancy_pct"] == ""
    assert float(rows[0]["stall_wait_pct"]) > 0
    assert run(report, "--format", "md") == 0
    assert "| kernel\\_1 |" in capsys.readouterr().out


def test_repeated_launches_are_grouped_in_the_table_only(
    repeated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repeated) == 0
    shown = capsys.readouterr().out
    assert "#0,1,2 (3x)" in shown
    assert "3.00 us (2.00 us-4.00 us)" in shown
    assert run(repeated, "--format", "json") == 0
    assert len(document(capsys)["profiles"]) == 3
    assert run(repeated, "--format", "json", "--group") == 0
    (only,) = document(capsys)["profiles"]
    assert (only["launches"], only["duration_ns"]) == (3, 3000)
    assert only["spread"]["duration_ns"] == [2000, 4000]
    assert run(repeated, "--no-group") == 0
    assert "(3x)" not in capsys.readouterr().out


def test_launches_are_chosen(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report, "--kernel", "_1$", "--format", "json") == 0
    assert [p["kernel"] for p in document(capsys)["profiles"]] == ["kernel_1"]
    assert run(report, "--launch", 2, "--format", "json") == 0
    assert [p["kernel"] for p in document(capsys)["profiles"]] == ["kernel_2"]


def test_the_class_map_is_chosen(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = {}
    for classes in ("paper", "extended"):
        assert run(report, "--classes", classes, "--format", "json") == 0
        first = document(capsys)["profiles"][0]
        assert first["stall_classes"] == classes
        shares[classes] = first["table_v"]["memory_dependency_pct"]
    assert shares["extended"] > shares["paper"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kernel", "nothing"], "kernels here: kernel_0"),
        (["--kernel", "("], "no regular expression"),
        (["--launch", "9"], "launches 0 to 2"),
        (["--family", "nonsense"], "no stall family named"),
        (["--format", "xml"], "xml"),
        (["--top", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_usage_is_exit_2(
    report: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(report, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_an_unreadable_file_is_exit_3_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no\nreport"
    path.write_text("hello")
    assert run(path) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("kernprof: error: ")
    assert run(tmp_path / "missing") == 3
    assert "no such file" in capsys.readouterr().err
    assert run(tmp_path) == 3
    assert "a directory" in capsys.readouterr().err


def test_a_bad_file_among_good_ones_is_told_and_the_others_are_shown(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "missing", report, "--format", "json") == 3
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["profiles"]) == 3
    assert "no such file" in captured.err


def test_debug_shows_where(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file"):
        run(tmp_path / "missing", "--debug")


def test_output_goes_to_a_file(report: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert run(report, "--format", "json", "-o", target) == 0
    assert len(json.loads(target.read_text())["profiles"]) == 3
    assert run(report, "-o", tmp_path / "missing" / "out") == 2


def program(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "kernprof", *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT, **options)


def test_standard_input_is_a_file_too(report: Path) -> None:
    done = program("stalls", "-", "--format", "csv", input=report.read_bytes())
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 4


def test_a_reader_that_goes_away_is_no_error(report: Path) -> None:
    script = f"{sys.executable} -m kernprof stalls {report} --format json | head -c 10"
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, cwd=ROOT)
    assert done.stderr == b""
    assert done.stdout == b'{\n  "schem'


def test_every_shared_report_gives_a_result(
    shared_reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [p for p in sorted(shared_reports.iterdir()) if p.suffix not in {".md", ".json"}]
    assert len(files) == 81
    with_stalls = 0
    for path in files:
        assert run(path, "--format", "json") == 0, path.name
        for profile in document(capsys)["profiles"]:
            assert profile["kernel"]
            classes = [
                profile["table_v"][k]
                for k in (
                    "memory_dependency_pct",
                    "instruction_dependency_pct",
                    "synchronization_pct",
                    "others_pct",
                )
            ]
            if profile["stall_family"] is None:
                assert classes == [None] * 4
                hints = {m["metric"]: m["hint"] for m in profile["missing"]}
                assert "collect" in hints["stalls"], path.name
            else:
                with_stalls += 1
                assert sum(classes) == pytest.approx(100, abs=0.1)
            assert profile["bound"]
            assert profile["evidence"]
        assert run(path) == 0
        capsys.readouterr()
    assert with_stalls >= 89
