"""Writing results so that nothing is lost: the one place where a path that a user gave is written.

* A regular file is replaced whole: a temporary file beside it is renamed over it when all is
  written. Whatever goes wrong before (a full disk, Ctrl-C), the old file is as it was and the
  temporary one is gone. Mode and, where that is allowed, owner of the old file are kept.
* Links are followed: what they lead to is replaced, they stay.
* Anything else (a device, a pipe, a terminal) is written to as it is and never replaced.
* ``/dev/fd/N`` and ``/dev/stdout`` are this process's own descriptors: what is written continues
  where others have stopped, even where a shell has opened a file there.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import select
import shutil
import stat
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from kernprof.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MAX_LINKS = 40
"""As many links in a row as Linux follows (path_resolution(7))."""
_CHUNK_BYTES = 1 << 30
"""write(2) takes at most about 2 GiB at once."""
_COPY_BYTES = 1 << 20


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, as the module says.

    Raises
    ------
    UsageError
        It can't be written; an old file is as it was.
    """
    with open_result(path) as stream:
        stream.write(content)


def copy_file(source: Path, path: Path) -> None:
    """Write a copy of a file that another program has made, as ``write_file`` would.

    Raises
    ------
    UsageError
        It can't be written; an old file is as it was.
    """
    with source.open("rb") as content, open_result(path) as stream:
        shutil.copyfileobj(content, stream, _COPY_BYTES)


@contextmanager
def open_result(path: Path) -> Iterator[io.RawIOBase]:
    """Open a file to be written piece by piece; it is there when the block ends without an error.

    A pipe whose reader has gone away takes what is left in silence, as standard output does.

    Raises
    ------
    UsageError
        It can't be written; an old file is as it was.
    """
    try:
        target = _resolve(path)
        if target.is_replaced:
            with _replacing(target) as stream:
                yield stream
        else:
            with _Stream(_open(target)) as stream:
                yield stream
    except OSError as error:
        raise _refusal(path, error) from None


def check_target(path: Path) -> None:
    """Find out early, before long work, whether a path can be written; writes nothing.

    Raises
    ------
    UsageError
        It can't: a folder, a loop of links, no such folder, no permission.
    """
    try:
        target = _resolve(path)
        if target.descriptor is not None:
            os.fstat(target.descriptor)
            return
        mode = 0 if target.status is None else target.status.st_mode
        if stat.S_ISDIR(mode):
            raise _error(errno.EISDIR)
        if stat.S_ISSOCK(mode):
            raise _error(errno.ENXIO)
        folder = os.path.dirname(target.path)
        allowed = target.status is None or os.access(target.path, os.W_OK)
        if not allowed or (target.is_replaced and not os.access(folder, os.W_OK | os.X_OK)):
            raise _error(errno.EACCES)
    except OSError as error:
        raise _refusal(path, error) from None


def identity(path: Path | int) -> Hashable | None:
    """Return what two paths of one file have in common, however they lead there.

    Parameters
    ----------
    path
        A path, or the number of a descriptor.

    Returns
    -------
    Hashable or None
        None for what holds nothing that could be overwritten: terminals and other character
        devices, and what isn't there and can't be.
    """
    try:
        if isinstance(path, int):
            status: os.stat_result | None = os.fstat(path)
        else:
            target = _resolve(path)
            status = target.status
            if target.descriptor is not None:
                status = os.fstat(target.descriptor)
            if status is None:
                return target.path
    except OSError:
        return None
    if status is None or stat.S_ISCHR(status.st_mode):
        return None
    return status.st_dev, status.st_ino


def write_standard_output(content: str) -> None:
    """Write to standard output at once; a reader that has gone away (``| head``) is no error.

    Raises
    ------
    UsageError
        It is closed, or full.
    """
    if sys.stdout is None or sys.stdout.closed:
        raise standard_output_error("it is closed")
    with _standard_output() as stream:
        try:
            stream.write(content)
        except UnicodeEncodeError as error:
            # Nothing is written yet; what a terminal's encoding lacks shows as an escape.
            raw = content.encode(error.encoding, "backslashreplace")
            stream.write(raw.decode(error.encoding))


