"""The kernels by name, and their sources."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module, resources
from types import MappingProxyType

from kernprof.errors import UnknownNameError
from kernprof.library.model import KernelEntry

# One module a family of sources; each holds a tuple ENTRIES.
_MODULES = (
    "gemm",
    "unroll",
    "depthwise",
    "pointwise",
    "conv",
    "conv_tiled",
    "conv_winograd",
    "normalise",
    "elementwise",
    "pool",
)


@cache
def entries() -> Mapping[str, KernelEntry]:
    """Return all kernels by name."""
    found: dict[str, KernelEntry] = {}
    for name in _MODULES:
        for item in import_module(f"kernprof.library.families.{name}").ENTRIES:
            if item.name in found:
                raise ValueError(f"two kernels are named {item.name}")
            found[item.name] = item
    return MappingProxyType(found)


def entry(name: str) -> KernelEntry:
    """Return a kernel.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    """
    known = entries()
    if name not in known:
        raise UnknownNameError("kernel", name, list(known))
    return known[name]


def source(item: KernelEntry) -> str:
    """Return the CUDA source of a kernel's file."""
    return resources.files("kernprof.kernels").joinpath(item.file).read_text("utf-8")
