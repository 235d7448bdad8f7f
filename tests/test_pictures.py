"""The pictures that README.md and the docs show: there, small, and of the program as it is."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pictures
import pytest

import kernprof
from kernprof.errors import UnavailableError

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 300_000
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def shown() -> list[tuple[Path, str, Path]]:
    """Every picture in the texts: the page, the words in its stead, the file."""
    return [
        (page, words, page.parent / name)
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for words, name in PICTURE.findall(page.read_text("utf-8"))
    ]


def drawn(svg: str) -> list[str]:
    """Lines of the terminal in a drawing, from its top."""
    rows: dict[float, str] = {}
    for row, words in re.findall(r'<text class="demo-r\d+"[^>]* y="([\d.]+)"[^>]*>([^<]*)<', svg):
        rows[float(row)] = rows.get(float(row), "") + html.unescape(words).replace("\xa0", " ")
    # Line feeds and blank lines are drawn as nothing.
    return [line.rstrip() for _, line in sorted(rows.items()) if line.strip()]


def test_every_picture_is_there_and_small_and_told_in_words() -> None:
    found = shown()
    assert {path.name for page, _, path in found if page.name == "README.md"} == {
        "demo.svg",
        "page.png",
    }
    for _, words, path in found:
        assert 0 < path.stat().st_size <= MOST_BYTES
        assert len(words.split()) >= 5
    assert {path.resolve() for *_, path in found} == set(pictures.PICTURES.iterdir())


def test_the_page_has_the_size_that_the_command_gives_it() -> None:
    content = (pictures.PICTURES / "page.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    size = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    assert size == (pictures.WIDTH, pictures.HEIGHT)


def test_the_demo_shows_the_figures_of_the_trace() -> None:
    text = "\n".join(drawn((pictures.PICTURES / "demo.svg").read_text("utf-8")))
    launches = kernprof.load(ROOT / "traces" / "paper-table5-p100.nvprof.csv").profiles
    figures = [
        [f"{share:.1f}" for share in kernprof.analyse(launch).classes_pct.values()]
        for launch in launches
    ]
    assert figures[0][0] == "44.3"
    names = ("Memory dependency", "Instruction dependency", "Synchronization", "Others")
    for name, row in zip(names, zip(*figures, strict=True), strict=True):
        assert re.search(rf"^{name} % +{' +'.join(row)}$".replace(".", r"\."), text, re.MULTILINE)


def test_a_drawing_holds_the_text_and_fetches_nothing() -> None:
    text = '1. Head & tail:\n\n   a <b> "c"  \x1b[1m44.3\n' + "x" * pictures.COLUMNS + "\n"
    svg = pictures.demo_svg(text)
    assert svg == pictures.demo_svg(text)
    lines = ["$ make demo", "1. Head & tail:", '   a <b> "c"  [1m44.3', "x" * pictures.COLUMNS]
    assert [line.replace("\x1b", "") for line in drawn(svg)] == lines
    assert "url(http" not in svg.replace('"', "")
    assert "@font-face" not in svg


def test_without_a_browser_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(pictures, "demo_text", lambda: "a demo\n")
    assert pictures.main(tmp_path) == 4
    assert "no Chromium here" in (told := capsys.readouterr().err)
    assert "apt-get install chromium" in told
    # What needs no browser is made all the same, and nothing half.
    assert [path.name for path in tmp_path.iterdir()] == ["demo.svg"]


def test_a_browser_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho no display >&2\n")
    browser.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(browser))
    with pytest.raises(UnavailableError, match=r"made no picture \(no display\)"):
        pictures.page_png(tmp_path)
