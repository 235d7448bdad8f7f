"""Launches of Nsight Compute 2019 on a Pascal GPU, under the metric names of their time."""

from __future__ import annotations

import pytest
from profiles import CORE, profile

from kernprof.metrics import aliases
from kernprof.metrics.tables import table
from kernprof.profile import Gpu
from kernprof.stalls.analysis import analyse

PASCAL = [name for name in CORE if name not in ("lg_throttle", "sleeping", "no_instruction")]
SPELLED = [*PASCAL, "no_instructions", "allocation_stall", "tile_allocation_stall", "imc_miss"]
FIGURES = {
    "gpu__time_duration": 2048.0,
    "gpc__elapsed_cycles_max": 1500.0,
    "sm__sol_pct": 21.0,
    "gpu__compute_memory_sol_pct": 34.0,
    "fbpa__sol_pct": 30.0,
    "sm__active_warps_avg_per_active_cycle_pct": 55.0,
    "smsp__thread_inst_executed_per_inst_executed": 16.0,
    "smsp__issue_active_per_active_cycle_pct": 25.0,
}


def launch(pattern: str, **values: float):
    stalls = {pattern.replace("{R}", name): values.get(name, 0.0) for name in SPELLED}
    return profile({**FIGURES, **stalls}, gpu=Gpu("Tesla P100", "6.0", 56))


@pytest.mark.parametrize(
    ("pattern", "family"),
    [
        ("smsp__warp_cycles_per_issue_stall_{R}", "per_issue_2019"),
        ("smsp__pcsamp_warp_stall_{R}", "samples_2019"),
    ],
)
def test_stalls_and_figures(pattern: str, family: str) -> None:
    found = analyse(launch(pattern, long_scoreboard=6, wait=2, no_instructions=2, selected=1))
    assert found.stalls is not None
    assert found.stalls.family.name == family
    assert found.stalls.shares_pct["long_scoreboard"] == pytest.approx(60)
    assert found.stalls.shares_pct["no_instruction"] == pytest.approx(20)
    assert found.verdict.bound == "memory latency"
    values = {key: figure.value for key, figure in found.figures.items()}
    assert values["compute_utilization_pct"] == 21
    assert values["bandwidth_utilization_pct"] == 30
    assert values["occupancy_pct"] == 55
    assert values["warp_execution_efficiency_pct"] == 50
    assert found.extras["issue_active_pct"].value == 25
    assert (found.profile.duration_ns, found.profile.cycles) == (2048, 1500)


def test_a_family_of_2019_that_lacks_a_reason_is_not_used() -> None:
    whole = launch("smsp__warp_cycles_per_issue_stall_{R}", wait=2)
    part = {k: v for k, v in whole.metrics.items() if not k.endswith("_barrier")}
    assert analyse(profile(part)).stalls is None


def test_no_name_is_an_alias_of_two() -> None:
    names = [name for row in table("aliases")["alias"] for name in (row["name"], *row["also"])]
    assert len(names) == len(set(names))
    assert aliases.spellings("sm__sol_pct")[1].startswith("sm__throughput.avg")
