from __future__ import annotations

import json
import re
import tomllib
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


ROOT = Path(__file__).resolve().parents[2]


def test_every_extra_is_told_as_it_is_declared() -> None:
    """What the page lists is what pyproject.toml installs, but for the developers' extras."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {
        extra: [re.match(r"[\w-]+", item).group() for item in items]  # type: ignore[union-attr]
        for extra, items in declared["optional-dependencies"].items()
        if extra not in ("all", "dev")
    }
    told = {row["name"]: row["packages"] for row in checks._table()["extra"]}
    assert told == names


def test_all_is_every_extra_that_needs_no_gpu() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (whole,) = declared["optional-dependencies"]["all"]
    extras = set(whole.removeprefix("gpu-kernprof[").removesuffix("]").split(","))
    told = {row["name"] for row in checks._table()["extra"]}
    assert extras == told - {"gpu", "pycuda"}


def test_an_extra_that_lacks_a_package_names_it_and_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = checks._version
    monkeypatch.setattr(checks, "_version", lambda d: None if d == "triton" else real(d))
    finding = found("[pascal]")
    assert (finding.state, finding.found) == (State.OPTIONAL, "without triton")
    assert finding.remedy == "pip install 'gpu-kernprof[pascal]'"
    monkeypatch.setattr(checks, "_version", lambda d: "3.4.0")
    assert found("[pascal]").found == "triton 3.4.0"


def test_a_core_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernprof.timing import native

    assert found("timing core").state is State.OK
    monkeypatch.setattr(native, "_MODULE", "kernprof.timing._nowhere")
    native.core.cache_clear()
    try:
        finding = found("timing core")
    finally:
        native.core.cache_clear()
    assert finding.state is State.MISSING
    assert "pip install" in (finding.remedy or "")
