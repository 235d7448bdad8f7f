"""Which C++ compiler builds the timing core: one of this machine that works, else a wheel's.

PyPI's ``ziglang`` carries Clang, a C++ library and the symbols of every glibc. It is a build
requirement only where no other compiler works (100 MB to load, 400 MB in the throw-away build
environment), or where the wheel is meant for other machines and so for an old glibc.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

ZIG = "ziglang==0.17.1"
"""The requirement that brings a compiler; pinned, since its command line changes between minors."""

OLDEST_GLIBC = "2.17"
"""What zig links against unless told otherwise: manylinux2014's, which every distribution has."""

FLAGS = (
    "-std=c++17",
    "-O3",
    "-Wall",
    "-Wextra",
    "-fPIC",
    "-shared",
    "-s",
    # Python's own flags, under which the core has been validated: overflow wraps.
    "-fwrapv",
    # The same cycles from every compiler and on every processor.
    "-ffp-contract=off",
)

REMEDY = (
    "install a C++17 compiler (Debian: apt-get install g++) or let pip reach PyPI, from where it "
    f"takes {ZIG}; then install kernprof again"
)

_PROBE = """
#include <algorithm>
#include <limits>
#include <memory>
#include <vector>
extern "C" int probe(int n) {
  auto values = std::make_unique<std::vector<int>>(n, std::numeric_limits<int>::max());
  if (const auto found = std::find(values->begin(), values->end(), n); found != values->end())
    return *found;
  return 0;
}
"""
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")


class NoCompilerError(Exception):
    """No compiler works here, or the one that does refuses the core."""


def of_machine(environment: Mapping[str, str] = os.environ) -> list[str] | None:
    """Return the command of the first compiler of this machine that builds a C++17 library.

    Looked at in this order: ``$CXX``, what Python itself was built with, ``c++``, ``g++``,
    ``clang++``. One that is there and does not work (a front end without its headers, a wrapper of
    a compiler that has gone) is passed over with a line on standard error.
    """
    for command in dict.fromkeys(_named(environment)):
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            continue
        failure = _failure([*command], environment)
        if failure is None:
            return [*command]
        print(f"{shlex.join(command)} can't build a C++17 library: {failure}", file=sys.stderr)
    return None


def _named(environment: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for text in (environment.get("CXX"), sysconfig.get_config_var("CXX"), "c++", "g++", "clang++"):
        words = tuple(shlex.split(text or ""))
        if words:
            yield words


def _failure(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Compile a small library; return None, or the last line of what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "probe.cpp"), Path(folder, "probe.so")
        source.write_text(_PROBE)
        try:
            done = subprocess.run(
                [*command, *FLAGS, str(source), "-o", str(target)],
                capture_output=True,
                text=True,
                errors="replace",
                env=dict(environment),
                check=False,
            )
        except OSError as error:
            return str(error)
        if done.returncode == 0 and target.is_file():
            return None
        said = done.stderr.strip().splitlines()
        return said[-1] if said else f"exit code {done.returncode}"


def of_wheel(platform_tag: str | None = None) -> list[str] | None:
    """Return the command of ziglang's compiler, or None where the wheel is not installed.

    Parameters
    ----------
    platform_tag
        "manylinux_2_17_x86_64": the glibc and the processor to compile for.
    """
    if find_spec("ziglang") is None:
        return None
    command = [sys.executable, "-m", "ziglang", "c++"]
    if sys.platform != "linux":
        return command
    glibc, machine = OLDEST_GLIBC, platform.machine()
    if is_portable(platform_tag):
        major, minor, machine = _MANYLINUX.fullmatch(platform_tag or "").groups()  # type: ignore[union-attr]
        glibc = f"{major}.{minor}"
    # A target that is named is compiled for any processor of its kind, not for the one at hand.
    return [*command, "-target", f"{machine}-linux-gnu.{glibc}", "-mcpu=baseline"]


def is_portable(platform_tag: str | None) -> bool:
    """Whether a wheel's platform tag promises a certain glibc."""
    return _MANYLINUX.fullmatch(platform_tag or "") is not None


def asked_platform(config_settings: Mapping[str, object] | None) -> str | None:
    """Return the platform tag that a front end asks for.

    ``pip wheel --config-settings=--build-option=--plat-name=TAG``, as setuptools has it.
    """
    asked = (config_settings or {}).get("--build-option", ())
    options = shlex.split(asked) if isinstance(asked, str) else [str(o) for o in asked]  # type: ignore[attr-defined]
    for position, option in enumerate(options):
        name, _, value = option.partition("=")
        if name in ("--plat-name", "-p"):
            return value or (options[position + 1] if position + 1 < len(options) else None)
    return None


def requirements(platform_tag: str | None = None) -> list[str]:
    """Return what has to be installed to build: nothing, or a compiler."""
    return [ZIG] if is_portable(platform_tag) or of_machine() is None else []


def build(sources: Sequence[str], target: Path, platform_tag: str | None = None) -> None:
    """Compile and link the core.

    It is a plain C library: neither Python's headers nor its flags are needed.

    Parameters
    ----------
    sources
        C++ files.
    target
        The shared library to make.
    platform_tag
        The wheel's, or None for a library for this machine.

    Raises
    ------
    NoCompilerError
        Says what failed and what to do.
    """
    command = None if is_portable(platform_tag) else of_machine()
    command = command or of_wheel(platform_tag)
    if command is None:
        raise NoCompilerError(f"no C++17 compiler works here: {REMEDY}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        # zig keeps 100 MB of compiled libraries, otherwise in the user's cache directory.
        places = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        done = subprocess.run(
            [*command, *FLAGS, *sources, "-o", str(target)], env=os.environ | places, check=False
        )
    if done.returncode:
        raise NoCompilerError(
            f"{shlex.join(command)} refuses the timing core (exit code {done.returncode}, its "
            f"messages are above): {REMEDY}"
        )


if __name__ == "__main__":
    print("\n".join(requirements()))
