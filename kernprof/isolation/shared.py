"""Arrays in memory that a child process shares: what it writes is seen here, nothing is copied."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_WALL_BYTES = 16 * _PAGE
_ALIGNMENT = 64
_FIXED = 0x10  # MAP_FIXED, the same number on Linux and BSD systems


class _Mapping(mmap.mmap):
    """A mapping that keeps the file behind it."""

    handle: int

    def __del__(self) -> None:
        os.close(self.handle)


@dataclass(frozen=True, slots=True)
class Region:
    """An array's place in a shared file.

    Parameters
    ----------
    handle
        Descriptor of the file.
    start_bytes
        Where the array begins in it.
    dtype, shape
        Of the array.
    writable
        Whether it may be written to.
    """

    handle: int
    start_bytes: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    writable: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of the array."""
        size: int = self.dtype.itemsize
        for extent in self.shape:
            size *= extent
        return size


def shared_zeros(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array of zeros that :func:`region_of` finds, at the end of its last page."""
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    room = -(-max(size, 1) // _PAGE) * _PAGE
    start = (room - size) // _ALIGNMENT * _ALIGNMENT
    handle = _file(room)
    mapping = _Mapping(handle, room)
    mapping.handle = handle
    return np.frombuffer(mapping, dtype, size // dtype.itemsize, start).reshape(tuple(shape))


def _file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("kernprof", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    try:
        os.ftruncate(handle, size)
    except OSError:
        os.close(handle)
        raise
    return handle


def region_of(array: np.ndarray) -> Region | None:
    """Return where an array is shared; None of one that isn't, or is no plain view of all."""
    owner: Any = array
    while owner is not None and not isinstance(owner, _Mapping):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    if owner is None or not array.flags.c_contiguous:
        return None
    first = np.frombuffer(owner, np.uint8).ctypes.data
    start = array.ctypes.data - first
    return Region(owner.handle, start, array.dtype, array.shape, bool(array.flags.writeable))


def open_region(region: Region) -> np.ndarray:
    """Map an array once more, between pages that nothing may touch; for the child's own use.

    The mapping stays until the process ends.

    Raises
    ------
    MemoryError
        There is no address space left.
    """
    end = -(-(region.start_bytes + region.size_bytes) // _PAGE) * _PAGE
    whole = max(end, _PAGE)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    failed = ctypes.c_void_p(-1).value
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    walls = libc.mmap(None, whole + 2 * _WALL_BYTES, 0, private, -1, 0)
    if walls == failed:
        raise MemoryError("no address space for an array")
    access = mmap.PROT_READ | (mmap.PROT_WRITE if region.writable else 0)
    shared = mmap.MAP_SHARED | _FIXED
    inside = libc.mmap(walls + _WALL_BYTES, whole, access, shared, region.handle, 0)
    if inside == failed:
        raise MemoryError("an array can't be mapped")
    content = (ctypes.c_uint8 * region.size_bytes).from_address(inside + region.start_bytes)
    array = np.frombuffer(memoryview(content).cast("B"), region.dtype).reshape(region.shape)
    array.flags.writeable = region.writable
    return array
