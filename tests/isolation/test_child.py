"""A child process behind walls: what it can do, and how its end is told."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kernprof.isolation import Limits, memory_limit
from kernprof.isolation.child import ChildError, Ending, call, run_program
from kernprof.isolation.shared import open_region, region_of, shared_zeros
from kernprof.isolation.walls import Scope, standing

LIMITS = Limits(memory_bytes=1 << 30, wall_s=300, cpu_s=60)
walls = pytest.mark.skipif(
    not (standing().landlock and standing().seccomp),
    reason="this kernel has no Landlock or no seccomp filters",
)


def attempt(what: Callable[[], object]) -> object:
    """Do something in a child; gives back "done", or the name of the error it met."""

    def work() -> object:
        try:
            what()
        except OSError as error:
            return type(error).__name__
        return "done"

    return call(work, limits=LIMITS)


def test_trees_come_back_as_they_were() -> None:
    tree = {"a": [1, 2.5, None, True, "text", b"bytes"], "n": {"x": {}}, "d": [float("inf")]}
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    found = call(lambda: {**tree, "array": array}, limits=LIMITS)
    assert isinstance(found, dict)
    back = found.pop("array")
    assert found == tree
    assert back.dtype == array.dtype
    assert (back == array).all()


def test_threads_work_there() -> None:
    def work() -> object:
        found: list[int] = []
        threads = [threading.Thread(target=found.append, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(found)

    assert call(work, limits=LIMITS) == [0, 1, 2, 3]


@walls
@pytest.mark.parametrize(
    "what",
    [
        lambda: Path("/etc/passwd").read_bytes(),
        lambda: Path("/proc/self/environ").read_bytes(),
        lambda: os.listdir("/"),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        lambda: socket.socketpair(),
        lambda: os.fork(),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.kill(os.getppid(), 0),
        lambda: os.setuid(1),
        lambda: os.chdir("/"),
        lambda: os.pipe(),
    ],
    ids=["read", "proc", "list", "socket", "pair", "fork", "exec", "kill", "uid", "chdir", "pipe"],
)
def test_nothing_outside_can_be_reached(what: Callable[[], object]) -> None:
    assert attempt(what) == "PermissionError"


@walls
def test_nothing_is_written(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("whole")
    assert attempt(lambda: target.write_text("changed")) == "PermissionError"
    assert attempt(lambda: (tmp_path / "new").touch()) == "PermissionError"
    assert attempt(target.unlink) == "PermissionError"
    assert target.read_text() == "whole"


@walls
def test_limits_can_not_be_raised_again() -> None:
    import resource

    def work() -> object:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        except (OSError, ValueError) as error:
            return type(error).__name__
        return "raised"

    assert call(work, limits=LIMITS) != "raised"


def test_standard_streams_and_other_files_are_closed(capfd, tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)

    def work() -> object:
        os.write(1, b"to nobody")
        try:
            os.fstat(held)
        except OSError:
            return "closed"
        return "open"

    assert call(work, limits=LIMITS) == "closed"
    os.close(held)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("work", "ending"),
    [
        (lambda: ctypes.string_at(8), Ending.SIGNAL),
        (os.abort, Ending.SIGNAL),
        (lambda: len(bytearray(1 << 40)), Ending.MEMORY),
        (lambda: 1 // 0, Ending.RAISED),
        (lambda: os._exit(0), Ending.ANSWER),
        (lambda: object(), Ending.RAISED),
    ],
    ids=["segment", "abort", "memory", "error", "silent", "no data"],
)
def test_every_end_is_told(work: Callable[[], object], ending: Ending) -> None:
    with pytest.raises(ChildError) as caught:
        call(work, limits=LIMITS)
    assert caught.value.ending is ending


def test_processor_time_is_limited() -> None:
    def work() -> object:
        while True:
            pass

    with pytest.raises(ChildError) as caught:
        call(work, limits=Limits(1 << 30, wall_s=300, cpu_s=1))
    assert caught.value.ending is Ending.TIME


def test_a_waiting_child_ends_at_the_limit() -> None:
    with pytest.raises(ChildError) as caught:
        call(lambda: threading.Event().wait(), limits=Limits(1 << 30, wall_s=0.2, cpu_s=60))
    assert caught.value.ending is Ending.TIME


def test_no_child_is_left_behind() -> None:
    with pytest.raises(ChildError):
        call(lambda: threading.Event().wait(), limits=Limits(1 << 30, wall_s=0.1, cpu_s=60))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_interrupting_ends_the_child() -> None:
    """Ctrl-C reaches the parent; the child, which ignores it, goes with it."""
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            call(lambda: threading.Event().wait(), limits=LIMITS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_arrays_are_shared() -> None:
    array = shared_zeros((1000,), np.dtype("i4"))
    region = region_of(array)
    assert region is not None

    def work() -> object:
        open_region(region)[...] = np.arange(1000)
        return None

    call(work, limits=LIMITS, keep=[region.handle])
    assert (array == np.arange(1000)).all()


@pytest.mark.parametrize("size", [1, 63, 64, 4095, 4096, 4097, 100_000])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_walls_stand_around_shared_arrays(size: int, where: str) -> None:
    array = shared_zeros((size,), np.dtype("u1"))
    region = region_of(array)
    assert region is not None

    def work() -> object:
        mapped = open_region(region)
        first = mapped.ctypes.data
        # Up to the alignment of its start an array ends at its wall; before it is its first page.
        at = first - 4096 if where == "before" else first + -(-size // 64) * 64
        ctypes.memset(at, 1, 1)

    with pytest.raises(ChildError) as caught:
        call(work, limits=LIMITS, keep=[region.handle])
    assert caught.value.detail == "SIGSEGV"


def test_read_only_arrays_can_not_be_written() -> None:
    array = shared_zeros((10,), np.dtype("u1"))
    array.flags.writeable = False
    region = region_of(array)
    assert region is not None
    assert not region.writable
    with pytest.raises(ChildError) as caught:
        call(
            lambda: ctypes.memset(open_region(region).ctypes.data, 1, 1),
            limits=LIMITS,
            keep=[region.handle],
        )
    assert caught.value.detail == "SIGSEGV"


def test_views_and_other_arrays_are_told_apart() -> None:
    array = shared_zeros((4, 8), np.dtype("f4"))
    assert region_of(np.zeros(3)) is None
    assert region_of(array[:, ::2]) is None
    part = region_of(array[1:])
    whole = region_of(array)
    assert part is not None
    assert whole is not None
    assert part.start_bytes - whole.start_bytes == 32


def test_a_program_runs_behind_the_walls(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("content")
    given = run_program(["/bin/cat", str(tmp_path / "in")], limits=LIMITS, readable=[str(tmp_path)])
    assert (given.returncode, given.stdout) == (0, "content")


def test_a_program_runs_where_its_parent_has_many_files_open(tmp_path: Path) -> None:
    """As a notebook's kernel has: the walls need descriptors, and these come behind all others."""
    held = [os.open(tmp_path, os.O_RDONLY) for _ in range(100)]
    try:
        assert run_program(["/bin/echo", "here"], limits=LIMITS).stdout == "here\n"
    finally:
        for handle in held:
            os.close(handle)


@walls
def test_a_program_reads_and_writes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("content")
    refused = run_program(["/bin/cat", str(tmp_path / "in")], limits=LIMITS)
    assert refused.returncode != 0
    assert "content" not in refused.stdout
    run_program(["/bin/cp", "/bin/cat", str(tmp_path / "out")], limits=LIMITS)
    assert not (tmp_path / "out").exists()


def test_the_scopes_grow() -> None:
    assert list(Scope) == [Scope.COMPUTE, Scope.READ, Scope.PROGRAM]


def test_the_usual_memory_limit_leaves_half_of_the_machine() -> None:
    assert 0 < memory_limit() <= 8 << 30
