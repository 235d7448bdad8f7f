from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profiles import issue_ratios, profile

import kernprof
from kernprof.comparison.match import Match, match
from kernprof.comparison.noise import Noise
from kernprof.errors import UnknownNameError, UsageError
from kernprof.profile import Dim3, KernelProfile


def launch(cycles: float = 1000.0, issue: float = 50.0, **overrides: Any) -> KernelProfile:
    """A launch of 1000 cycles, 20 % of them idle, half of the rest issuing."""
    stalls = overrides.pop("stalls", {"long_scoreboard": 3.0, "wait": 1.0, "not_selected": 9.0})
    metrics = {
        "gpc__cycles_elapsed.max": cycles,
        "gpu__time_duration.sum": cycles / 2,
        "smsp__cycles_active.avg.pct_of_peak_sustained_elapsed": 80.0,
        "smsp__issue_active.avg.pct_of_peak_sustained_active": issue,
        **issue_ratios(selected=1.0, **stalls),
        **overrides.pop("metrics", {}),
    }
    return profile(metrics, **overrides)


def test_cycles_are_split_so_that_the_parts_add_up() -> None:
    pair = kernprof.compare(launch(), launch(2000.0, 25.0)).pairs[0]
    base = {part.name: part.base_cycles for part in pair.parts}
    # 200 idle; 800 resident, half of them issuing; 400 stalled at 3 to 1, not_selected apart.
    assert base["no_warp_resident"] == pytest.approx(200)
    assert base["issuing"] == pytest.approx(400)
    assert base["long_scoreboard"] == pytest.approx(300)
    assert base["wait"] == pytest.approx(100)
    assert "not_selected" not in base
    assert math.fsum(part.new_cycles for part in pair.parts) == pytest.approx(2000)
    assert math.fsum(p.share_of_change_pct or 0 for p in pair.parts) == pytest.approx(100)
    deltas = [abs(part.delta_cycles) for part in pair.parts]
    assert deltas == sorted(deltas, reverse=True)
    assert pair.change("stall.long_scoreboard").new == pytest.approx(2000 * 0.8 * 0.75 * 0.75)


def test_the_busiest_sm_is_split_where_both_sides_tell_it() -> None:
    busy = {"sm__cycles_active.max": 900.0, "sm__cycles_active.avg": 450.0}
    told = launch(metrics=busy)
    pair = kernprof.compare(told, told).pairs[0]
    assert pair.scope == "busiest SM"
    assert {p.name: p.base_cycles for p in pair.parts}["no_warp_resident"] == pytest.approx(100)
    assert pair.change("sm_balance_pct").base == pytest.approx(50)
    mixed = kernprof.compare(told, launch()).pairs[0]
    assert mixed.scope == "average SM"
    assert {p.name: p.base_cycles for p in mixed.parts}["no_warp_resident"] == pytest.approx(200)


def test_both_sides_use_one_family_of_stalls_or_none() -> None:
    sampled = launch()
    kept = {n: v for n, v in sampled.metrics.items() if "per_issue_active" not in n}
    names = [n for n in sampled.metrics if "per_issue_active" in n]
    as_shares = {
        n.replace("average_warps_issue", "warp_issue").replace(
            "issue_active.ratio", "warp_active.pct"
        ): 5
        for n in names
    }
    pair = kernprof.compare(launch(), replace(sampled, metrics={**kept, **as_shares})).pairs[0]
    assert pair.parts == ()
    assert pair.family is None
    assert any("family of stall reasons on both sides" in note for note in pair.notes)


def test_a_missing_counter_is_named_and_nothing_is_split() -> None:
    base = launch()
    metrics = {n: v for n, v in base.metrics.items() if "cycles_active" not in n}
    pair = kernprof.compare(replace(base, metrics=metrics), launch(500.0)).pairs[0]
    assert pair.parts == ()
    assert "SM utilization" in pair.notes[-1] + pair.notes[0]
    assert pair.sentence.startswith("2.00x faster (1,000 -> 500 cycles, -50.0 %)")


def test_the_sentence_names_cause_and_witness() -> None:
    def side(cycles: float, sectors: float, stalls: dict[str, float]) -> KernelProfile:
        traffic = {
            "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": sectors,
            "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum": 100.0,
        }
        return launch(cycles, 400 / cycles * 125, stalls=stalls, metrics=traffic)

    base = side(1000.0, 3200.0, {"long_scoreboard": 4.0})
    new = side(800.0, 400.0, {"long_scoreboard": 1.0, "barrier": 1.0})
    sentence = kernprof.compare(base, new).pairs[0].sentence
    assert "1.25x faster" in sentence
    assert "fewer cycles waiting for global or local memory [long_scoreboard]" in sentence
    assert "(Sectors per global load 32 -> 4)" in sentence
    assert "Against it: 120 more cycles waiting at block barriers [barrier]" in sentence


def test_repeated_launches_decide_what_is_noise() -> None:
    base = [launch(c) for c in (1000, 1010, 990, 1005)]
    slower = kernprof.compare(base, [launch(c) for c in (1100, 1110, 1090, 1120)])
    assert slower.pairs[0].change("cycles").noise is Noise.SIGNIFICANT
    same = kernprof.compare(
        base, [launch(c) for c in (1004, 1011, 991, 1200)], fail_if=["cycles > +0%"]
    )
    assert same.pairs[0].change("cycles").noise is Noise.WITHIN_NOISE
    assert "within the spread" in same.pairs[0].sentence
    assert same.failed == ()


