"""Kernels that touch each element once."""

from __future__ import annotations

from kernprof.library.families.common import Rule, ceil_div, flag, line, positive, scalars, traffic
from kernprof.library.model import (
    MAX_INDEX,
    Formula,
    Geometry,
    KernelEntry,
    Pointer,
    Role,
    Scalar,
    Shape,
)
from kernprof.profile import Dim3

_DROP_THRESHOLD = 2**31 - 1
"""Half of all 32-bit numbers are above it: the ratio 0.5 of Caffe's Dropout."""


def _count(s: Shape) -> int:
    return s["count"]


def _in(name: str, dtype: str = "float32", elements: Formula = _count) -> Pointer:
    return Pointer(name, Role.IN, elements, dtype)


def _out(name: str, dtype: str = "float32") -> Pointer:
    return Pointer(name, Role.OUT, _count, dtype)


def _inout(name: str, dtype: str = "float32", elements: Formula = _count) -> Pointer:
    return Pointer(name, Role.INOUT, elements, dtype)


def _entry(
    name: str,
    family: str,
    pointers: tuple[Pointer, ...],
    flops_per_element: int,
    *,
    constants: tuple[Scalar, ...] = (),
    parameters: tuple[str, ...] = ("count",),
    passed: tuple[str, ...] | None = None,
    rules: tuple[Rule, ...] = (),
    moved: Formula | None = None,
    summary: str = "one thread an element",
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family=family,
        file="elementwise.cu",
        parameters=parameters,
        arguments=(*pointers, *scalars(parameters if passed is None else passed), *constants),
        geometry=line(_count),
        flops=lambda s: flops_per_element * s["count"],
        bytes_moved=moved or traffic(pointers),
        rules=(positive("count"), *rules),
        summary=summary,
    )


def _constant(name: str, value: float) -> tuple[Scalar, ...]:
    return (Scalar(name, value, "float32"),)


_DROPOUT = (Scalar("threshold", _DROP_THRESHOLD), Scalar("scale", 2.0, "float32"))
_KIND: tuple[Rule, ...] = ((lambda s: 0 <= s["kind"] <= 5, "kind must be 0 to 5"),)
_INDEX: tuple[Rule, ...] = (
    (lambda s: s["index"] >= 0, "index must not be negative"),
    (
        lambda s: s["index"] < MAX_INDEX,
        "index must be less than 2^31 - 1, as the mask is index + 1",
    ),
)
_DOT_BLOCKS = 256
_BINARY = (_in("a"), _in("b"), _out("y"))
_UNARY = (_in("x"), _out("y"))
_COPIED = Pointer("small", Role.INOUT, lambda s: s["count_copied"])
_WHOLE = Pointer("big", Role.INOUT, lambda s: s["outer"] * s["concat_size"])

ENTRIES = (
    _entry("relu_forward", "relu", _UNARY, 1),
    _entry("relu_backward", "relu", (_in("dy"), _in("x"), _out("dx")), 1),
    _entry(
        "activation_forward", "activation", _UNARY, 4, parameters=("count", "kind"), rules=_KIND
    ),
    _entry(
        "activation_backward",
        "activation",
        (_in("dy"), _in("x"), _out("dx")),
        6,
        parameters=("count", "kind"),
        rules=_KIND,
    ),
    _entry(
        "eltwise_sum",
        "eltwise",
        _BINARY,
        1,
        parameters=("count", "inputs"),
        passed=("count",),
        rules=((lambda s: s["inputs"] == 2, "inputs must be 2"),),
    ),
    _entry(
        "eltwise_max_forward",
        "eltwise",
        (_in("a"), _in("b"), _inout("y"), _inout("mask", "int32")),
        1,
        parameters=("count", "index"),
        rules=_INDEX,
        # Two inputs are read (later the second and y, never a) and y and mask written.
        moved=lambda s: 16 * s["count"],
    ),
    _entry(
        "eltwise_max_backward",
        "eltwise",
        (_in("dy"), _in("mask", "int32"), _out("dx")),
        1,
        parameters=("count", "index"),
        rules=_INDEX,
    ),
    KernelEntry(
        name="concat_copy",
        family="concat",
        file="elementwise.cu",
        parameters=("count_copied", "outer", "concat_size", "top_offset", "backward"),
        arguments=(
            _COPIED,
            _WHOLE,
            *scalars(("count_copied", "outer", "concat_size", "top_offset", "backward")),
        ),
        geometry=line(lambda s: s["count_copied"]),
        flops=lambda s: 0,
        bytes_moved=lambda s: 8 * s["count_copied"],
        rules=(
            positive("count_copied", "outer", "concat_size"),
            flag("backward"),
            (lambda s: s["count_copied"] % s["outer"] == 0, "outer must divide count_copied"),
            (
                lambda s: (
                    0 <= s["top_offset"] <= s["concat_size"] - s["count_copied"] // s["outer"]
                ),
                "the copied part must lie inside the concatenated tensor",
            ),
        ),
        summary="one thread an element",
    ),
    _entry(
        "dropout_forward",
        "dropout",
        (_in("x"), _in("mask", "uint32"), _out("y")),
        1,
        constants=_DROPOUT,
    ),
    _entry(
        "dropout_backward",
        "dropout",
        (_in("dy"), _in("mask", "uint32"), _out("dx")),
        1,
        constants=_DROPOUT,
    ),
    _entry("ew_copy", "elementwise", _UNARY, 0),
    _entry("ew_set", "elementwise", (_out("y"),), 0, constants=_constant("value", 1.0)),
    _entry("ew_scale", "elementwise", (_inout("y"),), 1, constants=_constant("alpha", 0.5)),
    _entry("ew_axpy", "elementwise", (_in("x"), _inout("y")), 2, constants=_constant("alpha", 0.5)),
    _entry("ew_add_scalar", "elementwise", (_inout("y"),), 1, constants=_constant("alpha", 0.5)),
    *(_entry(f"ew_{name}", "elementwise", _BINARY, 1) for name in ("mul", "div", "sub", "add")),
    _entry("ew_powx", "elementwise", _UNARY, 1, constants=_constant("exponent", 2.0)),
    _entry("ew_sqrt", "elementwise", _UNARY, 1),
    _entry("ew_square", "elementwise", _UNARY, 1),
    KernelEntry(
        name="dot_reduce",
        family="reduction",
        file="elementwise.cu",
        parameters=("count",),
        arguments=(
            _in("x"),
            _in("y"),
            _inout("result", elements=lambda s: 1),
            *scalars(("count",)),
        ),
        geometry=lambda s: Geometry(Dim3(min(ceil_div(s["count"], 256), _DOT_BLOCKS)), Dim3(256)),
        flops=lambda s: 2 * s["count"],
        bytes_moved=lambda s: 8 * s["count"] + 8,
        rules=(
            positive("count"),
            (
                lambda s: s["count"] <= MAX_INDEX + 1 - _DOT_BLOCKS * 256,
                "threads stride by the whole grid: count must be at most 2^31 - 65536",
            ),
        ),
        summary="blocks reduce by shuffles, one atomic a block",
    ),
    _entry("rng_uniform", "random", (_out("out", "uint32"),), 0, constants=(Scalar("seed", 1701),)),
    KernelEntry(
        name="sync_empty",
        family="sync",
        file="elementwise.cu",
        parameters=(),
        arguments=(),
        geometry=lambda s: Geometry(Dim3(1), Dim3(1)),
        flops=lambda s: 0,
        bytes_moved=lambda s: 0,
        summary="an empty kernel of one thread",
    ),
)
