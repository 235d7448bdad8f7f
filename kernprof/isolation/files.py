"""Opening files that somebody names: only regular ones, and only up to a size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from kernprof.errors import InputError

MAX_TEXT_BYTES = 64 << 20


class NotRegularError(InputError):
    """A device, pipe, socket or directory stands where a file is expected."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading, and never wait for one that is something else.

    Raises
    ------
    InputError
        Missing, not a regular file, or not permitted; the message does not name the file.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise InputError(_failure(error)) from None
    except ValueError as error:  # a NUL in the name
        raise InputError(f"can't be opened: {error}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a directory" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise NotRegularError(f"this is {what}; expected a regular file")
    return os.fdopen(descriptor, "rb")


def _failure(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno == errno.EACCES:
        return "no permission to read it"
    return f"can't be opened: {error.strerror}"


def read_regular(path: str | os.PathLike[str], what: str) -> bytes:
    """Read a regular file of text; ``what`` names its kind in messages ("CUDA source").

    Raises
    ------
    InputError
        It can't be read, is no regular file or larger than :data:`MAX_TEXT_BYTES`.
    """
    try:
        with open_regular(path) as stream:
            content = stream.read(MAX_TEXT_BYTES + 1)
    except (InputError, OSError) as error:
        raise InputError(f"{Path(path)}: can't be read as {what} ({error})") from None
    if len(content) > MAX_TEXT_BYTES:
        raise InputError(f"{Path(path)}: {what} of more than {MAX_TEXT_BYTES:,} bytes is not read")
    return content


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Read a regular file of UTF-8 text, as :func:`read_regular` does.

    Raises
    ------
    InputError
        In the same cases, and where it is not UTF-8.
    """
    try:
        return read_regular(path, what).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{Path(path)}: can't be read as {what} ({error})") from None
