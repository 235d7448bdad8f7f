"""The GPU check-up as tables and as a record."""

from __future__ import annotations

from typing import Any

from kernprof.health.gpu import CheckUp
from kernprof.view.document import SCHEMA
from kernprof.view.stalls import duration
from kernprof.view.table import Cell, Table


def check_up_tables(done: CheckUp) -> list[Table]:
    """Return the verdicts, and with a GPU the kernels."""
    rows: list[list[Cell]] = [
        [f.check, str(f.state), f.found, f.remedy or ""] for f in done.findings
    ]
    made = [Table("", ["Check", "State", "Found", "What to do"], rows)]
    if done.device is None:
        return made
    kernels: list[list[Cell]] = [
        [
            k.measured.static.kernel.family,
            k.measured.static.kernel.name,
            "right" if k.measured.right else "WRONG",
            k.measured.error,
            duration(None if k.measured.times is None else k.measured.times.median_ns),
            k.measured.spread_pct,
            None if k.measured_cycles is None else f"{k.measured_cycles:,.0f}",
            None if k.predicted_cycles is None else f"{k.predicted_cycles:,.0f}",
            k.difference_pct,
        ]
        for k in done.kernels
    ]
    columns = [
        "Family",
        "Kernel",
        "Result",
        "Error",
        "Time",
        "Spread %",
        "Cycles (measured)",
        "Cycles (predicted)",
        "Difference %",
    ]
    notes = [
        f"Run on {done.device.name}. Error: largest difference from numpy, relative to the largest "
        "value. Measured cycles: median time at the SM clock that NVML told after the runs; events "
        "count a few microseconds of launching with it.",
    ]
    return [*made, Table("One kernel of each family", columns, kernels, notes, "lllrrrrrr")]


def check_up_record(done: CheckUp) -> dict[str, Any]:
    """Return the check-up as plain data; `python -m validation --check-up` reads it."""
    return {
        "schema": SCHEMA,
        "gpu": None if done.device is None else done.device.name,
        "healthy": done.healthy,
        "findings": [
            {"check": f.check, "state": str(f.state), "found": f.found, "remedy": f.remedy}
            for f in done.findings
        ],
        "kernels": [
            {
                "family": k.measured.static.kernel.family,
                "kernel": k.measured.static.kernel.name,
                "shape": k.measured.static.launch.shape,
                "right": k.measured.right,
                "error": k.measured.error,
                "time_ns": None if k.measured.times is None else k.measured.times.median_ns,
                "spread_pct": k.measured.spread_pct,
                "measured_cycles": k.measured_cycles,
                "predicted_cycles": k.predicted_cycles,
                "difference_pct": k.difference_pct,
            }
            for k in done.kernels
        ],
    }
