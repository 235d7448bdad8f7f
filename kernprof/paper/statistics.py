"""Correlations of a dozen points, with what says how far they can be trusted.

Pearson's r measures a straight line and is carried away by one far point; Spearman's rho ranks
first; leaving out one point at a time shows which one carries the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kernprof.errors import UsageError

_FEWEST = 4
"""Leaving one out must leave three points: two always lie on a line."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """How two series go together.

    Parameters
    ----------
    pearson, spearman
        Coefficients, -1 to 1.
    lowest, highest
        Extremes of Pearson's r with one point left out.
    without_lowest, without_highest
        Names of the points whose absence gives the extremes.
    """

    pearson: float
    spearman: float
    lowest: float
    without_lowest: str
    highest: float
    without_highest: str


def correlate(names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Correlate two series of named points.

    Raises
    ------
    UsageError
        The lengths differ, there are fewer than four points, or a series doesn't vary.
    """
    if not len(names) == len(x) == len(y) or len(names) < _FEWEST:
        raise UsageError(
            f"a correlation needs at least {_FEWEST} points with a name and two values each; "
            f"found {len(names)} names, {len(x)} and {len(y)} values"
        )
    left_out = [
        (pearson([*x[:i], *x[i + 1 :]], [*y[:i], *y[i + 1 :]]), name)
        for i, name in enumerate(names)
    ]
    lowest, highest = min(left_out), max(left_out)
    return Correlation(
        pearson(x, y), pearson(ranks(x), ranks(y)), lowest[0], lowest[1], highest[0], highest[1]
    )


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Pearson's product-moment coefficient.

    Raises
    ------
    UsageError
        A series doesn't vary, so that the coefficient doesn't exist.
    """
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    dx, dy = [a - mean_x for a in x], [b - mean_y for b in y]
    scale = math.sqrt(math.fsum(a * a for a in dx) * math.fsum(b * b for b in dy))
    if scale == 0:
        raise UsageError("a series whose values are all the same has no correlation")
    return math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / scale


def ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank from 1; equal values share the mean of their ranks."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    count: dict[float, int] = {}
    for position, value in enumerate(ordered, start=1):
        first.setdefault(value, position)
        count[value] = count.get(value, 0) + 1
    return [first[value] + (count[value] - 1) / 2 for value in values]
