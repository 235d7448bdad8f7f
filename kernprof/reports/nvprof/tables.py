"""The tables among nvprof's output, as CSV or as aligned text.

One pass over the lines yields the headings, the table headers and the rows, each row as cells by
column title. Both forms hold the same tables; what differs is how cells are cut:

CSV
    Cells in quotes, and in CSV of CUDA 5 unquoted kernel names with commas in them (the name is the
    last column, so the rest of the line is the name). Summaries and traces have a row of units
    below the header.
text
    Columns are two or more blanks apart; values carry their units, or a row of units stands below
    the header (``--normalized-time-unit``). Metric tables tell device and kernel in lines of their
    own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.reports.base import Candidate
from kernprof.reports.lines import Line, is_log_line, join_record, read_lines, split_cells
from kernprof.text import clean

_GAP = re.compile(r" {2,}|\t+")
_CELL = re.compile(r"\S+(?: \S+)*")
_DEVICE = re.compile(r'Device "(?P<name>.*)"')
_KERNEL = re.compile(r"Kernel: (?P<name>.+)")
_TYPE = re.compile(r"(?P<type>[A-Z][\w ().]*?):\s+(?=[0-9])")
_UNIT = re.compile(r"|%|ns|us|µs|ms|s|[KMGT]?B(/s)?")
_REMARKS = ("Warning", "Error", "Some kernel(s)", "Replaying")
_FOOTERS = ("Regs:", "SSMem:", "DSMem:", "SrcMemType:", "DstMemType:")


class Kind(StrEnum):
    """What a table holds."""

    METRICS = "metrics"
    EVENTS = "events"
    SUMMARY = "summary"
    TRACE = "trace"
    METRIC_TRACE = "metric trace"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Heading:
    """A log line (``==1234== Metric result:``); ``text`` is what follows the marks."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a table.

    ``ends`` tells where each title ends in its line (text tables only): cells are aligned there.
    """

    line: int
    kind: Kind
    titles: tuple[str, ...]
    is_csv: bool
    ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """A line outside of any table that has the look of a row, or a blank one between rows."""

    line: int
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Parameters
    ----------
    line
        Where it stands.
    header
        The table it belongs to.
    cells
        Text by column title; "" where the row has none. Text tables of metrics get ``Device`` and
        ``Kernel`` from the lines above.
    units
        Unit by column title, where the table has a row of units.
    ended
        False for a last row that no line break ends.
    """

    line: int
    header: Header
    cells: Mapping[str, str]
    units: Mapping[str, str]
    ended: bool

    def get(self, *titles: str) -> str:
        """Return the first of the named cells that there is, "" without one."""
        for title in titles:
            if title in self.cells:
                return self.cells[title]
        return ""

    def unit(self, *titles: str) -> str:
        """Return the unit of the first of the named columns."""
        for title in titles:
            if title in self.cells:
                return self.units.get(title, "")
        return ""


def find_header(text: str, line: int) -> Header | None:
    """Return the table header that a line is, or None."""
    shown = text.strip()
    if "," in shown:
        try:
            titles = tuple(cell.strip() for cell in split_cells(shown, ",", line))
        except (DamagedReportError, LimitExceededError):
            return None
        is_csv = True
    else:
        titles = tuple(_GAP.split(shown))
        is_csv = False
    kind = _kind(titles)
    if kind is None:
        return None
    if len(set(titles)) != len(titles):
        raise DamagedReportError("two columns have the same title", where=f"line {line}")
    if is_csv:
        return Header(line, kind, titles, is_csv)
    ends = tuple(match.end() for match in _CELL.finditer(text))
    return Header(line, kind, titles, is_csv, ends if len(ends) == len(titles) else ())


def _kind(titles: tuple[str, ...]) -> Kind | None:
    found = set(titles)
    # Nsight Compute's summaries have a unit column instead of a description.
    if {"Invocations", "Metric Name", "Min", "Max", "Avg"} <= found and "Metric Unit" not in found:
        return Kind.METRICS
    if {"Invocations", "Event Name", "Min", "Max", "Avg"} <= found:
        return Kind.EVENTS
    if {"Time(%)", "Time", "Calls", "Avg", "Min", "Max", "Name"} <= found:
        return Kind.SUMMARY
    if {"Name", "Start Time", "Duration", "Grid Size", "Block Size"} <= found:
        # The Visual Profiler's export of its timeline.
        return Kind.TRACE
    if {"Start", "Duration", "Name"} <= found:
        return Kind.TRACE if found & {"Grid Size", "Grid X"} else Kind.OTHER
    if {"Device", "Context", "Stream", "Kernel"} <= found and "Metric Name" not in found:
        return Kind.METRIC_TRACE
    if {"Count", "Avg Size", "Total Time", "Name"} <= found:
        return Kind.OTHER
    return None


def scan(candidate: Candidate) -> Iterator[Heading | Header | Row | Stray]:
    """Yield headings, headers and rows in file order; other lines are the program's own output.

    Those of them that look like rows of the last table, and blank ones between its rows, are
    yielded as strays.

    Raises
    ------
    DamagedReportError
        A line inside a table that is no row of it.
    """
    lines = read_lines(candidate)
    table: _Table | None = None
    last: Header | None = None
    after_blank = False
    rows = 0
    for line in lines:
        shown = line.text.strip()
        if is_log_line(shown):
            heading = Heading(line.number, shown.lstrip("=0123456789").strip())
            # Warnings come in between rows; everything else begins something new.
            if not heading.text.startswith(_REMARKS):
                table = None
            yield heading
            continue
        header = find_header(line.text, line.number) if shown else None
        if header is not None:
            table, last, after_blank, rows = _Table(header), header, False, 0
            yield header
        elif table is None:
            if last is not None and _looks_like_row(shown, last):
                yield Stray(line.number)
        elif not shown:
            after_blank = True
        elif shown.startswith(_FOOTERS):
            table = None
        else:
            try:
                row = table.take(line, lines)
            except DamagedReportError:
                if not after_blank:
                    raise
                # A blank line ends a table; what follows is the program's own output.
                table = None
                if last is not None and _looks_like_row(shown, last):
                    yield Stray(line.number)
                continue
            if row is not None:
                if after_blank and rows:
                    yield Stray(line.number - 1, blank=True)
                rows += 1
                yield row
            after_blank = False


