"""Arithmetic on 16-bit floats, written as PTX (no headers needed), against exact values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

Array = np.ndarray[Any, Any]
N = 512

OPERATIONS = {
    "add": "add.rn.{t}x2 {o}, {a}, {b};",
    "sub": "sub.rn.{t}x2 {o}, {a}, {b};",
    "mul": "mul.rn.{t}x2 {o}, {a}, {b};",
    "fma": "fma.rn.{t}x2 {o}, {a}, {b}, {c};",
}


def source(kind: str) -> str:
    # bfloat16 has sums and products in PTX from sm_90 on; before, a fused operation makes them.
    names = ("fma",) if kind == "bf16" else tuple(OPERATIONS)
    lines = []
    for row, name in enumerate(names):
        text = OPERATIONS[name].format(t=kind, o="%0", a="%1", b="%2", c="%3")
        lines.append(f'  asm("{text}" : "=r"(r) : "r"(a), "r"(b), "r"(c)); o[{row} * n + t] = r;')
    return (
        'extern "C" __global__ void k(unsigned* o, const unsigned* x, int n) {\n'
        "  int t = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "  unsigned a = x[t], b = x[t + n], c = x[t + 2 * n], r;\n" + "\n".join(lines) + "\n}\n"
    )


def run(text: str, arch: str, args: list[Any], threads: int = N // 2) -> None:
    try:
        image = compile_source(text, arch=arch, name="/kernprof/half.cu").image
    except UnavailableError as error:
        pytest.skip(str(error))
    sim.run(sim.load(image), "k", threads // 128 or 1, min(threads, 128), args)


def operands(seed: int) -> Array:
    """Random bit patterns: all exponents, denormals, infinities, NaN."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**16, (3, N)).astype(np.uint16)
    odd = [0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x3C00, 0xBC00, 0x7BFF, 0x7C00, 0xFC00, 0x7E00]
    bits[:, :120] = rng.choice(np.array(odd, np.uint16), (3, 120))
    # Sums that lie just off the middle between two halves: two roundings would go wrong.
    bits[0, 120:200] = 0x3C01
    bits[1, 120:200] = 0x3800
    return bits


def rounded(exact: Fraction, mantissa: int, least: int, largest: Fraction) -> float:
    """Round to nearest even with so many bits and this least exponent."""
    if exact == 0:
        return 0.0
    exponent = 0
    magnitude = abs(exact)
    while magnitude >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while magnitude < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, least) - mantissa + 1)
    value = round(exact / unit) * unit
    if abs(value) > largest:
        return float("inf") if value > 0 else float("-inf")
    return float(value)


def decode(bits: Array, kind: str) -> Array:
    if kind == "f16":
        return bits.view(np.float16).astype(np.float64)
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)


