"""nvprof's metrics: what they are, their units, and their successors in Nsight Compute.

The facts are in ``data/nvprof.toml``. nvprof's names contain no ``__``, so they never collide with
Nsight Compute's and values can stand under both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache

from kernprof.metrics.tables import table


class MetricUnit(StrEnum):
    """What a value of an nvprof metric is kept in."""

    RATIO = "ratio"
    PERCENT = "percent"
    LEVEL = "level"
    BYTE = "byte"
    BYTE_PER_SECOND = "byte/second"
    FLOP = "flop"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class NvprofMetric:
    """One metric of nvprof.

    Parameters
    ----------
    name
        As nvprof has it.
    about
        What it measures.
    unit
        What its values are kept in: ratios 0..1, percentages 0..100, levels 0..10.
    successors
        Metrics of Nsight Compute whose sum takes its place; empty where there are none.
    factor
        Successor's value = factor * value.
    exact
        Whether both are the same quantity, so that a value may stand under the successor's name.
    note
        Why not, or where this table differs from NVIDIA's.
    """

    name: str
    about: str
    unit: MetricUnit
    successors: tuple[str, ...] = ()
    factor: float = 1.0
    exact: bool = False
    note: str | None = None


@cache
def metrics() -> Mapping[str, NvprofMetric]:
    """Return every known metric by name."""
    return {
        row["name"]: NvprofMetric(
            name=row["name"],
            about=row["about"],
            unit=MetricUnit(row["unit"]),
            successors=tuple(row.get("ncu", ())),
            factor=row.get("factor", 1.0),
            exact=row.get("exact", False),
            note=row.get("note"),
        )
        for row in table("nvprof")["metric"]
    }


def lookup(name: str) -> NvprofMetric | None:
    """Return a metric by nvprof's name, or None."""
    return metrics().get(name)


def modern(name: str, value: float) -> tuple[str, float] | None:
    """Return the successor's name and value where both are the same quantity, else None.

    Parameters
    ----------
    name
        Name of the nvprof metric.
    value
        Its value, in the unit that ``lookup(name).unit`` tells.
    """
    metric = lookup(name)
    if metric is None or not metric.exact:
        return None
    if metric.factor == 1.0:
        return metric.successors[0], value
    if not math.isfinite(value):
        return metric.successors[0], metric.factor * value
    # In decimal, as printed: 0.927922 becomes 92.7922 and not 92.79220000000001.
    converted = Decimal(repr(value)) * Decimal(repr(metric.factor))
    return metric.successors[0], float(converted)
