"""Barriers of blocks and of warps: counted, numbered, reducing, guarded, by part of a warp."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

SOURCE = """
#define BAR(text) asm volatile(text ::: "memory")
extern "C" __global__ void halves(int* y) {
  __shared__ int s[128];
  int t = threadIdx.x;
  s[t] = t;
  if (t < 64) { BAR("bar.sync 1, 64;"); y[t] = s[63 - t]; }
  else { BAR("bar.sync 2, 64;"); y[t] = s[191 - t]; }
}
extern "C" __global__ void produce(int* y, int rounds) {
  __shared__ int s[64];
  int t = threadIdx.x;
  if (t < 64) {
    for (int i = 0; i < rounds; i++) {
      s[t] = i * 1000 + t;
      BAR("bar.arrive 3, 128;");
      BAR("bar.sync 4, 128;");
    }
  } else {
    int sum = 0;
    for (int i = 0; i < rounds; i++) {
      BAR("bar.sync 3, 128;");
      sum += s[127 - t];
      BAR("bar.arrive 4, 128;");
    }
    y[t - 64] = sum;
  }
}
extern "C" __global__ void given(int* y, int number, int count) {
  __shared__ int s[64];
  int t = threadIdx.x;
  s[t] = t;
  asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(count) : "memory");
  int a = s[t ^ 32];
  asm volatile("bar.sync %0;" ::"r"(number) : "memory");
  s[t] = 2 * t;
  asm volatile("bar.sync 9, %0;" ::"r"(count) : "memory");
  int b = s[t ^ 32];
  asm volatile("bar.sync %0, 64;" ::"r"(number) : "memory");
  y[t] = a + 1000 * b;
}
extern "C" __global__ void reduce(const int* x, int* y, int n) {
  int t = threadIdx.x;
  if (t >= n) return;
  int count = __syncthreads_count(x[t] > 0);
  int all = __syncthreads_and(x[t] > -5);
  int any = __syncthreads_or(x[t] > 90);
  y[t] = count + 1000 * !!all + 2000 * !!any;
}
extern "C" __global__ void partly(const int* x, int* y) {
  int t = threadIdx.x, r;
  if (t < 64)
    asm volatile("{ .reg .pred p; setp.gt.s32 p, %1, 0; bar.red.popc.u32 %0, 1, 64, p; }"
                 : "=r"(r) : "r"(x[t]) : "memory");
  else
    asm volatile("{ .reg .pred p, q; setp.gt.s32 p, %1, 90; bar.red.or.pred q, 2, 64, p; "
                 "selp.s32 %0, 1, 0, q; }" : "=r"(r) : "r"(x[t]) : "memory");
  y[t] = r;
}
extern "C" __global__ void guarded(int* y, int n) {
  __shared__ int s[128];
  int t = threadIdx.x;
  s[t] = t;
  if (n > 5) __syncthreads();
  y[t] = s[t ^ (n > 5 ? 33 : 1)];
  if (t < 64) {
#pragma unroll 1
    for (int i = 0; i < n; i++) {
      BAR("bar.sync 1, 64;");
      int v = s[63 - t];
      BAR("bar.sync 1, 64;");
      s[t] += v;
    }
  }
  y[128 + t] = s[t];
}
extern "C" __global__ void unaligned(int* y) {
  __shared__ int s[64];
  int t = threadIdx.x;
  s[t] = t;
  if (t & 1) { BAR("barrier.sync 7, 64;"); y[t] = s[t ^ 33]; }
  else { BAR("barrier.sync 7, 64;"); y[t] = s[t ^ 34]; }
}
extern "C" __global__ void warps(int* y, int m) {
  int t = threadIdx.x;
  __shared__ int s[32];
  if (t & 1) { s[t] = t; __syncwarp(0xaaaaaaaa); y[t] = s[t ^ 2]; }
  else { s[t] = t * 2; __syncwarp(0x55555555); y[t] = s[t ^ 2]; }
  __syncwarp();
  if (t < m) { s[t] = 5 * t; __syncwarp((1ull << m) - 1); y[t] += s[m - 1 - t]; }
#if __CUDA_ARCH__ >= 700
  unsigned peers = __match_any_sync(~0u, t & 3);
  __syncwarp();
  s[t] = y[t];
  __syncwarp(peers);
  y[t] += s[t ^ 4];
#endif
}
#if __CUDA_ARCH__ >= 700
__device__ __noinline__ int rotate(unsigned mask, int v, int by) {
  return __shfl_sync(mask, v, (threadIdx.x + by) & 31);
}
extern "C" __global__ void meet(const int* x, int* y) {
  int t = threadIdx.x, v;
  if (x[t] & 1) { v = __shfl_xor_sync(~0u, t, 1); v += 100; }
  else { v = __shfl_xor_sync(~0u, t, 1); v += 200; }
  y[t] = v;
  if (x[t] & 2) y[32 + t] = __ballot_sync(~0u, x[t] & 4);
  else y[32 + t] = __ballot_sync(~0u, x[t] & 8);
  if (t % 3) y[64 + t] = rotate(~0u, t, 2);
  else y[64 + t] = rotate(~0u, 2 * t, 1);
}
#endif
"""
ARCHES = ["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"]


@pytest.fixture(scope="module", params=ARCHES)
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/b.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def test_two_halves_of_a_block_wait_for_themselves(program: sim.Program) -> None:
    y = np.zeros(128, np.int32)
    done = sim.run(program, "halves", 1, 128, [y])
    assert np.array_equal(y, np.r_[63:-1:-1, 127:63:-1])
    bars = [i.index for i in done.kernel.instructions if i.opcode == "BAR"]
    assert done.requests[bars].sum() == 0


def test_producers_arrive_and_consumers_wait(program: sim.Program) -> None:
    y = np.zeros(64, np.int32)
    sim.run(program, "produce", 1, 128, [y, 5])
    assert np.array_equal(y, 10000 + 5 * np.arange(63, -1, -1))


def test_number_and_count_from_registers(program: sim.Program) -> None:
    y = np.zeros(64, np.int32)
    sim.run(program, "given", 1, 64, [y, 5, 64])
    other = np.arange(64) ^ 32
    assert np.array_equal(y, other + 2000 * other)


@pytest.mark.parametrize("n", [96, 70, 33])
def test_reductions_of_a_predicate_over_the_block(program: sim.Program, n: int) -> None:
    x = np.random.default_rng(n).integers(-9, 95, 96).astype(np.int32)
    for low, high in ((-9, 80), (-4, 80), (-4, 95)):
        values = np.clip(x, low, high)
        y = np.zeros(96, np.int32)
        sim.run(program, "reduce", 1, 96, [values, y, n])
        used = values[:n]
        found = (used > 0).sum() + 1000 * (used > -5).all() + 2000 * (used > 90).any()
        assert np.array_equal(y, np.where(np.arange(96) < n, found, 0))


def test_reductions_over_parts_of_the_block(program: sim.Program) -> None:
    x = np.random.default_rng(6).integers(-9, 95, 128).astype(np.int32)
    y = np.zeros(128, np.int32)
    sim.run(program, "partly", 1, 128, [x, y])
    assert np.array_equal(y, np.repeat([(x[:64] > 0).sum(), (x[64:] > 90).any()], 64))


@pytest.mark.parametrize("n", [0, 3, 6])
def test_barriers_under_a_condition(program: sim.Program, n: int) -> None:
    y = np.zeros(256, np.int32)
    sim.run(program, "guarded", 1, 128, [y, n])
    t = np.arange(128)
    assert np.array_equal(y[:128], t ^ (33 if n > 5 else 1))
    s = t.copy()
    for _ in range(n):
        s[:64] += s[63::-1]
    assert np.array_equal(y[128:], s)


def test_a_barrier_on_both_sides_of_a_branch(program: sim.Program) -> None:
    if program.kernels["unaligned"].sm < 70:
        pytest.skip("a warp comes to a barrier whole before Volta")
    y = np.zeros(64, np.int32)
    sim.run(program, "unaligned", 1, 64, [y])
    t = np.arange(64)
    assert np.array_equal(y, np.where(t & 1, t ^ 33, t ^ 34))


@pytest.mark.parametrize("m", [1, 7, 20])
def test_parts_of_a_warp_wait_for_themselves(program: sim.Program, m: int) -> None:
    y = np.zeros(32, np.int32)
    sim.run(program, "warps", 1, 32, [y, m])
    t = np.arange(32)
    expected = np.where(t & 1, t ^ 2, 2 * (t ^ 2))
    expected[:m] += 5 * np.arange(m - 1, -1, -1)
    if program.kernels["warps"].sm >= 70:
        expected = expected + expected[t ^ 4]
    assert np.array_equal(y, expected)


def test_lanes_exchange_from_different_places(program: sim.Program) -> None:
    if "meet" not in program.kernels:
        pytest.skip("before Volta lanes exchange only where they are together")
    x = np.random.default_rng(7).integers(0, 16, 32).astype(np.int32)
    y = np.zeros(96, np.uint32)
    sim.run(program, "meet", 1, 32, [x, y])
    t = np.arange(32)
    assert np.array_equal(y[:32], (t ^ 1) + np.where(x & 1, 100, 200))
    bits = np.where(x & 2, x & 4, x & 8) != 0
    assert set(y[32:64]) == {int((bits << t.astype(np.uint64)).sum())}
    given = np.where(t % 3, t, 2 * t)
    assert np.array_equal(y[64:], given[(t + np.where(t % 3, 2, 1)) & 31])


@pytest.mark.parametrize(
    ("kernel", "threads", "numbers"),
    [
        ("halves", 128, ()),
        ("produce", 128, (5,)),
        ("given", 64, (5, 64)),
        ("guarded", 128, (6,)),
        ("warps", 32, (7,)),
    ],
)
def test_barriers_order_accesses(
    program: sim.Program, kernel: str, threads: int, numbers: tuple[int, ...]
) -> None:
    y = np.zeros(256, np.int32)
    done = sim.run(program, kernel, 1, threads, [y, *numbers], check=True)
    assert done.check is not None
    assert done.check.clean, [f.message for f in done.check.findings]


STUCK = """
extern "C" __global__ void traps(const int* x, int* y) {
  if (x[threadIdx.x] < 0) __trap();
  y[threadIdx.x] = x[threadIdx.x];
}
extern "C" __global__ void stuck(int* y) {
  if (threadIdx.x < 32) asm volatile("bar.sync 1, 96;" ::: "memory");
  else asm volatile("bar.sync 2, 64;" ::: "memory");
  y[threadIdx.x] = 1;
}
"""


@pytest.fixture(scope="module", params=ARCHES)
def stuck(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(STUCK, arch=request.param, name="/kernprof/s.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def test_a_barrier_that_can_not_open_is_told(stuck: sim.Program) -> None:
    with pytest.raises(sim.LaunchFaultError, match="never come"):
        sim.run(stuck, "stuck", 1, 64, [np.zeros(64, np.int32)])


def test_a_trap_stops_the_launch_where_a_lane_comes_to_it(stuck: sim.Program) -> None:
    x, y = np.arange(64, dtype=np.int32), np.zeros(64, np.int32)
    sim.run(stuck, "traps", 1, 64, [x, y])
    assert np.array_equal(x, y)
    x[37] = -1
    with pytest.raises(sim.LaunchFaultError, match="trap") as caught:
        sim.run(stuck, "traps", 1, 64, [x, y])
    assert caught.value.thread == (37, 0, 0)