def flush_standard_output() -> None:
    """Write what standard output still holds of what others have written, where it is open.

    Raises
    ------
    UsageError
        It is full.
    """
    if sys.stdout is not None and not sys.stdout.closed:
        with _standard_output():
            pass


def forget(stream: TextIO) -> None:
    """Drop what a stream still holds, so that the interpreter doesn't fail on it when it ends."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    with suppress(OSError):
        # Only for this moment: the descriptor may be somebody else's as well.
        kept = os.dup(descriptor)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, descriptor)
            stream.flush()
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)
            os.close(null)


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        forget(sys.stdout)
    except OSError as error:
        forget(sys.stdout)
        raise standard_output_error(error.strerror or str(error)) from None


def standard_output_error(why: str) -> UsageError:
    """Return the error for a standard output that can't be written."""
    return UsageError(f"standard output can't be written: {why}")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a path leads.

    Parameters
    ----------
    path
        The place behind all links.
    status
        What is there; None for nothing, and for a descriptor.
    descriptor
        The descriptor of this process that the path stands for.
    """

    path: str
    status: os.stat_result | None = None
    descriptor: int | None = None

    @property
    def is_replaced(self) -> bool:
        """Whether a new file is renamed over it."""
        if self.descriptor is not None:
            return False
        return self.status is None or stat.S_ISREG(self.status.st_mode)


class _Stream(io.RawIOBase):
    """An open descriptor that takes everything that is written, not only a part of it.

    Not a ``FileIO``: numpy would write behind its back, which fails on pipes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._gone = False

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, content: ReadableBuffer, /) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        while rest and not self._gone:
            try:
                rest = rest[os.write(self._descriptor, rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                self._gone = True
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


def _resolve(path: Path) -> _Target:
    """Follow links to the end, by hand: the last one may lead to a file that isn't there yet.

    Raises
    ------
    OSError
        A folder on the way isn't there or isn't one, or links go in a circle.
    """
    place = os.fspath(path)
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(os.path.dirname(place) or ".", strict=True)
        place = os.path.join(folder, os.path.basename(place))
        own = rf"(?:/proc/{os.getpid()}(?:/task/[0-9]+)?|/dev)/fd/([0-9]{{1,9}})"
        found = re.fullmatch(own, place)
        if found is not None:
            return _Target(place, descriptor=int(found.group(1)))
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            return _Target(place)
        if not stat.S_ISLNK(status.st_mode):
            return _Target(place, status)
        place = os.path.join(folder, os.readlink(place))
    raise _error(errno.ELOOP)


def _open(target: _Target) -> int:
    """Open what is written to as it is: no creation, no truncation."""
    if target.descriptor is not None:
        return os.dup(target.descriptor)
    return os.open(target.path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)


@contextmanager
def _replacing(target: _Target) -> Iterator[_Stream]:
    old = target.status
    if old is not None and not os.access(target.path, os.W_OK):
        # The folder's permissions would allow it; the file's owner does not.
        raise _error(errno.EACCES)
    name = f".kernprof-{secrets.token_hex(8)}.tmp"
    scratch = os.path.join(os.path.dirname(target.path), name)
    # A new file has the mode that the umask leaves; what replaces a file is private until it has
    # that file's mode.
    mode = 0o666 if old is None else 0o600
    try:
        with _Stream(
            os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        ) as stream:
            if old is not None:
                _take_over(stream.fileno(), old)
            yield stream
        os.replace(scratch, target.path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def _take_over(descriptor: int, old: os.stat_result) -> None:
    """Give a new file owner, group and mode of the old one, as far as the system allows it."""
    with suppress(OSError):
        os.fchown(descriptor, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
    with suppress(OSError):
        # Without set-user-ID bits: a result is no program, and the owner may be another one now.
        os.fchmod(descriptor, old.st_mode & 0o777)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _refusal(path: Path, error: OSError) -> UsageError:
    return UsageError(f"can't write {path}: {error.strerror or error}")
