"""What a layer's figures come to, and how it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest

from kernprof import main
from kernprof.devices import find
from kernprof.layers import can_predict, predict_launches, static_launches
from kernprof.layers.conclusion import Lowered, cheap_alternative, conclude, same_work
from kernprof.lowering.launch import Direction, Lowering, Purpose
from kernprof.lowering.options import LoweringOptions
from kernprof.lowering.report import layer_report
from kernprof.networks.counters import Counter
from kernprof.networks.ir import Engine
from kernprof.networks.single import single_layer
from kernprof.view.conclusion import conclusion_record, sentences

P100 = find("p100")
LAYER = single_layer("depthwise", in_channels=32, size=14, kernel=3, stride=1, pad=1)

if can_predict(P100):
    pytest.skip(can_predict(P100), allow_module_level=True)


@cache
def lowered(lowering: Lowering, direction: Direction = Direction.FORWARD) -> Lowered:
    options = LoweringOptions(lowering=lowering, direction=direction, engine=Engine.CAFFE)
    report = layer_report(LAYER, options, network=None, counter=Counter.NETSCOPE)
    statics = list(static_launches(report.launches, P100))
    return Lowered(report, P100, statics, predict_launches(statics, P100))


def test_the_kernel_with_the_time_and_the_best_alternative_are_found() -> None:
    caffe, direct = lowered(Lowering.CAFFE), lowered(Lowering.DIRECT)
    slow = lowered(Lowering.IMPLICIT_GEMM)
    found = conclude([caffe, slow, direct])
    assert found is not None
    assert (found.kernel, found.launches) == ("gemv2N", 32)
    assert found.total_ns == pytest.approx(caffe.time_ns)
    times = {p.static.kernel.name: p.time_ns or 0.0 for p in caffe.predicted}
    assert found.time_ns == pytest.approx(times["gemv2N"])
    assert found.share_pct == pytest.approx(100 * times["gemv2N"] / sum(times.values()))
    assert [other.name for other in found.others] == ["direct", "implicit-gemm"]
    assert found.best is direct
    assert found.busy_sms == min(56, found.longest.static.geometry.grid.total)


def test_the_sentences_hold_the_figures() -> None:
    found = conclude([lowered(Lowering.CAFFE), lowered(Lowering.DIRECT)])
    assert found is not None
    what, instead, why = sentences(found)
    assert what.startswith(f"32 launches of gemv2N take {found.share_pct:.1f} % of ")
    assert f"{found.busy_sms} of 56 SMs busy" in what
    assert "bound by" in what
    assert "with 1 launch of depthwise_tiled" in instead
    assert "--lowering direct" in instead
    ratio = found.total_ns / (lowered(Lowering.DIRECT).time_ns or 0)
    assert f"{ratio:.1f} times less" in instead
    assert f"{found.total_ns / found.first.least_ns:,.1f} times that" in why


def test_where_nothing_is_faster_it_says_so() -> None:
    found = conclude([lowered(Lowering.DIRECT), lowered(Lowering.CAFFE)])
    assert found is not None
    assert found.best is None
    assert "No other lowering that was tried is faster: caffe takes" in sentences(found)[1]
    assert conclusion_record(found)["best"] is None


def test_without_alternatives_that_is_said() -> None:
    found = conclude([lowered(Lowering.DIRECT)])
    assert found is not None
    assert sentences(found)[1] == "No other lowering was tried."


def test_without_times_there_is_no_conclusion() -> None:
    assert conclude([replace(lowered(Lowering.CAFFE), predicted=())]) is None


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.BOTH])
def test_an_alternative_does_the_same_work(direction: Direction) -> None:
    """Caffe computes no gradient of this layer's input, so the other must not either."""
    first = lowered(Lowering.CAFFE, direction).report
    found = cheap_alternative(LAYER, first, P100, network=None, counter=Counter.NETSCOPE)
    assert found is not None
    report, statics = found
    assert report.options.lowering is Lowering.DIRECT
    purposes = {launch.purpose for launch in report.launches}
    assert Purpose.DATA_GRADIENT not in purposes
    assert (Purpose.WEIGHT_GRADIENT in purposes) is (direction is Direction.BOTH)
    assert len(statics) == len(report.launches)
    back = same_work(first.options, lowered(Lowering.DIRECT).report, Lowering.CAFFE)
    assert back.lowering is Lowering.CAFFE


def test_of_the_direct_lowering_it_is_another() -> None:
    first = lowered(Lowering.DIRECT).report
    found = cheap_alternative(LAYER, first, P100, network=None, counter=Counter.NETSCOPE)
    assert found is not None
    assert found[0].options.lowering is Lowering.IMPLICIT_GEMM


def test_dear_alternatives_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernprof.layers import conclusion

    first = lowered(Lowering.CAFFE).report
    monkeypatch.setattr(conclusion, "_CHEAP_OPERATIONS", 1.0)
    assert cheap_alternative(LAYER, first, P100, network=None, counter=Counter.NETSCOPE) is None


SHAPE = [
    "--type",
    "depthwise",
    "--in-channels",
    "32",
    "--size",
    "14",
    "--kernel",
    "3",
    "--pad",
    "1",
]


@pytest.mark.parametrize("fmt", ["table", "md", "csv", "json"])
def test_every_format_ends_with_the_conclusion(
    fmt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["layer", *SHAPE, "--format", fmt]) == 0
    shown = capsys.readouterr().out
    if fmt == "json":
        document = json.loads(shown)
        said = " ".join(document["conclusion"]["sentences"])
        assert document["profiles"][-1]["advice"]
        assert document["conclusion"]["best"] == "direct"
    else:
        said = " ".join(shown.replace("\\", "").split())
    assert "32 launches of gemv2N take" in said
    assert "--lowering direct" in said


def test_likely_causes_are_shown_and_alternatives_can_be_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["layer", *SHAPE, "--no-alternatives"]) == 0
    shown = capsys.readouterr().out
    assert "Likely causes for gemv2N:" in shown
    assert "No other lowering was tried." in shown
