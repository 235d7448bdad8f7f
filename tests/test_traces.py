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


@pytest.mark.parametrize("lowering", ["caffe", "direct"])
def test_predicted_traces_can_be_made_again(lowering: str, tmp_path: Path) -> None:
    from kernprof.devices import find
    from kernprof.layers import can_predict

    if can_predict(find("p100")):
        pytest.skip(can_predict(find("p100")))
    shipped = load(TRACES / f"depthwise-{lowering}-p100.ncu-rep").profiles
    again = tmp_path / "again.ncu-rep"
    command = ["layer", "--type", "depthwise", "--pass", "both", "--lowering", lowering]
    done = main([*command, "-o", str(again)])
    if done == 4:
        pytest.skip("no disassembler for sm_60 here")
    assert done == 0
    made = load(again).profiles
    assert [(p.kernel, p.grid, p.launches) for p in made] == [
        (p.kernel, p.grid, p.launches) for p in shipped
    ]
    for old, new in zip(shipped, made, strict=True):
        assert {old.source, new.source} == {Source.PREDICTED}
        assert old.code is not None
        # Exact counts stay what they are; the model's figures may move when it is mended.
        for metric in ("smsp__inst_executed.sum", "smsp__thread_inst_executed.sum"):
            assert old.value(metric) == new.value(metric) is not None
        assert new.cycles == pytest.approx(old.cycles, rel=0.3)
        assert old.value("sm__warps_active.avg.pct_of_peak_sustained_active") > 0
