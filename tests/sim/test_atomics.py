"""Atomics on global, shared and generic addresses against their definition, lane by lane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

# op(address, value): what the CUDA function is called, and what it leaves in memory.
M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


OPERATIONS: dict[str, tuple[str, Callable[[int, int, int], int]]] = {
    "add": ("atomicAdd(p, v)", lambda o, v, _: o + v),
    "one": ("atomicAdd(p, T(1))", lambda o, v, _: o + 1),
    "umin": ("atomicMin(p, v)", lambda o, v, _: min(o, v)),
    "umax": ("atomicMax(p, v)", lambda o, v, _: max(o, v)),
    "smin": ("atomicMin((S*)p, (S)v)", lambda o, v, b: min(signed(o, b), signed(v, b))),
    "smax": ("atomicMax((S*)p, (S)v)", lambda o, v, b: max(signed(o, b), signed(v, b))),
    "and": ("atomicAnd(p, v)", lambda o, v, _: o & v),
    "or": ("atomicOr(p, v)", lambda o, v, _: o | v),
    "xor": ("atomicXor(p, v)", lambda o, v, _: o ^ v),
    "exch": ("atomicExch(p, v)", lambda o, v, _: v),
    "cas": ("atomicCAS(p, v & 3, v)", lambda o, v, _: v if o == v & 3 else o),
}
ONLY_32: dict[str, tuple[str, Callable[[int, int, int], int]]] = {
    "sub": ("atomicSub(p, v)", lambda o, v, _: o - v),
    "inc": ("atomicInc(p, v & 7)", lambda o, v, _: 0 if o >= (v & 7) else o + 1),
    "dec": ("atomicDec(p, v & 7)", lambda o, v, _: (v & 7) if o == 0 or o > (v & 7) else o - 1),
}
TYPES = {"u32": ("unsigned", "int", 32), "u64": ("unsigned long long", "long long", 64)}
CELLS = 8

KERNELS = """
#define OPERATIONS switch (op) { @CASES@ }
__device__ __noinline__ @T@ through_@K@(@T@* p, @T@ v, int op) {
  using T = @T@; using S = @S@;
  OPERATIONS
  return 0;
}
__device__ __forceinline__ @T@ inlined_@K@(@T@* p, @T@ v, int op) {
  using T = @T@; using S = @S@;
  OPERATIONS
  return 0;
}
#undef OPERATIONS
extern "C" __global__ void shared_@K@(const @T@* x, @T@* h, @T@* old, int op) {
  __shared__ @T@ m[8];
  int t = threadIdx.x;
  if (t < 8) m[t] = h[t];
  __syncthreads();
  old[t] = inlined_@K@(&m[t * 5 / 3 & 7], x[t], op);
  __syncthreads();
  if (t < 8) h[t] = m[t];
}
extern "C" __global__ void global_@K@(const @T@* x, @T@* h, @T@* old, int op) {
  int t = threadIdx.x;
  old[t] = inlined_@K@(&h[t * 5 / 3 & 7], x[t], op);
}
extern "C" __global__ void silent_@K@(const @T@* x, @T@* h, @T@* old, int op) {
  __shared__ @T@ m[8];
  int t = threadIdx.x;
  if (t < 8) m[t] = 0;
  __syncthreads();
  inlined_@K@(&h[t * 5 / 3 & 7], x[t], op);
  inlined_@K@(&m[t * 5 / 3 & 7], x[t], op);
  __syncthreads();
  if (t < 8) old[t] = m[t];
}
extern "C" __global__ void generic_@K@(const @T@* x, @T@* h, @T@* old, int op) {
  __shared__ @T@ m[8];
  int t = threadIdx.x;
  if (t < 8) m[t] = h[t];
  __syncthreads();
  int cell = t * 5 / 3 & 7;
  old[t] = through_@K@(cell & 1 ? &m[cell] : &h[cell], x[t], op);
  __syncthreads();
  if (t < 8 && t & 1) h[t] = m[t];
}
"""


def table(kind: str) -> dict[str, tuple[str, Callable[[int, int, int], int]]]:
    return OPERATIONS | (ONLY_32 if kind == "u32" else {})


def source() -> str:
    text = ""
    for kind, (unsigned, with_sign, _) in TYPES.items():
        cases = " ".join(
            f"case {number}: return (T){call};"
            for number, (call, _) in enumerate(table(kind).values())
        )
        one = KERNELS.replace("@CASES@", cases).replace("@K@", kind)
        text += one.replace("@T@", unsigned).replace("@S@", with_sign)
    return text


FLOATS = """
#include <cuda_bf16.h>
#include <cuda_fp16.h>
extern "C" __global__ void floats(const float* x, float* h, double* d, unsigned* pairs) {
  __shared__ float a[8];
  __shared__ double b[8];
  __shared__ __half2 c[8];
  int t = threadIdx.x, k = t & 7;
  if (t < 8) { a[t] = 0; b[t] = 0; c[t] = __half2(); }
  __syncthreads();
  atomicAdd(&a[k], x[t]);
  atomicAdd(&b[k], (double)x[t]);
  atomicAdd(&c[k], __float2half2_rn(x[t]));
  atomicAdd(&h[k], x[t]);
  atomicAdd(&d[k], (double)x[t]);
  atomicAdd((__half2*)&pairs[k], __float2half2_rn(x[t]));
  float was = atomicExch(&h[16 + t], x[t]);
  __syncthreads();
  h[64 + t] = was;
  if (t < 8) { h[8 + t] = a[t]; d[8 + t] = b[t]; pairs[8 + t] = *(unsigned*)&c[t]; }
}
__noinline__ __device__ void into(float* p, double* q, float v) {
  atomicAdd(p, v);
  atomicAdd(q, (double)v);
}
extern "C" __global__ void anywhere(const float* x, float* h, double* d) {
  __shared__ float a[8];
  __shared__ double b[8];
  int t = threadIdx.x, k = t & 7;
  if (t < 8) { a[t] = 0; b[t] = 0; }
  __syncthreads();
  into(t & 8 ? &a[k] : &h[k], t & 16 ? &b[k] : &d[k], x[t]);
  __syncthreads();
  if (t < 8) { h[8 + t] = a[t]; d[8 + t] = b[t]; }
}
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void brains(const float* x, unsigned* pairs) {
  __shared__ __nv_bfloat162 c[8];
  int t = threadIdx.x;
  if (t < 8) c[t] = __nv_bfloat162();
  __syncthreads();
  atomicAdd(&c[t & 7], __float2bfloat162_rn(x[t]));
  atomicAdd((__nv_bfloat162*)&pairs[t & 7], __float2bfloat162_rn(x[t]));
  __syncthreads();
  if (t < 8) pairs[8 + t] = *(unsigned*)&c[t];
}
#endif
extern "C" __global__ void volatiles(volatile int* count, int* y) {
  __shared__ volatile int s[32];
  int t = threadIdx.x;
  s[t] = count[t] + 1;
  __threadfence_block();
  count[t] = s[t] * 2;
  y[t] = count[t] + __ldcg(y + t) + __ldcs(y + t) + __ldcv(y + t);
  __stwt(y + 32 + t, t);
  __stcg(y + 64 + t, 2 * t);
}
#if __CUDA_ARCH__ >= 700
extern "C" __global__ void small(const unsigned short* x, unsigned short* h, unsigned short* old) {
  __shared__ unsigned short m[8];
  int t = threadIdx.x;
  if (t < 8) m[t] = t;
  __syncthreads();
  old[t] = atomicCAS(&m[t & 7], (unsigned short)(t & 7), x[t]);
  old[32 + t] = atomicCAS(&h[t & 7], (unsigned short)(t & 7), x[t]);
  __syncthreads();
  if (t < 8) h[8 + t] = m[t];
}
extern "C" __global__ void halves(const __half* x, __half* h) {
  __shared__ __half m[8];
  int t = threadIdx.x;
  if (t < 8) m[t] = __half(0.f);
  __syncthreads();
  atomicAdd(&m[t & 7], x[t]);
  atomicAdd(&h[t & 7], x[t]);
  __syncthreads();
  if (t < 8) h[8 + t] = m[t];
}
#endif
"""
HISTOGRAM = """
extern "C" __global__ void histogram(const unsigned char* x, unsigned* out, int n) {
  __shared__ unsigned bins[256];
  bins[threadIdx.x] = 0;
  __syncthreads();
  for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256)
    atomicAdd(&bins[x[i]], 1u);
  __syncthreads();
  atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}
