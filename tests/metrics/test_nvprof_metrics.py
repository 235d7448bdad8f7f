"""The table of nvprof's metrics."""

from __future__ import annotations

import re

import pytest

from kernprof.metrics import nvprof
from kernprof.metrics.nvprof import MetricUnit, modern


def test_the_table_is_whole() -> None:
    metrics = nvprof.metrics()
    assert len(metrics) > 150
    for name, metric in metrics.items():
        # nvprof's names can't collide with Nsight Compute's.
        assert "__" not in name
        assert metric.about
        for successor in metric.successors:
            assert re.fullmatch(r"[a-z0-9]+__[a-z0-9_]+(\.[a-z_]+)+", successor), successor
        if metric.exact:
            assert len(metric.successors) == 1, name
        elif metric.successors:
            assert metric.note, name


def test_every_legacy_stall_has_its_metric() -> None:
    from kernprof.metrics.stall_reasons import reasons

    stalls = {name for name in nvprof.metrics() if name.startswith("stall_")}
    assert stalls == {f"stall_{name}" for name in reasons("legacy") if name != "none"}
    assert all(nvprof.metrics()[name].unit is MetricUnit.PERCENT for name in stalls)
    assert not any(nvprof.metrics()[name].exact for name in stalls)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "achieved_occupancy",
            0.927922,
            ("sm__warps_active.avg.pct_of_peak_sustained_active", 92.7922),
        ),
        (
            "warp_execution_efficiency",
            100.0,
            ("smsp__thread_inst_executed_per_inst_executed.ratio", 32.0),
        ),
        ("dram_read_bytes", 2**53 + 1, ("dram__bytes_read.sum", 2**53 + 1)),
        ("l2_read_throughput", 64.0, ("lts__t_sectors_op_read.sum.per_second", 2.0)),
        ("branch_efficiency", 100.0, None),
        ("stall_sync", 3.0, None),
        ("dram_utilization", 3, None),
        ("no_such_metric", 3.0, None),
    ],
)
def test_only_equal_quantities_change_their_name(
    name: str, value: float, expected: tuple[str, float] | None
) -> None:
    assert modern(name, value) == expected


def test_infinities_stay() -> None:
    found = modern("achieved_occupancy", float("inf"))
    assert found is not None
    assert found[1] == float("inf")
