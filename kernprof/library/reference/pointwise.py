"""References of the 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import single, wide

Shape = Mapping[str, int]


def _forward(s: Shape, a: Arrays) -> Arrays:
    x = wide(a["x"], s["batch"], s["in_channels"], s["pixels"])
    y = wide(a["w"], s["out_channels"], s["in_channels"]) @ x
    if s["bias"]:
        y = y + wide(a["b"], 1, -1, 1)
    return single(y=y)


def _backward_data(s: Shape, a: Arrays) -> Arrays:
    dy = wide(a["dy"], s["batch"], s["out_channels"], s["pixels"])
    return single(dx=wide(a["w"], s["out_channels"], s["in_channels"]).T @ dy)


def _backward_weight(s: Shape, a: Arrays) -> Arrays:
    x = wide(a["x"], s["batch"], s["in_channels"], s["pixels"])
    dy = wide(a["dy"], s["batch"], s["out_channels"], s["pixels"])
    db = dy.sum(axis=(0, 2)) if s["bias"] else np.zeros(0)
    return single(dw=np.einsum("nop,nip->oi", dy, x), db=db)


REFERENCES: dict[str, Reference] = {
    **{
        f"pointwise_{step}": _forward
        for step in ("naive", "coalesced", "tiled", "register", "vector")
    },
    "pointwise_backward_data": _backward_data,
    "pointwise_backward_weight": _backward_weight,
}
