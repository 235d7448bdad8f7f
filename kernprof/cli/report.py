"""``kernprof report``: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernprof.cli.launches import load_all
from kernprof.cli.output import ForceOption, check_outputs, emit


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("report")(report)


def report(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Reports.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page to write; - is standard output.")
    ],
    base: Annotated[
        str | None,
        typer.Option(help="Compare with this report: adds a section.", show_default=False),
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(help="Only kernels whose name matches this regular expression.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write launches as one HTML page: tables, stalls, roofline, instructions, occupancy."""
    from kernprof.view.html import page
    from kernprof.view.html_data import report_document

    check_outputs({"-o": output}, [*files, *([base] if base else [])], force=force)
    profiles = load_all(files, kernel)
    comparison = None
    if base is not None:
        from kernprof.comparison.compare import compare

        comparison = compare(load_all([base], kernel), profiles)
    emit(page(report_document(profiles, comparison)), output)
