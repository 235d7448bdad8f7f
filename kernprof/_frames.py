"""Records as pandas frames and as tables of a notebook; pandas is imported when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from kernprof.errors import UnavailableError
from kernprof.text import clean

if TYPE_CHECKING:
    import pandas as pd

Records = Iterable[Mapping[str, Any]]


def frame(records: Records) -> pd.DataFrame:
    """Return one row a record.

    Raises
    ------
    UnavailableError
        pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        remedy = "pip install 'gpu-kernprof[frames]'"
        raise UnavailableError("pandas is not installed", remedy) from None
    return pandas.DataFrame(list(records))


def html_table(records: Records) -> str:
    """Return records as an HTML table for a notebook; needs no pandas, and text stays text."""
    rows = list(records)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(clean(column))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(row.get(c)))}</td>" for c in columns) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: object) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.4g}" if isinstance(value, float) else clean(str(value))
