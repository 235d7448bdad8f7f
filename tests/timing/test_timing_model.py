"""The timing model on kernels whose cost is known, and properties that any model must have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import Device, find
from kernprof.errors import ShapeError, UnavailableError, UnknownNameError, UsageError
from kernprof.sim.recording import TraceBudget
from kernprof.timing import (
    Caches,
    KeptCaches,
    Timing,
    WhatIf,
    estimate,
    launch_occupancy,
    simulate,
    timed,
)
from kernprof.timing.machine import machine
from kernprof.timing.native import REASONS, core
from kernprof.timing.opcodes import encode

SOURCE = """
template <int N> __device__ float chain(float v, float a) {
#pragma unroll
  for (int i = 0; i < N; ++i) v = fmaf(v, a, 1.f);
  return v;
}
extern "C" __global__ void fma_1024(float* y, float a) { y[threadIdx.x] = chain<1024>(a, a); }
extern "C" __global__ void fma_512(float* y, float a) { y[threadIdx.x] = chain<512>(a, a); }
extern "C" __global__ void fma_pairs(float* y, float a) {
  float v = a, w = a + 1;
#pragma unroll
  for (int i = 0; i < 512; ++i) { v = fmaf(v, a, 1.f); w = fmaf(w, a, 1.f); }
  y[threadIdx.x] = v + w;
}
extern "C" __global__ void chase(const int* next, int* y, int steps) {
  int at = 0;
#pragma unroll 1
  for (int i = 0; i < steps; ++i) at = next[at];
  y[threadIdx.x] = at;
}
extern "C" __global__ void banks(float* y, int step, int times) {
  __shared__ float s[1024];
  for (int i = threadIdx.x; i < 1024; i += blockDim.x) s[i] = i;
  __syncthreads();
  float v = 0;
#pragma unroll 1
  for (int i = 0; i < times; ++i) {
#pragma unroll
    for (int k = 0; k < 16; ++k) v += ((volatile float*)s)[(threadIdx.x * step + k) & 1023];
  }
  y[threadIdx.x] = v;
}
extern "C" __global__ void copy(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i];
}
extern "C" __global__ void uneven(const float* x, float* y, int n) {
  __shared__ float s[128];
  int i = blockIdx.x * 128 + threadIdx.x;
  float v = 0;
  for (int k = 0; k < (threadIdx.x & 15); ++k) v += x[(i * 7 + k * 33) % n];
  s[threadIdx.x] = v;
  __syncthreads();
  y[i % n] = s[127 - threadIdx.x] + sqrtf(v);
  if (v > 3) atomicAdd(y, 1.f);
}
extern "C" __global__ void barriers(float* y) {
#pragma unroll
  for (int k = 0; k < 64; ++k) __syncthreads();
  y[threadIdx.x] = 1.f;
}
"""

A100 = find("a100")


@pytest.fixture(scope="module")
def program() -> sim.Program:
    try:
        core()
        return sim.load(compile_source(SOURCE, arch="sm_80", name="/kernprof/timing.cu").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def run(
    program: sim.Program,
    kernel: str,
    grid: int,
    block: int,
    args: list[object],
    *,
    device: Device = A100,
    budget: int = 1 << 30,
    **more: object,
) -> Timing:
    image = program.kernel(kernel).image
    found = launch_occupancy(device, block, image.registers, image.shared_bytes, 0)
    wave = found.blocks_per_sm * device.sm_count
    done = sim.run(program, kernel, grid, block, args, trace=TraceBudget(budget, wave))
    return simulate(done, device, **more)


def floats(n: int) -> np.ndarray:
    return np.random.default_rng(3).random(n, np.float32)


def test_a_chain_of_fused_multiply_adds_costs_four_cycles_each(program: sim.Program) -> None:
    y = floats(32)
    long, short = (
        run(program, name, 1, 32, [y, np.float32(0.5)]).reasons for name in ("fma_1024", "fma_512")
    )
    cycles = [r["selected"] + r["wait"] for r in (long, short)]
    assert cycles[0] - cycles[1] == 4 * 512


def test_independent_work_in_a_thread_hides_latency(program: sim.Program) -> None:
    y = floats(32)
    one = run(program, "fma_1024", 1, 32, [y, np.float32(0.5)])
    two = run(program, "fma_pairs", 1, 32, [y, np.float32(0.5)])
    assert two.simulated_cycles < one.simulated_cycles
    assert two.reasons["wait"] < 0.4 * one.reasons["wait"]


@pytest.mark.parametrize(
    ("stride", "count", "level"),
    [(32, 64, "l1_latency"), (32, 32768, "l2_latency")],
    ids=["l1", "l2"],
)
def test_dependent_loads_cost_the_latency_of_their_level(
    program: sim.Program, stride: int, count: int, level: str
) -> None:
    place = (np.arange(count * stride, dtype=np.int32) + stride) % (count * stride)
    args = [place, np.zeros(32, np.int32)]
    laps = 2 if level == "l2_latency" else 8
    more, less = (
        run(program, "chase", 1, 32, [*args, np.int32(n)]).simulated_cycles
        for n in ((laps + 1) * count, laps * count)
    )
    each = (more - less) / count
    known = getattr(machine("sm_80"), level)
    # The address arithmetic and the loop around the load come on top.
    assert known <= each <= known + 25


def test_a_load_that_misses_everything_costs_dram(program: sim.Program) -> None:
    place = (np.arange(1 << 16, dtype=np.int32) + 32) % (1 << 16)
    args = [place, np.zeros(32, np.int32)]
    more, less = (
        run(program, "chase", 1, 32, [*args, np.int32(n)]).simulated_cycles for n in (1200, 200)
    )
    assert (
        machine("sm_80").dram_latency <= (more - less) / 1000 <= 1.1 * machine("sm_80").dram_latency
    )


@pytest.mark.parametrize("ways", [2, 4, 8, 16, 32])
def test_bank_conflicts_cost_their_passes(program: sim.Program, ways: int) -> None:
    y = floats(256)
    free, full = (
        run(program, "banks", 1, 256, [y, np.int32(step), np.int32(40)]) for step in (1, ways)
    )
    per_load = (full.simulated_cycles - free.simulated_cycles) / (8 * 16 * 40)
    # 8 warps of loads keep the unit busy: each pass beyond the first is a cycle.
    assert per_load == pytest.approx(ways - 1, rel=0.25)
    reasons = full.reasons
    stalled = {k: v for k, v in reasons.items() if k != "selected"}
    assert max(stalled, key=lambda k: stalled[k]) in ("mio_throttle", "short_scoreboard")


def test_a_copy_is_bound_by_dram(program: sim.Program) -> None:
    n = 1 << 22
    timing = run(program, "copy", n // 256, 256, [floats(n), np.zeros(n, np.float32), np.int32(n)])
    assert timing.finished
    assert timing.clock_mhz is not None
    least = 4 * n / (A100.dram_bandwidth_bytes_per_s * machine("sm_80").dram_efficiency)
    seconds = timing.simulated_cycles / (timing.clock_mhz * 1e6)
    assert least < seconds < 1.8 * least
    assert timing.counters["dram_read_sectors"] == 4 * n // 32
    assert max(timing.reasons, key=lambda k: timing.reasons[k]) == "long_scoreboard"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    grid=st.integers(1, 400),
    block=st.sampled_from([32, 64, 96, 128]),
    gpu=st.sampled_from(["a100"]),
)
def test_every_warp_cycle_has_one_reason_and_every_instruction_issues(
    grid: int, block: int, gpu: str
) -> None:
    program = sim.load(compile_source(SOURCE, arch="sm_80", name="/kernprof/timing.cu").image)
    try:
        core()
    except UnavailableError as missing:
        pytest.skip(str(missing))
    n = 4001
    args = [floats(n), np.zeros(n, np.float32), np.int32(n)]
    timing = run(program, "uneven", grid, block, args, device=find(gpu))
    assert timing.finished
    assert timing.issued == timing.execution.executed.sum()
    assert timing.reasons["selected"] == timing.issued
    assert sum(timing.reasons.values()) == timing.warp_cycles
    assert timing.counters["bad_words"] == 0
    assert timing.stalls.min() >= 0
    assert timing.sm_active_cycles <= timing.simulated_cycles * min(108, grid)
    assert estimate(timing).cycles == timing.simulated_cycles


def test_a_part_of_a_launch_keeps_the_sum_of_reasons(program: sim.Program) -> None:
    n = 1 << 16
    args = [floats(n), np.zeros(n, np.float32), np.int32(n)]
    timing = run(program, "uneven", 30_000, 128, args, budget=300_000)
    assert not timing.finished
    assert sum(timing.reasons.values()) == timing.warp_cycles


@pytest.mark.parametrize("budget", [400_000, 1_000_000])
def test_extrapolation_against_the_whole_launch(program: sim.Program, budget: int) -> None:
    n = 1 << 16
    args = [floats(n), np.zeros(n, np.float32), np.int32(n)]
    whole = run(program, "uneven", 20_000, 128, args)
    part = run(program, "uneven", 20_000, 128, args, budget=budget)
    assert whole.finished
    assert not part.finished
    found = estimate(part)
    assert found.low <= found.cycles <= found.high
    assert found.simulated_pct < 60
    assert found.cycles == pytest.approx(whole.simulated_cycles, rel=0.25)


@pytest.mark.parametrize(
    "better",
    [
        WhatIf(bandwidth=2),
        WhatIf(bandwidth=16),
        WhatIf(latency=0.5),
        WhatIf(sm_count=216),
    ],
    ids=["bandwidth x2", "bandwidth x16", "latency / 2", "SMs x2"],
)
@pytest.mark.parametrize("kernel", ["copy", "uneven"])
def test_a_better_gpu_is_never_slower(program: sim.Program, kernel: str, better: WhatIf) -> None:
    n = 1 << 19
    args = [floats(n), np.zeros(n, np.float32), np.int32(n)]
    grid = n // 128
    plain = run(program, kernel, grid, 128, args).simulated_cycles
    assert run(program, kernel, grid, 128, args, what_if=better).simulated_cycles <= 1.02 * plain


def test_without_caches_it_is_slower(program: sim.Program) -> None:
    place = (np.arange(2048, dtype=np.int32) + 32) % 2048
    args = [place, np.zeros(32, np.int32), np.int32(1000)]
    cached = run(program, "chase", 1, 32, args).simulated_cycles
    bare = run(program, "chase", 1, 32, args, what_if=WhatIf(caches=False)).simulated_cycles
    assert bare > 5 * cached


def test_profile_of_a_timed_launch(program: sim.Program) -> None:
    n = 1 << 18
    timing = run(program, "copy", n // 256, 256, [floats(n), np.zeros(n, np.float32), np.int32(n)])
    profile = timed(sim.profile(timing.execution), timing)
    stem = "smsp__average_warps_issue_stalled_"
    ratios = [v for k, v in profile.metrics.items() if k.startswith(stem)]
    total = profile.value("smsp__average_warp_latency_per_inst_issued.ratio")
    assert sum(ratios) == pytest.approx(total)
    assert 0 < profile.value("sm__warps_active.avg.pct_of_peak_sustained_active") <= 100
    time_ns = profile.value("gpu__time_duration.sum")
    assert time_ns == pytest.approx(timing.simulated_cycles * 1e3 / 1095)
    tables = [k for k in profile.instances if "stalled" in k]
    whole = sum(sum(profile.instances[k].values) for k in tables)
    assert whole == pytest.approx(timing.warp_cycles)
    assert profile.gpu.name == A100.name


def test_what_cannot_be_timed_says_why(program: sim.Program) -> None:
    done = sim.run(program, "fma_512", 1, 32, [floats(32), np.float32(1)])
    with pytest.raises(UsageError, match="has no trace"):
        simulate(done, A100)
    with pytest.raises(ShapeError, match="no block of this launch fits"):
        launch_occupancy(A100, 1024, 200, 0, 0)
    with pytest.raises(UnknownNameError):
        machine("sm_35")
    unclocked = replace(A100, base_clock_mhz=None, boost_clock_mhz=None)
    traced = sim.run(
        program, "fma_512", 1, 32, [floats(32), np.float32(1)], trace=TraceBudget(1 << 20, 1)
    )
    with pytest.raises(UsageError, match="clock"):
        simulate(traced, unclocked)


def test_instructions_carry_the_compilers_control_codes(program: sim.Program) -> None:
    kernel = program.kernel("fma_512")
    rows = encode(kernel, A100.arch)
    for instruction, row in zip(kernel.instructions, rows, strict=True):
        assert row["stall"] == instruction.control.stall
        assert row["wait_mask"] == instruction.control.wait_mask
        if instruction.opcode == "FFMA":
            assert row["interval"] == 2
    assert len(REASONS) == len(set(REASONS))


def test_every_opcode_that_is_executed_has_a_unit() -> None:
    from kernprof.sim.flow import ENDING
    from kernprof.sim.stack import StackTranslator
    from kernprof.timing.opcodes import known_opcodes

    executed = {*StackTranslator.semantics, *ENDING, "BSSY", "BMOV", "SSY", "PBK", "PCNT", "PRET"}
    known = known_opcodes()
    assert {o for o in executed if o not in known and o.removeprefix("U") not in known} == set()


def copy_of(n: int) -> tuple[str, int, int, list[object]]:
    return "copy", -(-n // 256), 256, [floats(n), np.zeros(n, np.float32), np.int32(n)]


def test_a_warm_launch_finds_its_code_constants_and_data(program: sim.Program) -> None:
    cold = run(program, *copy_of(20_000))
    warm = run(program, *copy_of(20_000), caches=Caches.WARM)
    assert cold.counters["dram_read_sectors"] == 20_000 // 8
    assert warm.counters["dram_read_sectors"] == 0
    assert cold.reasons["no_instruction"] > 0 < cold.reasons["imc_miss"]
    assert warm.reasons["no_instruction"] == warm.reasons["imc_miss"] == 0
    assert warm.simulated_cycles < cold.simulated_cycles
    notes = timed(sim.profile(warm.execution), warm).notes
    assert any(note.startswith("caches warm: the same launch ran right before") for note in notes)


def test_what_is_larger_than_the_cache_is_not_warm(program: sim.Program) -> None:
    small = replace(A100, l2_bytes=1 << 20)
    n = 1 << 19
    cold = run(program, *copy_of(n), device=small)
    warm = run(program, *copy_of(n), device=small, caches=Caches.WARM)
    assert warm.counters["dram_read_sectors"] > 0.9 * cold.counters["dram_read_sectors"]


def test_of_a_launch_simulated_in_part_only_the_code_is_warm(program: sim.Program) -> None:
    cold = run(program, *copy_of(1 << 21), budget=10_000)
    warm = run(program, *copy_of(1 << 21), budget=10_000, caches=Caches.WARM)
    assert not warm.finished
    assert warm.counters["dram_read_sectors"] == pytest.approx(
        cold.counters["dram_read_sectors"], rel=0.1
    )
    assert warm.reasons["no_instruction"] == 0
    notes = timed(sim.profile(warm.execution), warm).notes
    assert any("its code warm and its data cold" in note for note in notes)


def test_back_to_back_finds_the_code_and_takes_its_arrays_as_its_own(program: sim.Program) -> None:
    kept = KeptCaches()
    first, second = (
        run(program, *copy_of(20_000), kept=kept, caches=Caches.BACK_TO_BACK) for _ in range(2)
    )
    cold = run(program, *copy_of(20_000))
    assert first.simulated_cycles == cold.simulated_cycles
    assert second.reasons["no_instruction"] == 0 < first.reasons["no_instruction"]
    assert second.counters["dram_read_sectors"] == first.counters["dram_read_sectors"]
    # Without arrays of its own it finds those of the launch before.
    third = run(program, *copy_of(20_000), kept=KeptCaches(), caches=Caches.COLD)
    assert third.simulated_cycles == cold.simulated_cycles


def test_a_full_cache_writes_back_what_launches_before_left_in_it(program: sim.Program) -> None:
    small = replace(A100, l2_bytes=1 << 20)
    kept = KeptCaches()
    written = [
        run(
            program, *copy_of(1 << 16), device=small, kept=kept, caches=Caches.BACK_TO_BACK
        ).counters["dram_write_sectors"]
        for _ in range(6)
    ]
    assert written[0] < written[-1]


def test_caches_are_those_of_one_gpu(program: sim.Program) -> None:
    kept = KeptCaches()
    run(program, *copy_of(1000), kept=kept)
    with pytest.raises(UsageError, match="these caches are those of"):
        run(program, *copy_of(1000), kept=kept, device=replace(A100, name="another"))


def test_the_way_through_a_barrier_is_charged_to_barrier(program: sim.Program) -> None:
    done = run(program, "barriers", 1, 32, [np.zeros(32, np.float32)])
    latency = machine("sm_80").barrier_latency
    assert done.reasons["barrier"] >= 64 * latency
    # What is left are the stall counts of a few instructions.
    assert done.reasons["wait"] < 64 * latency / 2
