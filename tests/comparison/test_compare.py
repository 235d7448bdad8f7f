from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from profiles import issue_ratios, profile

import kernprof
from kernprof.comparison.changes import Change
from kernprof.comparison.match import RENAMED, Match, match
from kernprof.comparison.noise import Noise, Verdict
from kernprof.comparison.sides import Side, Sides
from kernprof.errors import UnknownNameError, UsageError
from kernprof.profile import Dim3, KernelProfile
from kernprof.view.compare import together
from kernprof.view.junit import junit


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
        base, [launch(c) for c in (1004, 1009, 991, 1200)], fail_if=["cycles > +0%"]
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
    ]
    assert [(u.kernel, u.gate, u.pair) for u in found.unjudged] == [
        ("kernel", gates[3], 0),
        ("other", gates[3], 1),
    ]
    assert "registers is n/a in base and new" in found.unjudged[0].reason
    assert not found.passed
    with pytest.raises(UnknownNameError, match="did you mean cycles"):
        kernprof.compare(launch(), launch(), fail_if=["cycle > 1"])
    with pytest.raises(UsageError, match="is for no kernel"):
        kernprof.compare(launch(), launch(), fail_if=["cycles > 1 for gmev"])


def test_a_gate_for_a_kernel_of_one_side_is_not_judged() -> None:
    base = [launch(kernel="a"), launch(kernel="gone", origin="r#1"), launch(kernel="b")]
    new = [launch(kernel="a"), launch(kernel="b"), launch(kernel="added", grid=Dim3(99))]
    found = kernprof.compare(base, new, fail_if=["cycles > +5%", "cycles > +1% for gone"])
    assert found.failed == ()
    assert [(u.gate, u.kernel, u.pair, u.side) for u in found.unjudged] == [
        ("cycles > +5%", "gone", None, "base"),
        ("cycles > +1% for gone", "gone", None, "base"),
        ("cycles > +5%", "added", None, "new"),
    ]
    assert found.unjudged[0].reason.startswith("only the base has this kernel")
    assert not found.passed
    assert kernprof.compare(base, new, fail_if=["cycles > +5% for ^[ab]$"]).passed


def test_one_sided_kernels_of_one_origin_are_a_case_each() -> None:
    base = [launch(kernel=name) for name in ("a", "gone", "lost")]
    found = kernprof.compare(base, launch(kernel="a"), fail_if=["cycles > +5%"])
    assert junit(found).count("<testcase") == 3
    assert junit(found).count("<error") == 2


def durations(name: str, *values: float, **overrides: Any) -> list[KernelProfile]:
    return [profile({"gpu__time_duration.sum": v}, kernel=name, **overrides) for v in values]


def test_launches_of_unlike_length_are_compared_with_their_own() -> None:
    gate = ["duration_ns > +5%"]
    base = durations("read", 17_952, 713_952)
    slower = kernprof.compare(base, durations("read", 117_568, 7_134_624), fail_if=gate)
    assert [f.gate for f in slower.failed] == gate
    change = slower.pairs[0].change("duration_ns")
    assert change.noise is Noise.SIGNIFICANT
    assert change.launches_pct == pytest.approx((554.9, 727.1, 899.3), abs=0.05)
    assert "launch by launch +554.9 to +899.3 %" in slower.pairs[0].sentence
    same = kernprof.compare(base, durations("read", 18_101, 709_800), fail_if=gate)
    assert same.passed
    assert "too few launches to tell" in same.pairs[0].sentence
    swapped = kernprof.compare(base, durations("read", 7_134_624, 117_568), fail_if=gate)
    assert [u.gate for u in swapped.unjudged] == gate


def test_stall_parts_and_classes_are_paired_too() -> None:
    def side(factor: float) -> list[KernelProfile]:
        return [launch(c * factor, 50 / factor) for c in (1000.0, 50_000.0, 9000.0)]

    found = kernprof.compare(side(1.0), side(2.0), fail_if=["stall.wait > +50%"])
    assert [f.gate for f in found.failed] == ["stall.wait > +50%"]
    assert len(found.pairs[0].change("stall.wait").pairs) == 3


