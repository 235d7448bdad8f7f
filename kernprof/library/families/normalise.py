"""Bias, batch normalisation and per-channel scale."""

from __future__ import annotations

from collections.abc import Callable

from kernprof.library.families.common import Rule, flag, line, positive, scalars, traffic
from kernprof.library.model import (
    MAX_INDEX,
    Argument,
    Formula,
    Geometry,
    KernelEntry,
    Pointer,
    Role,
    Scalar,
    Shape,
)
from kernprof.profile import Dim3

_PARAMETERS = ("batch", "channels", "pixels")
_EPS = Scalar("eps", 1e-5, "float32")
"""Caffe's default for BatchNorm."""
_STRIDES: Rule = (
    lambda s: s["batch"] * s["pixels"] <= MAX_INDEX - 255,
    "a channel's threads stride by 256: batch x pixels must be at most 2^31 - 256",
)


def _all(s: Shape) -> int:
    return s["batch"] * s["channels"] * s["pixels"]


def _channels(s: Shape) -> int:
    return s["channels"]


def _beta(s: Shape) -> int:
    return s["bias"] * s["channels"]


def _block_a_channel(s: Shape) -> Geometry:
    return Geometry(Dim3(s["channels"]), Dim3(256))


def _in(name: str, elements: Formula = _all) -> Pointer:
    return Pointer(name, Role.IN, elements)


def _out(name: str, elements: Formula = _all) -> Pointer:
    return Pointer(name, Role.OUT, elements)


def _entry(
    name: str,
    family: str,
    arguments: tuple[Argument, ...],
    geometry: Callable[[Shape], Geometry],
    flops_per_element: int,
    summary: str,
    parameters: tuple[str, ...] = _PARAMETERS,
) -> KernelEntry:
    bias = parameters[len(_PARAMETERS) :]
    return KernelEntry(
        name=name,
        family=family,
        file="normalise.cu",
        parameters=parameters,
        arguments=(
            *arguments[: _pointers(arguments)],
            *scalars(parameters),
            *arguments[_pointers(arguments) :],
        ),
        geometry=geometry,
        flops=lambda s: flops_per_element * _all(s) + (s["bias"] * _all(s) if bias else 0),
        bytes_moved=traffic(arguments),
        rules=(
            positive(*_PARAMETERS),
            *((flag("bias"),) if bias else ()),
            *((_STRIDES,) if geometry is _block_a_channel else ()),
        ),
        summary=summary,
    )


def _pointers(arguments: tuple[Argument, ...]) -> int:
    return sum(isinstance(a, Pointer) for a in arguments)


ENTRIES = (
    _entry(
        "bias_add",
        "bias",
        (_in("b", _channels), Pointer("y", Role.INOUT, _all)),
        line(_all),
        1,
        "one thread an element",
    ),
    _entry(
        "bias_backward",
        "bias",
        (_in("dy"), _out("db", _channels)),
        _block_a_channel,
        1,
        "one block a channel",
    ),
    _entry(
        "bn_stats",
        "batchnorm",
        (_in("x"), _out("mean", _channels), _out("var", _channels)),
        _block_a_channel,
        4,
        "mean and variance, one block a channel",
    ),
    _entry(
        "bn_normalize",
        "batchnorm",
        (_in("x"), _in("mean", _channels), _in("var", _channels), _out("y"), _EPS),
        line(_all),
        4,
        "one thread an element",
    ),
    _entry(
        "bn_backward_reduce",
        "batchnorm",
        (_in("dy"), _in("y"), _out("sum_dy", _channels), _out("sum_dy_y", _channels)),
        _block_a_channel,
        3,
        "both sums of the gradient, one block a channel",
    ),
    _entry(
        "bn_backward_apply",
        "batchnorm",
        (
            _in("dy"),
            _in("y"),
            _in("var", _channels),
            _in("sum_dy", _channels),
            _in("sum_dy_y", _channels),
            _out("dx"),
            _EPS,
        ),
        line(_all),
        8,
        "one thread an element",
    ),
    _entry(
        "scale_forward",
        "scale",
        (_in("x"), _in("gamma", _channels), _in("beta", _beta), _out("y")),
        line(_all),
        1,
        "one thread an element",
        (*_PARAMETERS, "bias"),
    ),
    _entry(
        "scale_backward_data",
        "scale",
        (_in("dy"), _in("gamma", _channels), _out("dx")),
        line(_all),
        1,
        "one thread an element",
    ),
    _entry(
        "scale_backward_reduce",
        "scale",
        (_in("x"), _in("dy"), _out("dgamma", _channels), _out("dbeta", _channels)),
        _block_a_channel,
        3,
        "gradients of factor and offset, one block a channel",
    ),
)
