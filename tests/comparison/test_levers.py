from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profiles import profile

import kernprof
from kernprof.profile import Dim3, Gpu, InstanceTable, KernelProfile, SharedMemory
from kernprof.stalls.mix import mix

TRACE = Path(__file__).parents[2] / "traces" / "depthwise-caffe-p100.ncu-rep"
OPCODES = "sass__inst_executed_per_opcode_with_modifier_all"
REQUESTS = "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"


def kernel(
    cycles: float = 1000.0, opcodes: dict[str, float] | None = None, **changed: Any
) -> KernelProfile:
    metrics = {"gpc__cycles_elapsed.max": cycles, **changed.pop("metrics", {})}
    fields: dict[str, Any] = {
        "grid": Dim3(64),
        "gpu": Gpu("A10", "8.6", 72),
        "registers": 32,
        "shared_mem": SharedMemory(0, 0),
        **changed,
    }
    made = profile(metrics, **fields)
    if opcodes is None:
        return made
    table = InstanceTable(tuple(opcodes), tuple(opcodes.values()))
    return replace(made, instances={OPCODES: table})


def told(base: KernelProfile, new: KernelProfile) -> dict[str, str]:
    return {lever.key: lever.text for lever in kernprof.compare(base, new).pairs[0].levers}


GEMM = {"FFMA": 1000.0, "FMUL": 10.0, "LDG.E": 400.0, "BRA": 20.0, "MOV": 30.0}


def test_a_mix_counts_groups_and_widths() -> None:
    found = mix(kernel(opcodes={**GEMM, "LDG.E.128": 400.0, "HMMA.16816.F32": 5.0}))
    assert found is not None
    assert found.total == 1865
    assert found.arithmetic == 1005
    assert found.of("global_load") == 800
    assert found.bytes_per_thread("global_load") == pytest.approx((4 + 16) / 2)
    assert found.bytes_per_thread("shared_load") is None
    assert not found.looks_unoptimised
    assert mix(kernel()) is None


def test_without_modifiers_no_width_is_told() -> None:
    table = InstanceTable(("LDG", "FADD"), (8, 2))
    found = mix(replace(kernel(), instances={"sass__inst_executed_per_opcode": table}))
    assert found is not None
    assert found.bytes_per_thread("global_load") is None
    assert found.arithmetic == 2


def test_the_disassembler_counts_what_a_report_does_not_store() -> None:
    launch = kernprof.load(TRACE).profiles[3]
    found = mix(launch)
    assert found is not None
    assert found.total == launch.value("smsp__inst_executed.sum")
    assert found.of("multiply_add") > 0
    assert mix(launch, disassembled=False) is None


def test_an_unknown_count_leaves_the_mix_unknown() -> None:
    launch = kernprof.load(TRACE).profiles[3]
    executed = launch.instances["inst_executed"]
    counts = [float("nan"), *executed.values[1:]]
    broken = {**launch.instances, "inst_executed": InstanceTable(executed.keys, counts)}
    assert mix(replace(launch, instances=broken)) is None
    stored = InstanceTable(("FFMA", "MOV"), (5.0, float("inf")))
    found = mix(kernel())
    assert found is None
    found = mix(replace(kernel(), instances={OPCODES: stored}))
    assert found is None


@pytest.mark.parametrize(
    ("opcodes", "debug"),
    [
        ({"MOV": 50.0, "FMUL": 10.0, "FADD": 10.0, "LDG.E": 10.0}, True),
        ({"MOV": 50.0, "FFMA": 20.0, "LD.E": 10.0}, True),
        ({"MOV": 50.0, "FFMA": 20.0, "LDG.E": 10.0}, False),
        ({"MOV": 10.0, "FMUL": 50.0, "FADD": 50.0, "LD.E": 10.0}, False),
    ],
)
def test_debug_builds_are_recognised(opcodes: dict[str, float], debug: bool) -> None:
    found = mix(kernel(opcodes=opcodes))
    assert found is not None
    assert found.looks_unoptimised is debug


def test_the_same_code_is_said_to_be_the_same() -> None:
    assert told(kernel(opcodes=GEMM), kernel(900.0, opcodes=dict(GEMM))) == {
        "same_code": "Both execute the same instructions, opcode by opcode"
    }


