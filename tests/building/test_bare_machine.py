"""The whole way from the sources on a machine with Python, make and no compiler.

A copy of the sources is set up with a PATH that holds a few programs and no compiler. That loads
a compiler of 100 MB from PyPI and compiles a C++ library, three times: `make validate-code`; it is
skipped, visibly, where PyPI can't be reached. test_core_compiler.py tells at once what is asked for
where no compiler is there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import core_compiler
import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

pytestmark = pytest.mark.validate

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("sh", "make", "cat", "echo", "ls", "rm", "touch", "uname")
LEFT_OUT = (".git", ".venv", "build", "dist", "*.so", "*.egg-info", "__pycache__", ".*_cache")
GLIBC = (2, 17)
# PEP 599's list for manylinux2014, as far as a core in C++ could want it.
SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
LAYER = ("layer", "--type", "depthwise", "--pass", "both", "--format", "csv")


@dataclass(frozen=True)
class Machine:
    """A copy of the sources, and the environment in which commands run there."""

    folder: Path
    variables: dict[str, str]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(
            words, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False
        )

    def make(self, *arguments: str) -> str:
        """Run make; a PyPI that can't be reached is no failure of what is tested here."""
        done = self.run("make", f"PYTHON={self.variables['PATH']}/python3", *arguments)
        if "No matching distribution" in done.stderr and "Connection" in done.stderr:
            pytest.skip(f"PyPI can't be reached: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    base = tmp_path_factory.mktemp("bare")
    programs = base / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        (programs / name).symlink_to(Path(found).resolve())
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    shutil.copytree(ROOT, base / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CXX", "VIRTUAL"))}
    variables = kept | {"PATH": str(programs), "HOME": str(base)}
    assert core_compiler.of_machine(variables) is None
    return Machine(base / "source", variables)


def here() -> str:
    """What this environment, whatever has built its core, says of the layer."""
    kernprof = Path(sys.executable).with_name("kernprof")
    done = subprocess.run([kernprof, *LAYER], capture_output=True, text=True, check=True)
    assert ",predicted," in done.stdout
    return done.stdout


def test_the_demo_predicts_what_it_predicts_elsewhere(bare: Machine) -> None:
    shown = bare.make("demo")
    assert "times shorter" in shown
    assert len(shown.splitlines()) <= 60
    assert bare.run(bare.folder / ".venv/bin/kernprof", *LAYER).stdout == here()


def test_developing_finds_a_compiler_for_every_test_that_wants_one(bare: Machine) -> None:
    those = [
        "tests/building",
        "tests/devices/test_occupancy.py",
        "tests/library/test_emulator.py",
    ]
    shown = bare.make("test", f"PYTEST_ARGS=-rs {' '.join(those)}")
    assert re.search(r"\d+ passed", shown)
    assert core_compiler.ZIG not in shown, "a test was skipped for want of a compiler"


def test_the_wheel_is_what_its_tag_promises_and_needs_no_compiler(bare: Machine) -> None:
    (name,) = bare.make("wheel").split()
    assert re.fullmatch(r"dist/gpu_kernprof-[\d.]+-cp311-abi3-manylinux_2_17_\w+\.whl", name)
    environment = bare.folder.parent / "fresh"
    python = environment / "bin/python"
    assert bare.run("python3", "-m", "venv", environment).returncode == 0
    pip = (python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:")
    done = bare.run(*pip, "-c", "constraints.txt", f"{name}[pascal]")
    assert done.returncode == 0, done.stderr
    core = next(environment.glob("lib/python*/site-packages/kernprof/timing/_core.abi3.so"))
    needed, newest = wants(core)
    assert needed - {name for name in needed if name.startswith("ld-linux")} <= SYSTEM_LIBRARIES
    assert newest <= GLIBC
    # Not in the folder of the sources, which Python would import instead.
    elsewhere = Machine(bare.folder.parent, bare.variables)
    assert elsewhere.run(environment / "bin/kernprof", *LAYER).stdout == here()


def wants(library: Path) -> tuple[set[str], tuple[int, ...]]:
    """Return the libraries that a library needs, and the newest glibc of its symbols."""
    with library.open("rb") as file:
        elf = ELFFile(file)
        needed, versions = set(), [(0,)]
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                needed = {tag.needed for tag in section.iter_tags("DT_NEEDED")}
            if isinstance(section, GNUVerNeedSection):
                names = [one.name for _, many in section.iter_versions() for one in many]
                found = [re.fullmatch(r"GLIBC_([\d.]+)", name) for name in names]
                assert all(found), names
                versions += [tuple(map(int, match[1].split("."))) for match in found if match]
        return needed, max(versions)
