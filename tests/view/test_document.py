from __future__ import annotations

import json

import pytest
from profiles import issue_ratios, profile

from kernprof.metrics.stall_reasons import ClassMap
from kernprof.stalls.analysis import StallOptions, analyse
from kernprof.text import printable
from kernprof.view.document import dump, profiles_document
from kernprof.view.stalls import flat_table, launch_notes, launch_table, summary_table

TABLE_V = {
    "compute_utilization_pct",
    "bandwidth_utilization_pct",
    "occupancy_pct",
    "theoretical_occupancy_pct",
    "warp_execution_efficiency_pct",
    "branch_divergence_pct",
    "sm_utilization_pct",
    "memory_dependency_pct",
    "instruction_dependency_pct",
    "synchronization_pct",
    "others_pct",
}


def test_the_document_is_the_contract() -> None:
    launch = profile(
        {
            **issue_ratios(long_scoreboard=3, wait=1, selected=1),
            "gpu__time_duration.sum": 2500.0,
            "dram__bytes_read.sum": float("nan"),
        },
        registers=32,
    )
    record = json.loads(dump(profiles_document([analyse(launch)])))
    assert record["schema"] == "kernprof/1"
    only = record["profiles"][0]
    assert set(only["table_v"]) == TABLE_V
    assert only["table_v"]["memory_dependency_pct"] == 75
    assert only["table_v"]["occupancy_pct"] is None
    assert only["stalls"]["long_scoreboard"] == 75
    assert "selected" not in only["stalls"]
    assert only["stalls_raw"]["selected"] == 1
    assert only["stall_family"] == "per_issue_active"
    assert only["stall_classes"] == "paper"
    assert only["bound"] == "memory latency"
    assert only["gpu"] == {"name": "A100", "cc": "8.0", "sm_count": 108}
    assert (only["grid"], only["block"]) == ([8, 1, 1], [256, 1, 1])
    assert only["duration_ns"] == 2500
    assert only["source"] == "imported"
    assert only["metrics"]["dram__bytes_read.sum"] is None
    assert {m["metric"] for m in only["missing"]} >= {"occupancy_pct", "compute_utilization_pct"}


def test_a_profile_without_stalls_says_how_to_get_them() -> None:
    only = profiles_document([analyse(profile({}))])["profiles"][0]
    assert only["stalls"] == {}
    assert only["stall_family"] is None
    assert only["table_v"]["others_pct"] is None
    assert any("WarpStateStats" in m["hint"] for m in only["missing"])


def test_tables_print_map_base_and_family() -> None:
    analyses = [
        analyse(profile(issue_ratios(wait=1)), StallOptions(class_map=class_map))
        for class_map in ClassMap
    ]
    notes = "\n".join(launch_notes(analyses[:1]))
    assert "per_issue_active" in notes
    assert "without selected" in notes
    assert "classes: paper" in notes
    assert "classes: extended" in "\n".join(summary_table(analyses[1:]).notes)


def test_the_launch_table_has_the_rows_of_table_v() -> None:
    table = launch_table([analyse(profile(issue_ratios(wait=1)))], top=3)
    labels = [str(row[0]) for row in table.rows]
    for label in ("Compute", "Bandwidth", "Occupancy", "Warp exec", "Branch", "SM util", "Memory"):
        assert any(text.startswith(label) for text in labels), label
    assert (
        dict(zip(labels, (r[1] for r in table.rows), strict=True))["Instruction dependency %"]
        == "100.0"
    )


@pytest.mark.parametrize("count", [1, 3])
def test_the_flat_table_is_rectangular(count: int) -> None:
    table = flat_table([analyse(profile(issue_ratios(wait=1)))] * count)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert "stall_wait_pct" in table.columns


def test_text_is_whole_and_steers_no_terminal() -> None:
    text = "\x1b[31m\x9b2J\x7f\u202e\u2028\u200b\ufeff\U000e0041\ttab\nline größe"
    written = dump({text: text})
    assert printable(written) == written
    assert "größe" in written
    assert json.loads(written) == {text: text}
