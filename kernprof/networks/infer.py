"""Output shapes, and the rules a shape must keep.

Convolutions round down and pooling rounds up, as Caffe does (``base_conv_layer.cpp`` and
``pooling_layer.cpp`` of BVLC/caffe). Everything is exact integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernprof.errors import ShapeError
from kernprof.networks.ir import (
    LRN,
    Accuracy,
    Activation,
    BatchNorm,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    EltwiseKind,
    InnerProduct,
    Input,
    Op,
    Opaque,
    Pad,
    Pair,
    Pooling,
    Reshape,
    Rounding,
    Scale,
    Shape,
    Softmax,
)

MAX_INDEX = 2**31 - 1
"""Largest element index that Caffe's and this project's kernels can form (signed 32 bit)."""

_AXES = ("vertical", "horizontal")


def conv_extent(size: int, kernel: int, stride: int, pad: int, dilation: int = 1) -> int:
    """Output size of a convolution along one axis.

    ``floor((size + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1``, in elements.
    """
    return (size + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1


def pool_extent(size: int, kernel: int, stride: int, pad: int, rounding: Rounding) -> int:
    """Output size of a pooling layer along one axis.

    ``round((size + 2 pad - kernel) / stride) + 1``; with padding, a last window that would start
    in the padding behind the image is dropped.
    """
    span = size + 2 * pad - kernel
    steps = -(-span // stride) if rounding is Rounding.CEIL else span // stride
    extent = steps + 1
    if pad and (extent - 1) * stride >= size + pad:
        extent -= 1
    return extent


def output_shape(name: str, op: Op, inputs: Sequence[Shape]) -> Shape:
    """Work out the output shape of a layer and check all its rules.

    Parameters
    ----------
    name
        The layer, for messages.
    op
        The operation.
    inputs
        Input shapes, per image.

    Raises
    ------
    ShapeError
        A rule is broken; the message names it.
    """
    match op:
        case Input(shape=shape):
            _arity(name, op, inputs, 0)
            result = shape
        case Opaque(shape=shape):
            result = shape
        case Reshape(shape=shape):
            _arity(name, op, inputs, 1)
            if shape.count != inputs[0].count:
                raise ShapeError(
                    f"layer {name!r}: {inputs[0]} has {inputs[0].count} elements and {shape} has "
                    f"{shape.count}; a reshape keeps the number of elements"
                )
            result = shape
        case Convolution():
            _arity(name, op, inputs, 1)
            result = _convolution(name, op, inputs[0])
        case InnerProduct(out_features=features):
            _arity(name, op, inputs, 1)
            _positive(name, "out_features", features)
            _index(name, "the weight matrix", inputs[0].count * features)
            result = Shape(features)
        case Pooling():
            _arity(name, op, inputs, 1)
            result = _pooling(name, op, inputs[0])
        case LRN(local_size=local_size):
            _arity(name, op, inputs, 1)
            _at_most(name, "local_size", local_size)
            if local_size < 1 or local_size % 2 == 0:
                raise ShapeError(
                    f"layer {name!r}: local_size is {local_size}; it must be odd and positive"
                )
            result = inputs[0]
        case Concat():
            result = _concat(name, op, inputs)
        case Eltwise():
            result = _eltwise(name, op, inputs)
        case Pad():
            _arity(name, op, inputs, 1)
            result = _pad(name, op, inputs[0])
        case Accuracy():
            result = Shape(1)
        case BatchNorm() | Scale() | Activation() | Dropout() | Softmax():
            _arity(name, op, inputs, 1)
            result = inputs[0]
    for what, extent in (
        ("channels", result.channels),
        ("height", result.height),
        ("width", result.width),
    ):
        _positive(name, f"output {what}", extent)
    _index(name, f"the output {result}", result.count)
    return result


def check_index(name: str, what: str, count: int) -> None:
    """Raise unless ``count`` elements can be addressed with signed 32-bit indices.

    Raises
    ------
    ShapeError
        There are more than 2^31 - 1 of them.
    """
    _index(name, what, count)


def _convolution(name: str, op: Convolution, shape: Shape) -> Shape:
    _positive(name, "out_channels", op.out_channels)
    _positive(name, "groups", op.groups)
    for what, channels in (("input", shape.channels), ("output", op.out_channels)):
        if channels % op.groups:
            raise ShapeError(
                f"layer {name!r}: {op.groups} groups don't divide {channels} {what} channels; "
                "both channel counts must be multiples of the groups"
            )
    _window(name, op.kernel, op.stride, op.pad)
    for axis, dilation in zip(_AXES, op.dilation, strict=True):
        _positive(name, f"{axis} dilation", dilation)
    extents = []
    for axis, size, kernel, stride, pad, dilation in zip(
        _AXES, (shape.height, shape.width), op.kernel, op.stride, op.pad, op.dilation, strict=True
    ):
        reach = dilation * (kernel - 1) + 1
        _fits(name, axis, reach, size, pad)
        extents.append(conv_extent(size, kernel, stride, pad, dilation))
    weights = op.out_channels * (shape.channels // op.groups) * op.kernel[0] * op.kernel[1]
    _index(name, "the weights", weights)
    return Shape(op.out_channels, extents[0], extents[1])


def _pooling(name: str, op: Pooling, shape: Shape) -> Shape:
    if op.global_pooling:
        if op.pad != (0, 0) or op.stride != (1, 1):
            raise ShapeError(
                f"layer {name!r}: global pooling has pad {_pair(op.pad)} and stride "
                f"{_pair(op.stride)}; it takes the whole map, so pad must be 0 and stride 1"
            )
        return Shape(shape.channels)
    _window(name, op.kernel, op.stride, op.pad)
    extents = []
    for axis, size, kernel, stride, pad in zip(
        _AXES, (shape.height, shape.width), op.kernel, op.stride, op.pad, strict=True
    ):
        if pad >= kernel:
            raise ShapeError(
                f"layer {name!r}: {axis} pad {pad} with a window of {kernel}; the pad of a pooling "
                "layer must be smaller than its window"
            )
        _fits(name, axis, kernel, size, pad)
        extents.append(pool_extent(size, kernel, stride, pad, op.rounding))
    return Shape(shape.channels, extents[0], extents[1])


def _concat(name: str, op: Concat, inputs: Sequence[Shape]) -> Shape:
    _at_least(name, op, inputs, 1)
    first = inputs[0]
    for shape in inputs[1:]:
        if (shape.height, shape.width) != (first.height, first.width):
            raise ShapeError(
                f"layer {name!r}: {first} and {shape} are concatenated along the channels; their "
                "heights and widths must be equal"
            )
    return Shape(sum(shape.channels for shape in inputs), first.height, first.width)


def _eltwise(name: str, op: Eltwise, inputs: Sequence[Shape]) -> Shape:
    _at_least(name, op, inputs, 2)
    first = inputs[0]
    for shape in inputs[1:]:
        per_channel = op.kind is EltwiseKind.PROD and shape == Shape(first.channels)
        if shape != first and not (per_channel and len(inputs) == 2):
            raise ShapeError(
                f"layer {name!r}: {first} and {shape} are combined by {op.kind}; shapes must be "
                "equal (a product of two may take one value per channel as its second input)"
            )
    return first


def _pad(name: str, op: Pad, shape: Shape) -> Shape:
    for what, amount in (
        ("top", op.top),
        ("left", op.left),
        ("bottom", op.bottom),
        ("right", op.right),
    ):
        _not_negative(name, f"{what} pad", amount)
    return Shape(
        shape.channels, shape.height + op.top + op.bottom, shape.width + op.left + op.right
    )


def _window(name: str, kernel: Pair, stride: Pair, pad: Pair) -> None:
    for i, axis in enumerate(_AXES):
        _positive(name, f"{axis} kernel", kernel[i])
        _positive(name, f"{axis} stride", stride[i])
        _not_negative(name, f"{axis} pad", pad[i])


def _fits(name: str, axis: str, reach: int, size: int, pad: int) -> None:
    if reach > size + 2 * pad:
        raise ShapeError(
            f"layer {name!r}: the {axis} window reaches over {reach} elements and the padded input "
            f"has {size} + 2 x {pad} = {size + 2 * pad}; the window (dilation x (kernel - 1) + 1) "
            "must not be larger than the padded input"
        )


def _positive(name: str, what: str, value: int) -> None:
    if value < 1:
        raise ShapeError(f"layer {name!r}: {what} is {_text(value)}; it must be at least 1")
    _at_most(name, what, value)


def _not_negative(name: str, what: str, value: int) -> None:
    if value < 0:
        raise ShapeError(f"layer {name!r}: {what} is {_text(value)}; it must not be negative")
    _at_most(name, what, value)


def _at_most(name: str, what: str, value: int) -> None:
    # Each number by itself first: products of them are then short enough to print.
    if value > MAX_INDEX:
        raise ShapeError(
            f"layer {name!r}: {what} is {_text(value)}; the kernels index with signed 32 bits, so "
            f"{MAX_INDEX} is the most"
        )


def _text(value: int) -> str:
    """Return a number as text; Python refuses to print one of thousands of digits."""
    return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"


def _index(name: str, what: str, count: int) -> None:
    if count > MAX_INDEX:
        raise ShapeError(
            f"layer {name!r}: {what} would have {count} elements; the kernels index with signed "
            f"32 bits, so {MAX_INDEX} is the most"
        )


def _arity(name: str, op: Op, inputs: Sequence[Shape], expected: int) -> None:
    if len(inputs) != expected:
        raise ShapeError(
            f"layer {name!r}: {type(op).__name__} has {len(inputs)} inputs; it takes {expected}"
        )


def _at_least(name: str, op: Op, inputs: Sequence[Shape], expected: int) -> None:
    if len(inputs) < expected:
        raise ShapeError(
            f"layer {name!r}: {type(op).__name__} has {len(inputs)} inputs; it takes at least "
            f"{expected}"
        )


def _pair(values: Pair) -> str:
    return f"{values[0]}x{values[1]}"
