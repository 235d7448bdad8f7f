"""Reader of nvprof's printed output: metric and event tables, GPU summary, GPU trace; CSV or text.

A table of metrics gives one profile per kernel and device, with the average as the value, (minimum,
maximum) as its spread and the invocations as ``launches``. A summary gives one profile per kernel
with its average duration. A trace gives one profile per launch. Copies and memsets are counted, not
kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
    UnknownFormatError,
    UnsupportedVersionError,
)
from kernprof.profile import KernelProfile, Report, Source
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.lines import VALUE_CELLS, head_lines, is_log_line
from kernprof.reports.losses import unfinished
from kernprof.reports.nvprof.counters import CounterTable
from kernprof.reports.nvprof.tables import Header, Heading, Kind, Row, Stray, find_header, scan
from kernprof.reports.nvprof.timings import Summary, Trace
from kernprof.text import clean

_OURS = (
    "NVPROF is profiling process",
    "Profiling application:",
    "Profiling result:",
    "Metric result:",
    "Event result:",
)
# Our own log lines, in tables of printed figures: "==kernprof== source: published". What is printed
# in words alone stands in "==kernprof== words: KERNEL: FIGURE: WORD" and becomes FIGURE_words.
_PROVENANCE = "kernprof=="
_RESULT = "Profiling result"
_COUNTERS = ("Metric result", "Event result")
_MESSAGE_CHARS = 300
_MESSAGES = 5


@dataclass(slots=True)
class _Findings:
    """What is gathered over the file."""

    counters: CounterTable = field(default_factory=CounterTable)
    summary: Summary = field(default_factory=Summary)
    trace: Trace = field(default_factory=Trace)
    formats: dict[str, None] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    provenance: dict[str, list[str]] = field(default_factory=dict)
    strays: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    announced: str | None = None
    tables_lost: int = 0

    def announce(self, section: str | None) -> None:
        """Note that a section begins (None: the file ends), and whether the last one had a table.

        Where nvprof collects metrics, a section of results without a table comes before theirs.
        """
        lost = self.announced in _COUNTERS or (
            self.announced == _RESULT and section not in _COUNTERS
        )
        self.tables_lost += lost
        self.announced = section

    def losses(self) -> list[str]:
        """Tell what the output itself shows to be missing."""
        found = []
        if self.tables_lost:
            found.append(
                f"{self.tables_lost} result section(s) hold no table that can be read: its header "
                "is missing or damaged"
            )
        if self.strays:
            found.append(
                f"{len(self.strays)} line(s) outside of the tables look like rows and are not read "
                f"(line {self.strays[0]})"
            )
        if self.gaps:
            found.append(
                f"{len(self.gaps)} blank line(s) stand between rows of a table (line "
                f"{self.gaps[0]}): rows may be lost there"
            )
        return [*found, *self.counters.losses(printed=bool(self.provenance))]


class NvprofOutputReader:
    """Reader of nvprof's CSV and text output; see the module's docstring."""

    name = "nvprof output"

    def recognises(self, candidate: Candidate) -> bool:
        """Tell by a table header, or by nvprof's own log lines."""
        for number, text in enumerate(head_lines(candidate.head), 1):
            shown = text.strip()
            if is_log_line(shown):
                if shown.lstrip("=0123456789").strip().startswith(_OURS):
                    return True
                continue
            try:
                if find_header(text, number) is not None:
                    return True
            except ReportError:
                return True
        return False

    def read(self, candidate: Candidate, limits: Limits) -> Report:
        """Read the file.

        Raises
        ------
        DamagedReportError
            Cut or mixed-up rows, values that are none, numbers that contradict each other.
        UnsupportedVersionError
            A table of a kind that is not read.
        UnknownFormatError
            nvprof's log without a table of kernels.
        LimitExceededError
            More launches or values than the limits allow.
        """
        found = _gather(candidate, limits)
        name = candidate.name
        timed = len(found.counters) + len(found.summary)
        profiles = (
            *found.counters.profiles(name, limits),
            *found.summary.profiles(name, limits, first=len(found.counters)),
            *found.trace.profiles(name, limits, first=timed),
        )
        if not profiles:
            raise _nothing(found)
        if found.provenance.get("source") == [str(Source.PUBLISHED)]:
            profiles = tuple(_published(profile, found.provenance) for profile in profiles)
        return Report(
            path=str(candidate.path),
            format=f"nvprof {', '.join(found.formats)}",
            profiles=profiles,
            notices=(
                *found.summary.notices(),
                *found.trace.notices(),
                *found.losses(),
                # The shares of a summary add up to the whole: none of it is missing.
                *(unfinished(candidate) if len(found.counters) + len(found.trace) else ()),
                *found.messages[:_MESSAGES],
            ),
            session={"profiler": "nvprof"},
        )


