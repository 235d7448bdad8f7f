"""What a damaged report lost against the sound one, and whether a word was said of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from kernprof.profile import KernelProfile, Report


class Outcome(StrEnum):
    """How reading a damaged report ended."""

    REFUSED = "refused"
    WHOLE = "whole"
    TOLD = "lost, told"
    SILENT_LAUNCHES = "launches lost in silence"
    SILENT_METRICS = "metrics lost in silence"
    RENAMED = "other names"
    HANG = "over 10 s"
    MEMORY = "over 1 GiB"
    CRASH = "crash"


SILENT = (Outcome.SILENT_LAUNCHES, Outcome.SILENT_METRICS)

_NO_LOSS = (
    "comment in the report:",
    "numbers are read with a decimal comma",
    "long numbers are read in groups",
    "values are printed in scaled units",
)
"""Notices that speak of something else than a loss."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a report holds, as far as losses go.

    Parameters
    ----------
    launches
        Number of instances by metric name, for each launch; metrics without a value count too.
    said
        All that was said of the report and its launches.
    """

    launches: tuple[dict[str, int], ...]
    said: Counter[str]


def content_of(report: Report) -> Content:
    """Return what a report holds."""
    said = Counter(report.notices)
    for profile in report.profiles:
        said.update(profile.notes)
    return Content(tuple(_metrics(profile) for profile in report.profiles), said)


def _metrics(profile: KernelProfile) -> dict[str, int]:
    found = dict.fromkeys((*profile.metrics, *profile.unset), 0)
    found.update((name, len(table.values)) for name, table in profile.instances.items())
    return found


def judge(found: Content, sound: Content) -> tuple[Outcome, str]:
    """Compare a damaged report with the sound one.

    Returns
    -------
    tuple
        The outcome, and the first thing that was lost. A launch that holds as many metrics as
        before, one of them under another name, is ``RENAMED``: nothing is lost, but a text changed.
    """
    lost = len(sound.launches) - len(found.launches)
    if lost > 0:
        return (
            Outcome.TOLD if _told(found, sound) else Outcome.SILENT_LAUNCHES,
            f"{lost} of {len(sound.launches)} launches",
        )
    renamed = ""
    for now, before in _pairs(found, sound):
        missing = [name for name in before if name not in now]
        shorter = [name for name, count in before.items() if count > now.get(name, count)]
        if not missing and not shorter:
            continue
        first = (missing or shorter)[0]
        what = f"{first!r}" + ("" if missing else " lost instances")
        if missing and len(now) >= len(before) and not shorter:
            renamed = renamed or what
        else:
            return Outcome.TOLD if _told(found, sound) else Outcome.SILENT_METRICS, what
    if renamed:
        return Outcome.TOLD if _told(found, sound) else Outcome.RENAMED, renamed
    return Outcome.WHOLE, ""


def _pairs(found: Content, sound: Content) -> list[tuple[dict[str, int], dict[str, int]]]:
    """Pair launches: alike ones first, since damage can change their order or repeat one."""
    left = [*found.launches]
    pairs, alone = [], []
    for before in sound.launches:
        twin = next((now for now in left if now.keys() == before.keys()), None)
        if twin is None:
            alone.append(before)
        else:
            left.remove(twin)
            pairs.append((twin, before))
    return [*pairs, *zip(left, alone, strict=False)]


def _told(found: Content, sound: Content) -> bool:
    new = found.said - sound.said
    return any(not text.startswith(_NO_LOSS) for text in new)
