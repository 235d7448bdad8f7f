from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernprof.comparison.noise import Noise, Sample, assess, mann_whitney_p

SMALL = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=5)


def sample(*values: float) -> Sample:
    return Sample(values, (min(values), max(values)))


def by_enumeration(first: list[float], second: list[float]) -> float:
    """The definition: how many of all ways to split the pool are at least as far from even."""

    def wins(a: list[float], b: list[float]) -> float:
        return sum((x > y) + 0.5 * (x == y) for x in a for y in b)

    pool, size = [*first, *second], len(first)
    even = size * len(second) / 2
    observed = abs(wins(first, second) - even)
    splits = list(combinations(range(len(pool)), size))
    extreme = 0
    for chosen in splits:
        rest = [pool[i] for i in range(len(pool)) if i not in chosen]
        extreme += abs(wins([pool[i] for i in chosen], rest) - even) >= observed
    return extreme / len(splits)


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL)
def test_the_exact_p_value_is_the_one_of_the_definition(
    first: list[float], second: list[float]
) -> None:
    assert mann_whitney_p(first, second) == pytest.approx(by_enumeration(first, second))


def test_the_normal_approximation_meets_the_exact_value_where_they_join() -> None:
    first = [float(2 * i) for i in range(20)]
    second = [float(2 * i + 7) for i in range(20)]
    exact = mann_whitney_p(first, second)
    approximate = mann_whitney_p(first, [*second, 26.0])
    assert 0.0 < approximate < 1.0
    assert approximate == pytest.approx(exact, rel=0.25)


@pytest.mark.parametrize(
    ("base", "new", "expected"),
    [
        (sample(1.0), sample(9.0), Noise.SINGLE),
        (sample(5.0), sample(5.0), Noise.EQUAL),
        (sample(5.0, 5.0), sample(5.0, 5.0, 5.0), Noise.EQUAL),
        # Three and three can't reach 5 %, so ranges decide.
        (sample(1.0, 2.0, 3.0), sample(4.0, 5.0, 6.0), Noise.SIGNIFICANT),
        (sample(1.0, 2.0, 4.5), sample(4.0, 5.0, 6.0), Noise.WITHIN_NOISE),
        (sample(1.0), sample(2.0, 3.0), Noise.SIGNIFICANT),
        (sample(2.5), sample(2.0, 3.0), Noise.WITHIN_NOISE),
        (Sample((5.0,), (1.0, 9.0)), Sample((8.0,), (8.0, 8.0)), Noise.WITHIN_NOISE),
        # From four and four on ranges may overlap ...
        (sample(1, 2, 3, 4, 5, 9), sample(7, 8, 10, 11, 12, 13), Noise.SIGNIFICANT),
        # ... and one outlier makes no difference.
        (sample(1, 2, 3, 4), sample(1, 2, 3, 400), Noise.WITHIN_NOISE),
    ],
)
def test_the_rule(base: Sample, new: Sample, expected: Noise) -> None:
    assert assess(base, new) is expected
    assert assess(new, base) is expected
