"""Units and labels of Nsight Compute."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kernprof.reports import ncu_labels
from kernprof.reports.ncu_labels import name_of
from kernprof.reports.ncu_units import Kind, parse_unit


@pytest.mark.parametrize(
    ("text", "base", "factor", "kind"),
    [
        ("", "", 1, Kind.COUNT),
        ("%", "%", 1, Kind.PERCENT),
        ("ns", "ns", 1, Kind.TIME),
        ("nsecond", "ns", 1, Kind.TIME),
        ("usecond", "ns", 10**3, Kind.TIME),
        ("ms", "ns", 10**6, Kind.TIME),
        ("second", "ns", 10**9, Kind.TIME),
        ("Kbyte", "byte", 10**3, Kind.BYTES),
        ("Gbyte", "byte", 10**9, Kind.BYTES),
        ("Kbyte/block", "byte/block", 10**3, Kind.BYTES),
        ("byte/second", "byte/second", 1, Kind.BYTES_PER_SECOND),
        ("Gbyte/s", "byte/second", 10**9, Kind.BYTES_PER_SECOND),
        ("Mbyte/usecond", "byte/second", 10**12, Kind.BYTES_PER_SECOND),
        ("hz", "hz", 1, Kind.FREQUENCY),
        ("Ghz", "hz", 10**9, Kind.FREQUENCY),
        ("cycle/second", "hz", 1, Kind.FREQUENCY),
        ("cycle/nsecond", "hz", 10**9, Kind.FREQUENCY),
        ("cycle/usecond", "hz", 10**6, Kind.FREQUENCY),
        ("inst/cycle", "inst/cycle", 1, Kind.COUNT),
        ("register/thread", "register/thread", 1, Kind.COUNT),
        ("Kinst", "inst", 10**3, Kind.COUNT),
        ("furlong", "furlong", 1, Kind.UNKNOWN),
        ("KB", "KB", 1, Kind.UNKNOWN),
        ("1/second", "1/second", 1, Kind.UNKNOWN),
    ],
)
def test_units(text: str, base: str, factor: int, kind: Kind) -> None:
    unit = parse_unit(text)
    assert (unit.base, unit.factor, unit.kind) == (base, Fraction(factor), kind)
    assert unit.scaled == (factor != 1)


@pytest.mark.parametrize(
    ("label", "unit", "metric"),
    [
        ("Duration", "us", "gpu__time_duration.sum"),
        ("Elapsed Cycles", "cycle", "gpc__cycles_elapsed.max"),
        ("SOL SM", "%", "sm__throughput.avg.pct_of_peak_sustained_elapsed"),
        ("Compute (SM) Throughput", "%", "sm__throughput.avg.pct_of_peak_sustained_elapsed"),
        ("SM [%]", "%", "sm__throughput.avg.pct_of_peak_sustained_elapsed"),
        (
            "Memory Throughput",
            "%",
            "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
        ),
        ("Memory Throughput", "Gbyte/second", "dram__bytes.sum.per_second"),
        ("Registers Per Thread", "register/thread", "launch__registers_per_thread"),
        ("Achieved Occupancy", "%", "sm__warps_active.avg.pct_of_peak_sustained_active"),
        ("Theoretical Occupancy", "%", "sm__maximum_warps_per_active_cycle_pct"),
        (
            "Warp Cycles Per Issued Instruction",
            "cycle",
            "smsp__average_warp_latency_per_inst_issued.ratio",
        ),
        ("gpu__time_duration.sum", "us", "gpu__time_duration.sum"),
        ("inst_executed", "inst", "inst_executed"),
        ("Duration (gpu__time_duration.sum)", "ns", "gpu__time_duration.sum"),
    ],
)
def test_labels(label: str, unit: str, metric: str) -> None:
    naming = name_of(label, parse_unit(unit))
    assert (naming.metric, naming.known) == (metric, True)


@pytest.mark.parametrize(
    ("label", "unit"),
    [("SOL FB", "%"), ("Duration", "%"), ("Memory Throughput", "inst"), ("Brand New", "")],
)
def test_unknown_labels_stand_for_themselves(label: str, unit: str) -> None:
    naming = name_of(label, parse_unit(unit))
    assert (naming.metric, naming.known) == (label, False)


def test_a_label_that_changed_its_meaning_is_not_guessed() -> None:
    naming = name_of("SM Busy", parse_unit("%"))
    assert not naming.known
    assert naming.why is not None
    assert "2025" in naming.why


def test_the_table_is_whole() -> None:
    seen = set()
    for label, entries in ncu_labels._labels().items():
        for entry in entries:
            assert Kind(entry["kind"]) is not Kind.UNKNOWN
            assert entry["sections"]
            assert (label, entry["kind"]) not in seen
            seen.add((label, entry["kind"]))
            # One label, one metric, whatever the release: pct metrics are percentages.
            assert (entry["kind"] == "percent") == ("pct" in entry["metric"])
    assert len(seen) > 90
