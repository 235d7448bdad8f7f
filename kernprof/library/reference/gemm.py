"""References of the matrix products; column-major matrices are transposed row-major ones."""

from __future__ import annotations

from collections.abc import Mapping

from kernprof.library.reference import Arrays, Reference
from kernprof.library.reference.tools import Array, single, wide

Shape = Mapping[str, int]


def _gemv(s: Shape, a: Arrays, transposed: bool) -> Arrays:
    matrix = wide(a["A"], s["n"], s["m"])
    product = matrix @ wide(a["x"], -1) if transposed else matrix.T @ wide(a["x"], -1)
    return single(y=product + s["beta"] * wide(a["y"], -1))


def _gemmk1(s: Shape, a: Arrays) -> Arrays:
    product = wide(a["b"], -1, 1) * wide(a["a"], 1, -1)
    return single(C=product + s["beta"] * wide(a["C"], s["n"], s["m"]))


def _sgemm(s: Shape, a: Arrays) -> Arrays:
    def factor(name: str, rows: int, columns: int, transposed: int) -> Array:
        # Stored column-major: columns x rows in memory, or rows x columns when transposed.
        return wide(a[name], rows, columns) if transposed else wide(a[name], columns, rows).T

    left = factor("A", s["m"], s["k"], s["trans_a"])
    right = factor("B", s["k"], s["n"], s["trans_b"])
    return single(C=(left @ right).T + s["beta"] * wide(a["C"], s["n"], s["m"]))


REFERENCES: dict[str, Reference] = {
    "gemv2T": lambda s, a: _gemv(s, a, True),
    "gemv2N": lambda s, a: _gemv(s, a, False),
    "gemmk1": _gemmk1,
    **dict.fromkeys(("sgemm_naive", "sgemm_tiled", "sgemm_register", "sgemm_vector"), _sgemm),
}
