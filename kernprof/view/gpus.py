"""One layer on several GPUs, real ones or imagined, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kernprof.devices.model import Device
from kernprof.layers import PredictedLaunch, StaticLaunch, total_energy
from kernprof.lowering.report import LayerReport
from kernprof.stalls.analysis import analyse
from kernprof.view.energy import joules
from kernprof.view.layers import flat_table, layer_document
from kernprof.view.stalls import duration
from kernprof.view.stalls import launch_table as table_v
from kernprof.view.table import Cell, Table


@dataclass(frozen=True, slots=True)
class OnGpu:
    """A layer's launches on one GPU.

    Parameters
    ----------
    device
        The GPU.
    statics
        The launches, compiled for it.
    predicted
        The same launches, simulated; empty where that was not possible.
    change
        What is different about the GPU ("bandwidth=4"), or an empty string.
    """

    device: Device
    statics: Sequence[StaticLaunch]
    predicted: Sequence[PredictedLaunch]
    change: str = ""

    @property
    def label(self) -> str:
        """The GPU, and what is different about it."""
        name = self.device.name
        short = name.removeprefix("NVIDIA ").removeprefix("Tesla ").removeprefix("GeForce ")
        return f"{short}, {self.change}" if self.change else short

    @property
    def time_ns(self) -> float | None:
        """Time of the whole layer; None where it is not known."""
        times = [p.time_ns for p in self.predicted]
        known = [t for t in times if t is not None]
        return sum(known) if known and len(known) == len(times) else None


def gpu_tables(report: LayerReport, found: Sequence[OnGpu]) -> list[Table]:
    """Return the GPUs' totals, each launch's time on each, and Table V of the longest launches.

    Parameters
    ----------
    report
        The layer.
    found
        The same launches on two or more GPUs; the first is what the others are compared with.
    """
    return [_totals(report, found), _launches(found), *_longest(found)]


def gpus_document(report: LayerReport, found: Sequence[OnGpu]) -> dict[str, Any]:
    """Return one document: that of the first GPU, with the profiles of all."""
    documents = [layer_document(report, one.statics, one.device, one.predicted) for one in found]
    whole = documents[0]
    whole["profiles"] = [record for document in documents for record in document["profiles"]]
    return whole


def gpus_flat_table(report: LayerReport, found: Sequence[OnGpu]) -> Table:
    """Return one row a distinct launch and GPU, for CSV."""
    tables = [flat_table(report, one.statics, one.device, one.predicted) for one in found]
    return Table("", tables[0].columns, [row for table in tables for row in table.rows])


def _totals(report: LayerReport, found: Sequence[OnGpu]) -> Table:
    from kernprof.timing.accuracy import model_error

    base = found[0].time_ns
    rows: list[list[Cell]] = []
    for one in found:
        time = one.time_ns
        clock = next((p.timing.clock_mhz for p in one.predicted if p.timing.clock_mhz), None)
        energy = total_energy(one.predicted) if one.predicted else None
        longest = _longest_of(one)
        top = None if longest is None else analyse(longest.profile).stalls
        (reason, share) = top.top(1)[0] if top is not None and top.top(1) else ("", 0.0)
        least = sum(static.least_time_ns for static in one.statics)
        rows.append(
            [
                one.label,
                one.device.arch.name,
                f"{clock:.0f} MHz" if clock else None,
                duration(time),
                None if not time or not base else f"{base / time:.2f}x",
                duration(least),
                None if energy is None else joules(energy.total.mid),
                None if longest is None else longest.static.kernel.name,
                f"{reason} {share:.0f}" if reason else None,
            ]
        )
    columns = [
        "GPU",
        "Arch",
        "Clock",
        "Time",
        "Speed-up",
        "Time at least",
        "Energy",
        "Longest kernel",
        "its top stall %",
    ]
    notes = [
        f"predicted: the layer's launches in lowering {report.options.lowering} at each GPU's own "
        "clock, caches cold at each launch, gaps between launches left out. Speed-up: over the "
        "first row.",
        model_error().sentence,
    ]
    if any(one.change for one in found):
        notes.append(
            "A GPU with a change does not exist; its speed-up is what the change would bring, by "
            "the model."
        )
    return Table("", columns, rows, notes, align="llrrrrrll")


def _launches(found: Sequence[OnGpu]) -> Table:
    rows: list[list[Cell]] = []
    for position, static in enumerate(found[0].statics):
        row: list[Cell] = [
            static.kernel.name + ("*" if static.launch.stand_in else ""),
            f"{static.launch.direction}: {static.launch.purpose}",
            static.launch.count,
        ]
        for one in found:
            row.append(duration(one.predicted[position].time_ns) if one.predicted else None)
        rows.append(row)
    columns = ["Kernel", "Purpose", "Launches", *(one.label for one in found)]
    return Table("", columns, rows, align="llr" + "r" * len(found))


def _longest(found: Sequence[OnGpu]) -> list[Table]:
    longest = [p for p in map(_longest_of, found) if p is not None]
    return [table_v([analyse(p.profile) for p in longest], top=3)] if longest else []


def _longest_of(one: OnGpu) -> PredictedLaunch | None:
    return max(one.predicted, key=lambda p: p.time_ns or 0.0, default=None)