@np.errstate(all="ignore")
@pytest.mark.parametrize(("arch", "kind"), [
    ("sm_70", "f16"), ("sm_75", "f16"), ("sm_80", "f16"), ("sm_86", "f16"), ("sm_89", "f16"),
    ("sm_90", "f16"), ("sm_80", "bf16"), ("sm_90", "bf16"),
])  # fmt: skip
def test_arithmetic_rounds_once(arch: str, kind: str) -> None:
    bits = operands(3)
    names = ("fma",) if kind == "bf16" else tuple(OPERATIONS)
    out = np.zeros((len(names), N), np.uint16)
    run(source(kind), arch, [out.view(np.uint32), bits.view(np.uint32), N // 2])
    a, b, c = decode(bits, kind)
    mantissa, least = (11, -14) if kind == "f16" else (8, -126)
    largest = Fraction(65504) if kind == "f16" else Fraction(2) ** 120 * (2**8 - 1)
    got = decode(out, kind)
    checked = 0
    for row, name in enumerate(names):
        with np.errstate(all="ignore"):
            plain = {"add": a + b, "sub": a - b, "mul": a * b, "fma": a * b + c}[name]
        for i in range(N):
            if not np.isfinite(plain[i]):
                if np.isnan(plain[i]):
                    assert out[row, i] == 0x7FFF, (name, i)
                else:
                    assert got[row, i] == plain[i], (name, i)
                continue
            x, y = (Fraction(float(v[i])) for v in (a, b))
            z = Fraction(float(c[i])) if name == "fma" else Fraction(0)
            exact = {"add": x + y, "sub": x - y, "mul": x * y, "fma": x * y + z}[name]
            assert got[row, i] == rounded(exact, mantissa, least, largest), (name, i)
            checked += 1
    assert checked > len(names) * N * 0.8


CONVERSIONS = r"""
extern "C" __global__ void k(unsigned short* o, float* p, int* q, const float* x, const double* d,
                             const unsigned short* h, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(o[t]) : "f"(x[t]));
  asm("cvt.rz.f16.f32 %0, %1;" : "=h"(o[t + n]) : "f"(x[t]));
  asm("cvt.rn.f16.f64 %0, %1;" : "=h"(o[t + 2 * n]) : "d"(d[t]));
  asm("cvt.rn.f16.s32 %0, %1;" : "=h"(o[t + 3 * n]) : "r"(t * 37 - 9000));
  asm("cvt.f32.f16 %0, %1;" : "=f"(p[t]) : "h"(h[t]));
  asm("cvt.rzi.s32.f16 %0, %1;" : "=r"(q[t]) : "h"(h[t]));
  asm("cvt.rni.s32.f16 %0, %1;" : "=r"(q[t + n]) : "h"(h[t]));
}
"""


@np.errstate(all="ignore")
@pytest.mark.parametrize("arch", ["sm_70", "sm_80", "sm_90"])
def test_conversions(arch: str) -> None:
    rng = np.random.default_rng(4)
    d = np.exp(rng.normal(0, 6, N)) * rng.choice([-1.0, 1.0], N)
    d[:9] = [0, -0.0, 65519.99, 65520, 1e300, np.inf, -np.inf, 2.0**-25, 2.0**-24 * 1.5]
    # A double that rounds to the middle of two halves if it is rounded to a single first.
    d[9:20] = 1 + 2.0**-11 + 2.0**-40
    x = np.clip(d, -3e38, 3e38).astype(np.float32)
    h = operands(5)[0]
    out = np.zeros((4, N), np.float16)
    singles, whole = np.zeros(N, np.float32), np.zeros((2, N), np.int32)
    run(CONVERSIONS, arch, [out.view(np.uint16), singles, whole, x, d, h, N], N)
    with np.errstate(over="ignore"):
        assert np.array_equal(out[0], x.astype(np.float16))
        assert np.array_equal(out[2], d.astype(np.float16))
    numbers = (np.arange(N) * 37 - 9000).astype(np.float64)
    assert np.array_equal(out[3], numbers.astype(np.float16))
    with np.errstate(over="ignore"):
        near = x.astype(np.float16)
        high = np.abs(near.astype(np.float64)) > np.abs(x.astype(np.float64))
    toward_zero = np.where(high, (near.view(np.uint16) - 1).view(np.float16), near)
    assert np.array_equal(out[1], toward_zero)
    values = h.view(np.float16).astype(np.float64)
    assert np.array_equal(singles.astype(np.float64), values, equal_nan=True)
    for row, rounding in ((0, np.trunc), (1, np.rint)):
        expected = np.clip(
            np.nan_to_num(rounding(values), nan=0.0, posinf=2**31, neginf=-(2**31)),
            -(2.0**31),
            2.0**31 - 1,
        )
        assert np.array_equal(whole[row], expected.astype(np.int64))


COMPARISONS = r"""
extern "C" __global__ void k(unsigned* o, const unsigned* x, int n) {
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned a = x[t], b = x[t + n], r, s;
  asm("{.reg .pred p, q; setp.lt.f16x2 p|q, %2, %3; selp.u32 %0, 1, 0, p; selp.u32 %1, 1, 0, q;}"
      : "=r"(r), "=r"(s) : "r"(a), "r"(b));
  o[t] = r | s << 16;
  asm("set.geu.f16x2.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  o[t + n] = r;
#if __CUDA_ARCH__ >= 800
  asm("min.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  o[t + 2 * n] = r;
  asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  o[t + 3 * n] = r;
#endif
}
"""


@np.errstate(all="ignore")
@pytest.mark.parametrize("arch", ["sm_70", "sm_80", "sm_90"])
def test_comparisons(arch: str) -> None:
    bits = operands(6)
    out = np.zeros((4, N), np.uint16)
    run(COMPARISONS, arch, [out.view(np.uint32), bits.view(np.uint32), N // 2])
    a, b = bits[0].view(np.float16), bits[1].view(np.float16)
    assert np.array_equal(out[0], (a < b).astype(np.uint16))
    assert np.array_equal(out[1], np.where(~(a < b), 0x3C00, 0).astype(np.uint16))
    if arch == "sm_70":
        return
    assert np.array_equal(out[2].view(np.float16), np.fmin(a, b), equal_nan=True)
    assert np.array_equal(out[3].view(np.float16), np.maximum(a, b), equal_nan=True)
