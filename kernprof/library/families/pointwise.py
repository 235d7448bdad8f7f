"""1x1 convolutions in five steps of tuning, and their gradients."""

from __future__ import annotations

from collections.abc import Callable

from kernprof.library.families.common import Rule, ceil_div, flag, line, positive, scalars, traffic
from kernprof.library.model import Argument, Geometry, KernelEntry, Pointer, Role, Shape
from kernprof.profile import Dim3

_PARAMETERS = ("batch", "in_channels", "out_channels", "pixels", "bias")


def _in(s: Shape) -> int:
    return s["batch"] * s["in_channels"] * s["pixels"]


def _out(s: Shape) -> int:
    return s["batch"] * s["out_channels"] * s["pixels"]


def _weights(s: Shape) -> int:
    return s["in_channels"] * s["out_channels"]


def _bias(s: Shape) -> int:
    return s["bias"] * s["out_channels"]


def _products(s: Shape) -> int:
    return 2 * s["batch"] * s["pixels"] * _weights(s)


def _tiles(tile: int, block: Dim3, rows: str = "out_channels") -> Callable[[Shape], Geometry]:
    return lambda s: Geometry(
        Dim3(ceil_div(s["pixels"], tile), ceil_div(s[rows], tile), s["batch"]), block
    )


_RULES: tuple[Rule, ...] = (
    positive("batch", "in_channels", "out_channels", "pixels"),
    flag("bias"),
    (lambda s: s["batch"] <= 65535, "at most 65535 images"),
)

_FORWARD: tuple[Argument, ...] = (
    Pointer("x", Role.IN, _in),
    Pointer("w", Role.IN, _weights),
    Pointer("b", Role.IN, _bias),
    Pointer("y", Role.OUT, _out),
    *scalars(_PARAMETERS),
)


def _entry(
    name: str,
    geometry: Callable[[Shape], Geometry],
    summary: str,
    arguments: tuple[Argument, ...] = _FORWARD,
    *,
    with_bias: bool = True,
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="pointwise",
        file="pointwise.cu",
        parameters=_PARAMETERS,
        arguments=arguments,
        geometry=geometry,
        flops=lambda s: _products(s) + (s["bias"] * _out(s) if with_bias else 0),
        bytes_moved=traffic(arguments),
        rules=_RULES,
        summary=summary,
    )


ENTRIES = (
    _entry("pointwise_naive", line(_out), "threads along output channels: scattered accesses"),
    _entry("pointwise_coalesced", line(_out), "threads along pixels: contiguous accesses"),
    _entry("pointwise_tiled", _tiles(16, Dim3(16, 16)), "16 x 16 tiles in shared memory"),
    _entry("pointwise_register", _tiles(64, Dim3(256)), "64 x 64 tiles, 4 x 4 in registers"),
    _entry("pointwise_vector", _tiles(64, Dim3(256)), "16-byte loads, double-buffered tiles"),
    _entry(
        "pointwise_backward_data",
        _tiles(16, Dim3(16, 16), "in_channels"),
        "the transposed weights, in 16 x 16 tiles",
        (
            Pointer("dy", Role.IN, _out),
            Pointer("w", Role.IN, _weights),
            Pointer("dx", Role.OUT, _in),
            *scalars(_PARAMETERS[:-1]),
        ),
        with_bias=False,
    ),
    _entry(
        "pointwise_backward_weight",
        lambda s: Geometry(
            Dim3(ceil_div(s["in_channels"], 16), ceil_div(s["out_channels"], 16)), Dim3(16, 16)
        ),
        "a product over images and pixels, in 16 x 16 tiles",
        (
            Pointer("x", Role.IN, _in),
            Pointer("dy", Role.IN, _out),
            Pointer("dw", Role.OUT, _weights),
            Pointer("db", Role.OUT, _bias),
            *scalars(_PARAMETERS),
        ),
    ),
)
