"""The seam between readers and the rest: limits, the source of bytes, and the reader protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kernprof.profile import Report
from kernprof.text import clean

HEAD_BYTES = 64 * 1024
"""How much of a file a reader may look at to decide whether the content is its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for reading somebody else's file.

    Parameters
    ----------
    file_bytes
        Largest file that is opened.
    stream_bytes
        Most bytes taken from standard input (they are buffered in a temporary file).
    decompressed_bytes
        Largest content of a compressed report; decompression stops there.
    entry_bytes
        Largest single message of a binary report.
    source_bytes
        Largest machine code with its source text.
    blocks
        Most blocks of a binary report.
    names
        Most metric names of a report.
    launches
        Most launches of one report.
    metrics_per_launch
        Most metrics of one launch.
    instances_per_metric
        Most instances (instructions, units) of one metric.
    entries
        Most launches and pieces of machine code of one binary report; each takes the profiler tens
        of milliseconds, and reading it some tens of microseconds.
    details_per_launch
        Most rule results, NVTX ranges or other small parts of one launch.
    details
        Most small parts of a whole binary report: those of all launches, functions, source files,
        versions. A part can be as short as two bytes and still takes a microsecond.
    name_chars
        Longest name that is kept whole.
    """

    file_bytes: int = 4 << 30
    stream_bytes: int = 1 << 30
    decompressed_bytes: int = 1 << 30
    entry_bytes: int = 64 << 20
    source_bytes: int = 512 << 20
    blocks: int = 250_000
    names: int = 500_000
    launches: int = 1_000_000
    metrics_per_launch: int = 100_000
    instances_per_metric: int = 2_000_000
    entries: int = 250_000
    details_per_launch: int = 10_000
    details: int = 1_000_000
    name_chars: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to be read.

    Parameters
    ----------
    path
        Its path as the user named it; for messages and ``Report.path``.
    head
        Its first ``HEAD_BYTES`` bytes (all of a shorter file).
    size_bytes
        Its length.
    spooled
        Where the content lies when ``path`` does not name it (standard input), else None.
    """

    path: Path
    head: bytes
    size_bytes: int
    spooled: Path | None = None

    @property
    def name(self) -> str:
        """The file's name as outputs show it: somebody else may have chosen it."""
        return clean(self.path.name)

    @property
    def content(self) -> Path:
        """The file that holds the content: what a reader opens."""
        return self.spooled or self.path


class Reader(Protocol):
    """One format. Implementations hold no state."""

    name: str

    def recognises(self, candidate: Candidate) -> bool:
        """Tell from the first bytes whether the content is of this format; never raises."""

    def read(self, candidate: Candidate, limits: Limits) -> Report:
        """Read the file.

        Raises
        ------
        ReportError
            One of its subclasses, for whatever is wrong with the content.
        """
