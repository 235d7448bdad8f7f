"""The built wheel, alone and beside line_profiler, which owns the same script and module name.

One throw-away environment serves all tests here. It needs the package index that the tests' own
environment was made from, and is skipped, visibly, where there is none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Environment:
    """An environment of its own with the wheel and line_profiler at hand."""

    folder: Path
    wheel: Path

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        program = str(self.folder / "bin" / command[0])
        return subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=cwd or self.folder,
            env=variables,
        )

    def pip(self, *arguments: str) -> None:
        done = self.run("python", "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
        if done.returncode:
            pytest.skip(f"pip {arguments[0]} failed, no package index here? {done.stderr[-300:]}")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("packaging")
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "-w",
            str(folder),
            str(ROOT),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if built.returncode:
        pytest.skip(f"the wheel could not be built here: {built.stderr[-300:]}")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True, timeout=120)
    result = Environment(folder / "env", next(folder.glob("gpu_kernprof-*.whl")))
    result.pip("install", str(result.wheel))
    return result


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "work.py"
    path.write_text("@profile\ndef work():\n    return sum(range(10))\n\nprint('worked', work())\n")
    return path


def test_the_wheel_carries_its_data(environment: Environment) -> None:
    names = set(zipfile.ZipFile(environment.wheel).namelist())
    for path in (ROOT / "kernprof").rglob("*"):
        if path.is_file() and path.suffix in {".toml", ".json", ".csv", ".typed"}:
            assert path.relative_to(ROOT).as_posix() in names
    for path in (ROOT / "kernels").glob("*.cu*"):
        assert any(name.endswith(f"/{path.name}") for name in names), path.name


def test_one_wheel_serves_every_version_of_python(environment: Environment) -> None:
    """The core is called through ctypes: its name and the wheel's tag promise no version."""
    names = zipfile.ZipFile(environment.wheel).namelist()
    assert [name for name in names if name.endswith(".so")] == ["kernprof/timing/_core.abi3.so"]
    assert "-cp311-abi3-" in environment.wheel.name
    assert not [name for name in names if name.startswith("building/")]


def test_the_installed_program_works_alone(environment: Environment) -> None:
    for name in ("kernprof", "gpu-kernprof"):
        done = environment.run(name, "--version")
        assert (done.returncode, done.stdout.split()[0]) == (0, "kernprof")
    shown = environment.run("kernprof", "stalls", str(ROOT / "traces/paper-table5-p100.nvprof.csv"))
    assert shown.returncode == 0, shown.stderr
    assert "published" in shown.stdout
    doctor = environment.run("kernprof", "doctor", "--format", "csv")
    assert "timing core (predicted cycles and stalls),ok" in doctor.stdout


def test_constraints_name_versions_alone_and_cover_what_is_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", line) for line in pins)
    assert "Python 3.11" in lines[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(i for items in extras.values() for i in items)]
    measuring = {*map(_name, extras["gpu"] + extras["pycuda"])} - {"nvidia-ml-py"}
    missing = {*map(_name, asked)} - {"gpu-kernprof"} - measuring - {*map(_name, pins)}
    assert not missing, "make constraints adds them"


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def test_options_of_line_profiler_get_a_hint_where_it_is_not_installed(
    environment: Environment, script: Path
) -> None:
    done = environment.run("kernprof", "-l", str(script))
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "pip install line_profiler" in done.stderr


@pytest.mark.parametrize("last", ["line_profiler", "kernprof"])
def test_both_programs_work_in_both_install_orders(
    environment: Environment, script: Path, tmp_path: Path, last: str
) -> None:
    environment.pip("uninstall", "-y", "gpu-kernprof", "line_profiler")
    order = ["line_profiler", str(environment.wheel)]
    if last == "line_profiler":
        order.reverse()
    for package in order:
        environment.pip("install", package)

    ours = environment.run("kernprof", "--version")
    assert (ours.returncode, ours.stdout.split()[0]) == (0, "kernprof"), ours.stderr
    for command in (("kernprof",), ("python", "-m", "kernprof")):
        theirs = environment.run(*command, "-l", "-v", script.name, cwd=tmp_path)
        assert theirs.returncode == 0, theirs.stderr
        assert "worked 45" in theirs.stdout
        assert "Line #" in theirs.stdout
        (tmp_path / "work.py.lprof").unlink()
    doctor = environment.run("kernprof", "doctor", "--format", "csv")
    assert "line_profiler (same command name)" in doctor.stdout
    assert "handed over" in doctor.stdout
