"""``kernprof doctor``: what is here, what is missing, and the command that adds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernprof.cli.output import (
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    emit_tables,
    notice,
)
from kernprof.measure.launcher import Backend

_UNAVAILABLE, _WRONG = 4, 1


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor")(doctor)


def doctor(
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="The GPU check-up: driver, permissions, profiler, and one kernel of each family "
            "run, checked, timed and set beside its prediction.",
        ),
    ] = False,
    backend: Annotated[
        Backend, typer.Option(help="What launches, for --gpu: cupy, pycuda, numba.")
    ] = Backend.CUPY,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Show what is here, what is missing, and the command that adds it."""
    from kernprof.health import examine
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import Table, to_csv

    check_outputs({"-o": output})
    if gpu:
        _check_up(backend, fmt, output)
        return
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
    else:
        emit_tables([table], fmt, output)


def _check_up(backend: Backend, fmt: Format, output: Path | None) -> None:
    """Run the check-up; exit 4 without a usable GPU, 1 when a kernel is wrong."""
    from kernprof.health.gpu import check_up
    from kernprof.view.document import dump
    from kernprof.view.health import check_up_record, check_up_tables
    from kernprof.view.table import to_csv

    done = check_up(backend, progress=lambda kernel: notice(f"running {kernel}"))
    tables = check_up_tables(done)
    if fmt is Format.JSON or (output is not None and output.suffix == ".json"):
        emit(dump(check_up_record(done)), output)
    elif fmt is Format.CSV:
        emit(to_csv(tables[-1]), output)
    else:
        emit_tables(tables, fmt, output)
    if done.device is None:
        raise typer.Exit(_UNAVAILABLE)
    if not done.healthy:
        raise typer.Exit(_WRONG)
