"""Tables of a prediction: exact counts, agreement with a report, counts per source line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kernprof.devices.model import WARP_SIZE
from kernprof.prediction.agreement import Compared
from kernprof.profile import KernelProfile
from kernprof.view.energy import energy_note
from kernprof.view.table import Cell, Table

if TYPE_CHECKING:
    from kernprof.prediction.run import Prediction
    from kernprof.sim.check import CheckReport, Place
    from kernprof.sim.execute import Execution

_COUNTED = (
    "Instructions, threads, requests and sectors are counted while the machine code ran; cycles, "
    "time, hit rates, utilisation and stalls are the timing model's. docs/accuracy.md compares "
    "both with hardware."
)


def timing_line(done: Prediction) -> str:
    """Say in a sentence how long the launch takes, or why that is not known."""
    from kernprof.timing import estimate, launch_energy
    from kernprof.timing.accuracy import model_error
    from kernprof.timing.energy import why_not

    timing = done.timing
    said = "".join(f"\nNote: {note}." for note in done.execution.notes)
    if timing is None:
        return (
            f"n/a: cycles, time, achieved occupancy and stall reasons ({done.untimed}). "
            f"With a GPU, Nsight Compute measures them.{said}"
        )
    whole = estimate(timing)
    known = energy_note(launch_energy(timing), why_not(timing.device))
    below = f"{model_error().sentence}\n{known}{said}"
    text = f"Predicted for {timing.device.name}: {whole.cycles:,.0f} SM cycles"
    if timing.clock_mhz:
        text += f", {whole.cycles * 1e-3 / timing.clock_mhz:.4g} ms at {timing.clock_mhz:.0f} MHz"
    if timing.finished:
        return f"{text}; every block was simulated.\n{below}"
    return (
        f"{text} ({whole.low:,.0f} to {whole.high:,.0f}: {whole.simulated_pct:.2g} % of the "
        f"instructions were simulated, the rest is extrapolated).\n{below}"
    )


def count_table(profiles: Sequence[KernelProfile]) -> Table:
    """Return every metric of predicted launches, one column each."""
    names = sorted({name for p in profiles for name in p.metrics})
    rows: list[list[Cell]] = [[name, *(_plain(p.value(name)) for p in profiles)] for name in names]
    heads = [p.gpu.name or "Predicted" for p in profiles] if len(profiles) > 1 else ["Predicted"]
    return Table(f"{profiles[0].kernel}: metrics", ("Metric", *heads), rows, (_COUNTED,))


_TIMED = (
    ("SM cycles", "sm__cycles_elapsed.max"),
    ("Time ns", "gpu__time_duration.sum"),
    ("Occupancy (achieved) %", "sm__warps_active.avg.pct_of_peak_sustained_active"),
    ("Schedulers issuing %", "smsp__issue_active.avg.pct_of_peak_sustained_active"),
    ("L1 hit rate %", "l1tex__t_sector_hit_rate.pct"),
    ("L2 hit rate %", "lts__t_sector_hit_rate.pct"),
    ("DRAM read bytes", "dram__bytes_read.sum"),
    ("DRAM written bytes", "dram__bytes_write.sum"),
    ("DRAM throughput %", "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"),
)


def beside_table(predicted: KernelProfile, reference: KernelProfile) -> Table:
    """Return the model's figures beside the report's: time, hit rates, stall shares."""
    from kernprof.stalls.breakdown import breakdown

    rows: list[list[Cell]] = []
    for label, metric in _TIMED:
        rows.append(_beside(label, reference.value(metric), predicted.value(metric)))
    theirs, ours = (breakdown(p, family="per_issue_active") for p in (reference, predicted))
    if theirs is not None and ours is not None:
        for name, share in theirs.top(8):
            rows.append(_beside(f"stall {name} %", share, ours.shares_pct.get(name)))
    return Table(
        "The model beside the report",
        ("", f"Report ({reference.source})", "Predicted", "Difference %"),
        rows,
        ("At the report's own clock, unless another was asked for. A model: docs/accuracy.md.",),
    )


def _beside(label: str, theirs: float | None, ours: float | None) -> list[Cell]:
    off = 100 * (ours - theirs) / theirs if ours is not None and theirs else None
    return [label, _plain(theirs), _plain(ours), off]


def agreement_table(
    compared: Sequence[Compared],
    source: str,
    made_up: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Table:
    """Return the report's counters beside the prediction's.

    Parameters
    ----------
    compared
        One row each.
    source
        Where the report's figures are from: "imported", or "predicted" of a report that kernprof
        wrote.
    made_up
        How arrays were filled that are not the profiled program's own, by name.
    seed
        Start of the random ones.
    """
    rows = [
        (
            c.metric,
            _plain(c.report),
            _plain(c.predicted),
            c.difference_pct,
            "equal" if c.equal else "differs",
        )
        for c in compared
    ]
    equal = sum(c.equal for c in compared)
    return Table(
        "The report's counters beside the prediction",
        ("Metric", f"Report ({source})", "Predicted", "Difference %", ""),
        rows,
        (
            f"{equal} of {len(compared)} are equal.",
            "Per instruction: how many there are, and how many have the same count.",
            "Arguments are not part of a report: counts that depend on data agree when they do.",
            *_sampled(made_up or {}, seed),
        ),
    )


def _sampled(made_up: Mapping[str, str], seed: int) -> list[str]:
    if not made_up:
        return []
    shown = ", ".join(f"{name} ({content})" for name, content in made_up.items())
    start = f"; random from --seed {seed}" if "random" in made_up.values() else ""
    return [f"Sampled here, not the data that was profiled: {shown}{start}."]


def agreement_record(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return the comparison as plain data."""
    return [
        {"metric": c.metric, "report": c.report, "predicted": c.predicted, "equal": c.equal}
        for c in compared
    ]


