"""Bytes out of reports as text that is safe to print."""

from __future__ import annotations

from kernprof.text import clean


def decode(raw: bytes, limit: int) -> str:
    """Return UTF-8 bytes as clean text (see ``clean``); undecodable bytes show as U+FFFD.

    The replacement character keeps a damaged name visible as damaged instead of losing the launch
    that carries it.
    """
    return clean(raw.decode("utf-8", "replace"), limit)


def quote_bytes(raw: bytes, count: int = 8) -> str:
    """Return the first ``count`` bytes in hex, and as text where they are printable ASCII."""
    first = raw[:count]
    shown = first.hex(" ")
    if first and all(0x20 <= byte < 0x7F for byte in first):
        shown += f" ({first.decode('ascii')!r})"
    return shown
