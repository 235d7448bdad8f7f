"""What Caffe launches for a layer, call by call.

Follows BVLC/caffe (master of February 2020; the files that matter here are unchanged since 2017):
``src/caffe/layers/*.cu``, ``src/caffe/layers/*.cpp``, ``src/caffe/layer_factory.cpp`` and
``src/caffe/util/math_functions.cu``. One steady-state iteration: one-time uploads are left out, and
so is the host's own work.

``needs[i]`` is Caffe's ``propagate_down``: whether the gradient of input i is wanted. Some layers
ignore it (BatchNorm, LRN, and all parameter gradients).

A cuDNN call is one launch of a kernel of ours that computes the same; cuDNN itself may take
several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernprof.lowering.caffe_conv import conv_backward, conv_forward
from kernprof.lowering.caffe_norm import batch_norm_backward, batch_norm_forward, scale_backward
from kernprof.lowering.emit import Emitter
from kernprof.lowering.launch import Direction, Launch, Library, Phase, Purpose
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
    Engine,
    InnerProduct,
    Pad,
    Pooling,
    PoolMethod,
    Scale,
    Softmax,
)

CUDNN_LRN_MAX_N = 16
"""Largest window of cuDNN's LRN (cudnn.h); Caffe runs wider ones itself."""

ACTIVATION_CODES = {
    ActivationKind.SIGMOID: 0,
    ActivationKind.TANH: 1,
    ActivationKind.RELU6: 2,
    ActivationKind.HSIGMOID: 3,
    ActivationKind.HSWISH: 4,
    ActivationKind.SWISH: 5,
}
"""The ``kind`` parameter of the activation kernels."""


def caffe_launches(emit: Emitter, needs: Sequence[bool]) -> Iterator[Launch]:
    """Yield the launches of one layer in one pass, in order, not merged.

    Raises
    ------
    ShapeError
        Caffe refuses the layer (cuDNN engine with dilation).
    """
    if emit.direction is Direction.FORWARD:
        yield from _forward(emit)
    else:
        yield from _backward(emit, needs)


def _forward(emit: Emitter) -> Iterator[Launch]:
    op = emit.layer.op
    own = _own_engine(emit)
    match op:
        case Convolution():
            yield from conv_forward(emit, op)
        case InnerProduct():
            yield from _inner_product_forward(emit, op)
        case BatchNorm():
            yield from batch_norm_forward(emit, op)
        case Scale(bias=bias):
            if emit.layer.in_place:
                yield emit.copy(emit.out_count)
            yield emit.per_channel("scale_forward", Purpose.ELEMENTWISE, Library.CAFFE, bias=bias)
        case Activation():
            yield from _activation(emit, op, own)
        case Pooling():
            # Only average pooling goes to cuDNN: its maximum needs buffers that aren't in place.
            cudnn = not own and op.method is PoolMethod.AVE
            yield emit.pooling(op, Library.CUDNN if cudnn else Library.CAFFE)
        case LRN(local_size=local_size):
            if own or local_size > CUDNN_LRN_MAX_N:
                yield emit.lrn("lrn_fill_scale", local_size, Library.CAFFE)
                yield emit.lrn("lrn_output", local_size, Library.CAFFE)
            else:
                yield emit.lrn("lrn_forward", local_size, Library.CUDNN)
        case Softmax(loss=loss):
            yield from _softmax_forward(emit, own)
            if loss:
                places = emit.batch * emit.layer.in_shape.pixels
                yield emit.softmax("softmax_loss_forward", Library.CAFFE)
                yield emit.elementwise("dot_reduce", places, Library.CUBLAS, Purpose.REDUCE)
                yield emit.zero(emit.in_count)
        case Concat():
            if len(emit.layer.in_shapes) > 1:
                yield from emit.concats(Library.CAFFE)
        case Eltwise(kind=kind):
            yield from _eltwise_forward(emit, kind)
        case Dropout():
            if emit.options.phase is Phase.TRAIN:
                yield emit.elementwise("rng_uniform", emit.in_count, Library.CURAND, Purpose.RANDOM)
                yield emit.elementwise("dropout_forward", emit.in_count)
            elif not emit.layer.in_place:
                yield emit.copy(emit.in_count)
        case Pad():
            # Stock Caffe has no such layer; a fill and a strided copy do it.
            yield emit.zero(emit.out_count)
            yield emit.copy(emit.in_count)


