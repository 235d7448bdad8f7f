"""What a checked run keeps beside memory: who touched a byte last, and what was found.

The structures are shared with compiled code like those of :mod:`kernprof.sim.layout`. A *cell*
remembers the last write and the last reads of two different warps; it counts only while its epoch
is the block's, and the epoch moves on at every barrier of the block, so nothing is ever cleared.
There is one cell for each 4-byte word of shared memory and one for each byte; the latter are used
for words that were touched in parts since the last barrier (*split*).
"""

from __future__ import annotations

import ctypes
from enum import IntEnum

import numpy as np

from kernprof.sim.layout import WARP_SIZE, FaultKind

MAX_FOUND = 256
"""Different findings of a launch that are kept; more are only counted."""


class FoundKind(IntEnum):
    """What a checked run notes; the first ones are faults that it goes on after."""

    OUT_OF_BOUNDS = FaultKind.OUT_OF_BOUNDS
    MISALIGNED = FaultKind.MISALIGNED
    READ_ONLY = FaultKind.READ_ONLY
    CONSTANT = FaultKind.CONSTANT
    UNINITIALISED = 32
    RACE = 33
    BARRIER = 34


class Space(IntEnum):
    """Memory that a finding is about."""

    NONE = 0
    GLOBAL = 1
    SHARED = 2
    LOCAL = 3
    CONSTANT = 4


class Found(ctypes.Structure):
    """One finding: the first occurrence and how many there were."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("instruction", ctypes.c_uint32),
        ("other", ctypes.c_uint32),
        ("thread", ctypes.c_uint32),
        ("other_thread", ctypes.c_uint32),
        ("space", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("block", ctypes.c_uint32 * 3),
        ("last_epoch", ctypes.c_uint32),
        ("last_serial", ctypes.c_uint32),
        ("last_thread", ctypes.c_uint32),
        ("address", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
    )


class Cell(ctypes.Structure):
    """Last write and last reads of a word or byte; ``who`` is a thread's number in its block."""

    _fields_ = (
        *(
            (f"{access}_{name}", ctypes.c_uint32)
            for access in ("write", "read", "older")
            for name in ("epoch", "serial", "who", "instruction", "time")
        ),
        ("write_atomic", ctypes.c_uint32),
    )


class Clock(ctypes.Structure):
    """What the lanes of a warp know of each other.

    ``known[i][j]`` is the last time of lane j that lane i is ordered behind; times count the
    warp's synchronisations.
    """

    _fields_ = (
        ("known", ctypes.c_uint32 * (WARP_SIZE * WARP_SIZE)),
        ("time", ctypes.c_uint32),
        ("last_atomic", ctypes.c_uint32),
        ("spare", ctypes.c_uint32 * 14),
    )


class CheckState(ctypes.Structure):
    """Where compiled code finds all this."""

    _fields_ = (
        ("found", ctypes.c_uint64),
        ("found_count", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("words", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("split", ctypes.c_uint64),
        ("shared_written", ctypes.c_uint64),
        ("local_written", ctypes.c_uint64),
        ("global_written", ctypes.c_uint64),
        ("clocks", ctypes.c_uint64),
        ("epoch", ctypes.c_uint32),
        ("serial", ctypes.c_uint32),
    )


assert ctypes.sizeof(Cell) == 64


class Shadow:
    """The memory of one checked launch.

    Parameters
    ----------
    shared_bytes, local_bytes
        Shared memory of a block and local memory of all its threads.
    warps
        Warps of a block.
    written
        For each allocation of global memory: one byte per byte, 1 where its content is defined, or
        None where all of it is.
    """

    def __init__(
        self, shared_bytes: int, local_bytes: int, warps: int, written: list[np.ndarray | None]
    ) -> None:
        words = -(-shared_bytes // 4) + 4
        cell = ctypes.sizeof(Cell)
        self.found = (Found * MAX_FOUND)()
        self.written = written
        pointers = [0 if part is None else part.ctypes.data for part in written]
        self._arrays: dict[str, np.ndarray] = {
            "words": np.zeros(words * cell, np.uint8),
            "bytes": np.zeros(4 * words * cell, np.uint8),
            "split": np.zeros(words, np.uint32),
            "shared_written": np.zeros(4 * words, np.uint8),
            "local_written": np.zeros(max(local_bytes, 16), np.uint8),
            "global_written": np.array([*pointers, 0], dtype=np.uint64),
            "clocks": np.zeros(warps * ctypes.sizeof(Clock), np.uint8),
        }
        self.state = CheckState()
        for name, array in self._arrays.items():
            setattr(self.state, name, array.ctypes.data)
        self.state.found = ctypes.addressof(self.found)

    @property
    def address(self) -> int:
        """Where the state is."""
        return ctypes.addressof(self.state)
