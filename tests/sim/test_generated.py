"""Random expressions, compiled and executed as machine code, against numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

Array = np.ndarray[Any, Any]
LANES = 96
EXPRESSIONS = 40


@dataclass(frozen=True)
class Term:
    """An expression: its CUDA text, and its value for all threads."""

    text: str
    value: Array


def u32(value: Array) -> Array:
    return value.astype(np.int64).astype(np.uint64).astype(np.uint32)


def signed(value: Array) -> Array:
    return value.astype(np.uint32).view(np.int32)


def wide(value: Array) -> Array:
    return value.astype(np.int64)


def _each(function: Callable[[int], int]) -> Callable[[Array], Array]:
    return lambda value: np.array([function(int(v)) for v in value], np.uint32)


def _permute(a: int, b: int, s: int) -> int:
    both = a | b << 32
    return sum((both >> 8 * (s >> 4 * k & 7) & 255) << 8 * k for k in range(4))


UNARY: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("(~{0})", lambda a: ~a),
    ("(0u - {0})", lambda a: u32(-wide(a))),
    ("(unsigned)abs((int)({0} | 1u))", lambda a: u32(np.abs(wide(signed(a | np.uint32(1)))))),
    ("(unsigned)__popc({0})", _each(int.bit_count)),
    ("(unsigned)__clz((int){0})", _each(lambda v: 32 - v.bit_length())),
    ("(unsigned)__ffs((int){0})", _each(lambda v: (v & -v).bit_length())),
    ("__brev({0})", _each(lambda v: int(f"{v:032b}"[::-1], 2))),
    ("(unsigned)(short){0}", lambda a: u32(a.astype(np.uint16).view(np.int16))),
    ("(unsigned)(signed char)({0} >> 8)", lambda a: u32((a >> 8).astype(np.uint8).view(np.int8))),
    ("({0} / 7u)", lambda a: a // 7),
    ("(unsigned)((int){0} % 1000)", lambda a: u32(np.fmod(wide(signed(a)), 1000))),
)
BINARY: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("({0} + {1})", lambda a, b: a + b),
    ("({0} - {1})", lambda a, b: a - b),
    ("({0} * {1})", lambda a, b: a * b),
    ("({0} & {1})", lambda a, b: a & b),
    ("({0} | {1})", lambda a, b: a | b),
    ("({0} ^ {1})", lambda a, b: a ^ b),
    ("({0} << ({1} & 31u))", lambda a, b: a << (b & np.uint32(31))),
    ("({0} >> ({1} & 31u))", lambda a, b: a >> (b & np.uint32(31))),
    ("(unsigned)((int){0} >> ({1} & 31u))", lambda a, b: u32(signed(a) >> signed(b & 31))),
    ("min({0}, {1})", np.minimum),
    ("max({0}, {1})", np.maximum),
    ("(unsigned)min((int){0}, (int){1})", lambda a, b: u32(np.minimum(signed(a), signed(b)))),
    ("__umulhi({0}, {1})", lambda a, b: (a.astype(np.uint64) * b >> np.uint64(32)).astype("u4")),
    (
        "(unsigned)__mulhi((int){0}, (int){1})",
        lambda a, b: u32(wide(signed(a)) * wide(signed(b)) >> 32),
    ),
    ("({0} < {1} ? {0} : {1} ^ {0})", lambda a, b: np.where(a < b, a, b ^ a)),
    ("((int){0} >= (int){1} ? 1u : {1})", lambda a, b: np.where(signed(a) >= signed(b), 1, b)),
    ("({0} / ({1} | 1u))", lambda a, b: a // (b | np.uint32(1))),
    (
        "__byte_perm({0}, {1}, 0x5173)",
        lambda a, b: np.array(
            [_permute(int(x), int(y), 0x5173) for x, y in zip(a, b, strict=True)], np.uint32
        ),
    ),
    (
        "__funnelshift_l({0}, {1}, 11)",
        lambda a, b: (b << np.uint32(11)) | (a >> np.uint32(21)),
    ),
    (
        "(unsigned)((((unsigned long long){0} << 32 | {1}) * 0x9E3779B97F4A7C15ull) >> 29)",
        lambda a, b: (
            ((a.astype(np.uint64) << np.uint64(32) | b) * np.uint64(0x9E3779B97F4A7C15))
            >> np.uint64(29)
        ).astype(np.uint32),
    ),
    (
        "(unsigned)(((long long)(int){0} - (long long)(int){1}) >> 3)",
        lambda a, b: u32((wide(signed(a)) - wide(signed(b))) >> 3),
    ),
    (
        "(unsigned)(((long long)({0} / 7u) - (long long)(int)({1} / 14u)) >> 3)",
        lambda a, b: u32((wide(a // 7) - wide(signed(b // 14))) >> 3),
    ),
    ("min(min({0}, {1}), 77777u)", lambda a, b: np.minimum(np.minimum(a, b), 77777)),
    (
        "(((unsigned long long){0} << 7) + {1} > (unsigned long long){1} * 5ull ? {0} : 3u)",
        lambda a, b: np.where(
            (a.astype(np.uint64) << np.uint64(7)) + b > b.astype(np.uint64) * np.uint64(5), a, 3
        ),
    ),
)


def build(rng: np.random.Generator, leaves: list[Term], depth: int) -> Term:
    if depth == 0 or rng.random() < 0.1:
        if rng.random() < 0.2:
            number = int(rng.integers(0, 2**32))
            return Term(f"{number}u", np.full(LANES, number, np.uint32))
        return leaves[int(rng.integers(len(leaves)))]
    if rng.random() < 0.3:
        text, unary = UNARY[int(rng.integers(len(UNARY)))]
        inner = build(rng, leaves, depth - 1)
        return Term(text.format(inner.text), unary(inner.value).astype(np.uint32))
    text, binary = BINARY[int(rng.integers(len(BINARY)))]
    left, right = (build(rng, leaves, depth - 1) for _ in range(2))
    return Term(
        text.format(left.text, right.text), binary(left.value, right.value).astype(np.uint32)
    )


def compiled(source: str, arch: str) -> sim.Program:
    try:
        return sim.load(compile_source(source, arch=arch, name="/kernprof/g.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", ["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"])
@pytest.mark.parametrize("seed", [1, 2])
def test_integer_expressions(arch: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    special = np.array([0, 1, 2**31, 2**32 - 1, 2**31 - 1, 255, 2**16], np.uint32)
    columns = []
    for _ in range(3):
        values = rng.integers(0, 2**32, LANES, dtype=np.uint32)
        small = rng.random(LANES) < 0.3
        values[small] = rng.choice(special, int(small.sum()))
        columns.append(values)
    leaves = [Term(name, values) for name, values in zip("abc", columns, strict=True)]
    with np.errstate(over="ignore"):
        terms = [build(rng, leaves, 4) for _ in range(EXPRESSIONS)]
    body = "\n".join(f"  o[{k * LANES} + t] = {term.text};" for k, term in enumerate(terms))
    source = (
        'extern "C" __global__ void g(unsigned* o, const unsigned* x) {\n'
        f"  int t = threadIdx.x; unsigned a = x[t], b = x[t + {LANES}], c = x[t + {2 * LANES}];\n"
        f"{body}\n}}\n"
    )
    out = np.zeros(EXPRESSIONS * LANES, np.uint32)
    sim.run(compiled(source, arch), "g", 1, LANES, [out, np.concatenate(columns)])
    for k, term in enumerate(terms):
        got = out[k * LANES : (k + 1) * LANES]
        assert np.array_equal(got, term.value), term.text


FLOATS = """
extern "C" __global__ void f(float* o, const float* x, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  float a = x[t], b = x[t + n], c = x[t + 2 * n];
  float r[] = {
    a + b, a * b, fmaf(a, b, c), a - b * 1.5f, fminf(a, b), fmaxf(a, b), fabsf(a), a < b ? a : c,
    __fadd_rz(a, b), __fadd_ru(a, b), __fadd_rd(a, b), __fmul_rz(a, b), __fmul_ru(a, b),
    __fmul_rd(a, b), __fmaf_rz(a, b, c), __fmaf_ru(a, b, c), __fmaf_rd(a, b, c),
    a / b, sqrtf(fabsf(a)), 1.f / a, floorf(a), ceilf(a), truncf(a), rintf(a),
    (float)(int)a, (float)(unsigned)a, (float)((double)a * b), __saturatef(a),
  };
  for (int k = 0; k < 28; ++k) o[k * n + t] = r[k];
}
extern "C" __global__ void convert(int* o, float* p, const int* x, const double* d, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  o[t] = __double2int_rz(d[t]);
  o[t + n] = __double2int_rn(d[t]);
  ((long long*)o)[n + t] = __double2ll_rd(d[t]);
  p[t] = __int2float_ru(x[t]);
  p[t + n] = __int2float_rd(x[t]);
  p[t + 2 * n] = __int2float_rz(x[t]);
  p[t + 3 * n] = (float)((long long)x[t] * 123456789LL);
  p[t + 4 * n] = __ull2float_ru((unsigned long long)x[t] * 987654321ULL);
  p[t + 5 * n] = (float)d[t];
}
"""


def exact(value: float) -> Fraction:
    return Fraction(value)


def directed(exact_value: Fraction, mode: str) -> np.float32:
    """Round a rational number to single precision in a direction."""
    try:
        with np.errstate(over="ignore"):
            near = np.float32(float(exact_value))
    except OverflowError:
        near = np.float32(math.copysign(math.inf, exact_value))
    if np.isinf(near):
        largest = np.finfo(np.float32).max
        toward_zero = mode == "z" or (mode == "u") == (exact_value < 0)
        return np.copysign(largest, near) if toward_zero else near
    if mode == "z":
        mode = "d" if exact_value > 0 else "u"
    if mode == "u" and Fraction(float(near)) < exact_value:
        near = np.nextafter(near, np.float32(np.inf))
    if mode == "d" and Fraction(float(near)) > exact_value:
        near = np.nextafter(near, np.float32(-np.inf))
    return near


@pytest.mark.parametrize("arch", ["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"])
def test_float_arithmetic_in_all_roundings(arch: str) -> None:
    n = 400
    rng = np.random.default_rng(5)
    x = (np.exp(rng.normal(0, 12, 3 * n)) * rng.choice([-1, 1], 3 * n)).astype(np.float32)
    odd = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-41, 1e-38, 3e38, 1, -1, 0.5, 1.5, 2.5])
    x[rng.integers(0, 3 * n, 260)] = np.tile(odd.astype(np.float32), 20)
    a, b, c = x[:n], x[n : 2 * n], x[2 * n :]
    out = np.zeros(28 * n, np.float32)
    sim.run(compiled(FLOATS, arch), "f", 4, 128, [out, x, n])
    got = out.reshape(28, n)
    a64, b64, c64 = (v.astype(np.float64) for v in (a, b, c))
    f32 = np.float32
    with np.errstate(all="ignore"):
        plain = {
            0: a + b,
            1: a * b,
            4: np.fmin(a, b),
            5: np.fmax(a, b),
            6: np.abs(a),
            7: np.where(a < b, a, c),
            17: a / b,
            18: np.sqrt(np.abs(a)),
            19: f32(1) / a,
            20: np.floor(a),
            21: np.ceil(a),
            22: np.trunc(a),
            23: np.rint(a),
            24: np.clip(np.nan_to_num(np.trunc(a64), nan=0.0), -(2**31), 2**31 - 1).astype(f32),
            25: np.clip(np.nan_to_num(np.trunc(a64), nan=0.0), 0, 2**32 - 1).astype(f32),
            26: (a64 * b64).astype(f32),
            27: np.where(np.isnan(a), f32(0), np.clip(a, 0, 1)),
        }
    for row, expected in plain.items():
        assert np.array_equal(got[row], expected, equal_nan=True), row
    finite = np.isfinite(a64 + b64 + c64)
    for start, combine in (
        (8, lambda i: exact(a64[i]) + exact(b64[i])),
        (11, lambda i: exact(a64[i]) * exact(b64[i])),
        (14, lambda i: exact(a64[i]) * exact(b64[i]) + exact(c64[i])),
    ):
        for i in np.flatnonzero(finite):
            true = combine(i)
            if true == 0:
                continue
            for offset, mode in enumerate("zud"):
                assert got[start + offset][i] == directed(true, mode), (start, mode, a[i], b[i])
    for i in np.flatnonzero(finite):
        product = exact(a64[i]) * exact(b64[i]) + exact(c64[i])
        lower, upper = directed(product, "d"), directed(product, "u")
        assert got[2][i] in (lower, upper)
        if np.isfinite(lower) and np.isfinite(upper) and product:
            below = product - Fraction(float(lower))
            above = Fraction(float(upper)) - product
            if below != above:
                assert got[2][i] == (lower if below < above else upper)


@pytest.mark.parametrize("arch", ["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"])
def test_conversions(arch: str) -> None:
    n = 300
    rng = np.random.default_rng(6)
    x = rng.integers(-(2**31), 2**31, n).astype(np.int32)
    x[:6] = [0, 1, -1, 2**24 + 1, -(2**31), 2**31 - 1]
    d = np.exp(rng.normal(0, 15, n)) * rng.choice([-1, 1], n)
    d[:10] = [0, 0.5, 1.5, -2.5, 1e300, -1e300, np.nan, np.inf, 2.0**31, -(2.0**63)]
    out = np.zeros(4 * n, np.int32)
    singles = np.zeros(6 * n, np.float32)
    sim.run(compiled(FLOATS, arch), "convert", 3, 128, [out, singles, x, d, n])
    integers = out[: 2 * n].reshape(2, n)
    floor = out[2 * n :].view(np.int64)
    for i, value in enumerate(d):
        for row, rounded in ((0, np.trunc(value)), (1, np.rint(value))):
            expected = 0 if np.isnan(value) else max(-(2.0**31), min(2.0**31 - 1, rounded))
            assert integers[row][i] == expected, (row, value)
        if np.isnan(value):
            assert floor[i] == -(2**63)
        else:
            down = -(2**63) if value == -np.inf else 2**63 - 1
            if np.isfinite(value):
                down = max(-(2**63), min(2**63 - 1, math.floor(value)))
            assert floor[i] == down, value
    rows = singles.reshape(6, n)
    for i, value in enumerate(x):
        for row, mode in ((0, "u"), (1, "d"), (2, "z")):
            if value:
                assert rows[row][i] == directed(Fraction(int(value)), mode), (mode, value)
        assert rows[3][i] == np.float32(int(value) * 123456789)
        product = int(value) * 987654321 % 2**64
        assert rows[4][i] == (directed(Fraction(product), "u") if product else 0)
    with np.errstate(over="ignore"):
        assert np.array_equal(rows[5], d.astype(np.float32), equal_nan=True)
