from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import profile

from kernprof.errors import UsageError
from kernprof.profile import Dim3, InstanceTable, KernelProfile, Placement
from kernprof.stalls.figures import evaluate
from kernprof.stalls.group import alike, grouped, merge, select

OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"


def test_launches_with_equal_geometry_are_merged_in_order() -> None:
    a = profile({OCCUPANCY: 10.0}, origin="r#0")
    b = profile({OCCUPANCY: 50.0}, origin="r#1", grid=Dim3(9))
    c = profile({OCCUPANCY: 30.0}, origin="r#2")
    merged = grouped([a, b, c])
    assert [m.launches for m in merged] == [2, 1]
    assert merged[0].origin == "r#0,2"
    figure = evaluate(merged[0])["occupancy_pct"]
    assert (figure.value, figure.spread) == (20, (10, 30))


def test_other_files_are_other_groups() -> None:
    assert len(grouped([profile({}, origin="a#0"), profile({}, origin="b#0")])) == 2


DURATION = "gpu__time_duration.sum"


def at(number: int, duration_ns: float, **more: object) -> KernelProfile:
    return replace(profile({DURATION: duration_ns}, origin=f"r#{number}"), **more)


def test_processes_devices_contexts_and_ranges_stand_apart() -> None:
    places = [
        Placement(1, 1, 0),
        Placement(2, 1, 0),
        Placement(1, 2, 0),
        Placement(1, 1, 1),
        Placement(1, 1, 0),
    ]
    launches = [at(n, 100, placement=place) for n, place in enumerate(places)]
    launches.append(at(5, 100, placement=places[0], nvtx=("warm",)))
    assert [m.origin for m in grouped(launches)] == ["r#0,4", "r#1", "r#2", "r#3", "r#5"]


def test_launches_of_unlike_length_stand_apart_and_say_so() -> None:
    found = alike([at(0, 1000), at(1, 100), at(2, 150), at(3, 199), at(4, 90)])
    assert [[m.origin for m in part] for part in found] == [["r#0"], ["r#1", "r#2", "r#4"], ["r#3"]]
    warm = "warm-up, 1 launch 7.4 times as long as the other 4 of the same geometry"
    assert [n for m in found[0] for n in m.notes] == [f"{found[0][0].kernel}: {warm}"]
    assert not found[1][0].notes


def test_a_long_launch_in_the_middle_is_no_warm_up() -> None:
    found = grouped([at(0, 100), at(1, 900), at(2, 100)])
    assert [m.origin for m in found] == ["r#0,2", "r#1"]
    assert "1 launch 9.0 times as long" in found[1].notes[0]
    assert "warm-up" not in found[1].notes[0]


def test_launches_within_a_factor_of_two_are_one_with_their_spread() -> None:
    (merged,) = grouped([at(0, 100), at(1, 200), at(2, 150)])
    assert merged.spread[DURATION] == (100, 200)
    assert merged.duration_ns == 150


def test_launches_without_times_stay_together() -> None:
    (merged,) = grouped([at(0, 100), replace(profile({}, origin="r#1"))])
    assert merged.launches == 2


def test_a_metric_that_one_launch_lacks_is_left_out() -> None:
    merged = merge([profile({"x": 1.0, "t": "same"}), profile({"t": "same"})])
    assert dict(merged.metrics) == {"t": "same"}


def test_records_that_stand_for_several_launches_weigh_more() -> None:
    merged = merge([profile({"x": 1.0}, launches=5), profile({"x": 9.0}, launches=2)])
    assert merged.launches == 7
    assert merged.metrics["x"] == 1.0


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_median_is_that_of_all_launches(pairs: list[tuple[float, int]]) -> None:
    merged = merge([profile({"x": value}, launches=weight) for value, weight in pairs])
    spread_out = sorted(value for value, weight in pairs for _ in range(weight))
    middle = len(spread_out) // 2
    expected = (spread_out[middle] + spread_out[~middle]) / 2
    if len(pairs) == 1:
        expected = pairs[0][0]
    assert merged.metrics["x"] == pytest.approx(expected)


def test_select_by_name_and_position() -> None:
    launches = [profile({}, kernel="gemv2T"), profile({}, kernel="gemmk1", demangled="void f<T>()")]
    assert select(launches, kernel="^gemv") == [launches[0]]
    assert select(launches, kernel="f<T>") == [launches[1]]
    assert select(launches, launch=1) == [launches[1]]


@pytest.mark.parametrize(
    ("kernel", "launch", "message"),
    [
        ("nothing", None, "kernels here: gemv2T"),
        ("(", None, "no regular expression"),
        (None, 7, "launches 0 to 0"),
        (None, -1, "launches 0 to 0"),
    ],
)
def test_selecting_nothing_says_what_there_is(
    kernel: str | None, launch: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        select([profile({}, kernel="gemv2T")], kernel=kernel, launch=launch)


def test_counts_by_opcode_are_merged_and_values_by_instruction_are_not() -> None:
    def one(moves: float, **more: float) -> KernelProfile:
        table = {"MOV": moves, **more}
        by_opcode = InstanceTable(tuple(table), tuple(table.values()))
        per_instruction = InstanceTable((0, 16), (1, 1))
        return profile(
            {},
            instances={
                "sass__inst_executed_per_opcode": by_opcode,
                "inst_executed": per_instruction,
            },
        )

    merged = merge([one(10.0), one(30.0, FFMA=6.0), one(20.0, FFMA=6.0)])
    assert set(merged.instances) == {"sass__inst_executed_per_opcode"}
    table = merged.instances["sass__inst_executed_per_opcode"]
    assert dict(zip(table.keys, table.values, strict=True)) == {"MOV": 20.0, "FFMA": 6.0}
