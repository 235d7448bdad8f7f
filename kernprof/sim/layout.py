"""Memory that Python and the compiled code share: one definition of every structure.

The structures are :mod:`ctypes` ones; compiled code addresses their fields by ``offset_of``.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum

from kernprof.sim.limits import BLOCK_BARRIERS, CONSTANT_BANKS, CONVERGENCE_BARRIERS
from kernprof.sim.limits import REGISTERS as LAST_REGISTERS
from kernprof.sim.refusal import Refused

WARP_SIZE = 32
PIECES_SHIFT = 20
"""Where a word of a trace has the number of its pieces, above that of its instruction."""
MAX_INSTRUCTIONS = 1 << PIECES_SHIFT
"""Instructions of a kernel that can be traced."""
RESERVE_WORDS = 80
"""Free words below which a stretch of a trace is full: an access and the next block always fit."""
MAX_WARPS = 32  # 1024 threads a block on every architecture
STACK_DEPTH = 64
SPARE_REGISTERS = 3  # 128-bit accesses may end behind a kernel's last register
REGISTER_BYTES = 4 * WARP_SIZE
SECTOR_BYTES = 32
LINE_BYTES = 128
SHARED_BANKS = 32
# Generic addresses: where the windows of shared and local memory begin. The addresses are made up
# like those of arrays; that a window is 16 MiB, aligned, is what compiled code relies on.
WINDOW_BITS = 24
SHARED_WINDOW = 0x7D00_0000_0000
LOCAL_WINDOW = 0x7C00_0000_0000


class FaultKind(IntEnum):
    """What stopped a launch; 0 means nothing did."""

    NONE = 0
    OUT_OF_BOUNDS = 1
    MISALIGNED = 2
    READ_ONLY = 3
    UNSUPPORTED = 4
    DEADLOCK = 5
    BAD_BRANCH = 6
    CONSTANT = 7
    FUEL = 8
    STOPPED = 9
    TRAP = 10


class StepResult(IntEnum):
    """Why a warp stopped running."""

    EXITED = 0
    BARRIER = 1
    YIELD = 2
    BLOCKED = 3
    FAULT = 4


class Allocation(ctypes.Structure):
    """A piece of global memory: device addresses ``base`` to ``base + size``."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("host", ctypes.c_uint64),
        ("writable", ctypes.c_uint64),
    )


class Context(ctypes.Structure):
    """State of one worker: where memory is, what runs now, the first fault."""

    _fields_ = (
        ("banks", ctypes.c_uint64 * CONSTANT_BANKS),
        ("bank_bytes", ctypes.c_uint64 * CONSTANT_BANKS),
        ("allocations", ctypes.c_uint64),
        ("allocation_count", ctypes.c_uint64),
        ("allocation_cache", ctypes.c_uint64),
        ("block_executed", ctypes.c_uint64),
        ("block_threads", ctypes.c_uint64),
        ("predicated_on", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("sectors", ctypes.c_uint64),
        ("lines", ctypes.c_uint64),
        ("wavefronts", ctypes.c_uint64),
        ("conflicts", ctypes.c_uint64),
        ("divergent", ctypes.c_uint64),
        ("generic_shared", ctypes.c_uint64),
        ("generic_local", ctypes.c_uint64),
        ("generic_local_sectors", ctypes.c_uint64),
        ("shared", ctypes.c_uint64),
        ("shared_bytes", ctypes.c_uint64),
        ("local", ctypes.c_uint64),
        ("local_bytes", ctypes.c_uint64),
        ("warps", ctypes.c_uint64),
        ("warp_stride", ctypes.c_uint64),
        ("warp_count", ctypes.c_uint64),
        ("block_size", ctypes.c_uint32 * 3),
        ("grid_size", ctypes.c_uint32 * 3),
        ("block_index", ctypes.c_uint32 * 3),
        ("current_warp", ctypes.c_uint32),
        ("fault_kind", ctypes.c_uint32),
        ("fault_instruction", ctypes.c_uint32),
        ("fault_lane", ctypes.c_uint32),
        ("fault_warp", ctypes.c_uint32),
        ("fault_address", ctypes.c_uint64),
        ("fuel", ctypes.c_uint64),
        ("trace_table", ctypes.c_uint64),
        ("trace", ctypes.c_uint64),
        ("check", ctypes.c_uint64),
        ("barrier_arrived", ctypes.c_uint32 * BLOCK_BARRIERS),
        ("stop", ctypes.c_uint32),
    )


class Warp(ctypes.Structure):
    """State of one warp; its registers follow at ``REGISTERS`` bytes from its start."""

    _fields_ = (
        ("lane_pc", ctypes.c_uint32 * WARP_SIZE),
        ("tid_x", ctypes.c_uint32 * WARP_SIZE),
        ("tid_y", ctypes.c_uint32 * WARP_SIZE),
        ("tid_z", ctypes.c_uint32 * WARP_SIZE),
        ("members", ctypes.c_uint32 * (CONVERGENCE_BARRIERS * WARP_SIZE)),
        ("sync_masks", ctypes.c_uint32 * WARP_SIZE),
        ("collect_pc", ctypes.c_uint32 * WARP_SIZE),
        ("predicates", ctypes.c_uint32 * 8),
        ("uniform_predicates", ctypes.c_uint32 * 8),
        ("uniform", ctypes.c_uint32 * 256),
        ("waiting", ctypes.c_uint32 * CONVERGENCE_BARRIERS),
        ("live", ctypes.c_uint32),
        ("ready", ctypes.c_uint32),
        ("at_barrier", ctypes.c_uint32),
        ("barrier_number", ctypes.c_uint32),
        ("barrier_count", ctypes.c_uint32),
        ("barrier_kind", ctypes.c_uint32),
        ("barrier_true", ctypes.c_uint32),
        ("barrier_result", ctypes.c_uint32),
        ("sync_waiting", ctypes.c_uint32),
        ("collecting", ctypes.c_uint32),
        ("inside", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
        ("issued", ctypes.c_uint64),
        ("carry", ctypes.c_uint32),
        ("zero", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("token_kind", ctypes.c_uint32 * STACK_DEPTH),
        ("token_place", ctypes.c_uint32 * STACK_DEPTH),
        ("token_lanes", ctypes.c_uint32 * STACK_DEPTH),
    )


CANARY_BYTES = 64
"""Between a warp's fields and its registers, and behind these: nothing is ever written there."""
REGISTERS = -(-(ctypes.sizeof(Warp) + CANARY_BYTES) // REGISTER_BYTES) * REGISTER_BYTES


def offset_of(structure: type[ctypes.Structure], field: str, index: int = 0) -> int:
    """Byte offset of a field, or of one element of an array field.

    Raises
    ------
    Refused
        The field has no such element.
    """
    start: int = getattr(structure, field).offset
    kind = next(row[1] for row in structure._fields_ if row[0] == field)
    count = getattr(kind, "_length_", 1)
    if not 0 <= index < count:
        raise Refused(f"number {index} of {count} ({field})")
    return start + index * (ctypes.sizeof(kind) // count)


def register_at(index: int) -> int:
    """Byte offset of a vector register in a warp's state."""
    if not 0 <= index < LAST_REGISTERS + SPARE_REGISTERS:
        raise Refused(f"number {index} of {LAST_REGISTERS} (registers)")
    return REGISTERS + index * REGISTER_BYTES


def warp_bytes(registers: int) -> int:
    """Size of a warp's state with its registers, spare ones included."""
    return REGISTERS + (registers + SPARE_REGISTERS) * REGISTER_BYTES