def test_different_numbers_of_launches_are_compared_per_launch() -> None:
    base = [*durations("k", 100, 110, 90, 100), *durations("other", 50)]
    new = [*durations("k", *([100, 110, 90, 104] * 10 + [99])), *durations("other", 60)]
    found = kernprof.compare(base, new, fail_if=["duration_ns > +25%"])
    assert found.passed
    pair = next(pair for pair in found.pairs if pair.kernel == "k")
    assert pair.counts == (4, 41)
    per_launch = (10 * (100 + 110 + 90 + 104) + 99) / 41
    assert pair.whole("duration_ns") == pytest.approx((400, 4 * per_launch))
    assert found.whole() == pytest.approx((450, 4 * per_launch + 60))
    assert "different numbers of launches (4 and 41)" in pair.notes[0]
    assert together(found) == (
        "Per launch, each kernel as often as the base launches it (different numbers: k 4 against "
        "41): 450 -> 464 ns (+3.1 %); other is 72 % of the difference."
    )
    assert "All launches together: 450 -> 450 ns" in (together(kernprof.compare(base, base)) or "")


def test_all_launches_together_are_summed_up_whatever_their_length() -> None:
    base = [*durations("k", 10, 20, 1000), *durations("other", 50)]
    assert kernprof.compare(base, base).whole() == pytest.approx((1080, 1080))


def test_a_record_of_several_launches_counts_as_many() -> None:
    base = [replace(p, launches=n) for p, n in zip(durations("k", 10, 40), (3, 1), strict=True)]
    found = kernprof.compare(base, durations("k", 20, 20, 30, 20))
    assert found.pairs[0].whole("duration_ns") == pytest.approx((70, 90))


def test_launches_are_not_paired_where_some_do_not_tell_the_figure() -> None:
    def side(*of_launches: tuple[float, float]) -> list[KernelProfile]:
        name = "l1tex__t_{}_pipe_lsu_mem_global_op_ld.sum".format
        return [profile({name("requests"): r, name("sectors"): s}) for r, s in of_launches]

    base, new = side((10, 40), (0, 0), (10, 320)), side((10, 50), (10, 400), (0, 0))
    change = kernprof.compare(base, new).pairs[0].change("global_load_sectors_per_request")
    assert (change.verdict.base, change.verdict.new) == ((4, 32), (5, 40))
    assert change.pairs == ()
    assert change.noise is Noise.TOO_FEW


def test_a_figure_that_some_launches_lack_is_not_said_to_be_uncollected() -> None:
    new = [*durations("k", 10, 12), profile({"launch__waves": 1.0}, kernel="k")]
    found = kernprof.compare(durations("k", 10, 12, 11), new, fail_if=["duration_ns > +5%"])
    assert found.unjudged[0].reason == (
        "duration_ns is n/a in new: only 2 of its 3 launches tell it; collect it with ncu "
        "--section SpeedOfLight, for all of them"
    )


def test_what_may_be_noise_explains_nothing() -> None:
    pairs = {
        noise: Sides(
            Side(profile({}), None),
            Side(profile({}), None),
            {"x": Change("x", "X", "work", "", 1.0, 2.0, Verdict(noise))},
        ).pair("x")
        for noise in Noise
    }
    told = {noise for noise, pair in pairs.items() if pair is not None}
    assert {Noise.WITHIN_NOISE, Noise.TOO_FEW} == set(Noise) - told