def test_work_per_thread_needs_the_same_arithmetic() -> None:
    coarse = kernel(800.0, {**GEMM, "LDG.E": 390.0}, grid=Dim3(16))
    assert told(kernel(opcodes=GEMM), coarse)["thread_work"] == (
        "each thread does 4x the work (16,384 -> 4,096 threads)"
    )
    other = kernel(800.0, {**GEMM, "FFMA": 250.0}, grid=Dim3(16))
    assert told(kernel(opcodes=GEMM), other)["thread_work"] == "4x fewer threads (16,384 -> 4,096)"
    finer = kernel(800.0, {**GEMM, "LDG.E": 390.0}, grid=Dim3(128))
    assert told(kernel(opcodes=GEMM), finer)["thread_work"] == (
        "the same work for 2x as many threads (16,384 -> 32,768)"
    )


def test_coalescing_is_excess_over_the_ideal_or_sectors_of_equally_wide_loads() -> None:
    def side(cycles: float, excess: float) -> KernelProfile:
        ideal = "memory_l2_theoretical_sectors_global"
        return kernel(cycles, metrics={ideal: 100 * excess, f"{ideal}_ideal": 100.0})

    assert "better (8 -> 1 times" in told(side(1000.0, 8.0), side(500.0, 1.0))["coalescing"]
    assert "worse (1 -> 8 times" in told(side(1000.0, 1.0), side(1500.0, 8.0))["coalescing"]

    def loads(cycles: float, per_request: float, opcode: str, requests: float) -> KernelProfile:
        metrics = {REQUESTS: requests, SECTORS: requests * per_request}
        return kernel(cycles, {"FFMA": 900.0, opcode: requests}, metrics=metrics)

    strided = told(loads(1000.0, 16.0, "LDG.E", 400.0), loads(500.0, 4.0, "LDG.E", 400.0))
    assert "(16 -> 4 sectors per global load)" in strided["coalescing"]
    # Loads four times as wide need four times the sectors: that is no matter of coalescing.
    wide = told(loads(1000.0, 4.0, "LDG.E", 400.0), loads(500.0, 16.0, "LDG.E.128", 100.0))
    assert "coalescing" not in wide
    assert wide["width"] == "wider global loads (4 -> 16 B a thread on average)"


def test_staging_in_shared_memory_cites_the_loads_it_saves() -> None:
    base = kernel(opcodes=GEMM, metrics={REQUESTS: 400.0})
    tiled = kernel(
        500.0,
        {**GEMM, "LDG.E": 40.0, "LDS": 400.0},
        metrics={REQUESTS: 40.0},
        shared_mem=SharedMemory(4096, 0),
    )
    assert told(base, tiled)["staging"] == (
        "blocks use shared memory (0 -> 4,096 B), with 10x fewer global loads"
    )
    assert "no longer use shared memory (4,096 -> 0 B)" in told(tiled, base)["staging"]


def test_double_buffering_is_twice_the_memory_for_fewer_barriers() -> None:
    base = kernel(
        opcodes={**GEMM, "BAR.SYNC": 200.0, "LDS": 500.0}, shared_mem=SharedMemory(8192, 0)
    )
    new = kernel(
        900.0, {**GEMM, "BAR.SYNC": 100.0, "LDS": 500.0}, shared_mem=SharedMemory(16384, 0)
    )
    assert "2x fewer barriers, as double buffering" in told(base, new)["double_buffering"]
    assert "shared" not in told(base, new)
    once = replace(new, shared_mem=SharedMemory(8192, 0))
    assert told(base, once)["barriers"] == "2x fewer barriers a warp (0.391 -> 0.195)"


def test_conflicts_coverage_spills_and_matrix_units() -> None:
    conflicts = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
    waves = "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum"
    base = kernel(metrics={conflicts: 50.0, waves: 100.0})
    new = kernel(900.0, metrics={conflicts: 0.0, waves: 50.0}, grid=Dim3(8))
    found = told(base, new)
    assert found["bank_conflicts"] == (
        "fewer bank conflicts (50 -> 0 % of shared-memory wavefronts)"
    )
    assert found["coverage"] == "blocks for 8 of the 72 SMs (was 64)"
    tensor = told(kernel(opcodes=GEMM), kernel(200.0, {"HMMA.16816.F32": 60.0, "STL": 4.0}))
    assert tensor["tensor"] == "now matrix instructions (tensor cores)"
    assert tensor["spills"] == "now accesses to local memory (spilled registers)"


def test_what_should_have_had_another_effect_comes_after_a_but() -> None:
    ideal = "memory_l2_theoretical_sectors_global"
    base = kernel(metrics={ideal: 800.0, f"{ideal}_ideal": 100.0})
    new = kernel(2000.0, metrics={ideal: 100.0, f"{ideal}_ideal": 100.0}, grid=Dim3(2))
    sentence = kernprof.compare(base, new).pairs[0].sentence
    assert "What changed: blocks for 2 of the 72 SMs (was 64)" in sentence
    assert "; but global accesses coalesce better" in sentence
