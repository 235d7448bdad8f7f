"""``kernprof doctor``: what is here, what is missing, and the command that adds it."""

from __future__ import annotations

import typer

from kernprof.cli.output import (
    Format,
    FormatOption,
    OutputOption,
    emit,
    terminal_width,
    use_color,
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor")(doctor)


def doctor(fmt: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Show what is here, what is missing, and the command that adds it."""
    from kernprof.health import examine
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import Table, to_csv, to_markdown, to_terminal

    findings = examine()
    if fmt is Format.JSON:
        records = [
            {"check": f.check, "state": str(f.state), "found": f.found, "remedy": f.remedy}
            for f in findings
        ]
        emit(dump({"schema": SCHEMA, "findings": records}), output)
        return
    table = Table(
        "",
        ["Check", "State", "Found", "What to do"],
        [[f.check, str(f.state), f.found, f.remedy or ""] for f in findings],
    )
    if fmt is Format.CSV:
        emit(to_csv(table), output)
    elif fmt is Format.MD:
        emit(to_markdown(table), output)
    else:
        emit(to_terminal(table, width=terminal_width(output), color=use_color(output)), output)
