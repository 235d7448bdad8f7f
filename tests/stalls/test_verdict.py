from __future__ import annotations

import pytest
from profiles import issue_ratios, profile

from kernprof.stalls.analysis import analyse, occupancy_limiters
from kernprof.stalls.verdict import Bound

COMPUTE = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
MEMORY = "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"
ISSUE = "smsp__issue_active.avg.pct_of_peak_sustained_active"


@pytest.mark.parametrize(
    ("metrics", "bound"),
    [
        ({COMPUTE: 85.0, MEMORY: 30.0}, Bound.COMPUTE),
        ({COMPUTE: 30.0, MEMORY: 85.0}, Bound.BANDWIDTH),
        ({COMPUTE: 30.0, MEMORY: 20.0, ISSUE: 90.0}, Bound.COMPUTE),
        ({COMPUTE: 3.0, MEMORY: 2.0, **issue_ratios(long_scoreboard=9, wait=1)}, "memory latency"),
        ({COMPUTE: 3.0, MEMORY: 2.0, **issue_ratios(lg_throttle=9, wait=1)}, "memory latency"),
        ({COMPUTE: 3.0, **issue_ratios(short_scoreboard=9, barrier=1)}, "instruction latency"),
        ({COMPUTE: 3.0, **issue_ratios(barrier=9, wait=1)}, "synchronization"),
        ({COMPUTE: 3.0, MEMORY: 2.0}, Bound.UNKNOWN),
        ({COMPUTE: 3.0, **issue_ratios(not_selected=9)}, Bound.UNKNOWN),
        ({}, Bound.UNKNOWN),
    ],
)
def test_bound(metrics: dict[str, float], bound: str) -> None:
    assert analyse(profile(metrics)).verdict.bound == bound


def test_the_evidence_names_reason_share_and_throughput() -> None:
    verdict = analyse(
        profile({COMPUTE: 12.0, MEMORY: 31.0, **issue_ratios(long_scoreboard=3, wait=1)})
    ).verdict
    assert "long_scoreboard holds 75 %" in verdict.evidence
    assert "31 % of peak" in verdict.evidence


def test_a_grid_below_one_wave_is_told() -> None:
    verdict = analyse(profile({COMPUTE: 70.0, "launch__waves_per_multiprocessor": 0.25})).verdict
    assert "0.25 of one wave" in verdict.evidence


def test_all_limits_that_tie_are_named() -> None:
    limits = {
        "launch__occupancy_limit_registers": 4,
        "launch__occupancy_limit_shared_mem": 8,
        "launch__occupancy_limit_warps": 4,
    }
    assert occupancy_limiters(profile(limits)) == ("registers", "warps")


def test_what_is_missing_carries_a_remedy() -> None:
    missing = {m.metric: m.hint for m in analyse(profile({})).missing}
    assert "--section WarpStateStats" in missing["stalls"]
    assert missing["occupancy_pct"].endswith("--section Occupancy")


def test_stalls_that_are_nan_were_collected() -> None:
    metrics = {name: float("nan") for name in issue_ratios()}
    missing = {m.metric: m.hint for m in analyse(profile(metrics)).missing}
    assert "the profiler returned NaN" in missing["stalls"]
    assert "and 13 more" in missing["stalls"]
