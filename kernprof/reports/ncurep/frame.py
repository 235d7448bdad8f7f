"""The frame of a report: file header, blocks, entries. Every size is checked before it is used.

Layout (little endian): ``NVR`` and a zero byte, u32 length and FileHeader, then blocks up to the
end of the file; a block is a u32 length, a BlockHeader and ``PayloadSize`` bytes of entries, each a
u32 length and a message. NVIDIA's own reader believes the sizes; this one does not.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kernprof.errors import DamagedReportError, LimitExceededError, UnsupportedVersionError
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.schema import messages

MAGIC = b"NVR\x00"
VERSION = 7

Buffer = bytes | mmap.mmap

_U32 = struct.Struct("<I")


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
    number = 0
    while position < len(data):
        block, position = _block(data, position, number, limits)
        yield block
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
        return messages()[name].FromString(raw)
    except DecodeError:
        raise DamagedReportError(
            f"{len(raw)} bytes are no {name} message, or lack a required field", where=where
        ) from None


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


def _block(data: Buffer, position: int, number: int, limits: Limits) -> tuple[Block, int]:
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
    if total > limits.launches:
        raise LimitExceededError(f"{total} entries; the limit is {limits.launches}", where=where)
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
    return _U32.unpack_from(data, position)[0], position + 4


def _slice(data: Buffer, position: int, size: int, where: str) -> bytes:
    if position + size > len(data):
        raise DamagedReportError(
            f"{size} bytes expected, {len(data) - position} are left in the file", where=where
        )
    return bytes(data[position : position + size])
