"""The short form of a command's tables: ``--brief``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import Format, emit, terminal_width, use_color
from kernprof.errors import UsageError

if TYPE_CHECKING:
    from kernprof.layers.conclusion import Lowered
    from kernprof.view.table import Table

BriefOption = Annotated[
    bool, typer.Option("--brief", help="In short: at most 100 columns, what matters most.")
]


def check_format(fmt: Format) -> None:
    """Raise UsageError where there is nothing to shorten."""
    if fmt in (Format.JSON, Format.CSV):
        raise UsageError(f"--brief shortens tables for people; leave it out with --format {fmt}")


def emit_brief(
    tables: Sequence[Table],
    fmt: Format,
    output: Path | None,
    *,
    head: Sequence[str] = (),
    end: Sequence[str] = (),
) -> None:
    """Write tables no wider than a short result may be, with lines of text around them."""
    from kernprof.view.brief import WIDTH
    from kernprof.view.table import to_markdown, to_terminal

    if fmt is Format.MD:
        shown = [to_markdown(table) for table in tables]
    else:
        width = min(terminal_width(output) or WIDTH, WIDTH)
        shown = [to_terminal(table, width=width, color=use_color(output)) for table in tables]
    blocks = ["\n".join(head) + "\n" if head else "", *shown, "\n".join(end) + "\n" if end else ""]
    emit("\n".join(block for block in blocks if block), output)


def show_layer(found: Sequence[Lowered], fmt: Format, output: Path | None) -> None:
    """Print or save a layer in short, under one lowering or several."""
    from kernprof.view import brief

    emit_brief(
        brief.layer_tables(found),
        fmt,
        output,
        head=brief.layer_head(found[0].report),
        end=brief.layer_conclusion(found),
    )
