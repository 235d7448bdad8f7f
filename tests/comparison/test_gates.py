from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.comparison.changes import Change
from kernprof.comparison.gates import Outcome, check, parse
from kernprof.comparison.noise import Noise, Sample, Verdict, assess
from kernprof.errors import UsageError


def change(base: float | None, new: float | None, noise: Noise = Noise.SINGLE) -> Change:
    return _change(base, new, Verdict(noise))


def _change(base: float | None, new: float | None, verdict: Verdict) -> Change:
    return Change("cycles", "Cycles", "time", "cycles", base, new, verdict, "collect it")


def launches(*pairs: tuple[float, float]) -> Change:
    """The change of a figure whose launches are known on both sides."""
    base, new = zip(*pairs, strict=True)
    sides = [Sample(side, (min(side), max(side))) for side in (base, new)]
    return _change(median(base), median(new), assess(*sides))


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
    assert found.outcome is (Outcome.FAILED if fails else Outcome.PASSED)
    assert bool(found.reason) is fails


def test_a_change_within_noise_passes_but_a_bound_on_the_value_does_not_ask() -> None:
    noisy = change(100, 200, Noise.WITHIN_NOISE)
    assert check(parse("cycles > +5%"), lambda _: noisy).outcome is Outcome.PASSED
    assert check(parse("cycles > 150"), lambda _: noisy).outcome is Outcome.FAILED


@pytest.mark.parametrize("sides", [(None, 1), (1, None), (None, None)])
def test_a_missing_value_is_not_judged_and_says_what_would_bring_it(
    sides: tuple[float | None, float | None],
) -> None:
    found = check(parse("cycles > +5%"), lambda _: change(*sides))
    assert found.outcome is Outcome.UNJUDGED
    lacking = [side for side, value in zip(("base", "new"), sides, strict=True) if value is None]
    assert found.reason == f"cycles is n/a in {' and '.join(lacking)}: collect it"


def test_a_bound_on_the_value_needs_the_new_side_only() -> None:
    gate = parse("cycles > 5")
    assert check(gate, lambda _: change(None, 9)).outcome is Outcome.FAILED
    assert check(gate, lambda _: change(None, 4)).outcome is Outcome.PASSED
    assert check(gate, lambda _: change(9, None)).outcome is Outcome.UNJUDGED


def test_a_test_that_does_not_hold_passes_the_gate_whatever_another_is() -> None:
    known = {"a": change(1, 2), "b": change(None, None), "c": change(2, 1)}
    for text, expected in (
        ("a > +0 and b > +0", Outcome.UNJUDGED),
        ("b > +0 and a > +0", Outcome.UNJUDGED),
        ("b > +0 and c > +0", Outcome.PASSED),
        ("c > +0 and b > +0", Outcome.PASSED),
        ("a > +0 and c < +0", Outcome.FAILED),
    ):
        assert check(parse(text), known.__getitem__).outcome is expected, text


def test_too_few_launches_are_not_judged_unless_the_amount_is_kept_anyway() -> None:
    few = _change(100, 120, Verdict(Noise.TOO_FEW, (99.0, 101.0), (98.0, 120.0, 130.0)))
    found = check(parse("cycles > +5%"), lambda _: few)
    assert found.outcome is Outcome.UNJUDGED
    assert "2 and 3 launches are too few to tell this from noise" in found.reason
    assert check(parse("cycles > +25%"), lambda _: few).outcome is Outcome.PASSED
    assert check(parse("cycles > 110"), lambda _: few).outcome is Outcome.FAILED
    summed_up = _change(100, 120, Verdict(Noise.TOO_FEW, (100.0,), (120.0,)))
    assert "least and largest" in check(parse("cycles > +5%"), lambda _: summed_up).reason


def test_a_gate_that_asks_for_an_improvement_is_not_passed_by_noise() -> None:
    for noise, base, new, expected in (
        (Noise.SIGNIFICANT, 100, 90, Outcome.PASSED),
        (Noise.SIGNIFICANT, 100, 98, Outcome.FAILED),
        (Noise.WITHIN_NOISE, 100, 98, Outcome.FAILED),
        (Noise.TOO_FEW, 100, 120, Outcome.FAILED),
        (Noise.WITHIN_NOISE, 100, 90, Outcome.UNJUDGED),
        (Noise.TOO_FEW, 100, 90, Outcome.UNJUDGED),
        (Noise.SINGLE, 100, 90, Outcome.PASSED),
        (Noise.EQUAL, 100, 100, Outcome.FAILED),
    ):
        one = change(base, new, noise)
        assert check(parse("cycles > -5%"), lambda _, one=one: one).outcome is expected, one
    better = change(100, 90, Noise.WITHIN_NOISE)
    reason = check(parse("cycles > -5%"), lambda _: better).reason
    assert reason == "cycles 100 -> 90 (-10.00 %): the launches show no difference"


