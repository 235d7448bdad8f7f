"""Whether a difference between two sets of launches is more than their own spread.

Rule, by what the two sides hold:

* Enough launches on both sides: the two-sided Mann-Whitney U test (Mann and Whitney, Annals of
  Mathematical Statistics 18, 1947) at the 5 % level, as Go's benchstat decides
  (golang.org/x/perf/cmd/benchstat). It assumes no distribution: kernel times have a long tail, so
  a test of means would not do. Enough are 4 and 4, 3 and 5, 2 and 8: with fewer, even
  sides that don't overlap reach no 5 %.
* Fewer, but not one launch on each side: the ranges must not overlap.
* One launch on each side: nothing tells the noise; the difference is shown and marked so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ALPHA = 0.05
_EXACT_UP_TO = 40
"""Launches on both sides together up to which the null distribution is counted out."""


class Noise(StrEnum):
    """What the spread says about a difference."""

    SIGNIFICANT = "significant"
    WITHIN_NOISE = "within noise"
    SINGLE = "one launch each"
    EQUAL = "equal"
    UNKNOWN = "n/a"


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one figure on one side.

    Parameters
    ----------
    values
        One value a launch, or one value that stands for several launches.
    spread
        (minimum, maximum) over all launches behind the values.
    """

    values: tuple[float, ...]
    spread: tuple[float, float]

    @property
    def single(self) -> bool:
        """True when nothing but one launch stands behind it."""
        return len(self.values) == 1 and self.spread[0] == self.spread[1]


def assess(base: Sample, new: Sample) -> Noise:
    """Tell whether two samples differ by more than their spread, by the rule of this module."""
    if set(base.values) == set(new.values) and len(set(base.values)) == 1:
        return Noise.EQUAL
    if base.single and new.single:
        return Noise.SINGLE
    sizes = len(base.values), len(new.values)
    if 2 / math.comb(sum(sizes), sizes[0]) < ALPHA:
        p_value = mann_whitney_p(base.values, new.values)
        return Noise.SIGNIFICANT if p_value < ALPHA else Noise.WITHIN_NOISE
    apart = base.spread[1] < new.spread[0] or new.spread[1] < base.spread[0]
    return Noise.SIGNIFICANT if apart else Noise.WITHIN_NOISE


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p value of the Mann-Whitney U test.

    Ties share their mean rank. Up to 40 values in all the permutation distribution of the rank sum
    is counted out, ties included; beyond that it is the normal approximation with the correction
    for ties and for continuity.
    """
    size, total = len(first), len(first) + len(second)
    pooled = [*first, *second]
    doubled = _doubled_ranks(pooled)
    observed = sum(doubled[value] for value in first)
    mean = size * (total + 1)
    if total <= _EXACT_UP_TO:
        counts = _rank_sums([doubled[value] for value in pooled], size)
        extreme = sum(n for s, n in counts.items() if abs(s - mean) >= abs(observed - mean))
        return extreme / math.comb(total, size)
    ties = sum(n**3 - n for n in Counter(pooled).values())
    variance = size * (total - size) / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = max(abs(observed - mean) / 2 - 0.5, 0.0)
    return math.erfc(distance / math.sqrt(2 * variance))


def _doubled_ranks(values: Sequence[float]) -> dict[float, int]:
    """Return twice the mean rank of each value: an integer even for ties."""
    ranks: dict[float, int] = {}
    passed = 0
    for value, count in sorted(Counter(values).items()):
        ranks[value] = 2 * passed + count + 1
        passed += count
    return ranks


def _rank_sums(ranks: Sequence[int], size: int) -> dict[int, int]:
    """Count the subsets of ``size`` ranks by their sum."""
    # A polynomial in one big integer: the coefficient of x^sum lies at bit sum * width, and no
    # count outgrows its field, since there are only 2^len(ranks) subsets.
    width = len(ranks) + 1
    ways = [1] + [0] * size
    for rank in ranks:
        for chosen in range(size, 0, -1):
            ways[chosen] += ways[chosen - 1] << (rank * width)
    field = (1 << width) - 1
    sums = range(sum(sorted(ranks)[-size:]) + 1)
    return {s: n for s in sums if (n := (ways[size] >> (s * width)) & field)}
