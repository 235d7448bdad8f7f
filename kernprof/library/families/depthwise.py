"""Depthwise convolutions: one filter a channel."""

from __future__ import annotations

from collections.abc import Callable

from kernprof.library.families.common import (
    OUT_SIZES,
    ceil_div,
    fits,
    flag,
    line,
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
    "channels",
    "in_h",
    "in_w",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "pad_h",
    "pad_w",
    "bias",
)
_WITHOUT_BIAS = _PARAMETERS[:-1]
_SHARED_LIMIT_BYTES = 48 * 1024


def _in(s: Shape) -> int:
    return s["batch"] * s["channels"] * s["in_h"] * s["in_w"]


def _needed(s: Shape) -> int:
    rows, columns = (reached(s, axis, out_extent(s, axis)) for axis in "hw")
    return s["batch"] * s["channels"] * rows * columns


def _out(s: Shape) -> int:
    return s["batch"] * s["channels"] * out_extent(s, "h") * out_extent(s, "w")


def _weights(s: Shape) -> int:
    return s["channels"] * s["kernel_h"] * s["kernel_w"]


def _bias(s: Shape) -> int:
    return s["bias"] * s["channels"]


def _products(s: Shape) -> int:
    return 2 * _out(s) * s["kernel_h"] * s["kernel_w"]


def _tile_bytes(s: Shape) -> int:
    return 4 * (7 * s["stride_h"] + s["kernel_h"]) * (31 * s["stride_w"] + s["kernel_w"])


def _tiled(s: Shape) -> Geometry:
    grid = Dim3(
        ceil_div(out_extent(s, "w"), 32),
        ceil_div(out_extent(s, "h"), 8),
        s["batch"] * s["channels"],
    )
    return Geometry(grid, Dim3(32, 8), _tile_bytes(s))


_RULES = (
    positive("batch", "channels", "in_h", "in_w", "kernel_h", "kernel_w", "stride_h", "stride_w"),
    fits(),
    flag("bias"),
)


def _entry(
    name: str,
    arguments: tuple[Argument, ...],
    geometry: Callable[[Shape], Geometry],
    flops: Formula,
    summary: str,
    *,
    extra: tuple[tuple[Callable[[Shape], bool], str], ...] = (),
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="depthwise",
        file="depthwise.cu",
        parameters=_PARAMETERS,
        arguments=arguments,
        geometry=geometry,
        flops=flops,
        bytes_moved=traffic(arguments),
        rules=(*_RULES, *extra),
        summary=summary,
    )


_FORWARD: tuple[Argument, ...] = (
    Pointer("x", Role.IN, _in, needed=_needed),
    Pointer("w", Role.IN, _weights),
    Pointer("b", Role.IN, _bias),
    Pointer("y", Role.OUT, _out),
    *scalars(_PARAMETERS),
    *OUT_SIZES,
)


def _forward_flops(s: Shape) -> int:
    return _products(s) + s["bias"] * _out(s)


ENTRIES = (
    _entry(
        "depthwise_naive", _FORWARD, line(_out), _forward_flops, "one thread an output, no reuse"
    ),
    _entry(
        "depthwise_tiled",
        _FORWARD,
        _tiled,
        _forward_flops,
        "8 x 32 outputs of a plane from a shared tile with its halo",
        extra=(
            (
                lambda s: _tile_bytes(s) <= _SHARED_LIMIT_BYTES,
                f"its tile must fit into {_SHARED_LIMIT_BYTES} bytes of shared memory",
            ),
            (lambda s: s["batch"] * s["channels"] <= 65535, "at most 65535 planes"),
        ),
    ),
    _entry(
        "depthwise_multi",
        _FORWARD,
        line(
            lambda s: (
                s["batch"] * s["channels"] * out_extent(s, "h") * ceil_div(out_extent(s, "w"), 4)
            ),
            128,
        ),
        _forward_flops,
        "four outputs of a row in one thread",
    ),
    _entry(
        "depthwise_backward_data",
        (
            Pointer("dy", Role.IN, _out),
            Pointer("w", Role.IN, _weights),
            Pointer("dx", Role.OUT, _in),
            *scalars(_WITHOUT_BIAS),
            *OUT_SIZES,
        ),
        line(_in),
        _products,
        "one thread an input element gathers its gradient",
    ),
    _entry(
        "depthwise_backward_weight",
        (
            Pointer("x", Role.IN, _in, needed=_needed),
            Pointer("dy", Role.IN, _out),
            Pointer("dw", Role.OUT, _weights),
            Pointer("db", Role.OUT, _bias),
            *scalars(_PARAMETERS),
            *OUT_SIZES,
        ),
        lambda s: Geometry(
            Dim3(s["channels"] * (s["kernel_h"] * s["kernel_w"] + s["bias"])), Dim3(128)
        ),
        _forward_flops,
        "one block of 128 threads a channel and filter tap",
    ),
)
