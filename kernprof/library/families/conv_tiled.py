"""Convolutions in large tiles, one group: what stands in for cuDNN's implicit matrix products.

The tiles are those of cuDNN 7's kernels for Maxwell and Pascal, whose names and grids profilers
show: ``maxwell_scudnn_128x128``, ``_128x64`` and ``_128x32`` make 128 pixels of all images by so
many output channels in blocks of 256, 128 and 64 threads; ``implicit_convolve_sgemm`` makes 32 by
32 in blocks of 64.
"""

from __future__ import annotations

from kernprof.library.families.common import (
    OUT_SIZES,
    Rule,
    ceil_div,
    fits,
    out_extent,
    positive,
    reached,
    scalars,
    traffic,
)
from kernprof.library.model import Argument, Formula, Geometry, KernelEntry, Pointer, Role, Shape
from kernprof.lowering.cudnn import MAX_ELEMENTS, MAX_KERNEL, TILES, Tile
from kernprof.profile import Dim3

PARAMETERS = (
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
)

_STEP = 16


def inputs(s: Shape) -> int:
    """Elements of the input."""
    return s["batch"] * s["in_channels"] * s["in_h"] * s["in_w"]


def inputs_needed(s: Shape) -> int:
    """Elements of the input that some window holds."""
    rows, columns = (reached(s, axis, out_extent(s, axis)) for axis in "hw")
    return s["batch"] * s["in_channels"] * rows * columns


def pixels(s: Shape) -> int:
    """Output pixels of an image."""
    return out_extent(s, "h") * out_extent(s, "w")


def outputs(s: Shape) -> int:
    """Elements of the output."""
    return s["batch"] * s["out_channels"] * pixels(s)


def taps(s: Shape) -> int:
    """Filter taps of an output channel."""
    return s["in_channels"] * s["kernel_h"] * s["kernel_w"]


def weights(s: Shape) -> int:
    """Elements of the filters."""
    return s["out_channels"] * taps(s)


def products(s: Shape) -> int:
    """Operations of the convolution as defined, a product with its addition counted as two."""
    return 2 * outputs(s) * taps(s)


def _depth(s: Shape) -> int:
    return ceil_div(s["batch"] * pixels(s), _STEP)


_RULES: tuple[Rule, ...] = (
    positive(*(n for n in PARAMETERS if n not in ("pad_h", "pad_w"))),
    fits(),
    (
        lambda s: s["kernel_h"] <= MAX_KERNEL and s["kernel_w"] <= MAX_KERNEL,
        f"filters of at most {MAX_KERNEL} x {MAX_KERNEL}",
    ),
)
_SPLIT_RULES: tuple[Rule, ...] = (
    *_RULES,
    (lambda s: 1 <= s["splits"] <= _depth(s), "1 to pixels / 16 (all images', rounded up) splits"),
)


def _readable(arguments: tuple[Argument, ...]) -> Rule:
    read = [a.elements for a in arguments if isinstance(a, Pointer) and a.role is Role.IN]
    return (
        lambda s: all(elements(s) <= MAX_ELEMENTS for elements in read),
        f"arrays that are read have at most {MAX_ELEMENTS} elements",
    )


def _entry(
    tile: Tile,
    suffix: str,
    arguments: tuple[Argument, ...],
    columns: Formula,
    rows: str,
    what: str,
) -> KernelEntry:
    splits = suffix == "_backward_weight"
    parameters = (*PARAMETERS, "splits") if splits else PARAMETERS

    def geometry(s: Shape) -> Geometry:
        depth = s["splits"] if splits else 1
        grid = Dim3(ceil_div(columns(s), tile.columns), ceil_div(s[rows], tile.rows), depth)
        return Geometry(grid, Dim3(32 * tile.warps))

    return KernelEntry(
        name=f"conv_tiled_{tile.name}{suffix}",
        family="conv",
        file="conv_tiled.cu",
        parameters=parameters,
        arguments=(*arguments, *scalars(parameters), *OUT_SIZES),
        geometry=geometry,
        # The gradient of the filters is added to what is there.
        flops=(lambda s: products(s) + weights(s)) if splits else products,
        bytes_moved=traffic(arguments),
        rules=(*(_SPLIT_RULES if splits else _RULES), _readable(arguments)),
        summary=f"{tile.columns} x {tile.rows} tiles of {what}",
    )


def _entries(tile: Tile) -> tuple[KernelEntry, ...]:
    x = Pointer("x", Role.IN, inputs, needed=inputs_needed)
    w, dy = Pointer("w", Role.IN, weights), Pointer("dy", Role.IN, outputs)
    return (
        _entry(
            tile,
            "",
            (x, w, Pointer("y", Role.OUT, outputs)),
            lambda s: s["batch"] * pixels(s),
            "out_channels",
            "pixels of all images and output channels, windows gathered on the way",
        ),
        _entry(
            tile,
            "_backward_data",
            (dy, w, Pointer("dx", Role.OUT, inputs)),
            lambda s: s["batch"] * s["in_h"] * s["in_w"],
            "in_channels",
            "input pixels of all images and input channels",
        ),
        _entry(
            tile,
            "_backward_weight",
            (x, dy, Pointer("dw", Role.INOUT, weights)),
            taps,
            "out_channels",
            "filter taps and output channels; the pixels split over blocks, added by atomics",
        ),
    )


ENTRIES: tuple[KernelEntry, ...] = tuple(item for tile in TILES for item in _entries(tile))
