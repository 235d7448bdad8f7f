"""Reader of what ``ncu --csv`` prints: raw page, details page, per-kernel summary.

A file may hold several exports, each with its header, among the profiler's log lines and the
profiled program's own output. It is read twice: first for the evidence on how its numbers are
written (see ``kernprof.reports.numbers``), then for the values. Host and process names are not
kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
)
from kernprof.profile import Report
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.lines import VALUE_CELLS, Line, head_lines
from kernprof.reports.losses import Held, gaps, unfinished, unlike
from kernprof.reports.ncu_csv_launch import LaunchBuilder, finish, number, rule, to_base
from kernprof.reports.ncu_csv_survey import log_notices, no_table, take_survey, unit_row
from kernprof.reports.ncu_csv_table import Header, Page, Row, find_header, scan
from kernprof.reports.ncu_labels import Naming, name_of
from kernprof.reports.ncu_units import Unit, parse_unit
from kernprof.reports.numbers import NumberFormat

_IDENTITY = ("Process ID", "ID", "Kernel Name", "Context", "Stream", "Block Size", "Grid Size")
_ID = re.compile(r"[0-9]{1,9}")


class NcuCsvReader:
    """Reader of ``ncu --csv`` output; see the module's docstring."""

    name = "ncu csv"

    def recognises(self, candidate: Candidate) -> bool:
        """Tell by a header row, or by the log lines that only ncu writes."""
        lines = head_lines(candidate.head)
        for line, text in enumerate(lines, 1):
            try:
                if find_header(text, line) is not None:
                    return True
            except ReportError:
                return True
        return any(text.lstrip().startswith("==PROF== ") for text in lines)

    def read(self, candidate: Candidate, limits: Limits) -> Report:
        """Read the file.

        Raises
        ------
        DamagedReportError
            Cut rows, numbers that are none, launches without a name or metric, fewer launches than
            the log says were profiled.
        UnknownFormatError
            Output of ncu without a CSV table.
        LimitExceededError
            More launches, metrics or values than the limits allow.
        ReportError
            Numbers whose decimal mark can't be told.
        """
        survey = take_survey(candidate, limits)
        if not survey.pages:
            raise no_table(survey)
        number_format = survey.evidence.decide()
        notices = Notices()
        launches = list(_launches(candidate, limits, number_format, notices))
        profiles = tuple(
            finish(builder, f"{candidate.name}#{index}", limits)
            for index, builder in enumerate(launches)
        )
        if not profiles:
            raise DamagedReportError("the table has no rows: the file is cut after its header")
        page = " + ".join(dict.fromkeys(page.value for page in survey.pages))
        return Report(
            path=str(candidate.path),
            format=f"ncu csv ({page})",
            profiles=profiles,
            notices=(
                *log_notices(survey, profiles),
                *notices.listed(number_format),
                *_losses(launches),
                *unfinished(candidate),
            ),
            session={"profiler": "ncu"},
        )


@dataclass(slots=True)
class Notices:
    """What the second pass notices on its way."""

    scaled: dict[str, None] = field(default_factory=dict)
    with_instances: int = 0

    def listed(self, number_format: NumberFormat) -> list[str]:
        """Return the notices, one line each."""
        found = []
        if number_format.decimal == ",":
            found.append("numbers are read with a decimal comma, as the file writes them")
        if number_format.lakhs:
            found.append("long numbers are read in groups of lakhs, as the file writes them")
        if self.scaled:
            found.append(
                f"values are printed in scaled units ({', '.join(self.scaled)}), which keep few "
                "digits; --print-units base keeps all"
            )
        if self.with_instances:
            found.append(
                f"{self.with_instances} value(s) list their instances; only the totals are read: "
                "import the .ncu-rep itself for per-instruction values"
            )
        return found


def _launches(
    candidate: Candidate, limits: Limits, number_format: NumberFormat, notices: Notices
) -> Iterator[LaunchBuilder]:
    """Yield the launches of all tables in file order."""
    header: Header | None = None
    columns: list[tuple[int, Naming, Unit]] | None = None
    open_launches: dict[tuple[str, ...], LaunchBuilder] = {}
    count = values = tables = 0
    for item in scan(candidate, limits):
        if isinstance(item, Header):
            yield from open_launches.values()
            open_launches = {}
            header, columns = item, None
            tables += 1
            continue
        if isinstance(item, Line) or header is None:
            continue
        if header.page is Page.RAW and columns is None:
            units = unit_row(header, item)
            columns = [
                (index, Naming(metric, known=True), units[index])
                for index, metric in header.metrics
            ]
            continue
        key = tuple(item.get(header, title) for title in _IDENTITY)
        builder = open_launches.get(key)
        if builder is None:
            count += 1
            if count > limits.launches:
                raise LimitExceededError(
                    f"more than {limits.launches} launches", where=f"line {item.line}"
                )
            builder = open_launches[key] = _builder(header, item, number_format)
            builder.table = tables
        elif header.page is Page.RAW:
            raise DamagedReportError(
                f"two rows for the launch with ID {item.get(header, 'ID')!r}",
                where=f"line {item.line}",
            )
        if columns is not None:
            for index, naming, unit in columns:
                text = item.cells[index].strip()
                _add(builder, naming, text, unit, number_format, item.line, notices)
            builder.printed.clear()
            values += len(builder.metrics)
        else:
            _add_long_row(builder, header, item, number_format, notices, limits)
            values += 1
        if values > VALUE_CELLS:
            raise LimitExceededError(
                f"more than {VALUE_CELLS} metric values; export fewer launches (--kernel-name) or "
                "fewer metrics (--metrics)",
                where=f"line {item.line}",
            )
        if len(builder.metrics) > limits.metrics_per_launch:
            raise LimitExceededError(
                f"more than {limits.metrics_per_launch} metrics of one launch",
                where=f"line {item.line}",
            )
    yield from open_launches.values()


