"""References of the kernels that touch each element once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import Array, single, wide

Shape = Mapping[str, int]
_THRESHOLD = 2**31 - 1
_SEED = 1701


def _f(a: Arrays, name: str) -> Array:
    return wide(a[name], -1)


def _sigmoid(v: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-v)))


def _activation(s: Shape, a: Arrays) -> Arrays:
    v = _f(a, "x")
    hard = np.clip(v + 3, 0, 6) / 6
    results = (_sigmoid(v), np.tanh(v), np.clip(v, 0, 6), hard, v * hard, v * _sigmoid(v))
    return single(y=results[s["kind"]])


def _activation_backward(s: Shape, a: Arrays) -> Arrays:
    v = _f(a, "x")
    sig = _sigmoid(v)
    inner = (v > -3) & (v < 3)
    slopes = (
        sig * (1 - sig),
        1 - np.tanh(v) ** 2,
        np.where((v > 0) & (v < 6), 1.0, 0.0),
        np.where(inner, 1 / 6, 0.0),
        np.where(inner, (2 * v + 3) / 6, np.where(v >= 3, 1.0, 0.0)),
        sig * (1 + v * (1 - sig)),
    )
    return single(dx=_f(a, "dy") * slopes[s["kind"]])


def _max(s: Shape, a: Arrays) -> Arrays:
    first, other = (a["a"] if s["index"] == 0 else a["y"]), a["b"]
    larger = other > first
    if s["index"] == 0:
        mask = np.where(first > other, 0, 1)
        y = np.where(first > other, first, other)
    else:
        mask = np.where(larger, s["index"] + 1, a["mask"])
        y = np.where(larger, other, first)
    return {"y": y.astype(np.float32), "mask": mask.astype(np.int32)}


def _concat(s: Shape, a: Arrays) -> Arrays:
    small = np.array(a["small"]).reshape(s["outer"], -1)
    big = np.array(a["big"]).reshape(s["outer"], s["concat_size"])
    place = slice(s["top_offset"], s["top_offset"] + small.shape[1])
    if s["backward"]:
        small = big[:, place]
    else:
        big[:, place] = small
    return {"small": small.ravel(), "big": big.ravel()}


def _dropout(a: Arrays, source: str, target: str) -> Arrays:
    kept = np.where(a["mask"] > _THRESHOLD, a[source] * np.float32(2), np.float32(0))
    return {target: kept.astype(np.float32)}


def _random(s: Shape, a: Arrays) -> Arrays:
    h = np.arange(s["count"], dtype=np.uint32) + np.uint32(_SEED)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return {"out": h ^ (h >> np.uint32(16))}


REFERENCES: dict[str, Reference] = {
    "relu_forward": lambda s, a: single(y=np.maximum(_f(a, "x"), 0)),
    "relu_backward": lambda s, a: single(dx=np.where(_f(a, "x") > 0, _f(a, "dy"), 0)),
    "activation_forward": _activation,
    "activation_backward": _activation_backward,
    "eltwise_sum": lambda s, a: single(y=_f(a, "a") + _f(a, "b")),
    "eltwise_max_forward": _max,
    "eltwise_max_backward": lambda s, a: single(
        dx=np.where(a["mask"] == s["index"], _f(a, "dy"), 0)
    ),
    "concat_copy": _concat,
    "dropout_forward": lambda s, a: _dropout(a, "x", "y"),
    "dropout_backward": lambda s, a: _dropout(a, "dy", "dx"),
    "ew_copy": lambda s, a: single(y=_f(a, "x")),
    "ew_set": lambda s, a: single(y=np.ones(s["count"])),
    "ew_scale": lambda s, a: single(y=0.5 * _f(a, "y")),
    "ew_axpy": lambda s, a: single(y=0.5 * _f(a, "x") + _f(a, "y")),
    "ew_add_scalar": lambda s, a: single(y=_f(a, "y") + 0.5),
    "ew_mul": lambda s, a: single(y=_f(a, "a") * _f(a, "b")),
    "ew_div": lambda s, a: single(y=_f(a, "a") / _f(a, "b")),
    "ew_sub": lambda s, a: single(y=_f(a, "a") - _f(a, "b")),
    "ew_add": lambda s, a: single(y=_f(a, "a") + _f(a, "b")),
    "ew_powx": lambda s, a: single(y=_f(a, "x") ** 2),
    "ew_sqrt": lambda s, a: single(y=np.sqrt(_f(a, "x"))),
    "ew_square": lambda s, a: single(y=_f(a, "x") ** 2),
    "dot_reduce": lambda s, a: single(result=_f(a, "result") + _f(a, "x") @ _f(a, "y")),
    "rng_uniform": _random,
    "sync_empty": lambda s, a: {},
}
