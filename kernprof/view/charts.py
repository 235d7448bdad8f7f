"""Launches as rooflines, stall bars and shares of time: records, tables and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernprof.errors import UsageError
from kernprof.profile import KernelProfile, Source
from kernprof.stalls.analysis import analyse
from kernprof.stalls.placement import place
from kernprof.view import plots
from kernprof.view.table import Table, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_TIME = "no launch tells its time; collect it with ncu --section SpeedOfLight"
_NO_STALLS = "no launch tells its stalls; collect them with ncu --section WarpStateStats"


def roofline_records(profiles: Sequence[KernelProfile]) -> list[dict[str, Any]]:
    """Return a launch's place and its GPU's ceilings as plain data; what is missing is None."""
    records = []
    for profile in profiles:
        found = place(profile)
        roof = found.ceilings
        records.append(
            {
                "kernel": profile.kernel,
                "source": str(profile.source),
                "origin": profile.origin,
                "gpu": profile.gpu.name,
                "flops_per_s": found.flops_per_s,
                "bytes_per_s": found.bytes_per_s,
                "intensity_flops_per_byte": found.intensity_flops_per_byte,
                "peak_flops_per_s": None if roof is None else roof.flops_per_s,
                "peak_bytes_per_s": None if roof is None else roof.bytes_per_s,
                "peaks_from": None if roof is None else roof.source,
                "hint": found.hint,
            }
        )
    return records


def roofline_rows(profiles: Sequence[KernelProfile]) -> Table:
    """Return the records as a flat table, for CSV."""
    records = roofline_records(profiles)
    return Table("", list(records[0]), [list(record.values()) for record in records])


def roofline_table(profiles: Sequence[KernelProfile]) -> Table:
    """Return the places for a person."""
    rows = []
    for record in roofline_records(profiles):
        flops, peak = record["flops_per_s"], record["peak_flops_per_s"]
        moved, width = record["bytes_per_s"], record["peak_bytes_per_s"]
        rows.append(
            [
                record["origin"],
                record["kernel"],
                record["source"],
                number(record["intensity_flops_per_byte"], 3),
                number(None if flops is None else flops / 1e9),
                number(None if flops is None or not peak else 100 * flops / peak),
                number(None if moved is None else moved / 1e9),
                number(None if moved is None or not width else 100 * moved / width),
            ]
        )
    columns = ["Launch", "Kernel", "Source", "FLOP/byte", "GFLOP/s", "of peak %", "GB/s"]
    columns.append("of peak %")
    placed = [place(profile) for profile in profiles]
    notes = ["FP32 operations (a fused multiply-add is two) over DRAM traffic."]
    notes += sorted(
        {f"{p.ceilings.gpu}: peaks are {p.ceilings.source}." for p in placed if p.ceilings}
    )
    notes += sorted({f"n/a: {p.hint}." for p in placed if p.hint})
    return Table("", columns, rows, notes)


def figure(chart: str, profiles: Sequence[KernelProfile]) -> tuple[Figure, list[str]]:
    """Draw ``roofline``, ``stalls`` or ``time``.

    Returns
    -------
    Figure, list of str
        The drawing, and what a person must know about launches that are not in it.

    Raises
    ------
    UsageError
        No launch has what the drawing shows.
    UnavailableError
        matplotlib isn't installed.
    """
    if chart == "stalls":
        return _stall_bars(profiles)
    if chart == "time":
        return _time_bars(profiles)
    return _roofline(profiles)


def _roofline(profiles: Sequence[KernelProfile]) -> tuple[Figure, list[str]]:
    roofs: dict[tuple[float, float], plots.Roof] = {}
    points = []
    hints = set()
    for profile in profiles:
        found = place(profile)
        x, y, roof = found.intensity_flops_per_byte, found.flops_per_s, found.ceilings
        if not x or not y or roof is None:
            hints.add(found.hint or "")
            continue
        # Clocks vary a little from launch to launch: the highest peaks of a GPU are drawn.
        peaks = [r for r in roofs.values() if r.gpu == roof.gpu]
        flops = max([roof.flops_per_s, *(r.peak_flops_per_s for r in peaks)])
        moved = max([roof.bytes_per_s, *(r.bandwidth_bytes_per_s for r in peaks)])
        roofs = {key: r for key, r in roofs.items() if r.gpu != roof.gpu}
        roofs[(flops, moved)] = plots.Roof(roof.gpu, flops, moved)
        points.append(plots.RooflinePoint(_label(profile), x, y))
    if not points:
        raise UsageError(f"no launch has a place under the roofline: {'; '.join(sorted(hints))}")
    lines = []
    if len(points) < len(profiles):
        left = len(profiles) - len(points)
        lines.append(f"{left} launch(es) are not in the drawing: {'; '.join(sorted(hints))}")
    return plots.roofline("Roofline, FP32 and DRAM", list(roofs.values()), points), lines


def _stall_bars(profiles: Sequence[KernelProfile]) -> tuple[Figure, list[str]]:
    found = [(profile, analyse(profile).stalls) for profile in profiles]
    shares = [stalls.shares_pct for _, stalls in found if stalls is not None]
    if not shares:
        raise UsageError(_NO_STALLS)
    totals: dict[str, float] = {}
    for share in shares:
        for name, value in share.items():
            totals[name] = totals.get(name, 0.0) + value
    ranked = sorted(totals, key=lambda name: -totals[name])
    names, rest = ranked[:7], ranked[7:]
    series = {name: [share.get(name, 0.0) for share in shares] for name in names}
    if rest:
        series["all others"] = [sum(share.get(name, 0.0) for name in rest) for share in shares]
    left = len(profiles) - len(shares)
    lines = [f"{left} launch(es) without stalls are not in the drawing"] if left else []
    labels = [_label(profile) for profile, stalls in found if stalls is not None]
    return plots.stacked_bars("Stall reasons", labels, series, "share of stalls, %"), lines


def _time_bars(profiles: Sequence[KernelProfile]) -> tuple[Figure, list[str]]:
    times: dict[str, float] = {}
    for profile in profiles:
        if profile.duration_ns is not None:
            spent = profile.duration_ns * profile.launches
            times[profile.kernel] = times.get(profile.kernel, 0.0) + spent
    total = sum(times.values())
    if not total:
        raise UsageError(_NO_TIME)
    names = sorted(times, key=lambda name: -times[name])
    series = {"time": [100 * times[name] / total for name in names]}
    return plots.stacked_bars("Share of GPU time", names, series, "share of GPU time, %"), []


def _label(profile: KernelProfile) -> str:
    position = profile.origin.rpartition("#")[2]
    # What was taken on a GPU needs no word; what was not says so.
    on_gpu = profile.source in (Source.MEASURED, Source.IMPORTED)
    return f"#{position} {profile.kernel}" + ("" if on_gpu else f" ({profile.source})")
