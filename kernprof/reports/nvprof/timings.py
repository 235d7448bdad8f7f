"""nvprof's GPU summary and GPU trace: from rows to profiles with durations and launch shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernprof.errors import DamagedReportError
from kernprof.profile import (
    Collector,
    Dim3,
    Gpu,
    KernelProfile,
    MetricValue,
    SharedMemory,
    Source,
)
from kernprof.reports import names
from kernprof.reports.base import Limits
from kernprof.reports.nvprof.tables import Row
from kernprof.reports.nvprof.values import Printed, parse_value
from kernprof.text import clean

_DURATION = "gpu__time_duration.sum"
_CORRELATION = re.compile(r" \[\d+\]$")
_DEVICE_INDEX = re.compile(r" \(\d+\)$")
_EXTENT = re.compile(
    r"\((?P<x>\d{1,18}) (?P<y>\d{1,18}) (?P<z>\d{1,18})\)"
    r"|\[ ?(?P<i>\d{1,18}), ?(?P<j>\d{1,18}), ?(?P<k>\d{1,18}) ?\]"
)
"""As nvprof prints it, and as the Visual Profiler does."""
_GPU_TYPE = "GPU activities"
_COLUMNS = {
    "grid size": ("Grid Size", "Grid X"),
    "block size": ("Block Size", "Block X"),
    "registers": ("Regs*", "Registers Per Thread", "Regs"),
    "static shared memory": ("SSMem*", "Static SMem"),
    "dynamic shared memory": ("DSMem*", "Dynamic SMem"),
}
"""What every GPU trace tells of a launch, and the titles of it."""
_CUT_NAME_CHARS = 15
"""Text traces cut device names to this."""

_TIME_SLACK = 0.02
"""Time = Calls * Avg within the five digits that nvprof prints."""


@dataclass(frozen=True, slots=True)
class _Timed:
    line: int
    name: str
    device: str
    launches: int
    metrics: dict[str, MetricValue]
    spread: dict[str, tuple[float, float]]
    grid: Dim3 | None = None
    block: Dim3 | None = None
    registers: int | None = None
    shared_mem: SharedMemory = field(default_factory=SharedMemory)
    notes: tuple[str, ...] = ()

    def profile(self, origin: str, limits: Limits) -> KernelProfile:
        name = names.parse(self.name, limits.name_chars)
        if not name.kernel:
            raise DamagedReportError("a kernel without a name", where=f"line {self.line}")
        return KernelProfile(
            kernel=name.kernel,
            source=Source.IMPORTED,
            origin=origin,
            gpu=Gpu(name=clean(self.device, limits.name_chars) or None),
            demangled=name.demangled,
            mangled=name.mangled,
            grid=self.grid,
            block=self.block,
            registers=self.registers,
            shared_mem=self.shared_mem,
            launches=self.launches,
            metrics=self.metrics,
            spread=self.spread,
            collector=Collector("nvprof"),
            notes=self.notes,
        )


class Summary:
    """Gathers the rows of GPU summaries (``Time(%), Time, Calls, Avg, Min, Max, Name``)."""

    def __init__(self) -> None:
        self._kernels: list[_Timed] = []
        self._shares: list[float] = []
        self._first_line = 0
        self.copies = 0
        self.api_rows = 0
        self.device = ""

    def __len__(self) -> int:
        return len(self._kernels)

    def add(self, row: Row) -> None:
        """Add a row; rows of API calls, copies and memsets are only counted.

        Raises
        ------
        DamagedReportError
            Values that are none, or that contradict each other.
        """
        if "Type" in row.cells and row.get("Type") != _GPU_TYPE:
            self.api_rows += 1
            return
        share = _required(row, "Time(%)", "percent")
        if not self._shares:
            self._first_line = row.line
        self._shares.append(float(share.value))
        whole, average, low, high = (
            _required(row, title, "time") for title in ("Time", "Avg", "Min", "Max")
        )
        calls = _count(row, "Calls")
        _check_times(row, calls, whole, average, low, high)
        name = _name(row)
        if name.startswith("["):
            self.copies += 1
            return
        self._kernels.append(
            _Timed(
                line=row.line,
                name=name,
                device=_DEVICE_INDEX.sub("", self.device),
                launches=calls,
                metrics={_DURATION: average.value},
                spread={_DURATION: (float(low.value), float(high.value))},
            )
        )

    def close(self) -> None:
        """End a table: its shares must add up to the whole.

        Raises
        ------
        DamagedReportError
            They do not: rows are missing.
        """
        shares, self._shares = self._shares, []
        if not shares or not any(shares):
            return
        found = math.fsum(shares)
        # Each share is rounded to 0.01 at worst.
        if abs(found - 100.0) > 0.5 + 0.005 * len(shares):
            raise DamagedReportError(
                f"the shares of time add up to {found:.2f} %, not 100 %: rows are missing",
                where=f"table at line {self._first_line}",
            )

    def profiles(self, file_name: str, limits: Limits, *, first: int) -> Iterator[KernelProfile]:
        """Yield one profile per kernel, numbered from ``first``."""
        for index, kernel in enumerate(self._kernels, first):
            yield kernel.profile(f"{file_name}#{index}", limits)

    def notices(self) -> list[str]:
        """Tell what was left out."""
        found = []
        if self.copies:
            found.append(f"{self.copies} row(s) of copies and memsets are left out")
        if self.api_rows:
            found.append(f"{self.api_rows} row(s) of API calls are left out")
        return found


class Trace:
    """Gathers the rows of GPU traces: one launch each."""

    def __init__(self) -> None:
        self._launches: list[_Timed] = []
        self._lacking: dict[str, None] = {}
        self.copies = 0

    def __len__(self) -> int:
        return len(self._launches)

    def add(self, row: Row) -> None:
        """Add a row; copies, memsets and unified-memory events are only counted.

        Raises
        ------
        DamagedReportError
            Values that are none.
        """
        for what, titles in _COLUMNS.items():
            if not any(title in row.cells for title in titles):
                self._lacking[what] = None
        name = _CORRELATION.sub("", _name(row))
        if name.startswith("["):
            self.copies += 1
            return
        metrics: dict[str, MetricValue] = {}
        notes: list[str] = []
        duration = _printed(row, "Duration")
        if duration is not None and not duration.kind and _of_visual_profiler(row):
            notes.append(f"the duration {duration.text} is printed without a unit: not read")
        elif duration is not None:
            if duration.kind != "time" or duration.value < 0:
                raise DamagedReportError(
                    f"{clean(duration.text, 40)!r} is no duration", where=f"line {row.line}"
                )
            metrics[_DURATION] = duration.value
        grid, block = _extent(row, "Grid"), _extent(row, "Block")
        registers = _optional_count(row, "Regs*", "Registers Per Thread", "Regs")
        static, static_note = _bytes(row, "SSMem*", "Static SMem")
        dynamic, dynamic_note = _bytes(row, "DSMem*", "Dynamic SMem")
        told: dict[str, int | None] = {
            "launch__grid_size": grid.total if grid else None,
            "launch__block_size": block.total if block else None,
            "launch__thread_count": grid.total * block.total if grid and block else None,
            "launch__registers_per_thread": registers,
            "launch__shared_mem_per_block_static": static,
            "launch__shared_mem_per_block_dynamic": dynamic,
        }
        metrics.update({metric: value for metric, value in told.items() if value is not None})
        if not metrics:
            raise DamagedReportError(
                f"launch {clean(name, 60)!r} has neither duration nor shape",
                where=f"line {row.line}",
            )
        self._launches.append(
            _Timed(
                line=row.line,
                name=name,
                device=_device(row),
                launches=1,
                metrics=metrics,
                spread={},
                grid=grid,
                block=block,
                registers=registers,
                shared_mem=SharedMemory(static, dynamic),
                notes=(*notes, *(note for note in (static_note, dynamic_note) if note)),
            )
        )

    def profiles(self, file_name: str, limits: Limits, *, first: int) -> Iterator[KernelProfile]:
        """Yield one profile per launch, numbered from ``first``."""
        for index, launch in enumerate(self._launches, first):
            yield launch.profile(f"{file_name}#{index}", limits)

    def notices(self) -> list[str]:
        """Tell what was left out, and the columns that are not there."""
        found = []
        if self.copies:
            found.append(
                f"{self.copies} copies, memsets and memory events of the trace are left out"
            )
        if self._lacking:
            found.append(
                f"{len(self._lacking)} column(s) of every trace are missing in this one, or have "
                f"other titles: {', '.join(self._lacking)}"
            )
        return found


def _name(row: Row) -> str:
    """Return the row's name.

    Raises
    ------
    DamagedReportError
        No name, or a last line without line break whose name can't be seen to be whole.
    """
    name = row.get("Name")
    if not name:
        raise DamagedReportError("a row without a name", where=f"line {row.line}")
    if not row.ended and row.header.titles[-1] == "Name":
        brackets = [name.count(mark) for mark in "()[]<>{}"]
        balanced = all(brackets[index] == brackets[index + 1] for index in range(0, 8, 2))
        if not balanced or name[-1] not in ")]>":
            raise DamagedReportError(
                f"the last row ends without line break in {clean(name, 40)!r}: the file is cut, or "
                "needs a line break",
                where=f"line {row.line}",
            )
    return name


def _required(row: Row, title: str, kind: str) -> Printed:
    value = parse_value(row.get(title), row.line, row.unit(title))
    if value is None or value.kind != kind:
        raise DamagedReportError(
            f"{title} is {clean(row.get(title), 40)!r}; expected a {kind} value with its unit",
            where=f"line {row.line}",
        )
    return value


def _count(row: Row, title: str) -> int:
    text = row.get(title)
    if not text.isdecimal() or len(text) > 18 or int(text) < 1:
        raise DamagedReportError(
            f"{title} is {clean(text, 40)!r}; expected a count", where=f"line {row.line}"
        )
    return int(text)


def _optional_count(row: Row, *titles: str) -> int | None:
    text = row.get(*titles)
    if text in ("", "-"):
        return None
    if not text.isdecimal() or len(text) > 9:
        raise DamagedReportError(
            f"{titles[-1]} is {clean(text, 40)!r}; expected a count", where=f"line {row.line}"
        )
    return int(text)


def _check_times(
    row: Row, calls: int, whole: Printed, average: Printed, low: Printed, high: Printed
) -> None:
    if not low.value * (1 - _TIME_SLACK) <= average.value <= high.value * (1 + _TIME_SLACK):
        raise DamagedReportError(
            f"the average {average.text} is not between {low.text} and {high.text}",
            where=f"line {row.line}",
        )
    slack = whole.resolution + calls * average.resolution + _TIME_SLACK * abs(whole.value)
    if abs(whole.value - calls * average.value) > slack:
        raise DamagedReportError(
            f"{calls} calls of {average.text} do not take {whole.text}", where=f"line {row.line}"
        )


def _extent(row: Row, what: str) -> Dim3 | None:
    text = row.get(f"{what} Size")
    if text:
        if text == "-":
            return None
        match = _EXTENT.fullmatch(text)
        parts = [int(part) for part in match.groups() if part is not None] if match else []
    else:
        cells = [row.get(f"{what} {axis}") for axis in "XYZ"]
        if not any(cells):
            return None
        parts = [int(cell) for cell in cells if cell.isdecimal() and len(cell) <= 18]
    if len(parts) != 3 or not all(parts):
        raise DamagedReportError(
            f"{what} size {clean(text, 40)!r} is none; expected (x y z), all at least 1",
            where=f"line {row.line}",
        )
    return Dim3(*parts)


def _bytes(row: Row, *titles: str) -> tuple[int | None, str | None]:
    """Return shared memory in bytes, and a note where the printed digits don't tell the byte."""
    value = _printed(row, *titles)
    if value is None:
        return None, None
    if not value.kind and _of_visual_profiler(row):
        # Nothing is nothing in every unit.
        return (
            (0, None)
            if value.value == 0
            else (None, f"shared memory {value.text} is printed without a unit: not read")
        )
    if value.kind != "byte" or value.value < 0 or not math.isfinite(value.value):
        raise DamagedReportError(
            f"{titles[-1]} is {clean(value.text, 40)!r}; expected bytes", where=f"line {row.line}"
        )
    resolution = value.resolution if value.text[-2:] in ("KB", "MB", "GB") else 0.0
    note = None
    if resolution > 1.0 and value.value != round(value.value):
        note = f"shared memory is printed as {value.text}: known to {resolution:.0f} bytes"
    return round(value.value), note


def _printed(row: Row, *titles: str) -> Printed | None:
    """Return a cell's value; the Visual Profiler puts a blank before the unit, and writes µs."""
    text, unit = row.get(*titles), row.unit(*titles)
    if _of_visual_profiler(row):
        text, unit = ("".join(part.replace("µ", "u").split()) for part in (text, unit))
    return parse_value(text, row.line, unit)


def _of_visual_profiler(row: Row) -> bool:
    """Tell the Visual Profiler's export, which can be without units; nvprof's tables have them."""
    return "Start Time" in row.cells


def _device(row: Row) -> str:
    text = row.get("Device").strip()
    if text in ("", "-"):
        return ""
    whole = _DEVICE_INDEX.sub("", text)
    cut = not row.header.is_csv and whole == text and len(text) == _CUT_NAME_CHARS
    return f"{whole}…" if cut else whole
