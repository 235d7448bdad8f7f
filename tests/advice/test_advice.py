from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import CORE, instances, issue_ratios, profile

import kernprof
from kernprof.advice.model import Advice
from kernprof.compile import compile_source, elf
from kernprof.profile import Dim3, Gpu, InstanceTable, KernelProfile, MachineCode, SharedMemory
from kernprof.stalls.code import source_positions


def launch(
    stalls: dict[str, float] | None = None,
    metrics: dict[str, float] | None = None,
    issue: float = 20.0,
    warps: float = 8.0,
    **overrides: Any,
) -> KernelProfile:
    """1000 cycles, 100 without a warp; 20 % of the rest issuing; 8 warps a scheduler."""
    values = {
        "gpc__cycles_elapsed.max": 1000.0,
        "sm__cycles_active.max": 900.0,
        "sm__cycles_active.avg": 900.0,
        "smsp__issue_active.avg.pct_of_peak_sustained_active": issue,
        "smsp__warps_active.avg.per_cycle_active": warps,
        "sm__maximum_warps_per_active_cycle_pct": 100.0,
        **issue_ratios(**{"selected": 1.0, **(stalls or {"long_scoreboard": 3.0, "wait": 1.0})}),
        **(metrics or {}),
    }
    return profile(values, **overrides)


def advice(found: KernelProfile, key: str) -> Advice | None:
    return next((item for item in kernprof.advise(found) if item.key == key), None)


def values(item: Advice | None) -> dict[str, float | str]:
    assert item is not None
    return {one.name: one.value for one in item.evidence}


def test_share_and_bound_are_computed_from_the_cycles() -> None:
    item = advice(launch(), "memory_latency")
    assert item is not None
    # 900 active, 720 of them without an issue; three quarters of those are attributed.
    assert item.share_pct == pytest.approx(54)
    # 8 warps, 3 of 5 of their time waiting for memory: more than one such warp, so all 720.
    assert item.gain_pct == pytest.approx(72)
    # With half a warp a scheduler, 0.3 of them wait: 0.3 of 900 cycles.
    few = advice(launch(warps=0.5), "memory_latency")
    assert few is not None
    assert few.gain_pct == pytest.approx(27)


def test_uncoalesced_access_is_told_by_its_excess() -> None:
    tables = {
        "memory_l2_theoretical_sectors_global": instances({0: 300, 16: 100}),
        "memory_l2_theoretical_sectors_global_ideal": instances({0: 60, 16: 40}),
    }
    traffic = {
        "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": 320.0,
        "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum": 20.0,
    }
    found = values(advice(launch(metrics=traffic, instances=tables), "uncoalesced"))
    assert found["excessive global sectors"] == pytest.approx(75)
    assert found["sectors per global load request"] == pytest.approx(16)
    even = {name: instances({0: 100}) for name in tables}
    assert advice(launch(metrics=traffic, instances=even), "uncoalesced") is None
    # Without the profiler's own count, 16 sectors may be 16 bytes a thread; 20 can't.
    assert advice(launch(metrics=traffic), "uncoalesced") is None
    traffic["l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"] = 400.0
    assert advice(launch(metrics=traffic), "uncoalesced") is not None


def test_bank_conflicts_are_bounded_by_the_cycles_they_take() -> None:
    def conflicts(count: float, stall: str) -> Advice | None:
        metrics = {
            "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum": count,
            "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum": 1e5,
        }
        return advice(launch({stall: 3.0}, metrics), "bank_conflicts")

    found = conflicts(1.08e4, "mio_throttle")
    # 108 SMs: 100 cycles of 1000 on each.
    assert found is not None
    assert found.gain_pct == pytest.approx(10)
    assert found.bound == "one cycle a conflict on the busiest SM"
    assert conflicts(9e3, "mio_throttle") is None, "under a tenth of the wavefronts"
    assert conflicts(1.08e4, "long_scoreboard") is None, "nothing waits for shared memory"


