"""Damage inside the messages of a binary report, with every length around it put right.

Shares no code with the reader: blocks, entries and protobuf's wire format are taken apart here.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

_DEEPEST = 4
_PAYLOAD = 5
"""Field of a block header that holds the length of the block's payload."""


@dataclass(slots=True)
class _Field:
    """One field: its number, wire type and content (without tag and length)."""

    number: int
    kind: int
    content: bytes


@dataclass(slots=True)
class _Block:
    header: bytes
    entries: list[bytes]


def damaged(content: bytes, draw: random.Random, how: str) -> bytes:
    """Change one field, at any depth, of one block header or entry.

    Parameters
    ----------
    content
        A sound report.
    draw
        Source of chance.
    how
        ``drop``, ``repeat``, ``renumber`` or ``value``.
    """
    head, blocks = _apart(content)
    block = draw.choice([b for b in blocks if b.entries or len(b.header) > 8])
    # Launches are where the metrics are: most damage goes there.
    if block.entries and draw.random() < 0.8:
        index = draw.randrange(len(block.entries))
        block.entries[index] = _change(block.entries[index], draw, how, 0)
    else:
        block.header = _change(block.header, draw, how, 0)
    return head + b"".join(map(_joined, blocks))


def ended(content: bytes, draw: random.Random) -> bytes:
    """End the report after one of its blocks but the last."""
    head, blocks = _apart(content)
    return head + b"".join(map(_joined, blocks[: draw.randrange(1, max(2, len(blocks)))]))


def _apart(content: bytes) -> tuple[bytes, list[_Block]]:
    at = 8 + _u32(content, 4)
    head, blocks = content[:at], []
    while at < len(content):
        size = _u32(content, at)
        header = content[at + 4 : at + 4 + size]
        at += 4 + size
        length = sum(
            _varint(f.content, 0)[0] for f in _fields(header) or [] if f.number == _PAYLOAD
        )
        entries, end = [], at + length
        while at < end:
            size = _u32(content, at)
            entries.append(content[at + 4 : at + 4 + size])
            at += 4 + size
        blocks.append(_Block(header, entries))
    return head, blocks


def _joined(block: _Block) -> bytes:
    payload = b"".join(struct.pack("<I", len(entry)) + entry for entry in block.entries)
    parts = _fields(block.header) or []
    for part in parts:
        if part.number == _PAYLOAD and part.kind == 0:
            part.content = _spelled(len(payload))
    header = b"".join(map(_written, parts)) if parts else block.header
    return struct.pack("<I", len(header)) + header + payload


def _change(message: bytes, draw: random.Random, how: str, depth: int) -> bytes:
    parts = _fields(message)
    if not parts:
        return message[:-1]
    index = draw.randrange(len(parts))
    part = parts[index]
    inner = _fields(part.content) if part.kind == 2 and depth < _DEEPEST else None
    if inner and draw.random() < 0.6:
        part.content = _change(part.content, draw, how, depth + 1)
    elif how == "drop":
        del parts[index]
    elif how == "repeat":
        parts.insert(index, part)
    elif how == "renumber":
        part.number = draw.choice((part.number + 1, part.number ^ 2, part.number ^ 32)) or 1
    elif part.kind == 0:
        values = (0, 1, draw.randrange(1 << 10), draw.randrange(1 << 40))
        part.content = _spelled(draw.choice(values))
    elif part.content:
        damaged = bytearray(part.content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        part.content = bytes(damaged)
    return b"".join(map(_written, parts))


def _fields(message: bytes) -> list[_Field] | None:
    """Take a message apart; None where the bytes are none."""
    found = []
    at = 0
    try:
        while at < len(message):
            tag, at = _varint(message, at)
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                start = at
                _, at = _varint(message, at)
            elif kind == 2:
                size, start = _varint(message, at)
                at = start + size
            elif kind in (1, 5):
                start = at
                at += 8 if kind == 1 else 4
            else:
                return None
            if not number or at > len(message):
                return None
            found.append(_Field(number, kind, message[start:at]))
    except IndexError:
        return None
    return found


def _written(part: _Field) -> bytes:
    size = _spelled(len(part.content)) if part.kind == 2 else b""
    return _spelled(part.number << 3 | part.kind) + size + part.content


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError(at)


def _spelled(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _u32(raw: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", raw, at)[0])
