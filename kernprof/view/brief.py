"""Results in short: a table and a few sentences that fit a page of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from kernprof.layers import PredictedLaunch, StaticLaunch
from kernprof.layers.conclusion import Lowered, conclude, sum_of
from kernprof.lowering.report import LayerReport
from kernprof.stalls.analysis import LaunchAnalysis, analyse
from kernprof.view.conclusion import counted, sentences
from kernprof.view.layers import layer_lines
from kernprof.view.stalls import duration, launch_table
from kernprof.view.table import Cell, Table, text

WIDTH = 100
"""Columns that a short result keeps to."""

_MOST_COLUMNS = 8
_GAP = 3


def layer_tables(found: Sequence[Lowered]) -> list[Table]:
    """Return one table a lowering: its kernels, their share of the time, what bounds them."""
    return [_kernels(one) for one in found]


def layer_head(report: LayerReport) -> list[str]:
    """Return what the layer is and costs, in lines of the width."""
    return _wrapped(layer_lines(report))


def layer_conclusion(found: Sequence[Lowered]) -> list[str]:
    """Return what the figures come to, in lines of the width.

    Parameters
    ----------
    found
        The lowering that was asked for, then those it is set against.
    """
    from kernprof.timing.accuracy import model_error

    conclusion = conclude(found)
    if conclusion is None:
        return []
    return _wrapped([" ".join(sentences(conclusion)), model_error().sentence])


def stall_tables(analyses: Sequence[LaunchAnalysis]) -> list[Table]:
    """Return Table V in tables of the width: as many launches in each as fit.

    Left out: the stall reasons, whose classes stand there, and rows that hold no figure at all.
    """
    tables: list[Table] = []
    start, dropped = 0, False
    while start < len(analyses):
        for end in range(min(len(analyses), start + _MOST_COLUMNS), start, -1):
            whole = launch_table(analyses[start:end], top=0)
            rows = [row for row in whole.rows if any(cell is not None for cell in row[1:])]
            shown = replace(whole, rows=rows)
            if _width(shown) <= WIDTH or end == start + 1:
                break
        dropped |= len(shown.rows) < len(whole.rows)
        tables.append(shown)
        start = end
    if dropped:
        note = "Rows without a figure are left out; without --brief they say what would bring it."
        tables[-1] = replace(tables[-1], notes=[*tables[-1].notes, note])
    return tables


def _width(table: Table) -> int:
    """Return the columns that a table takes: its cells, with three between two of them."""
    lines = [table.columns, *([text(cell) for cell in row] for row in table.rows)]
    return sum(max(map(len, column)) for column in zip(*lines, strict=True)) + _GAP * (
        len(table.columns) - 1
    )


def _kernels(one: Lowered) -> Table:
    title = f"{one.name} on {one.device.name}: {counted(one.launches)}"
    total = one.time_ns
    if not one.predicted or total is None:
        rows: list[list[Cell]] = [
            [
                name,
                sum(s.launch.count for s in group),
                duration(sum(s.least_time_ns for s in group)),
            ]
            for name, group in _by_kernel(one.statics).items()
        ]
        return Table(f"{title}, static", ["Kernel", "Launches", "Time at least"], rows)
    by_kernel: dict[str, list[PredictedLaunch]] = {}
    for launch in one.predicted:
        by_kernel.setdefault(_name(launch.static), []).append(launch)
    rows = []
    for name, launches in by_kernel.items():
        time = sum_of([p.time_ns for p in launches]) or 0.0
        # Launches of one kernel differ in shape: what holds the longest is what matters.
        analysis = analyse(max(launches, key=lambda p: p.time_ns or 0.0).profile)
        top = analysis.stalls.top(1) if analysis.stalls is not None else []
        rows.append(
            [
                name,
                sum(p.static.launch.count for p in launches),
                duration(time),
                100 * time / total if total else None,
                str(analysis.verdict.bound),
                ", ".join(f"{reason} {share:.0f}" for reason, share in top) or None,
            ]
        )
    columns = ["Kernel", "Launches", "Time of all", "Share %", "Bound by", "Top stall %"]
    return Table(f"{title}, predicted {duration(total)}", columns, rows, align="lrrrll")


def _by_kernel(statics: Sequence[StaticLaunch]) -> dict[str, list[StaticLaunch]]:
    found: dict[str, list[StaticLaunch]] = {}
    for static in statics:
        found.setdefault(_name(static), []).append(static)
    return found


def _name(static: StaticLaunch) -> str:
    return static.kernel.name + ("*" if static.launch.stand_in else "")


def _wrapped(paragraphs: Sequence[str]) -> list[str]:
    return [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, WIDTH)]
