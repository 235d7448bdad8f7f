"""Copies between an image and the matrix of its windows."""

from __future__ import annotations

from kernprof.library.families.common import line, positive, reached, scalars, taps_inside, traffic
from kernprof.library.model import KernelEntry, Pointer, Role, Scalar, Shape

_PARAMETERS = (
    "channels",
    "in_h",
    "in_w",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "pad_h",
    "pad_w",
    "dilation_h",
    "dilation_w",
)


def _reach(s: Shape, axis: str) -> int:
    return s[f"dilation_{axis}"] * (s[f"kernel_{axis}"] - 1) + 1


def extent(s: Shape, axis: str) -> int:
    """Return the number of windows along an axis (``h`` or ``w``), floor rounding."""
    room = s[f"in_{axis}"] + 2 * s[f"pad_{axis}"] - _reach(s, axis)
    return room // s[f"stride_{axis}"] + 1


def _image(s: Shape) -> int:
    return s["channels"] * s["in_h"] * s["in_w"]


def _windows(s: Shape) -> int:
    return s["channels"] * extent(s, "h") * extent(s, "w")


def _columns(s: Shape) -> int:
    return _windows(s) * s["kernel_h"] * s["kernel_w"]


def _needed(s: Shape) -> int:
    rows, columns = (reached(s, axis, extent(s, axis)) for axis in "hw")
    return s["channels"] * rows * columns


def _inside(s: Shape) -> int:
    rows, columns = (taps_inside(s, axis, extent(s, axis)) for axis in "hw")
    return s["channels"] * rows * columns


_ARGUMENTS = (
    *scalars(_PARAMETERS),
    Scalar("out_h", lambda s: extent(s, "h")),
    Scalar("out_w", lambda s: extent(s, "w")),
)

_UNROLLED = (
    Pointer("im", Role.IN, _image, needed=_needed),
    Pointer("col", Role.OUT, _columns),
)
_GATHERED = (
    Pointer("col", Role.IN, _columns, needed=_inside),
    Pointer("im", Role.OUT, _image),
)

_RULES = (
    positive(*(name for name in _PARAMETERS if not name.startswith("pad"))),
    (
        lambda s: all(
            s[f"pad_{a}"] >= 0 and _reach(s, a) <= s[f"in_{a}"] + 2 * s[f"pad_{a}"] for a in "hw"
        ),
        "the dilated kernel must fit into the padded image and padding must not be negative",
    ),
)

ENTRIES = (
    KernelEntry(
        name="im2col",
        family="im2col",
        file="im2col.cu",
        parameters=_PARAMETERS,
        arguments=(*_UNROLLED, *_ARGUMENTS),
        geometry=line(_windows),
        flops=lambda s: 0,
        bytes_moved=traffic(_UNROLLED),
        rules=_RULES,
        summary="one thread a channel and output pixel copies a window",
    ),
    KernelEntry(
        name="col2im",
        family="col2im",
        file="im2col.cu",
        parameters=_PARAMETERS,
        arguments=(*_GATHERED, *_ARGUMENTS),
        geometry=line(_image),
        flops=_columns,
        bytes_moved=traffic(_GATHERED),
        rules=_RULES,
        summary="one thread an image element gathers its windows",
    ),
)
