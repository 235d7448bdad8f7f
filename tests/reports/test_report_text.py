from __future__ import annotations

from kernprof.reports.text import decode, quote_bytes


def test_bytes_that_are_no_text_are_seen() -> None:
    assert decode(b"k\xffernel", 10) == "k\ufffdernel"


def test_first_bytes() -> None:
    assert quote_bytes(b"NVR\x00\x02\x00\x00\x00\x08") == "4e 56 52 00 02 00 00 00"
    assert quote_bytes(b"kernel") == "6b 65 72 6e 65 6c ('kernel')"
