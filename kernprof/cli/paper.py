"""``kernprof paper``: the reference paper's tables, figures and claims, recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
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
from kernprof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kernprof.layers import NetworkPrediction
    from kernprof.paper.conditions import Condition
    from kernprof.paper.exhibit import Exhibit

_NO_GPU = "none"
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
            "(minutes); table5 and all: the GPU that Table V's kernels are predicted for, by "
            "default the paper's; none: no prediction.",
            show_default=False,
        ),
    ] = None,
    conditions: Annotated[
        bool,
        typer.Option(
            "--conditions",
            help="table5: how far the prediction is from print under each condition: which "
            "launches, how averaged, how they find the caches.",
        ),
    ] = False,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Recompute the paper's tables, figures and claims; -o FILE.png or .svg draws a figure."""
    from kernprof.paper.exhibits import KEYS, exhibit
    from kernprof.view import paper as view
    from kernprof.view import plots

    if reports and part not in (Part.TABLE5, Part.ALL):
        raise UsageError(f"--with shows launches in Table V, not in {part}")
    if gpu and part not in (Part.TABLE3, Part.TABLE5, Part.ALL):
        raise UsageError(f"--gpu predicts for Tables III and V, not for {part}")
    if conditions and (part is not Part.TABLE5 or reports):
        raise UsageError("--conditions belongs to table5, without --with")
    check_outputs({"-o": output}, reports or [], force=force)
    profiles = load_all(reports or [])
    shares = _shares(gpu) if gpu and part is Part.TABLE3 else {}
    predicted, unpredicted = None, ""
    if conditions:
        _emit([_conditions(gpu)], fmt, output, several=False)
        return
    if part in (Part.TABLE5, Part.ALL):
        predicted, unpredicted = _predicted(gpu)
    keys = KEYS if part is Part.ALL else (str(part),)
    if output is not None and output.suffix.lower() in DRAWINGS:
        if part is Part.ALL:
            raise UsageError("a drawing shows one figure: fig2, fig3, fig4 or table3")
        figure = view.exhibit_figure(exhibit(keys[0], profiles, shares, predicted, unpredicted))
        emit_bytes(plots.image(figure, output.suffix.lower()[1:]), output)
        return
    found = [exhibit(key, profiles, shares, predicted, unpredicted) for key in keys]
    _emit(found, fmt, output, several=part is Part.ALL)


def _emit(found: Sequence[Exhibit], fmt: Format, output: Path | None, *, several: bool) -> None:
    from kernprof.view import paper as view
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import to_csv

    if fmt is Format.JSON:
        records = [view.exhibit_record(item) for item in found]
        emit(dump({"schema": SCHEMA, "exhibits": records}), output)
        return
    if fmt is Format.CSV:
        # Tables of different columns in one file: each with its name in front.
        parts = [to_csv(view.flat_table(item)) for item in found]
        if several:
            parts = [f"# {item.key}\n{text}" for item, text in zip(found, parts, strict=True)]
        emit("\n".join(parts), output)
        return
    emit_tables([view.exhibit_table(item) for item in found], fmt, output)


def _predicted(gpu: str | None) -> tuple[Condition | None, str]:
    """Predict Table V's kernels; where nobody asked for a GPU, say why it can't be done here."""
    from kernprof.devices.table import find
    from kernprof.paper.conditions import usual_condition
    from kernprof.paper.quantities import PAPER_GPU

    if gpu == _NO_GPU:
        return None, "left out by --gpu none"
    try:
        return usual_condition(find(gpu or PAPER_GPU)), ""
    except (UsageError, UnavailableError) as reason:
        if gpu is not None:
            raise
        return None, str(reason)


def _conditions(gpu: str | None) -> Exhibit:
    from kernprof.devices.table import find
    from kernprof.paper.conditions import conditions
    from kernprof.paper.quantities import PAPER_GPU
    from kernprof.paper.table5 import conditions_table

    if gpu == _NO_GPU:
        raise UsageError("--conditions are those of a prediction; leave --gpu none out")
    return conditions_table(conditions(find(gpu or PAPER_GPU)))


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
