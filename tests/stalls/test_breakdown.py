from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import CORE, issue_ratios, profile, samples

from kernprof.errors import UsageError
from kernprof.metrics.stall_reasons import ClassMap, StallClass, families, lookup, reasons
from kernprof.stalls.breakdown import breakdown


def test_classes_leave_selected_out_and_keep_not_selected_in_others() -> None:
    stalls = breakdown(
        profile(
            issue_ratios(
                long_scoreboard=4, short_scoreboard=1, wait=2, barrier=1, not_selected=2, selected=1
            )
        )
    )
    assert stalls is not None
    assert stalls.family.name == "per_issue_active"
    assert stalls.raw["selected"] == 1
    assert "selected" not in stalls.shares_pct
    assert stalls.classes_pct(ClassMap.PAPER) == {
        StallClass.MEMORY: 40,
        StallClass.INSTRUCTION: 30,
        StallClass.SYNCHRONIZATION: 10,
        StallClass.OTHERS: 20,
    }


def test_base_without_not_selected() -> None:
    stalls = breakdown(
        profile(issue_ratios(long_scoreboard=1, wait=1, not_selected=8)), count_not_selected=False
    )
    assert stalls is not None
    assert stalls.classes_pct(ClassMap.PAPER)[StallClass.MEMORY] == 50
    assert stalls.classes_pct(ClassMap.PAPER)[StallClass.OTHERS] == 0


def test_extended_map_moves_full_queues_to_their_memory() -> None:
    stalls = breakdown(profile(issue_ratios(lg_throttle=3, mio_throttle=1)))
    assert stalls is not None
    assert stalls.classes_pct(ClassMap.PAPER)[StallClass.OTHERS] == 100
    assert stalls.classes_pct(ClassMap.EXTENDED)[StallClass.MEMORY] == 75
    assert stalls.classes_pct(ClassMap.EXTENDED)[StallClass.INSTRUCTION] == 25


def test_parts_are_not_counted_twice_but_math_pipe_throttle_is_a_reason() -> None:
    stalls = breakdown(
        profile(
            issue_ratios(
                mio_throttle=2,
                mio_throttle_pipe_mio=2,
                long_scoreboard=1,
                long_scoreboard_pipe_l1tex=1,
                math_pipe_throttle=1,
            )
        )
    )
    assert stalls is not None
    assert stalls.shares_pct["mio_throttle"] == 50
    assert stalls.shares_pct["math_pipe_throttle"] == 25
    assert stalls.parts == {"mio_throttle_pipe_mio": 2, "long_scoreboard_pipe_l1tex": 1}


def test_a_part_that_no_table_knows_is_still_a_part() -> None:
    reason = lookup("reason", "lg_throttle_pipe_new")
    assert reason is not None
    assert reason.part_of == "lg_throttle"


def test_an_unknown_reason_counts_as_others_with_a_note() -> None:
    stalls = breakdown(profile(issue_ratios(long_scoreboard=1, quantum_flux=3)))
    assert stalls is not None
    assert stalls.classes_pct(ClassMap.PAPER)[StallClass.OTHERS] == 75
    assert stalls.unknown == ("quantum_flux",)
    assert "quantum_flux" in stalls.notes[-1]


def test_counters_come_before_samples() -> None:
    metrics = {**samples(wait=100), **issue_ratios(long_scoreboard=1)}
    stalls = breakdown(profile(metrics))
    assert stalls is not None
    assert stalls.family.name == "per_issue_active"
    sampled = breakdown(profile(metrics), family="samples")
    assert sampled is not None
    assert sampled.shares_pct["wait"] == 100


def test_samples_spell_no_instruction_differently() -> None:
    stalls = breakdown(profile(samples(no_instruction=5, selected=7)))
    assert stalls is not None
    assert stalls.family.name == "samples"
    assert stalls.shares_pct["no_instruction"] == 100


def test_a_family_of_one_reason_is_not_a_breakdown() -> None:
    lone = {"smsp__warps_issue_stalled_dispatch_stall.sum": 12.0}
    assert breakdown(profile(lone)) is None
    both = breakdown(profile({**lone, **samples(wait=1)}))
    assert both is not None
    assert both.family.name == "samples"


def test_not_issued_samples_are_a_family_of_their_own() -> None:
    metrics = {f"{name}_not_issued": value for name, value in samples(wait=3).items()}
    stalls = breakdown(profile(metrics))
    assert stalls is not None
    assert stalls.family.name == "samples_not_issued"


def test_nvprof_shares_are_whole_when_they_add_up_to_100() -> None:
    stalls = breakdown(
        profile(
            {"stall_memory_dependency": 60.0, "stall_exec_dependency": 30.0, "stall_other": 10.0}
        )
    )
    assert stalls is not None
    assert stalls.family.name == "nvprof"
    assert stalls.classes_pct(ClassMap.PAPER)[StallClass.INSTRUCTION] == 30
    assert breakdown(profile({"stall_memory_dependency": 60.0})) is None


@pytest.mark.parametrize("nothing", [issue_ratios(), issue_ratios(selected=1), {}])
def test_no_stalled_warp_is_no_breakdown(nothing: dict[str, float]) -> None:
    assert breakdown(profile(nothing)) is None


def test_values_that_are_no_number_are_not_there() -> None:
    metrics = issue_ratios(long_scoreboard=1)
    metrics["smsp__average_warps_issue_stalled_wait_per_issue_active.ratio"] = float("nan")
    assert breakdown(profile(metrics)) is None


def test_a_reason_without_a_value_spoils_its_family_and_no_other() -> None:
    metrics = {**issue_ratios(long_scoreboard=1, branch_resolving=math.nan), **samples(wait=3)}
    stalls = breakdown(profile(metrics))
    assert stalls is not None
    assert stalls.family.name == "samples"
    assert "returned NaN for 1 reason(s) of the family per_issue_active" in stalls.notes[0]


def test_a_total_that_is_off_is_told() -> None:
    metrics = issue_ratios(long_scoreboard=6)
    metrics["smsp__average_warp_latency_per_inst_issued.ratio"] = 16.0
    stalls = breakdown(profile(metrics))
    assert stalls is not None
    assert "separate passes" in stalls.notes[0]


def test_an_unknown_family_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="per_issue_active"):
        breakdown(profile({}), family="nonsense")


@given(
    st.fixed_dictionaries({name: st.floats(0, 1e6) for name in CORE}),
    st.sampled_from(list(ClassMap)),
    st.booleans(),
)
def test_classes_sum_to_100(values: dict[str, float], class_map: ClassMap, count: bool) -> None:
    stalls = breakdown(profile(issue_ratios(**values)), count_not_selected=count)
    if stalls is not None:
        assert sum(stalls.classes_pct(class_map).values()) == pytest.approx(100)
        assert sum(stalls.shares_pct.values()) == pytest.approx(100)


def test_every_reason_has_a_class_in_every_map() -> None:
    for vocabulary in ("reason", "legacy"):
        for reason in reasons(vocabulary).values():
            assert set(reason.classes) == set(ClassMap)
            assert reason.meaning


def test_families_find_their_own_metrics_only() -> None:
    for family in families():
        name = family.pattern.replace("{R}", "wait")
        assert family.reason_in(name) == "wait"
        others = [f.name for f in families() if f is not family and f.reason_in(name) == "wait"]
        assert others == []
