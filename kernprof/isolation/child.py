"""A piece of work in a child process behind walls, and a program behind them.

The child is forked: it has everything that this process has loaded, and costs some milliseconds.
It must not need anything that is loaded on first use, since it can't open files any more.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from enum import StrEnum

from kernprof.isolation.budget import Limits
from kernprof.isolation.packing import pack, unpack
from kernprof.isolation.walls import Scope, raise_walls

_MAX_ANSWER_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20
_GRACE_S = 2.0
_MAX_HANDLES = 1 << 16
_SPARE_HANDLES = 16
_DONE, _RAISED = 0, 1
_PROBE = Limits(memory_bytes=1 << 28, wall_s=60, cpu_s=20)


class Ending(StrEnum):
    """How a child ended that gave no answer."""

    TIME = "time"
    MEMORY = "memory"
    SIGNAL = "signal"
    RAISED = "raised"
    ANSWER = "answer"


class ChildError(Exception):
    """A child gave no answer.

    Parameters
    ----------
    ending
        What happened to it.
    detail
        Name of the signal, or the child's traceback.
    """

    def __init__(self, ending: Ending, detail: str = "") -> None:
        super().__init__(f"{ending}: {detail}" if detail else str(ending))
        self.ending = ending
        self.detail = detail


def call(
    work: Callable[[], object],
    *,
    limits: Limits,
    scope: Scope = Scope.COMPUTE,
    readable: Sequence[str] = (),
    keep: Collection[int] = (),
) -> object:
    """Do a piece of work in a child process and return what it returned.

    Parameters
    ----------
    work
        Returns a tree of dictionaries, lists, numbers, texts, bytes and numpy arrays
        (:mod:`kernprof.isolation.packing`).
    limits
        Of memory, time and files.
    scope, readable
        See :func:`kernprof.isolation.walls.raise_walls`.
    keep
        File descriptors that the work needs; all others are closed.

    Raises
    ------
    ChildError
        It ran into a limit, ended by a signal or an exception, or answered with something else.
    """
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with warnings.catch_warnings():
        # Python warns of forking beside other threads: what those may hold (locks of modules that
        # are being imported, of streams) this child does not take.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        _serve(work, writing, limits, scope, readable, keep)
    os.close(writing)
    try:
        answer = _read(reading, time.monotonic() + limits.wall_s)
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
        status = _reap(process)
    return _answer(answer, status)


def probe() -> list[str]:
    """Try in a child what it must not be able to do; returns what it could.

    Raises
    ------
    ChildError
        There was no answer.
    """
    here = os.getcwd()

    def work() -> object:
        attempts: dict[str, Callable[[], object]] = {
            "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
            "list a folder": lambda: os.listdir(here),
            "write a file": lambda: os.open(here, os.O_RDWR | os.O_TMPFILE),
            "connect": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
            "start a process": os.fork,
        }
        reached = []
        for what, attempt in attempts.items():
            with suppress(OSError):
                if attempt() == 0 and what == "start a process":
                    os._exit(0)
                reached.append(what)
        return reached

    found = call(work, limits=_PROBE)
    return [str(what) for what in found] if isinstance(found, list) else []


def _serve(
    work: Callable[[], object],
    writing: int,
    limits: Limits,
    scope: Scope,
    readable: Sequence[str],
    keep: Collection[int],
) -> None:
    """Be the child: never returns."""
    try:
        gc.disable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _close_others({writing, *keep})
        _apply(limits)
        raise_walls(scope, readable=readable)
        answer = bytes([_DONE]) + pack(work())
    except MemoryError:
        answer = bytes([_RAISED]) + pack([Ending.MEMORY.value, ""])
    except BaseException:
        answer = bytes([_RAISED]) + pack([Ending.RAISED.value, traceback.format_exc()[-20_000:]])
    try:
        view = memoryview(answer)
        while view:
            view = view[os.write(writing, view) :]
    finally:
        os._exit(0)


def _close_others(keep: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        if standard not in keep:
            os.dup2(null, standard)
    for handle in _open_handles():
        if handle > 2 and handle not in keep:
            with suppress(OSError):
                os.close(handle)


def _open_handles() -> list[int]:
    """Return the open descriptors; where the system does not list them, all that there can be."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError, ValueError):
            return [int(name) for name in os.listdir(folder)]
    return list(range(min(os.sysconf("SC_OPEN_MAX"), _MAX_HANDLES)))


def _apply(limits: Limits) -> None:
    import resource

    def lower(kind: int, value: int, more: int = 0) -> None:
        _, hard = resource.getrlimit(kind)
        value, most = (v if hard == resource.RLIM_INFINITY else min(v, hard)
                       for v in (value, value + more))  # fmt: skip
        resource.setrlimit(kind, (value, most))

    lower(resource.RLIMIT_AS, _own_bytes() + limits.memory_bytes)
    # At the lower one the kernel says so (SIGXCPU), at the upper one it just ends the process.
    lower(resource.RLIMIT_CPU, max(1, round(limits.cpu_s)), 1)
    # The walls open some themselves, behind those that a program's parent has open.
    lower(resource.RLIMIT_NOFILE, max(limits.open_files, max(_open_handles()) + _SPARE_HANDLES))
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)


def _own_bytes() -> int:
    """Return the address space that this process has; 0 where that can't be found out."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _read(handle: int, deadline: float) -> bytes:
    poll = select.poll()
    poll.register(handle, select.POLLIN | select.POLLHUP)
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            raise ChildError(Ending.TIME)
        part = os.read(handle, _CHUNK_BYTES)
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            raise ChildError(Ending.ANSWER, f"more than {_MAX_ANSWER_BYTES:,} bytes")
        parts.append(part)


def _reap(process: int) -> int:
    """Wait for a child that has closed its pipe; one that goes on all the same is ended."""
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return status
        time.sleep(0.0005)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def _answer(answer: bytes, status: int) -> object:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            raise ChildError(Ending.TIME)
        raise ChildError(Ending.SIGNAL, signal.Signals(number).name)
    if not answer:
        raise ChildError(Ending.ANSWER, "nothing")
    try:
        found = unpack(answer[1:])
    except ValueError as error:
        raise ChildError(Ending.ANSWER, str(error)) from None
    if answer[0] == _DONE:
        return found
    if isinstance(found, list) and len(found) == 2 and found[0] in list(Ending):
        raise ChildError(Ending(found[0]), str(found[1]))
    raise ChildError(Ending.ANSWER, "an unknown form")


def run_program(
    command: Sequence[str], *, limits: Limits, readable: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program behind the walls; it may read its own folder, the system's libraries, no more.

    Parameters
    ----------
    command
        Absolute path of the program, and its arguments.
    limits
        Of memory, time and files.
    readable
        Further files and folders that it may read.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer than the limit.
    OSError
        It can't be started.
    """
    program = os.path.realpath(command[0])
    libraries = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store")
    own = os.path.dirname(program)

    def shut() -> None:
        _apply(limits)
        raise_walls(
            Scope.PROGRAM,
            readable=[*readable, "/etc/ld.so.cache", "/etc/ld.so.preload"],
            executable=[program, own, os.path.join(os.path.dirname(own), "lib"), *libraries],
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=limits.wall_s,
            check=False,
            preexec_fn=shut if os.name == "posix" else None,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        )