def _backward(emit: Emitter, needs: Sequence[bool]) -> Iterator[Launch]:
    op = emit.layer.op
    own = _own_engine(emit)
    wanted = any(needs)
    match op:
        case Convolution():
            yield from conv_backward(emit, op, wanted)
        case InnerProduct():
            yield from _inner_product_backward(emit, op, wanted)
        case BatchNorm():
            yield from batch_norm_backward(emit, op)
        case Scale():
            yield from scale_backward(emit, op, wanted)
        case Activation() if wanted:
            yield from _activation(emit, op, own)
        case Pooling() if wanted:
            cudnn = not own and op.method is PoolMethod.AVE
            if not cudnn:
                yield emit.zero(emit.in_count)
            yield emit.pooling(op, Library.CUDNN if cudnn else Library.CAFFE)
        case LRN(local_size=local_size):
            cudnn = not own and local_size <= CUDNN_LRN_MAX_N
            yield emit.lrn("lrn_backward", local_size, Library.CUDNN if cudnn else Library.CAFFE)
        case Softmax(loss=loss):
            yield from _softmax_backward(emit, own, loss, wanted)
        case Concat():
            if len(needs) > 1:
                yield from emit.concats(Library.CAFFE, needs)
        case Eltwise(kind=kind):
            yield from _eltwise_backward(emit, kind, needs)
        case Dropout() if wanted:
            if emit.options.phase is Phase.TRAIN:
                yield emit.elementwise("dropout_backward", emit.in_count)
            elif not emit.layer.in_place:
                yield emit.copy(emit.in_count)
        case Pad() if wanted:
            yield emit.copy(emit.in_count, Purpose.DATA_GRADIENT)


def _own_engine(emit: Emitter) -> bool:
    """Whether layers without an engine of their own run Caffe's code rather than cuDNN's."""
    return emit.options.engine is Engine.CAFFE


def _inner_product_forward(emit: Emitter, op: InnerProduct) -> Iterator[Launch]:
    features, inputs = op.out_features, emit.layer.in_shape.count
    if emit.batch == 1:
        yield emit.caffe_gemv(False, features, inputs, Purpose.PRODUCT)
        if op.bias:
            yield emit.elementwise("ew_axpy", features, Library.CUBLAS, Purpose.BIAS)
        return
    yield emit.caffe_gemm(False, True, emit.batch, features, inputs, Purpose.PRODUCT)
    if op.bias:
        yield emit.caffe_gemm(False, False, emit.batch, features, 1, Purpose.BIAS, beta=1)


def _inner_product_backward(emit: Emitter, op: InnerProduct, wanted: bool) -> Iterator[Launch]:
    features, inputs = op.out_features, emit.layer.in_shape.count
    yield emit.caffe_gemm(
        True, False, features, inputs, emit.batch, Purpose.WEIGHT_GRADIENT, beta=1
    )
    if op.bias:
        yield emit.caffe_gemv(True, emit.batch, features, Purpose.BIAS_GRADIENT, beta=1)
    if wanted:
        yield emit.caffe_gemm(False, False, emit.batch, inputs, features, Purpose.DATA_GRADIENT)


def _activation(emit: Emitter, op: Activation, own: bool) -> Iterator[Launch]:
    count = emit.in_count
    backward = emit.direction is Direction.BACKWARD
    purpose = Purpose.DATA_GRADIENT if backward else Purpose.ELEMENTWISE
    if op.kind is ActivationKind.RELU:
        library = Library.CAFFE if own or op.leaky else Library.CUDNN
        yield emit.elementwise(f"relu_{emit.direction}", count, library, purpose)
        return
    if op.kind in (ActivationKind.SIGMOID, ActivationKind.TANH):
        library = Library.CAFFE if own else Library.CUDNN
    elif op.kind is ActivationKind.SWISH:
        library = Library.CAFFE
    else:
        # Stock Caffe has no relu6, hard sigmoid or hard swish; forks do each in one kernel.
        library = Library.KERNPROF
    code = ACTIVATION_CODES[op.kind]
    if op.kind is ActivationKind.SWISH and not backward:
        # The layer holds a sigmoid layer of its own and multiplies by its result.
        yield emit.copy(count)
        yield emit.elementwise("ew_scale", count, Library.CUBLAS)
        yield emit.launch(
            "activation_forward",
            purpose,
            Library.CAFFE,
            count=count,
            kind=ACTIVATION_CODES[ActivationKind.SIGMOID],
        )
        yield emit.elementwise("ew_mul", count)
        return
    yield emit.launch(f"activation_{emit.direction}", purpose, library, count=count, kind=code)


