"""``kernprof roofline``: launches under the ceilings of their GPU, and the other drawings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kernprof.cli.launches import load_all
from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    check_outputs,
    emit,
    emit_bytes,
    notice,
)
from kernprof.errors import UsageError

_DRAWINGS = (".png", ".svg", ".pdf")


class Chart(StrEnum):
    """What to draw."""

    ROOFLINE = "roofline"
    STALLS = "stalls"
    TIME = "time"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("roofline")(roofline)


def roofline(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Reports.")],
    chart: Annotated[
        Chart,
        typer.Option(help="roofline; stalls: reasons a launch; time: share of GPU time a kernel."),
    ] = Chart.ROOFLINE,
    kernel: Annotated[
        str | None, typer.Option(help="Only kernels whose name matches this regular expression.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="At most this many launches, longest first.")
    ] = 40,
    fmt: FormatOption = Format.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="FILE.png, .svg or .pdf draws; else the numbers."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Place launches under the roofline of their GPU; -o FILE.png or .svg draws it."""
    from kernprof.view import charts
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import to_csv, to_markdown, to_terminal

    check_outputs({"-o": output}, files, force=force)
    found = load_all(files, kernel)
    profiles = sorted(found, key=lambda p: -(p.duration_ns or 0.0))[:top]
    if len(profiles) < len(found):
        notice(f"the {top} longest of {len(found)} launches; --top shows more")
    if output is not None and output.suffix.lower() in _DRAWINGS:
        from kernprof.view.plots import image

        figure, lines = charts.figure(str(chart), profiles)
        for line in lines:
            notice(line)
        emit_bytes(image(figure, output.suffix.lower()[1:]), output)
        return
    if chart is not Chart.ROOFLINE:
        raise UsageError(
            f"--chart {chart} is a drawing: give -o FILE.png or .svg; kernprof stalls has the "
            "numbers"
        )
    if fmt is Format.JSON:
        emit(dump({"schema": SCHEMA, "roofline": charts.roofline_records(profiles)}), output)
    elif fmt is Format.CSV:
        emit(to_csv(charts.roofline_rows(profiles)), output)
    elif fmt is Format.MD:
        emit(to_markdown(charts.roofline_table(profiles)), output)
    else:
        emit(to_terminal(charts.roofline_table(profiles), width=None, color=False), output)
