"""Somebody else's text made safe to print: names, messages, whole outputs.

Names of kernels, layers, metrics and files are data. In a terminal an escape sequence in one of
them moves the cursor or sets the window's title, a bidirectional mark shows it in another order
than it has, and a line break makes a second row of a table. What is dropped stands here and nowhere
else; names lose it where they are read (reports, network files) and where they are shown (tables,
pages, drawings, error lines), and a whole output once more when it is written.
"""

from __future__ import annotations

import re

# Line breaks and tabs separate words, so a space takes their place.
_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")

# What can move the cursor, recolour a terminal, reverse or hide neighbouring text, or can't be
# encoded at all: C0, DEL, C1, soft hyphen, zero-width and bidirectional controls, tags, surrogates,
# and the two non-characters that no XML document may hold.
# Ranges: Unicode categories Cc, Cf and Cs (UnicodeData.txt, version 15) as far as they matter here.
_MARKS = (
    "\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(f"[\x00-\x1f{_MARKS}]+")
# Of a whole output, line feeds and tabs are the layout.
_UNPRINTABLE = re.compile(f"[\x00-\x08\x0b-\x1f{_MARKS}]")
_COLORED = re.compile(f"(\x1b\\[[0-9;]*m)|{_UNPRINTABLE.pattern}")

ELLIPSIS = "…"


def clean(text: str, limit: int | None = None) -> str:
    """Return ``text`` on one line, without control characters, at most ``limit`` characters long.

    Runs of line breaks and tabs become one space; other control characters, bidirectional and
    zero-width marks and lone surrogates are dropped. A text that had to be cut ends with an
    ellipsis, so that a cut is seen.

    Parameters
    ----------
    text
        A name or a message out of somebody else's file.
    limit
        Most characters to keep, at least 1; None keeps all.
    """
    cut = limit is not None and len(text) > limit
    if not cut and text.isascii() and text.isprintable():
        return text
    kept = text[:limit] if cut else text
    kept = _HIDDEN.sub("", _BREAKS.sub(" ", kept))
    if cut and limit is not None:
        kept = kept[: limit - 1] + ELLIPSIS
    return kept


def printable(text: str, *, colors: bool = False) -> str:
    """Return a text of many lines without what ``clean`` drops, but with line feeds and tabs.

    Parameters
    ----------
    text
        A whole output.
    colors
        Whether escape sequences that set colors (SGR, ``ESC [ ... m``) stay as well.
    """
    if colors:
        return _COLORED.sub(lambda found: found.group(1) or "", text)
    return _UNPRINTABLE.sub("", text)


def escape_json(text: str) -> str:
    r"""Return a JSON text with the characters that ``clean`` drops written as ``\uXXXX``.

    JSON is for programs, so nothing is lost; a terminal that shows it is safe all the same.
    """
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2] for i in range(0, len(units), 2))
    return "".join(f"\\u{int.from_bytes(unit, 'big'):04x}" for unit in pairs)
