"""Caffe's batch normalisation: BatchNorm (statistics, division) and Scale (gamma, beta).

Every sum over pixels or images is a matrix-vector product with a vector of ones, and every
broadcast an outer product with one. These are the small gemv and k = 1 launches that networks with
many such layers drown in.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernprof.lowering.emit import Emitter, uses_batch_statistics
from kernprof.lowering.launch import Launch, Library, Purpose
from kernprof.networks.ir import BatchNorm, Scale


def batch_norm_forward(emit: Emitter, op: BatchNorm) -> Iterator[Launch]:
    """Yield the forward launches of a BatchNorm."""
    channels = emit.layer.in_shape.channels
    count = emit.out_count
    from_batch = uses_batch_statistics(op, emit.options)
    if not emit.layer.in_place:
        yield emit.copy(count)
    if from_batch:
        yield from _channel_means(emit)
    else:
        for _ in ("mean", "variance"):
            # caffe_gpu_scale is a copy and a scaling by cuBLAS.
            yield emit.elementwise("ew_copy", channels, Library.CUBLAS)
            yield emit.elementwise("ew_scale", channels, Library.CUBLAS)
    yield from _spread(emit, beta=1)
    if from_batch:
        yield emit.elementwise("ew_mul", count)
        yield from _channel_means(emit)
        for _ in ("mean", "variance"):
            # The moving averages: caffe_gpu_axpby is a scaling and an axpy by cuBLAS.
            yield emit.elementwise("ew_scale", channels, Library.CUBLAS)
            yield emit.elementwise("ew_axpy", channels, Library.CUBLAS)
    yield emit.elementwise("ew_add_scalar", channels)
    yield emit.elementwise("ew_sqrt", channels)
    yield from _spread(emit, beta=0)
    yield emit.elementwise("ew_div", count)
    yield emit.copy(count)


def batch_norm_backward(emit: Emitter, op: BatchNorm) -> Iterator[Launch]:
    """Yield the backward launches of a BatchNorm, which are the same wanted or not."""
    count = emit.out_count
    if emit.layer.in_place:
        yield emit.copy(count)
    if not uses_batch_statistics(op, emit.options):
        yield emit.elementwise("ew_div", count)
        return
    yield emit.elementwise("ew_mul", count)
    yield from _channel_means(emit)
    yield from _spread(emit, beta=0)
    yield emit.elementwise("ew_mul", count)
    yield from _channel_means(emit)
    yield from _spread(emit, beta=1)
    yield emit.elementwise("ew_scale", count, Library.CUBLAS)
    yield emit.elementwise("ew_axpy", count, Library.CUBLAS)
    yield emit.elementwise("ew_div", count)


def _channel_means(emit: Emitter) -> Iterator[Launch]:
    """Sum over the pixels, then over the images."""
    shape, batch = emit.layer.in_shape, emit.batch
    yield emit.caffe_gemv(False, batch * shape.channels, shape.pixels, Purpose.STATISTICS)
    yield emit.caffe_gemv(True, batch, shape.channels, Purpose.STATISTICS)


def _spread(emit: Emitter, *, beta: int) -> Iterator[Launch]:
    """Spread a value per channel to all images, then all pixels (added where beta is 1)."""
    shape, batch = emit.layer.in_shape, emit.batch
    yield emit.caffe_gemm(False, False, batch, shape.channels, 1, Purpose.BROADCAST)
    yield emit.caffe_gemm(
        False, False, batch * shape.channels, shape.pixels, 1, Purpose.BROADCAST, beta=beta
    )


def scale_backward(emit: Emitter, op: Scale, wanted: bool) -> Iterator[Launch]:
    """Yield the backward launches of a Scale; ``wanted`` is whether the input's gradient is."""
    shape, batch = emit.layer.in_shape, emit.batch
    if op.bias:
        yield emit.caffe_gemv(
            False, shape.channels, shape.pixels, Purpose.BIAS_GRADIENT, beta=1, times=batch
        )
    yield emit.elementwise("ew_mul", emit.in_count, purpose=Purpose.WEIGHT_GRADIENT)
    if batch * shape.pixels > 1:
        yield from _factor_sums(emit)
    if wanted:
        yield emit.per_channel("scale_forward", Purpose.DATA_GRADIENT, Library.CAFFE, bias=False)


def _factor_sums(emit: Emitter) -> Iterator[Launch]:
    """Sum the products over pixels and images, which gives the gradient of the factors."""
    shape, batch = emit.layer.in_shape, emit.batch
    purpose = Purpose.WEIGHT_GRADIENT
    if shape.pixels > 1:
        if batch * shape.channels == 1:
            yield emit.elementwise("dot_reduce", shape.pixels, Library.CUBLAS, purpose)
        else:
            yield emit.caffe_gemv(False, batch * shape.channels, shape.pixels, purpose)
    if batch > 1:
        if shape.channels == 1:
            yield emit.elementwise("dot_reduce", batch, Library.CUBLAS, purpose)
        else:
            yield emit.caffe_gemv(True, batch, shape.channels, purpose, beta=1)
