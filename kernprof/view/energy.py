"""Predicted energy as text, tables and records: always with its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kernprof.view.table import Cell, Table

if TYPE_CHECKING:
    from kernprof.timing.energy import Bounds, Energy

_UNITS = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ"))
_PARTS = {
    "constant": "board, whatever it does",
    "idle": "SMs, static",
    "active": "SMs, static while working",
    "instructions": "thread instructions",
    "l1": "L1 and shared memory",
    "l2": "L2",
    "dram": "DRAM",
}


def joules(value: float) -> str:
    """Return an energy with a unit, in two digits: more would be false."""
    for factor, unit in _UNITS:
        shown = float(f"{value / factor:.2g}")
        if abs(shown) >= 1 or unit == "nJ":
            return f"{shown:g} {unit}"
    raise AssertionError


def with_bounds(value: Bounds) -> str:
    """Return an energy and its bounds."""
    return f"{joules(value.mid)} ({joules(value.low)} to {joules(value.high)})"


def energy_note(energy: Energy | None, why_not: str = "") -> str:
    """Say in a sentence what work takes, or why that is not known."""
    if energy is None:
        return f"Energy n/a: {why_not or 'the numbers of this board are not known'}."
    return (
        f"Energy (predicted): {with_bounds(energy.total)}, of it above an idle board "
        f"{with_bounds(energy.above_idle)}; published energies per operation, docs/energy.md."
    )


def energy_record(energy: Energy | None) -> dict[str, Any] | None:
    """Return the same as plain data, in joules."""
    if energy is None:
        return None
    parts = {f.name: _record(getattr(energy, f.name)) for f in fields(energy)}
    return {
        "total": _record(energy.total),
        "above_idle": _record(energy.above_idle),
        "parts": parts,
    }


def parts_table(title: str, energy: Energy) -> Table:
    """Return where the energy goes."""
    total = energy.total.mid
    rows: list[list[Cell]] = [
        [
            label,
            joules((part := getattr(energy, name)).mid),
            joules(part.low),
            joules(part.high),
            100 * part.mid / total if total else None,
        ]
        for name, label in _PARTS.items()
    ]
    columns = ("Energy goes to", "Predicted", "at least", "at most", "Share %")
    return Table(title, columns, rows, (), align="lrrrr")


def efficiency_table(
    rows: Sequence[tuple[str, int, Energy, float | None]], notes: Sequence[str]
) -> Table:
    """Return MACs per joule beside the published ones.

    Parameters
    ----------
    rows
        Network, MACs of the work, its energy, and the published 10^9 MACs per joule.
    notes
        What to say below.
    """
    shown: list[list[Cell]] = [
        [
            name,
            with_bounds(energy.total),
            _per_joule(macs, energy.total),
            _per_joule(macs, energy.above_idle),
            published,
        ]
        for name, macs, energy, published in rows
    ]
    columns = (
        "Network",
        "Energy (predicted)",
        "GMAC/J",
        "GMAC/J above idle",
        "GMAC/J (published)",
    )
    return Table("Energy", columns, shown, tuple(notes), align="lrrrr")


def _per_joule(macs: int, energy: Bounds) -> str:
    low, mid, high = (macs / e / 1e9 for e in (energy.high, energy.mid, energy.low))
    return f"{mid:.2g} ({low:.2g} to {high:.2g})"


def _record(value: Bounds) -> dict[str, float]:
    return {"low": value.low, "mid": value.mid, "high": value.high}
