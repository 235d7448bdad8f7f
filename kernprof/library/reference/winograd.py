"""References of Winograd's minimal filtering, F(2 x 2, 3 x 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import single, wide

Shape = Mapping[str, int]

# Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, equation 7.
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]).T
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]]).T


def _padded(count: int, step: int) -> int:
    return -(-count // step) * step


def _filters(s: Shape, a: Arrays) -> Arrays:
    w = wide(a["w"], s["out_channels"], s["in_channels"], 3, 3)
    if s["turned"]:
        w = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    rows, channels = w.shape[:2]
    u = np.zeros((_padded(channels, 4), 4, 4, _padded(rows, 32)))
    u[:channels, :, :, :rows] = np.einsum("ai,mcij,bj->cabm", _G, w, _G)
    return single(u=u)


def _convolution(s: Shape, a: Arrays) -> Arrays:
    channels, rows = s["in_channels"], s["out_channels"]
    out_h, out_w = (s[f"in_{axis}"] + 2 * s[f"pad_{axis}"] - 2 for axis in "hw")
    down, across = -(-out_h // 2), -(-out_w // 2)
    u = wide(a["u"], _padded(channels, 4), 4, 4, _padded(rows, 32))[:channels, :, :, :rows]
    x = np.zeros((s["batch"], channels, 2 * down + 2, 2 * across + 2))
    inside = wide(a["x"], s["batch"], channels, s["in_h"], s["in_w"])
    top, left = s["pad_h"], s["pad_w"]
    # What lies beyond the last patch is never reached: nothing of an image does.
    x[:, :, top : top + s["in_h"], left : left + s["in_w"]] = inside
    patches = np.lib.stride_tricks.sliding_window_view(x, (4, 4), axis=(2, 3))[:, :, ::2, ::2]
    v = np.einsum("ia,ncrqij,jb->ncrqab", _B, patches, _B)
    m = np.einsum("cabm,ncrqab->nmrqab", u, v)
    tiles = np.einsum("ai,nmrqab,bj->nmriqj", _A, m, _A)
    y = tiles.reshape(s["batch"], rows, 2 * down, 2 * across)
    return single(y=y[:, :, :out_h, :out_w])


REFERENCES: dict[str, Reference] = {"winograd_filters": _filters, "conv_winograd": _convolution}
