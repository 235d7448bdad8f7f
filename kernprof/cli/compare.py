"""``kernprof compare``: what changed between two reports, and what explains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    notice,
    terminal_width,
    use_color,
)
from kernprof.errors import GateFailed

if TYPE_CHECKING:
    from kernprof.comparison.result import Comparison
    from kernprof.profile import KernelProfile

_FULL_UP_TO = 4
"""More kernels than this get the summary table and their sentences only, unless --top is given."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare")(compare)


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The report before.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The report after.")],
    match: Annotated[
        str,
        typer.Option(
            help="How kernels are matched: auto (name and geometry, then name, then in order "
            "what differs in nothing but its name), geometry, name, order."
        ),
    ] = "auto",
    kernel: Annotated[
        str | None, typer.Option(help="Only kernels whose name matches this regular expression.")
    ] = None,
    base_launch: Annotated[
        int | None, typer.Option(help="Of BASE only the launch at this position, from 0.")
    ] = None,
    new_launch: Annotated[
        int | None, typer.Option(help="Of NEW only the launch at this position, from 0.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            help="Exit with 1 where this holds for a kernel: 'cycles > +5%', 'registers > 64', "
            "'stall.barrier > +1000 and cycles > +0% for gemv'. May be repeated.",
        ),
    ] = None,
    allow_unjudged: Annotated[
        bool,
        typer.Option(
            "--allow-unjudged",
            help="Let gates pass that can't be judged: a value is missing, the launches are too "
            "few, only one report has the kernel.",
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the gates as JUnit XML to this file.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="How many parts of the cycles to show. [default: 8]")
    ] = None,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Compare two reports kernel by kernel: where the cycles went, every figure, gates for CI."""
    from kernprof.comparison.compare import compare as run

    check_outputs({"-o": output, "--junit": junit}, [base, new], force=force)
    comparison = run(
        _load(base, kernel, base_launch),
        _load(new, kernel, new_launch),
        match_by=match,
        fail_if=fail_if or (),
    )
    emit(_render(comparison, fmt, output, top), output)
    if junit is not None:
        from kernprof.view.junit import junit as document

        emit(document(comparison, allow_unjudged=allow_unjudged), junit)
    if comparison.passed:
        return
    from kernprof.view.compare import gate_lines

    lines = gate_lines(comparison)
    if allow_unjudged and not comparison.failed:
        for line in lines:
            notice(line)
        return
    *first, last = lines
    for line in first:
        notice(line)
    raise GateFailed(last)


def _load(path: str, kernel: str | None, launch: int | None) -> list[KernelProfile]:
    from kernprof.reports import load
    from kernprof.stalls.group import select

    report = load(path)
    for line in report.notices:
        notice(f"{path}: {line}")
    return select(report.profiles, kernel=kernel, launch=launch)


def _render(comparison: Comparison, fmt: Format, output: Path | None, top: int | None) -> str:
    from kernprof.view import compare as view
    from kernprof.view.document import dump
    from kernprof.view.table import to_csv, to_terminal

    shown = top or 8
    if fmt is Format.JSON:
        return dump(view.document(comparison))
    if fmt is Format.CSV:
        return to_csv(view.flat_table(comparison))
    if fmt is Format.MD:
        return view.markdown(comparison, shown)
    width, color = terminal_width(output), use_color(output)
    blocks = []
    full = len(comparison.pairs) <= _FULL_UP_TO or top is not None
    if len(comparison.pairs) > 1:
        blocks.append(to_terminal(view.summary_table(comparison), width=width, color=color))
        whole = view.together(comparison)
        if whole is not None:
            blocks.append(whole + "\n")
    common = view.common_lines(comparison) if full else []
    for pair in comparison.pairs:
        lines = [view.heading(pair), pair.sentence]
        blocks.append("\n".join(lines) + "\n")
        if full:
            tables = [view.cycles_table(pair, shown)] if pair.parts else []
            tables.append(view.change_table(pair))
            blocks += [to_terminal(table, width=width, color=color) for table in tables]
            lines = [line for line in view.closing(pair) if line not in common]
            blocks.append("\n".join(lines) + "\n" if lines else "")
    rest = [*common, *view.unmatched_lines(comparison)]
    if rest:
        blocks.append("\n".join(rest) + "\n")
    return "\n".join(blocks)
