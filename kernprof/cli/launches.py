"""Launches of the files that a command names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernprof.cli.output import notice
from kernprof.errors import UsageError

if TYPE_CHECKING:
    from kernprof.profile import KernelProfile


def load_all(files: Sequence[str], kernel: str | None = None) -> list[KernelProfile]:
    """Load the launches of several reports, in order; notices go to standard error.

    Parameters
    ----------
    files
        Reports; ``-`` is standard input.
    kernel
        Only kernels whose name matches this regular expression. A file may have none of them as
        long as another has.

    Raises
    ------
    ReportError
        A file can't be read.
    UsageError
        Nothing is left of any file.
    """
    from kernprof.reports import load
    from kernprof.stalls.group import select

    profiles: list[KernelProfile] = []
    nothing: UsageError | None = None
    for file in files:
        report = load(file)
        for line in report.notices:
            notice(f"{file}: {line}")
        try:
            profiles += select(report.profiles, kernel=kernel)
        except UsageError as error:
            nothing = error
    if not profiles and nothing is not None:
        raise nothing
    return profiles
