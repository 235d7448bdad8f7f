"""Memory with walls: every region lies between pages that nothing may touch.

Compiled code is given pointers. Should it ever go beyond what they point at, the processor stops it
there instead of it reading or changing whatever the host keeps next to it. A region ends at a wall,
up to the alignment of its start; the few bytes in between hold a pattern that
:meth:`Arena.intact` looks at. Where pages can't be protected (not POSIX) the pattern remains.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
ALIGNMENT = 64
_WALL_BYTES = 16 * PAGE
_PATTERN = 0xA5
_PROT_NONE = 0


@cache
def _libc() -> Any:
    """Return the C library where it has ``mprotect``, else None."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    except (OSError, AttributeError, TypeError):
        return None
    return library


class Arena:
    """Zeroed regions of given sizes, each between walls; unmapped when nothing uses it any more.

    Parameters
    ----------
    sizes
        Bytes of each region.

    Raises
    ------
    MemoryError
        There is not so much, or a limit forbids it.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        starts, at = [], 0
        for size in sizes:
            at += _WALL_BYTES
            room = -(-max(size, 1) // PAGE) * PAGE
            starts.append(at + (room - size) // ALIGNMENT * ALIGNMENT)
            at += room
        at += _WALL_BYTES
        try:
            self._map = mmap.mmap(-1, at, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"{at:,} bytes: {error.strerror}") from None
        whole = np.frombuffer(self._map, np.uint8)
        self._slack = []
        self.regions: tuple[np.ndarray, ...] = tuple(
            whole[start : start + size] for start, size in zip(starts, sizes, strict=True)
        )
        base = whole.ctypes.data
        for start, size in zip(starts, sizes, strict=True):
            first = start // PAGE * PAGE
            end = -(-(start + size) // PAGE) * PAGE
            self._slack += [whole[first:start], whole[start + size : end]]
            self._protect(base + first - _WALL_BYTES)
        for part in self._slack:
            part[:] = _PATTERN
        self._protect(base + at - _WALL_BYTES)

    @staticmethod
    def _protect(address: int) -> None:
        library = _libc()
        if library is not None:
            library.mprotect(address, _WALL_BYTES, _PROT_NONE)

    def intact(self) -> bool:
        """Whether the bytes between regions and walls are as they were."""
        return all(bool((part == _PATTERN).all()) for part in self._slack)
