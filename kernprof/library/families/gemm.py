"""Matrix-vector and matrix-matrix products, column-major as in cuBLAS."""

from __future__ import annotations

from collections.abc import Callable

from kernprof.library.families.common import ceil_div, flag, positive, scalars
from kernprof.library.model import Geometry, KernelEntry, Pointer, Role, Scalar, Shape
from kernprof.profile import Dim3

_GEMV = ("m", "n", "beta")
_GEMM = ("m", "n", "k", "trans_a", "trans_b", "beta")


def _matrix(s: Shape) -> int:
    return s["m"] * s["n"]


def gemv2n_lanes(shape: Shape) -> int:
    """Threads that make one output of gemv2N: fewer, the more outputs there are.

    Public profiles show 4, 8, 16 and 32, and not by which rule cuBLAS chooses. This one keeps the
    grid at no more than 256 blocks of 128 threads for as long as it can.
    """
    return next((lanes for lanes in (32, 16, 8) if shape["m"] * lanes <= 128 * 256), 4)


def _gemv(
    name: str,
    into: str,
    out: str,
    geometry: Callable[[Shape], Geometry],
    summary: str,
    more: tuple[Scalar, ...] = (),
) -> KernelEntry:
    return KernelEntry(
        name=name,
        family=name,
        file="gemv.cu",
        parameters=_GEMV,
        arguments=(
            Pointer("A", Role.IN, _matrix),
            Pointer("x", Role.IN, lambda s: s[into]),
            Pointer("y", Role.INOUT, lambda s: s[out]),
            *scalars(_GEMV),
            *more,
        ),
        geometry=geometry,
        flops=lambda s: 2 * _matrix(s) + s["beta"] * s[out],
        bytes_moved=lambda s: 4 * (_matrix(s) + s[into] + (1 + s["beta"]) * s[out]),
        rules=(positive("m", "n"), flag("beta")),
        summary=summary,
    )


def _sgemm(name: str, tile: int, block: Dim3, summary: str) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="sgemm",
        file="sgemm.cu",
        parameters=_GEMM,
        arguments=(
            Pointer("A", Role.IN, lambda s: s["m"] * s["k"]),
            Pointer("B", Role.IN, lambda s: s["k"] * s["n"]),
            Pointer("C", Role.INOUT, _matrix),
            *scalars(_GEMM),
        ),
        geometry=lambda s: Geometry(Dim3(ceil_div(s["m"], tile), ceil_div(s["n"], tile)), block),
        flops=lambda s: 2 * _matrix(s) * s["k"] + s["beta"] * _matrix(s),
        bytes_moved=lambda s: (
            4 * (s["m"] * s["k"] + s["k"] * s["n"] + (1 + s["beta"]) * _matrix(s))
        ),
        rules=(positive("m", "n", "k"), flag("trans_a", "trans_b", "beta")),
        summary=summary,
    )


ENTRIES = (
    _gemv(
        "gemv2T",
        "m",
        "n",
        lambda s: Geometry(Dim3(ceil_div(s["n"], 8)), Dim3(128)),
        "y = A^T x: 16 threads a dot product, eight of them a block",
    ),
    _gemv(
        "gemv2N",
        "n",
        "m",
        lambda s: Geometry(Dim3(ceil_div(s["m"] * gemv2n_lanes(s), 128)), Dim3(128)),
        "y = A x: 4 to 32 threads an output, by their number",
        (Scalar("lanes", gemv2n_lanes),),
    ),
    KernelEntry(
        name="gemmk1",
        family="gemmk1",
        file="gemv.cu",
        parameters=_GEMV,
        arguments=(
            Pointer("a", Role.IN, lambda s: s["m"]),
            Pointer("b", Role.IN, lambda s: s["n"]),
            Pointer("C", Role.INOUT, _matrix),
            *scalars(_GEMV),
        ),
        geometry=lambda s: Geometry(Dim3(ceil_div(s["m"], 64), ceil_div(s["n"], 20)), Dim3(256)),
        flops=lambda s: (1 + s["beta"]) * _matrix(s),
        bytes_moved=lambda s: 4 * (s["m"] + s["n"] + (1 + s["beta"]) * _matrix(s)),
        rules=(positive("m", "n"), flag("beta")),
        summary="C = a b^T + beta C: tiles of 64 x 20, five elements a thread",
    ),
    _sgemm("sgemm_naive", 16, Dim3(16, 16), "one thread an output, no reuse"),
    _sgemm("sgemm_tiled", 16, Dim3(16, 16), "16 x 16 tiles in shared memory"),
    _sgemm("sgemm_register", 64, Dim3(256), "64 x 64 tiles, 4 x 4 outputs in registers"),
    _sgemm("sgemm_vector", 64, Dim3(256), "16-byte loads, double-buffered tiles"),
)
