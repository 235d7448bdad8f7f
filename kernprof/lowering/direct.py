"""Lowerings of our own: one launch a convolution, or im2col and a matrix product.

They differ only in convolutions. Every other layer takes the fewest kernels of the registry, fused
ones where there are any. None of it is a framework's behaviour; it is what tuned kernels are
compared on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernprof.errors import ShapeError
from kernprof.lowering.caffe import ACTIVATION_CODES
from kernprof.lowering.emit import Emitter, is_pointwise, uses_batch_statistics
from kernprof.lowering.launch import Direction, Launch, Library, Lowering, Phase, Purpose
from kernprof.networks.infer import check_index
from kernprof.networks.ir import (
    LRN,
    Activation,
    ActivationKind,
    BatchNorm,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    EltwiseKind,
    InnerProduct,
    Pad,
    Pooling,
    Scale,
    Softmax,
)

_OURS = Library.KERNPROF


def direct_launches(emit: Emitter, needs: Sequence[bool]) -> Iterator[Launch]:
    """Yield the launches of one layer in one pass, in order, not merged.

    ``needs[i]`` says whether the gradient of input i is wanted.

    Raises
    ------
    ShapeError
        A dilated convolution under a lowering whose kernels take no dilation.
    """
    if emit.direction is Direction.FORWARD:
        yield from _forward(emit)
    else:
        yield from _backward(emit, needs)


def _forward(emit: Emitter) -> Iterator[Launch]:
    op = emit.layer.op
    match op:
        case Convolution():
            yield from _convolution(emit, op, wanted=False)
        case InnerProduct():
            features, inputs = op.out_features, emit.layer.in_shape.count
            if emit.batch == 1:
                yield emit.launch("gemv2T", Purpose.PRODUCT, _OURS, m=inputs, n=features, beta=0)
            else:
                yield emit.sgemm(True, False, features, emit.batch, inputs, Purpose.PRODUCT)
            if op.bias:
                yield emit.per_channel("bias_add", Purpose.BIAS, _OURS)
        case BatchNorm():
            if uses_batch_statistics(op, emit.options):
                yield emit.per_channel("bn_stats", Purpose.STATISTICS, _OURS)
            yield emit.per_channel("bn_normalize", Purpose.ELEMENTWISE, _OURS)
        case Scale(bias=bias):
            yield emit.per_channel("scale_forward", Purpose.ELEMENTWISE, _OURS, bias=bias)
        case Activation():
            yield _activation(emit, op)
        case Pooling():
            yield emit.pooling(op, _OURS)
        case LRN(local_size=local_size):
            yield emit.lrn("lrn_forward", local_size, _OURS)
        case Softmax(loss=loss):
            yield emit.softmax("softmax_forward", _OURS)
            if loss:
                places = emit.batch * emit.layer.in_shape.pixels
                yield emit.softmax("softmax_loss_forward", _OURS)
                yield emit.elementwise("dot_reduce", places, _OURS, Purpose.REDUCE)
        case Concat():
            if len(emit.layer.in_shapes) > 1:
                yield from emit.concats(_OURS)
        case Eltwise(kind=kind):
            yield from _eltwise_forward(emit, kind)
        case Dropout():
            if emit.options.phase is Phase.TRAIN:
                yield emit.elementwise("rng_uniform", emit.in_count, _OURS, Purpose.RANDOM)
                yield emit.elementwise("dropout_forward", emit.in_count, _OURS)
        case Pad():
            yield emit.zero(emit.out_count)
            yield emit.copy(emit.in_count)


def _backward(emit: Emitter, needs: Sequence[bool]) -> Iterator[Launch]:
    op = emit.layer.op
    wanted = any(needs)
    match op:
        case Convolution():
            yield from _convolution(emit, op, wanted=wanted)
        case InnerProduct():
            features, inputs, batch = op.out_features, emit.layer.in_shape.count, emit.batch
            yield emit.sgemm(False, True, inputs, features, batch, Purpose.WEIGHT_GRADIENT, beta=1)
            if op.bias:
                yield emit.per_channel("bias_backward", Purpose.BIAS_GRADIENT, _OURS)
            if wanted:
                yield emit.sgemm(False, False, inputs, batch, features, Purpose.DATA_GRADIENT)
        case BatchNorm() if wanted:
            if uses_batch_statistics(op, emit.options):
                yield emit.per_channel("bn_backward_reduce", Purpose.STATISTICS, _OURS)
                yield emit.per_channel("bn_backward_apply", Purpose.DATA_GRADIENT, _OURS)
            else:
                # Stored statistics are constants: the gradient is a factor per channel.
                yield emit.per_channel("scale_backward_data", Purpose.DATA_GRADIENT, _OURS)
        case Scale():
            yield emit.per_channel("scale_backward_reduce", Purpose.WEIGHT_GRADIENT, _OURS)
            if wanted:
                yield emit.per_channel("scale_backward_data", Purpose.DATA_GRADIENT, _OURS)
        case Activation() if wanted:
            yield _activation(emit, op)
        case Pooling() if wanted:
            yield emit.pooling(op, _OURS)
        case LRN(local_size=local_size) if wanted:
            yield emit.lrn("lrn_backward", local_size, _OURS)
        case Softmax(loss=loss) if wanted:
            yield emit.softmax("softmax_loss_backward" if loss else "softmax_backward", _OURS)
        case Concat() if len(needs) > 1:
            yield from emit.concats(_OURS, needs)
        case Eltwise(kind=kind):
            yield from _eltwise_backward(emit, kind, needs)
        case Dropout() if wanted and emit.options.phase is Phase.TRAIN:
            yield emit.elementwise("dropout_backward", emit.in_count, _OURS)
        case Pad() if wanted:
            yield emit.copy(emit.in_count, Purpose.DATA_GRADIENT)


def _convolution(emit: Emitter, op: Convolution, *, wanted: bool) -> Iterator[Launch]:
    lowering = emit.options.lowering
    if lowering is Lowering.IM2COL:
        yield from _unrolled(emit, op, wanted=wanted)
        return
    if op.dilation != (1, 1):
        raise ShapeError(
            f"layer {emit.layer.name!r} has dilation {op.dilation[0]}x{op.dilation[1]}; the "
            f"kernels of the {lowering} lowering take none: use im2col or caffe"
        )
    if lowering is Lowering.DIRECT and _is_depthwise(emit, op):
        yield from _specialised(emit, op, "depthwise", wanted=wanted)
    elif lowering is Lowering.DIRECT and is_pointwise(op) and op.groups == 1:
        yield from _specialised(emit, op, "pointwise", wanted=wanted)
    else:
        yield from _implicit(emit, op, wanted=wanted)


def _is_depthwise(emit: Emitter, op: Convolution) -> bool:
    return op.groups == emit.layer.in_shape.channels == op.out_channels and op.groups > 1


def _implicit(emit: Emitter, op: Convolution, *, wanted: bool) -> Iterator[Launch]:
    if emit.direction is Direction.FORWARD:
        yield emit.implicit_gemm("", op, Purpose.PRODUCT, _OURS, groups=op.groups, bias=op.bias)
        return
    if op.bias:
        yield emit.per_channel("bias_backward", Purpose.BIAS_GRADIENT, _OURS)
    for suffix, purpose in _gradients(wanted):
        yield emit.implicit_gemm(suffix, op, purpose, _OURS, groups=op.groups, bias=False)


def _specialised(emit: Emitter, op: Convolution, family: str, *, wanted: bool) -> Iterator[Launch]:
    shape = emit.layer.in_shape
    if family == "pointwise":
        variant = emit.options.pointwise
        sizes = {
            "batch": emit.batch,
            "in_channels": shape.channels,
            "out_channels": op.out_channels,
            "pixels": shape.pixels,
        }
    else:
        variant = emit.options.depthwise
        sizes = {
            "batch": emit.batch,
            "channels": shape.channels,
            "in_h": shape.height,
            "in_w": shape.width,
            "kernel_h": op.kernel[0],
            "kernel_w": op.kernel[1],
            "stride_h": op.stride[0],
            "stride_w": op.stride[1],
            "pad_h": op.pad[0],
            "pad_w": op.pad[1],
        }
    if emit.direction is Direction.FORWARD:
        yield emit.launch_sized(variant, Purpose.PRODUCT, _OURS, sizes | {"bias": int(op.bias)})
        return
    if op.bias:
        yield emit.per_channel("bias_backward", Purpose.BIAS_GRADIENT, _OURS)
    for suffix, purpose in _gradients(wanted):
        yield emit.launch_sized(f"{family}{suffix}", purpose, _OURS, sizes | {"bias": 0})


def _gradients(wanted: bool) -> list[tuple[str, Purpose]]:
    found = [("_backward_weight", Purpose.WEIGHT_GRADIENT)]
    if wanted:
        found.append(("_backward_data", Purpose.DATA_GRADIENT))
    return found


def _unrolled(emit: Emitter, op: Convolution, *, wanted: bool) -> Iterator[Launch]:
    """im2col, then one product per image and group."""
    pixels = emit.layer.out_shape.pixels
    channels = emit.layer.in_shape.channels
    window = op.kernel[0] * op.kernel[1]
    check_index(emit.layer.name, "the im2col buffer", channels * window * pixels)
    outputs, inputs = op.out_channels // op.groups, channels // op.groups * window
    loops = emit.batch * op.groups
    identity = is_pointwise(op)
    if emit.direction is Direction.BACKWARD and op.bias:
        yield emit.per_channel("bias_backward", Purpose.BIAS_GRADIENT, _OURS)
    if not identity:
        yield emit.unroll("im2col", op, _OURS)
    if emit.direction is Direction.FORWARD:
        yield emit.sgemm(False, False, pixels, outputs, inputs, Purpose.PRODUCT, times=loops)
        if op.bias:
            yield emit.per_channel("bias_add", Purpose.BIAS, _OURS)
        return
    yield emit.sgemm(
        True, False, inputs, outputs, pixels, Purpose.WEIGHT_GRADIENT, beta=1, times=loops
    )
    if wanted:
        yield emit.sgemm(False, True, pixels, inputs, outputs, Purpose.DATA_GRADIENT, times=loops)
        if not identity:
            yield emit.unroll("col2im", op, _OURS)


def _activation(emit: Emitter, op: Activation) -> Launch:
    backward = emit.direction is Direction.BACKWARD
    purpose = Purpose.DATA_GRADIENT if backward else Purpose.ELEMENTWISE
    if op.kind is ActivationKind.RELU:
        return emit.elementwise(f"relu_{emit.direction}", emit.in_count, _OURS, purpose)
    return emit.launch(
        f"activation_{emit.direction}",
        purpose,
        _OURS,
        count=emit.in_count,
        kind=ACTIVATION_CODES[op.kind],
    )


def _eltwise_forward(emit: Emitter, kind: EltwiseKind) -> Iterator[Launch]:
    count, shapes = emit.out_count, emit.layer.in_shapes
    if kind is EltwiseKind.PROD and shapes[0] != shapes[1]:
        yield _channel_product(emit, "scale_forward", Purpose.ELEMENTWISE, bias=False)
        return
    for index in range(len(shapes) - 1):
        match kind:
            case EltwiseKind.SUM:
                yield emit.launch("eltwise_sum", Purpose.ELEMENTWISE, _OURS, count=count, inputs=2)
            case EltwiseKind.PROD:
                yield emit.elementwise("ew_mul", count, _OURS)
            case EltwiseKind.MAX:
                yield emit.launch(
                    "eltwise_max_forward", Purpose.ELEMENTWISE, _OURS, count=count, index=index
                )


def _eltwise_backward(emit: Emitter, kind: EltwiseKind, needs: Sequence[bool]) -> Iterator[Launch]:
    count, shapes = emit.out_count, emit.layer.in_shapes
    if kind is EltwiseKind.PROD and shapes[0] != shapes[1]:
        if needs[1]:
            yield _channel_product(emit, "scale_backward_reduce", Purpose.DATA_GRADIENT)
        if needs[0]:
            yield _channel_product(emit, "scale_backward_data", Purpose.DATA_GRADIENT)
        return
    for index, need in enumerate(needs):
        if need and kind is EltwiseKind.PROD:
            yield emit.launch(
                "ew_mul", Purpose.DATA_GRADIENT, _OURS, times=len(shapes) - 1, count=count
            )
        elif need and kind is EltwiseKind.MAX:
            yield emit.launch(
                "eltwise_max_backward", Purpose.DATA_GRADIENT, _OURS, count=count, index=index
            )
        # The gradient of a sum is the sum's own gradient: nothing to launch.


def _channel_product(
    emit: Emitter, kernel: str, purpose: Purpose, *, bias: bool | None = None
) -> Launch:
    """Launch a kernel on a factor per image and channel: batch x channels channels of one image."""
    shape = emit.layer.in_shape
    sizes = {"batch": 1, "channels": emit.batch * shape.channels, "pixels": shape.pixels}
    if bias is not None:
        sizes["bias"] = int(bias)
    return emit.launch_sized(kernel, purpose, _OURS, sizes)
