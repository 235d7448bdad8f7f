from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.comparison.changes import Change
from kernprof.comparison.gates import check, parse
from kernprof.comparison.noise import Noise
from kernprof.errors import UsageError


def change(base: float | None, new: float | None, noise: Noise = Noise.SINGLE) -> Change:
    return Change("cycles", "Cycles", "time", "cycles", base, new, noise, "collect it")


@pytest.mark.parametrize(
    ("gate", "base", "new", "fails"),
    [
        ("cycles > +5%", 100, 105, False),
        ("cycles > +5%", 100, 106, True),
        ("cycles >= +5%", 100, 105, True),
        ("cycles < -5%", 100, 94, True),
        ("cycles < -5%", 100, 95, False),
        ("cycles > +10", 100, 111, True),
        ("cycles > +10", 100, 110, False),
        ("cycles > 1e3", 10, 1001, True),
        ("cycles > 1000", 10_000, 1000, False),
        ("cycles>+1% and cycles<+3%", 100, 102, True),
        ("cycles>+1% and cycles<+3%", 100, 104, False),
        ("cycles > +900%", 0, 1, True),
        ("cycles > +0%", 0, 0, False),
    ],
)
def test_gates(gate: str, base: float, new: float, fails: bool) -> None:
    found = check(parse(gate), lambda _: change(base, new))
    assert (found is not None) is fails


def test_a_change_within_noise_passes_but_a_bound_on_the_value_does_not_ask() -> None:
    noisy = change(100, 200, Noise.WITHIN_NOISE)
    assert check(parse("cycles > +5%"), lambda _: noisy) is None
    assert check(parse("cycles > 150"), lambda _: noisy) is not None


def test_a_missing_value_fails_and_says_what_would_bring_it() -> None:
    failure = check(parse("cycles > +5%"), lambda _: change(None, 1))
    assert failure == "cycles is n/a in base: collect it"


def test_a_gate_is_for_kernels() -> None:
    gate = parse("cycles > +5% for ^gemv.*<float")
    assert gate.concerns("gemv2T", "void gemv2T(int)") is False
    assert gate.concerns("gemv2T", "gemv2T<float>") is True
    assert parse("cycles > 5").concerns("anything") is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a test"),
        ("cycles", "expected a test"),
        ("cycles > 5%", "needs its sign"),
        ("cycles > +5% or x > 1", "expected 'and', 'for' or the end, found 'or x > 1'"),
        ("__import__('os') > 1", "expected a test"),
        ("cycles > +5% for (", "no regular expression"),
        ("cycles > +5% and", "found 'and'"),
        ("c" * 2000, "at most 1000"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert said in str(raised.value)


@given(st.text(max_size=60))
def test_any_text_is_a_gate_or_a_usage_error(text: str) -> None:
    try:
        gate = parse(text)
    except UsageError:
        return
    assert gate.tests
