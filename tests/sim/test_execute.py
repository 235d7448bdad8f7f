"""Compiled kernels executed without a GPU: results and counts."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import CubinError, ShapeError, UnavailableError, UsageError
from kernprof.profile import Source
from kernprof.sim.faults import LaunchFaultError

SOURCE = """
extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
extern "C" __global__ void collatz(int n, const int* x, int* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int v = x[i], steps = 0;
  while (v != 1) { if (v & 1) v = 3 * v + 1; else v >>= 1; ++steps; if (steps > 150) break; }
  y[i] = steps;
}
extern "C" __global__ void countdown(const float* x, float* y, const int* times) {
  int n = times[threadIdx.x];
  float s = 0;
#pragma unroll 1
  for (int k = 0; k < n; ++k) s = s * x[k] + 1.f;
  y[threadIdx.x] = s;
}
extern "C" __global__ void total(const float* x, float* y, int n) {
  __shared__ float part[256];
  int t = threadIdx.x;
  float v = 0;
  for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) v += x[i];
  part[t] = v;
  __syncthreads();
  for (int d = 128; d >= 32; d >>= 1) { if (t < d) part[t] += part[t + d]; __syncthreads(); }
  if (t < 32) {
    v = part[t];
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
    if (t == 0) atomicAdd(y, v);
  }
}
extern "C" __global__ void tile(const float* A, const float* B, float* C, int n) {
  __shared__ float a[16][16], b[16][16];
  int tx = threadIdx.x, ty = threadIdx.y, r = blockIdx.y * 16 + ty, c = blockIdx.x * 16 + tx;
  float s = 0;
  for (int k = 0; k < n; k += 16) {
    a[ty][tx] = A[r * n + k + tx];
    b[ty][tx] = B[(k + ty) * n + c];
    __syncthreads();
    for (int j = 0; j < 16; j++) s += a[ty][j] * b[j][tx];
    __syncthreads();
  }
  C[r * n + c] = s;
}
extern "C" __global__ void small_parameters(
    signed char a, unsigned char b, short c, unsigned short d, bool e, int* y) {
  y[threadIdx.x] = a + b + c + d + (e ? 100000 : 0);
}
__constant__ signed char bytes[32] = {BYTES};
__constant__ unsigned short halves[32] = {HALVES};
extern "C" __global__ void small_constants(int* y) {
  y[threadIdx.x] = 2 * bytes[threadIdx.x] + halves[threadIdx.x];
}
extern "C" __global__ void stride(const float* x, float* y, int step) {
  y[threadIdx.x] = x[threadIdx.x * step];
}
extern "C" __global__ void banks(float* y, int step) {
  __shared__ float s[32 * 32];
  int t = threadIdx.x;
  s[t * step] = t;
  __syncwarp();
  y[t] = s[t * step];
}
extern "C" __global__ void wide(const float4* x, float4* y, int kind) {
  __shared__ float4 s[32];
  int t = threadIdx.x;
  s[t] = x[t];
  __syncthreads();
  int from = kind == 0 ? t : kind == 1 ? 0 : kind == 2 ? t / 2 : kind == 3 ? t / 4 : t % 16;
  y[t] = s[from];
}
extern "C" __global__ void quotients(const int* x, const int* z, const float* f, const double* d,
                                     int* q, int* r, float* g, double* h, long long* w, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  q[i] = x[i] / z[i];
  r[i] = x[i] % z[i];
  g[i] = sqrtf(fabsf(f[i])) / f[n - 1 - i];
  h[i] = sqrt(fabs(d[i])) / d[n - 1 - i];
  w[i] = ((long long)x[i] * z[i]) / (w[i] | 1);
}
extern "C" __global__ void cases(int* y, int n) {
  int i = threadIdx.x;
  switch (y[i]) {
    case 0: y[i] = 5; break;
    case 1: y[i + 64] = 7; break;
    case 2: y[i] *= 3; break;
    case 3: y[i] = 9; break;
    case 4: y[i + 32] = 2; break;
    default: y[i] = 0;
  }
  int local[10];
  for (int j = 0; j < 10; j++) local[(j * 7) % 10] = y[i] + j;
  y[i] += local[n % 10];
}
__device__ float table[4] = {1.f, 2.f, 3.f, 4.f};
__device__ int counter;
__constant__ float fixed[4] = {5.f, 6.f, 7.f, 8.f};
extern "C" __global__ void variables(float* y) {
  y[threadIdx.x] = table[threadIdx.x & 3] * fixed[threadIdx.x & 3];
  atomicAdd(&counter, 1);
}
"""
SOURCE = SOURCE.replace("BYTES", ", ".join(str((k * 37 + 228) % 256 - 128) for k in range(32)))
SOURCE = SOURCE.replace("HALVES", ", ".join(str(65535 - k) for k in range(32)))


@pytest.fixture(scope="module", params=["sm_60", "sm_70", "sm_75", "sm_80", "sm_90"])
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/t.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def at(execution: sim.Execution, opcode: str) -> list[int]:
    return [i.index for i in execution.kernel.instructions if i.opcode == opcode]


def test_saxpy_rounds_once_and_counts_every_lane(program: sim.Program) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(1000, np.float32) for _ in range(2))
    a = np.float32(2.5)
    expected = (np.float64(a) * x + y).astype(np.float32)
    done = sim.run(program, "saxpy", 4, 256, [1000, a, x, y])
    assert np.array_equal(y, expected)
    loads, stores = at(done, "LDG"), at(done, "STG")
    assert done.executed[stores].tolist() == [32]
    assert done.threads[stores].tolist() == [1000]
    assert done.sectors[loads].tolist() == [125, 125]
    exits = at(done, "EXIT")
    assert done.predicated_on[exits[0]] == 24
    assert done.threads[exits].tolist() == [1024, 1000]


def test_profile_speaks_in_profiler_names(program: sim.Program) -> None:
    x = np.ones(1024, np.float32)
    y = x.copy()
    done = sim.run(program, "saxpy", (4, 1, 1), (256, 1, 1), [1024, 1.0, x, y])
    found = sim.profile(done)
    assert found.source is Source.PREDICTED
    assert found.gpu.arch == done.kernel.arch
    assert found.value("smsp__inst_executed.sum") == done.executed.sum()
    assert found.value("smsp__thread_inst_executed_per_inst_executed.ratio") == 32
    assert found.value("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum") == 1024
    assert found.value("l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum") == 256
    assert found.value("smsp__cycles_active.avg") is None
    table = found.instances["inst_executed"]
    assert dict(zip(table.keys, table.values, strict=True))[done.kernel.entry] == 32


def test_divergent_loops_end_for_each_lane_on_its_own(program: sim.Program) -> None:
    x = np.random.default_rng(2).integers(1, 5000, 500).astype(np.int32)
    y = np.zeros(500, np.int32)
    done = sim.run(program, "collatz", 2, 256, [500, x, y])

    def steps(v: int) -> int:
        count = 0
        while v != 1:
            v = 3 * v + 1 if v & 1 else v >> 1
            count += 1
            if count > 150:
                break
        return count

    expected = [steps(int(v)) for v in x]
    assert y.tolist() == expected
    assert done.divergent.sum() > 0


def test_a_warp_goes_round_as_often_as_its_slowest_lane(program: sim.Program) -> None:
    x = np.random.default_rng(8).standard_normal(50).astype(np.float32)
    times = np.random.default_rng(9).integers(0, 50, 64).astype(np.int32)
    y = np.zeros(64, np.float32)
    done = sim.run(program, "countdown", 1, 64, [x, y, times])
    (fused,) = at(done, "FFMA")
    assert done.threads[fused] == times.sum()
    assert done.executed[fused] == times[:32].max() + times[32:].max()
    # One branch leaves lanes behind whenever some, not all, of those that still run are done.
    ends = sum(len(set(t[t > 0])) - 1 for t in (times[:32], times[32:]))
    (back,) = [i for i in at(done, "BRA") if done.divergent[i] > 0 and done.executed[i] > 2]
    assert done.divergent[back] == ends


def test_reduction_through_shared_memory_shuffles_and_atomics(program: sim.Program) -> None:
    x = np.random.default_rng(3).integers(-8, 9, 5000).astype(np.float32)
    y = np.zeros(1, np.float32)
    done = sim.run(program, "total", 4, 256, [x, y, 5000])
    assert y[0] == x.sum()
    assert done.executed[at(done, "RED") + at(done, "REDG")].sum() == 4


def test_tiled_product_is_bitwise_that_of_sequential_fma(program: sim.Program) -> None:
    n = 48
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    c = np.zeros((n, n), np.float32)
    done = sim.run(program, "tile", (3, 3), (16, 16), [a, b, c, n])
    expected = np.zeros((n, n), np.float32)
    for k in range(n):
        product = a[:, k : k + 1].astype(np.float64) * b[k : k + 1, :]
        expected = (product + expected).astype(np.float32)
    assert np.array_equal(c, expected)
    fused = done.predicated_on[at(done, "FFMA")].sum()
    assert fused == n**3


@pytest.mark.parametrize(("step", "sectors"), [(0, 1), (1, 4), (2, 8), (3, 12), (8, 32), (9, 32)])
def test_sectors_of_a_strided_load(program: sim.Program, step: int, sectors: int) -> None:
    x = np.arange(512, dtype=np.float32)
    y = np.zeros(32, np.float32)
    done = sim.run(program, "stride", 1, 32, [x, y, step])
    assert np.array_equal(y, x[np.arange(32) * step])
    assert done.sectors[at(done, "LDG")].tolist() == [sectors]


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 6, 8, 16, 31])
def test_shared_passes_are_those_of_the_fullest_bank(program: sim.Program, step: int) -> None:
    y = np.zeros(32, np.float32)
    done = sim.run(program, "banks", 1, 32, [y, step])
    words = {t * step for t in range(32)}
    passes = max(sum(w % 32 == bank for w in words) for bank in range(32))
    for opcode in ("STS", "LDS"):
        assert done.wavefronts[at(done, opcode)].tolist() == [passes]
        assert done.conflicts[at(done, opcode)].tolist() == [passes - 1]
    assert np.array_equal(y, np.full(32, 31.0) if step == 0 else np.arange(32))


@pytest.mark.parametrize(("kind", "passes"), [(0, 4), (1, 2), (2, 2), (3, 2), (4, 4)])
def test_wide_loads_of_shared_data_take_half_the_passes(
    program: sim.Program, kind: int, passes: int
) -> None:
    """Passes measured on hardware: own, broadcast, pairs, quads, halves of the warp alike."""
    x = np.arange(128, dtype=np.float32)
    y = np.zeros_like(x)
    done = sim.run(program, "wide", 1, 32, [x, y, kind])
    t = np.arange(32)
    source = (t, t * 0, t // 2, t // 4, t % 16)[kind]
    assert np.array_equal(y.reshape(32, 4), x.reshape(32, 4)[source])
    assert done.wavefronts[at(done, "LDS")].tolist() == [passes]
    assert done.wavefronts[at(done, "STS")].tolist() == [4]
    assert done.lines[at(done, "STG")].tolist() == [4]


def test_quotients_and_roots_are_correctly_rounded(program: sim.Program) -> None:
    n = 700
    rng = np.random.default_rng(5)
    x, z = (rng.integers(-(2**31), 2**31, n).astype(np.int32) for _ in range(2))
    z[::2] = rng.integers(1, 100, len(z[::2]))
    f = (np.exp(rng.normal(0, 25, n)) * rng.choice([-1, 1], n)).astype(np.float32)
    d = np.exp(rng.normal(0, 200, n)) * rng.choice([-1, 1], n)
    f[:6] = [0, -0.0, np.inf, np.nan, 1e-41, 3e38]
    d[:6] = [0, -0.0, np.inf, np.nan, 5e-310, 1e308]
    w = rng.integers(-(2**62), 2**62, n)
    w[::2] = rng.integers(0, 1000, len(w[::2]))
    divisor = w | 1
    q, r = np.zeros(n, np.int32), np.zeros(n, np.int32)
    g, h = np.zeros(n, np.float32), np.zeros(n)
    sim.run(program, "quotients", 3, 256, [x, z, f, d, q, r, g, h, w, n])
    with np.errstate(all="ignore"):
        assert np.array_equal(g, np.sqrt(np.abs(f)) / f[::-1], equal_nan=True)
        assert np.array_equal(h, np.sqrt(np.abs(d)) / d[::-1], equal_nan=True)

    def quotient(a: int, b: int) -> int:
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)

    pairs = [(int(a), int(b)) for a, b in zip(x, z, strict=True)]
    assert q.tolist() == [quotient(a, b) for a, b in pairs]
    assert r.tolist() == [a - quotient(a, b) * b for a, b in pairs]
    wide = [quotient(a * b, int(c)) for (a, b), c in zip(pairs, divisor, strict=True)]
    assert w.tolist() == wide


def test_jump_tables_and_local_memory(program: sim.Program) -> None:
    y = np.zeros(160, np.int32)
    y[:32] = np.arange(32) % 7
    expected = y.copy()
    for i in range(32):
        match y[i]:
            case 0:
                expected[i] = 5
            case 1:
                expected[i + 64] = 7
            case 2:
                expected[i] *= 3
            case 3:
                expected[i] = 9
            case 4:
                expected[i + 32] = 2
            case _:
                expected[i] = 0
    for i in range(32):
        local = [0] * 10
        for j in range(10):
            local[(j * 7) % 10] = expected[i] + j
        expected[i] += local[4]
    sim.run(program, "cases", 1, 32, [y, 14])
    assert np.array_equal(y, expected)


def test_bytes_and_half_words_of_constant_banks(program: sim.Program) -> None:
    signed, wide = np.zeros(32, np.int32), np.zeros(32, np.int32)
    small = [np.int8(-7), np.uint8(250), np.int16(-3000), np.uint16(65000), np.bool_(True)]
    sim.run(program, "small_parameters", 1, 32, [*small, signed])
    assert signed.tolist() == [-7 + 250 - 3000 + 65000 + 100000] * 32
    sim.run(program, "small_constants", 1, 32, [wide])
    lane = np.arange(32)
    assert wide.tolist() == (2 * ((lane * 37 + 228) % 256 - 128) + 65535 - lane).tolist()


def test_global_variables_start_as_initialised_and_are_returned(program: sim.Program) -> None:
    y = np.zeros(64, np.float32)
    done = sim.run(program, "variables", 1, 64, [y])
    assert y[:4].tolist() == [5, 12, 21, 32]
    assert int.from_bytes(done.globals["counter"], "little") == 64
    again = sim.run(program, "variables", 1, 64, [y])
    assert int.from_bytes(again.globals["counter"], "little") == 64


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_neither_results_nor_counts(program: sim.Program, workers: int) -> None:
    x = np.arange(200_000, dtype=np.float32)
    y = x.copy()
    done = sim.run(program, "saxpy", 782, 256, [200_000, 2.0, x, y], workers=workers)
    assert np.array_equal(y, 3 * x)
    assert done.threads[at(done, "STG")].tolist() == [200_000]


def test_an_access_outside_names_thread_address_and_line(program: sim.Program) -> None:
    x = np.zeros(512, np.float32)
    with pytest.raises(sim.LaunchFaultError) as caught:
        sim.run(program, "saxpy", 4, 256, [600, 1.0, x, np.zeros(600, np.float32)])
    fault = caught.value
    assert (fault.block, fault.thread) == ((2, 0, 0), (0, 0, 0))
    assert "LDG" in str(fault)
    assert "t.cu:4" in str(fault)


def test_a_read_only_array_is_not_written(program: sim.Program) -> None:
    y = np.zeros(32, np.float32)
    y.flags.writeable = False
    with pytest.raises(sim.LaunchFaultError, match="read-only"):
        sim.run(program, "saxpy", 1, 32, [32, 1.0, np.zeros(32, np.float32), y])


def test_a_misaligned_address_is_refused(program: sim.Program) -> None:
    raw = np.zeros(40, np.uint8)
    with pytest.raises(sim.LaunchFaultError, match="multiple of its size"):
        sim.run(program, "saxpy", 1, 1, [1, 1.0, np.uint64(0x7F0000000002), raw])


def test_arguments_that_do_not_fit_are_refused(program: sim.Program) -> None:
    x = np.zeros(64, np.float32)
    with pytest.raises(UsageError, match="4 parameters, got 3"):
        sim.run(program, "saxpy", 1, 32, [1, 1.0, x])
    with pytest.raises(UsageError, match="overlap"):
        sim.run(program, "saxpy", 1, 32, [1, 1.0, x[:48], x[16:]])
    with pytest.raises(UsageError, match="contiguous"):
        sim.run(program, "saxpy", 1, 32, [1, 1.0, x[::2], x])
    with pytest.raises(UsageError, match="does not fit"):
        sim.run(program, "saxpy", 1, 32, [1 << 40, 1.0, x, x])
    with pytest.raises(ShapeError, match="limit is 1024"):
        sim.run(program, "saxpy", 1, 2048, [1, 1.0, x, x])


def test_an_unknown_instruction_stops_only_when_it_is_reached() -> None:
    source = """
    extern "C" __global__ void timed(unsigned* x, int on) {
      if (on) asm volatile("mov.u32 %0, %%smid;" : "=r"(x[threadIdx.x]));
    }"""
    try:
        program = sim.load(compile_source(source, arch="sm_80", name="/kernprof/h.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))
    x = np.ones(32, np.uint32)
    sim.run(program, "timed", 1, 32, [x, 0])
    assert (x == 1).all()
    with pytest.raises(CubinError, match=r"S2R.*sm_80.*h\.cu:3.*is not known"):
        sim.run(program, "timed", 1, 32, [x, 1])


def test_words_behind_a_constant_bank_are_refused() -> None:
    """A damaged cubin may name a bank that is not there; its address must not be followed."""
    code = 'extern "C" __global__ void k(const float *x, float *y) { y[threadIdx.x] = x[0]; }'
    image = bytearray(compile_source(code, arch="sm_80").image)
    kernel = sim.load(bytes(image)).kernel("k")
    reads = next(i for i in kernel.instructions if "c[0x0][0x16" in i.text)
    at = image.index(kernel.image.code) + reads.offset + 7
    image[at] ^= 1 << (57 - 56)  # bits 54 to 58 of an instruction are the bank's number
    with pytest.raises(CubinError, match="beyond the 0 bytes of constant bank 8"):
        sim.run(sim.load(bytes(image)), "k", 1, 32, [np.zeros(32, np.float32)] * 2)


def test_faults_in_shared_memory_tell_its_size() -> None:
    code = """extern "C" __global__ void k(float *x) {
  extern __shared__ float s[];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[31 - threadIdx.x];
}"""
    loaded = sim.load(compile_source(code, arch="sm_80").image)
    x = np.arange(32, dtype=np.float32)
    with pytest.raises(LaunchFaultError, match=r"shared memory at 0x40, beyond the 0x40 bytes"):
        sim.run(loaded, "k", 1, 32, [x.copy()], dynamic_shared=64)
    sim.run(loaded, "k", 1, 32, [x], dynamic_shared=128)
    assert np.array_equal(x, np.arange(31, -1, -1))


def test_faults_name_the_argument_that_is_near() -> None:
    code = 'extern "C" __global__ void k(float *x) { x[threadIdx.x] = 1; }'
    loaded = sim.load(compile_source(code, arch="sm_80").image)
    for names, shown in (((), "argument 0"), (("result",), "result")):
        with pytest.raises(LaunchFaultError, match=rf"\({shown} of 40 bytes, offset 40\)"):
            sim.run(loaded, "k", 1, 32, [np.zeros(10, np.float32)], names=names)


def test_lanes_that_leave_a_loop_or_an_if_are_a_divergent_branch(program: sim.Program) -> None:
    x = np.random.default_rng(2).integers(1, 5000, 500).astype(np.int32)
    done = sim.run(program, "collatz", 2, 256, [500, x, np.zeros(500, np.int32)])
    divergent = sim.profile(done).value("smsp__sass_branch_targets_threads_divergent.sum")
    assert divergent == done.divergent.sum() > 0
    if done.kernel.sm >= 70:
        return
    # The way out is a SYNC or BRK under a guard, which splits the warp as a branch would.
    ways = [i for i in done.kernel.instructions if i.opcode in ("SYNC", "BRK")]
    assert sum(int(done.divergent[i.index]) for i in ways if i.guard is not None) > 0
    assert all(done.divergent[i.index] == 0 for i in ways if i.guard is None)
