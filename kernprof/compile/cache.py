"""A cache on disk: bytes by key, safe under concurrent processes, bounded in size.

An entry is written to a temporary file and renamed, so a reader sees a whole entry or none. It
starts with a digest of its content: an entry that was cut short or altered is no entry, and is
removed. What was used longest ago goes first when the cache has grown too large. Nothing here is
ever needed for a result: a cache that can't be written only costs time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kernprof.errors import UsageError

_LOG = logging.getLogger(__name__)
_MAGIC = b"KPCACHE1"
_DIGEST_BYTES = hashlib.sha256().digest_size
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

    def _path(self, key: str) -> Path:
        if not key or not key.isalnum():
            raise ValueError(f"cache key {key!r} is not alphanumeric")
        return self.directory / key[:2] / key

    def get(self, key: str) -> bytes | None:
        """Return an entry's content, or None if there is no sound one."""
        path = self._path(key)
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST_BYTES
        content = raw[start:]
        if raw[:start] != _MAGIC + hashlib.sha256(content).digest():
            _LOG.warning("removing a damaged cache entry: %s", path)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Store an entry; a cache that can't be written is left as it is."""
        path = self._path(key)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + hashlib.sha256(content).digest() + content)
                os.replace(temporary, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            _LOG.info("the cache in %s can't be written: %s", self.directory, error)
            return
        self._trim()

    def _trim(self) -> None:
        entries = []
        total = 0
        for path in self.directory.glob("??/*"):
            try:
                status = path.stat()
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
