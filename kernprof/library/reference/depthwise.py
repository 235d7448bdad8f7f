"""References of the depthwise convolutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import cropped, out_size, padded, single, taps, wide

Shape = Mapping[str, int]


def _forward(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    x = padded(wide(a["x"], s["batch"], s["channels"], s["in_h"], s["in_w"]), s)
    w = wide(a["w"], s["channels"], s["kernel_h"], s["kernel_w"])
    y = np.zeros((s["batch"], s["channels"], height, width))
    for i, j, rows, columns in taps(s, height, width):
        y += x[..., rows, columns] * w[None, :, i, j, None, None]
    if s["bias"]:
        y += wide(a["b"], 1, -1, 1, 1)
    return single(y=y)


def _backward_data(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    dy = wide(a["dy"], s["batch"], s["channels"], height, width)
    w = wide(a["w"], s["channels"], s["kernel_h"], s["kernel_w"])
    dx = padded(np.zeros((s["batch"], s["channels"], s["in_h"], s["in_w"])), s)
    for i, j, rows, columns in taps(s, height, width):
        dx[..., rows, columns] += dy * w[None, :, i, j, None, None]
    return single(dx=cropped(dx, s))


def _backward_weight(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    x = padded(wide(a["x"], s["batch"], s["channels"], s["in_h"], s["in_w"]), s)
    dy = wide(a["dy"], s["batch"], s["channels"], height, width)
    dw = np.zeros((s["channels"], s["kernel_h"], s["kernel_w"]))
    for i, j, rows, columns in taps(s, height, width):
        dw[:, i, j] = (x[..., rows, columns] * dy).sum(axis=(0, 2, 3))
    db = dy.sum(axis=(0, 2, 3)) if s["bias"] else np.zeros(0)
    return single(dw=dw, db=db)


REFERENCES: dict[str, Reference] = {
    **dict.fromkeys(("depthwise_naive", "depthwise_tiled", "depthwise_multi"), _forward),
    "depthwise_backward_data": _backward_data,
    "depthwise_backward_weight": _backward_weight,
}
