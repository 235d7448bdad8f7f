"""Ordinary CUDA C++ kernels, compiled and run, against numpy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

SOURCE = """
template <class T> __device__ T block_sum(T v) {
  __shared__ T part[32];
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : T(0);
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
    if (threadIdx.x == 0) part[0] = v;
  }
  __syncthreads();
  return part[0];
}
extern "C" __global__ void reduce(const double* x, double* y, int n) {
  double v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  v = block_sum(v);
  if (threadIdx.x == 0) atomicAdd(y, v);
}
extern "C" __global__ void softmax(const float* x, float* y, int n) {
  __shared__ float part[32];
  const float* row = x + blockIdx.x * n;
  float top = __int_as_float(0xff800000);
  for (int i = threadIdx.x; i < n; i += blockDim.x) top = fmaxf(top, row[i]);
  for (int o = 16; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(~0u, top, o));
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = top;
  __syncthreads();
  top = part[0];
  for (int w = 1; w < blockDim.x / 32; w++) top = fmaxf(top, part[w]);
  __syncthreads();
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += __expf(row[i] - top);
  sum = block_sum(sum);
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    y[blockIdx.x * n + i] = __expf(row[i] - top) / sum;
}
extern "C" __global__ void scan(const int* x, int* y, int* sums) {
  __shared__ int part[32];
  int t = threadIdx.x, lane = t & 31, i = blockIdx.x * blockDim.x + t;
  int v = x[i];
  for (int o = 1; o < 32; o *= 2) {
    int u = __shfl_up_sync(~0u, v, o);
    if (lane >= o) v += u;
  }
  if (lane == 31) part[t / 32] = v;
  __syncthreads();
  if (t < 32) {
    int w = t < blockDim.x / 32 ? part[t] : 0;
    for (int o = 1; o < 32; o *= 2) {
      int u = __shfl_up_sync(~0u, w, o);
      if (lane >= o) w += u;
    }
    part[t] = w;
  }
  __syncthreads();
  if (t >= 32) v += part[t / 32 - 1];
  y[i] = v;
  if (t == blockDim.x - 1) sums[blockIdx.x] = v;
}
extern "C" __global__ void blelloch(const int* x, int* y, int n) {
  extern __shared__ int s[];
  int t = threadIdx.x, step = 1;
  s[2 * t] = x[2 * t];
  s[2 * t + 1] = x[2 * t + 1];
  for (int d = n / 2; d > 0; d /= 2, step *= 2) {
    __syncthreads();
    if (t < d) s[step * (2 * t + 2) - 1] += s[step * (2 * t + 1) - 1];
  }
  if (t == 0) s[n - 1] = 0;
  for (int d = 1; d < n; d *= 2) {
    step /= 2;
    __syncthreads();
    if (t < d) {
      int a = step * (2 * t + 1) - 1, b = step * (2 * t + 2) - 1, old = s[a];
      s[a] = s[b];
      s[b] += old;
    }
  }
  __syncthreads();
  y[2 * t] = s[2 * t];
  y[2 * t + 1] = s[2 * t + 1];
}
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
  __shared__ float tile[32][33];
  int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (c < columns && r + j < rows) tile[threadIdx.y + j][threadIdx.x] = x[(r + j) * columns + c];
  __syncthreads();
  c = blockIdx.y * 32 + threadIdx.x;
  r = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (c < rows && r + j < columns) y[(r + j) * rows + c] = tile[threadIdx.x][threadIdx.y + j];
}
extern "C" __global__ void product(const double* A, const double* B, double* C, int n) {
  __shared__ double a[16][17], b[16][17];
  int tx = threadIdx.x, ty = threadIdx.y, r = blockIdx.y * 16 + ty, c = blockIdx.x * 16 + tx;
  double s = 0;
  for (int k = 0; k < n; k += 16) {
    a[ty][tx] = r < n && k + tx < n ? A[r * n + k + tx] : 0;
    b[ty][tx] = c < n && k + ty < n ? B[(k + ty) * n + c] : 0;
    __syncthreads();
    for (int j = 0; j < 16; j++) s += a[ty][j] * b[j][tx];
    __syncthreads();
  }
  if (r < n && c < n) C[r * n + c] = s;
}
// F(2,3): two neighbouring outputs of a filter with three taps from four inputs, four products.
extern "C" __global__ void winograd(const float* x, const float* g, float* y, int n) {
  int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float d0 = x[i], d1 = x[i + 1], d2 = x[i + 2], d3 = x[i + 3];
  float g0 = g[0], g1 = g[1], g2 = g[2];
  float m0 = (d0 - d2) * g0, m1 = (d1 + d2) * ((g0 + g1 + g2) / 2);
  float m2 = (d2 - d1) * ((g0 - g1 + g2) / 2), m3 = (d1 - d3) * g2;
  y[i] = m0 + m1 + m2;
  y[i + 1] = m1 - m2 - m3;
}
"""
GROUPS = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
namespace cg = cooperative_groups;
extern "C" __global__ void groups(const int* x, int* y, int* z) {
  __shared__ int s[256];
  cg::thread_block block = cg::this_thread_block();
  int t = block.thread_rank();
  s[t] = x[t];
  block.sync();
  auto warp = cg::tiled_partition<32>(block);
  auto eight = cg::tiled_partition<8>(block);
  y[t] = cg::reduce(warp, s[255 - t], cg::plus<int>());
  y[256 + t] = cg::reduce(eight, s[t], cg::greater<int>());
  y[512 + t] = cg::inclusive_scan(warp, s[t]);
  y[768 + t] = eight.shfl(s[t], 3) + 1000 * eight.any(s[t] > 90) + 2000 * eight.all(s[t] > -9);
  if (x[t] & 1) {
    cg::coalesced_group odd = cg::coalesced_threads();
    if (odd.thread_rank() == 0) z[t / 32] = odd.size();
  }
  block.sync();
}
"""
ARCHES = ["sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]


@pytest.fixture(scope="module", params=ARCHES)
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/p.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def library_headers() -> Path | None:
    """Where the headers are that cooperative groups take from the CUDA C++ core libraries."""
    spec = find_spec("nvidia")
    wheels = [
        Path(root) / "cuda_cccl/include"
        for root in ((spec and spec.submodule_search_locations) or ())
    ]
    toolkits = sorted(Path("/usr/local").glob("cuda*/include/cccl"))
    return next((p for p in (*wheels, *toolkits) if (p / "nv/target").is_file()), None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_sum_of_an_array(program: sim.Program, rng: np.random.Generator) -> None:
    x, y = rng.integers(-999, 999, 5000).astype(np.float64), np.zeros(1)
    sim.run(program, "reduce", 5, 256, [x, y, 5000])
    assert y[0] == x.sum()


def test_softmax_of_rows(program: sim.Program, rng: np.random.Generator) -> None:
    x = rng.normal(0, 5, (3, 300)).astype(np.float32)
    y = np.zeros_like(x)
    sim.run(program, "softmax", 3, 128, [x, y, 300])
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    assert np.allclose(y, e / e.sum(axis=1, keepdims=True), rtol=2e-6, atol=1e-9)


def test_sums_of_all_beginnings(program: sim.Program, rng: np.random.Generator) -> None:
    x = rng.integers(-99, 99, 1024).astype(np.int32)
    y, sums = np.zeros_like(x), np.zeros(4, np.int32)
    sim.run(program, "scan", 4, 256, [x, y, sums])
    expected = x.reshape(4, 256).cumsum(axis=1)
    assert np.array_equal(y.reshape(4, 256), expected)
    assert np.array_equal(sums, expected[:, -1])
    sim.run(program, "blelloch", 1, 256, [x[:512].copy(), y, 512], dynamic_shared=2048)
    assert np.array_equal(y[:512], np.r_[0, x[:511].cumsum()])


def test_transpose_through_padded_tiles(program: sim.Program, rng: np.random.Generator) -> None:
    x = rng.random((70, 45), np.float32)
    y = np.zeros((45, 70), np.float32)
    done = sim.run(program, "transpose", (2, 3), (32, 8), [x, y, 70, 45])
    assert np.array_equal(y, x.T)
    assert done.conflicts.sum() == 0


def test_product_in_double_precision(program: sim.Program, rng: np.random.Generator) -> None:
    n = 40
    a, b = rng.integers(-9, 9, (2, n, n)).astype(np.float64)
    c = np.zeros((n, n))
    done = sim.run(program, "product", (3, 3), (16, 16), [a, b, c, n])
    assert np.array_equal(c, a @ b)
    fused = [i.index for i in done.kernel.instructions if i.opcode == "DFMA"]
    assert done.predicated_on[fused].sum() == (3 * 16) ** 2 * 48


def test_winograd_is_convolution(program: sim.Program, rng: np.random.Generator) -> None:
    x, g = rng.integers(-9, 9, 258).astype(np.float32), np.array([2, -3, 4], np.float32)
    y = np.zeros(256, np.float32)
    sim.run(program, "winograd", 1, 128, [x, g, y, 256])
    assert np.array_equal(y, np.correlate(x, g, "valid"))


@pytest.mark.parametrize("arch", ARCHES)
def test_cooperative_groups(arch: str, rng: np.random.Generator) -> None:
    headers = library_headers()
    if headers is None:
        pytest.skip("needs the headers of nvidia-cuda-cccl-cu12 or of a CUDA toolkit")
    try:
        compiled = compile_source(
            GROUPS,
            arch=arch,
            name="/kernprof/cg.cu",
            include_dirs=[headers],
            options=["--std=c++17"],
        )
        program = sim.load(compiled.image)
    except UnavailableError as error:
        pytest.skip(str(error))
    x = rng.integers(-9, 95, 256).astype(np.int32)
    y, z = np.zeros((4, 256), np.int32), np.zeros(8, np.int32)
    sim.run(program, "groups", 1, 256, [x, y, z])
    warps, eights = x.reshape(8, 32), x.reshape(32, 8)
    assert np.array_equal(y[0], np.repeat(x[::-1].reshape(8, 32).sum(axis=1), 32))
    assert np.array_equal(y[1], np.repeat(eights.max(axis=1), 8))
    assert np.array_equal(y[2], warps.cumsum(axis=1).ravel())
    votes = 1000 * (eights > 90).any(axis=1) + 2000 * (eights > -9).all(axis=1)
    assert np.array_equal(y[3], np.repeat(eights[:, 3] + votes, 8))
    assert np.array_equal(z, (warps & 1).sum(axis=1))
