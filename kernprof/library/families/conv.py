"""Any convolution in one launch: implicit matrix products."""

from __future__ import annotations

from collections.abc import Callable

from kernprof.library.families.common import (
    OUT_SIZES,
    Rule,
    ceil_div,
    fits,
    flag,
    out_extent,
    positive,
    reached,
    scalars,
    traffic,
)
from kernprof.library.model import Argument, Formula, Geometry, KernelEntry, Pointer, Role, Shape
from kernprof.profile import Dim3

_PARAMETERS = (
    "batch",
    "in_channels",
    "in_h",
    "in_w",
    "out_channels",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "pad_h",
    "pad_w",
    "groups",
    "bias",
)


def _in(s: Shape) -> int:
    return s["batch"] * s["in_channels"] * s["in_h"] * s["in_w"]


def _needed(s: Shape) -> int:
    rows, columns = (reached(s, axis, out_extent(s, axis)) for axis in "hw")
    return s["batch"] * s["in_channels"] * rows * columns


def _pixels(s: Shape) -> int:
    return out_extent(s, "h") * out_extent(s, "w")


def _out(s: Shape) -> int:
    return s["batch"] * s["out_channels"] * _pixels(s)


def _taps(s: Shape) -> int:
    return s["in_channels"] // s["groups"] * s["kernel_h"] * s["kernel_w"]


def _weights(s: Shape) -> int:
    return s["out_channels"] * _taps(s)


def _bias(s: Shape) -> int:
    return s["bias"] * s["out_channels"]


def _products(s: Shape) -> int:
    return 2 * _out(s) * _taps(s)


def _grid(columns: Formula, rows: Formula, depth: Formula) -> Callable[[Shape], Geometry]:
    return lambda s: Geometry(
        Dim3(ceil_div(columns(s), 16), ceil_div(rows(s), 16), depth(s)), Dim3(16, 16)
    )


_RULES: tuple[Rule, ...] = (
    positive(*(n for n in _PARAMETERS if n not in ("pad_h", "pad_w", "bias"))),
    (
        lambda s: s["in_channels"] % s["groups"] == 0 and s["out_channels"] % s["groups"] == 0,
        "groups must divide input and output channels",
    ),
    fits(),
    flag("bias"),
    (lambda s: s["batch"] * s["groups"] <= 65535, "at most 65535 images times groups"),
)


def _entry(
    name: str,
    arguments: tuple[Argument, ...],
    geometry: Callable[[Shape], Geometry],
    flops: Formula,
    summary: str,
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="conv",
        file="conv.cu",
        parameters=_PARAMETERS,
        arguments=arguments,
        geometry=geometry,
        flops=flops,
        bytes_moved=traffic(arguments),
        rules=_RULES,
        summary=summary,
    )


ENTRIES = (
    _entry(
        "conv_implicit_gemm",
        (
            Pointer("x", Role.IN, _in, needed=_needed),
            Pointer("w", Role.IN, _weights),
            Pointer("b", Role.IN, _bias),
            Pointer("y", Role.OUT, _out),
            *scalars(_PARAMETERS),
            *OUT_SIZES,
        ),
        _grid(
            _pixels, lambda s: s["out_channels"] // s["groups"], lambda s: s["batch"] * s["groups"]
        ),
        lambda s: _products(s) + s["bias"] * _out(s),
        "16 x 16 tiles of output channels and pixels, windows gathered on the way",
    ),
    _entry(
        "conv_implicit_gemm_backward_data",
        (
            Pointer("dy", Role.IN, _out),
            Pointer("w", Role.IN, _weights),
            Pointer("dx", Role.OUT, _in),
            *scalars(_PARAMETERS[:-1]),
            *OUT_SIZES,
        ),
        _grid(
            lambda s: s["in_h"] * s["in_w"],
            lambda s: s["in_channels"] // s["groups"],
            lambda s: s["batch"] * s["groups"],
        ),
        _products,
        "16 x 16 tiles of input channels and elements",
    ),
    _entry(
        "conv_implicit_gemm_backward_weight",
        (
            Pointer("x", Role.IN, _in, needed=_needed),
            Pointer("dy", Role.IN, _out),
            Pointer("dw", Role.OUT, _weights),
            *scalars(_PARAMETERS[:-1]),
            *OUT_SIZES,
        ),
        _grid(_taps, lambda s: s["out_channels"] // s["groups"], lambda s: s["groups"]),
        _products,
        "16 x 16 tiles of output channels and filter taps, summed over images and pixels",
    ),
)
