"""Tables of a prediction: exact counts, agreement with a report, counts per source line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernprof.devices.model import WARP_SIZE
from kernprof.prediction.agreement import Compared
from kernprof.profile import KernelProfile
from kernprof.view.table import Cell, Table

if TYPE_CHECKING:
    from kernprof.prediction.run import Prediction
    from kernprof.sim.execute import Execution

_COUNTED = (
    "Instructions, threads, requests and sectors are counted while the machine code ran; cycles, "
    "time, hit rates, utilisation and stalls are the timing model's. docs/accuracy.md compares "
    "both with hardware."
)


def timing_line(done: Prediction) -> str:
    """Say in a sentence how long the launch takes, or why that is not known."""
    from kernprof.timing import estimate

    timing = done.timing
    if timing is None:
        return (
            f"n/a: cycles, time, achieved occupancy and stall reasons ({done.untimed}). "
            "With a GPU, Nsight Compute measures them."
        )
    whole = estimate(timing)
    text = f"Predicted: {whole.cycles:,.0f} SM cycles"
    if timing.clock_mhz:
        text += f", {whole.cycles * 1e-3 / timing.clock_mhz:.4g} ms at {timing.clock_mhz:.0f} MHz"
    if timing.finished:
        return text + "; every block was simulated."
    return (
        f"{text} ({whole.low:,.0f} to {whole.high:,.0f}: {whole.simulated_pct:.2g} % of the "
        "instructions were simulated, the rest is extrapolated)."
    )


def count_table(profile: KernelProfile) -> Table:
    """Return every metric of a predicted launch."""
    rows = [(name, _plain(profile.value(name))) for name in sorted(profile.metrics)]
    return Table(f"{profile.kernel}: counts", ("Metric", "Predicted"), rows, (_COUNTED,))


def agreement_table(compared: Sequence[Compared]) -> Table:
    """Return the report's counters beside the prediction's."""
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
        ("Metric", "Report (imported)", "Predicted", "Difference %", ""),
        rows,
        (
            f"{equal} of {len(compared)} are equal.",
            "Per instruction: how many there are, and how many have the same count.",
            "Arguments are not part of a report: counts that depend on data agree when they do.",
        ),
    )


def agreement_record(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return the comparison as plain data."""
    return [
        {"metric": c.metric, "report": c.report, "predicted": c.predicted, "equal": c.equal}
        for c in compared
    ]


def _plain(value: float | None) -> float | None:
    """Show whole numbers as such: counts arrive as floats where a unit was applied."""
    return int(value) if value is not None and float(value).is_integer() else value


def line_table(execution: Execution) -> Table:
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
        f"{execution.kernel.name}: counts per source line",
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
