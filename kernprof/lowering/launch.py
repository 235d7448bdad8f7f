"""The record of a kernel launch that a layer turns into.

A launch names a kernel of the kernel registry and the integer parameters that fix its problem size.
``data/kernels.toml`` beside this module is the contract with the registry: every kernel's family
and parameter names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType


class Direction(StrEnum):
    """Which pass of training a launch belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class Phase(StrEnum):
    """Caffe's phase; ``caffe time`` runs TRAIN unless told otherwise."""

    TRAIN = "train"
    TEST = "test"


class Lowering(StrEnum):
    """A way of turning layers into launches.

    ``caffe``: what Caffe does, call by call. ``im2col``: im2col and one matrix product per group.
    ``direct``: one launch per convolution, specialised for depthwise and pointwise ones.
    ``implicit-gemm``: one launch per convolution, the same kernel for all.
    """

    CAFFE = "caffe"
    IM2COL = "im2col"
    DIRECT = "direct"
    IMPLICIT_GEMM = "implicit-gemm"


class Library(StrEnum):
    """Whose code makes the launch in the framework that is modelled."""

    CAFFE = "caffe"
    CUBLAS = "cublas"
    CUDNN = "cudnn"
    CURAND = "curand"
    KERNPROF = "kernprof"


class Api(StrEnum):
    """What the runtime is asked for; profilers list copies and fills apart from kernels."""

    KERNEL = "kernel"
    MEMCPY = "memcpy"
    MEMSET = "memset"


class Purpose(StrEnum):
    """What a launch contributes to its layer."""

    PRODUCT = "product"
    BIAS = "bias"
    WEIGHT_GRADIENT = "weight gradient"
    BIAS_GRADIENT = "bias gradient"
    DATA_GRADIENT = "data gradient"
    UNROLL = "unroll"
    STATISTICS = "statistics"
    BROADCAST = "broadcast"
    ELEMENTWISE = "elementwise"
    COPY = "copy"
    FILL = "fill"
    REDUCE = "reduce"
    RANDOM = "random numbers"
    SYNC = "synchronisation"
    SPLIT = "gradient sum of several readers"


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch, or ``count`` identical ones of the same layer.

    Parameters
    ----------
    kernel
        Name in the kernel registry.
    sizes
        Problem size: (parameter, value) pairs in the kernel's own order. ``shape`` gives them as
        a mapping.
    layer
        Name of the layer that makes it.
    direction
        FORWARD or BACKWARD.
    purpose
        What it contributes to the layer.
    library
        Whose code it is in the modelled framework.
    phase
        The phase it was lowered for.
    api
        Kernel, or a copy or fill of the runtime (then the kernel named does the same work).
    count
        How many times it is launched.
    """

    kernel: str
    sizes: tuple[tuple[str, int], ...]
    layer: str
    direction: Direction
    purpose: Purpose
    library: Library
    phase: Phase = Phase.TRAIN
    api: Api = Api.KERNEL
    count: int = 1

    @property
    def shape(self) -> dict[str, int]:
        """Problem size by parameter name."""
        return dict(self.sizes)

    @property
    def family(self) -> str:
        """Family under which tables count it ("gemv2T").

        Copies and fills of the runtime are families of their own, "memcpy" and "memset": profilers
        list them apart, and they are no kernels.
        """
        return kernel_spec(self.kernel).family if self.api is Api.KERNEL else str(self.api)

    @property
    def stand_in(self) -> bool:
        """Whether the kernel only stands for a closed one that computes the same result.

        True for cuDNN and cuRAND, and for the cuBLAS routines that aren't rebuilt under their own
        name; the families gemv2T, gemv2N and gemmk1 are.
        """
        if self.library in (Library.CUDNN, Library.CURAND):
            return True
        return self.library is Library.CUBLAS and self.family not in REBUILT_FAMILIES

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` launches; 0 for kernels that do no products.

        Matrix kernels: m n k (k = 1 for gemmk1, 1 for the absent extent of gemv). Convolutions:
        batch x outputs x kernel area x input channels per group, padding included.
        """
        return self.count * _macs(self.kernel, self.shape)


REBUILT_FAMILIES = frozenset({"gemv2T", "gemv2N", "gemmk1"})
"""cuBLAS families whose kernels are rebuilt under their own name."""


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """What the lowering knows of a kernel: its family and its size parameters, in order."""

    name: str
    family: str
    parameters: tuple[str, ...]


@lru_cache(maxsize=1)
def kernel_specs() -> Mapping[str, KernelSpec]:
    """All kernels that lowerings name, from ``data/kernels.toml``."""
    text = files("kernprof.lowering").joinpath("data/kernels.toml").read_text(encoding="utf-8")
    specs = {}
    for group in tomllib.loads(text)["group"]:
        for name in group["kernels"]:
            specs[name] = KernelSpec(name, group["family"], tuple(group["parameters"]))
    return MappingProxyType(specs)


def kernel_spec(name: str) -> KernelSpec:
    """Family and parameters of one kernel; KeyError for a name that no lowering uses."""
    return kernel_specs()[name]


def merge(launches: Iterable[Launch]) -> tuple[Launch, ...]:
    """Add up launches that differ only in their count, in order of first appearance."""
    totals: dict[tuple[object, ...], int] = {}
    firsts: dict[tuple[object, ...], Launch] = {}
    for launch in launches:
        key = (
            launch.kernel,
            launch.sizes,
            launch.layer,
            launch.direction,
            launch.purpose,
            launch.library,
            launch.phase,
            launch.api,
        )
        firsts.setdefault(key, launch)
        totals[key] = totals.get(key, 0) + launch.count
    return tuple(
        Launch(
            first.kernel,
            first.sizes,
            first.layer,
            first.direction,
            first.purpose,
            first.library,
            first.phase,
            first.api,
            totals[key],
        )
        for key, first in firsts.items()
    )


def launches_by_family(launches: Iterable[Launch]) -> dict[str, int]:
    """Count the launches of each family, most frequent first."""
    totals: dict[str, int] = {}
    for launch in launches:
        totals[launch.family] = totals.get(launch.family, 0) + launch.count
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


_THREE_BY_THREE = {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "groups": 1}


def _macs(kernel: str, size: Mapping[str, int]) -> int:
    match kernel_spec(kernel).family:
        case "gemv2T" | "gemv2N" | "gemmk1":
            return size["m"] * size["n"]
        case "sgemm":
            return size["m"] * size["n"] * size["k"]
        case "pointwise":
            return size["batch"] * size["in_channels"] * size["out_channels"] * size["pixels"]
        case "depthwise":
            return size["batch"] * size["channels"] * _window_products(size)
        case "conv" if "batch" in size:
            # What a kernel for one group and 3 x 3 windows leaves out; Winograd's saves products,
            # but the convolution has them.
            size = {**_THREE_BY_THREE, **size}
            per_group = size["in_channels"] // size["groups"]
            return size["batch"] * size["out_channels"] * per_group * _window_products(size)
        case _:
            return 0


def _window_products(size: Mapping[str, int]) -> int:
    """Output pixels times kernel area, from a convolution kernel's parameters."""
    out_h = (size["in_h"] + 2 * size["pad_h"] - size["kernel_h"]) // size["stride_h"] + 1
    out_w = (size["in_w"] + 2 * size["pad_w"] - size["kernel_w"]) // size["stride_w"] + 1
    return out_h * out_w * size["kernel_h"] * size["kernel_w"]
