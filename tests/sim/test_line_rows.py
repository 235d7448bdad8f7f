from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernprof.sim.lines import SourceLine, rows_at

A, B = SourceLine("a.cu", 1), SourceLine("a.cu", 2)


def test_a_row_holds_until_the_next_one() -> None:
    assert list(rows_at({16: A, 48: B}, range(0, 80, 16))) == [None, A, A, B, B]


def test_a_row_may_stand_at_the_control_word_of_a_bundle() -> None:
    assert list(rows_at({0: A, 32: B}, [8, 16, 24, 40])) == [A, A, A, B]


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 9)), st.lists(st.integers(0, 99)))
def test_rows_are_found_as_by_looking_at_all(starts: dict[int, int], offsets: list[int]) -> None:
    rows = {start: SourceLine("a.cu", line) for start, line in starts.items()}
    expected = [
        next((rows[k] for k in sorted(rows, reverse=True) if k <= offset), None)
        for offset in offsets
    ]
    assert list(rows_at(rows, offsets)) == expected