def _softmax_forward(emit: Emitter, own: bool) -> Iterator[Launch]:
    if not own:
        yield emit.softmax("softmax_forward", Library.CUDNN)
        return
    yield emit.copy(emit.in_count)
    for step in ("max", "subtract", "exp", "sum", "divide"):
        yield emit.softmax(f"softmax_{step}", Library.CAFFE)


def _softmax_backward(emit: Emitter, own: bool, loss: bool, wanted: bool) -> Iterator[Launch]:
    count = emit.in_count
    if loss:
        if wanted:
            yield emit.copy(count)
            yield emit.softmax("softmax_loss_backward", Library.CAFFE)
            yield emit.elementwise("ew_scale", count, Library.CUBLAS, Purpose.DATA_GRADIENT)
    elif not own:
        if wanted:
            yield emit.softmax("softmax_backward", Library.CUDNN)
    else:
        # Caffe's own softmax doesn't ask whether the gradient is wanted.
        yield emit.copy(count)
        yield emit.softmax("softmax_dot", Library.CAFFE)
        yield emit.softmax("softmax_subtract", Library.CAFFE)
        yield emit.elementwise("ew_mul", count, purpose=Purpose.DATA_GRADIENT)


def _eltwise_forward(emit: Emitter, kind: EltwiseKind) -> Iterator[Launch]:
    count, inputs = emit.out_count, len(emit.layer.in_shapes)
    match kind:
        case EltwiseKind.SUM:
            yield emit.zero(count)
            for _ in range(inputs):
                yield emit.elementwise("ew_axpy", count, Library.CUBLAS)
        case EltwiseKind.PROD if _per_channel(emit):
            yield _channel_product(emit, Purpose.ELEMENTWISE)
        case EltwiseKind.PROD:
            for _ in range(inputs - 1):
                yield emit.elementwise("ew_mul", count)
        case EltwiseKind.MAX:
            for index in range(inputs - 1):
                yield emit.launch(
                    "eltwise_max_forward",
                    Purpose.ELEMENTWISE,
                    Library.CAFFE,
                    count=count,
                    index=index,
                )


def _eltwise_backward(emit: Emitter, kind: EltwiseKind, needs: Sequence[bool]) -> Iterator[Launch]:
    count, inputs = emit.out_count, len(emit.layer.in_shapes)
    if kind is EltwiseKind.PROD and _per_channel(emit):
        yield from _channel_product_backward(emit, needs)
        return
    for index, need in enumerate(needs):
        if not need:
            continue
        match kind:
            case EltwiseKind.SUM:
                yield emit.copy(count, Purpose.DATA_GRADIENT)
            case EltwiseKind.PROD:
                # The stable form: the product of all other inputs, times the gradient.
                yield emit.copy(count)
                yield emit.launch(
                    "ew_mul", Purpose.DATA_GRADIENT, Library.CAFFE, times=inputs - 1, count=count
                )
            case EltwiseKind.MAX:
                yield emit.launch(
                    "eltwise_max_backward",
                    Purpose.DATA_GRADIENT,
                    Library.CAFFE,
                    count=count,
                    index=index,
                )


def _per_channel(emit: Emitter) -> bool:
    """Whether the second factor has one value a channel: Caffe's Scale with two inputs."""
    first, second = emit.layer.in_shapes[:2]
    return first != second


def _channel_product(emit: Emitter, purpose: Purpose) -> Launch:
    shape = emit.layer.in_shape
    return emit.launch(
        "scale_forward",
        purpose,
        Library.CAFFE,
        batch=1,
        channels=emit.batch * shape.channels,
        pixels=shape.pixels,
        bias=0,
    )


def _channel_product_backward(emit: Emitter, needs: Sequence[bool]) -> Iterator[Launch]:
    shape = emit.layer.in_shape
    if needs[1]:
        yield emit.elementwise("ew_mul", emit.in_count, purpose=Purpose.DATA_GRADIENT)
        yield emit.caffe_gemv(
            False, emit.batch * shape.channels, shape.pixels, Purpose.DATA_GRADIENT
        )
    if needs[0]:
        yield _channel_product(emit, Purpose.DATA_GRADIENT)
