"""References of bias, batch normalisation and scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import Array, single, wide

Shape = Mapping[str, int]
_EPS = 1e-5


def _t(s: Shape, a: Arrays, name: str) -> Array:
    return wide(a[name], s["batch"], s["channels"], s["pixels"])


def _c(a: Arrays, name: str) -> Array:
    return wide(a[name], 1, -1, 1)


def _sum(values: Array) -> Array:
    return np.asarray(values.sum(axis=(0, 2)))


def _apply(s: Shape, a: Arrays) -> Arrays:
    count = s["batch"] * s["pixels"]
    plain, weighted = _c(a, "sum_dy") / count, _c(a, "sum_dy_y") / count
    centred = _t(s, a, "dy") - plain - _t(s, a, "y") * weighted
    return single(dx=centred / (_c(a, "var") + _EPS) ** 0.5)


def _scale(s: Shape, a: Arrays) -> Arrays:
    offset = _c(a, "beta") if s["bias"] else 0.0
    return single(y=_t(s, a, "x") * _c(a, "gamma") + offset)


REFERENCES: dict[str, Reference] = {
    "bias_add": lambda s, a: single(y=_t(s, a, "y") + _c(a, "b")),
    "bias_backward": lambda s, a: single(db=_sum(_t(s, a, "dy"))),
    "bn_stats": lambda s, a: single(
        mean=_t(s, a, "x").mean(axis=(0, 2)), var=_t(s, a, "x").var(axis=(0, 2))
    ),
    "bn_normalize": lambda s, a: single(
        y=(_t(s, a, "x") - _c(a, "mean")) / (_c(a, "var") + _EPS) ** 0.5
    ),
    "bn_backward_reduce": lambda s, a: single(
        sum_dy=_sum(_t(s, a, "dy")), sum_dy_y=_sum(_t(s, a, "dy") * _t(s, a, "y"))
    ),
    "bn_backward_apply": _apply,
    "scale_forward": _scale,
    "scale_backward_data": lambda s, a: single(dx=_t(s, a, "dy") * _c(a, "gamma")),
    "scale_backward_reduce": lambda s, a: single(
        dgamma=_sum(_t(s, a, "x") * _t(s, a, "dy")), dbeta=_sum(_t(s, a, "dy"))
    ),
}