def test_renamed_kernels_are_paired_where_everything_else_fits() -> None:
    base = [launch(kernel="a"), *durations("old1", 5, 6), launch(kernel="old2", grid=Dim3(3))]
    new = [*durations("new1", 7, 7), launch(kernel="new2", grid=Dim3(3)), launch(kernel="a")]
    found = match(base, new)
    assert [(p.base[0].kernel, p.new[0].kernel) for p in found.pairs] == [
        ("a", "a"),
        ("old1", "new1"),
        ("old2", "new2"),
    ]
    assert [p.by for p in found.pairs] == ["name and geometry", RENAMED, RENAMED]
    pair = next(p for p in kernprof.compare(base, new).pairs if p.kernel == "old1 -> new1")
    assert pair.notes[0].startswith("the names differ: taken for one kernel")
    assert [p.base[0].kernel for p in match(base, new, Match.NAME).pairs] == ["a"]
    assert [p.base[0].kernel for p in match(base, new, Match.GEOMETRY).pairs] == ["a"]


@pytest.mark.parametrize(
    "new",
    [
        # One launch more, another grid, another block, one kernel less, another order.
        [*durations("new1", 7, 7, 7), launch(kernel="new2", grid=Dim3(3))],
        [*durations("new1", 7, 7), launch(kernel="new2", grid=Dim3(4))],
        [*durations("new1", 7, 7), launch(kernel="new2", grid=Dim3(3), block=Dim3(32))],
        durations("new1", 7, 7),
        [launch(kernel="new2", grid=Dim3(3)), *durations("new1", 7, 7)],
    ],
)
def test_renamed_kernels_are_not_guessed_where_something_does_not_fit(
    new: list[KernelProfile],
) -> None:
    base = [launch(kernel="a"), *durations("old1", 5, 6), launch(kernel="old2", grid=Dim3(3))]
    found = match(base, [launch(kernel="a"), *new])
    assert [p.base[0].kernel for p in found.pairs] == ["a"]
    assert len(found.only_base) == 2


def test_an_unknown_geometry_is_no_likeness() -> None:
    sides = [
        [launch(kernel=name, grid=None, block=None) for name in ("a", other)]
        for other in ("old", "new")
    ]
    assert len(match(*sides).pairs) == 1


def test_frames_hold_figures_and_attributed_cycles() -> None:
    frame = kernprof.compare(launch(), launch(2000.0)).to_frame()
    cycles = frame[frame["key"] == "cycles"].iloc[0]
    assert (cycles["base"], cycles["new"], cycles["relative_pct"]) == (1000, 2000, 100)
    assert "stall.long_scoreboard" in set(frame["key"])


def test_what_explains_most_comes_first_and_shares_add_up() -> None:
    base = [launch(1000.0, kernel=name) for name in ("a", "b", "b", "c")]
    new = [
        launch(c, kernel=k) for k, c in (("a", 1100.0), ("b", 900.0), ("b", 900.0), ("c", 700.0))
    ]
    found = kernprof.compare(base, new)
    assert [pair.kernel for pair in found.pairs] == ["c", "b", "a"]
    # Two launches of b save 100 cycles each; durations are half the cycles.
    assert found.whole() == pytest.approx((2000.0, 1800.0))
    assert found.measure == "duration_ns"
    shares = [found.share_of_change_pct(pair) for pair in found.pairs]
    assert shares == pytest.approx([75.0, 50.0, -25.0])


def test_equal_times_are_not_explained_by_small_parts() -> None:
    sentence = kernprof.compare(launch(1000.0), launch(1005.0)).pairs[0].sentence
    assert sentence.startswith("Practically equal (1,000 -> 1,005 cycles, +0.5 %)")
    assert "mostly" not in sentence
    traded = launch(1004.0, stalls={"long_scoreboard": 1.0, "barrier": 3.0, "not_selected": 9.0})
    sentence = kernprof.compare(launch(1000.0), traded).pairs[0].sentence
    assert "fewer cycles waiting for global or local memory [long_scoreboard]" in sentence
    assert "but 301 more cycles waiting at block barriers [barrier]" in sentence


