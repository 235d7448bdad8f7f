"""``kernprof convert``: any profile as a report that Nsight Compute opens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import ForceOption, check_outputs, emit_bytes, notice
from kernprof.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernprof.profile import KernelProfile

REPORT_SUFFIX = ".ncu-rep"

EmbedSource = Annotated[
    bool,
    typer.Option(
        "--embed-source", help="Put source text into the .ncu-rep as well; a report gets around."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("convert")(convert)


def convert(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Reports; their launches go into one new report."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The report to write: FILE.ncu-rep.")
    ],
    kernel: Annotated[
        str | None, typer.Option(help="Only kernels whose name matches this regular expression.")
    ] = None,
    launch: Annotated[
        int | None, typer.Option(help="Only the launch at this position, counted from 0.")
    ] = None,
    embed_source: EmbedSource = False,
    comment: Annotated[str | None, typer.Option(help="A line to stand beside the report.")] = None,
    force: ForceOption = False,
) -> None:
    """Write the launches of reports as one .ncu-rep that Nsight Compute opens."""
    from kernprof.reports import load
    from kernprof.stalls.group import select

    if output.suffix != REPORT_SUFFIX:
        raise UsageError(f"-o {output}: expected a name that ends with {REPORT_SUFFIX}")
    check_outputs({"-o": output}, files, force=force)
    profiles: list[KernelProfile] = []
    for file in files:
        report = load(file)
        for line in report.notices:
            notice(f"{file}: {line}")
        profiles += select(report.profiles, kernel=kernel, launch=launch)
    write(profiles, output, embed_source=embed_source, comment=comment)


def write(
    profiles: Sequence[KernelProfile],
    path: Path,
    *,
    embed_source: bool = False,
    comment: str | None = None,
) -> None:
    """Write a report and say so.

    Raises
    ------
    UsageError
        A profile that no report can hold, or a file that can't be written.
    """
    from kernprof.reports.ncurep.writer import write_report

    content = write_report(
        profiles, embed_source=embed_source, comment=comment, created_s=int(time.time())
    )
    emit_bytes(content, path)
    embedded = sum(bool(p.code is not None and p.code.sources) for p in profiles)
    left_out = "" if embed_source or not embedded else "; without source text (--embed-source)"
    notice(f"{len(profiles)} launch(es) are in {path}{left_out}")
