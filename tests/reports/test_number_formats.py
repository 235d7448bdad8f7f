"""Numbers in the locales that ncu prints in."""

from __future__ import annotations

import math
from decimal import Decimal

import csv_builder as build
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import DamagedReportError, ReportError
from kernprof.reports.numbers import FormatEvidence, NumberFormat, Whole, narrow

LOCALES = [
    pytest.param(".", ",", id="english"),
    pytest.param(",", ".", id="german"),
    pytest.param(",", " ", id="swedish"),
    pytest.param(",", "\u202f", id="french"),
    pytest.param(",", "\u00a0", id="older french"),
    pytest.param(".", "'", id="swiss"),
    pytest.param(".", "", id="C"),
    pytest.param(",", "", id="ungrouped comma"),
]


def decided(*cells: str | tuple[str, Whole]) -> NumberFormat:
    evidence = FormatEvidence()
    for line, cell in enumerate(cells, 1):
        text, whole = cell if isinstance(cell, tuple) else (cell, Whole.UNKNOWN)
        evidence.add(text, line, whole)
    return evidence.decide()


@pytest.mark.parametrize(("decimal", "mark"), LOCALES)
@given(data=st.data())
def test_what_a_locale_prints_is_read_back(decimal: str, mark: str, data: st.DataObject) -> None:
    whole = data.draw(st.integers(-(10**15), 10**15))
    cents = data.draw(st.integers(-(10**12), 10**12))
    fraction = Decimal(cents) / 100
    printed = build.group(float(fraction), decimal, mark)
    number_format = NumberFormat(decimal)
    assert number_format.parse(build.group(whole, decimal, mark)) == whole
    read = number_format.parse(printed)
    assert read is not None
    assert narrow(read) == float(fraction)
    # Two digits after the mark tell which mark it is.
    assert decided(printed) == number_format


def test_not_finite_values_stay_what_they_are() -> None:
    number_format = NumberFormat()
    assert math.isnan(number_format.parse("nan"))  # type: ignore[arg-type]
    assert math.isnan(number_format.parse("-nan(ind)"))  # type: ignore[arg-type]
    assert number_format.parse("-inf") == -math.inf


@pytest.mark.parametrize("text", ["PolicySpread", "1 block", "0x10", "", "(256, 1, 1)", "12abc"])
def test_text_is_no_number(text: str) -> None:
    assert NumberFormat().parse(text) is None


@pytest.mark.parametrize("text", ["1.2.3", "12,34", "1,23,456", "1.", "1 23", "1,2345.0", ",5,5"])
def test_digits_that_make_no_number_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        NumberFormat(".").parse(text)


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["12.50", "1,234"], "."),
        (["12,50", "1.234"], ","),
        (["1,234,567"], "."),
        (["1.234.567"], ","),
        (["1.234,5"], ","),
        (["1,234.5"], "."),
        (["0.123"], "."),
        (["0,123"], ","),
        (["1234.567"], "."),
        (["23 111 929,560"], ","),
        (["1.5e+10"], "."),
        (["12", "nan", "text, with. marks"], "."),
    ],
)
def test_one_telling_number_settles_the_file(cells: list[str], decimal: str) -> None:
    assert decided(*cells).decimal == decimal


def test_a_count_has_no_fraction() -> None:
    assert decided(("2,816", Whole.COUNT)).decimal == "."
    assert decided(("2.816", Whole.COUNT)).decimal == ","


def test_a_percentage_stays_below_a_thousand() -> None:
    assert decided(("99.123", Whole.PERCENT)).decimal == "."
    assert decided(("99,123", Whole.PERCENT)).decimal == ","


@pytest.mark.parametrize("text", ["117.344", "1,234"])
def test_an_open_question_is_refused_with_both_readings(text: str) -> None:
    with pytest.raises(ReportError, match="can be") as caught:
        decided("7", text)
    digits = text.replace(".", "").replace(",", "")
    assert digits in str(caught.value)
    assert "LC_ALL=C" in str(caught.value)
    assert caught.value.where == "line 2"


def test_two_locales_in_one_file_are_refused() -> None:
    with pytest.raises(DamagedReportError, match="two locales") as caught:
        decided("1.50", "1,50")
    assert "line 1" in str(caught.value)
    assert "line 2" in str(caught.value)


@given(st.text(alphabet="0123456789.,' eE+-", max_size=30))
def test_any_text_is_a_number_or_none_or_refused(text: str) -> None:
    for decimal in ".,":
        try:
            value = NumberFormat(decimal).parse(text)
        except ValueError:
            continue
        assert value is None or isinstance(narrow(value), (int, float))


@pytest.mark.parametrize(
    ("text", "value"),
    [("12,34,567", 1234567), ("1,00,000", 100000), ("12,345", 12345), ("9,87,65,432", 98765432)],
)
def test_digits_grouped_in_lakhs(text: str, value: int) -> None:
    evidence = FormatEvidence()
    evidence.add("1,23,456.5", 1)
    evidence.add(text, 2)
    found = evidence.decide()
    assert found == NumberFormat(".", lakhs=True)
    assert found.parse(text) == value
    assert float(found.parse("1,23,456.5")) == 123456.5


def test_lakhs_and_thousands_in_one_file_are_refused() -> None:
    for thousands in ("1,234,567", "1,234,567.25"):
        evidence = FormatEvidence()
        evidence.add("12,34,567", 1)
        evidence.add(thousands, 2)
        with pytest.raises(DamagedReportError, match="in lakhs"):
            evidence.decide()
    with pytest.raises(ValueError, match="1,234,567"):
        NumberFormat(".", lakhs=True).parse("1,234,567")
    with pytest.raises(ValueError, match="12,34,567"):
        NumberFormat(".").parse("12,34,567")