def _gather(candidate: Candidate, limits: Limits) -> _Findings:
    found = _Findings()
    rows = 0
    section = ""
    for item in scan(candidate):
        if isinstance(item, Heading):
            section = _heading(found, item, section)
        elif isinstance(item, Header):
            found.announced = None
            _header(found, item, section)
        elif isinstance(item, Stray):
            (found.gaps if item.blank else found.strays).append(item.line)
        else:
            rows += 1
            if rows > VALUE_CELLS:
                raise LimitExceededError(f"more than {VALUE_CELLS} rows", where=f"line {item.line}")
            _row(found, item, section, limits)
    found.summary.close()
    found.announce(None)
    return found


def _heading(found: _Findings, heading: Heading, section: str) -> str:
    """Take a log line and return the section that the lines after it belong to."""
    text = heading.text
    if text.startswith(_PROVENANCE):
        key, _, value = text.removeprefix(_PROVENANCE).partition(":")
        said = found.provenance.setdefault(clean(key.strip(), _MESSAGE_CHARS), [])
        if len(said) < _MESSAGES:
            said.append(clean(value.strip(), _MESSAGE_CHARS))
        return section
    if text.startswith("NVPROF is profiling process"):
        found.counters.new_run()
        found.summary.close()
        return ""
    if text.startswith(("Warning", "Error")):
        message = clean(text, _MESSAGE_CHARS)
        # Replaying is what collecting metrics means.
        if "will be replayed" not in message and message not in found.messages:
            found.messages.append(message)
        return section
    if text.startswith('Device "'):
        found.summary.close()
        found.summary.device = text.removeprefix('Device "').removesuffix('"')
        return section
    if text.rstrip().endswith(":"):
        found.summary.close()
        begun = text.rstrip(": ")
        found.announce(begun)
        return begun
    return section


def _published(profile: KernelProfile, provenance: dict[str, list[str]]) -> KernelProfile:
    """Label figures that somebody printed: no profiler was read, so none is named."""
    cited = tuple(f"published in {origin}" for origin in provenance.get("origin", ()))
    words = {}
    for line in provenance.get("words", ()):
        kernel, figure, word = (part.strip() for part in f"{line}::".split(":")[:3])
        if kernel == profile.kernel and figure and word:
            words[f"{figure}_words"] = word
    return replace(
        profile,
        source=Source.PUBLISHED,
        collector=None,
        metrics={**profile.metrics, **words},
        notes=(*profile.notes, *cited, *provenance.get("note", ())),
    )


def _header(found: _Findings, header: Header, section: str) -> None:
    if header.kind is Kind.METRIC_TRACE:
        raise UnsupportedVersionError(
            "metrics per launch (--print-gpu-trace --metrics) are not read; export them with "
            "`nvprof --csv --metrics ...` without --print-gpu-trace",
            where=f"line {header.line}",
        )
    found.summary.close()
    if header.kind in (Kind.METRICS, Kind.EVENTS):
        found.counters.new_table(header.kind)
    if header.kind is not Kind.OTHER and _is_gpu(section):
        form = "csv" if header.is_csv else "text"
        found.formats[f"{form} ({header.kind.value})"] = None


def _is_gpu(section: str) -> bool:
    """Tell the sections about kernels from those about API calls, unified memory and NVTX."""
    return section in ("", _RESULT, *_COUNTERS)


def _row(found: _Findings, row: Row, section: str, limits: Limits) -> None:
    kind = row.header.kind
    if kind is Kind.OTHER or not _is_gpu(section):
        return
    if kind in (Kind.METRICS, Kind.EVENTS):
        found.counters.add(row, limits)
    elif kind is Kind.SUMMARY:
        found.summary.add(row)
    else:
        found.trace.add(row)
    held = len(found.counters) + len(found.summary) + len(found.trace)
    if held > limits.launches:
        raise LimitExceededError(f"more than {limits.launches} launches", where=f"line {row.line}")


def _nothing(found: _Findings) -> ReportError:
    if found.formats:
        copies = found.summary.copies + found.trace.copies
        told = f"; it holds {copies} row(s) of copies and memsets" if copies else ""
        return DamagedReportError(f"the tables hold no kernel: the file is cut, or none ran{told}")
    told = f"; it says: {found.messages[0]}" if found.messages else ""
    return UnknownFormatError(
        "nvprof's log without a table of kernels (did one run? nvprof prints to stderr: use "
        f"`2> FILE` or --log-file FILE){told}"
    )