def test_noise_is_told_part_by_part_and_for_the_classes() -> None:
    def side(barrier: float) -> list[KernelProfile]:
        return [
            launch(c, stalls={"wait": 3.0, "barrier": barrier + c / 1e5})
            for c in (1000, 1010, 990, 1005)
        ]

    same = kernprof.compare(side(1.0), side(1.0)).pairs[0]
    assert same.change("stall.barrier").noise is Noise.WITHIN_NOISE
    assert same.change("synchronization_pct").noise is Noise.WITHIN_NOISE
    worse = kernprof.compare(side(1.0), side(2.0)).pairs[0]
    assert worse.change("stall.barrier").noise is Noise.SIGNIFICANT
    assert worse.change("synchronization_pct").noise is Noise.SIGNIFICANT
    assert worse.change("cycles").noise is Noise.WITHIN_NOISE


def test_matching_takes_the_surest_first() -> None:
    a = [launch(kernel="x", grid=Dim3(8)), launch(kernel="y"), launch(kernel="gone")]
    b = [launch(kernel="y"), launch(kernel="x", grid=Dim3(4)), launch(kernel="x", grid=Dim3(8))]
    found = match(a, b)
    assert [(p.base[0].kernel, p.new[0].grid, p.by) for p in found.pairs] == [
        ("x", Dim3(8), "name and geometry"),
        ("y", Dim3(8), "name and geometry"),
    ]
    assert [members[0].kernel for members in found.only_base] == ["gone"]
    assert [members[0].grid for members in found.only_new] == [Dim3(4)]
    assert [p.by for p in match(a, b, Match.ORDER).pairs] == ["order"] * 3
    with pytest.raises(UsageError, match="as many kernels"):
        match(a, b[:2], Match.ORDER)


def test_different_kernels_are_paired_only_where_there_is_one_of_each() -> None:
    one = kernprof.compare(launch(kernel="old"), launch(kernel="new"))
    assert one.pairs[0].matched_by == "order: one kernel on each side"
    assert one.pairs[0].kernel == "old -> new"
    with pytest.raises(UsageError, match="no kernel in common"):
        kernprof.compare([launch(kernel="a"), launch(kernel="b")], launch(kernel="c"))


def test_gates_on_figures_stalls_and_metrics() -> None:
    gates = [
        "cycles > +5%",
        "stall.wait > +10",
        "smsp__issue_active.avg.pct_of_peak_sustained_active < 30",
        "registers > 64",
        "cycles > +1% for ^other",
    ]
    found = kernprof.compare(
        [launch(), launch(kernel="other")],
        [launch(2000.0, 25.0), launch(kernel="other")],
        fail_if=gates,
    )
    assert [(f.kernel, f.gate) for f in found.failed] == [
        ("kernel", gates[0]),
        ("kernel", gates[1]),
        ("kernel", gates[2]),
        ("kernel", gates[3]),
        ("other", gates[3]),
    ]
    assert "registers is n/a in base and new" in found.failed[3].reason
    with pytest.raises(UnknownNameError, match="did you mean cycles"):
        kernprof.compare(launch(), launch(), fail_if=["cycle > 1"])
    with pytest.raises(UsageError, match="is for no kernel"):
        kernprof.compare(launch(), launch(), fail_if=["cycles > 1 for gmev"])


def test_frames_hold_figures_and_attributed_cycles() -> None:
    frame = kernprof.compare(launch(), launch(2000.0)).to_frame()
    cycles = frame[frame["key"] == "cycles"].iloc[0]
    assert (cycles["base"], cycles["new"], cycles["relative_pct"]) == (1000, 2000, 100)
    assert "stall.long_scoreboard" in set(frame["key"])


FEATHER = "InhabitancyCocoon__feather_gemm__docs_profile_result_RTX4060_ChangeSize_128_"
SPEEDY = "suhithr__speedymatmul__profiles_"
LADDER = [
    (FEATHER, "01_naive", "02_coalesce_memory", "lg_throttle", "per global load 16.6 -> 2.51"),
    (FEATHER, "02_coalesce_memory", "03_tiled", "lg_throttle", "load requests 132 k -> 4.61 k"),
    (FEATHER, "08_warp_tile", "09_double_buffering", "long_scoreboard", "global or local memory"),
    (SPEEDY, "naive", "global_memory_coalescing", "long_scoreboard", "load 16.5 -> 2.5"),
    (SPEEDY, "sharedmem_blocking", "1dblocktiling", "mio_throttle", "wavefronts 424 M -> 177 M"),
]


@pytest.mark.parametrize(("author", "before", "after", "cause", "witness"), LADDER)
def test_a_tuning_ladder_is_told_as_its_author_names_the_steps(
    shared_reports: Path, author: str, before: str, after: str, cause: str, witness: str
) -> None:
    files = [shared_reports / f"{author}{step}.ncu-rep" for step in (before, after)]
    pair = kernprof.compare(*files).pairs[0]
    assert pair.parts[0].name == cause
    assert pair.parts[0].delta_cycles < 0
    assert witness in pair.sentence
    assert pair.scope == "busiest SM"
    for side in ("base_cycles", "new_cycles"):
        whole = pair.change("cycles")
        expected = whole.base if side == "base_cycles" else whole.new
        assert math.fsum(getattr(p, side) for p in pair.parts) == pytest.approx(expected)
