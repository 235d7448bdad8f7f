"""The first pass over ``ncu --csv`` output: how numbers are written, and what the log tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kernprof.errors import DamagedReportError, ReportError, UnknownFormatError
from kernprof.profile import KernelProfile
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.lines import Line
from kernprof.reports.losses import listed
from kernprof.reports.ncu_csv_table import Header, Page, Row, looks_like_row, scan
from kernprof.reports.ncu_labels import name_of
from kernprof.reports.ncu_units import Unit, parse_unit
from kernprof.reports.numbers import FormatEvidence, Whole

_PROFILED = re.compile(r'==PROF== Profiling ".*"(?: - \d+(?: \(\d+/\d+\))?)?: 0%')
_SECTION = re.compile(r"\s*Section: \S")
_WHOLE_UNITS = frozenset(
    {"", "inst", "thread", "warp", "block", "byte", "sector", "request", "cycle", "register"}
)
_METRIC_TITLE = re.compile(r"[A-Za-z0-9_.]+:?[a-z][A-Za-z0-9_.]*")
_WHOLE_METRIC = re.compile(
    r".*\.(sum|max|min)|launch__.*(size|count|limit_\w+|per_thread|per_block\w*)"
)


@dataclass(slots=True)
class Survey:
    """What the first pass finds.

    Parameters
    ----------
    evidence
        How the file writes numbers.
    pages
        The page of every table, in file order.
    profiled
        Launches that the log says were profiled.
    text_page
        Whether there are lines of ncu's text output.
    log
        The first warnings and errors of the log.
    strays
        Lines below a header that look like damaged rows.
    odd_titles
        Titles on the raw page that have no form of a metric's name.
    """

    evidence: FormatEvidence = field(default_factory=FormatEvidence)
    pages: list[Page] = field(default_factory=list)
    profiled: int = 0
    text_page: bool = False
    log: list[str] = field(default_factory=list)
    strays: list[int] = field(default_factory=list)
    odd_titles: list[str] = field(default_factory=list)


def take_survey(candidate: Candidate, limits: Limits) -> Survey:
    """Go over the file once: pages, log lines, and how numbers are written.

    Raises
    ------
    DamagedReportError, LimitExceededError
        What ``kernprof.reports.ncu_csv_table.scan`` raises, and a raw page without units.
    """
    survey = Survey()
    header: Header | None = None
    kinds: list[tuple[int, Whole]] | None = None
    for item in scan(candidate, limits):
        if isinstance(item, Header):
            header, kinds = item, None
            survey.pages.append(item.page)
            survey.odd_titles += [
                name for _, name in item.metrics if not _METRIC_TITLE.fullmatch(name)
            ]
        elif isinstance(item, Line):
            _survey_line(survey, item, header)
        elif header is not None:
            if header.page is Page.RAW:
                if kinds is None:
                    units = unit_row(header, item)
                    kinds = [
                        (index, _whole_kind(name, units[index])) for index, name in header.metrics
                    ]
                    continue
                for index, kind in kinds:
                    survey.evidence.add(item.cells[index].strip(), item.line, kind)
            else:
                unit = parse_unit(item.get(header, "Metric Unit"))
                metric = name_of(item.get(header, "Metric Name"), unit).metric
                kind = _whole_kind(metric, unit)
                if header.page is Page.SUMMARY and kind is Whole.COUNT:
                    kind = Whole.UNKNOWN
                for title in ("Metric Value", "Minimum", "Maximum", "Average"):
                    survey.evidence.add(item.get(header, title), item.line, kind)
                survey.evidence.add(item.get(header, "Estimated Speedup"), item.line, Whole.PERCENT)
    return survey


def _survey_line(survey: Survey, line: Line, header: Header | None) -> None:
    text = line.text.lstrip()
    if text.startswith("==PROF=="):
        survey.profiled += _PROFILED.match(text) is not None
    elif text.startswith(("==ERROR==", "==WARNING==")):
        if len(survey.log) < 20:
            survey.log.append(text[:500])
    elif _SECTION.match(line.text):
        survey.text_page = True
    elif header is not None and looks_like_row(text, header):
        survey.strays.append(line.number)


def _whole_kind(metric: str, unit: Unit) -> Whole:
    """Tell counts, which have no fraction, and percentages from other quantities."""
    if unit.text == "%":
        return Whole.PERCENT
    top = unit.base.partition("/")[0]
    if not unit.scaled and top in _WHOLE_UNITS and _WHOLE_METRIC.fullmatch(metric):
        return Whole.COUNT
    return Whole.UNKNOWN


def unit_row(header: Header, row: Row) -> dict[int, Unit]:
    """Return the unit of every metric column of the raw page.

    Raises
    ------
    DamagedReportError
        The row after the header is no row of units.
    """
    if any(row.get(header, title) for title in ("ID", "Kernel Name")):
        raise DamagedReportError(
            "the row of units is missing below the header, so values can't be read (ns or ms?)",
            where=f"line {row.line}",
        )
    return {index: parse_unit(row.cells[index]) for index, _ in header.metrics}


def no_table(survey: Survey) -> ReportError:
    """Return what to say of a file without a table."""
    log = " ".join(survey.log)
    if "ERR_NVGPUCTRPERM" in log:
        return ReportError(
            "holds no table: the profiler was refused access to the GPU's performance counters "
            "(ERR_NVGPUCTRPERM); see https://developer.nvidia.com/ERR_NVGPUCTRPERM"
        )
    if survey.text_page:
        return UnknownFormatError(
            "ncu's text output, which is not read; export it with "
            "`ncu --import REPORT --csv --page raw --print-units base`, or profile with --csv"
        )
    told = f"; it says: {survey.log[0]}" if survey.log else ""
    return UnknownFormatError(
        "log lines of ncu without a CSV table (was --csv given, and did a kernel run?)" + told
    )


def log_notices(survey: Survey, profiles: tuple[KernelProfile, ...]) -> list[str]:
    """Check the number of launches against the log, tell damaged rows, and repeat its errors.

    Raises
    ------
    DamagedReportError
        The log says that more launches were profiled, and names no error.
    """
    strays = []
    if survey.strays:
        strays.append(
            f"{len(survey.strays)} line(s) below the header look like damaged rows and are not "
            f"read (line {survey.strays[0]})"
        )
    if survey.odd_titles:
        strays.append(
            f"{len(survey.odd_titles)} column(s) have titles that are no metric names "
            f"({listed(survey.odd_titles)}): what they stand for is lost"
        )
    errors = [text for text in survey.log if text.startswith("==ERROR==")]
    found = sum(profile.launches for profile in profiles)
    if survey.profiled > found:
        message = f"the log tells of {survey.profiled} profiled launches, the table holds {found}"
        if not errors:
            raise DamagedReportError(f"{message}: the file is cut")
        return [message, *strays, *errors[:3]]
    return [*strays, *errors[:3]]