FEATHER = "InhabitancyCocoon__feather_gemm__docs_profile_result_RTX4060_ChangeSize_128_"
LARGE = FEATHER.replace("128", "512")
SPEEDY = "suhithr__speedymatmul__profiles_"
LADDER = [
    (FEATHER, "01_naive", "02_coalesce_memory", "lg_throttle", "coalesce better (6.62 -> 1 times"),
    (FEATHER, "02_coalesce_memory", "03_tiled", "lg_throttle", "use shared memory (0 -> 8,192 B)"),
    (FEATHER, "03_tiled", "04_4x_coarsen_tiled", "mio_throttle", "4 of the 24 SMs (was 16); each"),
    (FEATHER, "04_4x_coarsen_tiled", "05_8x_compute", "long_scoreboard", "does 2x the work"),
    (FEATHER, "05_8x_compute", "06_more_compute", "issuing", "1 of the 24 SMs (was 4)"),
    (FEATHER, "06_more_compute", "07_vectorize", "dispatch_stall", "wider global loads (4 -> 8 B"),
    (FEATHER, "07_vectorize", "08_warp_tile", "long_scoreboard", "bank conflicts (39 -> 0 %"),
    (FEATHER, "08_warp_tile", "09_double_buffering", "long_scoreboard", "as double buffering has"),
    (LARGE, "03_tiled", "04_4x_coarsen_tiled", "mio_throttle", "each thread does 4x the work"),
    (SPEEDY, "naive", "global_memory_coalescing", "long_scoreboard", "coalesce better (6.6 -> 1"),
    (SPEEDY, "global_memory_coalescing", "sharedmem_blocking", "wait", "nvcc -G"),
    (SPEEDY, "sharedmem_blocking", "1dblocktiling", "mio_throttle", "each thread does 8x the work"),
    (
        SPEEDY,
        "1dblocktiling",
        "2d_sharedmem_blocking",
        "mio_throttle",
        "instruction (0.375 -> 0.06",
    ),
]


@pytest.mark.parametrize(("author", "before", "after", "cause", "change"), LADDER)
def test_a_tuning_ladder_is_told_as_its_author_names_the_steps(
    shared_reports: Path, author: str, before: str, after: str, cause: str, change: str
) -> None:
    sides = [
        [p for p in kernprof.load(shared_reports / f"{author}{step}.ncu-rep").profiles if _gemm(p)]
        for step in (before, after)
    ]
    pair = kernprof.compare(*sides).pairs[0]
    total = pair.change("cycles")
    towards = next(p for p in pair.parts if p.delta_cycles * (total.delta or 0) > 0)
    assert towards.name == cause
    assert change in pair.sentence
    assert pair.scope == "busiest SM"
    for side in ("base_cycles", "new_cycles"):
        expected = total.base if side == "base_cycles" else total.new
        assert math.fsum(getattr(p, side) for p in pair.parts) == pytest.approx(expected)


def _gemm(profile: KernelProfile) -> bool:
    return profile.kernel != "warm_up_kernel"


ESMM = (
    (0, "In the launch only this changed: 36 -> 40 registers"),
    (1, "blocks use shared memory (0 -> 8,192 B)"),
    (2, "8x fewer threads (1,048,576 -> 131,072)"),
    (3, "51 -> 150 registers a thread"),
    (4, "Occupancy is limited to 33 % by registers (was 17 %"),
    (5, "4x more threads (16,384 -> 65,536)"),
    (6, "8,192 -> 32,768 B of shared memory a block"),
    (7, "128 -> 108 registers a thread"),
    (8, "32,768 -> 16,384 B of shared memory a block"),
)


@pytest.mark.parametrize(("step", "change"), ESMM)
def test_a_ladder_without_stalls_says_what_the_launches_show_and_no_more(
    shared_reports: Path, step: int, change: str
) -> None:
    report = kernprof.load(shared_reports / "AveryClapp__ESMM-Research__profile.ncu-rep")
    pair = kernprof.compare(report.profiles[step], report.profiles[step + 1]).pairs[0]
    assert change in pair.sentence
    assert "Where the cycles went is not in the reports" in pair.sentence
    assert "mostly" not in pair.sentence
