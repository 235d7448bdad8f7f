"""Whether a difference between two sets of launches is more than their own spread.

Two questions come first: are there as many launches on both sides, and do they belong together?
The n-th launch of the base is set beside the n-th of the new side. Where the changes of these pairs
scatter less than the launches of either side do (standard deviation of the logarithms), the spread
of a side is unlike work and no noise, and the pairs decide. Rule, by what the two sides hold:

* Pairs that belong together, six or more: the two-sided signed-rank test (Wilcoxon, Biometrics
  Bulletin 1, 1945) of the changes at the 5 % level. Fewer can't reach 5 %: a change that every pair
  shows in the same direction is a difference, anything else too few launches to tell.
* Otherwise, enough launches on both sides: the two-sided Mann-Whitney U test (Mann and Whitney,
  Annals of Mathematical Statistics 18, 1947) at the 5 % level, as Go's benchstat decides
  (golang.org/x/perf/cmd/benchstat). It assumes no distribution: kernel times have a long tail, so
  a test of means would not do. Enough are 4 and 4, 3 and 5, 2 and 8: with fewer, even
  sides that don't overlap reach no 5 %.
* Fewer, but not one launch on each side: ranges that don't overlap are a difference, others too few
  launches to tell.
* One launch on each side: nothing tells the noise; the difference is shown and marked so.

What every pair shows is never called noise: from six pairs on it is a difference whatever else
holds (sign test, 2 / 2^6 < 5 %), with fewer it is at least too few launches to tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median, quantiles

ALPHA = 0.05
_EXACT_UP_TO = 40
"""Launches on both sides together up to which the null distribution is counted out."""
_LEAST_PAIRS = 6
"""Fewer pairs reach no 5 %, even where all of them agree: 2 / 2^5 is 6 %."""
_REPEATS = 2.0
"""Repeats of one launch lie closer together than this factor between their quartiles."""
_OUTLIER = 4.0
"""A launch that moved this many times as far as the median launch stands out: of changes with a
normal distribution 0.7 % do."""

LaunchPairs = tuple[tuple[float, float], ...]


class Noise(StrEnum):
    """What the spread says about a difference."""

    SIGNIFICANT = "significant"
    WITHIN_NOISE = "within noise"
    TOO_FEW = "too few launches"
    SINGLE = "one launch each"
    EQUAL = "equal"
    UNKNOWN = "n/a"

    @property
    def doubtful(self) -> bool:
        """Whether the launches don't show that there is a difference at all."""
        return self in (Noise.WITHIN_NOISE, Noise.TOO_FEW)


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one figure on one side.

    Parameters
    ----------
    values
        One value a launch in order, or one value that stands for several launches.
    spread
        (minimum, maximum) over all launches behind the values.
    whole
        Whether every launch has its own value here, so that the n-th is the n-th launch.
    """

    values: tuple[float, ...]
    spread: tuple[float, float]
    whole: bool = True

    @property
    def single(self) -> bool:
        """True when nothing but one launch stands behind it."""
        return len(self.values) == 1 and self.spread[0] == self.spread[1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two samples say of their difference.

    Parameters
    ----------
    noise
        The answer.
    base, new
        The values of each side: one a launch in order, or one for several.
    paired
        Whether the launches of both sides belong together, the n-th beside the n-th.
    """

    noise: Noise
    base: tuple[float, ...] = ()
    new: tuple[float, ...] = ()
    paired: bool = False

    @property
    def pairs(self) -> LaunchPairs:
        """(base, new) of each launch in order; empty where they don't belong together."""
        return tuple(zip(self.base, self.new, strict=True)) if self.paired else ()

    @property
    def unlike(self) -> bool:
        """Whether the launches of a side are hardly repeats of one another.

        True where the upper quartile of a side is more than twice the lower one and no launch has
        its own on the other side to be held against: then the spread may be work, not noise.
        """
        return not self.paired and any(map(_hardly_repeats, (self.base, self.new)))


def assess(base: Sample, new: Sample) -> Verdict:
    """Tell whether two samples differ by more than their spread, by the rule of this module."""
    pairs = _by_order(base, new)
    paired = _belong_together(pairs)
    noise = _paired_noise(pairs) if paired else _noise(base, new)
    if noise.doubtful and one_way(pairs):
        noise = Noise.TOO_FEW if len(pairs) < _LEAST_PAIRS else Noise.SIGNIFICANT
    return Verdict(noise, base.values, new.values, paired)


def _hardly_repeats(values: Sequence[float]) -> bool:
    if len(values) < 2:
        return False
    lower, _, upper = quantiles(map(abs, values), n=4, method="inclusive")
    return upper > _REPEATS * lower


