from __future__ import annotations

import csv
import io

import pytest

from kernprof.text import clean, printable
from kernprof.view.table import Table, to_csv, to_markdown, to_terminal

TABLE = Table(
    "Two kernels",
    ["", "gemv2T", "gemmk1"],
    [["Occupancy %", 6.2, 11.8], ["Divergence %", None, "0.1 (0.0-0.2)"]],
    ["Note: one."],
)


def test_terminal_text_is_plain_where_there_is_no_terminal() -> None:
    text = to_terminal(TABLE, width=None, color=False)
    assert "\x1b" not in text
    assert [line.split() for line in text.splitlines() if line.startswith("Occ")] == [
        ["Occupancy", "%", "6.2", "11.8"]
    ]
    assert "n/a" in text
    assert text.endswith("Note: one.\n")


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    long = "x" * 500
    assert long in to_terminal(Table("", ["a", "b"], [[long, 1]]), width=None, color=False)


def test_a_narrow_terminal_folds_instead_of_cutting() -> None:
    text = to_terminal(Table("", ["a", "b"], [["word" * 20, 1]]), width=40, color=False)
    assert "".join(text.split()).count("word") + text.count("w\nord") >= 18
    assert "…" not in text


def test_color_only_when_asked() -> None:
    assert "\x1b" in to_terminal(TABLE, width=80, color=True)


def test_csv_keeps_numbers_and_leaves_missing_values_empty() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows == [
        ["", "gemv2T", "gemmk1"],
        ["Occupancy %", "6.2", "11.8"],
        ["Divergence %", "", "0.1 (0.0-0.2)"],
    ]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", " =1"])
def test_csv_defuses_formulas(name: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(Table("", [name], [[name], ["\x1b\t" + name]])))))
    assert rows[0] == rows[1] == ["'" + name]
    assert rows[2] == ["' " + name]


@pytest.mark.parametrize(
    "name", ["a\x1b]0;x\x07b\n\tc\x9b\u202ed", "a\r\nb\ud800", "a\u2028\ufeffb"]
)
def test_names_bring_no_control_characters_into_a_table(name: str) -> None:
    table = Table(name, [name], [[name]], [name])
    markdown, data = to_markdown(table), to_csv(table)
    terminal = [to_terminal(table, width=width, color=bool(width)) for width in (None, 80)]
    for text in (markdown, data, *terminal):
        assert clean(name) in text.replace("\\", "")
        assert printable(text, colors=text in terminal) == text
        assert "\t" not in text
    assert len(markdown.splitlines()) == 7
    assert len(data.splitlines()) == 2


def test_markdown_escapes_what_would_break_out_of_a_cell() -> None:
    text = to_markdown(Table("", ["kernel"], [["a|b<script>*_`[x](y)"]]))
    assert "a\\|b&lt;script&gt;\\*\\_\\`\\[x\\](y)" in text
    assert "<script>" not in text


def test_markup_in_a_cell_is_text() -> None:
    text = to_terminal(Table("", ["k"], [["[bold]x[/bold] :smile:"]]), width=None, color=False)
    assert "[bold]x[/bold] :smile:" in text
