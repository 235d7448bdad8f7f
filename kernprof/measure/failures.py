"""From what a profiler printed to what went wrong and what helps."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kernprof.errors import InputError, KernprofError, UnavailableError, UsageError

_KINDS = ("unavailable", "usage", "input")


@dataclass(frozen=True, slots=True)
class Failure:
    """One known way to fail.

    Parameters
    ----------
    tool
        "ncu" or "nvprof".
    text
        Part of the line that tells it; ``{}`` stands for one word.
    kind
        "unavailable", "usage" or "input".
    says, remedy
        What happened and what helps; ``{0}`` is the word.
    source
        Where the line was read.
    """

    tool: str
    text: str
    kind: str
    says: str
    remedy: str
    source: str

    def matches(self, line: str) -> re.Match[str] | None:
        """Look for the text in a line."""
        return _pattern(self.text).search(line)

    def error(self, word: str = "") -> KernprofError:
        """Make the error that the command ends with."""
        said = self.says.format(word)
        if self.kind == "unavailable":
            return UnavailableError(said, self.remedy)
        return (UsageError if self.kind == "usage" else InputError)(f"{said}; {self.remedy}")


@cache
def failures() -> tuple[Failure, ...]:
    """Return the known failures, most telling first.

    Raises
    ------
    ValueError
        The table has a kind that there is none of.
    """
    text = (resources.files("kernprof.measure") / "data" / "failures.toml").read_text("utf-8")
    rows = tuple(Failure(**row) for row in tomllib.loads(text)["failure"])
    for row in rows:
        if row.kind not in _KINDS:
            raise ValueError(f"{row.text}: kind {row.kind!r}")
    return rows


def recognise(tool: str, lines: Iterable[str]) -> KernprofError | None:
    """Find the most telling failure in a profiler's output.

    Only lines of the profiler itself count (``==ERROR==``, ``==WARNING==``, ``======== Error``,
    and those before it starts): an application may print anything.

    Parameters
    ----------
    tool
        "ncu" or "nvprof".
    lines
        What it printed.
    """
    own = [line for line in lines if is_own(tool, line)]
    for failure in failures():
        if failure.tool != tool:
            continue
        for line in own:
            found = failure.matches(line)
            if found is not None:
                return failure.error(found.group(1) if found.groups() else "")
    return None


def is_own(tool: str, line: str) -> bool:
    """Whether a line is the profiler's, not the application's."""
    if tool == "nvprof":
        return line.startswith("==")
    return line.startswith(("==ERROR==", "==WARNING==", "==PROF==", "unrecognised option"))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    before, mark, after = text.partition("{}")
    return re.compile(
        re.escape(before)
        + (r"(\S+?)" if mark and after else r"(\S+)" if mark else "")
        + re.escape(after)
    )
