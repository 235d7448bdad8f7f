"""Making launch records: the fixed context of a layer, and the cuBLAS family rule.

Caffe stores matrices by rows and cuBLAS by columns, so ``caffe_gpu_gemm(transA, transB, M, N, K)``
becomes ``cublasSgemm(transB, transA, N, M, K)`` and ``caffe_gpu_gemv(NoTrans, M, N)`` becomes
``cublasSgemv(T, N, M)`` (``src/caffe/util/math_functions.cu`` of BVLC/caffe).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernprof.lowering.launch import Api, Direction, Launch, Library, Phase, Purpose
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.ir import BatchNorm, Convolution, Layer, Pooling


@dataclass(frozen=True, slots=True)
class Emitter:
    """Makes the launches of one layer in one pass."""

    layer: Layer
    direction: Direction
    options: LoweringOptions

    @property
    def batch(self) -> int:
        """Images."""
        return self.options.batch

    @property
    def in_count(self) -> int:
        """Elements of the first input, all images."""
        return self.batch * self.layer.in_shape.count

    @property
    def out_count(self) -> int:
        """Elements of the output, all images."""
        return self.batch * self.layer.out_shape.count

    def launch(
        self,
        kernel: str,
        purpose: Purpose,
        library: Library,
        *,
        times: int = 1,
        api: Api = Api.KERNEL,
        **sizes: int,
    ) -> Launch:
        """Make a record of ``times`` launches of ``kernel``, its sizes given by name."""
        return self.launch_sized(kernel, purpose, library, sizes, times=times, api=api)

    def launch_sized(
        self,
        kernel: str,
        purpose: Purpose,
        library: Library,
        sizes: Mapping[str, int],
        *,
        times: int = 1,
        api: Api = Api.KERNEL,
    ) -> Launch:
        """Make a record of ``times`` launches of ``kernel``, its sizes given as a mapping."""
        return Launch(
            kernel,
            tuple(sizes.items()),
            self.layer.name,
            self.direction,
            purpose,
            library,
            self.options.phase,
            api,
            times,
        )

    def copy(self, count: int, purpose: Purpose = Purpose.COPY) -> Launch:
        """``caffe_copy``: a device-to-device ``cudaMemcpy``."""
        return self.launch("ew_copy", purpose, Library.CAFFE, api=Api.MEMCPY, count=count)

    def zero(self, count: int) -> Launch:
        """``caffe_gpu_set`` with zero: a ``cudaMemset``."""
        return self.launch("ew_set", Purpose.FILL, Library.CAFFE, api=Api.MEMSET, count=count)

    def elementwise(
        self,
        kernel: str,
        count: int,
        library: Library = Library.CAFFE,
        purpose: Purpose = Purpose.ELEMENTWISE,
    ) -> Launch:
        """Launch one pass over ``count`` elements."""
        return self.launch(kernel, purpose, library, count=count)

    def caffe_gemv(
        self,
        transposed: bool,
        m: int,
        n: int,
        purpose: Purpose,
        *,
        beta: int = 0,
        times: int = 1,
    ) -> Launch:
        """``caffe_gpu_gemv``: y = A x for a row-major m x n matrix (A^T x if ``transposed``)."""
        kernel = "gemv2N" if transposed else "gemv2T"
        return self.launch(kernel, purpose, Library.CUBLAS, times=times, m=n, n=m, beta=beta)

    def caffe_gemm(
        self,
        trans_a: bool,
        trans_b: bool,
        m: int,
        n: int,
        k: int,
        purpose: Purpose,
        *,
        beta: int = 0,
        times: int = 1,
    ) -> Launch:
        """``caffe_gpu_gemm``: C = op(A) op(B) + beta C, row-major, C is m x n."""
        return self.cublas_gemm(trans_b, trans_a, n, m, k, purpose, beta=beta, times=times)

    def cublas_gemm(
        self,
        trans_a: bool,
        trans_b: bool,
        m: int,
        n: int,
        k: int,
        purpose: Purpose,
        *,
        beta: int = 0,
        times: int = 1,
    ) -> Launch:
        """``cublasSgemm``, column-major, as the kernel family that cuBLAS picks for the shape.

        k = 1 is an outer product (gemmk1). Otherwise n = 1 is a matrix-vector product: gemv2N, or
        gemv2T with a transposed A. All else is an ordinary matrix product. The order of the two
        tests, and n = 1 going to gemv at all, are inferred from the kernel shares that the
        reference paper prints; NVIDIA documents neither.
        """
        if k == 1:
            return self.launch("gemmk1", purpose, Library.CUBLAS, times=times, m=m, n=n, beta=beta)
        if n == 1 and trans_a:
            return self.launch("gemv2T", purpose, Library.CUBLAS, times=times, m=k, n=m, beta=beta)
        if n == 1:
            return self.launch("gemv2N", purpose, Library.CUBLAS, times=times, m=m, n=k, beta=beta)
        return self.sgemm(
            trans_a, trans_b, m, n, k, purpose, beta=beta, times=times, library=Library.CUBLAS
        )

    def sgemm(
        self,
        trans_a: bool,
        trans_b: bool,
        m: int,
        n: int,
        k: int,
        purpose: Purpose,
        *,
        beta: int = 0,
        times: int = 1,
        library: Library = Library.KERNPROF,
    ) -> Launch:
        """Launch a matrix product, column-major, whatever the shape."""
        return self.launch(
            self.options.sgemm,
            purpose,
            library,
            times=times,
            m=m,
            n=n,
            k=k,
            trans_a=int(trans_a),
            trans_b=int(trans_b),
            beta=beta,
        )

    def unroll(self, kernel: str, op: Convolution, library: Library) -> Launch:
        """Launch im2col or col2im, once an image."""
        shape = self.layer.in_shape
        return self.launch(
            kernel,
            Purpose.UNROLL,
            library,
            times=self.batch,
            channels=shape.channels,
            in_h=shape.height,
            in_w=shape.width,
            kernel_h=op.kernel[0],
            kernel_w=op.kernel[1],
            stride_h=op.stride[0],
            stride_w=op.stride[1],
            pad_h=op.pad[0],
            pad_w=op.pad[1],
            dilation_h=op.dilation[0],
            dilation_w=op.dilation[1],
        )

    def implicit_gemm(
        self,
        suffix: str,
        op: Convolution,
        purpose: Purpose,
        library: Library,
        *,
        groups: int,
        bias: bool,
        times: int = 1,
    ) -> Launch:
        """Launch the generic convolution kernel; ``times`` launches share the layer's channels."""
        sizes = self.convolution_sizes(op, times) | {"groups": groups, "bias": int(bias)}
        return self.launch_sized(
            f"conv_implicit_gemm{suffix}", purpose, library, sizes, times=times
        )

    def convolution_sizes(self, op: Convolution, times: int) -> dict[str, int]:
        """Return the sizes of one of ``times`` launches that share the layer's channels."""
        shape = self.layer.in_shape
        return {
            "batch": self.batch,
            "in_channels": shape.channels // times,
            "in_h": shape.height,
            "in_w": shape.width,
            "out_channels": op.out_channels // times,
            "kernel_h": op.kernel[0],
            "kernel_w": op.kernel[1],
            "stride_h": op.stride[0],
            "stride_w": op.stride[1],
            "pad_h": op.pad[0],
            "pad_w": op.pad[1],
        }

    def pooling(self, op: Pooling, library: Library) -> Launch:
        """Launch the pooling kernel of this pass."""
        shape, out = self.layer.in_shape, self.layer.out_shape
        kernel = (shape.height, shape.width) if op.global_pooling else op.kernel
        backward = self.direction is Direction.BACKWARD
        return self.launch(
            f"{op.method}pool_{self.direction}",
            Purpose.DATA_GRADIENT if backward else Purpose.REDUCE,
            library,
            batch=self.batch,
            channels=shape.channels,
            in_h=shape.height,
            in_w=shape.width,
            out_h=out.height,
            out_w=out.width,
            kernel_h=kernel[0],
            kernel_w=kernel[1],
            stride_h=op.stride[0],
            stride_w=op.stride[1],
            pad_h=op.pad[0],
            pad_w=op.pad[1],
        )

    def per_channel(
        self, kernel: str, purpose: Purpose, library: Library, *, bias: bool | None = None
    ) -> Launch:
        """Launch a kernel over (batch, channels, pixels) of the output.

        ``bias`` is for kernels that have the parameter; None for those that don't.
        """
        shape = self.layer.out_shape
        sizes = {"batch": self.batch, "channels": shape.channels, "pixels": shape.pixels}
        if bias is not None:
            sizes["bias"] = int(bias)
        return self.launch_sized(kernel, purpose, library, sizes)

    def lrn(self, kernel: str, local_size: int, library: Library) -> Launch:
        """Launch a step of the local response normalisation."""
        shape = self.layer.in_shape
        backward = self.direction is Direction.BACKWARD
        return self.launch(
            kernel,
            Purpose.DATA_GRADIENT if backward else Purpose.ELEMENTWISE,
            library,
            batch=self.batch,
            channels=shape.channels,
            in_h=shape.height,
            in_w=shape.width,
            local_size=local_size,
        )

    def softmax(self, kernel: str, library: Library) -> Launch:
        """Launch a step of the softmax over channels."""
        shape = self.layer.in_shape
        backward = self.direction is Direction.BACKWARD
        return self.launch(
            kernel,
            Purpose.DATA_GRADIENT if backward else Purpose.ELEMENTWISE,
            library,
            outer=self.batch,
            channels=shape.channels,
            inner=shape.pixels,
        )

    def concats(self, library: Library, wanted: Sequence[bool] | None = None) -> Iterator[Launch]:
        """Copy the parts into the concatenation, or the wanted gradients out of it."""
        out = self.layer.out_shape
        backward = self.direction is Direction.BACKWARD
        before = 0
        for index, part in enumerate(self.layer.in_shapes):
            if wanted is None or wanted[index]:
                yield self.launch(
                    "concat_copy",
                    Purpose.DATA_GRADIENT if backward else Purpose.COPY,
                    library,
                    count_copied=self.batch * part.count,
                    outer=self.batch,
                    concat_size=out.count,
                    top_offset=before,
                    backward=int(backward),
                )
            before += part.count


def uses_batch_statistics(op: BatchNorm, options: LoweringOptions) -> bool:
    """Whether a BatchNorm computes mean and variance itself, as Caffe decides it.

    The option, then the layer's ``global_stats``, then the phase.
    """
    if options.batch_statistics is not None:
        return options.batch_statistics
    if op.global_stats is not None:
        return not op.global_stats
    return options.phase is Phase.TRAIN


def is_pointwise(op: Convolution) -> bool:
    """Whether im2col is the identity: 1x1, stride 1, no padding."""
    return op.kernel == (1, 1) and op.stride == (1, 1) and op.pad == (0, 0)
