"""The paper's exhibits as tables, records and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernprof.errors import UsageError
from kernprof.paper.exhibit import PUBLISHED, Exhibit
from kernprof.view import plots
from kernprof.view.table import Cell, Table, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def exhibit_table(exhibit: Exhibit) -> Table:
    """Return an exhibit for a person: a printed figure follows the recomputed one in brackets."""
    names = [name for name, _ in exhibit.columns]
    shown = [
        (at, names.index(name + PUBLISHED) if name + PUBLISHED in names else None)
        for at, name in enumerate(names)
        if not (name.endswith(PUBLISHED) and name.removesuffix(PUBLISHED) in names)
    ]
    rows: list[list[Cell]] = []
    for row in exhibit.rows:
        cells: list[Cell] = []
        for at, beside in shown:
            cell: Cell = _text(row[at])
            if beside is not None:
                cell = f"{_text(row[at]) or 'n/a'} ({_text(row[beside]) or 'n/a'})"
            cells.append(cell)
        rows.append(cells)
    columns = [exhibit.columns[at][1] for at, _ in shown]
    return Table(exhibit.title, columns, rows, list(exhibit.notes))


def flat_table(exhibit: Exhibit) -> Table:
    """Return an exhibit with one value a column and full precision, for CSV."""
    return Table("", [name for name, _ in exhibit.columns], exhibit.rows)


def exhibit_record(exhibit: Exhibit) -> dict[str, Any]:
    """Return an exhibit as plain data."""
    names = [name for name, _ in exhibit.columns]
    return {
        "key": exhibit.key,
        "title": exhibit.title,
        "rows": [dict(zip(names, row, strict=True)) for row in exhibit.rows],
        "notes": list(exhibit.notes),
    }


def exhibit_figure(exhibit: Exhibit) -> Figure:
    """Draw Figure 2, 3 or 4, or the kernels' shares of Table III.

    Raises
    ------
    UsageError
        The exhibit is a table that has no drawing.
    UnavailableError
        matplotlib isn't installed.
    """
    if exhibit.key == "fig2":
        labels = [str(value) for value in exhibit.column("quantity")]
        series = {
            "recomputed": _numbers(exhibit, "change_pct"),
            "published": _numbers(exhibit, "change_pct" + PUBLISHED),
        }
        return plots.grouped_bars(exhibit.title, labels, series, "change, %")
    if exhibit.key in ("fig3", "fig4"):
        x_name, *others = [name for name, _ in exhibit.columns[1:]]
        headings = dict(exhibit.columns)
        names = [str(value) for value in exhibit.column("network")]
        if exhibit.key == "fig3":
            panels = [(x_name, other) for other in others]
        else:
            panels = [(other, x_name) for other in others]
        return plots.scatters(
            exhibit.title,
            names,
            [
                (headings[x], _numbers(exhibit, x), headings[y], _numbers(exhibit, y))
                for x, y in panels
            ],
        )
    if exhibit.key == "table3":
        names = [str(value) for value in exhibit.column("network")]
        shares = {
            name.removesuffix("_pct" + PUBLISHED): _numbers(exhibit, name)
            for name, _ in exhibit.columns
            if name.endswith("_pct" + PUBLISHED)
        }
        return plots.stacked_bars(
            "Published shares of GPU time (P100)", names, shares, "share of GPU time, %"
        )
    raise UsageError(f"{exhibit.key} has no drawing; fig2, fig3, fig4 and table3 have one")


def _numbers(exhibit: Exhibit, column: str) -> list[float]:
    return [float(value) if value is not None else 0.0 for value in exhibit.column(column)]


def _text(value: Cell) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if value and abs(value) < 0.1:
        return number(value, 3)
    return number(value, 0 if value == int(value) else 2)
