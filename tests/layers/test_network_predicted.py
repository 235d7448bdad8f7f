"""Networks in the simulator: shares by kernel family."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kernprof import main
from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.layers import can_predict, predict_network
from kernprof.layers.network import rank_correlation
from kernprof.lowering.launch import Direction, Lowering
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.files import resolve_network
from kernprof.view.networks import agreement_note

PROTOTXT = """
name: "little"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 8 dim: 9 dim: 9 } } }
layer { name: "dw" type: "Convolution" bottom: "data" top: "dw"
  convolution_param { num_output: 8 group: 8 kernel_size: 3 pad: 1 engine: CAFFE } }
layer { name: "dw2" type: "Convolution" bottom: "dw" top: "dw2"
  convolution_param { num_output: 8 group: 8 kernel_size: 3 pad: 1 engine: CAFFE } }
layer { name: "relu" type: "ReLU" bottom: "dw2" top: "dw2" }
"""


@pytest.fixture
def little(tmp_path: Path) -> Path:
    if can_predict(find("a100")):
        pytest.skip(can_predict(find("a100")))
    path = tmp_path / "little.prototxt"
    path.write_text(PROTOTXT)
    return path


def test_families_add_up(little: Path) -> None:
    options = LoweringOptions(lowering=Lowering.CAFFE, direction=Direction.BOTH)
    steps: list[tuple[int, int]] = []
    try:
        done = predict_network(
            resolve_network(str(little)),
            find("a100"),
            options,
            progress=lambda a, b: steps.append((a, b)),
        )
    except UnavailableError as missing:
        pytest.skip(str(missing))
    assert sum(done.shares_pct.values()) == pytest.approx(100)
    assert sum(f.time_ns for f in done.families) == pytest.approx(done.time_ns)
    times = [f.time_ns for f in done.families]
    assert times == sorted(times, reverse=True)
    launches = {f.family: f.launches for f in done.families}
    # Two layers of eight groups, each a product forward and a weight gradient backward; the two
    # gradients of their biases are products with ones.
    assert (launches["gemv2N"], launches["gemv2T"]) == (16, 18)
    assert 0 <= done.stand_in_pct < 100
    assert steps[-1][0] == steps[-1][1] > 3


def test_the_command_gives_shares(little: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["network", str(little), "--source", "predicted", "--gpu", "a100"]
    assert main([*command, "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["networks"]
    assert record["source"] == "predicted"
    assert sum(record["shares_pct"].values()) == pytest.approx(100)
    assert record["time_ns"] > 0
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Share % (predicted)" in out
    assert "of GPU time an iteration" in out


def test_without_a_simulation_shares_are_not_told(
    little: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", str(little), "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["networks"]
    assert (record["source"], record["shares_pct"], record["time_ns"]) == ("static", None, None)


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [9, 7, 5, 1]) == pytest.approx(-1)
    # Worked by hand: ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4.
    assert rank_correlation([1, 2, 2, 3], [1, 6, 5, 7]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="no pairs"):
        rank_correlation([1], [1, 2])


def test_tiles_are_chosen_for_the_gpu(little: Path) -> None:
    done = predict_network(resolve_network(str(little)), find("a100"), LoweringOptions())
    assert done.options.sm_count == find("a100").sm_count == 108


def test_columns_of_shares_are_ranked_each_and_together() -> None:
    def pair(shares: dict[str, float], published: dict[str, float], batch: int = 1) -> Any:
        report = SimpleNamespace(published_shares_pct=published)
        return report, SimpleNamespace(options=LoweringOptions(batch=batch), shares_pct=shares)

    pairs = [
        pair({"a": 1.0, "b": 30.0}, {"a": 10, "b": 70}),
        pair({"a": 2.0, "b": 20.0}, {"a": 20, "b": 80}),
        pair({"a": 3.0, "b": 10.0}, {"a": 30, "b": 90}),
        # Published shares are those of one image.
        pair({"a": 0.0, "b": 0.0}, {"a": 100, "b": 100}, batch=2),
    ]
    note = agreement_note(pairs)
    assert note is not None
    assert "of 6 families: 0.771; of each family" in note
    assert note.endswith("a 1.000 (3 networks), b -1.000 (3 networks).")
    assert agreement_note(pairs[:1]) is None