def test_occupancy_tells_how_far_its_limiter_must_shrink() -> None:
    limits = {
        "sm__maximum_warps_per_active_cycle_pct": 50.0,
        "launch__occupancy_limit_registers": 4,
        "launch__occupancy_limit_warps": 8,
    }
    shape = {"grid": Dim3(1000), "block": Dim3(256)}
    found = launch(metrics=limits, registers=64, shared_mem=SharedMemory(0, 0), **shape)
    item = advice(found, "occupancy")
    assert item is not None
    # sm_80: 64 Ki registers; 5 blocks of 8 warps leave 1638 a warp, 48 a thread.
    assert item.remedy == "for more occupancy: at most 48 registers per thread: 62 %"
    # Twice the warps: 900 active cycles become 450.
    assert item.gain_pct == pytest.approx(45)
    assert advice(launch(metrics=limits, issue=85.0), "occupancy") is None


def test_divergence_names_the_instruction_and_partial_warps_the_block() -> None:
    lanes = {
        "inst_executed": instances({0x100: 10, 0x110: 10, 0x120: 10}),
        "thread_inst_executed": instances({0x100: 320, 0x110: 80, 0x120: 160}),
    }
    low = {"smsp__thread_inst_executed_per_inst_executed.ratio": 16.0}
    item = advice(launch(metrics=low, instances=lanes), "divergence")
    found = values(item)
    assert found["most lanes are lost at"] == "offset 0x0010"
    assert found["lanes lost there"] == pytest.approx(60)
    assert item is not None
    assert item.gain_pct == pytest.approx(45)
    partial = launch(metrics=low, instances=lanes, block=Dim3(16))
    assert advice(partial, "divergence") is None
    assert values(advice(partial, "partial_warps"))["threads per block"] == 16


def test_divergence_is_told_by_source_line_where_the_code_has_a_line_table() -> None:
    source = """extern "C" __global__ void scale(float *y, const float *x, int n) {
  int i = threadIdx.x;
  if (i % 4 == 0) {
    y[i] = x[i] * x[i + n];
  }
}
"""
    cubin = compile_source(source, arch="sm_80", name="/kernprof/scale.cu").image
    index = next(s.index for s in elf.parse(cubin).symbols if s.name == "scale" and s.type == 2)
    size = next(s.size for s in elf.parse(cubin).symbols if s.name == "scale" and s.type == 2)
    code = MachineCode(cubin, index, 0x1000)
    offsets = range(0, size, 16)
    lines = [place[1] if place else None for place in source_positions(code, list(offsets))]
    assert 4 in lines
    # All 32 lanes but in the branch's body.
    tables = {
        "inst_executed": instances({0x1000 + o: 1 for o in offsets}),
        "thread_inst_executed": instances(
            {0x1000 + o: 8 if line == 4 else 32 for o, line in zip(offsets, lines, strict=True)}
        ),
    }
    low = {"smsp__thread_inst_executed_per_inst_executed.ratio": 16.0}
    found = values(advice(launch(metrics=low, instances=tables, code=code), "divergence"))
    assert found["most lanes are lost at"] == "scale.cu:4"
    assert found["lanes lost there"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("grid", "metrics", "key", "gain"),
    [
        (27, {}, "small_grid", 90 * 0.75),
        (200, {"launch__waves_per_multiprocessor": 1.25}, "tail", 37.5),
        (2000, {"sm__cycles_active.avg": 450.0}, "imbalance", 45.0),
    ],
)
def test_idle_sms(grid: int, metrics: dict[str, float], key: str, gain: float) -> None:
    item = advice(launch(metrics=metrics, grid=Dim3(grid)), key)
    assert item is not None
    assert item.gain_pct == pytest.approx(gain)


@pytest.mark.parametrize(
    ("stall", "key"),
    [
        ("barrier", "barrier"),
        ("wait", "dependency"),
        ("math_pipe_throttle", "pipe"),
        ("no_instruction", "fetch"),
        ("lg_throttle", "requests"),
    ],
)
def test_a_stall_that_matters_has_a_cause(stall: str, key: str) -> None:
    item = advice(launch({stall: 4.0, "misc": 4.0}), key)
    assert item is not None
    assert item.stalls == (stall,)
    assert item.share_pct == pytest.approx(36)
    assert advice(launch({stall: 0.2, "misc": 4.0}), key) is None


