from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernprof import main
from kernprof.health import State, checks, examine


def found(name: str) -> checks.Finding:
    return next(f for f in examine() if f.check.startswith(name))


def test_required_libraries_are_here() -> None:
    assert not [f for f in examine() if f.state is State.MISSING]


def test_what_is_not_here_has_a_remedy() -> None:
    for finding in examine():
        if finding.state is not State.OK:
            assert finding.remedy


def test_counters_closed_to_users_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = tmp_path / "params"
    parameters.write_text("Mobile: 0\nRmProfilingAdminOnly: 1\n")
    monkeypatch.setattr(checks, "_PARAMETERS", parameters)
    closed = found("GPU counters")
    assert closed.state is State.CLASH
    assert "NVreg_RestrictProfilingToAdminUsers=0" in (closed.remedy or "")
    parameters.write_text("RmProfilingAdminOnly: 0\n")
    assert found("GPU counters").state is State.OK


def test_a_driver_is_told_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\nGCC version:\n")
    monkeypatch.setattr(checks, "_DRIVER", version)
    assert "550.54.15" in found("NVIDIA driver").found


def test_the_walls_that_stand_are_told_and_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernprof.isolation import child
    from kernprof.isolation import walls as there

    assert "10 minutes" in found("child process").found
    if there.standing().landlock and there.standing().seccomp:
        assert found("no files").state is State.OK
        assert found("walls, tried").state is State.OK
        monkeypatch.setattr(child, "raise_walls", lambda *_, **__: None)
        tried = found("walls, tried")
        assert tried.state is State.CLASH
        assert "read a file" in tried.found
    monkeypatch.setattr(there, "_landlock_abi", lambda: 0)
    without = found("no files")
    assert without.state is State.OPTIONAL
    assert "Linux 5.13" in (without.remedy or "")


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kernprof/1"
    assert {"check", "state", "found", "remedy"} == set(document["findings"][0])