"""
ARCHES = ["sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]


def build(text: str, arch: str) -> sim.Program:
    try:
        return sim.load(compile_source(text, arch=arch, name="/kernprof/a.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["sm_60", "sm_70", "sm_80", "sm_90"])
def integers(request: pytest.FixtureRequest) -> sim.Program:
    return build(source(), request.param)


@pytest.fixture(scope="module", params=ARCHES)
def floats(request: pytest.FixtureRequest) -> sim.Program:
    return build(FLOATS, request.param)


def expected(kind: str, name: str, x: list[int], h: list[int]) -> tuple[list[int], list[int]]:
    """Memory and former values when the lanes go one after another."""
    bits = TYPES[kind][2]
    change = table(kind)[name][1]
    memory, old = list(h), []
    for t, value in enumerate(x):
        cell = t * 5 // 3 & 7
        old.append(memory[cell])
        memory[cell] = change(memory[cell], value, bits) & ((1 << bits) - 1)
    return memory, old


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in TYPES for name in table(kind)])
def test_integer_atomics_in_every_memory(integers: sim.Program, kind: str, name: str) -> None:
    bits, number = TYPES[kind][2], list(table(kind)).index(name)
    dtype = np.dtype(f"u{bits // 8}")
    rng = np.random.default_rng(len(name) + bits)
    x = rng.integers(0, 1 << bits, 32, dtype=dtype)
    x[::3] &= dtype.type(7)
    start = rng.integers(0, 4, CELLS, dtype=dtype)
    memory, old = expected(kind, name, x.tolist(), start.tolist())
    for space in ("shared", "global", "generic"):
        h, was = start.copy(), np.zeros(32, dtype)
        sim.run(integers, f"{space}_{kind}", 1, 32, [x, h, was, number])
        assert h.tolist() == memory, space
        # Loops over compare-and-swap leave at once where nothing changes: another order of lanes.
        if space == "global" or not (kind == "u64" and name.endswith(("min", "max"))):
            assert was.tolist() == old, space
    h, shared = start.copy(), np.zeros(32, dtype)
    sim.run(integers, f"silent_{kind}", 1, 32, [x, h, shared, number])
    assert h.tolist() == memory
    assert shared[:CELLS].tolist() == expected(kind, name, x.tolist(), [0] * CELLS)[0]


def test_floating_point_sums_in_shared_and_global_memory(floats: sim.Program) -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(-512, 512, 32).astype(np.float32) / 8
    h, d, pairs = np.zeros(128, np.float32), np.zeros(16), np.zeros(16, np.uint32)
    sim.run(floats, "floats", 1, 32, [x, h, d, pairs])
    sums = x.reshape(4, 8).sum(axis=0)
    for found in (h[:8], h[8:16], d[:8], d[8:]):
        assert np.array_equal(found, sums)
    halves = pairs.view(np.float16).reshape(16, 2)
    assert np.array_equal(halves, np.repeat(np.tile(sums, 2)[:, None], 2, axis=1))
    assert np.array_equal(h[16:48], x)
    assert not h[64:96].any()
    h, d = np.zeros(16, np.float32), np.zeros(16)
    sim.run(floats, "anywhere", 1, 32, [x, h, d])
    by_lane = x.reshape(4, 8)
    assert np.array_equal(h.reshape(2, 8), [by_lane[0] + by_lane[2], by_lane[1] + by_lane[3]])
    assert np.array_equal(d.reshape(2, 8), [by_lane[0] + by_lane[1], by_lane[2] + by_lane[3]])


def test_sums_of_bfloat16_pairs(floats: sim.Program) -> None:
    if "brains" not in floats.kernels:
        pytest.skip("compiled from sm_80 on")
    x = np.random.default_rng(8).integers(-15, 16, 32).astype(np.float32) / 4
    pairs = np.zeros(16, np.uint32)
    sim.run(floats, "brains", 1, 32, [x, pairs])
    sums = x.reshape(4, 8).sum(axis=0)
    for part in (pairs << 16, pairs & np.uint32(0xFFFF0000)):
        assert np.array_equal(part.view(np.float32), np.tile(sums, 2))


def test_volatile_and_cached_accesses_move_the_same_data(floats: sim.Program) -> None:
    count, y = np.arange(32, dtype=np.int32), np.full(96, 7, np.int32)
    sim.run(floats, "volatiles", 1, 32, [count, y])
    t = np.arange(32)
    assert np.array_equal(count, 2 * (t + 1))
    assert np.array_equal(y, np.r_[2 * (t + 1) + 21, t, 2 * t])


def test_sixteen_bit_atomics(floats: sim.Program) -> None:
    if "small" not in floats.kernels:
        pytest.skip("CUDA has them from sm_70 on")
    x = np.arange(100, 132).astype(np.uint16)
    h, old = np.arange(16).astype(np.uint16), np.zeros(64, np.uint16)
    sim.run(floats, "small", 1, 32, [x, h, old])
    lane = np.arange(32)
    assert np.array_equal(h, np.tile(x[:8], 2))
    assert np.array_equal(old, np.tile(np.where(lane < 8, lane, x[lane & 7]), 2))
    y = (np.arange(32) / 4).astype(np.float16)
    z = np.zeros(16, np.float16)
    sim.run(floats, "halves", 1, 32, [y, z])
    assert np.array_equal(z, np.tile(y.reshape(4, 8).sum(axis=0), 2))


@pytest.mark.parametrize("arch", ARCHES)
def test_a_histogram_in_shared_memory(arch: str) -> None:
    program = build(HISTOGRAM, arch)
    x = np.random.default_rng(5).integers(0, 256, 5000).astype(np.uint8) // 3
    out = np.zeros(256, np.uint32)
    done = sim.run(program, "histogram", 3, 256, [x, out, 5000])
    assert np.array_equal(out, np.bincount(x, minlength=256))
    adds = [i for i in done.kernel.instructions if i.opcode == "ATOMS"]
    assert sum(done.predicated_on[i.index] for i in adds) == 5000
    if done.kernel.sm >= 80:
        assert {("POPC", "INC", "32")} == {i.modifiers for i in adds}
