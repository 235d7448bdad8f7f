"""Operations, traffic and blocks of the convolutions, counted where the registry has formulas.

An operation is counted for every tap of every window, also for one that lies in the padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import pytest
from emulator_cases import shapes

from kernprof.library import entries, entry

WINOGRAD = ("conv_winograd", "winograd_filters")
NAMES = sorted(
    e.name
    for e in entries().values()
    if e.family in ("depthwise", "pointwise", "conv") and e.name not in WINOGRAD
)
SHAPES = 200  # enough to meet extents that tiles divide
# Outputs (columns, rows) of a block, by kernel; all others give each block 256 outputs in a line.
TILES = {
    "depthwise_tiled": (32, 8),
    "pointwise_tiled": (16, 16),
    "pointwise_register": (64, 64),
    "pointwise_vector": (64, 64),
    "pointwise_backward_data": (16, 16),
    "pointwise_backward_weight": (16, 16),
    "conv_implicit_gemm": (16, 16),
    "conv_implicit_gemm_backward_data": (16, 16),
    "conv_implicit_gemm_backward_weight": (16, 16),
}


def as_convolution(family: str, s: Mapping[str, int]) -> dict[str, int]:
    """Return the shape of the convolution with groups that a kernel is a special case of."""
    if family == "conv":
        return {"groups": 1, "bias": 0} | dict(s)
    if family == "depthwise":
        channels = dict.fromkeys(("in_channels", "out_channels", "groups"), s["channels"])
        return dict(s) | channels
    one = dict.fromkeys(("in_h", "kernel_h", "kernel_w", "stride_h", "stride_w", "groups"), 1)
    return dict(s) | one | {"in_w": s["pixels"], "pad_h": 0, "pad_w": 0}


def extents(s: Mapping[str, int]) -> tuple[int, int]:
    """Count the windows down and across by moving one until it leaves the padded input."""
    found = []
    for axis in "hw":
        end = s[f"in_{axis}"] + s[f"pad_{axis}"] - s[f"kernel_{axis}"]
        found.append(len(range(-s[f"pad_{axis}"], end + 1, s[f"stride_{axis}"])))
    return found[0], found[1]


def reached(s: Mapping[str, int], axis: str) -> int:
    """Count the rows or columns of the input that some window holds."""
    size, pad, kernel = s[f"in_{axis}"], s[f"pad_{axis}"], s[f"kernel_{axis}"]
    starts = range(-pad, size + pad - kernel + 1, s[f"stride_{axis}"])
    return len({start + tap for start in starts for tap in range(kernel)} & set(range(size)))


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_those_of_the_windows(name: str) -> None:
    item = entry(name)
    for shape in shapes(item, SHAPES):
        s = as_convolution(item.family, shape)
        height, width = extents(s)
        inputs = s["in_channels"] // s["groups"]
        operations = 0
        for _ in np.ndindex(s["batch"], s["out_channels"]):
            operations += 2 * inputs * s["kernel_h"] * s["kernel_w"] * height * width
            # Gradients of the bias come with those of the weights, but not in the general kernel.
            if not name.endswith("_data") and name != "conv_implicit_gemm_backward_weight":
                operations += s["bias"] * height * width
        if "splits" in s:  # added to what is there
            operations += s["out_channels"] * inputs * s["kernel_h"] * s["kernel_w"]
        assert item.flops(shape) == operations, shape


@pytest.mark.parametrize("name", NAMES)
def test_traffic_is_what_is_needed_of_every_array_once(name: str) -> None:
    item = entry(name)
    for shape in shapes(item, SHAPES):
        s = as_convolution(item.family, shape)
        planes = s["batch"] * s["in_channels"]
        x = planes * s["in_h"] * s["in_w"]
        y = s["batch"] * s["out_channels"] * prod(extents(s))
        w = s["out_channels"] * (s["in_channels"] // s["groups"]) * s["kernel_h"] * s["kernel_w"]
        w *= 2 if "splits" in s else 1
        with_bias = not name.endswith("_data") and name != "conv_implicit_gemm_backward_weight"
        b = s["out_channels"] if s["bias"] and with_bias else 0
        # Where strides pass over elements of an input, they need not be read.
        read = x if name.endswith("_data") else planes * reached(s, "h") * reached(s, "w")
        assert item.bytes_moved(shape) == 4 * (read + y + w + b), shape


@pytest.mark.parametrize("name", ["im2col", "col2im", "maxpool_forward", "avepool_forward"])
def test_windows_need_what_they_hold(name: str) -> None:
    item = entry(name)
    for s in shapes(item, SHAPES):
        windows = 1
        counted = {"taps": 1, "places": 1}
        for axis in "hw":
            size, pad, stride = s[f"in_{axis}"], s[f"pad_{axis}"], s[f"stride_{axis}"]
            steps = [tap * s.get(f"dilation_{axis}", 1) for tap in range(s[f"kernel_{axis}"])]
            count = s.get(f"out_{axis}", len(range(-pad, size + pad - steps[-1], stride)))
            held = [i * stride - pad + step for i in range(count) for step in steps]
            inside = [place for place in held if 0 <= place < size]
            windows *= count
            counted["taps"] *= len(inside)
            counted["places"] *= len(set(inside))
        planes = s.get("batch", 1) * s["channels"]
        columns = windows * s["kernel_h"] * s["kernel_w"]
        moved = {
            "im2col": counted["places"] + columns,
            "col2im": counted["taps"] + s["in_h"] * s["in_w"],
            "maxpool_forward": counted["places"] + 2 * windows,
            "avepool_forward": counted["places"] + windows,
        }
        assert item.bytes_moved(s) == 4 * planes * moved[name], s


@pytest.mark.parametrize("name", NAMES)
def test_blocks_cover_the_outputs_and_none_is_empty(name: str) -> None:
    item = entry(name)
    for shape in shapes(item, SHAPES):
        s = as_convolution(item.family, shape)
        height, width = extents(s)
        inputs, outputs = s["in_channels"] // s["groups"], s["out_channels"] // s["groups"]
        grid = item.launch_geometry(shape).grid
        if name.startswith("conv_tiled"):
            columns, rows = s["batch"] * height * width, outputs
            if name.endswith("_data"):
                columns, rows = s["batch"] * s["in_h"] * s["in_w"], inputs
            elif name.endswith("_weight"):
                columns = inputs * s["kernel_h"] * s["kernel_w"]
            tile = map(int, name.removeprefix("conv_tiled_").split("_")[0].split("x"))
            for blocks, side, extent in zip(grid, tile, (columns, rows), strict=False):
                assert (blocks - 1) * side < extent <= blocks * side, shape
            assert grid.z == s.get("splits", 1)
        elif name == "depthwise_backward_weight":  # a block a sum
            taps = s["kernel_h"] * s["kernel_w"] + s["bias"]
            assert tuple(grid) == (s["channels"] * taps, 1, 1)
        elif name in TILES:
            if name == "depthwise_tiled":
                columns, rows, depth = width, height, s["batch"] * s["channels"]
            elif name.endswith("_weight"):
                columns, rows = inputs * s["kernel_h"] * s["kernel_w"], outputs
                depth = s["groups"]
            elif name.endswith("_data"):
                columns, rows, depth = s["in_h"] * s["in_w"], inputs, s["batch"] * s["groups"]
            else:
                columns, rows, depth = height * width, outputs, s["batch"] * s["groups"]
            for blocks, tile, extent in zip(grid, TILES[name], (columns, rows), strict=False):
                assert (blocks - 1) * tile < extent <= blocks * tile, shape
            assert grid.z == depth
        else:
            planes = s["batch"] * s["out_channels"]
            count, block = planes * height * width, 256
            if name.endswith("_data"):
                count = s["batch"] * s["in_channels"] * s["in_h"] * s["in_w"]
            if name == "depthwise_multi":  # four outputs of a row a thread
                count, block = planes * height * len(range(0, width, 4)), 128
            assert (grid.x - 1) * block < count <= grid.x * block, shape
            assert (grid.y, grid.z) == (1, 1)


def test_winograd_counts_its_own_products() -> None:
    item = entry("conv_winograd")
    for s in shapes(item, SHAPES):
        height, width = (s[f"in_{a}"] + 2 * s[f"pad_{a}"] - 2 for a in "hw")
        places = [(n, r, q) for n, r, q in np.ndindex(s["batch"], height, width)]
        tiles = len({(n, r // 2, q // 2) for n, r, q in places})
        channels, rows = s["in_channels"], s["out_channels"]
        # 4 x 4 products, 32 additions for B^T d B, 24 for A^T m A.
        assert item.flops(s) == tiles * (32 * channels * rows + 32 * channels + 24 * rows)
        x = s["batch"] * channels * s["in_h"] * s["in_w"]
        assert item.bytes_moved(s) == 4 * (x + 16 * channels * rows + rows * len(places))
        grid = item.launch_geometry(s).grid
        assert (grid.x - 1) * 32 < tiles <= grid.x * 32
        assert (grid.y - 1) * 32 < rows <= grid.y * 32
        assert grid.z == 1


def test_winograd_filters_are_padded_to_whole_blocks() -> None:
    item = entry("winograd_filters")
    for s in shapes(item, SHAPES):
        channels, rows = s["in_channels"], s["out_channels"]
        if s["turned"]:
            channels, rows = rows, channels
        made = 16 * len(range(0, channels, 4)) * 4 * len(range(0, rows, 32)) * 32
        assert item.bytes_moved(s) == 4 * (9 * channels * rows + made)
        assert item.launch_geometry(s).grid.x == -(-made // 16 // 256)
        # Twice (G g, then its product with G^T): for 3 columns and for 4 rows, the sum of the outer
        # two, one more sum and one difference, and two halvings.
        assert item.flops(s) == (3 + 4) * 5 * channels * rows
        # What the convolution takes.
        taken = entry("conv_winograd").pointers[1]
        assert taken.elements({"in_channels": channels, "out_channels": rows}) == made
