"""``load``: open a report, find out what it is by its content, and read it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kernprof.errors import (
    DamagedReportError,
    InputError,
    LimitExceededError,
    ReportError,
    UnknownFormatError,
)
from kernprof.isolation import files
from kernprof.isolation.files import NotRegularError
from kernprof.profile import Report
from kernprof.reports.base import HEAD_BYTES, Candidate, Limits, Reader
from kernprof.reports.text import decode, quote_bytes

STDIN = "-"
"""The path that means standard input."""

_CHUNK_BYTES = 1 << 20
_SHOWN_BYTES = 40

# First bytes of files that users pass by mistake; each from the format's public specification.
_FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive: unpack it and pass the report inside"),
    (b"\x1f\x8b", "gzip: unpack it with `gunzip` first"),
    (b"BZh", "bzip2: unpack it first"),
    (b"\xfd7zXZ\x00", "xz: unpack it first"),
    (b"\x7fELF", "an ELF file; `kernprof predict` takes cubins"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"SQLite format 3\x00", "an SQLite database without nvprof's tables"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` to get the file itself"),
)


def readers() -> tuple[Reader, ...]:
    """Return every reader, in the order in which they are asked.

    Binary formats with a magic number come first; a text format that only looks at words comes
    last.
    """
    from kernprof.reports.ncu_csv import NcuCsvReader
    from kernprof.reports.ncurep import NcuRepReader
    from kernprof.reports.nvprof.output import NvprofOutputReader
    from kernprof.reports.nvprof.sqlite import NvprofSqliteReader

    return (NcuRepReader(), NvprofSqliteReader(), NcuCsvReader(), NvprofOutputReader())


def load(path: str | os.PathLike[str], *, limits: Limits | None = None) -> Report:
    """Read a profiler report of any known format.

    Parameters
    ----------
    path
        A regular file (links are followed), or ``"-"`` for standard input. The name's ending is
        not looked at: the content decides.
    limits
        Bounds for size, memory and counts; the defaults suit files from strangers.

    Raises
    ------
    UnknownFormatError
        No reader knows the content.
    UnsupportedVersionError, DamagedReportError, LimitExceededError
        The format is known, and the content is too new or too old, damaged, or too large.
    ReportError
        The file is missing, can't be opened, or is not a regular file.
    """
    limits = limits or Limits()
    shown = os.fspath(path)
    try:
        with candidate(shown, limits) as found:
            return _read(found, limits)
    except ReportError as error:
        raise error.at(path=shown) from None
    except MemoryError:
        raise LimitExceededError("not enough memory to read this report", path=shown) from None
    except OSError as error:
        if error.filename not in (None, shown, str(Path(shown))):
            # Not about the report: a file of ours is missing, which is no fault of the input.
            raise
        raise ReportError(f"can't be read: {error.strerror or error}", path=shown) from None


def _read(found: Candidate, limits: Limits) -> Report:
    if not found.size_bytes:
        raise UnknownFormatError("the file is empty; expected a profiler report")
    known = readers()
    for reader in known:
        if reader.recognises(found):
            report = reader.read(found, limits)
            if not report.profiles:
                raise DamagedReportError(f"{reader.name}: the report holds no kernel launch")
            return report
    names = ", ".join(reader.name for reader in known)
    raise UnknownFormatError(f"not a known report: {describe(found.head)}; known formats: {names}")


def describe(head: bytes) -> str:
    """Say in words what a file's first bytes look like."""
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            return f"it starts like {what}"
    if b"\x00" not in head[:4096]:
        try:
            head[:4096].decode("utf-8")
        except UnicodeDecodeError as error:
            # A character cut by the end of the window is no sign of binary content.
            if error.start < min(len(head), 4096) - 4:
                return f"binary content that starts with {quote_bytes(head)}"
        words = decode(head[:_SHOWN_BYTES].removeprefix(b"\xef\xbb\xbf"), _SHOWN_BYTES).strip()
        return f"text that starts with {words!r}"
    return f"binary content that starts with {quote_bytes(head)}"


@contextmanager
def candidate(path: str, limits: Limits) -> Iterator[Candidate]:
    """Open a file, or buffer standard input, and yield what readers need to know of it.

    Raises
    ------
    ReportError
        Missing, not a regular file, or not permitted.
    LimitExceededError
        Larger than ``limits.file_bytes`` (``limits.stream_bytes`` for standard input).
    """
    if path == STDIN:
        with tempfile.NamedTemporaryFile(prefix="kernprof-") as buffer:
            size = _spool(sys.stdin.buffer, buffer, limits.stream_bytes)
            buffer.seek(0)
            head = buffer.read(HEAD_BYTES)
            yield Candidate(Path(path), head, size, Path(buffer.name))
        return
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.file_bytes:
            raise LimitExceededError(f"{size} bytes; the limit is {limits.file_bytes}")
        head = file.read(HEAD_BYTES)
    yield Candidate(Path(path), head, size)


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading, and never wait for one that is something else.

    Raises
    ------
    ReportError
        Missing, not a regular file, or not permitted.
    """
    try:
        return files.open_regular(path)
    except NotRegularError as error:
        raise ReportError(f"{error}, or '-' for standard input") from None
    except InputError as error:
        raise ReportError(str(error)) from None


def _spool(stream: BinaryIO, buffer: tempfile._TemporaryFileWrapper[bytes], limit: int) -> int:
    """Copy a stream of unknown length into a file, at most ``limit`` bytes; return its length."""
    size = 0
    while chunk := stream.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise LimitExceededError(
                f"more than {limit} bytes on standard input; save them to a file and pass that"
            )
        buffer.write(chunk)
    buffer.flush()
    return size