def _builder(header: Header, row: Row, number_format: NumberFormat) -> LaunchBuilder:
    builder = LaunchBuilder(
        line=row.line,
        name=row.get(header, "Kernel Name"),
        grid=row.get(header, "Grid Size"),
        block=row.get(header, "Block Size"),
        device=row.get(header, "Device"),
        capability=row.get(header, "CC"),
        process=row.get(header, "Process ID"),
        context=row.get(header, "Context"),
        number=row.get(header, "ID"),
    )
    if header.page is Page.SUMMARY:
        text = row.get(header, "Invocations")
        count = to_base(text, parse_unit(""), number_format, row.line)
        if not isinstance(count, int) or count < 1:
            raise DamagedReportError(
                f"{text!r} is no number of invocations", where=f"line {row.line}"
            )
        builder.invocations = count
    return builder


def _add_long_row(
    builder: LaunchBuilder,
    header: Header,
    row: Row,
    number_format: NumberFormat,
    notices: Notices,
    limits: Limits,
) -> None:
    """Add a row of the details page or of the summary: a metric, or a rule's result."""
    label = row.get(header, "Metric Name")
    if not label:
        _add_rule(builder, header, row, number_format, limits)
        return
    unit = parse_unit(row.get(header, "Metric Unit"))
    naming = name_of(label, unit)
    title = "Metric Value" if header.page is Page.DETAILS else "Average"
    text = row.get(header, title)
    section = row.get(header, "Section Name")
    builder.rows.add(_row_name(section, label))
    if not naming.known:
        naming = Naming(builder.distinct(label, section, text, unit), known=False, why=naming.why)
    if not _add(builder, naming, text, unit, number_format, row.line, notices):
        return
    if header.page is Page.SUMMARY:
        ends = [
            to_base(row.get(header, end), unit, number_format, row.line)
            for end in ("Minimum", "Maximum")
        ]
        low, high = ends
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            builder.spread[naming.metric] = (float(low), float(high))


def _add(
    builder: LaunchBuilder,
    naming: Naming,
    text: str,
    unit: Unit,
    number_format: NumberFormat,
    line: int,
    notices: Notices,
) -> bool:
    before = builder.with_instances
    added = builder.add(naming, text, unit, number_format, line)
    notices.with_instances += builder.with_instances - before
    if added and unit.scaled and len(notices.scaled) < 20:
        notices.scaled[unit.text] = None
    return added


def _add_rule(
    builder: LaunchBuilder, header: Header, row: Row, number_format: NumberFormat, limits: Limits
) -> None:
    name = row.get(header, "Rule Name")
    if not row.rule_cells:
        raise DamagedReportError(
            "the row is cut: it has neither metric nor rule", where=f"line {row.line}"
        )
    if not name:
        return
    speedup = number(row.get(header, "Estimated Speedup"), number_format, row.line)
    builder.rules.append(
        rule(
            (
                row.get(header, "Section Name"),
                name,
                row.get(header, "Rule Type"),
                row.get(header, "Rule Description"),
                row.get(header, "Estimated Speedup Type"),
            ),
            limits.name_chars,
            speedup,
        )
    )


def _losses(launches: list[LaunchBuilder]) -> list[str]:
    """Notice IDs that are missing, and launches with fewer metrics than the others."""
    return [
        *_id_gaps(launches),
        *unlike(
            [
                Held(f"launch {index}", builder.table, _rows_of(builder))
                for index, builder in enumerate(launches)
            ]
        ),
    ]


def _rows_of(builder: LaunchBuilder) -> Collection[str]:
    """Return what stands in the table for a launch: rows of a page, or metrics of a raw one."""
    return builder.rows or builder.metrics.keys() | set(builder.absent)


@lru_cache(maxsize=65_536)
def _row_name(section: str, label: str) -> str:
    """Return one text for the rows of all launches that have the same section and label."""
    return f"{section}: {label}" if section else label


def _id_gaps(launches: list[LaunchBuilder]) -> list[str]:
    """Notice missing IDs: they count the launches of a process, or those of the whole run."""
    by_process: dict[tuple[int, str], set[int]] = {}
    by_table: dict[int, set[int]] = {}
    for builder in launches:
        if not _ID.fullmatch(builder.number):
            return []
        number = int(builder.number)
        by_process.setdefault((builder.table, builder.process), set()).add(number)
        by_table.setdefault(builder.table, set()).add(number)
    found = [
        [notice for numbers in groups for notice in gaps(numbers, "launches")]
        for groups in (by_process.values(), by_table.values())
    ]
    return min(found, key=len)
