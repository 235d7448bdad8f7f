from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.text import clean, escape_json, printable

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


@given(st.text(st.characters(codec=None, categories=None)), st.booleans())
def test_a_whole_output_keeps_its_layout_and_nothing_else(text: str, colors: bool) -> None:
    shown = printable(text, colors=colors)
    unsafe = {c for c in shown if unicodedata.category(c) in UNSAFE} - {"\n", "\t"}
    assert unsafe <= ({"\x1b"} if colors else set())
    assert not {unicodedata.bidirectional(c) for c in shown} & REORDERING
    assert shown.count("\n") == text.count("\n")
    assert shown.count("\t") == text.count("\t")
    shown.encode("utf-8")


def test_of_escape_sequences_only_colors_stay() -> None:
    text = "\x1b[1mbold\x1b[0m \x1b[2J\x1b]0;title\x07"
    assert printable(text, colors=True) == "\x1b[1mbold\x1b[0m [2J]0;title"
    assert printable(text) == "[1mbold[0m [2J]0;title"


@given(st.text(st.characters(codec=None, categories=None)))
def test_json_loses_nothing(text: str) -> None:
    escaped = escape_json(json.dumps([text], indent=2, ensure_ascii=False))
    assert printable(escaped) == escaped
    assert json.loads(escaped) == json.loads(json.dumps([text]))
