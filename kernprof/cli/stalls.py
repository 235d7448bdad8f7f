"""``kernprof stalls``: why the launches of a report are slow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernprof.cli.brief import BriefOption, check_format, emit_brief
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
from kernprof.errors import CubinError, InputError, UnavailableError, UsageError
from kernprof.metrics.stall_reasons import ClassMap

if TYPE_CHECKING:
    from kernprof.profile import KernelProfile
    from kernprof.stalls.analysis import LaunchAnalysis
    from kernprof.stalls.lines import Line, LineTable

    LineSection = tuple[KernelProfile, LineTable, list[Line]]

_COLUMNS_PER_TABLE = 4
_LABEL_CHARS = 30
_COLUMN_CHARS = 37
_MANY = 24
_ADVICE = 3
"""Pieces of advice a launch under the table; JSON has all."""
"""From this many launches on, the table has one row a launch."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("stalls")(stalls)


def stalls(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Reports: .ncu-rep, .ncu-repz, ncu --csv, nvprof CSV, text or SQLite. - is stdin.",
        ),
    ],
    kernel: Annotated[
        str | None, typer.Option(help="Only kernels whose name matches this regular expression.")
    ] = None,
    launch: Annotated[
        int | None, typer.Option(help="Only the launch at this position, counted from 0.")
    ] = None,
    classes: Annotated[
        ClassMap,
        typer.Option(
            help="How reasons become classes. paper: as in nvprof and Table V (a wait for shared "
            "memory is an instruction dependency, full queues are others); extended: by cause."
        ),
    ] = ClassMap.PAPER,
    family: Annotated[
        str | None,
        typer.Option(help="Take this family of stall metrics instead of the best one there is."),
    ] = None,
    ignore_not_selected: Annotated[
        bool,
        typer.Option(
            "--ignore-not-selected",
            help="Leave warps that were ready but not chosen out of the base.",
        ),
    ] = False,
    top: Annotated[
        int, typer.Option(min=1, help="How many stall reasons, and lines with --lines, to show.")
    ] = 5,
    lines: Annotated[
        bool, typer.Option("--lines", help="Show the instructions and source lines that stall.")
    ] = False,
    group: Annotated[
        bool | None,
        typer.Option(
            "--group/--no-group",
            help="Put repeated launches of one kernel together: median and spread. On by default "
            "for --format table, off for the others.",
            show_default=False,
        ),
    ] = None,
    brief: BriefOption = False,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Break down why the launches of reports are slow: Table V, stall reasons, a verdict."""
    from kernprof.reports import load
    from kernprof.stalls.analysis import StallOptions, analyse_together
    from kernprof.stalls.group import alike, select
    from kernprof.view.brief import stall_tables

    check_outputs({"-o": output}, files, force=force)
    options = StallOptions(classes, family, count_not_selected=not ignore_not_selected)
    if brief:
        check_format(fmt)
        if lines:
            raise UsageError("--brief leaves out what --lines asks for; take one of the two")
    profiles: list[KernelProfile] = []
    failures: list[InputError] = []
    nothing: UsageError | None = None
    for file in files:
        try:
            report = load(file)
            chosen = select(report.profiles, kernel=kernel, launch=launch)
        except InputError as error:
            failures.append(error)
            continue
        except UsageError as error:
            nothing = error
            continue
        for line in report.notices:
            notice(f"{file}: {line}")
        profiles += chosen
    if not profiles:
        if failures:
            _fail(failures)
        if nothing is not None:
            raise nothing
    together = group if group is not None else fmt is Format.TABLE
    # Per-instruction values belong to single launches.
    shown = alike(profiles) if together and not lines else [[p] for p in profiles]
    analyses = [analyse_together(members, options) for members in shown]
    if brief:
        emit_brief(stall_tables(analyses), fmt, output)
    else:
        emit(render(analyses, fmt, output, top=top, lines=lines), output)
    if failures:
        _fail(failures)


def _fail(failures: list[InputError]) -> None:
    for error in failures[:-1]:
        notice(f"error: {error}")
    raise failures[-1]


def render(
    analyses: list[LaunchAnalysis], fmt: Format, output: Path | None, *, top: int, lines: bool
) -> str:
    """Return the tables (or the document) of launches in a format."""
    from kernprof.advice.advise import advise_analysed
    from kernprof.view import stalls as view
    from kernprof.view.advice import advice_records
    from kernprof.view.document import dump, profiles_document
    from kernprof.view.table import escape, to_csv, to_markdown, to_terminal

    if fmt is Format.JSON:
        document = profiles_document(analyses)
        for record, analysis in zip(document["profiles"], analyses, strict=True):
            few = len(analyses) <= _MANY
            record["advice"] = advice_records(advise_analysed(analysis, with_lines=few))
        if lines:
            for record, analysis in zip(document["profiles"], analyses, strict=True):
                record["lines"] = _lines_record(analysis.profile)
        return dump(document)
    tables = _line_tables(analyses, top) if lines else []
    if fmt is Format.CSV:
        return to_csv(view.line_rows(tables) if lines else view.flat_table(analyses))
    if fmt is Format.MD:
        parts = [to_markdown(view.summary_table(analyses))]
        if len(analyses) <= _MANY:
            parts.append("\n".join(escape(line) for line in _advice(analyses).split("\n")))
        parts += [to_markdown(view.line_table(*item)) for item in tables]
        return "\n".join(parts)
    width, color = terminal_width(output), use_color(output)
    blocks = []
    if len(analyses) > _MANY:
        blocks.append(to_terminal(view.summary_table(analyses), width=width, color=color))
    else:
        per_table = _COLUMNS_PER_TABLE
        if width is not None:
            per_table = max(1, (width - _LABEL_CHARS) // _COLUMN_CHARS)
        for start in range(0, len(analyses), per_table):
            part = analyses[start : start + per_table]
            blocks.append(to_terminal(view.launch_table(part, top=top), width=width, color=color))
        blocks.append("\n".join(view.launch_notes(analyses)) + "\n")
        advice = _advice(analyses)
        blocks += [advice] if advice else []
    blocks += [to_terminal(view.line_table(*item), width=width, color=color) for item in tables]
    return "\n".join(blocks)


def _advice(analyses: list[LaunchAnalysis]) -> str:
    """Return the likely causes per launch as text; nothing where there is nothing to say."""
    from kernprof.advice.advise import advise_analysed
    from kernprof.advice.model import threshold
    from kernprof.view.advice import advice_lines

    lines: list[str] = []
    for analysis in analyses:
        profile = analysis.profile
        name = " ".join(f"{profile.kernel} [{profile.origin}]".split())
        found = advice_lines(advise_analysed(analysis), most=_ADVICE)
        if found:
            lines += [f"Likely causes for {name}:", *found]
        elif analysis.stalls is not None:
            lines.append(
                f"No cause that could save {threshold('least_gain_pct'):.0f} % is found for {name}."
            )
    return "\n".join(lines) + "\n" if lines else ""


def _line_tables(analyses: list[LaunchAnalysis], top: int) -> list[LineSection]:
    """Return per launch its hottest instructions and, where lines are known, source lines."""
    from kernprof.stalls.lines import hottest, source_table

    sections: list[LineSection] = []
    for analysis in analyses:
        profile = analysis.profile
        table = _instructions(profile)
        if table is None:
            continue
        sections.append((profile, table, hottest(table, top)))
        by_source = source_table(table, profile.code.sources if profile.code else {})
        if by_source is not None:
            sections.append((profile, by_source, hottest(by_source, top)))
    return sections


def _lines_record(profile: KernelProfile) -> list[dict[str, Any]] | None:
    from dataclasses import asdict

    table = _instructions(profile)
    if table is None:
        return None
    return [{**asdict(line), "top": dict(line.top)} for line in table.lines]


def _instructions(profile: KernelProfile) -> LineTable | None:
    from kernprof.stalls.code import instructions
    from kernprof.stalls.lines import instruction_table

    try:
        table = instruction_table(profile, instructions)
    except (CubinError, UnavailableError) as error:
        notice(f"{profile.origin}: instructions are told by their offset only: {error}")
        table = instruction_table(profile)
    if table is None:
        notice(
            f"{profile.origin}: no stall samples per instruction; collect them with ncu "
            "--section SourceCounters"
        )
    elif profile.code is None:
        notice(
            f"{profile.origin}: the report holds no machine code, so instructions are told by "
            "their offset from the first one; ncu --import-source yes embeds it"
        )
    return table