def _plain(value: float | None) -> float | None:
    """Show whole numbers as such: counts arrive as floats where a unit was applied."""
    return int(value) if value is not None and float(value).is_integer() else value


def line_table(execution: Execution, kernel: str) -> Table:
    """Return counts per source line, the one that executes most instructions first."""
    sums: dict[str, list[int]] = {}
    for i in execution.kernel.instructions:
        place = f"{i.source.file}:{i.source.line}" if i.source else "(no line)"
        row = sums.setdefault(place, [0] * 6)
        counted = (
            execution.executed,
            execution.threads,
            execution.divergent,
            execution.sectors,
            execution.wavefronts,
            execution.conflicts,
        )
        for column, values in enumerate(counted):
            row[column] += int(values[i.index])
    rows: list[list[Cell]] = [
        [place, row[0], row[1] / (WARP_SIZE * row[0]) * 100, *row[2:]]
        for place, row in sorted(sums.items(), key=lambda item: -item[1][0])
        if row[0]
    ]
    return Table(
        f"{kernel}: counts per source line",
        (
            "Line",
            "Warp instructions",
            "Lanes on %",
            "Divergent branches",
            "Sectors",
            "Shared wavefronts",
            "Bank conflicts",
        ),
        rows,
        ("Predicted: counted while the machine code ran.",),
    )


def check_table(report: CheckReport) -> Table:
    """Return what a checked run found, one row a defect."""
    rows: list[list[Cell]] = [
        [
            str(f.kind),
            f.where or None,
            _index(f.thread),
            _index(f.block),
            str(f.place),
            f.occurrences,
            None if f.other_place is None else f"{_index(f.other_thread)} {f.other_place}",
        ]
        for f in report.findings
    ]
    columns = ("Defect", "Memory", "Thread", "Block", "Instruction", "Lanes", "Other access")
    notes = ["No defect found."] if not rows else []
    if report.lost:
        notes.append(f"{report.lost:,} further occurrences could not be kept.")
    if not report.complete:
        notes.append("The launch could not be run to its end.")
    return Table("Check", columns, rows, tuple(notes))


def check_record(report: CheckReport) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "clean": report.clean,
        "complete": report.complete,
        "lost": report.lost,
        "findings": [
            {
                "kind": str(f.kind),
                "message": f.message,
                "space": f.space or None,
                "address": f.address,
                "size_bytes": f.size_bytes,
                "array": f.array,
                "offset_bytes": f.offset_bytes,
                "thread": list(f.thread),
                "block": list(f.block),
                "instruction": _place(f.place),
                "occurrences": f.occurrences,
                "other_thread": None if f.other_thread is None else list(f.other_thread),
                "other_instruction": None if f.other_place is None else _place(f.other_place),
            }
            for f in report.findings
        ],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "text": place.text,
        "offset": place.offset,
        "file": place.source.file if place.source else None,
        "line": place.source.line if place.source else None,
    }


def _index(index: tuple[int, int, int] | None) -> str:
    return "" if index is None else ",".join(str(n) for n in index)
