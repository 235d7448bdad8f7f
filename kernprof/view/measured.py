"""Tables and records of measurements: launches timed by events, networks, the GPU check-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernprof.layers.measured import MeasuredLaunch
from kernprof.layers.measured_network import ENERGY_BATCH, NetworkMeasurement
from kernprof.networks.paper_tables import PAPER, PublishedRun
from kernprof.stalls.analysis import analyse
from kernprof.view.stalls import duration
from kernprof.view.stalls import launch_table as table_v
from kernprof.view.table import Cell, Table

_FAMILIES = ("gemv2T", "gemv2N", "gemmk1")


def measured_tables(measured: Sequence[MeasuredLaunch], device: str) -> list[Table]:
    """Return where a layer's time goes; with counters, Table V of each family's longest launch."""
    families = list(dict.fromkeys(m.static.kernel.family for m in measured))
    ordered = sorted(measured, key=lambda m: families.index(m.static.kernel.family))
    total = sum(m.time_ns or 0.0 for m in measured)
    rows: list[list[Cell]] = [
        [
            m.static.kernel.name + ("*" if m.static.launch.stand_in else ""),
            f"{m.static.launch.direction}: {m.static.launch.purpose}",
            m.static.launch.count,
            duration(None if m.time_ns is None else m.time_ns / m.static.launch.count),
            m.spread_pct,
            duration(m.time_ns),
            100 * (m.time_ns or 0.0) / total if total else None,
            None if m.right is None else "right" if m.right else "WRONG",
            m.error,
        ]
        for m in ordered
    ]
    columns = [
        "Kernel",
        "Purpose",
        "Launches",
        "Time of one",
        "Spread %",
        "Time of all",
        "Share %",
        "Result",
        "Error",
    ]
    sources = ", ".join(dict.fromkeys(str(m.profile.source) for m in measured))
    notes = [f"{sources}: {duration(total)} in all on {device}, gaps between launches left out."]
    if any(m.spread_pct is not None for m in measured):
        notes.append("Time of one: median; spread: from the tenth to the ninetieth percentile.")
    if any(m.error is not None for m in measured):
        notes.append("Error: largest difference from numpy, relative to the largest value.")
    made = [Table("", columns, rows, notes, align="llrrrrrlr")]
    counted = [m for m in measured if len(m.profile.metrics) > _TIMED_METRICS]
    if counted:
        longest = {
            family: max(
                (m for m in counted if m.static.kernel.family == family),
                key=lambda m: m.time_ns or 0.0,
            )
            for family in dict.fromkeys(m.static.kernel.family for m in counted)
        }
        made.append(table_v([analyse(m.profile) for m in longest.values()], top=3))
    return made


_TIMED_METRICS = 20
"""A profile with more metrics than launch attributes and a time has counters."""


def network_table(
    measured: Sequence[tuple[NetworkMeasurement, PublishedRun | None]],
) -> Table:
    """Return Table III for the GPU at hand, the published figures in brackets."""
    rows: list[list[Cell]] = []
    for one, published in measured:
        best = one.best
        first = one.runs[0]
        plain, above = one.macs_per_joule(), one.macs_per_joule(above_idle=True)
        rows.append(
            [
                one.network,
                _with(one.latency_ms, None if published is None else published.latency_ms),
                _with(
                    None if first.memory_bytes is None else first.memory_bytes / 2**20,
                    None if published is None else published.memory_mb,
                ),
                _with(
                    None if plain is None else plain / 1e9,
                    None if published is None else published.gmacs_per_joule,
                ),
                None if above is None else above / 1e9,
                _with(
                    None if best is None else best.images_per_s,
                    None if published is None else published.images_per_s,
                ),
                None if best is None else best.batch,
                *(
                    _with(
                        one.shares_pct.get(family, 0.0) if one.shares_pct else None,
                        None if published is None else published.shares_pct[family],
                    )
                    for family in _FAMILIES
                ),
            ]
        )
    columns = [
        "Network",
        "Latency ms",
        "Memory MiB",
        "GMAC/J",
        "GMAC/J above idle",
        "Images/s",
        "at batch",
        *(f"{family} %" for family in _FAMILIES),
    ]
    some = measured[0][0]
    notes = [
        f"{'predicted' if some.backend == 'simulator' else 'measured'} on {some.device.name} "
        f"through {some.backend}: this project's kernels, launched as the lowering says; cuDNN's "
        "and cuBLAS's are stood in for.",
        "Latency: forward pass at batch 1, gaps between launches included. Memory: arrays of all "
        "distinct launches, which a framework would share between layers. Energy: forward passes "
        f"at batch {ENERGY_BATCH}, power sampled 50 times a second, or the GPU's own counter.",
        "Shares: of the GPU time of forward and backward at batch 1, launch by launch.",
    ]
    notes += [
        f"{one.network}: no energy: {one.unmeasured}." for one, _ in measured if one.unmeasured
    ]
    if any(published is not None for _, published in measured):
        notes.append(f"In brackets: published, {PAPER}, Table III, Tesla P100.")
    return Table("Measured", columns, rows, notes, align="l" + "r" * 9)


def batch_table(one: NetworkMeasurement) -> Table:
    """Return throughput and memory by batch size."""
    rows: list[list[Cell]] = [
        [
            run.batch,
            duration(None if run.times is None else run.times.median_ns),
            None if run.times is None else run.times.spread_pct,
            run.images_per_s,
            None if run.memory_bytes is None else run.memory_bytes / 2**20,
        ]
        for run in one.runs
    ]
    columns = ["Batch", "Iteration", "Spread %", "Images/s", "Memory MiB"]
    return Table(f"{one.network}: inference by batch size", columns, rows, (), align="rrrrr")


def network_record(one: NetworkMeasurement) -> dict[str, Any]:
    """Return a network's measurement as plain data."""
    best = one.best
    energy = one.energy
    return {
        "source": "predicted" if one.backend == "simulator" else "measured",
        "gpu": one.device.name,
        "backend": one.backend,
        "latency_ms": one.latency_ms,
        "images_per_s": None if best is None else best.images_per_s,
        "best_batch": None if best is None else best.batch,
        "batches": [
            {
                "batch": run.batch,
                "time_ns": None if run.times is None else run.times.median_ns,
                "spread_pct": None if run.times is None else run.times.spread_pct,
                "memory_bytes": run.memory_bytes,
            }
            for run in one.runs
        ],
        "shares_pct": one.shares_pct,
        "energy": None
        if energy is None
        else {
            "batch": ENERGY_BATCH,
            "runs": energy.runs,
            "seconds": energy.seconds,
            "per_iteration_j": energy.per_run_j(),
            "per_iteration_above_idle_j": energy.per_run_j(above_idle=True),
            "mean_w": energy.mean_w,
            "idle_w": energy.idle_w,
            "by_counter": energy.counter_j is not None,
            "peak_memory_bytes": energy.peak_memory_bytes,
            "gaps_s": [list(gap) for gap in energy.missed],
        },
        "no_energy": one.unmeasured or None,
        "macs_per_joule": one.macs_per_joule(),
    }


def _with(value: float | None, published: object | None) -> str:
    shown = "n/a" if value is None else f"{value:,.4g}"
    return shown if published is None else f"{shown} ({published})"
