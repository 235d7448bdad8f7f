"""A table as data, and its renderings as terminal text, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kernprof.text import clean

Cell = str | int | float | None

NOT_AVAILABLE = "n/a"

_NUMBER = re.compile(r"[-+~]{0,2}[0-9][0-9,.]*( ?(%|ns|us|ms|s|x))?( \(.*\))?")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Parameters
    ----------
    title
        What the table shows, or an empty string.
    columns
        Headings.
    rows
        Cells; numbers stay numbers up to the rendering, None is a missing value.
    notes
        Lines under the table.
    align
        ``l`` or ``r`` per column; by default columns of numbers are flush right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    align: str = ""


def number(value: float | None, digits: int = 1) -> str:
    """Return a number as a table shows it; None is "n/a"."""
    return NOT_AVAILABLE if value is None else f"{value:,.{digits}f}"


def text(cell: Cell) -> str:
    """Return a cell as a person reads it: one line, without control characters."""
    if cell is None:
        return NOT_AVAILABLE
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return clean(str(cell))
    return f"{cell:,}" if isinstance(cell, int) else number(cell)


def to_csv(table: Table) -> str:
    """Render as CSV (RFC 4180, line feeds only); a missing value is an empty field.

    Fields that a spreadsheet would take for a formula are prefixed with an apostrophe, and control
    characters are dropped: names in a report are somebody else's text.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_inert(column) for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell is None else _inert(cell) for cell in row])
    return buffer.getvalue()


def to_markdown(table: Table) -> str:
    """Render as a GitHub-flavoured Markdown table with its title and notes."""
    lines = []
    if table.title:
        lines += [f"### {escape(table.title)}", ""]
    lines.append("| " + " | ".join(escape(c) for c in table.columns) + " |")
    rules = ("---:" if _is_right(table, index) else "---" for index in range(len(table.columns)))
    lines.append("| " + " | ".join(rules) + " |")
    lines += ["| " + " | ".join(escape(text(c)) for c in row) + " |" for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {escape(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_terminal(table: Table, *, width: int | None, color: bool) -> str:
    """Render for a terminal.

    Parameters
    ----------
    width
        Columns to fit into, or None where the output is no terminal: nothing is cut then.
    color
        Whether escape sequences may be used.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width or 10_000,
        force_terminal=color,
        color_system="auto" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    rich_table = RichTable(title=None, show_edge=False, pad_edge=False, box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        justify: Literal["right", "left"] = "right" if _is_right(table, index) else "left"
        rich_table.add_column(Text(text(column)), justify=justify, overflow="fold")
    for row in table.rows:
        rich_table.add_row(*(Text(text(cell)) for cell in row))
    if table.title:
        console.print(Text(text(table.title), style="bold" if color else ""))
    console.print(rich_table)
    for note in table.notes:
        console.print(Text(text(note)), soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _is_right(table: Table, index: int) -> bool:
    return table.align[index] == "r" if table.align else _is_numeric(table, index)


def _is_numeric(table: Table, index: int) -> bool:
    cells = [row[index] for row in table.rows if row[index] is not None]
    return bool(cells) and all(
        isinstance(cell, (int, float)) or _NUMBER.fullmatch(str(cell)) for cell in cells
    )


def _inert(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    shown = clean(cell)
    # Some programs drop the spaces in front first.
    return "'" + shown if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def escape(value: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    value = clean(value)
    for character in "\\|*_`[]":
        value = value.replace(character, "\\" + character)
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
