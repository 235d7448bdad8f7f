"""What a checked run found: defects of a kernel that a GPU does not report by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from kernprof.sim.layout import WARP_SIZE, Context, FaultKind, Warp
from kernprof.sim.lines import SourceLine
from kernprof.sim.program import Instruction, Kernel
from kernprof.sim.shadow import Found, FoundKind, Shadow, Space

_NONE = 0xFFFFFFFF
_NEAR_BYTES = 4096


class FindingKind(StrEnum):
    """Class of a defect."""

    OUT_OF_BOUNDS = "out of bounds"
    MISALIGNED = "misaligned"
    READ_ONLY = "write to read-only"
    UNINITIALISED = "uninitialised read"
    RACE = "race"
    BARRIER = "different barriers"
    DEADLOCK = "deadlock"
    ENDLESS = "endless wait"
    UNFINISHED = "still running"


_KINDS = {
    FoundKind.OUT_OF_BOUNDS: FindingKind.OUT_OF_BOUNDS,
    FoundKind.CONSTANT: FindingKind.OUT_OF_BOUNDS,
    FoundKind.MISALIGNED: FindingKind.MISALIGNED,
    FoundKind.READ_ONLY: FindingKind.READ_ONLY,
    FoundKind.UNINITIALISED: FindingKind.UNINITIALISED,
    FoundKind.RACE: FindingKind.RACE,
    FoundKind.BARRIER: FindingKind.BARRIER,
}
ENDING = {
    FaultKind.DEADLOCK: FindingKind.DEADLOCK,
    FaultKind.FUEL: FindingKind.ENDLESS,
    FaultKind.STOPPED: FindingKind.UNFINISHED,
}
"""Faults that a checked run can't go on after, and reports."""

Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """An instruction: its text, byte offset in the kernel's section and source position."""

    text: str
    offset: int
    source: SourceLine | None

    def __str__(self) -> str:
        line = f", {self.source.file}:{self.source.line}" if self.source else ""
        return f"{self.text!r} at +{self.offset:#x}{line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect: its first occurrence and how often it occurred.

    Occurrences are lanes of an instruction. Findings are the same when kind, memory space and both
    instructions are.

    Parameters
    ----------
    kind
        What happened.
    place
        The instruction that did it: of a race the second one in simulated order, of a wait one
        that waits.
    thread, block
        Indices (x, y, z) of the first thread and block.
    other_place, other_thread
        Of a race the first access, of barriers another one that threads wait at.
    space
        "global", "shared", "local" or "constant"; "" where no memory is concerned.
    address
        Device address, or offset in that space; None where no memory is concerned.
    size_bytes
        Size of the access of a lane; None where it is not known.
    array, offset_bytes
        The argument or variable that the address is in or near, and the offset from its start,
        which may be negative or behind its end.
    occurrences
        How many lanes did it.
    """

    kind: FindingKind
    place: Place
    thread: Index
    block: Index
    other_place: Place | None = None
    other_thread: Index | None = None
    space: str = ""
    address: int | None = None
    size_bytes: int | None = None
    array: str | None = None
    offset_bytes: int | None = None
    occurrences: int = 1

    @property
    def where(self) -> str:
        """Name the memory: "shared+0x10", "argument 2+0x400 (0x7f0000000400)"."""
        if self.address is None:
            return ""
        if self.array is None or self.offset_bytes is None:
            return f"{self.space}+{self.address:#x}"
        sign = "-" if self.offset_bytes < 0 else "+"
        return f"{self.array}{sign}{abs(self.offset_bytes):#x} ({self.address:#x})"

    @property
    def message(self) -> str:
        """The whole story on one line."""
        parts = [f"{self.kind}: thread {self.thread} of block {self.block}, {self.place}"]
        if self.other_place is not None:
            parts.append(f"with thread {self.other_thread}, {self.other_place}")
        if self.where:
            parts.append(self.where)
        parts.append(f"{self.occurrences} times")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Outcome of a checked run.

    Parameters
    ----------
    findings
        In the order in which they first occurred.
    complete
        Whether the launch ran to its end; a deadlock ends it before.
    lost
        Occurrences of further findings, beyond the number that is kept.
    """

    findings: tuple[Finding, ...]
    complete: bool
    lost: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Extent:
    """A named stretch of global memory."""

    base: int
    size_bytes: int
    name: str


