from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from kernprof import load, main


def run(*arguments: object) -> int:
    return main(["layer", *(str(a) for a in arguments)])


def test_depthwise_alone_is_a_real_layer_on_the_papers_gpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--type", "depthwise") == 0
    out = capsys.readouterr().out
    assert "conv5_1/dw of 1.0-MobileNet-224" in out
    assert "512x14x14 -> 512x14x14" in out
    row = next(line for line in out.splitlines() if line.startswith("gemv2N"))
    assert " 512 " in row
    assert "49x1x1" in row
    assert "sm_60" in out
    assert "static" in out


def test_the_document_is_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--gpu", "a100", "--source", "static")
    assert run("--type", "depthwise", "--pass", "both", *where, "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kernprof/1"
    layer = document["layer"]
    assert (layer["in_channels"], layer["groups"], layer["macs"]) == (512, 512, 903_168)
    assert (layer["pass"], layer["lowering"], layer["network"]) == (
        "both",
        "caffe",
        "1.0-MobileNet-224",
    )
    families = {p["family"]: 0 for p in document["profiles"]}
    for profile in document["profiles"]:
        families[profile["family"]] += profile["launches"]
        assert profile["source"] == "static"
        assert profile["gpu"]["cc"] == "8.0"
        assert profile["table_v"]["theoretical_occupancy_pct"] > 0
        assert profile["table_v"]["occupancy_pct"] is None
        assert profile["duration_ns"] is None
        assert profile["least_time_ns"] > 0
    assert families["gemv2N"] == 512
    assert families["gemv2T"] == 512


SMALL = ("--in-channels", 40, "--size", 7, "--kernel", 3, "--pad", 1, "--gpu", "a100")


@pytest.fixture
def timing() -> None:
    from kernprof.devices import find
    from kernprof.layers import can_predict

    reason = can_predict(find("a100"))
    if reason:
        pytest.skip(reason)


@pytest.mark.usefixtures("timing")
def test_predicted_is_the_default_where_it_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--type", "depthwise", *SMALL, "--pass", "both", "--format", "json") == 0
    profiles = json.loads(capsys.readouterr().out)["profiles"]
    assert [p["launches"] for p in profiles] == [1, 40, 1, 40]
    for profile in profiles:
        assert profile["source"] == "predicted"
        assert profile["cycles"] > 1000
        low, high = profile["cycles_range"]
        assert low <= profile["cycles"] <= high
        assert profile["duration_ns"] == pytest.approx(profile["cycles"] / 1.095, rel=1e-3)
        classes = ("memory", "instruction", "synchronization")
        shares = [profile["table_v"][f"{name}_dependency_pct"] for name in classes[:2]]
        shares += [profile["table_v"]["synchronization_pct"], profile["table_v"]["others_pct"]]
        assert sum(shares) == pytest.approx(100)
        assert (
            profile["table_v"]["occupancy_pct"] <= profile["table_v"]["theoretical_occupancy_pct"]
        )


@pytest.mark.usefixtures("timing")
def test_caffes_gemv_calls_cost_more_than_one_direct_kernel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    totals = {}
    for lowering in ("caffe", "direct"):
        assert run("--type", "depthwise", *SMALL, "--lowering", lowering, "--format", "csv") == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert {row["source"] for row in rows} == {"predicted"}
        totals[lowering] = sum(float(r["time_ns"]) * int(r["launches"]) for r in rows)
    assert totals["caffe"] > 10 * totals["direct"]


@pytest.mark.usefixtures("timing")
def test_the_table_tells_time_and_stalls(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--type", "depthwise", *SMALL, "--lowering", "direct") == 0
    out = capsys.readouterr().out
    assert "predicted: " in out
    assert "Memory dependency %" in out
    assert "Time of all" in out


def test_csv_has_one_row_a_distinct_launch(capsys: pytest.CaptureFixture[str]) -> None:
    what = ("--type", "pointwise", "--lowering", "direct", "--source", "static")
    assert run(*what, "--format", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["kernel"] == "pointwise_register"
    assert int(row["flops"]) == 2 * 512 * 512 * 196


@pytest.mark.parametrize(
    "kind", ["conv", "depthwise", "pointwise", "grouped", "fc", "batchnorm", "scale"]
)
@pytest.mark.parametrize("lowering", ["caffe", "im2col", "direct", "implicit-gemm"])
def test_every_kind_and_lowering_works(
    kind: str, lowering: str, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ("--type", kind, "--lowering", lowering, "--pass", "both")
    assert run(*what, "--source", "static") == 0
    assert "launches on" in capsys.readouterr().out


def test_a_layer_by_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ("--in-channels", 8, "--size", "9x7", "--kernel", "3x1", "--stride", 2, "--pad", "1x0")
    assert run("--type", "depthwise", *shape, "--batch", 3, "--format", "json") == 0
    layer = json.loads(capsys.readouterr().out)["layer"]
    assert (layer["in_size"], layer["out_size"], layer["batch"]) == ([9, 7], [5, 4], 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which layer"),
        (["--network", "mobilenet"], "needs --name"),
        (["--name", "conv1"], "give --network too"),
        (["--network", "mobilenet", "--name", "conv5_1/dv"], "did you mean conv5_1/dw"),
        (["--network", "mobilenet", "--name", "conv1", "--size", "3"], "leave out --size"),
        (["--type", "conv", "--size", "14"], "needs --in-channels"),
        (["--type", "conv", "--in-channels", "8", "--size", "0"], "at least 1"),
        (["--type", "conv", "--in-channels", "8", "--size", "1x2x3"], "expected N or HxW"),
        (
            ["--type", "conv", "--in-channels", "8", "--size", "4", "--kernel", "9", "--pad", "0"],
            "must not be larger than the padded input",
        ),
        (["--type", "grouped", "--in-channels", "8", "--size", "4", "--groups", "3"], "groups"),
        (["--type", "conv", "--in-channels", "65536", "--size", "4096"], "signed 32 bits"),
        (["--type", "conv", "--gpu", "p1000"], "no GPU named"),
    ],
)
def test_wrong_usage_is_exit_2_with_the_rule(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_several_gpus_stand_side_by_side(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["layer", "--type", "depthwise", "--in-channels", "4", "--size", "9", "--kernel", "3"]
    gpus = [*command, "--gpu", "a100, h100"]
    assert main(gpus) == 0
    out = capsys.readouterr().out
    totals = [line for line in out.splitlines() if "1.00x" in line]
    assert len(totals) == 1
    assert "A100-SXM4-40GB" in totals[0]
    assert "Occupancy (achieved) %" in out
    assert main([*gpus, "--format", "json"]) == 0
    both = json.loads(capsys.readouterr().out)
    single = []
    for gpu in ("a100", "h100"):
        assert main([*command, "--gpu", gpu, "--format", "json"]) == 0
        single += json.loads(capsys.readouterr().out)["profiles"]
    assert [p["kernel"] for p in both["profiles"]] == [p["kernel"] for p in single]
    for mine, alone in zip(both["profiles"], single, strict=True):
        assert mine["gpu"] == alone["gpu"]
        assert mine["duration_ns"] == alone["duration_ns"]
    assert main([*gpus, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len({row["gpu"] for row in rows}) == 2
    report = tmp_path / "both.ncu-rep"
    assert main([*gpus, "-o", str(report)]) == 0
    assert len(load(report).profiles) == len(rows)
    assert main([*command, "--gpu", "a100,nothing"]) == 2


def test_changed_gpus_stand_beside_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["layer", "--type", "depthwise", "--lowering", "direct", "--gpu", "a100"]
    assert main([*command, "--what-if", "latency=0.5", "--what-if", "latency=4,bandwidth=0.1"]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith("A100-SXM4-40GB")]
    speedups = [
        float(word[:-1])
        for row in rows
        for word in row
        if word[:-1].isdigit() is False
        and word.endswith("x")
        and word[:-1].replace(".", "").isdigit()
    ]
    assert speedups[0] == 1.0
    assert speedups[1] > 1.0
    assert speedups[2] < 1.0
    assert "A100-SXM4-40GB, latency=0.5" in out
    assert main([*command, "--what-if", "magic=2"]) == 2
    assert main([*command, "--what-if", "latency=2", "--source", "static"]) == 2
    capsys.readouterr()
    assert main([*command, "--what-if", "latency=4", "--format", "json"]) == 0
    real, changed = json.loads(capsys.readouterr().out)["profiles"]
    assert changed["duration_ns"] > real["duration_ns"]
    assert "latency" in " ".join(changed["notes"])
    assert "latency" not in " ".join(real["notes"])


def test_a_layer_too_large_to_simulate_is_shown_without_a_prediction(capsys) -> None:
    shape = ["--type", "conv", "--in-channels", "1", "--size", "30000", "--kernel", "1"]
    assert main(["layer", *shape]) == 0
    shown = capsys.readouterr()
    assert "not predicted: conv_implicit_gemm of layer 'conv' has" in shown.err
    assert "compiled, not run" in shown.out
    assert main(["layer", *shape, "--source", "predicted"]) == 2
    assert "take a smaller --batch, or --source static" in capsys.readouterr().err


def test_cudnns_tiles_are_chosen_for_the_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"in-channels": 256, "out-channels": 256, "size": 28, "kernel": 1, "batch": 16}
    command = ["layer", "--type", "conv", "--pass", "forward", "--source", "static"]
    command += [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    kernels = []
    for gpu in ("t4", "h100"):
        assert main([*command, "--gpu", gpu, "--format", "json"]) == 0
        kernels.append(json.loads(capsys.readouterr().out)["profiles"][0]["kernel"])
    assert kernels == ["conv_tiled_128x128", "conv_tiled_128x64"]


def test_caches_are_an_option_of_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["layer", "--type", "depthwise", "--gpu", "a100"]

    def times(*more: str) -> list[float]:
        assert main([*command, *more, "--format", "json"]) == 0
        return [p["duration_ns"] for p in json.loads(capsys.readouterr().out)["profiles"]]

    cold, warm, in_a_row = times(), times("--caches", "warm"), times("--caches", "back-to-back")
    assert all(w < c for w, c in zip(warm, cold, strict=True))
    # The 512 products find the code of the one before, and no parameters or data.
    assert warm[-1] < in_a_row[-1] < cold[-1]
    assert main([*command, "--caches", "warm", "--source", "static"]) == 2
    assert main(["network", "mobilenet", "--caches", "warm"]) == 2
