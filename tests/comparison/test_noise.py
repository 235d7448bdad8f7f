from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernprof.comparison import noise
from kernprof.comparison.noise import (
    Noise,
    Sample,
    assess,
    few_decide,
    mann_whitney_p,
    one_way,
    signed_rank_p,
)

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
        (sample(1.0, 2.0, 4.5), sample(4.0, 5.0, 6.0), Noise.TOO_FEW),
        (sample(1.0), sample(2.0, 3.0), Noise.SIGNIFICANT),
        (sample(2.5), sample(2.0, 3.0), Noise.TOO_FEW),
        (Sample((5.0,), (1.0, 9.0)), Sample((8.0,), (8.0, 8.0)), Noise.TOO_FEW),
        # From four and four on ranges may overlap ...
        (sample(1, 2, 3, 4, 5, 9), sample(7, 8, 10, 11, 12, 13), Noise.SIGNIFICANT),
        # ... and one outlier makes no difference.
        (sample(1, 2, 3, 4), sample(1, 2, 3, 400), Noise.WITHIN_NOISE),
        # What all of four pairs show is not called noise, nor a difference: ranks reach no 5 %.
        (sample(1000, 1010, 990, 1005), sample(1004, 1011, 991, 1200), Noise.TOO_FEW),
        # What all of six show is a difference.
        (sample(5, 7, 6, 8, 7, 6), sample(6, 7.1, 6.2, 8.3, 9.5, 6.1), Noise.SIGNIFICANT),
        # Launches of unlike work: pairs decide, by direction ...
        (sample(18, 714), sample(118, 7135), Noise.SIGNIFICANT),
        (sample(18, 714), sample(18.1, 709.8), Noise.TOO_FEW),
        (sample(1, 10, 100, 1000, 5), sample(1.2, 12, 119, 1150, 4.9), Noise.TOO_FEW),
        # ... and from six on by the signed-rank test.
        (sample(1, 10, 100, 1e3, 1e4, 1e5, 1e6), sample(1.1, 11, 111, 1e3, 1.2e4, 1.1e5, 1.2e6),
         Noise.SIGNIFICANT),
        (sample(1, 10, 100, 1e3, 1e4, 1e5), sample(1.1, 9, 111, 900, 1.1e4, 9e4),
         Noise.WITHIN_NOISE),
        # As factors: the one that fell did so by 1 %, if by more nanoseconds than most rose.
        (sample(1, 10, 100, 1e3, 1e4, 2e4, 1e5), sample(1.5, 15, 150, 1500, 1.5e4, 3e4, 9.9e4),
         Noise.SIGNIFICANT),
        # In another order the launches do not belong together, and the sides are alike.
        (sample(18, 714, 30, 5000), sample(7135, 118, 900, 40), Noise.WITHIN_NOISE),
        # Differences where there is no logarithm.
        (sample(-5, 0, 90), sample(-4, 1, 91), Noise.SIGNIFICANT),
        (sample(18, 714, 9), sample(18, 714, 9), Noise.WITHIN_NOISE),
    ],
)  # fmt: skip
def test_the_rule(base: Sample, new: Sample, expected: Noise) -> None:
    assert assess(base, new).noise is expected
    assert assess(new, base).noise is expected


@pytest.mark.parametrize(
    ("outlier", "expected"),
    [
        # The others add 144 together, 2 % each.
        ((100.0, 102.0), False),
        ((100.0, 120.0), False),
        ((100.0, 400.0), True),
        # Against the whole, and far from deciding it.
        ((100.0, 50.0), False),
        ((1000.0, 10.0), True),
    ],
)
def test_few_launches_decide_where_most_of_the_change_is_theirs(
    outlier: tuple[float, float], expected: bool
) -> None:
    others = tuple((v, v * 1.02) for v in (1000.0, 2000.0, 3000.0, 500.0, 700.0))
    assert few_decide((*others, outlier)) is expected


def test_values_that_some_launches_lack_are_not_paired() -> None:
    base, new = sample(18, 714), sample(118, 7135)
    assert assess(base, new).pairs == ((18, 118), (714, 7135))
    gaps = Sample(new.values, new.spread, whole=False)
    assert assess(base, gaps) == assess(Sample(base.values, base.spread, whole=False), new)
    assert assess(base, gaps).pairs == ()
    assert assess(base, gaps).noise is Noise.TOO_FEW


@given(st.lists(st.tuples(st.floats(0.5, 9), st.floats(0.5, 9)), min_size=2, max_size=8))
def test_what_every_pair_shows_is_never_called_noise(pairs: list[tuple[float, float]]) -> None:
    base, new = zip(*pairs, strict=True)
    found = assess(sample(*base), sample(*new)).noise
    if one_way(tuple(pairs)):
        assert found is not Noise.WITHIN_NOISE
        assert len(pairs) < 6 or found is Noise.SIGNIFICANT


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4).map(float), max_size=8))
def test_the_exact_signed_rank_is_the_one_of_the_definition(changes: list[float]) -> None:
    moved = [change for change in changes if change]

    def rank(change: float) -> float:
        sizes = [abs(other) for other in moved]
        below = sum(size < abs(change) for size in sizes)
        return below + (sizes.count(abs(change)) + 1) / 2

    ranks = [rank(change) for change in moved]
    observed = abs(sum(r if c > 0 else -r for r, c in zip(ranks, moved, strict=True)))
    signs = list(product((-1, 1), repeat=len(moved)))
    extreme = sum(
        abs(sum(r * s for r, s in zip(ranks, each, strict=True))) >= observed for each in signs
    )
    assert signed_rank_p(changes) == pytest.approx(extreme / len(signs))


def test_the_signed_rank_approximation_is_near_the_exact_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = [float(i if i % 3 else -i) for i in range(1, 41)]
    exact = signed_rank_p(changes)
    monkeypatch.setattr(noise, "_EXACT_UP_TO", 39)
    approximate = signed_rank_p(changes)
    assert approximate != exact
    assert approximate == pytest.approx(exact, rel=0.02)
