"""--brief and --against: what matters most on a page of a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernprof import main
from kernprof.view.brief import WIDTH

TABLE_V = Path(__file__).resolve().parents[2] / "traces" / "paper-table5-p100.nvprof.csv"
SMALL = ("--in-channels", "40", "--size", "7", "--kernel", "3", "--pad", "1", "--gpu", "a100")
LAYER = ("layer", "--type", "depthwise", *SMALL)


@pytest.fixture
def timing() -> None:
    from kernprof.devices import find
    from kernprof.layers import can_predict

    reason = can_predict(find("a100"))
    if reason:
        pytest.skip(reason)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    return out


def test_table_v_keeps_rows_with_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "stalls", str(TABLE_V), "--brief")
    rows = {line[:24].strip() for line in out.splitlines()}
    assert "Occupancy (achieved) %" in rows
    assert "Duration" not in rows
    assert "gemv2T" in out
    assert "gemmk1" in out
    assert out.count("left out; without --brief") == 1


def test_launches_that_do_not_fit_beside_each_other_go_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [str(TABLE_V)] * 4
    out = shown(capsys, "stalls", *files, "--no-group", "--brief")
    assert len([line for line in out.splitlines() if line.startswith("Bound by")]) > 1
    assert out.count("unknown") + out.count("latency") >= 12


@pytest.mark.usefixtures("timing")
def test_a_lowering_against_another_ends_in_how_much_shorter_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shown(capsys, *LAYER, "--against", "direct")
    text = " ".join(out.split())
    totals = {}
    for lowering in ("caffe", "direct"):
        assert main([*LAYER, "--lowering", lowering, "--format", "json"]) == 0
        profiles = json.loads(capsys.readouterr().out)["profiles"]
        totals[lowering] = sum(p["launches"] * p["duration_ns"] for p in profiles)
        assert f"{lowering} on NVIDIA A100" in out
    assert f"{totals['caffe'] / totals['direct']:.1f} times less: --lowering direct" in text
    assert "with 1 launch of depthwise_tiled" in text
    assert "gemv2N 40" in text
    assert "predicted cycles were off by" in text


@pytest.mark.usefixtures("timing")
def test_the_other_way_round_it_is_longer(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, *LAYER, "--lowering", "direct", "--against", "caffe")
    text = " ".join(out.split())
    assert "No other lowering that was tried is faster: caffe takes" in text
    assert "times as long" in text


def test_without_a_prediction_the_bounds_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, *LAYER, "--brief", "--source", "static")
    assert "41 launches, static" in out
    assert "Time at least" in out
    assert "times" not in out


def test_markdown_has_the_same_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LAYER, "--brief", "--source", "static", "--format", "md"]) == 0
    assert "| gemv2N | 40 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*LAYER, "--brief", "--format", "json"), "leave it out with --format json"),
        ((*LAYER, "--brief", "--gpu", "a100,h100"), "for one GPU"),
        ((*LAYER, "--against", "direct", "--what-if", "caches=off"), "for one GPU"),
        (("stalls", str(TABLE_V), "--brief", "--format", "csv"), "leave it out with --format csv"),
        (("stalls", str(TABLE_V), "--brief", "--lines"), "take one of the two"),
    ],
)
def test_what_can_not_be_shortened_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert main([*arguments]) == 2
    assert said in capsys.readouterr().err