def test_bandwidth_and_short_launches() -> None:
    full = {
        "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": 90.0,
        "sm__throughput.avg.pct_of_peak_sustained_elapsed": 45.0,
    }
    item = advice(launch(metrics=full), "bandwidth")
    assert item is not None
    assert item.gain_pct == pytest.approx(50)
    short = advice(launch(metrics={"sm__cycles_active.max": 600.0}), "start")
    assert short is not None
    assert short.gain_pct == pytest.approx(40)


BUSY = {
    "compute": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "memory": "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
    "dram": "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "l1": "l1tex__throughput.avg.pct_of_peak_sustained_elapsed",
    "l2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
}


def used(**percent: float) -> dict[str, float]:
    return {BUSY[name]: value for name, value in percent.items()}


def test_no_bound_is_beyond_what_a_busy_unit_leaves_for_the_same_work() -> None:
    item = advice(launch(metrics=used(compute=30.0, memory=77.0, dram=60.0)), "memory_latency")
    assert item is not None
    assert item.gain_pct == pytest.approx(23)
    assert item.share_pct == pytest.approx(54)
    assert item.bound == "memory, now at 77 % of its peak, needs the rest for the same work"
    # Fewer and wider requests take less of the caches, but no byte less of DRAM.
    full = used(compute=30.0, memory=95.0, dram=40.0)
    queue = advice(launch({"lg_throttle": 9.0}, full), "requests")
    assert queue is not None
    assert queue.gain_pct == pytest.approx(60)


def test_what_a_cause_brings_with_it_is_not_told_beside_it() -> None:
    found = launch(
        metrics={
            "sm__warps_active.avg.pct_of_peak_sustained_active": 20.0,
            "launch__waves_per_multiprocessor": 0.1,
            "sm__maximum_warps_per_active_cycle_pct": 50.0,
        },
        grid=Dim3(10),
    )
    keys = [item.key for item in kernprof.advise(found)]
    assert keys[0] == "small_grid"
    assert not {"low_residency", "occupancy"} & set(keys)


def test_a_small_excess_of_sectors_is_a_small_cause() -> None:
    def excess(sectors: float) -> list[Advice]:
        name = "memory_l2_theoretical_sectors_global"
        counts = {name: sectors, f"{name}_ideal": 80.0}
        return list(kernprof.advise(launch(metrics=counts)))

    # 81 % of the cycles wait for memory: a fifth of that is the excess, the rest is latency.
    small = {item.key: item for item in excess(100.0)}
    assert small["uncoalesced"].share_pct == pytest.approx(0.2 * 54)
    assert "memory_latency" in small
    large = {item.key: item for item in excess(800.0)}
    assert large["uncoalesced"].share_pct == pytest.approx(0.9 * 54)
    assert "memory_latency" not in large


def test_atomics_on_one_address_are_weighed_by_their_turns() -> None:
    counts = {
        "l1tex__t_requests_pipe_lsu_mem_global_op_red.sum": 100.0,
        "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum": 200.0,
        "lts__t_requests_srcunit_tex_op_red.sum": 3200.0,
    }
    item = advice(launch({"drain": 3.0, "wait": 1.0}, counts), "atomics")
    assert item is not None
    assert values(item)["requests at L2 for each"] == 32
    assert item.share_pct == pytest.approx(54 * 3200 / 3400)


def test_a_full_unit_is_not_told_beside_what_fills_it() -> None:
    busy = used(compute=20.0, memory=95.0, dram=10.0, l1=95.0)
    assert advice(launch({"wait": 1.0}, busy), "l1") is not None
    name = "memory_l2_theoretical_sectors_global"
    uncoalesced = {**busy, name: 800.0, f"{name}_ideal": 100.0}
    assert advice(launch(metrics=uncoalesced), "l1") is None


