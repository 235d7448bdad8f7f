"""Lines and CSV records out of text reports, read as a stream with bounds.

Text reports reach us through shells: with a byte order mark, as UTF-16 (PowerShell's ``>``), with
CRLF, and with the profiled program's own output around the table. A line is never longer than
``LINE_CHARS`` here and a record never spans more than ``RECORD_LINES`` lines.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.reports.base import Candidate

LINE_CHARS = 16 << 20
"""Longest line; a row of the raw page with thousands of metrics stays far below."""

RECORD_LINES = 1000
"""Most lines of one CSV record (a quoted cell may hold line breaks)."""

VALUE_CELLS = 8_000_000
"""Most metric values of one text report: up to 2.5 GB of Python objects."""

_CHUNK_BYTES = 1 << 18

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end.

    Parameters
    ----------
    number
        Counted from 1.
    text
        Without the line break.
    ended
        False for a last line that no line break ends.
    """

    number: int
    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One CSV record: the line it starts on, its cells, and whether its line was ended.

    ``closed`` tells that the last cell is quoted, so that a cut inside it can't go unseen.
    """

    line: int
    cells: list[str]
    ended: bool
    closed: bool


def encoding_of(head: bytes) -> tuple[str, int]:
    """Return the encoding that a byte order mark tells (else UTF-8), and the mark's length."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return "utf-8", 0


def head_lines(head: bytes) -> list[str]:
    """Return the whole lines among a file's first bytes; nothing for binary content."""
    name, skip = encoding_of(head)
    text = head[skip:].decode(name, "replace")
    if "\x00" in text:
        return []
    return [line.rstrip("\r") for line in text.split("\n")]


def read_lines(candidate: Candidate) -> Iterator[Line]:
    """Yield the lines of a text file.

    UTF-8 that can't be decoded shows as U+FFFD (it is the program's own output, or a cell that a
    later check refuses); UTF-16 that can't be decoded has lost its alignment and is refused.

    Raises
    ------
    DamagedReportError
        A NUL character, or broken UTF-16.
    LimitExceededError
        A line longer than ``LINE_CHARS``.
    """
    name, skip = encoding_of(candidate.head)
    errors = "replace" if name == "utf-8" else "strict"
    decoder = codecs.getincrementaldecoder(name)(errors)
    number = 1
    pending: list[str] = []
    pending_chars = 0
    with candidate.content.open("rb") as file:
        file.seek(skip)
        while True:
            chunk = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise DamagedReportError(
                    f"broken {name.upper()} text: {error.reason}", where=f"line {number}"
                ) from None
            if "\x00" in text:
                at = number + text[: text.index("\x00")].count("\n")
                raise DamagedReportError("a NUL character in a text report", where=f"line {at}")
            parts = text.split("\n")
            for part in parts[:-1]:
                pending.append(part)
                yield Line(number, "".join(pending).rstrip("\r"), ended=True)
                number += 1
                pending.clear()
                pending_chars = 0
            pending.append(parts[-1])
            pending_chars += len(parts[-1])
            if pending_chars > LINE_CHARS:
                raise LimitExceededError(
                    f"a line of more than {LINE_CHARS} characters", where=f"line {number}"
                )
            if not chunk:
                break
    rest = "".join(pending)
    if rest:
        yield Line(number, rest.rstrip("\r"), ended=False)


def split_cells(text: str, delimiter: str, line: int) -> list[str]:
    """Split one CSV record into its cells, strictly.

    Raises
    ------
    DamagedReportError
        Quotes that don't fit together.
    LimitExceededError
        A cell longer than the csv module takes (131072 characters).
    """
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "field limit" in str(error):
            raise LimitExceededError(f"a cell is too long: {error}", where=f"line {line}") from None
        raise DamagedReportError(f"not a CSV row: {error}", where=f"line {line}") from None
    return rows[0] if rows else []


def join_record(first: Line, lines: Iterator[Line], delimiter: str) -> Record:
    """Read one CSV record that starts on ``first``, taking further lines while a quote is open.

    Raises
    ------
    DamagedReportError
        The text ends inside a quoted cell, or quotes don't fit together.
    LimitExceededError
        The record spans more than ``RECORD_LINES`` lines or ``LINE_CHARS`` characters.
    """
    last = first
    texts = [first.text]
    quotes = first.text.count('"')
    chars = len(first.text)
    while quotes % 2:
        following = next(lines, None)
        if following is None:
            raise DamagedReportError(
                "the text ends inside a quoted cell: the file is cut", where=f"line {first.number}"
            )
        last = following
        texts.append(last.text)
        quotes += last.text.count('"')
        chars += len(last.text)
        if len(texts) > RECORD_LINES or chars > LINE_CHARS:
            raise LimitExceededError(
                "a quoted cell goes on for too long; a quote is missing",
                where=f"line {first.number}",
            )
    text = "\n".join(texts)
    cells = split_cells(text, delimiter, first.number)
    return Record(first.number, cells, last.ended, text.endswith('"'))


def is_log_line(text: str) -> bool:
    """Tell the profiler's own log lines (``==PROF==``, ``==1234==``, ``========``)."""
    return text.lstrip().startswith("==")
