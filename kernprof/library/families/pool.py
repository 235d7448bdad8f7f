"""Pooling, local response normalisation, softmax."""

from __future__ import annotations

from kernprof.library.families.common import Rule, line, positive, reached, scalars, traffic
from kernprof.library.model import (
    MAX_INDEX,
    Formula,
    KernelEntry,
    Pointer,
    Role,
    Scalar,
    Shape,
)

_POOL = (
    "batch",
    "channels",
    "in_h",
    "in_w",
    "out_h",
    "out_w",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "pad_h",
    "pad_w",
)
_LRN = ("batch", "channels", "in_h", "in_w", "local_size")
_SOFTMAX = ("outer", "channels", "inner")
_ALPHA = Scalar("alpha", 1e-4, "float32")
_BETA = Scalar("beta", 0.75, "float32")
"""Caffe's and AlexNet's constants of LRN (k is 1)."""


def _in(s: Shape) -> int:
    return s["batch"] * s["channels"] * s["in_h"] * s["in_w"]


def _needed(s: Shape) -> int:
    rows, columns = (reached(s, axis, s[f"out_{axis}"]) for axis in "hw")
    return s["batch"] * s["channels"] * rows * columns


def _pooled(s: Shape) -> int:
    return s["batch"] * s["channels"] * s["out_h"] * s["out_w"]


def _window(s: Shape) -> int:
    return _pooled(s) * s["kernel_h"] * s["kernel_w"]


def _pixels(s: Shape) -> int:
    return s["batch"] * s["in_h"] * s["in_w"]


def _all(s: Shape) -> int:
    return s["outer"] * s["channels"] * s["inner"]


def _pairs(s: Shape) -> int:
    return s["outer"] * s["inner"]


def _starts_inside(s: Shape) -> bool:
    return all(
        0 <= s[f"pad_{a}"] < s[f"kernel_{a}"]
        and (s[f"out_{a}"] - 1) * s[f"stride_{a}"] < s[f"in_{a}"] + s[f"pad_{a}"]
        for a in "hw"
    )


_POOL_RULES: tuple[Rule, ...] = (
    positive(*_POOL[:-2]),
    (_starts_inside, "every window must start inside the padded input and reach the image"),
    (
        lambda s: all(
            s[f"in_{a}"] + s[f"pad_{a}"] + s[f"kernel_{a}"] <= MAX_INDEX
            and s[f"stride_{a}"] <= MAX_INDEX
            for a in "hw"
        ),
        "edges of windows are 32-bit: stride and in + pad + kernel must be at most 2^31 - 1",
    ),
)


def _pool(
    name: str, pointers: tuple[Pointer, ...], elements: Formula, flops: Formula, summary: str
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="pooling",
        file="pooling.cu",
        parameters=_POOL,
        arguments=(*pointers, *scalars(_POOL)),
        geometry=line(elements),
        flops=flops,
        bytes_moved=traffic(pointers),
        rules=_POOL_RULES,
        summary=summary,
    )


def _lrn(
    name: str,
    pointers: tuple[Pointer, ...],
    elements: Formula,
    flops: int,
    passed: tuple[str, ...],
    constants: tuple[Scalar, ...],
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="lrn",
        file="lrn.cu",
        parameters=_LRN,
        arguments=(*pointers, *scalars(passed), *constants),
        geometry=line(elements),
        flops=lambda s: flops * _in(s),
        bytes_moved=traffic(pointers),
        rules=(
            positive(*_LRN),
            (lambda s: s["local_size"] % 2 == 1, "local_size must be odd"),
            (
                lambda s: s["channels"] + s["local_size"] <= MAX_INDEX,
                "channels + local_size must be at most 2^31 - 1",
            ),
        ),
        summary="one thread a pixel slides along the channels"
        if elements is _pixels
        else "one thread an element",
    )


_LANES: Rule = (
    lambda s: s["channels"] <= MAX_INDEX - 31,
    "a warp's lanes stride by 32: channels must be at most 2^31 - 32",
)


