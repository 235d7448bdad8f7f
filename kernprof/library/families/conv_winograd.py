"""3 x 3 convolutions by Winograd's minimal filtering, F(2 x 2, 3 x 3): filters first.

Stands in for cuDNN's ``scudnn_winograd_128x128`` and the kernel before it that transforms the
filters; its blocks too make 32 channels by 32 tiles of 2 x 2 outputs with 256 threads.
"""

from __future__ import annotations

from kernprof.library.families.common import ceil_div, flag, line, positive, scalars, traffic
from kernprof.library.model import Geometry, KernelEntry, Pointer, Role, Scalar, Shape
from kernprof.profile import Dim3

_PLACES = 16
_ROWS, _TILES, _STEP = 32, 32, 4
_PARAMETERS = ("batch", "in_channels", "in_h", "in_w", "out_channels", "pad_h", "pad_w")


def _transformed(channels: int, rows: int) -> int:
    """Elements of the transformed filters: channels and rows padded to the block's steps."""
    return ceil_div(channels, _STEP) * _STEP * _PLACES * ceil_div(rows, _ROWS) * _ROWS


def _out(s: Shape, axis: str) -> int:
    return s[f"in_{axis}"] + 2 * s[f"pad_{axis}"] - 2


def _inputs(s: Shape) -> int:
    return s["batch"] * s["in_channels"] * s["in_h"] * s["in_w"]


def _outputs(s: Shape) -> int:
    return s["batch"] * s["out_channels"] * _out(s, "h") * _out(s, "w")


def _tiles(s: Shape) -> int:
    return s["batch"] * ceil_div(_out(s, "h"), 2) * ceil_div(_out(s, "w"), 2)


def _operations(s: Shape) -> int:
    """Products of all places, 32 additions a patch of an input and 24 a tile of an output."""
    channels, rows = s["in_channels"], s["out_channels"]
    return _tiles(s) * (2 * _PLACES * channels * rows + 32 * channels + 24 * rows)


def _filters(s: Shape) -> int:
    return 9 * s["in_channels"] * s["out_channels"]


def _turned_rows(s: Shape) -> tuple[int, int]:
    channels, rows = s["in_channels"], s["out_channels"]
    return (rows, channels) if s["turned"] else (channels, rows)


_FILTER_ARGUMENTS = (
    Pointer("w", Role.IN, _filters),
    Pointer("u", Role.OUT, lambda s: _transformed(*_turned_rows(s))),
)
_ARGUMENTS = (
    Pointer("x", Role.IN, _inputs),
    Pointer(
        "u",
        Role.IN,
        lambda s: _transformed(s["in_channels"], s["out_channels"]),
        needed=lambda s: _PLACES * s["in_channels"] * s["out_channels"],
    ),
    Pointer("y", Role.OUT, _outputs),
)

ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry(
        name="winograd_filters",
        family="conv",
        file="conv_winograd.cu",
        parameters=("in_channels", "out_channels", "turned"),
        arguments=(*_FILTER_ARGUMENTS, *scalars(("in_channels", "out_channels", "turned"))),
        geometry=line(lambda s: _transformed(*_turned_rows(s)) // _PLACES),
        # Five operations for the two middle rows of three columns, then of four rows.
        flops=lambda s: 35 * s["in_channels"] * s["out_channels"],
        bytes_moved=traffic(_FILTER_ARGUMENTS),
        rules=(positive("in_channels", "out_channels"), flag("turned")),
        summary="3 x 3 filters to 4 x 4 places, one thread a filter",
    ),
    KernelEntry(
        name="conv_winograd",
        family="conv",
        file="conv_winograd.cu",
        parameters=_PARAMETERS,
        arguments=(
            *_ARGUMENTS,
            *scalars(_PARAMETERS),
            Scalar("out_h", lambda s: _out(s, "h")),
            Scalar("out_w", lambda s: _out(s, "w")),
        ),
        geometry=lambda s: Geometry(
            Dim3(ceil_div(_tiles(s), _TILES), ceil_div(s["out_channels"], _ROWS)), Dim3(256)
        ),
        flops=_operations,
        bytes_moved=traffic(_ARGUMENTS),
        rules=(
            positive("batch", "in_channels", "in_h", "in_w", "out_channels"),
            (
                lambda s: all(0 <= s[f"pad_{a}"] <= 2 and _out(s, a) >= 1 for a in "hw"),
                "padding of 0 to 2 rows and columns, and windows of 3 x 3 that fit",
            ),
        ),
        summary="16 products of 32 tiles of 2 x 2 outputs by 32 channels, transformed on the way",
    ),
)
