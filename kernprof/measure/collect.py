"""Running a command under ``ncu`` or ``nvprof`` and reading what it wrote.

The command lines are those of Nsight Compute's and nvprof's manuals ("Command Line Options"); every
argument is passed as one of a list, and no shell sees them.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from kernprof.errors import InputError, ReportError, UnavailableError, UsageError
from kernprof.measure.failures import is_own, recognise
from kernprof.profile import Collector, KernelProfile, Source

_KEPT_LINES = 2000
_VERSION = re.compile(r"Version (\S+)|Release version (\S+)")
_KILL_WAIT_S = 20

Progress = Callable[[str], None]


class Tool(StrEnum):
    """The program that measures."""

    NCU = "ncu"
    NVPROF = "nvprof"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """What is measured, and how.

    Parameters
    ----------
    set_name
        "tablev", "stalls", "memory" or "full".
    metrics
        More metrics by name.
    kernel
        Kernel's name, or ``regex:EXPRESSION``.
    launch_skip, launch_count
        Matching launches to pass over, and to measure at most.
    nvtx
        Ranges that launches must be in, in ncu's own syntax.
    replay_mode
        "kernel", "application" or "range".
    cache_control
        "all" (flushed before every pass) or "none".
    clock_control
        "base" (locked) or "none".
    target_processes
        "all" or "application-only".
    import_source
        Whether source text goes into the report.
    time_limit_s
        Seconds after which the run is stopped; None for no limit.
    """

    set_name: str = "tablev"
    metrics: tuple[str, ...] = ()
    kernel: str | None = None
    launch_skip: int = 0
    launch_count: int | None = None
    nvtx: tuple[str, ...] = ()
    replay_mode: str = "kernel"
    cache_control: str = "all"
    clock_control: str = "base"
    target_processes: str = "all"
    import_source: bool = False
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """A measurement.

    Parameters
    ----------
    profiles
        The launches; source ``measured``.
    report
        The profiler's own file, which belongs to the caller.
    command
        What was run.
    notes
        What a reader must know ("interrupted: ...").
    """

    profiles: tuple[KernelProfile, ...]
    report: Path
    command: tuple[str, ...]
    notes: tuple[str, ...] = ()


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("kernprof.measure") / "data" / "collect.toml").read_text("utf-8")
    return tomllib.loads(text)


def sets() -> dict[str, str]:
    """Return the sets by name with a line on each."""
    return {name: row["about"] for name, row in _table()["sets"].items()}


def find_tool(tool: Tool) -> Path:
    """Return the program's path: on PATH, in the CUDA toolkit, or at one of the usual places.

    Raises
    ------
    UnavailableError
        It is nowhere.
    """
    found = shutil.which(tool)
    if found is not None:
        return Path(found)
    for variable in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"):
        home = os.environ.get(variable)
        if home and os.access(path := Path(home) / "bin" / str(tool), os.X_OK):
            return path
    for place in _table()["places"][str(tool)]:
        candidates = [p for p in glob.glob(place) if os.access(p, os.X_OK)]
        if candidates:
            return Path(max(candidates, key=_numbers))
    remedy = (
        "install Nsight Compute (part of the CUDA toolkit) and put ncu on PATH"
        if tool is Tool.NCU
        else "install a CUDA toolkit of version 10 to 12 and put nvprof on PATH"
    )
    raise UnavailableError(f"{tool} is not on PATH and at none of its usual places", remedy)


def _numbers(path: str) -> list[int]:
    """Version numbers in a path: /opt/.../2024.3.2/ncu comes after 2024.3.1."""
    return [int(n) for n in re.findall(r"\d+", path)]


def ncu_command(
    program: Path, options: CollectOptions, report: Path, command: Sequence[str]
) -> tuple[str, ...]:
    """Return the command line of ncu.

    Raises
    ------
    UsageError
        An option has a value that ncu does not take.
    """
    _check(options, command)
    row = _table()["sets"][options.set_name]
    words = [str(program), "--export", str(report), "--force-overwrite"]
    words += ["--target-processes", options.target_processes]
    words += ["--replay-mode", options.replay_mode]
    words += ["--cache-control", options.cache_control, "--clock-control", options.clock_control]
    if "ncu_set" in row:
        words += ["--set", row["ncu_set"]]
    for section in row.get("ncu", ()):
        words += ["--section", section]
    extra = _table()["extra"]
    words += ["--metrics", ",".join([*extra["ncu"], *extra["dram"], *options.metrics])]
    if options.kernel is not None:
        words += ["--kernel-name", options.kernel]
    if options.launch_skip:
        words += ["--launch-skip", str(options.launch_skip)]
    if options.launch_count is not None:
        words += ["--launch-count", str(options.launch_count)]
    if options.nvtx:
        words.append("--nvtx")
    for expression in options.nvtx:
        words += ["--nvtx-include", expression]
    if options.import_source:
        words += ["--import-source", "yes"]
    return (*words, *command)


def nvprof_command(
    program: Path, options: CollectOptions, report: Path, command: Sequence[str]
) -> tuple[str, ...]:
    """Return the command line of nvprof, which writes CSV.

    Raises
    ------
    UsageError
        An option has a value that nvprof does not take, or nvprof has no such option.
    """
    _check(options, command)
    if options.nvtx or options.launch_skip or options.launch_count is not None:
        raise UsageError("nvprof filters by kernel only; leave --nvtx and --launch-... out")
    if options.replay_mode == "range":
        raise UsageError("nvprof replays kernels or the application, not ranges")
    words = [str(program), "--csv", "--normalized-time-unit", "ns", "--log-file", str(report)]
    words += ["--replay-mode", options.replay_mode]
    if options.target_processes == "all":
        # %p in the file's name would part the processes; one command is one process here.
        words += ["--profile-child-processes"] if "%p" in str(report) else []
    if options.kernel is not None:
        words += ["--kernels", options.kernel.removeprefix("regex:")]
    wanted = [*_table()["nvprof"]["metrics"], *options.metrics]
    return (*words, "--metrics", ",".join(wanted), *command)


def _check(options: CollectOptions, command: Sequence[str]) -> None:
    if not command:
        raise UsageError("no command: kernprof profile [OPTIONS] -- COMMAND [ARGUMENTS]")
    choices = {
        "set": (options.set_name, tuple(_table()["sets"])),
        "replay-mode": (options.replay_mode, ("kernel", "application", "range")),
        "cache-control": (options.cache_control, ("all", "none")),
        "clock-control": (options.clock_control, ("base", "none")),
        "target-processes": (options.target_processes, ("all", "application-only")),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            raise UsageError(f"--{name} {value}: expected {', '.join(known)}")
    for metric in options.metrics:
        if not re.fullmatch(r"[\w.:+\-^$*]+", metric):
            raise UsageError(f"--metrics {metric!r} is no metric's name")


def collect(
    command: Sequence[str],
    options: CollectOptions,
    *,
    tool: Tool = Tool.NCU,
    program: Path | None = None,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Run a command under a profiler and read its report.

    Parameters
    ----------
    command
        Program and arguments.
    options
        What is measured.
    tool, program
        The profiler, and its path where it is not to be searched.
    keep
        Where the profiler's report goes; by default a temporary folder that the caller removes.
    progress
        Called with each line of output.

    Raises
    ------
    UnavailableError
        The profiler or a permission is missing, the GPU is not supported, another one holds the
        counters.
    UsageError
        The command is no program, or the profiler does not know an option.
    InputError
        The application failed, or launched no kernel that passes the filters.
    """
    path = program or find_tool(tool)
    report = keep or Path(tempfile.mkdtemp(prefix="kernprof-")) / (
        "measured.ncu-rep" if tool is Tool.NCU else "measured.csv"
    )
    build = ncu_command if tool is Tool.NCU else nvprof_command
    words = build(path, options, report, command)
    lines, code, stopped = _run(words, options.time_limit_s, progress)
    return _read(tool, path, options, words, report, lines, code, stopped)


