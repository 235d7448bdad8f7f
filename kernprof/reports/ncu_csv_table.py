"""The tables in the output of ``ncu --csv``: header, page, rows, log lines.

The table is found by its header row, wherever it stands; columns are found by name, because their
number and order changed over the releases (12 in 2020, 15 in 2022, 20 with rule results).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.lines import (
    Line,
    Record,
    is_log_line,
    join_record,
    read_lines,
    split_cells,
)

DELIMITERS = ",;\t"
"""ncu writes commas; spreadsheets re-save with what the locale wants."""

_NAME = "Kernel Name"
_KEYS = frozenset(
    {
        "ID",
        "Process ID",
        "Process Name",
        "Host Name",
        _NAME,
        "Kernel Time",
        "Context",
        "Stream",
        "Block Size",
        "Grid Size",
        "Device",
        "CC",
        "Invocations",
        "Section Name",
    }
)
_RULES = (
    "Rule Name",
    "Rule Type",
    "Rule Description",
    "Estimated Speedup Type",
    "Estimated Speedup",
)
_NVTX = ("Push/Pop_Range", "Start/Stop_Range")


class Page(StrEnum):
    """Which page of the report the table is."""

    RAW = "raw"
    DETAILS = "details"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one table.

    Parameters
    ----------
    page
        What its rows are.
    line
        Where it stands.
    columns
        Position by title.
    width
        Number of columns.
    metrics
        Position and name of every metric column (raw page only). A name can come twice.
    delimiter
        What separates cells.
    quoted
        Whether every cell of the header is quoted; rows then begin with a quote too, and any other
        line is the program's own output.
    """

    page: Page
    line: int
    columns: Mapping[str, int]
    width: int
    metrics: tuple[tuple[int, str], ...]
    delimiter: str
    quoted: bool

    @property
    def least_width(self) -> int:
        """Fewest cells of a whole row: newer releases end metric rows before the rule columns."""
        rules = [self.columns[title] for title in _RULES if title in self.columns]
        if self.page is Page.RAW or not rules or min(rules) + len(rules) != self.width:
            return self.width
        return min(rules)


@dataclass(frozen=True, slots=True)
class Row:
    """One data row: its line, its cells, filled up to the header's width."""

    line: int
    cells: list[str]
    rule_cells: bool

    def get(self, header: Header, title: str) -> str:
        """Return a cell by column title, "" where there is no such column."""
        index = header.columns.get(title)
        return self.cells[index].strip() if index is not None else ""


def find_header(text: str, line: int) -> Header | None:
    """Return the header that a line is, or None.

    Raises
    ------
    DamagedReportError
        A header with a title twice that is no metric of the raw page.
    """
    if _NAME not in text:
        return None
    shown = text.strip()
    for delimiter in DELIMITERS:
        if delimiter not in shown:
            continue
        try:
            titles = [cell.strip() for cell in split_cells(shown, delimiter, line)]
        except (DamagedReportError, LimitExceededError):
            continue
        page = _page(titles)
        if page is not None:
            return _header(titles, page, line, delimiter, quoted=shown.startswith('"'))
    return None


def _page(titles: list[str]) -> Page | None:
    found = set(titles)
    if _NAME not in found:
        return None
    if {"Metric Name", "Metric Unit", "Metric Value"} <= found:
        return Page.DETAILS
    if {"Invocations", "Metric Name", "Metric Unit", "Average"} <= found:
        return Page.SUMMARY
    if any("__" in title for title in found - _KEYS) and "Metric Name" not in found:
        return Page.RAW
    return None


def _header(titles: list[str], page: Page, line: int, delimiter: str, *, quoted: bool) -> Header:
    columns: dict[str, int] = {}
    for index, title in enumerate(titles):
        if title in columns and not (page is Page.RAW and _is_metric(title)):
            raise DamagedReportError(f"two columns are titled {title!r}", where=f"line {line}")
        columns[title] = index
    if page is not Page.SUMMARY and "ID" not in columns:
        raise DamagedReportError(
            "the table has no column 'ID', so its launches can't be told apart; keep all columns "
            "of the export",
            where=f"line {line}",
        )
    metrics: tuple[tuple[int, str], ...] = ()
    if page is Page.RAW:
        metrics = tuple((index, title) for index, title in enumerate(titles) if _is_metric(title))
    return Header(page, line, columns, len(titles), metrics, delimiter, quoted)


def _is_metric(title: str) -> bool:
    return bool(title) and title not in _KEYS and not any(mark in title for mark in _NVTX)


def looks_like_row(text: str, header: Header) -> bool:
    """Tell whether a line that is no row of a table has the look of a damaged one.

    The profiled program's own output stands between rows too; it does not have the delimiters of
    half a row.
    """
    return not is_log_line(text) and 2 * (text.count(header.delimiter) + 1) >= header.least_width


def scan(candidate: Candidate, limits: Limits) -> Iterator[Header | Row | Line]:
    """Yield headers, their rows, and every other line, in file order.

    Raises
    ------
    DamagedReportError
        A row that is short, long, or cut.
    LimitExceededError
        More columns than ``limits.metrics_per_launch``.
    """
    lines = read_lines(candidate)
    header: Header | None = None
    for line in lines:
        found = None if is_log_line(line.text) else find_header(line.text, line.number)
        if found is not None:
            if found.width > limits.metrics_per_launch:
                raise LimitExceededError(
                    f"{found.width} columns; the limit is {limits.metrics_per_launch}",
                    where=f"line {line.number}",
                )
            header = found
            yield header
        elif header is None or not _starts_row(line.text, header):
            yield line
        else:
            record = join_record(line, lines, header.delimiter)
            yield _row(record, header)


def _starts_row(text: str, header: Header) -> bool:
    shown = text.strip()
    if not shown or is_log_line(shown):
        return False
    return shown.startswith('"') or not header.quoted


def _row(record: Record, header: Header) -> Row:
    where = f"line {record.line}"
    count = len(record.cells)
    least = header.least_width
    # A row that ends before the rule columns may end in a delimiter: one more, empty cell.
    short = least <= count <= least + 1 and not any(cell for cell in record.cells[least:])
    if count != header.width and not short:
        problem = "the row is cut" if count < header.width else "the row is too long"
        raise DamagedReportError(
            f"{problem}: {count} cells where the header has {header.width}", where=where
        )
    if not record.ended and not record.closed and record.cells[-1]:
        raise DamagedReportError(
            "the last row ends without quote and line break, so its last cell may be cut; "
            "add a line break if it is whole",
            where=where,
        )
    whole = count == header.width
    cells = record.cells + [""] * (header.width - count)
    return Row(record.line, cells, rule_cells=whole)
