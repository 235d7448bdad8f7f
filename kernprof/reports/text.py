"""Text out of reports, made safe to print: names, messages and the first bytes of a file."""

from __future__ import annotations

import re

# Line breaks and tabs separate words, so a space takes their place.
_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")

# What can move the cursor, recolour a terminal, reverse or hide neighbouring text, or can't be
# encoded at all: C0, DEL, C1, soft hyphen, zero-width and bidirectional controls, tags, surrogates.
# Ranges: Unicode categories Cc, Cf and Cs (UnicodeData.txt, version 15) as far as they matter here.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)

ELLIPSIS = "…"


def clean(text: str, limit: int) -> str:
    """Return ``text`` on one line, without control characters, at most ``limit`` characters long.

    Runs of line breaks and tabs become one space; other control characters, bidirectional and
    zero-width marks and lone surrogates are dropped. A text that had to be cut ends with an
    ellipsis, so that a cut is seen.

    Parameters
    ----------
    text
        A name or a message out of somebody else's file.
    limit
        Most characters to keep, at least 1.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    kept = text[:limit] if len(text) > limit else text
    kept = _HIDDEN.sub("", _BREAKS.sub(" ", kept))
    if len(text) > limit:
        kept = kept[: limit - 1] + ELLIPSIS
    return kept


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
