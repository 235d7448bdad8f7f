"""References of pooling, local response normalisation and softmax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import Array, single, wide

Shape = Mapping[str, int]
_ALPHA, _BETA = 1e-4, 0.75


def _windows(s: Shape) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield output row and column, and the window's edges in the unpadded image, not clipped."""
    for row in range(s["out_h"]):
        for column in range(s["out_w"]):
            top = row * s["stride_h"] - s["pad_h"]
            left = column * s["stride_w"] - s["pad_w"]
            yield row, column, top, top + s["kernel_h"], left, left + s["kernel_w"]


def _planes(s: Shape, a: Arrays, name: str, pooled: bool = False) -> Array:
    size = (s["out_h"], s["out_w"]) if pooled else (s["in_h"], s["in_w"])
    return wide(a[name], s["batch"] * s["channels"], *size)


def _max(s: Shape, a: Arrays) -> Arrays:
    x = _planes(s, a, "x")
    y = np.empty((len(x), s["out_h"], s["out_w"]))
    mask = np.empty(y.shape, np.int32)
    for row, column, top, bottom, left, right in _windows(s):
        top, left = max(top, 0), max(left, 0)
        bottom, right = min(bottom, s["in_h"]), min(right, s["in_w"])
        window = x[:, top:bottom, left:right].reshape(len(x), -1)
        best = window.argmax(axis=1)
        width = right - left
        y[:, row, column] = window.max(axis=1)
        mask[:, row, column] = (top + best // width) * s["in_w"] + left + best % width
    return {**single(y=y), "mask": mask.ravel()}


def _max_backward(s: Shape, a: Arrays) -> Arrays:
    dy = _planes(s, a, "dy", pooled=True)
    mask = np.asarray(a["mask"]).reshape(dy.shape)
    dx = np.zeros((len(dy), s["in_h"] * s["in_w"]))
    for row, column, top, bottom, left, right in _windows(s):
        # A mask is only believed where its element lies in the window, as in the kernel.
        where = mask[:, row, column]
        h, w = where // s["in_w"], where % s["in_w"]
        inside = (where >= 0) & (h >= top) & (h < bottom) & (w >= left) & (w < right)
        np.add.at(dx, (np.nonzero(inside)[0], where[inside]), dy[inside, row, column])
    return single(dx=dx)


def _areas(s: Shape, top: int, bottom: int, left: int, right: int) -> int:
    rows = min(bottom, s["in_h"] + s["pad_h"]) - top
    return rows * (min(right, s["in_w"] + s["pad_w"]) - left)


def _average(s: Shape, a: Arrays) -> Arrays:
    x = _planes(s, a, "x")
    y = np.empty((len(x), s["out_h"], s["out_w"]))
    for row, column, top, bottom, left, right in _windows(s):
        inside = x[:, max(top, 0) : bottom, max(left, 0) : right]
        y[:, row, column] = inside.sum(axis=(1, 2)) / _areas(s, top, bottom, left, right)
    return single(y=y)


def _average_backward(s: Shape, a: Arrays) -> Arrays:
    dy = _planes(s, a, "dy", pooled=True)
    dx = np.zeros((len(dy), s["in_h"], s["in_w"]))
    for row, column, top, bottom, left, right in _windows(s):
        share = dy[:, row, column] / _areas(s, top, bottom, left, right)
        dx[:, max(top, 0) : bottom, max(left, 0) : right] += share[:, None, None]
    return single(dx=dx)


def _lrn_t(s: Shape, a: Arrays, name: str) -> Array:
    return wide(a[name], s["batch"], s["channels"], s["in_h"] * s["in_w"])


def _around(values: Array, s: Shape) -> Array:
    """Add each channel's neighbourhood of ``local_size`` channels up."""
    half = (s["local_size"] - 1) // 2
    total = np.zeros_like(values)
    for c in range(s["channels"]):
        total[:, c] = values[:, max(c - half, 0) : c + half + 1].sum(axis=1)
    return total


def _lrn_scale(s: Shape, a: Arrays) -> Array:
    return np.asarray(1 + _ALPHA / s["local_size"] * _around(_lrn_t(s, a, "x") ** 2, s))


def _lrn_backward(s: Shape, a: Arrays) -> Arrays:
    x, y, scale, dy = (_lrn_t(s, a, name) for name in ("x", "y", "scale", "dy"))
    factor = 2 * _ALPHA * _BETA / s["local_size"]
    return single(dx=dy * scale**-_BETA - factor * x * _around(dy * y / scale, s))


def _t(s: Shape, a: Arrays, name: str) -> Array:
    return wide(a[name], s["outer"], s["channels"], s["inner"])


def _p(s: Shape, a: Arrays, name: str) -> Array:
    return wide(a[name], s["outer"], 1, s["inner"])


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _softmax_backward(s: Shape, a: Arrays) -> Arrays:
    dy, y = _t(s, a, "dy"), _t(s, a, "y")
    return single(dx=(dy - (dy * y).sum(axis=1, keepdims=True)) * y)


def _labels(s: Shape, a: Arrays) -> Array:
    return np.asarray(a["label"]).reshape(s["outer"], 1, s["inner"])


def _loss(s: Shape, a: Arrays) -> Arrays:
    chosen = np.take_along_axis(_t(s, a, "p"), _labels(s, a), axis=1)
    return single(loss=-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)))


def _loss_backward(s: Shape, a: Arrays) -> Arrays:
    dx = _t(s, a, "dx").copy()
    labels = _labels(s, a)
    np.put_along_axis(dx, labels, np.take_along_axis(dx, labels, axis=1) - 1, axis=1)
    return single(dx=dx)


REFERENCES: dict[str, Reference] = {
    "maxpool_forward": _max,
    "maxpool_backward": _max_backward,
    "avepool_forward": _average,
    "avepool_backward": _average_backward,
    "lrn_fill_scale": lambda s, a: single(scale=_lrn_scale(s, a)),
    "lrn_output": lambda s, a: single(y=_lrn_t(s, a, "x") * _lrn_t(s, a, "scale") ** -_BETA),
    "lrn_forward": lambda s, a: single(
        scale=_lrn_scale(s, a), y=_lrn_t(s, a, "x") * _lrn_scale(s, a) ** -_BETA
    ),
    "lrn_backward": _lrn_backward,
    "softmax_max": lambda s, a: single(m=_t(s, a, "x").max(axis=1)),
    "softmax_subtract": lambda s, a: single(y=_t(s, a, "y") - _p(s, a, "m")),
    "softmax_exp": lambda s, a: single(y=np.exp(_t(s, a, "y"))),
    "softmax_sum": lambda s, a: single(s=_t(s, a, "y").sum(axis=1)),
    "softmax_divide": lambda s, a: single(y=_t(s, a, "y") / _p(s, a, "s")),
    "softmax_dot": lambda s, a: single(d=(_t(s, a, "a") * _t(s, a, "b")).sum(axis=1)),
    "softmax_forward": lambda s, a: single(y=_softmax(_t(s, a, "x"))),
    "softmax_backward": _softmax_backward,
    "softmax_loss_forward": _loss,
    "softmax_loss_backward": _loss_backward,
}