def _run(
    words: Sequence[str], time_limit_s: float | None, progress: Progress | None
) -> tuple[list[str], int, str]:
    """Run a command; return its last lines, its exit code, and why it was stopped early."""
    lines: list[str] = []
    stopped = ""
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C reaches this program alone, which then asks the profiler to end.
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(
            f"{words[0]} can't be run: {error.strerror}", "install it again, or give --program"
        ) from None
    expired = threading.Event()
    late = threading.Timer(time_limit_s, _expire, [process, expired]) if time_limit_s else None
    if late is not None:
        late.daemon = True
        late.start()
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                _note(lines, line, progress)
            process.wait()
        except KeyboardInterrupt:
            stopped = "interrupted"
            _end(process, lines, progress)
        finally:
            if late is not None:
                if expired.is_set() and not stopped:
                    stopped = f"stopped after {time_limit_s:g} s"
                late.cancel()
    return lines, process.returncode, stopped


def _expire(process: subprocess.Popen[str], expired: threading.Event) -> None:
    """End a run whose time is over."""
    expired.set()
    _interrupt(process)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        _kill(process)


def _end(process: subprocess.Popen[str], lines: list[str], progress: Progress | None) -> None:
    """Let the profiler end and write its report; kill it when it doesn't."""
    _interrupt(process)
    try:
        rest, _ = process.communicate(timeout=_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        _kill(process)
        return
    for line in rest.splitlines():
        _note(lines, line, progress)


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Ask the profiler and the application to end, as Ctrl-C in a terminal does."""
    try:
        os.killpg(process.pid, signal.SIGINT)
    except ProcessLookupError:
        return


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _note(lines: list[str], line: str, progress: Progress | None) -> None:
    text = line.rstrip("\n")
    lines.append(text)
    if len(lines) > _KEPT_LINES:
        # The beginning tells what could not start, the end what went wrong last.
        del lines[_KEPT_LINES // 2]
    if progress is not None:
        progress(text)


def _read(
    tool: Tool,
    path: Path,
    options: CollectOptions,
    words: tuple[str, ...],
    report: Path,
    lines: list[str],
    code: int,
    stopped: str,
) -> Collected:
    from kernprof.reports import load

    if tool is Tool.NVPROF:
        # With --log-file nvprof writes its messages there.
        lines = [*lines, *_head(report)]
    problem = recognise(tool, lines)
    fatal = problem is not None and (not report.is_file() or not isinstance(problem, InputError))
    if problem is not None and fatal and not stopped:
        raise problem
    if not report.is_file():
        if stopped:
            raise InputError(f"{stopped} before any kernel was measured; nothing was written")
        raise InputError(
            f"{tool} ended with code {code} and wrote no report; it said: {_last(tool, lines)}"
        )
    try:
        profiles = load(str(report)).profiles
    except ReportError as error:
        if problem is not None:
            raise problem from None
        if stopped:
            raise InputError(f"{stopped}; the unfinished report can't be read: {error}") from None
        raise
    notes = []
    if stopped:
        notes.append(f"{stopped}: launches after the last one shown were not measured")
    elif problem is not None:
        notes.append(str(problem))
    collector = Collector(
        tool=str(tool),
        version=version(path),
        clock_control=options.clock_control if tool is Tool.NCU else None,
        cache_control=options.cache_control if tool is Tool.NCU else None,
    )
    measured = tuple(
        replace(
            profile,
            source=Source.MEASURED,
            collector=collector,
            notes=(*profile.notes, *notes),
        )
        for profile in profiles
    )
    return Collected(measured, report, words, tuple(notes))


def _head(path: Path) -> list[str]:
    try:
        with path.open("r", encoding="utf-8", errors="replace") as stream:
            return [line.rstrip("\n") for line, _ in zip(stream, range(_KEPT_LINES), strict=False)]
    except OSError:
        return []


def _last(tool: Tool, lines: Sequence[str]) -> str:
    own = [line for line in lines if is_own(tool, line)] or list(lines)
    return own[-1] if own else "nothing"


def version(program: Path) -> str | None:
    """Return the version that a profiler tells, or None where it tells none."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_KILL_WAIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(done.stdout)
    return None if found is None else found.group(1) or found.group(2)
