"""The single checks; each gives one finding."""

from __future__ import annotations

import platform
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from kernprof._version import __version__
from kernprof.errors import UnavailableError, UsageError

_DRIVER = Path("/proc/driver/nvidia/version")
_PARAMETERS = Path("/proc/driver/nvidia/params")
_OTHER = "line-profiler"
_REPORT = "report it; until then don't predict from files of people that you don't trust"


class State(StrEnum):
    """What a check came to."""

    OK = "ok"
    MISSING = "missing"
    OPTIONAL = "not here"
    CLASH = "clash"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's page.

    Parameters
    ----------
    check
        What was looked at.
    state
        ``ok``; ``missing`` (kernprof does not work without it); ``not here`` (one feature needs
        it); ``clash`` (something stands in the way).
    found
        What is there.
    remedy
        The command or step that helps, or None.
    """

    check: str
    state: State
    found: str
    remedy: str | None = None


def examine() -> list[Finding]:
    """Run every check."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _libraries,
        _core,
        _compiler,
        extras,
        _cache,
        walls,
        _protobuf,
        _programs,
        driver,
        counters,
        _namesake,
    ]
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    yield Finding("Python", State.OK, f"{platform.python_version()} ({sys.executable})")
    yield Finding("kernprof", State.OK, __version__)


def _libraries() -> Iterator[Finding]:
    for row in _table()["library"]:
        version = _version(row["distribution"])
        check = f"{row['distribution']} ({row['need']})"
        if version is not None:
            yield Finding(check, State.OK, version)
        else:
            yield Finding(check, State.MISSING, "not installed", row["remedy"])


def extras() -> Iterator[Finding]:
    """Look which extras are whole."""
    for row in _table()["extra"]:
        versions = {name: _version(name) for name in row["packages"]}
        missing = [name for name, version in versions.items() if version is None]
        check = f"[{row['name']}] ({row['need']})"
        if missing:
            remedy = f"pip install 'gpu-kernprof[{row['name']}]'"
            yield Finding(check, State.OPTIONAL, f"without {', '.join(missing)}", remedy)
        else:
            found = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield Finding(check, State.OK, found)


def _core() -> Iterator[Finding]:
    from kernprof.timing.native import core

    check = "timing core (predicted cycles and stalls)"
    try:
        core()
    except UnavailableError as missing:
        yield Finding(check, State.MISSING, missing.what, missing.remedy)
        return
    yield Finding(check, State.OK, "built, of this version")


def _compiler() -> Iterator[Finding]:
    from kernprof.compile.nvrtc_library import library

    check = "NVRTC (compiling kernels)"
    try:
        found = library()
    except UnavailableError as missing:
        yield Finding(check, State.OPTIONAL, missing.what, missing.remedy)
        return
    oldest, newest = min(found.targets), max(found.targets)
    told = f"{found.version[0]}.{found.version[1]}, sm_{oldest} to sm_{newest}"
    yield Finding(check, State.OK, f"{told}, {found.place.library}")


def _cache() -> Iterator[Finding]:
    from kernprof.compile.cache import cache_directory
    from kernprof.compile.private import distrust

    check = "cache (compiled code)"
    try:
        directory = cache_directory()
    except UsageError as error:
        yield Finding(check, State.CLASH, str(error), "unset KERNPROF_CACHE_DIR, or mend it")
        return
    weak = distrust(directory)
    if weak is None:
        yield Finding(check, State.OK, str(directory))
    else:
        yield Finding(check, State.CLASH, f"not used: {weak.reason}", weak.remedy)


def walls() -> Iterator[Finding]:
    """Look what stands between the machine code of other people's files and this machine."""
    from kernprof.isolation import memory_limit
    from kernprof.isolation.child import ChildError, probe
    from kernprof.isolation.walls import standing

    there = standing()
    limit = f"memory {memory_limit() / 2**30:.1f} GiB, 10 minutes"
    yield Finding("child process for others' machine code", State.OK, f"limits: {limit}")
    rows = (
        ("no files, no network (Landlock)", there.landlock, f"version {there.landlock}"),
        ("few system calls (seccomp)", there.seccomp, "filters"),
        ("guard pages around memory", there.guard_pages, "mprotect"),
    )
    for check, stands, told in rows:
        if stands:
            yield Finding(check, State.OK, told)
        else:
            yield Finding(
                check,
                State.OPTIONAL,
                "not on this system: the simulator's own checks and the limits remain",
                "use Linux 5.13 or newer to predict from files of people that you don't trust",
            )
    try:
        reached = probe()
    except ChildError as error:
        yield Finding("walls, tried", State.CLASH, f"no child could be made ({error})", _REPORT)
        return
    if there.landlock and there.seccomp and reached:
        told = f"a child could still {', '.join(reached)}"
        yield Finding("walls, tried", State.CLASH, told, _REPORT)
    elif not reached:
        yield Finding("walls, tried", State.OK, "a child could not read, write, connect or start")


def _protobuf() -> Iterator[Finding]:
    from google.protobuf.internal import api_implementation

    kind = api_implementation.Type()
    if kind == "python":
        yield Finding(
            "protobuf runtime",
            State.CLASH,
            "pure Python: reports are read about 20 times slower",
            "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or reinstall protobuf from a wheel",
        )
    else:
        yield Finding("protobuf runtime", State.OK, kind)


def _programs() -> Iterator[Finding]:
    for row in _table()["program"]:
        path = shutil.which(row["name"])
        check = f"{row['name']} ({row['need']})"
        if path is not None:
            yield Finding(check, State.OK, path)
        else:
            yield Finding(check, State.OPTIONAL, "not on PATH", row["remedy"])


def driver() -> Iterator[Finding]:
    """Look for the NVIDIA driver."""
    text = _read(_DRIVER)
    if text is None:
        yield Finding(
            "NVIDIA driver",
            State.OPTIONAL,
            "none: profiles can be imported, not measured",
            "install the driver on a machine with an NVIDIA GPU",
        )
    else:
        yield Finding("NVIDIA driver", State.OK, " ".join(text.splitlines()[0].split()))


def counters() -> Iterator[Finding]:
    """Look whether the GPU's counters are open to this user."""
    text = _read(_PARAMETERS)
    if text is None:
        return
    restricted = "RmProfilingAdminOnly: 1" in text
    if restricted:
        yield Finding(
            "GPU counters",
            State.CLASH,
            "only for administrators (RmProfilingAdminOnly: 1)",
            "run ncu as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0",
        )
    else:
        yield Finding("GPU counters", State.OK, "open to every user")


def _namesake() -> Iterator[Finding]:
    version = _version(_OTHER)
    check = "line_profiler (same command name)"
    if version is None:
        yield Finding(check, State.OK, "not installed")
        return
    script, own = _script("kernprof"), _script("gpu-kernprof")
    found = f"{version} installed; kernprof is {script or 'not there'}"
    if script is None or own is None:
        yield Finding(
            check,
            State.CLASH,
            found,
            "pip install --force-reinstall --no-deps gpu-kernprof puts both scripts back",
        )
    else:
        yield Finding(
            check,
            State.OK,
            found + "; its own options (-l, -b, -v, a script) are handed over to it",
            "gpu-kernprof is always this program",
        )


def _script(name: str) -> str | None:
    """Find a script of this environment, which need not be on PATH to be run."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")[:65536]
    except OSError:
        return None


def _table() -> dict[str, list[dict[str, Any]]]:
    text = resources.files("kernprof.health").joinpath("data.toml").read_text("utf-8")
    return tomllib.loads(text)
