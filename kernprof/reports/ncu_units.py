"""Units as ``ncu`` prints them, and what a value in them is in base units.

Base units are those a report stores: ns, byte, hz (cycles per second), byte/second, percent, and
counts. The table is ``data/ncu_units.toml``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache, lru_cache
from importlib import resources
from typing import Any


class Kind(StrEnum):
    """What a unit measures."""

    PERCENT = "percent"
    TIME = "time"
    FREQUENCY = "frequency"
    BYTES_PER_SECOND = "bytes_per_second"
    BYTES = "bytes"
    COUNT = "count"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Unit:
    """A printed unit.

    Parameters
    ----------
    text
        As printed.
    base
        Name of the base unit.
    factor
        What one of it is in base units.
    kind
        What it measures; ``UNKNOWN`` for a unit on no list, which is taken for a base unit.
    """

    text: str
    base: str
    factor: Fraction
    kind: Kind

    @property
    def scaled(self) -> bool:
        """Whether values in it are multiples or parts of the base unit."""
        return self.factor.numerator != self.factor.denominator


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> Unit:
    """Return a printed unit; one that is on no list stands for itself."""
    shown = text.strip()
    top_text, slash, bottom_text = shown.partition("/")
    top = _atom(top_text)
    if top is None:
        return Unit(shown, shown, Fraction(1), Kind.UNKNOWN)
    if not slash:
        return Unit(shown, *top)
    bottom = _atom(bottom_text)
    if bottom is None:
        return Unit(shown, shown, Fraction(1), Kind.UNKNOWN)
    base, factor, kind = top
    bottom_base, bottom_factor, bottom_kind = bottom
    if bottom_kind is Kind.TIME:
        # Rates are per second: 1 cycle/nsecond = 1e9 cycle/second.
        factor *= Fraction(10**9) / bottom_factor
        if base == "cycle":
            return Unit(shown, "hz", factor, Kind.FREQUENCY)
        rate = Kind.BYTES_PER_SECOND if kind is Kind.BYTES else Kind.COUNT
        return Unit(shown, f"{base}/second", factor, rate)
    if kind is Kind.BYTES and bottom_base != "block":
        kind = Kind.COUNT
    return Unit(shown, f"{base}/{bottom_base}", factor / bottom_factor, kind)


def _atom(text: str) -> tuple[str, Fraction, Kind] | None:
    """Return base name, factor and kind of a unit without a quotient, or None."""
    table = _table()
    if text in table["time"]:
        return "ns", Fraction(table["time"][text]), Kind.TIME
    for kind in (Kind.PERCENT, Kind.FREQUENCY, Kind.BYTES, Kind.COUNT):
        names = table["other"][kind.value]
        for prefix, factor in table["prefix"].items():
            rest = text[len(prefix) :]
            if text.startswith(prefix) and rest in names and (rest or not prefix):
                return names[0] if kind is not Kind.COUNT else rest, Fraction(factor), kind
    return None


@cache
def _table() -> dict[str, Any]:
    file = resources.files("kernprof.reports").joinpath("data", "ncu_units.toml")
    return tomllib.loads(file.read_text("utf-8"))
