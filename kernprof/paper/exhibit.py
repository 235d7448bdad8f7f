"""The record of a table or figure that the paper's commands show."""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | float | None
PUBLISHED = "_published"
"""Ending of a column of printed figures; the recomputed ones stand in the column without it."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A table of the paper, or the data of a figure.

    Parameters
    ----------
    key, title
        Name on the command line, and heading.
    columns
        (name, heading) pairs.
    rows
        One value a column; None is missing.
    notes
        What a reader must know, sources among it.
    """

    key: str
    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...]

    def column(self, name: str) -> list[Value]:
        """Return one column's values.

        Raises
        ------
        KeyError
            There is no such column.
        """
        names = [column for column, _ in self.columns]
        if name not in names:
            raise KeyError(name)
        at = names.index(name)
        return [row[at] for row in self.rows]