def test_units_at_their_limits() -> None:
    item = advice(launch(metrics=used(compute=40.0, memory=90.0, dram=20.0, l1=90.0)), "l1")
    assert item is not None
    assert item.gain_pct == pytest.approx(100 * (1 - 40 / 90))
    item = advice(launch(metrics=used(compute=10.0, memory=88.0, dram=50.0, l2=88.0)), "l2")
    assert item is not None
    assert item.gain_pct == pytest.approx(50)
    item = advice(launch(metrics=used(compute=90.0, memory=30.0)), "compute")
    assert item is not None
    assert item.gain_pct == pytest.approx(100 * (1 - 30 / 90))
    item = advice(launch(metrics=used(compute=81.0, memory=85.0)), "balanced")
    assert item is not None
    assert item.gain_pct == pytest.approx(15)


def test_code_for_a_debugger_comes_first() -> None:
    table = InstanceTable(("MOV", "FADD", "FMUL", "LD.E"), (60, 15, 15, 10))
    stored = {"sass__inst_executed_per_opcode_with_modifier_all": table}
    found = launch(instances=stored, grid=Dim3(1000), warps=2.0)
    first, second = kernprof.advise(found)[:2]
    assert first.key == "unoptimised"
    # Not by its weight: it puts in doubt what the other figures say.
    tiny = InstanceTable(("MOV", "FADD", "FMUL"), (30, 35, 35))
    stored = {"sass__inst_executed_per_opcode_with_modifier_all": tiny}
    doubted, second = kernprof.advise(launch(instances=stored, grid=Dim3(1000)))[:2]
    assert doubted.key == "unoptimised"
    assert doubted.weight_pct < second.weight_pct
    assert first.share_pct == pytest.approx(0.6 * 90)
    assert values(first)["register moves of all instructions"] == pytest.approx(60)


def test_lanes_can_be_idle_without_a_divergent_branch() -> None:
    half = {"smsp__thread_inst_executed_per_inst_executed.ratio": 16.0}
    divergent = "smsp__sass_branch_targets_threads_divergent.sum"
    branches = {"smsp__sass_branch_targets.sum": 100.0, divergent: 0.0}
    assert advice(launch(metrics={**half, **branches}), "idle_lanes") is not None
    parting = instances({0x10: 1.0, 0x40: 9.0})
    item = advice(
        launch(
            metrics={**half, **branches, divergent: 10.0},
            instances={
                "smsp__branch_targets_threads_divergent": parting,
                "inst_executed": instances({0x0: 4.0, 0x10: 4.0, 0x40: 4.0}),
            },
        ),
        "divergence",
    )
    assert values(item)["most warps part at"] == "offset 0x0040"
    assert values(item)["of all divergent branches there"] == pytest.approx(90)


def test_a_grid_too_small_for_an_average_sm_fills_the_idle_ones() -> None:
    metrics = {
        "gpc__cycles_elapsed.max": 1000.0,
        "smsp__cycles_active.avg.pct_of_peak_sustained_elapsed": 10.0,
        "smsp__issue_active.avg.pct_of_peak_sustained_active": 20.0,
        "launch__waves_per_multiprocessor": 0.1,
        **issue_ratios(selected=1.0, wait=3.0),
    }
    item = advice(profile(metrics, grid=Dim3(27)), "small_grid")
    assert item is not None
    assert item.gain_pct == pytest.approx(90)


def test_without_cycles_there_is_evidence_but_no_gain() -> None:
    metrics = {n: v for n, v in launch().metrics.items() if not n.startswith("gpc__")}
    items = kernprof.advise(profile(metrics))
    assert items
    assert all(item.gain_pct is None for item in items if item.stalls)
    # Eight blocks on 108 SMs are too few whatever was measured.
    assert [item.key for item in kernprof.advise(profile({}))] == ["small_grid"]


@given(
    st.dictionaries(st.sampled_from(CORE), st.floats(0, 50), min_size=1),
    st.floats(0, 100),
    st.floats(0, 16),
)
def test_bounds_are_percentages_and_shares_never_beyond_the_stalled_cycles(
    stalls: dict[str, float], issue: float, warps: float
) -> None:
    for item in kernprof.advise(launch(stalls, issue=issue, warps=warps, gpu=Gpu())):
        assert item.gain_pct is not None
        assert 5 <= item.gain_pct <= 100
        if item.share_pct is not None:
            assert item.share_pct <= 90 * (1 - issue / 100) + 1e-6