SIX = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # A short and a long launch, both slower: their unlike length is no noise.
        ([(18.0, 118.0), (714.0, 7135.0)], Outcome.FAILED),
        ([(18.0, 18.1), (714.0, 709.8)], Outcome.PASSED),
        # Medians of the sides differ by 3 %, the launches by 100 and 1 %.
        ([(18.0, 36.0), (714.0, 720.0)], Outcome.FAILED),
        ([(18.0, 17.0), (714.0, 900.0)], Outcome.UNJUDGED),
        # Every launch is slower; most by little, the long one decides.
        ([(10.0, 10.1), (20.0, 20.2), (1000.0, 2000.0)], Outcome.FAILED),
        # The long launch alone is slower: no repeat tells whether that is noise.
        ([(v, v * (2 if v > 1e4 else 0.99 + 0.02 * (i % 2))) for i, v in enumerate(SIX)],
         Outcome.UNJUDGED),
        ([(v, v * (0.99 + 0.02 * (i % 2))) for i, v in enumerate(SIX)], Outcome.PASSED),
        ([(v, v * 1.04) for v in SIX], Outcome.PASSED),
        ([(v, v * 1.06) for v in SIX], Outcome.FAILED),
        # Most launches are a little slower, beyond doubt, and the long ones by more.
        ([(v, v * (1.02 if v < 1e4 else 1.08)) for v in SIX] + [(50.0, 49.9)], Outcome.FAILED),
        # Beyond doubt faster, but for the longest, which decides.
        ([(v, v * 0.97) for v in SIX] + [(2e3, 1940.0), (1e6, 2e6)], Outcome.UNJUDGED),
        # So is this: slower beyond doubt, but by little if it weren't for the longest.
        ([(v, v * 1.01) for v in SIX] + [(50.0, 49.95), (1e6, 2e6)], Outcome.UNJUDGED),
        # Beyond doubt faster, and the longest slower by no more than launches can be.
        ([(v, v * 0.97) for v in (*SIX[:5], *(3 * v for v in SIX))] + [(1e6, 1.1e6)],
         Outcome.UNJUDGED),
        # Noise of 20 % each way: together they are slower by chance.
        ([(v, v * (0.82 if i % 2 else 1.2)) for i, v in enumerate((*SIX[:5], 5e3))],
         Outcome.PASSED),
        # The same, and one launch that stands out.
        ([(v, v * f) for v, f in zip(SIX, (1.08, 1.09, 0.9, 1.07, 0.89, 3.0), strict=True)],
         Outcome.UNJUDGED),
        ([(0.0, 0.0), (1.0, 2.0), (5.0, 9.0)], Outcome.UNJUDGED),
    ],
)  # fmt: skip
def test_launches_of_unlike_work_are_held_against_their_own(
    pairs: list[tuple[float, float]], expected: Outcome
) -> None:
    found = check(parse("cycles > +5%"), lambda _: launches(*pairs))
    assert found.outcome is expected, found.reason
    faster = [(after, before) for before, after in pairs]
    if expected is Outcome.FAILED:
        assert check(parse("cycles < -4%"), lambda _: launches(*faster)).outcome is expected
        assert check(parse("cycles > +5%"), lambda _: launches(*faster)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("base", "new", "expected"),
    [
        # A short and a long launch in turn, ten times slower, and in another order.
        ([18, 714] * 2, [7140, 180] * 2, Outcome.UNJUDGED),
        ([18, 714] * 2, [714, 18] * 2, Outcome.PASSED),
        # The long ones ten times slower, more of the short ones: the median falls.
        ([10, 1000, 1000, 1000], [10] * 30 + [10_000] * 11, Outcome.UNJUDGED),
        ([10, 1000, 1000, 1000], [100] + [10_000] * 40, Outcome.FAILED),
        # Repeats: an outlier is noise.
        ([100, 101, 99, 100], [101, 99, 100, 98, 400], Outcome.PASSED),
        ([100, 101, 99, 100], [120, 125, 121, 120, 119], Outcome.FAILED),
    ],
)
def test_launches_that_can_not_be_set_side_by_side(
    base: list[float], new: list[float], expected: Outcome
) -> None:
    samples = [Sample(tuple(side), (min(side), max(side))) for side in (base, new)]
    of_both = _change(median(base), median(new), assess(*samples))
    found = check(parse("cycles > +5%"), lambda _: of_both)
    assert found.outcome is expected, (of_both.noise, found.reason)
    if expected is Outcome.UNJUDGED:
        assert "nothing tells work from noise" in found.reason


def test_the_reason_tells_how_far_the_launches_moved() -> None:
    found = check(parse("cycles > +5%"), lambda _: launches((10.0, 20.0), (1000.0, 3000.0)))
    assert found.reason == (
        "cycles 505 -> 1,510 (+199.01 %), launch by launch +100.00 to +200.00 %, median +150.00 %"
    )


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
