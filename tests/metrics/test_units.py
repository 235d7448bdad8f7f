from __future__ import annotations

from pathlib import Path

import pytest

from kernprof.metrics.units import unit_of


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("gpu__time_duration.sum", "ns"),
        ("dram__bytes_read.sum", "byte"),
        ("dram__bytes_op_read.sum.per_second", "byte/s"),
        ("dram__bytes.sum.peak_sustained", "byte/cycle"),
        ("gpc__cycles_elapsed.max", "cycle"),
        ("gpc__cycles_elapsed.avg.per_second", "Hz"),
        ("smsp__inst_executed.sum", "inst"),
        ("smsp__inst_executed.avg.per_cycle_active", "inst/cycle"),
        ("smsp__thread_inst_executed_per_inst_executed.ratio", ""),
        ("smsp__thread_inst_executed_per_inst_executed.pct", "%"),
        ("sm__warps_active.avg.pct_of_peak_sustained_active", "%"),
        ("sm__warps_active.avg.per_cycle_active", "warp/cycle"),
        ("smsp__issue_active.avg.per_cycle_active", ""),
        ("sm__maximum_warps_per_active_cycle_pct", "%"),
        ("launch__registers_per_thread", "register/thread"),
        ("launch__shared_mem_per_block_static", "byte/block"),
        ("launch__occupancy_limit_warps", "block"),
        ("launch__grid_size", ""),
        ("l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", "sector"),
        ("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", "wavefront"),
        ("smsp__pcsamp_warps_issue_stalled_wait", "warp"),
        ("device__attribute_clock_rate", ""),
        ("kernprof__provenance", None),
    ],
)
def test_units(metric: str, unit: str | None) -> None:
    assert unit_of(metric) == unit


def test_nearly_every_metric_of_real_reports_has_a_unit(shared_reports: Path) -> None:
    from kernprof.reports import load

    names = {
        name
        for path in shared_reports.glob("*.ncu-rep")
        for profile in load(path).profiles
        for name, value in profile.metrics.items()
        if not isinstance(value, str)
    }
    unknown = sorted(name for name in names if unit_of(name) is None)
    assert len(unknown) < 0.01 * len(names), unknown[:40]
