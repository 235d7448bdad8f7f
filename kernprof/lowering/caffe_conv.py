"""Caffe's convolutions: its own engine (im2col and cuBLAS) and cuDNN's.

Both engines loop over the groups on the host. The own engine also loops over the images, so its
launches grow with the batch and each stays as small as one image's group.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernprof.errors import ShapeError
from kernprof.lowering import cudnn
from kernprof.lowering.emit import Emitter, is_pointwise
from kernprof.lowering.launch import Launch, Library, Purpose
from kernprof.networks.infer import check_index
from kernprof.networks.ir import Convolution, Engine


def conv_engine(emit: Emitter, op: Convolution) -> Engine:
    """Which engine Caffe takes.

    Raises
    ------
    ShapeError
        The layer names the cuDNN engine and is dilated, which Caffe refuses.
    """
    dilated = op.dilation != (1, 1)
    if op.engine is Engine.DEFAULT:
        return Engine.CAFFE if dilated else emit.options.engine
    if op.engine is Engine.CUDNN and dilated:
        raise ShapeError(
            f"layer {emit.layer.name!r} names the cuDNN engine and a dilation; Caffe's cuDNN "
            "engine takes none: leave the engine out or set it to CAFFE"
        )
    return op.engine


def conv_forward(emit: Emitter, op: Convolution) -> Iterator[Launch]:
    """Yield the forward launches of a convolution."""
    if conv_engine(emit, op) is Engine.CUDNN:
        yield from _cudnn_forward(emit, op)
        return
    outputs, inputs, pixels = _group_extents(emit, op)
    if not is_pointwise(op):
        yield emit.unroll("im2col", op, Library.CAFFE)
    yield emit.caffe_gemm(
        False, False, outputs, pixels, inputs, Purpose.PRODUCT, times=emit.batch * op.groups
    )
    if op.bias:
        yield emit.caffe_gemm(
            False, False, op.out_channels, pixels, 1, Purpose.BIAS, beta=1, times=emit.batch
        )


def conv_backward(emit: Emitter, op: Convolution, wanted: bool) -> Iterator[Launch]:
    """Yield the backward launches; ``wanted`` is whether the input's gradient is."""
    if conv_engine(emit, op) is Engine.CUDNN:
        yield from _cudnn_backward(emit, op, wanted)
        return
    outputs, inputs, pixels = _group_extents(emit, op)
    loops = emit.batch * op.groups
    if op.bias:
        yield emit.caffe_gemv(
            False, op.out_channels, pixels, Purpose.BIAS_GRADIENT, beta=1, times=emit.batch
        )
    if not is_pointwise(op):
        # The unrolled input of the forward pass isn't kept.
        yield emit.unroll("im2col", op, Library.CAFFE)
    yield emit.caffe_gemm(
        False, True, outputs, inputs, pixels, Purpose.WEIGHT_GRADIENT, beta=1, times=loops
    )
    if wanted:
        yield emit.caffe_gemm(
            True, False, inputs, pixels, outputs, Purpose.DATA_GRADIENT, times=loops
        )
        if not is_pointwise(op):
            yield emit.unroll("col2im", op, Library.CAFFE)


def _group_extents(emit: Emitter, op: Convolution) -> tuple[int, int, int]:
    """Output channels and unrolled inputs of a group, and output pixels of an image."""
    window = op.kernel[0] * op.kernel[1]
    pixels = emit.layer.out_shape.pixels
    channels = emit.layer.in_shape.channels
    if not is_pointwise(op):
        check_index(emit.layer.name, "the im2col buffer", channels * window * pixels)
    return op.out_channels // op.groups, channels // op.groups * window, pixels


def _cudnn_forward(emit: Emitter, op: Convolution) -> Iterator[Launch]:
    yield from cudnn.forward(emit, op)
    if op.bias:
        yield _group_bias(emit, op, "bias_add", Purpose.BIAS)
    yield emit.launch("sync_empty", Purpose.SYNC, Library.CAFFE)


def _cudnn_backward(emit: Emitter, op: Convolution, wanted: bool) -> Iterator[Launch]:
    if op.bias:
        yield _group_bias(emit, op, "bias_backward", Purpose.BIAS_GRADIENT)
    yield from cudnn.weight_gradient(emit, op)
    if wanted:
        yield from cudnn.data_gradient(emit, op)
    yield emit.launch("sync_empty", Purpose.SYNC, Library.CAFFE)


def _group_bias(emit: Emitter, op: Convolution, kernel: str, purpose: Purpose) -> Launch:
    return emit.launch(
        kernel,
        purpose,
        Library.CUDNN,
        times=op.groups,
        batch=emit.batch,
        channels=op.out_channels // op.groups,
        pixels=emit.layer.out_shape.pixels,
    )
