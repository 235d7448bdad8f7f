"""Labels of the details page, and the metric names behind them (``data/ncu_labels.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from kernprof.reports.ncu_units import Kind, Unit

_METRIC_NAME = re.compile(r"[a-z0-9_]+__[A-Za-z0-9_]+(?:\.[A-Za-z0-9_.]+)?")
_SOURCE_METRIC = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_STRICT = {Kind.PERCENT, Kind.TIME, Kind.FREQUENCY, Kind.BYTES_PER_SECOND}
"""Kinds that must fit; between bytes and counts the releases differ for one and the same metric."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What a printed label stands for.

    ``metric`` is the name to keep the value under. ``known`` is False where that is the label
    itself; ``why`` then says more, where there is more to say.
    """

    metric: str
    known: bool
    why: str | None = None


def name_of(label: str, unit: Unit) -> Naming:
    """Return the metric behind a label of the details page.

    A metric name (``--print-metric-name name``) stands for itself, also where the label is printed
    beside it.
    """
    if _METRIC_NAME.fullmatch(label) or _SOURCE_METRIC.fullmatch(label):
        return Naming(label, known=True)
    for entry in _labels().get(label, ()):
        kind = Kind(entry["kind"])
        if unit.kind is kind or (kind not in _STRICT and unit.kind not in _STRICT):
            return Naming(str(entry["metric"]), known=True)
    changed = _changed().get(label)
    if changed is not None:
        return Naming(label, known=False, why=changed)
    beside = _METRIC_NAME.findall(label)
    if len(beside) == 1:
        return Naming(str(beside[0]), known=True)
    return Naming(label, known=False)


@cache
def _table() -> dict[str, Any]:
    file = resources.files("kernprof.reports").joinpath("data", "ncu_labels.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def _labels() -> Mapping[str, tuple[Mapping[str, Any], ...]]:
    found: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for entry in _table()["label"]:
        found[entry["label"]] = (*found.get(entry["label"], ()), entry)
    return found


@cache
def _changed() -> Mapping[str, str]:
    return {entry["label"]: entry["why"] for entry in _table()["changed"]}
