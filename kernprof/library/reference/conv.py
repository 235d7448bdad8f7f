"""References of the convolutions: with groups, and in tiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import (
    Array,
    cropped,
    out_size,
    padded,
    single,
    taps,
    wide,
)
from kernprof.lowering.cudnn import TILES

Shape = Mapping[str, int]


def _x(s: Shape, a: Arrays) -> Array:
    groups = s["groups"]
    x = wide(a["x"], s["batch"], groups, s["in_channels"] // groups, s["in_h"], s["in_w"])
    return padded(x, s)


def _w(s: Shape, a: Arrays) -> Array:
    groups = s["groups"]
    inputs, outputs = s["in_channels"] // groups, s["out_channels"] // groups
    return wide(a["w"], groups, outputs, inputs, s["kernel_h"], s["kernel_w"])


def _dy(s: Shape, a: Arrays) -> Array:
    groups = s["groups"]
    return wide(a["dy"], s["batch"], groups, s["out_channels"] // groups, *out_size(s))


def _forward(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    x, w = _x(s, a), _w(s, a)
    y = np.zeros((s["batch"], s["groups"], w.shape[1], height, width))
    for i, j, rows, columns in taps(s, height, width):
        y += np.einsum("ngchw,goc->ngohw", x[..., rows, columns], w[..., i, j])
    if s["bias"]:
        y += wide(a["b"], 1, s["groups"], w.shape[1], 1, 1)
    return single(y=y)


def _backward_data(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    w, dy = _w(s, a), _dy(s, a)
    dx = padded(np.zeros((s["batch"], s["groups"], w.shape[2], s["in_h"], s["in_w"])), s)
    for i, j, rows, columns in taps(s, height, width):
        dx[..., rows, columns] += np.einsum("ngohw,goc->ngchw", dy, w[..., i, j])
    return single(dx=cropped(dx, s))


def _backward_weight(s: Shape, a: Arrays) -> Arrays:
    height, width = out_size(s)
    x, dy = _x(s, a), _dy(s, a)
    dw = np.zeros((s["groups"], dy.shape[2], x.shape[2], s["kernel_h"], s["kernel_w"]))
    for i, j, rows, columns in taps(s, height, width):
        dw[..., i, j] = np.einsum("ngohw,ngchw->goc", dy, x[..., rows, columns])
    return single(dw=dw)


def _one_group(reference: Reference) -> Reference:
    """Return the reference of a kernel that has neither groups nor a bias."""
    return lambda s, a: reference({**s, "groups": 1, "bias": 0}, a)


def _added_weight(s: Shape, a: Arrays) -> Arrays:
    """Add the gradient of the filters to what is there, as Caffe asks of cuDNN (beta = 1)."""
    gradient = _backward_weight({**s, "groups": 1}, a)["dw"]
    return single(dw=wide(a["dw"], -1) + gradient)


_TILED: dict[str, Reference] = {
    "": _one_group(_forward),
    "_backward_data": _one_group(_backward_data),
    "_backward_weight": _added_weight,
}

REFERENCES: dict[str, Reference] = {
    "conv_implicit_gemm": _forward,
    "conv_implicit_gemm_backward_data": _backward_data,
    "conv_implicit_gemm_backward_weight": _backward_weight,
    **{
        f"conv_tiled_{tile.name}{suffix}": reference
        for tile in TILES
        for suffix, reference in _TILED.items()
    },
}
