"""``kernprof report``: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import emit, notice

if TYPE_CHECKING:
    from kernprof.profile import KernelProfile


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
) -> None:
    """Write launches as one HTML page: tables, stalls, roofline, instructions, occupancy."""
    from kernprof.view.html import page
    from kernprof.view.html_data import report_document

    profiles = [profile for file in files for profile in _load(file, kernel)]
    comparison = None
    if base is not None:
        from kernprof.comparison.compare import compare

        comparison = compare(_load(base, kernel), profiles)
    emit(page(report_document(profiles, comparison)), output)


def _load(file: str, kernel: str | None) -> list[KernelProfile]:
    from kernprof.reports import load
    from kernprof.stalls.group import select

    found = load(file)
    for line in found.notices:
        notice(f"{file}: {line}")
    return select(found.profiles, kernel=kernel)
