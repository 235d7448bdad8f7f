"""The project's own CUDA kernels: launch geometry, arguments, work, sources, references."""

from kernprof.library.model import Argument, Geometry, KernelEntry, Pointer, Role, Scalar
from kernprof.library.registry import entries, entry, source

__all__ = [
    "Argument",
    "Geometry",
    "KernelEntry",
    "Pointer",
    "Role",
    "Scalar",
    "entries",
    "entry",
    "source",
]