def _looks_like_row(shown: str, header: Header) -> bool:
    """Tell a line with the cells of half a row, two of which hold numbers."""
    cells = shown.split(",") if header.is_csv else _GAP.split(shown)
    numbers = sum(any(character.isdecimal() for character in cell) for cell in cells)
    return 2 * len(cells) >= len(header.titles) and numbers >= 2


class _Table:
    """The table that is being read: its header, and what rows inherit from lines above them."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._units: dict[str, str] = {}
        self._at_first = True
        self._device = ""
        self._kernel = ""
        self._type = ""

    def take(self, line: Line, lines: Iterator[Line]) -> Row | None:
        """Return the row that a line is; None for lines of units, devices and kernels."""
        at_first, self._at_first = self._at_first, False
        if self.header.is_csv:
            return self._take_csv(line, lines, at_first=at_first)
        if self.header.kind in (Kind.METRICS, Kind.EVENTS):
            return self._take_counter(line)
        if self.header.kind is Kind.OTHER or (at_first and self._take_units(line.text)):
            return None
        return self._take_text(line)

    def _take_units(self, text: str) -> bool:
        """Take the row of units that ``--normalized-time-unit`` prints; tell whether it is one."""
        cells = [(match.group(), match.end()) for match in _CELL.finditer(text)]
        titles = dict(zip(self.header.ends, self.header.titles, strict=False))
        if not cells or not all(_UNIT.fullmatch(cell) and end in titles for cell, end in cells):
            return False
        self._units = {titles[end]: cell for cell, end in cells}
        return True

    def _take_csv(self, line: Line, lines: Iterator[Line], *, at_first: bool) -> Row | None:
        titles = self.header.titles
        record = join_record(line, lines, ",")
        cells = [cell.strip() for cell in record.cells]
        if (
            at_first
            and len(cells) == len(titles)
            and self.header.kind in (Kind.SUMMARY, Kind.TRACE, Kind.OTHER)
            and all(_UNIT.fullmatch(cell) for cell in cells)
        ):
            self._units = {title: unit for title, unit in zip(titles, cells, strict=True) if unit}
            return None
        if len(cells) > len(titles) and titles[-1] == "Name":
            # CSV of CUDA 5 does not quote names; only the last column can hold a comma.
            last = len(titles) - 1
            cells = [*cells[:last], ",".join(record.cells[last:]).strip()]
        if len(cells) != len(titles):
            problem = "cut" if len(cells) < len(titles) else "too long"
            raise DamagedReportError(
                f"the row is {problem}: {len(cells)} cells where the header has {len(titles)}",
                where=f"line {line.number}",
            )
        whole = record.ended or record.closed
        return self._row(line.number, dict(zip(titles, cells, strict=True)), whole)

    def _take_counter(self, line: Line) -> Row | None:
        """Take a line of a text table of metrics or events."""
        shown = line.text.strip()
        device = _DEVICE.fullmatch(shown)
        if device is not None:
            self._device, self._kernel = device["name"], ""
            return None
        kernel = _KERNEL.fullmatch(shown)
        if kernel is not None:
            self._kernel = kernel["name"]
            return None
        titles = self.header.titles
        parts = _GAP.split(shown)
        listed = shown.find("[")
        if listed > 0 and shown.endswith("]"):
            # Not aggregated: one value per unit of the GPU, in brackets in place of the average.
            parts = [*_GAP.split(shown[:listed].strip()), shown[listed:]]
        if len(parts) != len(titles):
            raise DamagedReportError(
                f"not a row of the {self.header.kind} table: {clean(shown, 60)!r} has {len(parts)} "
                f"cells, the header {len(titles)}; the file is cut, or other output is mixed in",
                where=f"line {line.number}",
            )
        if not self._kernel or not self._device:
            missing = "device" if not self._device else "kernel"
            raise DamagedReportError(
                f"a row of the {self.header.kind} table before any line that names its {missing}",
                where=f"line {line.number}",
            )
        cells = dict(zip(titles, parts, strict=True))
        cells["Device"], cells["Kernel"] = self._device, self._kernel
        return self._row(line.number, cells, line.ended)

    def _take_text(self, line: Line) -> Row:
        """Take a line of a text summary or trace: the name is the rest of the line."""
        shown = line.text.strip()
        titles = self.header.titles
        if titles[0] == "Type":
            kind = _TYPE.match(shown)
            if kind is not None:
                self._type = kind["type"]
                shown = shown[kind.end() :]
            titles = titles[1:]
        parts = _GAP.split(shown, maxsplit=len(titles) - 1)
        if len(parts) != len(titles):
            raise DamagedReportError(
                f"not a row of the {self.header.kind} table: {clean(shown, 60)!r} has {len(parts)} "
                f"cells, the header {len(titles)}; the file is cut, or other output is mixed in",
                where=f"line {line.number}",
            )
        cells = dict(zip(titles, parts, strict=True))
        if self.header.titles[0] == "Type":
            cells["Type"] = self._type
        return self._row(line.number, cells, line.ended)

    def _row(self, number: int, cells: dict[str, str], ended: bool) -> Row:
        return Row(number, self.header, cells, self._units, ended)
