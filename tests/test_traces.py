"""The profiles that the project ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernprof import main
from kernprof.profile import Source
from kernprof.reports import load

TRACES = Path(__file__).resolve().parents[1] / "traces"


def test_the_published_table_is_labelled_and_cited(capsys: pytest.CaptureFixture[str]) -> None:
    path = TRACES / "paper-table5-p100.nvprof.csv"
    profiles = load(path).profiles
    assert [p.kernel for p in profiles] == ["gemv2T", "gemv2N", "gemmk1"]
    assert {p.source for p in profiles} == {Source.PUBLISHED}
    assert main(["stalls", str(path)]) == 0
    out = capsys.readouterr().out
    source = next(line for line in out.splitlines() if line.startswith("Source"))
    assert source.split() == ["Source", "published", "published", "published"]
    assert "arXiv:2006.15098" in out
    assert "imported" not in out
    occupancy = next(line for line in out.splitlines() if line.startswith("Occupancy (achieved)"))
    assert occupancy.split()[-3:] == ["6.2", "6.2", "11.8"]