def make_report(
    kernel: Kernel,
    shadow: Shadow,
    context: Context,
    warps: np.ndarray,
    extents: Sequence[Extent],
    block: Index,
) -> CheckReport:
    """Turn what compiled code noted into findings."""
    count = int(shadow.state.found_count)
    findings = [_finding(kernel, shadow.found[i], extents, block) for i in range(count)]
    if context.fault_kind in ENDING:
        findings.append(_stopped(kernel, context, warps, block))
    return CheckReport(tuple(findings), not context.fault_kind, int(shadow.state.lost))


def _finding(kernel: Kernel, found: Found, extents: Sequence[Extent], block: Index) -> Finding:
    kind = FoundKind(found.kind)
    space = Space(found.space)
    address = int(found.address)
    if kind is FoundKind.BARRIER:
        return Finding(
            kind=FindingKind.BARRIER,
            place=_waiting_at(kernel, found.instruction),
            thread=_thread(found.thread, block),
            block=_block(found.block),
            other_place=_waiting_at(kernel, found.other),
            other_thread=_thread(found.other_thread, block),
            occurrences=int(found.count),
        )
    instruction = kernel.instructions[found.instruction]
    if space is Space.GLOBAL and instruction.opcode in ("LDS", "STS", "ATOMS"):
        space = Space.SHARED
    near = nearest(address, extents) if space is Space.GLOBAL else None
    other = None if found.other == _NONE else _place(kernel.instructions[found.other])
    return Finding(
        kind=_KINDS[kind],
        place=_place(instruction),
        thread=_thread(found.thread, block),
        block=_block(found.block),
        other_place=other,
        other_thread=None if other is None else _thread(found.other_thread, block),
        space=space.name.lower(),
        address=address,
        size_bytes=int(found.size) or None,
        array=near.name if near else None,
        offset_bytes=address - near.base if near else None,
        occurrences=int(found.count),
    )


def _stopped(kernel: Kernel, context: Context, warps: np.ndarray, block: Index) -> Finding:
    """Tell who waits where when nothing can go on; the warp's state is as it stopped."""
    kind = FaultKind(context.fault_kind)
    warp_number = int(context.fault_warp)
    warp = Warp.from_address(warps.ctypes.data + warp_number * context.warp_stride)
    lane = int(context.fault_lane)
    other_lane = None
    if kind is FaultKind.DEADLOCK and warp.at_barrier:
        lane = _lowest(warp.at_barrier)
        rest = warp.live & ~warp.at_barrier
        other_lane = _lowest(rest) if rest else None
    thread = warp_number * WARP_SIZE
    other = None if other_lane is None else _waiting_at(kernel, warp.lane_pc[other_lane])
    where = _waiting_at(kernel, warp.lane_pc[lane])
    if kind in (FaultKind.FUEL, FaultKind.STOPPED):
        where = _place(kernel.by_offset.get(warp.lane_pc[lane], kernel.instructions[0]))
    return Finding(
        kind=ENDING[kind],
        place=where,
        thread=_thread(thread + lane, block),
        block=_block(context.block_index),
        other_place=other,
        other_thread=None if other_lane is None else _thread(thread + other_lane, block),
    )


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _waiting_at(kernel: Kernel, following: int) -> Place:
    """Return the instruction in front of the one that a waiting lane goes on with."""
    # Before Volta every fourth word is no instruction, so the step back is not always the same.
    return _place(max((i for i in kernel.instructions if i.offset < following), key=_offset))


def _offset(instruction: Instruction) -> int:
    return instruction.offset


def _place(instruction: Instruction) -> Place:
    return Place(instruction.text, instruction.offset, instruction.source)


def _thread(linear: int, block: Index) -> Index:
    return linear % block[0], linear // block[0] % block[1], linear // (block[0] * block[1])


def _block(index: Sequence[int]) -> Index:
    return int(index[0]), int(index[1]), int(index[2])


def nearest(address: int, extents: Sequence[Extent]) -> Extent | None:
    """Return the stretch that an address is in, or else the nearest one close by."""

    def distance(extent: Extent) -> int:
        return max(extent.base - address, address - (extent.base + extent.size_bytes) + 1, 0)

    near = min(extents, key=distance, default=None)
    return near if near is not None and distance(near) <= _NEAR_BYTES else None
