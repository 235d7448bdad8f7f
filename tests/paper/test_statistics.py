from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import UsageError
from kernprof.paper.statistics import correlate, pearson, ranks

VALUES = st.lists(st.integers(-1000, 1000), min_size=4, max_size=20, unique=True)


@given(VALUES, st.randoms(use_true_random=False))
def test_pearson_is_that_of_numpy(x: list[int], random: object) -> None:
    y = [random.randint(-9, 9) + value % 7 for value in x]  # type: ignore[attr-defined]
    if len(set(y)) > 1:
        assert pearson(x, y) == pytest.approx(float(numpy.corrcoef(x, y)[0, 1]), abs=1e-9)


def test_equal_values_share_their_mean_rank() -> None:
    assert ranks([10, 30, 20, 20]) == [1, 4, 2.5, 2.5]


def test_one_far_point_is_named() -> None:
    names = ["a", "b", "c", "d", "far"]
    found = correlate(names, [1, 2, 3, 4, 100], [4, 3, 2, 1, 100])
    assert found.pearson > 0.99
    assert (found.lowest, found.without_lowest) == (pytest.approx(-1.0), "far")
    assert found.spearman == pytest.approx(0.0)


@pytest.mark.parametrize("x", [[1, 1, 1, 1], [1, 2, 3]])
def test_what_has_no_correlation_is_refused(x: list[float]) -> None:
    with pytest.raises(UsageError):
        correlate(["a", "b", "c", "d"], x, [1, 2, 3, 4])
