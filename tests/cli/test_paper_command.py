from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, cast

import pytest

from kernprof import main
from kernprof.devices import find
from kernprof.layers import FamilyTime, NetworkPrediction, PredictedLaunch, can_predict
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.paper_tables import published
from kernprof.paper.exhibits import exhibit

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> int:
    return main(["paper", *(str(a) for a in arguments)])


def test_all_72_numbers_of_table_two_are_the_printed_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("table2", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 12
    same = [
        row[key] == row[f"{key}_published"]
        for row in rows
        for key in row
        if f"{key}_published" in row
    ]
    assert same == [True] * 72


def test_table_three_never_shows_a_share_it_did_not_compute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("table3", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    rows = {row["network"]: row for row in document["exhibits"][0]["rows"]}
    mobilenet = rows["1.0-MobileNet-224"]
    assert mobilenet["gemv2T_launches"] == 5014
    assert mobilenet["gemv2T_pct"] is None
    assert mobilenet["gemv2T_pct_published"] == 55.47
    assert rows["GoogLeNet"]["gemmk1_pct_published"] == 0.05


def table5(capsys: pytest.CaptureFixture[str], *more: object) -> dict[str, Any]:
    assert run("table5", *more, "--format", "json") == 0
    return dict(json.loads(capsys.readouterr().out)["exhibits"][0])


def test_table_five_shows_launches_of_a_report_beside_the_printed_cells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = ROOT / "traces" / "paper-table5-p100.nvprof.csv"
    shown = table5(capsys, "--with", file, "--gpu", "none")
    rows = {row["attribute"]: row for row in shown["rows"]}
    assert len(rows) == 11
    numbers = 0
    for label, row in rows.items():
        for position, name in enumerate(("gemv2T", "gemv2N", "gemmk1")):
            printed, read = row[f"{name}_published"], row[f"profile_{position}"]
            assert row[name] is row[f"{name}_difference"] is None
            if isinstance(printed, float):
                numbers += 1
                assert read == pytest.approx(printed, rel=2e-3), label
                assert row[f"profile_{position}_difference"] == pytest.approx(0, abs=0.1)
            else:
                assert row[f"profile_{position}_difference"] is None
    assert numbers == 27
    assert rows["SM utilization %"]["gemv2N_published"] == "Very poor"
    assert any("left out by --gpu none" in note for note in shown["notes"])


def test_table_five_predicts_the_printed_columns_for_the_papers_gpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = table5(capsys)
    if not any("P100-PCIE-12GB" in note for note in shown["notes"]):
        pytest.skip("; ".join(shown["notes"]))
    assert any("all launches of MobileNet, each alike; caches warm" in n for n in shown["notes"])
    rows = {row["attribute"]: row for row in shown["rows"]}
    for row in rows.values():
        for name in ("gemv2T", "gemv2N", "gemmk1"):
            if isinstance(row[f"{name}_published"], float):
                difference = row[name] - row[f"{name}_published"]
                assert row[f"{name}_difference"] == pytest.approx(difference)
    # The column of gemv2N is met in every row, in the profile of a network's launches.
    assert all(abs(row["gemv2N_difference"] or 0) < 10 for row in rows.values())
    assert rows["Warp execution efficiency %"]["gemv2N"] == pytest.approx(99.3, abs=0.5)
    assert rows["Branch divergence %"]["gemv2N"] == 0


def test_table_five_for_another_gpu_and_its_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    reason = can_predict(find("a100"))
    if reason:
        pytest.skip(reason)
    code = run("table5", "--gpu", "a100", "--format", "json")
    done = capsys.readouterr()
    if code == 4:
        pytest.skip(done.err)
    assert code == 0, done.err
    exhibit = json.loads(done.out)["exhibits"][0]
    assert any("Predicted for NVIDIA A100" in note for note in exhibit["notes"])
    rows = {row["attribute"]: row for row in exhibit["rows"]}
    # Two blocks of 128 threads at most for a product of nine columns: as the paper saw.
    assert 0 < rows["Occupancy (achieved) %"]["gemv2T"] <= 6.25
    assert run("table5", "--conditions", "--gpu", "none") == 2
    assert run("table2", "--conditions") == 2
    assert run("table5", "--conditions", "--with", "x.csv") == 2


def test_a_gpu_that_can_not_be_predicted_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table5", "--gpu", "nonsense") == 2
    assert "nonsense" in capsys.readouterr().err
    assert run("table2", "--gpu", "a100") == 2


def test_all_holds_every_exhibit(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("all", "--format", "json") == 0
    exhibits = json.loads(capsys.readouterr().out)["exhibits"]
    assert [item["key"] for item in exhibits] == [
        *(f"table{n}" for n in range(1, 6)),
        *(f"fig{n}" for n in range(2, 5)),
        "claims",
    ]
    for item in exhibits:
        assert item["rows"]
        assert item["notes"]


@pytest.mark.parametrize("part", ["fig2", "fig3", "fig4", "table3"])
def test_figures_are_drawn_alike_each_time(part: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert run(part, "-o", tmp_path / name) == 0
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert (b"MobileNet" in first) or part == "fig2"
    assert run(part, "-o", tmp_path / "c.png") == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [("table2", "-o", "x.png"), ("all", "-o", "x.svg")])
def test_what_has_no_drawing_says_so(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert run(*arguments) == 2
    assert "fig3" in capsys.readouterr().err


def test_reports_belong_to_table_five(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table2", "--with", "x.ncu-rep") == 2
    assert "Table V" in capsys.readouterr().err


def test_table_three_shows_predicted_shares_beside_the_printed_ones() -> None:
    device = find("p100")
    made = {
        name: NetworkPrediction(
            network=name,
            device=device,
            options=LoweringOptions(),
            families=(
                FamilyTime("gemv2T", 1, 600.0, 60.0 - position, cast(PredictedLaunch, None)),
                FamilyTime("conv", 1, 400.0, 40.0 + position, cast(PredictedLaunch, None)),
            ),
            time_ns=1000.0,
            stand_in_pct=40.0,
            energy=None,
        )
        for position, name in enumerate(published())
        if position < 3
    }
    table = exhibit("table3", (), made)
    rows = dict(zip(table.column("network"), table.column("gemv2T_pct"), strict=True))
    assert rows["AlexNet"] == 60.0
    # A family without a launch has no time; a network that was not predicted has no share.
    assert table.column("gemv2N_pct")[0] == 0.0
    assert rows["DenseNet-121"] is None
    assert any("rank correlation of the 9 shares" in note for note in table.notes)


def test_only_tables_three_and_five_are_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table2", "--gpu", "p100") == 2
    assert "Tables III and V" in capsys.readouterr().err
    assert run("table3", "--with", ROOT / "traces" / "paper-table5-p100.nvprof.csv") == 2
