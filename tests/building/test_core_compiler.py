"""Which compiler builds the core, and what is asked of PyPI where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import core_compiler
import pytest

from kernprof.timing import native

SOURCES = Path(native.__file__).parent / "core"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH without any program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    # Distributions of Python name their compiler by its whole path.
    monkeypatch.setattr(core_compiler.sysconfig, "get_config_var", lambda name: None)
    return folder


def put(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


# Stands for a compiler: makes an empty file of the name after -o.
MAKES_A_FILE = 'while [ "$1" != -o ]; do shift; done; : > "$2"'


@pytest.mark.usefixtures("empty")
def test_without_a_compiler_the_wheel_is_required() -> None:
    assert core_compiler.of_machine() is None
    assert core_compiler.requirements() == [core_compiler.ZIG]


def test_with_a_compiler_nothing_is(empty: Path) -> None:
    put(empty, "g++", MAKES_A_FILE)
    assert core_compiler.of_machine() == ["g++"]
    assert core_compiler.requirements() == []


def test_one_that_fails_is_passed_over_and_named(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(empty, "c++", "echo 'fatal error: vector: No such file' >&2; exit 1")
    put(empty, "g++", "exit 0")
    assert core_compiler.requirements() == [core_compiler.ZIG]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "c++ can't build a C++17 library: fatal error: vector: No such file",
        "g++ can't build a C++17 library: exit code 0",
    ]
    put(empty, "clang++", MAKES_A_FILE)
    assert core_compiler.of_machine() == ["clang++"]


def test_the_users_choice_comes_first_with_its_options(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(empty, "c++", MAKES_A_FILE)
    put(empty, "mine", MAKES_A_FILE)
    monkeypatch.setenv("CXX", "mine --fast")
    assert core_compiler.of_machine() == ["mine", "--fast"]
    monkeypatch.setenv("CXX", "gone")
    assert core_compiler.of_machine() == ["c++"]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        (None, None),
        ({}, None),
        ({"--build-option": "--plat-name=manylinux_2_17_x86_64"}, "manylinux_2_17_x86_64"),
        ({"--build-option": ["-v", "--plat-name", "linux_x86_64"]}, "linux_x86_64"),
        ({"--build-option": ["--plat-name"]}, None),
    ],
)
def test_the_platform_that_a_wheel_is_for(settings: dict[str, object], asked: str | None) -> None:
    assert core_compiler.asked_platform(settings) == asked


def test_a_wheel_for_other_machines_is_never_built_with_this_ones_compiler(empty: Path) -> None:
    put(empty, "g++", MAKES_A_FILE)
    assert core_compiler.requirements("manylinux_2_17_x86_64") == [core_compiler.ZIG]
    assert core_compiler.requirements("linux_x86_64") == []


def test_the_wheels_compiler_takes_glibc_and_processor_from_the_tag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core_compiler, "find_spec", lambda name: None)
    assert core_compiler.of_wheel() is None
    monkeypatch.setattr(core_compiler, "find_spec", lambda name: object())
    monkeypatch.setattr(core_compiler.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(core_compiler.sys, "platform", "linux")
    start = [sys.executable, "-m", "ziglang", "c++", "-target"]
    end = ["-mcpu=baseline"]
    assert core_compiler.of_wheel() == [*start, "x86_64-linux-gnu.2.17", *end]
    tagged = core_compiler.of_wheel("manylinux_2_28_aarch64")
    assert tagged == [*start, "aarch64-linux-gnu.2.28", *end]


@pytest.mark.usefixtures("empty")
def test_no_compiler_at_all_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_compiler, "of_wheel", lambda tag: None)
    with pytest.raises(core_compiler.NoCompilerError, match=r"apt-get install g\+\+"):
        core_compiler.build([], tmp_path / "core.so")


def test_a_compiler_that_refuses_the_core_is_an_error_with_a_remedy(
    empty: Path, tmp_path: Path
) -> None:
    put(empty, "c++", f'case "$*" in *probe.cpp*) {MAKES_A_FILE};; *) exit 3;; esac')
    with pytest.raises(core_compiler.NoCompilerError, match=r"c\+\+ refuses.*code 3"):
        core_compiler.build(["core.cpp"], tmp_path / "core.so")
    assert not (tmp_path / "core.so").exists()


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_the_backend_adds_the_compiler_to_what_setuptools_needs(
    kind: str, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_meta = pytest.importorskip("setuptools.build_meta")
    backend = pytest.importorskip("backend")
    name = f"get_requires_for_build_{kind}"
    monkeypatch.setattr(build_meta, name, lambda settings: ["wheel"])
    assert getattr(backend, name)({}) == ["wheel", core_compiler.ZIG]
    put(empty, "g++", MAKES_A_FILE)
    assert getattr(backend, name)({}) == ["wheel"]