def test_the_command_shows_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.ncu-rep"
    report.write_bytes(kernprof.write_report([launch()]))
    assert kernprof.main(["stalls", str(report), "--format", "json"]) == 0
    records = json.loads(capsys.readouterr().out)["profiles"]
    assert all(isinstance(record["advice"], list) for record in records)
    found = [item for record in records for item in record["advice"]]
    assert found
    assert {"cause", "evidence", "gain_at_most_pct", "share_pct", "remedy"} <= set(found[0])
    assert kernprof.main(["stalls", str(report)]) == 0
    assert "Likely causes for" in capsys.readouterr().out


ADDITION = "armleth__cuda-mlp-inference__report"
LARGE = "InhabitancyCocoon__feather_gemm__docs_profile_result_RTX4060_ChangeSize_512_"
FEATHER = "InhabitancyCocoon__feather_gemm__docs_profile_result_RTX4060_ChangeSize_128_"
SPEEDY = "suhithr__speedymatmul__profiles_"
CONVOLUTION = "Swagatam1812__hpca-gpu-memory-profiling__"


@pytest.mark.parametrize(
    ("author", "before", "after", "key"),
    [
        (FEATHER, "01_naive", "02_coalesce_memory", "uncoalesced"),
        (SPEEDY, "naive", "global_memory_coalescing", "uncoalesced"),
        (CONVOLUTION, "naive", "variant1", "uncoalesced"),
        (FEATHER, "08_warp_tile", "09_double_buffering", "memory_latency"),
        (LARGE, "02_coalesce_memory", "03_tiled", "requests"),
        (LARGE, "03_tiled", "04_4x_coarsen_tiled", "shared_traffic"),
        (SPEEDY, "sharedmem_blocking", "1dblocktiling", "shared_traffic"),
        (SPEEDY, "1dblocktiling", "2d_sharedmem_blocking", "shared_traffic"),
        (ADDITION, "_v4_8_per_thread", "_v5_4_per_thread", "uncoalesced"),
        (ADDITION, "_v5_4_per_thread", "_v6_1d_1_per_thread", "uncoalesced"),
        (ADDITION, "_v7_1d_4_per_thread_blocked", "_v8_1d_1_per_thread_stripped", "uncoalesced"),
    ],
)
def test_what_authors_saved_is_within_the_bound_of_the_cause_they_removed(
    shared_reports: Path, author: str, before: str, after: str, key: str
) -> None:
    sides = [
        kernprof.load(shared_reports / f"{author}{step}.ncu-rep").profiles[-1]
        for step in (before, after)
    ]
    cycles = [side.cycles for side in sides]
    assert cycles[0] is not None
    assert cycles[1] is not None
    item = advice(sides[0], key)
    assert item is not None
    assert item.gain_pct is not None
    assert 100 * (1 - cycles[1] / cycles[0]) <= item.gain_pct


def test_the_block_size_advised_is_the_nearest_of_the_best() -> None:
    # 48 warps an SM: a block of 32 leaves a third of them unused, one of 24 or of 16 warps none.
    limits = {
        "sm__maximum_warps_per_active_cycle_pct": 100 * 32 / 48,
        "launch__occupancy_limit_registers": 4,
        "launch__occupancy_limit_warps": 1,
    }
    found = launch(
        metrics=limits,
        gpu=Gpu("A10", "8.6", 72),
        grid=Dim3(10_000),
        block=Dim3(1024),
        registers=16,
        shared_mem=SharedMemory(0, 0),
    )
    item = advice(found, "occupancy")
    assert item is not None
    assert item.remedy == "for more occupancy: blocks of 768 threads: 100 %"


def test_without_cycles_causes_are_sorted_by_warp_time_under_their_own_names() -> None:
    shares = {
        "stall_inst_fetch": 55.0,
        "stall_memory_dependency": 30.0,
        "stall_exec_dependency": 15.0,
    }
    found = kernprof.advise(profile(shares, grid=Dim3(1000)))
    assert [item.key for item in found][:2] == ["fetch", "memory_latency"]
    assert values(found[0]) == {"inst_fetch": 55.0}
    assert found[0].gain_pct is None
