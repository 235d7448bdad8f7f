from __future__ import annotations

import pytest
from profiles import instances, profile

from kernprof.profile import Collector, Gpu, Source
from kernprof.stalls.figures import evaluate, rows

UNIFORM = "smsp__sass_average_branch_targets_threads_uniform.pct"
DIVERGENT = "smsp__sass_branch_targets_threads_divergent.sum"


def value(metrics: dict[str, float], key: str) -> float | None:
    return evaluate(profile(metrics))[key].value


def test_warp_execution_efficiency_from_threads_per_instruction() -> None:
    metrics = {"smsp__thread_inst_executed_per_inst_executed.ratio": 24.0}
    assert value(metrics, "warp_execution_efficiency_pct") == 75


def test_warp_execution_efficiency_from_per_instruction_counts() -> None:
    figure = evaluate(
        profile(
            {},
            instances={
                "inst_executed": instances({0: 10, 16: 10}),
                "thread_inst_executed": instances({0: 320, 16: 160}),
            },
        )
    )["warp_execution_efficiency_pct"]
    assert figure.value == 75
    assert figure.uses == "thread_inst_executed / inst_executed"


def test_branch_divergence_is_the_rest_to_uniform_branches() -> None:
    assert value({UNIFORM: 96.0, DIVERGENT: 5.0}, "branch_divergence_pct") == 4


def test_a_kernel_without_branches_has_no_divergence() -> None:
    # The profiler stores 0 for an average over nothing; 100 % divergence would be absurd.
    figure = evaluate(profile({UNIFORM: 0.0, DIVERGENT: 0.0}))["branch_divergence_pct"]
    assert figure.value is None
    assert figure.hint == "the kernel executes no branch"


def test_all_branches_diverging_is_not_void() -> None:
    assert value({UNIFORM: 0.0, DIVERGENT: 12.0}, "branch_divergence_pct") == 100


def test_nvprof_fractions_become_percent() -> None:
    assert value({"achieved_occupancy": 0.062}, "occupancy_pct") == pytest.approx(6.2)
    assert value({"branch_efficiency": 97.0}, "branch_divergence_pct") == 3


def test_a_level_of_nvprof_is_marked_as_approximate() -> None:
    figure = evaluate(profile({"dram_utilization": 3.0}))["bandwidth_utilization_pct"]
    assert figure.value == 30
    assert figure.approximate is not None


def test_a_little_over_the_peak_is_the_peak() -> None:
    metrics = {"smsp__cycles_active.avg": 1003.0, "smsp__cycles_elapsed.avg": 1000.0}
    assert value(metrics, "sm_utilization_pct") == 100


def test_far_over_the_peak_is_shown_as_it_is() -> None:
    metrics = {"smsp__cycles_active.avg": 2000.0, "smsp__cycles_elapsed.avg": 1000.0}
    assert value(metrics, "sm_utilization_pct") == 200


def test_nan_is_missing_and_was_collected() -> None:
    figure = evaluate(profile({"sm__throughput.avg.pct_of_peak_sustained_elapsed": float("nan")}))[
        "compute_utilization_pct"
    ]
    assert figure.value is None
    assert figure.hint is not None
    assert "was collected, but the profiler returned NaN" in figure.hint
    assert figure.hint.startswith("sm__throughput.avg")


def test_remedies_speak_of_the_profiler_that_was_used() -> None:
    legacy = profile({}, collector=Collector("nvprof"))
    assert "nvprof --metrics achieved_occupancy" in (evaluate(legacy)["occupancy_pct"].hint or "")
    published = profile({}, source=Source.PUBLISHED)
    assert "published" in (evaluate(published)["occupancy_pct"].hint or "")


def test_a_chip_without_memory_of_its_own_says_so() -> None:
    soc = profile({}, gpu=Gpu("Thor", "11.0", 20, {"integrated": 1}))
    assert "shares its memory" in (evaluate(soc)["bandwidth_utilization_pct"].hint or "")


def test_renamed_metrics_are_found() -> None:
    renamed = profile({"dram__bytes_op_read.sum": 64.0})
    assert renamed.value("dram__bytes_read.sum") == 64


def test_every_row_can_be_made_or_remedied() -> None:
    for kind in ("row", "extra"):
        for row in rows(kind):
            assert row.ways
            assert row.collect.startswith("--")
            for way in row.ways:
                assert sum(bool(x) for x in (way.metric, way.sum, way.ratio, way.instances)) == 1
