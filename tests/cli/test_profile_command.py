from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import kernprof
from kernprof import main

STANDIN = Path(__file__).resolve().parents[1] / "measure" / "standin"
APP = [sys.executable, "-c", "print('hello')"]


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, sys.path)]))


def run(*arguments: str) -> int:
    return main(["profile", "--program", str(STANDIN / "ncu"), *arguments])


def test_a_program_is_measured_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--kernel", "im2col", "--", *APP) == 0
    out, err = capsys.readouterr()
    assert "measured" in out
    assert "im2col" in out
    assert "Top stalls" in out
    assert "hello" in err
    assert "==PROF== Report" in err


def test_the_report_can_be_kept_and_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.ncu-rep"
    assert run("-o", str(path), "--", *APP) == 0
    assert kernprof.load(path).profiles
    assert f"the report is in {path}" in capsys.readouterr().err.replace("\n", " ")


def test_a_report_that_can_not_be_read_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kernprof.errors import DamagedReportError

    def fail(*_: object) -> None:
        raise DamagedReportError("it can't be read")

    monkeypatch.setattr("kernprof.reports.load", fail)
    new, old = tmp_path / "new.ncu-rep", tmp_path / "old.ncu-rep"
    old.write_bytes(b"old")
    for path in (new, old):
        assert run("-o", str(path), "--kernel", "im2col", "--", *APP) == 3
    assert new.read_bytes().startswith(b"NVR")
    assert f"the report as it is is in {new}" in capsys.readouterr().err
    assert old.read_bytes() == b"old"


def test_names_with_a_percent_sign_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "100%p.ncu-rep"
    assert run("-o", str(path), "--kernel", "im2col", "--", *APP) == 0
    assert kernprof.load(path).profiles


def test_json_says_how_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--format", "json", "--clock-control", "none", "--", *APP) == 0
    record = json.loads(capsys.readouterr().out)["profiles"][0]
    assert record["source"] == "measured"
    assert record["collector"] == {
        "tool": "ncu",
        "version": "2022.3.0.0",
        "clock_control": "none",
        "cache_control": "all",
    }


@pytest.mark.parametrize(
    ("case", "code"),
    [("permission", 4), ("resource", 4), ("no_kernels", 3), ("metric", 2), ("silent", 3)],
)
def test_failures_end_with_one_line_and_their_code(
    case: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERNPROF_STANDIN", case)
    assert run("--", *APP) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("kernprof: error: ")


def test_what_would_be_run_is_told_without_the_profiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["profile", "--dry-run", "--kernel", "a b", "--", "app", "x y"]) == 0
    text = capsys.readouterr().out
    assert "--kernel-name 'a b'" in text
    assert text.endswith("app 'x y'\n")
    assert main(["profile", "--tool", "nvprof", "--dry-run", "--", "app"]) == 0
    assert "--metrics achieved_occupancy," in capsys.readouterr().out


def test_without_the_profiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kernprof.measure import collect

    monkeypatch.setenv("PATH", "/nowhere")
    for variable in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(collect, "_table", lambda: {"places": {"ncu": [], "nvprof": []}})
    assert main(["profile", "--", "app"]) == 4
    assert "install Nsight Compute" in capsys.readouterr().err
    assert main(["profile", "--tool", "nvprof", "--", "app"]) == 4
    assert main(["profile"]) == 2


def test_nvprof_has_no_report_to_keep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["profile", "--tool", "nvprof", "-o", str(tmp_path / "x.ncu-rep"), "--", "app"]
    assert main(command) == 2
    assert "nvprof writes no such report" in capsys.readouterr().err
