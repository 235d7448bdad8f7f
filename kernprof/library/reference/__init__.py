"""numpy references: what each kernel must compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Arrays = Mapping[str, "np.ndarray[Any, Any]"]
Reference = Callable[[Mapping[str, int], Arrays], Arrays]

_MODULES = (
    "gemm",
    "unroll",
    "depthwise",
    "pointwise",
    "conv",
    "winograd",
    "normalise",
    "elementwise",
    "pool",
)


@cache
def references() -> Mapping[str, Reference]:
    """Return the reference of every kernel by name.

    A reference takes the shape and the flat input arrays by argument name (IN and INOUT as they are
    before the launch) and returns the flat OUT and INOUT arrays as they must be after it. It
    computes in float64 where the kernel accumulates, so that a comparison sees the kernel's error.
    """
    found: dict[str, Reference] = {}
    for name in _MODULES:
        found.update(import_module(f"kernprof.library.reference.{name}").REFERENCES)
    return found
