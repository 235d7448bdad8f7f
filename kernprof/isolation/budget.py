"""How much memory and time other people's data may take."""

from __future__ import annotations

import os
from dataclasses import dataclass

TIME_LIMIT_S = 600.0
"""Seconds that a launch, or a compilation, may take unless the user says otherwise."""
_GIB = 1 << 30
_MOST_BYTES = 8 * _GIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a child process.

    Parameters
    ----------
    memory_bytes
        Address space beyond what the process has when it begins.
    wall_s
        Seconds after which it is ended.
    cpu_s
        Seconds of processor time, all threads together, after which the kernel ends it.
    open_files
        File descriptors.
    """

    memory_bytes: int
    wall_s: float
    cpu_s: float
    open_files: int = 64


def memory_limit() -> int:
    """Return the bytes that a prediction may take by default: 8 GiB, or half of the machine."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return _MOST_BYTES
    return min(_MOST_BYTES, whole // 2) if whole > 0 else _MOST_BYTES
