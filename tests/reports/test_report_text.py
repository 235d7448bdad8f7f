from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.reports.text import clean, decode, quote_bytes

# Categories of characters that move the cursor, reorder, hide, or can't be encoded.
UNSAFE = {"Cc", "Cs", "Zl", "Zp"}
REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gemv2T<float>(float const*)", "gemv2T<float>(float const*)"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("\x1b[31mred\x07\x9b", "[31mred"),
        ("a\u202eb\u2066c\u200bd\ufeff", "abcd"),
        ("\ud800x", "x"),
        ("größe 核", "größe 核"),
    ],
)
def test_what_is_dropped(text: str, shown: str) -> None:
    assert clean(text, 100) == shown


@given(st.text(st.characters(codec=None, categories=None)), st.integers(1, 50))
def test_clean_text_is_one_safe_line_within_its_limit(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert not {unicodedata.category(c) for c in shown} & UNSAFE
    assert not {unicodedata.bidirectional(c) for c in shown} & REORDERING
    assert shown.splitlines() in ([shown], [])
    shown.encode("utf-8")
    assert clean(shown, limit) == shown


def test_a_cut_is_seen() -> None:
    assert clean("x" * 11, 10) == "x" * 9 + "…"
    assert clean("x" * 10, 10) == "x" * 10


def test_bytes_that_are_no_text_are_seen() -> None:
    assert decode(b"k\xffernel", 10) == "k\ufffdernel"


def test_first_bytes() -> None:
    assert quote_bytes(b"NVR\x00\x02\x00\x00\x00\x08") == "4e 56 52 00 02 00 00 00"
    assert quote_bytes(b"kernel") == "6b 65 72 6e 65 6c ('kernel')"
