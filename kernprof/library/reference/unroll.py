"""References of im2col and col2im."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kernprof.library.families.unroll import extent
from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import cropped, padded, single, wide

Shape = Mapping[str, int]


def _slices(s: Shape) -> Iterator[tuple[int, int, Any, Any]]:
    height, width = extent(s, "h"), extent(s, "w")
    for i in range(s["kernel_h"]):
        for j in range(s["kernel_w"]):
            top, left = i * s["dilation_h"], j * s["dilation_w"]
            rows = slice(top, top + (height - 1) * s["stride_h"] + 1, s["stride_h"])
            columns = slice(left, left + (width - 1) * s["stride_w"] + 1, s["stride_w"])
            yield i, j, rows, columns


def _im2col(s: Shape, a: Arrays) -> Arrays:
    image = padded(wide(a["im"], s["channels"], s["in_h"], s["in_w"]), s)
    shape = (s["channels"], s["kernel_h"], s["kernel_w"], extent(s, "h"), extent(s, "w"))
    columns = np.empty(shape)
    for i, j, rows, cols in _slices(s):
        columns[:, i, j] = image[:, rows, cols]
    return single(col=columns)


def _col2im(s: Shape, a: Arrays) -> Arrays:
    shape = (s["channels"], s["kernel_h"], s["kernel_w"], extent(s, "h"), extent(s, "w"))
    columns = wide(a["col"], *shape)
    image = padded(np.zeros((s["channels"], s["in_h"], s["in_w"])), s)
    for i, j, rows, cols in _slices(s):
        image[:, rows, cols] += columns[:, i, j]
    return single(im=cropped(image, s))


REFERENCES: dict[str, Reference] = {"im2col": _im2col, "col2im": _col2im}
