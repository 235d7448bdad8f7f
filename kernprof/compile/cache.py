"""A cache on disk: bytes by key, safe under concurrent processes, bounded in size.

An entry is written to a temporary file and renamed, so a reader sees a whole entry or none. It
starts with a digest of its content: an entry that was cut short or altered is no entry, and is
removed. What was used longest ago goes first when the cache has grown too large. Nothing here is
ever needed for a result: a cache that can't be written only costs time.

Entries are run as native code. A folder that others own or can write to is therefore no cache
(:mod:`kernprof.compile.private`), nor is a folder or entry in it that isn't the user's own; links
inside are not followed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kernprof.compile.private import distrust, is_own, make_private
from kernprof.errors import UsageError

_LOG = logging.getLogger(__name__)
_MAGIC = b"KPCACHE1"
_DIGEST_BYTES = hashlib.sha256().digest_size
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
DEFAULT_LIMIT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DiskCache:
    """Bytes by key in one directory.

    Parameters
    ----------
    directory
        Made on the first write, for its owner alone.
    limit_bytes
        The cache is trimmed to nine tenths of this once it is larger.
    """

    directory: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def get(self, key: str) -> bytes | None:
        """Return an entry's content, or None if there is no sound one of the user's own."""
        try:
            with self._folder(key) as folder:
                raw = _read(key, folder, self.limit_bytes)
                start = len(_MAGIC) + _DIGEST_BYTES
                content = raw[start:]
                if raw[:start] == _MAGIC + hashlib.sha256(content).digest():
                    return content
                _LOG.warning("removing a damaged cache entry: %s in %s", key, self.directory)
                os.unlink(key, dir_fd=folder)
        except OSError:
            pass
        return None

    def put(self, key: str, content: bytes) -> None:
        """Store an entry; a cache that can't be written or isn't the user's own stays as it is."""
        try:
            with self._folder(key, make=True) as folder:
                _write(key, folder, _MAGIC + hashlib.sha256(content).digest() + content)
        except OSError as error:
            _LOG.info("the cache in %s can't be written: %s", self.directory, error)
            return
        self._trim()

    @contextmanager
    def _folder(self, key: str, *, make: bool = False) -> Iterator[int]:
        """Open the folder that holds an entry.

        Raises
        ------
        OSError
            It isn't there, or not the user's own.
        """
        if not key or not key.isalnum():
            raise ValueError(f"cache key {key!r} is not alphanumeric")
        path = self.directory / key[:2]
        if make and distrust(self.directory) is None:
            make_private(path)
        # Looked at again: somebody may have been faster where folders are made in /tmp.
        weak = distrust(self.directory)
        if weak is not None:
            raise PermissionError(weak.reason)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        try:
            if not is_own(os.fstat(folder)):
                raise PermissionError(f"{path} is not this user's own")
            yield folder
        finally:
            os.close(folder)

    def _trim(self) -> None:
        entries = []
        total = 0
        for path in self.directory.glob("??/*"):
            try:
                status = path.lstat()
            except OSError:
                continue  # another process has removed it
            entries.append((status.st_mtime_ns, status.st_size, path))
            total += status.st_size
        if total <= self.limit_bytes:
            return
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes * 9 // 10:
                break
            with suppress(OSError):
                path.unlink()
            total -= size


def _read(name: str, folder: int, most: int) -> bytes:
    """Read an entry and mark it as used.

    Raises
    ------
    OSError
        There is none, or it is not the user's own.
    """
    # Without O_NONBLOCK a pipe in the place of an entry would be waited for.
    handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not is_own(found) or found.st_size > most:
            raise PermissionError(f"cache entry {name} is not this user's own")
        content = file.read(most)
        with suppress(OSError):
            os.utime(handle)
    return content


def _write(name: str, folder: int, content: bytes) -> None:
    """Put an entry in its place in one step, readable by the user alone.

    Raises
    ------
    OSError
        It can't be written.
    """
    temporary = f".new-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
    try:
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask
            file.write(content)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def cache_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Return where caches live: ``KERNPROF_CACHE_DIR``, or ``kernprof`` in the XDG cache directory.

    Parameters
    ----------
    environment
        Environment variables; the process's own by default.

    Raises
    ------
    UsageError
        If the directory that a variable names isn't absolute.
    """
    variables = os.environ if environment is None else environment
    own = variables.get("KERNPROF_CACHE_DIR")
    if own:
        if not Path(own).is_absolute():
            raise UsageError(f"KERNPROF_CACHE_DIR is {own!r}, expected an absolute path")
        return Path(own)
    # The XDG base directory specification has relative values ignored.
    base = variables.get("XDG_CACHE_HOME", "")
    if not Path(base).is_absolute():
        base = str(Path(variables.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "kernprof"


def open_cache(kind: str) -> DiskCache:
    """Return the cache for one kind of content ("cubin", "disassembly")."""
    return DiskCache(cache_directory() / kind)
