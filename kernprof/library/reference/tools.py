"""What the references share: shapes of flat arrays, windows, rounding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def wide(array: Array, *shape: int) -> Array:
    """Return an array in float64 and in a shape."""
    return np.asarray(array, dtype=np.float64).reshape(shape)


def single(**arrays: Array) -> dict[str, Array]:
    """Return results flat and in float32."""
    return {name: np.asarray(value, np.float32).ravel() for name, value in arrays.items()}


def out_size(s: Mapping[str, int]) -> tuple[int, int]:
    """Return output height and width of a window without dilation, floor rounding."""
    height = (s["in_h"] + 2 * s["pad_h"] - s["kernel_h"]) // s["stride_h"] + 1
    width = (s["in_w"] + 2 * s["pad_w"] - s["kernel_w"]) // s["stride_w"] + 1
    return height, width


def padded(x: Array, s: Mapping[str, int]) -> Array:
    """Return (..., in_h, in_w) with zeros around."""
    width = [(0, 0)] * (x.ndim - 2) + [(s["pad_h"],) * 2, (s["pad_w"],) * 2]
    return np.pad(x, width)


def taps(s: Mapping[str, int], height: int, width: int) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield (row, column) of each tap with the slices of a padded image that it meets."""
    for i in range(s["kernel_h"]):
        for j in range(s["kernel_w"]):
            rows = slice(i, i + (height - 1) * s["stride_h"] + 1, s["stride_h"])
            columns = slice(j, j + (width - 1) * s["stride_w"] + 1, s["stride_w"])
            yield i, j, rows, columns


def cropped(x: Array, s: Mapping[str, int]) -> Array:
    """Return the inside of a padded image."""
    return x[..., s["pad_h"] : s["pad_h"] + s["in_h"], s["pad_w"] : s["pad_w"] + s["in_w"]]
