from __future__ import annotations

from pathlib import Path

from kernprof.library.document import document

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernels.md"


def test_the_page_of_kernels_is_up_to_date() -> None:
    assert PAGE.read_text() == document(), "python -m kernprof.library.document > docs/kernels.md"