def _softmax(
    name: str, pointers: tuple[Pointer, ...], elements: Formula, flops: Formula, block: int = 256
) -> KernelEntry:
    # The fused kernels give a warp to each pair: eight pairs a block of 256 threads.
    return KernelEntry(
        name=name,
        family="softmax",
        file="softmax.cu",
        parameters=_SOFTMAX,
        arguments=(*pointers, *scalars(_SOFTMAX)),
        geometry=line(lambda s: elements(s) * (256 // block)),
        flops=flops,
        bytes_moved=traffic(pointers),
        rules=(positive(*_SOFTMAX), *((_LANES,) if block == 8 else ())),
        summary="one warp a pair" if block == 8 else "one thread an element or pair",
    )


def _r(name: str, elements: Formula, dtype: str = "float32") -> Pointer:
    return Pointer(name, Role.IN, elements, dtype)


def _w(name: str, elements: Formula, dtype: str = "float32") -> Pointer:
    return Pointer(name, Role.OUT, elements, dtype)


def _rw(name: str, elements: Formula) -> Pointer:
    return Pointer(name, Role.INOUT, elements)


_POOLED_X = Pointer("x", Role.IN, _in, needed=_needed)
_CHOSEN = Pointer("p", Role.IN, _all, needed=_pairs)
"""Of each pair's probabilities only that of the label is read."""

ENTRIES = (
    _pool(
        "maxpool_forward",
        (_POOLED_X, _w("y", _pooled), _w("mask", _pooled, "int32")),
        _pooled,
        _window,
        "one thread an output",
    ),
    _pool(
        "maxpool_backward",
        (_r("dy", _pooled), _r("mask", _pooled, "int32"), _w("dx", _in)),
        _in,
        _pooled,  # each gradient goes to one element; finding that compares no data
        "one thread an input element",
    ),
    _pool(
        "avepool_forward",
        (_POOLED_X, _w("y", _pooled)),
        _pooled,
        lambda s: _window(s) + _pooled(s),
        "one thread an output",
    ),
    _pool(
        "avepool_backward",
        (_r("dy", _pooled), _w("dx", _in)),
        _in,
        lambda s: 2 * _window(s),  # every tap divides by the window's area
        "one thread an input element",
    ),
    _lrn("lrn_fill_scale", (_r("x", _in), _w("scale", _in)), _pixels, 6, _LRN, (_ALPHA,)),
    _lrn("lrn_output", (_r("x", _in), _r("scale", _in), _w("y", _in)), _in, 2, _LRN[:-1], (_BETA,)),
    _lrn(
        "lrn_backward",
        (_r("x", _in), _r("y", _in), _r("scale", _in), _r("dy", _in), _w("dx", _in)),
        _pixels,
        11,
        _LRN,
        (_ALPHA, _BETA),
    ),
    _lrn(
        "lrn_forward",
        (_r("x", _in), _w("scale", _in), _w("y", _in)),
        _pixels,
        8,
        _LRN,
        (_ALPHA, _BETA),
    ),
    _softmax("softmax_max", (_r("x", _all), _w("m", _pairs)), _pairs, _all),
    _softmax("softmax_subtract", (_r("m", _pairs), _rw("y", _all)), _all, _all),
    _softmax("softmax_exp", (_rw("y", _all),), _all, _all),
    _softmax("softmax_sum", (_r("y", _all), _w("s", _pairs)), _pairs, _all),
    _softmax("softmax_divide", (_r("s", _pairs), _rw("y", _all)), _all, _all),
    _softmax(
        "softmax_dot",
        (_r("a", _all), _r("b", _all), _w("d", _pairs)),
        _pairs,
        lambda s: 2 * _all(s),
    ),
    _softmax(
        "softmax_forward", (_r("x", _all), _w("y", _all)), _pairs, lambda s: 5 * _all(s), block=8
    ),
    _softmax(
        "softmax_backward",
        (_r("dy", _all), _r("y", _all), _w("dx", _all)),
        _pairs,
        lambda s: 4 * _all(s),
        block=8,
    ),
    _softmax(
        "softmax_loss_forward",
        (_CHOSEN, _r("label", _pairs, "int32"), _w("loss", _pairs)),
        _pairs,
        lambda s: 2 * _pairs(s),
    ),
    _softmax(
        "softmax_loss_backward",
        (_r("label", _pairs, "int32"), Pointer("dx", Role.INOUT, _all, needed=_pairs)),
        _pairs,
        _pairs,
    ),
)
