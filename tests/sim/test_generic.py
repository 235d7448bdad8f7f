"""Generic addresses: functions that take pointers to any memory, and calls of functions."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import CubinError, UnavailableError

SOURCE = """
__noinline__ __device__ float total(const float* p, int n, float* last) {
  float s = 0;
  for (int i = 0; i < n; i++) s += p[i];
  *last = s;
  return s;
}
extern "C" __global__ void three(const float* x, float* y, int n) {
  __shared__ float h[64];
  float own[8];
  int t = threadIdx.x;
  h[t] = x[t];
  for (int i = 0; i < 8; i++) own[(i * 3 + n) & 7] = x[(t + i) & 63];
  __syncthreads();
  float a = total(h + (t & 7), n, &own[t & 7]);
  __syncthreads();
  float b = total(own, n, h + t);
  float c = total(x, n, y + 64 + t);
  y[t] = a + 2 * b + 4 * c;
  __syncthreads();
  y[128 + t] = h[t];
}
extern "C" __global__ void mixed(const float* x, float* y) {
  __shared__ float h[32];
  float own[2];
  int t = threadIdx.x;
  h[t] = x[t];
  own[x[t] < 0] = 100 + t;
  own[x[t] >= 0] = 200 + t;
  __syncthreads();
  y[t] = total(t % 3 == 0 ? h + t : t % 3 == 1 ? own : x + t, 1, y + 32 + t);
}
struct Wide { double v[2]; };
__noinline__ __device__ void copy(const void* from, void* to, int size) {
  switch (size) {
    case 1: *(char*)to = *(const char*)from; break;
    case 2: *(short*)to = *(const short*)from; break;
    case 4: *(int*)to = *(const int*)from; break;
    case 8: *(double*)to = *(const double*)from; break;
    default: *(double2*)to = *(const double2*)from;
  }
}
extern "C" __global__ void sizes(const double2* x, double2* y, int size) {
  __shared__ double2 h[32];
  int t = threadIdx.x;
  h[t] = make_double2(0, 0);
  double2 own[2];
  own[0] = make_double2(0, 0);
  own[t & 1] = make_double2(0, 0);
  copy(x + t, h + t, size);
  __syncthreads();
  copy(h + (t ^ 5), own, size);
  copy(own, y + t, size);
}
__noinline__ __device__ int factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }
extern "C" __global__ void recursive(int* y) { y[threadIdx.x] = factorial(threadIdx.x % 11); }
__noinline__ __device__ int odd(int n, int* calls);
__noinline__ __device__ int even(int n, int* calls) { ++*calls; return n ? odd(n - 1, calls) : 1; }
__noinline__ __device__ int odd(int n, int* calls) { ++*calls; return n ? even(n - 1, calls) : 0; }
extern "C" __global__ void mutual(int* y) {
  int calls = 0;
  y[threadIdx.x] = even(threadIdx.x, &calls);
  y[32 + threadIdx.x] = calls;
}
typedef int (*Step)(int);
__device__ int up(int v) { return v + 1; }
__device__ int triple(int v) { return v * 3; }
__device__ Step steps[2] = {up, triple};
extern "C" __global__ void indirect(int* y) {
  y[threadIdx.x] = steps[threadIdx.x & 1](y[threadIdx.x]);
}
extern "C" __global__ void distances(unsigned long long* y) {
  __shared__ int h[16];
  h[threadIdx.x & 15] = threadIdx.x;
  __syncthreads();
  y[0] = (unsigned long long)__cvta_generic_to_shared(&h[5]) -
         (unsigned long long)__cvta_generic_to_shared(&h[0]);
  y[1] = (unsigned long long)&h[h[7]] - (unsigned long long)h;
}
"""


@pytest.fixture(scope="module", params=["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"])
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/g.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def generic(execution: sim.Execution, opcode: str) -> list[int]:
    return [i.index for i in execution.kernel.instructions if i.opcode == opcode]


def test_a_function_reads_and_writes_shared_local_and_global_memory(program: sim.Program) -> None:
    n = 5
    x = np.random.default_rng(1).integers(-50, 50, 64).astype(np.float32)
    y = np.zeros(192, np.float32)
    done = sim.run(program, "three", 1, 64, [x, y, n])
    t = np.arange(64)
    a = np.array([x[k & 7 :][:n].sum() for k in t])
    own = np.zeros((64, 8), np.float32)
    for i in range(8):
        own[t, (i * 3 + n) & 7] = x[(t + i) & 63]
    own[t, t & 7] = a
    b = own[:, :n].sum(axis=1)
    c = x[:n].sum()
    assert np.array_equal(y[:64], a + 2 * b + 4 * c)
    assert np.array_equal(y[64:128], np.full(64, c))
    assert np.array_equal(y[128:], b)
    loads, stores = generic(done, "LD"), generic(done, "ST")
    # Two warps: shared loads, local loads and global ones, n of each.
    assert done.requests[loads].sum() == 3 * 2 * n
    assert done.generic_shared[loads].sum() == 2 * n
    assert done.generic_local[loads].sum() == 2 * n
    assert done.generic_local_sectors[loads].sum() == 2 * n * 4
    assert done.requests[stores].sum() == 6
    found = sim.profile(done).metrics
    assert found["l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"] == 2 * n + sum(
        done.requests[generic(done, "LDG")]
    )


def test_one_instruction_goes_to_three_memories(program: sim.Program) -> None:
    x = np.random.default_rng(2).integers(-50, 50, 33).astype(np.float32)
    y = np.zeros(64, np.float32)
    done = sim.run(program, "mixed", 1, 32, [x, y])
    t = np.arange(32)
    # own[0] is 100 + t where x[t] >= 0, and 200 + t else.
    own = np.where(x[:32] >= 0, 100 + t, 200 + t)
    expected = np.where(t % 3 == 1, own, x[:32])
    assert np.array_equal(y, np.tile(expected, 2))
    (load,) = [i for i in generic(done, "LD") if done.executed[i]]
    assert done.executed[load] == 1
    assert done.requests[load] == 3
    assert done.generic_shared[load] == done.generic_local[load] == 1


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_every_width(program: sim.Program, size: int) -> None:
    x = np.random.default_rng(3).integers(0, 256, 512).astype(np.uint8)
    y = np.zeros(512, np.uint8)
    sim.run(program, "sizes", 1, 32, [x, y, size])
    expected = np.zeros((32, 16), np.uint8)
    expected[:, :size] = x.reshape(32, 16)[np.arange(32) ^ 5, :size]
    assert np.array_equal(y.reshape(32, 16), expected)


def test_recursion_and_mutual_calls(program: sim.Program) -> None:
    y = np.zeros(32, np.int32)
    sim.run(program, "recursive", 1, 32, [y])
    assert y.tolist() == [int(np.prod(np.arange(1, k % 11 + 1))) for k in range(32)]
    z = np.zeros(64, np.int32)
    sim.run(program, "mutual", 1, 32, [z])
    assert z[:32].tolist() == [1 - k % 2 for k in range(32)]
    assert z[32:].tolist() == [k + 1 for k in range(32)]


def test_indirect_calls_are_refused_or_right(program: sim.Program) -> None:
    y = np.arange(32, dtype=np.int32)
    try:
        sim.run(program, "indirect", 1, 32, [y])
    except CubinError as error:
        assert "indirect call" in str(error)
    else:
        t = np.arange(32)
        assert np.array_equal(y, np.where(t & 1, 3 * t, t + 1))


def test_addresses_differ_as_elements_do(program: sim.Program) -> None:
    y = np.zeros(2, np.uint64)
    sim.run(program, "distances", 1, 16, [y])
    assert y.tolist() == [20, 28]


def test_a_generic_address_outside_of_shared_memory_is_refused(program: sim.Program) -> None:
    x = np.zeros(64, np.float32)
    with pytest.raises(sim.LaunchFaultError, match="LD"):
        sim.run(program, "three", 1, 64, [x, np.zeros(192, np.float32), 70])