def _noise(base: Sample, new: Sample) -> Noise:
    if set(base.values) == set(new.values) and len(set(base.values)) == 1:
        return Noise.EQUAL
    if base.single and new.single:
        return Noise.SINGLE
    sizes = len(base.values), len(new.values)
    if 2 / math.comb(sum(sizes), sizes[0]) < ALPHA:
        p_value = mann_whitney_p(base.values, new.values)
        return Noise.SIGNIFICANT if p_value < ALPHA else Noise.WITHIN_NOISE
    apart = base.spread[1] < new.spread[0] or new.spread[1] < base.spread[0]
    return Noise.SIGNIFICANT if apart else Noise.TOO_FEW


def _by_order(base: Sample, new: Sample) -> LaunchPairs:
    """Return the launches of both sides side by side; nothing where they can't be."""
    if len(base.values) != len(new.values) or len(base.values) < 2:
        return ()
    if not base.whole or not new.whole:
        return ()
    return tuple(zip(base.values, new.values, strict=True))


def _belong_together(pairs: LaunchPairs) -> bool:
    """Tell whether the pairs change more alike than the launches of a side are."""
    if not pairs:
        return False
    if all(value > 0 for pair in pairs for value in pair):
        pairs = tuple((math.log(before), math.log(after)) for before, after in pairs)
    scatter = _scatter([after - before for before, after in pairs])
    return all(scatter < _scatter(side) for side in zip(*pairs, strict=True))


def _scatter(values: Sequence[float]) -> float:
    """Return the sum of the squared distances from the mean."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _paired_noise(pairs: LaunchPairs) -> Noise:
    if all(before == after for before, after in pairs):
        return Noise.WITHIN_NOISE
    if len(pairs) < _LEAST_PAIRS:
        return Noise.SIGNIFICANT if one_way(pairs) else Noise.TOO_FEW
    return Noise.SIGNIFICANT if signed_rank_p(_moves(pairs)) < ALPHA else Noise.WITHIN_NOISE


def _moves(pairs: LaunchPairs) -> list[float]:
    """Return how far each launch moved: as a factor (logarithm) where all values allow it.

    A launch of much work moves by more nanoseconds than one of little.
    """
    factors = all(value > 0 for pair in pairs for value in pair)
    return [
        math.log(after) - math.log(before) if factors else after - before for before, after in pairs
    ]


def few_decide(pairs: LaunchPairs) -> bool:
    """Tell whether a few launches make up most of the change of all together.

    Few are those that moved with the whole, and more than four times as far as the median launch
    moved: with noise alone hardly a launch does.
    """
    moves = _moves(pairs)
    usual = median(map(abs, moves))
    total = math.fsum(after - before for before, after in pairs)
    outliers = math.fsum(
        after - before
        for (before, after), move in zip(pairs, moves, strict=True)
        if abs(move) > _OUTLIER * usual and move * total > 0
    )
    return abs(outliers) > abs(total) / 2


def one_way(pairs: LaunchPairs) -> bool:
    """Tell whether there are pairs and every one changed, all in the same direction."""
    if not pairs:
        return False
    return all(after > before for before, after in pairs) or all(
        after < before for before, after in pairs
    )


def signed_rank_p(changes: Sequence[float]) -> float:
    """Return the two-sided p value of Wilcoxon's signed-rank test that changes centre on 0.

    Zeros are left out, ties share their mean rank. Up to 40 changes the distribution over all signs
    is counted out, ties included; beyond that it is the normal approximation with the correction
    for continuity.
    """
    moved = [change for change in changes if change]
    if not moved:
        return 1.0
    ranks = _doubled_ranks([abs(change) for change in moved])
    doubled = [ranks[abs(change)] for change in moved]
    total = sum(doubled)
    up = sum(rank for rank, change in zip(doubled, moved, strict=True) if change > 0)
    distance = abs(2 * up - total)
    if len(moved) <= _EXACT_UP_TO:
        counts = _signed_sums(doubled)
        extreme = sum(n for s, n in counts.items() if abs(2 * s - total) >= distance)
        return extreme / (1 << len(moved))
    # Of the sum of the ranks with a plus (not doubled): the variance is a quarter of their squares.
    variance = sum(rank**2 for rank in doubled) / 16
    off = max(distance / 4 - 0.5, 0.0)
    return math.erfc(off / math.sqrt(2 * variance))


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


def _signed_sums(ranks: Sequence[int]) -> dict[int, int]:
    """Count all subsets of ``ranks`` by their sum."""
    # A polynomial in one big integer, as in _rank_sums.
    width = len(ranks) + 1
    ways = 1
    for rank in ranks:
        ways += ways << (rank * width)
    field = (1 << width) - 1
    return {s: n for s in range(sum(ranks) + 1) if (n := (ways >> (s * width)) & field)}


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
