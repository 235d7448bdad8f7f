"""The sound reports that are damaged: the project's own traces, made ones, and a folder's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kernprof.errors import ReportError
from kernprof.profile import Report
from kernprof.reports import load

ROOT = Path(__file__).parents[2]
_BUILDERS = ROOT / "tests" / "reports"
_LARGEST_BYTES = 1_500_000
"""Larger reports hold the same shapes and take longer."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A report that can be read.

    Parameters
    ----------
    name
        File name, or what was made.
    form
        One of ``FORMS``.
    content
        Its bytes.
    """

    name: str
    form: str
    content: bytes


FORMS = ("ncu-rep", "ncu csv raw", "ncu csv details", "nvprof csv", "nvprof text", "nvprof sqlite")


def form_of(report: Report) -> str:
    """Return which of ``FORMS`` a report is."""
    words = report.format
    if words.startswith("ncu-rep"):
        return "ncu-rep"
    if words.startswith("ncu csv"):
        return "ncu csv raw" if "raw" in words else "ncu csv details"
    if "sqlite" in words:
        return "nvprof sqlite"
    return "nvprof text" if "text" in words else "nvprof csv"


@cache
def collect(folder: Path | None, scratch: Path) -> tuple[Sound, ...]:
    """Return every sound report, in an order that depends on nothing but the files.

    Parameters
    ----------
    folder
        Reports in any format; files that can't be read are left out. None for none.
    scratch
        Where made ones are written to be read once.
    """
    found = []
    for name, content in _contents(folder):
        path = scratch / "sound"
        path.write_bytes(content)
        try:
            report = load(path)
        except ReportError:
            continue
        found.append(Sound(name, form_of(report), content))
    return tuple(found)


def _contents(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for path in sorted((ROOT / "traces").iterdir()):
        if path.suffix in (".ncu-rep", ".csv"):
            yield path.name, path.read_bytes()
    yield from sorted(_made().items())
    if folder is not None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= _LARGEST_BYTES:
                yield path.name, path.read_bytes()


def _made() -> dict[str, bytes]:
    """Return the sound files that the tests of the readers damage, and longer ones like them."""
    sys.path.insert(0, str(_BUILDERS))
    try:
        import csv_builder
        import damage
        import damage_text
    finally:
        sys.path.remove(str(_BUILDERS))
    made = {f"made {name}": content for name, content in damage_text.samples().items()}
    made["made ncu-rep"] = damage.sound()
    units = {f"sm__metric_{index}.sum": "inst" for index in range(20)}
    labels = [f"sm__metric_{index}.sum" for index in range(12)]
    numbers = range(12)
    made["made raw of 12 launches"] = csv_builder.raw(
        units,
        [(csv_builder.keys(number), [100 * number + m for m in range(20)]) for number in numbers],
    ).encode()
    made["made details of 12 launches"] = csv_builder.details(
        [
            csv_builder.detail(label, "inst", str(100 * number + len(label)), launch=number)
            for number in numbers
            for label in labels
        ]
    ).encode()
    row = ("2", "Instructions", "1000", "3000", "2000")
    rows = {
        f"kernel_{number}(int)": [(row[0], name, *row[1:]) for name in labels[:8]]
        for number in numbers
    }
    made["made nvprof csv of 12 kernels"] = csv_builder.nvprof_metrics_csv(
        [("P100 (0)", kernel, *cells) for kernel, listed in rows.items() for cells in listed]
    ).encode()
    made["made nvprof text of 12 kernels"] = csv_builder.nvprof_metrics_text(rows).encode()
    return made
