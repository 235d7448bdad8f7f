"""Values as nvprof prints them: ``1.1655GB/s``, ``52.30%``, ``12.052ms``, ``Low (3)``.

nvprof writes KB, MB and GB but means 1024, 1024^2 and 1024^3 bytes; the evidence is in
``kernprof/metrics/data/nvprof.toml``. It prints with a decimal point in every locale.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from kernprof.errors import DamagedReportError
from kernprof.metrics.nvprof import MetricUnit, lookup
from kernprof.text import clean

_VALUE = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?|[+-]?(?:nan|inf))"
    r"(?P<unit>[A-Za-z%][A-Za-z/]*)?",
)
_LEVEL = re.compile(r"[A-Za-z]+ \((?P<level>[0-9]{1,2})\)")
_ABSENT = frozenset({"-", "", "<OVERFLOW>", "N/A", "n/a"})
_MAX_CHARS = 400

_TIME_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_BYTES = {
    "B": 1,
    "KB": 1 << 10,
    "MB": 1 << 20,
    "GB": 1 << 30,
    "TB": 1 << 40,
    "PB": 1 << 50,
}


@dataclass(frozen=True, slots=True)
class Printed:
    """A printed value in base units.

    Parameters
    ----------
    value
        In ns, bytes, bytes per second, percent, level, or as printed.
    kind
        ``time``, ``byte``, ``byte/second``, ``percent``, ``level``, or "" for a bare number.
    text
        As printed.
    """

    value: int | float
    kind: str
    text: str

    @property
    def resolution(self) -> float:
        """What one unit of the last printed digit is worth, in base units."""
        match = _VALUE.fullmatch(self.text)
        if match is None or not self.value:
            return 0.0
        mantissa = re.split("[eE]", match["number"])[0]
        digits = len(mantissa.partition(".")[2])
        shown = abs(float(mantissa))
        return abs(float(self.value)) / shown * 10.0**-digits if shown else 0.0


def parse_value(text: str, line: int, unit: str = "") -> Printed | None:
    """Return a printed value, or None where nvprof had none.

    Parameters
    ----------
    text
        The cell.
    line
        Where it stands.
    unit
        The unit of the column, for a cell that has none of its own.

    Raises
    ------
    DamagedReportError
        Anything else.
    """
    shown = text.strip()
    if shown in _ABSENT:
        return None
    level = _LEVEL.fullmatch(shown)
    if level is not None:
        return Printed(int(level["level"]), "level", shown)
    match = _VALUE.fullmatch(shown) if len(shown) <= _MAX_CHARS else None
    if match is None:
        raise DamagedReportError(f"{clean(shown, 60)!r} is no value", where=f"line {line}")
    number = match["number"]
    symbol = match["unit"] or unit
    if number.lstrip("+-") in ("nan", "inf"):
        value: int | float = float(number)
        kind, factor = _kind(symbol, line)
        return Printed(value, kind, shown)
    kind, factor = _kind(symbol, line)
    exact = Fraction(number) * factor
    # A whole number without point or exponent stays one: counters need all their digits.
    value = int(exact) if number.lstrip("+-").isdecimal() else _nearest(exact)
    return Printed(value, kind, shown)


def _nearest(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _kind(symbol: str, line: int) -> tuple[str, int]:
    if not symbol:
        return "", 1
    if symbol == "%":
        return "percent", 1
    if symbol in _TIME_NS:
        return "time", _TIME_NS[symbol]
    if symbol in _BYTES:
        return "byte", _BYTES[symbol]
    amount, slash, per = symbol.partition("/")
    if slash and per == "s" and amount in _BYTES:
        return "byte/second", _BYTES[amount]
    raise DamagedReportError(
        f"unknown unit {clean(symbol, 20)!r}; expected %, ns, us, ms, s, B, KB, MB, GB or one of "
        "these per second",
        where=f"line {line}",
    )


def metric_value(name: str, text: str, line: int) -> int | float | None:
    """Return a metric's value in the unit that the table of metrics tells.

    Raises
    ------
    DamagedReportError
        A value that is none, or whose unit does not fit the metric.
    """
    printed = parse_value(text, line)
    if printed is None:
        return None
    metric = lookup(name)
    if metric is None:
        return printed.value
    expected = metric.unit
    if expected is MetricUnit.RATIO and printed.kind == "percent":
        return printed.value / 100
    fits = {
        MetricUnit.PERCENT: ("percent",),
        MetricUnit.RATIO: ("",),
        MetricUnit.LEVEL: ("level", ""),
        MetricUnit.BYTE: ("byte", ""),
        MetricUnit.BYTE_PER_SECOND: ("byte/second",),
        MetricUnit.FLOP: ("",),
        MetricUnit.COUNT: ("",),
    }[expected]
    if printed.kind not in fits:
        raise DamagedReportError(
            f"{name} is {clean(printed.text, 40)!r}; expected a value in {expected.value}",
            where=f"line {line}",
        )
    return printed.value
