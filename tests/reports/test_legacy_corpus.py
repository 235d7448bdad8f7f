"""Real public nvprof output: five metric tables, a summary, an SQLite export."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernprof.profile import Dim3
from kernprof.reports import load
from kernprof.stalls.breakdown import breakdown

OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"


@pytest.mark.parametrize(
    ("name", "launches", "occupancy", "divergence"),
    [
        ("opencv_non_shared_affine", [1], [92.7922], [0.0]),
        ("opencv_non_shared_gaussian_filter", [1], [71.8674], [0.0]),
        ("opencv_non_shared_pyrup", [1, 1], [75.3574, 72.3614], [0.0, 0.0]),
        ("opencv_non_shared_sobel_filter", [1, 2], [95.7929, 51.3893], [0.03, 0.0]),
        ("rodinia_hotspot_cuda", [1], [72.5294], [0.0]),
    ],
)
def test_metric_tables_of_a_gtx_1070(
    shared_reports: Path,
    name: str,
    launches: list[int],
    occupancy: list[float],
    divergence: list[float],
) -> None:
    report = load(shared_reports / f"sankarmanoj__thrust2D__{name}.profile")
    assert report.format == "nvprof text (metrics)"
    assert [profile.launches for profile in report.profiles] == launches
    assert [profile.metrics[OCCUPANCY] for profile in report.profiles] == occupancy
    assert [
        100 - profile.metrics["branch_efficiency"] for profile in report.profiles
    ] == pytest.approx(divergence)
    for profile in report.profiles:
        assert profile.gpu.name == "GeForce GTX 1070"
        assert profile.kernel in ("launch_by_value", "calculate_temp")
        # Seven metrics as printed, two of them under Nsight Compute's names as well.
        assert len(profile.metrics) == 9
        # nvprof cuts average rates to whole 1e6 bytes per second: so its prefixes are binary.
        rate = profile.metrics["dram_read_throughput"]
        assert rate == pytest.approx(round(rate / 1e6) * 1e6, rel=3e-5)


def test_the_same_rates_read_with_decimal_prefixes_are_not_whole(shared_reports: Path) -> None:
    """The counterpart of the last check above: with 1 GB = 1e9 bytes it would fail."""
    report = load(shared_reports / "sankarmanoj__thrust2D__rodinia_hotspot_cuda.profile")
    decimal = report.profiles[0].metrics["dram_read_throughput"] / 2**30 * 1e9
    assert decimal == pytest.approx(14.078e9)
    assert round(14.078 * 2**30 / 1e6) * 1e6 / 2**30 == pytest.approx(14.078, abs=5e-4)


def test_summary_with_bare_names(shared_reports: Path) -> None:
    report = load(shared_reports / "jazzTheJackRabbit__epic-flow-cuda__nvprof.csv")
    assert [(p.kernel, p.launches, p.duration_ns) for p in report.profiles] == [
        ("red_sor", 150, 1_582_900.0),
        ("black_sor", 150, 1_581_700.0),
    ]
    assert report.notices == ("2 row(s) of copies and memsets are left out",)


def test_sqlite_export_of_a_v100(shared_reports: Path) -> None:
    report = load(shared_reports / "ZaidQureshi__compression__analysis.nvprof")
    (profile,) = report.profiles
    assert profile.kernel == "inflate_shared"
    assert (profile.grid, profile.block) == (Dim3(39780), Dim3(32, 3))
    assert (profile.gpu.name, profile.gpu.cc, profile.gpu.sm_count) == (
        "Tesla V100-SXM2-32GB",
        "7.0",
        80,
    )
    assert profile.duration_ns == 110_938_702
    assert "120 metric value(s) are left out" in report.notices[0]
    # 6603 rows of samples, by instruction and reason.
    tables = {
        name: table for name, table in profile.instances.items() if name.startswith("pcsamp_stall_")
    }
    assert sum(len(table.keys) for table in tables.values()) == 6603
    for name, table in tables.items():
        assert sum(table.values) == profile.metrics[name]
    assert sum(profile.metrics[name] for name in tables) == 5_986_609
    stalls = breakdown(profile)
    assert stalls is not None
    assert stalls.top(1)[0][0] == "inst_fetch"
    assert len(profile.instances["inst_executed"].keys) == 2299
    # Some counters are negative in the file: they passed 2^31.
    assert min(profile.instances["inst_executed"].values) >= 0
    assert profile.code is not None
    assert len(profile.code.cubin) == 568_512


def test_nothing_private_is_kept(shared_reports: Path) -> None:
    for name in (
        "ZaidQureshi__compression__analysis.nvprof",
        "sankarmanoj__thrust2D__rodinia_hotspot_cuda.profile",
    ):
        report = load(shared_reports / name)
        shown = "".join(
            repr((p.kernel, p.demangled, p.metrics, p.notes, p.gpu)) for p in report.profiles
        ) + repr((report.notices, report.session))
        assert "andrewg3" not in shown
        assert "temp_1024" not in shown
