"""The base unit of a metric, from its name.

Reports hold values in base units and no units; NVIDIA's own reader takes them from tables per chip.
Ours are rules over names (``data/units.toml``), since names are systematic.
"""

from __future__ import annotations

import re
from functools import cache

from kernprof.metrics.tables import table


def unit_of(metric: str) -> str | None:
    """Return the base unit of a metric.

    Parameters
    ----------
    metric
        Name with its roll-up and sub-metric ("dram__bytes_read.sum.per_second").

    Returns
    -------
    str or None
        "ns", "byte", "byte/s", "inst/cycle", "%"; "" for plain numbers; None for a name that no
        rule knows.
    """
    per: str | None = None
    for pattern, row in _rules("suffix"):
        if pattern.search(metric):
            if "unit" in row:
                return row["unit"]
            per = row["per"]
            break
    for pattern, row in _rules("quantity"):
        if pattern.search(metric):
            unit = row["unit"]
            if per is None or not unit:
                return unit
            # Cycles per second are a frequency, and cycles per cycle a plain number.
            if unit == "cycle":
                return "Hz" if per == "s" else ""
            return f"{unit}/{per}"
    return None


@cache
def _rules(kind: str) -> list[tuple[re.Pattern[str], dict[str, str]]]:
    return [(re.compile(row["pattern"]), row) for row in table("units")[kind]]
