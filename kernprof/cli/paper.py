"""``kernprof paper``: the reference paper's tables, figures and claims, recomputed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.launches import load_all
from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    emit_bytes,
    emit_tables,
    progress_bar,
)
from kernprof.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kernprof.layers import NetworkPrediction

DRAWINGS = (".png", ".svg", ".pdf")


class Part(StrEnum):
    """What to show."""

    TABLE1 = "table1"
    TABLE2 = "table2"
    TABLE3 = "table3"
    TABLE4 = "table4"
    TABLE5 = "table5"
    FIG2 = "fig2"
    FIG3 = "fig3"
    FIG4 = "fig4"
    CLAIMS = "claims"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("paper")(paper)


def paper(
    part: Annotated[Part, typer.Argument(help="Table, figure, the numeric claims, or all.")],
    reports: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="FILE",
            help="Show the launches of this report in Table V; may be given again.",
            show_default=False,
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="table3: predict the kernels' shares of time on this GPU, all twelve networks "
            "(minutes); table5 and all: the kernels of MobileNet's conv5_1/dw in Table V.",
            show_default=False,
        ),
    ] = None,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Recompute the paper's tables, figures and claims; -o FILE.png or .svg draws a figure."""
    from kernprof.paper.exhibits import KEYS, exhibit
    from kernprof.view import paper as view
    from kernprof.view import plots
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import to_csv

    if reports and part not in (Part.TABLE5, Part.ALL):
        raise UsageError(f"--with shows launches in Table V, not in {part}")
    if gpu and part not in (Part.TABLE3, Part.TABLE5, Part.ALL):
        raise UsageError(f"--gpu predicts for Tables III and V, not for {part}")
    check_outputs({"-o": output}, reports or [], force=force)
    profiles = load_all(reports or [])
    shares = _shares(gpu) if gpu and part is Part.TABLE3 else {}
    if gpu is not None and part is not Part.TABLE3:
        from kernprof.devices.table import find
        from kernprof.paper.predicted import predict_table5

        profiles += predict_table5(find(gpu))
    keys = KEYS if part is Part.ALL else (str(part),)
    if output is not None and output.suffix.lower() in DRAWINGS:
        if part is Part.ALL:
            raise UsageError("a drawing shows one figure: fig2, fig3, fig4 or table3")
        figure = view.exhibit_figure(exhibit(keys[0], profiles, shares))
        emit_bytes(plots.image(figure, output.suffix.lower()[1:]), output)
        return
    found = [exhibit(key, profiles, shares) for key in keys]
    if fmt is Format.JSON:
        records = [view.exhibit_record(item) for item in found]
        emit(dump({"schema": SCHEMA, "exhibits": records}), output)
        return
    if fmt is Format.CSV:
        # Tables of different columns in one file: each with its name in front.
        parts = [to_csv(view.flat_table(item)) for item in found]
        if part is Part.ALL:
            parts = [f"# {item.key}\n{text}" for item, text in zip(found, parts, strict=True)]
        emit("\n".join(parts), output)
        return
    tables = [view.exhibit_table(item) for item in found]
    emit_tables(tables, fmt, output)


def _shares(gpu: str) -> dict[str, NetworkPrediction]:
    """Predict the twelve networks, with a progress bar where someone looks."""
    from kernprof.devices.table import find
    from kernprof.paper.predicted import predict_table3

    tasks: dict[str, TaskID] = {}
    with progress_bar() as bar:

        def step(network: str, done: int, total: int) -> None:
            if network not in tasks:
                tasks[network] = bar.add_task(network, total=total)
            bar.update(tasks[network], completed=done)

        return predict_table3(find(gpu), step)
