"""Asynchronous copies to shared memory: what arrives, what is zero, what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

SOURCE = """
#include <cuda_pipeline.h>
extern "C" __global__ void stages(const float4* x, float4* y, const float* u, float* v, int n) {
  __shared__ float4 s[2][64];
  __shared__ float q[64];
  int t = threadIdx.x;
  q[t] = -1;
  for (int i = 0; i < 4; i++) {
    __pipeline_memcpy_async(&s[i & 1][t], x + i * 64 + t, 16);
    if (t < n) __pipeline_memcpy_async(&q[t], u + i * 64 + t, 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    y[i * 64 + t] = s[i & 1][63 - t];
    v[i * 64 + t] = q[63 - t];
    __syncthreads();
  }
}
extern "C" __global__ void ahead(const float* x, float* y, int rounds) {
  extern __shared__ float ring[];
  int t = threadIdx.x;
  for (int i = 0; i < 3; i++) {
    if (i < rounds) __pipeline_memcpy_async(&ring[i * 64 + t], x + i * 64 + t, 4);
    __pipeline_commit();
  }
  float sum = 0;
  for (int i = 0; i < rounds; i++) {
    __pipeline_wait_prior(2);
    __syncthreads();
    sum += ring[i % 3 * 64 + (t + 1) % 64];
    __syncthreads();
    if (i + 3 < rounds) __pipeline_memcpy_async(&ring[i % 3 * 64 + t], x + (i + 3) * 64 + t, 4);
    __pipeline_commit();
  }
  y[t] = sum;
}
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void filled(const char* x, char* y, int size, int given) {
  __shared__ float4 s[32];
  int t = threadIdx.x;
  s[t] = make_float4(1, 1, 1, 1);
  unsigned to = (unsigned)__cvta_generic_to_shared(s + t);
  int n = t % 3 ? given : size;
  if (size == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 ::"r"(to), "l"(x + 16 * t), "r"(n) : "memory");
  else if (size == 8)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;"
                 ::"r"(to), "l"(x + 16 * t), "r"(n) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 ::"r"(to), "l"(x + 16 * t), "r"(n) : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncwarp();
  ((float4*)y)[t] = s[t];
}
#endif
"""


@pytest.fixture(scope="module", params=["sm_75", "sm_80", "sm_86", "sm_90"])
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/c.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def copies(done: sim.Execution) -> list[int]:
    return [i.index for i in done.kernel.instructions if i.opcode == "LDGSTS"]


@pytest.mark.parametrize("check", [False, True])
def test_a_double_buffer(program: sim.Program, check: bool) -> None:
    rng = np.random.default_rng(1)
    x, u = rng.random(1024, np.float32), rng.random(256, np.float32)
    y, v = np.zeros_like(x), np.zeros_like(u)
    done = sim.run(program, "stages", 1, 64, [x, y, u, v, 40], check=check)
    assert np.array_equal(y.reshape(4, 64, 4), x.reshape(4, 64, 4)[:, ::-1])
    small = np.full((4, 64), -1, np.float32)
    small[:, :40] = u.reshape(4, 64)[:, :40]
    assert np.array_equal(v.reshape(4, 64), small[:, ::-1])
    found = copies(done)
    if program.kernels["stages"].sm < 80:
        assert not found
        return
    # Wide: 2 warps, 4 rounds, 512 bytes each. Narrow: 32 and 8 lanes.
    assert done.requests[found].sum() - done.generic_shared[found].sum() == 8 + 8
    assert done.sectors[found].sum() == 8 * 16 + 4 * (4 + 1)
    assert done.lines[found].sum() == 8 * 4 + 4 * 2
    assert done.wavefronts[found].sum() == 8 * 4 + 8
    if check:
        assert done.check is not None
        assert done.check.clean


def test_copies_ahead_of_their_use(program: sim.Program) -> None:
    x = np.random.default_rng(2).integers(-9, 10, 640).astype(np.float32)
    y = np.zeros(64, np.float32)
    sim.run(program, "ahead", 1, 64, [x, y, 10], dynamic_shared=3 * 64 * 4)
    assert np.array_equal(y, np.roll(x.reshape(10, 64).sum(axis=0), -1))


@pytest.mark.parametrize(
    ("size", "given"), [(16, 0), (16, 1), (16, 8), (16, 15), (8, 3), (8, 0), (4, 2), (4, 0), (4, 4)]
)
def test_bytes_that_are_not_given_are_zero(program: sim.Program, size: int, given: int) -> None:
    if "filled" not in program.kernels:
        pytest.skip("cp.async comes with sm_80")
    # The last thread's source ends with what it may read.
    x = np.random.default_rng(3).integers(1, 256, 31 * 16 + given).astype(np.uint8)
    y = np.zeros(512, np.uint8)
    done = sim.run(program, "filled", 1, 32, [x, y, size, given])
    expected = np.tile(np.frombuffer(np.ones(4, np.float32).tobytes(), np.uint8), (32, 1))
    for t in range(32):
        n = given if t % 3 else size
        expected[t, :size] = 0
        expected[t, :n] = x[16 * t : 16 * t + n]
    assert np.array_equal(y.reshape(32, 16), expected)
    readers = [t for t in range(32) if t % 3 == 0 or given > 0]
    assert done.sectors[copies(done)].sum() == len({t // 2 for t in readers})
