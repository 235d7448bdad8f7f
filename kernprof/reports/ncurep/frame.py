"""The frame of a report: file header, blocks, entries. Every size is checked before it is used.

Layout (little endian): ``NVR`` and a zero byte, u32 length and FileHeader, then blocks up to the
end of the file; a block is a u32 length, a BlockHeader and ``PayloadSize`` bytes of entries, each a
u32 length and a message. NVIDIA's own reader believes the sizes; this one does not.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from kernprof.errors import DamagedReportError, LimitExceededError, UnsupportedVersionError
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.schema import messages

MAGIC = b"NVR\x00"
VERSION = 7

_U32 = struct.Struct("<I")


class Buffer(Protocol):
    """Bytes that can be sliced: ``bytes``, or a file of any size that is read piece by piece."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes: ...


class FileBuffer:
    """An open file as a ``Buffer``.

    It is read rather than mapped: a mapping of a file that its writer cuts meanwhile ends the
    process with a signal instead of an error, and needs as much address space as the file is long.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, _ = key.indices(self._size)
        raw = os.pread(self._descriptor, stop - start, start)
        if len(raw) != stop - start:
            raise DamagedReportError(
                f"the file became shorter while it was read: {stop - start} bytes expected, "
                f"{len(raw)} found",
                where=f"byte {start}",
            )
        return raw


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a block's payload, not yet decoded.

    Parameters
    ----------
    kind
        ``source``, ``result``, ``range``, ``cmdlist`` or ``graph``.
    start, end
        Where its message lies in the file.
    """

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its decoded header and where its entries are."""

    number: int
    header: Any
    entries: tuple[Entry, ...]


_COUNTS = (
    ("source", "NumSources"),
    ("result", "NumResults"),
    ("range", "NumRangeResults"),
    ("cmdlist", "NumCmdlistResults"),
    ("graph", "NumGraphResults"),
)


def blocks(data: Buffer, limits: Limits) -> Iterator[Block]:
    """Walk the blocks of a report.

    Raises
    ------
    DamagedReportError
        A size or count contradicts the file.
    UnsupportedVersionError
        Another version of the format.
    LimitExceededError
        A message is larger than the limits allow.
    """
    position = _file_header(data)
    number = entries = 0
    while position < len(data):
        block, position = _block(data, position, number, limits.entries - entries, limits)
        yield block
        entries += len(block.entries)
        number += 1
        if number > limits.blocks:
            raise LimitExceededError(f"more than {limits.blocks} blocks")
    if number == 0:
        raise DamagedReportError("the file ends behind its header: expected at least one block")


def parse(name: str, raw: bytes, where: str) -> Any:
    """Decode one message.

    Raises
    ------
    DamagedReportError
        The bytes are no such message, or one of its required fields is missing.
    """
    from google.protobuf.message import DecodeError

    try:
        message = messages()[name].FromString(raw)
    except DecodeError:
        raise DamagedReportError(f"{len(raw)} bytes are no {name} message", where=where) from None
    # The C runtime decodes messages that lack required fields and only refuses to write them.
    if not message.IsInitialized():
        missing = [
            field.name
            for field in message.DESCRIPTOR.fields
            if field.is_required and not message.HasField(field.name)
        ]
        lacking = ", ".join(missing) or "a required field in one of its parts"
        raise DamagedReportError(f"a {name} message without {lacking}", where=where)
    return message


def _file_header(data: Buffer) -> int:
    if data[:4] != MAGIC:
        raise DamagedReportError("no Nsight Compute report: it does not start with NVR")
    size, position = _length(data, 4, "file header")
    if size > 1024:
        raise DamagedReportError(
            f"a file header of {size} bytes; expected a few bytes", where="byte 4"
        )
    raw = _slice(data, position, size, "file header")
    version = parse("FileHeader", raw, "file header").Version
    if version != VERSION:
        raise UnsupportedVersionError(
            f"format version {version}; this reader knows version {VERSION}"
        )
    return position + size


def _block(
    data: Buffer, position: int, number: int, entries_left: int, limits: Limits
) -> tuple[Block, int]:
    where = f"block {number}, byte {position}"
    size, position = _length(data, position, where)
    if size == 0:
        raise DamagedReportError("an empty block header", where=where)
    if size > limits.entry_bytes:
        raise LimitExceededError(
            f"a block header of {size} bytes; the limit is {limits.entry_bytes}", where=where
        )
    header = parse("BlockHeader", _slice(data, position, size, where), where)
    position += size
    end = position + header.PayloadSize
    if end > len(data):
        raise DamagedReportError(
            f"a payload of {header.PayloadSize} bytes where {len(data) - position} are left",
            where=where,
        )
    counts = [(kind, getattr(header, field)) for kind, field in _COUNTS]
    total = sum(count for _, count in counts)
    # Each entry has at least its own length in front.
    if total * 4 > header.PayloadSize:
        raise DamagedReportError(
            f"{total} entries can't fit in a payload of {header.PayloadSize} bytes", where=where
        )
    if total > entries_left:
        raise LimitExceededError(
            f"more than {limits.entries} launches and pieces of machine code", where=where
        )
    entries = []
    for kind, count in counts:
        for index in range(count):
            place = f"block {number}, {kind} {index}, byte {position}"
            size, position = _length(data, position, place)
            if size == 0:
                raise DamagedReportError("an entry of no bytes", where=place)
            largest = limits.source_bytes if kind == "source" else limits.entry_bytes
            if position + size > end:
                raise DamagedReportError(
                    f"an entry of {size} bytes where its block has {end - position} left",
                    where=place,
                )
            if size > largest:
                raise LimitExceededError(
                    f"an entry of {size} bytes; the limit is {largest}", where=place
                )
            entries.append(Entry(kind, position, position + size))
            position += size
    if position != end:
        raise DamagedReportError(
            f"{end - position} bytes of the payload belong to no entry", where=where
        )
    return Block(number, header, tuple(entries)), end


def _length(data: Buffer, position: int, where: str) -> tuple[int, int]:
    if position + 4 > len(data):
        raise DamagedReportError(
            f"the file ends where a length is expected ({len(data) - position} bytes left)",
            where=where,
        )
    return _U32.unpack(data[position : position + 4])[0], position + 4


def _slice(data: Buffer, position: int, size: int, where: str) -> bytes:
    if position + size > len(data):
        raise DamagedReportError(
            f"{size} bytes expected, {len(data) - position} are left in the file", where=where
        )
    return data[position : position + size]
