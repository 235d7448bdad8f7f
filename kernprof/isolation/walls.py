"""What Linux offers to keep a process in: Landlock (files, network), seccomp (system calls).

Both are asked for through :mod:`ctypes`: the structures are few, small and part of the kernel's
stable interface (``linux/landlock.h``, ``linux/seccomp.h``, ``linux/filter.h``), while the bindings
on the package index lag behind the kernel. A wall that the kernel does not have is left out;
:func:`standing` tells which there are.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_ACCESSES_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access to files each version of Landlock knows, beginning with bit 0."""
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_NETWORK, _SCOPE = 0b11, 0b11

_SET_NO_NEW_PRIVS, _SET_PDEATHSIG, _SET_SECCOMP, _SET_DUMPABLE = 38, 1, 22, 4
_SECCOMP_FILTER = 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000


class Scope(StrEnum):
    """How far a process behind the walls may go; each scope has those before it."""

    COMPUTE = "compute"
    READ = "read"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Standing:
    """Which walls there are on this machine.

    Parameters
    ----------
    landlock
        Version of Landlock's interface; 0 where the kernel does not have it.
    seccomp
        Whether system calls can be filtered.
    guard_pages
        Whether memory can be protected.
    """

    landlock: int
    seccomp: bool
    guard_pages: bool


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _table() -> dict[str, Any]:
    text = resources.files("kernprof.isolation").joinpath("data/syscalls.toml").read_text("utf-8")
    return tomllib.loads(text)


def standing() -> Standing:
    """Look which walls the kernel has."""
    linux = sys.platform == "linux"
    return Standing(
        landlock=_landlock_abi() if linux else 0,
        seccomp=linux and _machine() is not None and _has_seccomp(),
        guard_pages=os.name == "posix",
    )


def _landlock_abi() -> int:
    with suppress(OSError, AttributeError):
        return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))
    return 0


def _has_seccomp() -> bool:
    # A filter that does not exist: EFAULT where filters are known, EINVAL where not.
    _libc().prctl(_SET_SECCOMP, _SECCOMP_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def _machine() -> dict[str, int] | None:
    found: dict[str, int] | None = _table()["machine"].get(platform.machine())
    return found


def raise_walls(
    scope: Scope, *, readable: Sequence[str] = (), executable: Sequence[str] = ()
) -> None:
    """Shut this process in, for good; children that it makes too.

    Parameters
    ----------
    scope
        Kinds of system calls that stay.
    readable, executable
        Files and folders that may be read, and run as programs; no others.

    Raises
    ------
    OSError
        The kernel has a wall and refuses it.
    """
    if sys.platform != "linux":
        return
    libc, filtered = _libc(), _machine() is not None and _has_seccomp()
    # Ends with its parent, however that ends; and nobody reads its memory but root.
    libc.prctl(_SET_PDEATHSIG, 9, 0, 0, 0)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    abi = _landlock_abi()
    if abi:
        _shut_files(abi, readable, executable)
    if filtered:
        _filter_calls(scope)


def _shut_files(abi: int, readable: Sequence[str], executable: Sequence[str]) -> None:
    libc = _libc()
    handled = (1 << _ACCESSES_BY_ABI.get(abi, max(_ACCESSES_BY_ABI.values()))) - 1
    attributes = struct.pack("<Q", handled)
    if abi >= _NETWORK_ABI:
        attributes += struct.pack("<Q", _NETWORK)
    if abi >= _SCOPE_ABI:
        attributes += struct.pack("<Q", _SCOPE)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for paths, access in (
            (readable, _READ_FILE | _READ_DIR),
            (executable, _READ_FILE | _READ_DIR | _EXECUTE),
        ):
            for path in paths:
                _allow(ruleset, path, access)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what isn't there needs no permission
    try:
        if not os.path.isdir(path):
            access &= ~_READ_DIR
        rule = struct.pack("<Qi", access, handle)
        if _libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), f"landlock_add_rule for {path}")
    finally:
        os.close(handle)


def _filter_calls(scope: Scope) -> None:
    code = b"".join(_program(scope))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if _libc().prctl(_SET_SECCOMP, _SECCOMP_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")


def _program(scope: Scope) -> list[bytes]:
    """Return the filter, a classic BPF program of 8 bytes a step (linux/filter.h)."""
    machine = _machine()
    assert machine is not None

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    allow, refuse = step(_RETURN, _ALLOW), step(_RETURN, _ERRNO | errno.EPERM)
    made = [
        step(_LOAD, _MACHINE_AT),
        step(_EQUAL, machine["audit"], 1, 0),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER_AT),
        # The other numbering of the same calls on x86-64.
        step(_AT_LEAST, _X32, 0, 1),
        refuse,
        step(_EQUAL, machine["clone3"], 0, 1),
        step(_RETURN, _ERRNO | errno.ENOSYS),
        step(_EQUAL, machine["clone"], 0, 4),
        step(_LOAD, _ARGUMENTS_AT),
        step(_BITS, _CLONE_THREAD, 0, 1),
        allow,
        refuse,
        step(_EQUAL, machine["tgkill"], 0, 4),
        step(_LOAD, _ARGUMENTS_AT),
        step(_EQUAL, os.getpid(), 0, 1),
        allow,
        refuse,
    ]
    for kind in list(Scope)[: list(Scope).index(scope) + 1]:
        for numbers in _table()[kind].values():
            number = numbers.get(platform.machine())
            if number is not None:
                made += [step(_EQUAL, number, 0, 1), allow]
    return [*made, refuse]
