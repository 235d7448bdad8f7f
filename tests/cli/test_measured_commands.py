"""``layer`` and ``network`` on a GPU: stand-ins of CuPy and ncu, the simulator behind them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "measure"))
import fake_gpu

from kernprof import main
from kernprof.errors import InputError
from kernprof.layers.measured import under_profiler

TESTS = Path(__file__).resolve().parents[1]
LAYER = ["layer", "--type", "depthwise", "--in-channels", "4", "--size", "9", "--kernel", "3"]
PROTOTXT = """
name: "little"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 4 dim: 7 dim: 7 } } }
layer { name: "dw" type: "Convolution" bottom: "data" top: "dw"
  convolution_param { num_output: 4 group: 4 kernel_size: 3 pad: 1 engine: CAFFE } }
layer { name: "relu" type: "ReLU" bottom: "dw" top: "dw" }
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> fake_gpu.Gpu:
    made = fake_gpu.Gpu()
    fake_gpu.install(monkeypatch, fake_gpu.cupy(made))
    return made


def test_a_layer_is_checked_and_timed(
    gpu: fake_gpu.Gpu, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LAYER, "--source", "timed", "--repeats", "2"]) == 0
    out = capsys.readouterr().out
    assert "measured: " in out
    assert "right" in out
    assert "WRONG" not in out
    assert main([*LAYER, "--source", "timed", "--repeats", "2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for record in document["profiles"]:
        assert record["source"] == "measured"
        assert record["right"] is True
        assert record["duration_ns"] == pytest.approx(1000)
        assert record["collector"]["tool"] == "cupy"
        assert record["gpu"]["name"] == fake_gpu.NAME
    assert main([*LAYER, "--source", "timed", "--repeats", "1", "--format", "csv"]) == 0
    assert list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_clocks_are_told_and_buffers_may_rotate(
    gpu: fake_gpu.Gpu, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.nvml())
    runs = ["--repeats", "4", "--warmup", "1", "--rotate", "2", "--format", "json"]
    assert main([*LAYER, "--source", "timed", *runs]) == 0
    assert gpu.flushed_bytes == 0
    for record in json.loads(capsys.readouterr().out)["profiles"]:
        notes = " ".join(record["notes"])
        assert "median of 4 runs" in notes
        assert "2 set(s) of buffers" in notes
        assert "clocks right after: SM 1095 MHz, memory 1215 MHz" in notes


def test_under_a_profiler_each_is_launched_once(gpu: fake_gpu.Gpu) -> None:
    assert main([*LAYER, "--source", "timed", "--once"]) == 0
    names = [name for name, *_ in gpu.launches]
    assert len(names) == len(set(gpu.launches))
    assert gpu.flushed_bytes == 0


def test_a_layer_is_measured_under_ncu(
    gpu: fake_gpu.Gpu,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The stand-in's report is of MobileNet's layer, whatever runs: it runs nothing here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    wrapper = folder / "ncu"
    wrapper.write_text(
        f'#!/bin/sh\nexec {sys.executable} {TESTS / "measure" / "standin" / "ncu"} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), *filter(None, sys.path)]))
    monkeypatch.setenv("KERNPROF_STANDIN", "no_kernels")
    assert main(["layer", "--type", "depthwise", "--source", "measured"]) == 3
    assert "no kernels were profiled" in capsys.readouterr().err
    monkeypatch.setenv("KERNPROF_STANDIN", "permission")
    assert main(["layer", "--type", "depthwise", "--source", "measured"]) == 4
    assert "ERR_NVGPUCTRPERM" in capsys.readouterr().err


@pytest.mark.parametrize("clocks", [None, "none"])
def test_the_profiled_command_is_quiet_and_clocks_are_as_asked(
    gpu: fake_gpu.Gpu, monkeypatch: pytest.MonkeyPatch, clocks: str | None
) -> None:
    from kernprof.measure import collect

    seen: list[tuple[Sequence[str], collect.CollectOptions]] = []

    def record(command: Sequence[str], options: collect.CollectOptions, **_: object) -> None:
        seen.append((command, options))
        raise InputError("enough seen")

    monkeypatch.setattr(collect, "collect", record)
    more = ["--clock-control", clocks] if clocks else []
    assert main(["layer", "--type", "depthwise", "--source", "measured", *more]) == 3
    ((command, options),) = seen
    assert options.clock_control == (clocks or "base")
    # The table of the profiled command would stand among the profiler's messages.
    assert command[command.index("--output") + 1] == os.devnull


def test_the_profilers_launches_are_put_to_the_layers(gpu: fake_gpu.Gpu) -> None:
    from kernprof.devices import find
    from kernprof.layers import profile_of, static_launches
    from kernprof.lowering.lower import lower_layer
    from kernprof.networks.single import LayerType, single_layer

    a100 = find("a100")
    layer = single_layer(LayerType.DEPTHWISE, in_channels=4, size=9, kernel=3)
    statics = static_launches(lower_layer(layer), a100)
    distinct = {(s.kernel.name, s.launch.sizes): s for s in statics}
    profiles = [profile_of(s, a100, "report") for s in distinct.values()]
    done = under_profiler(statics, profiles, "layer")
    assert [d.profile.kernel for d in done] == [s.kernel.name for s in statics]
    assert [d.profile.launches for d in done] == [s.launch.count for s in statics]
    with pytest.raises(InputError, match="the layer launches"):
        under_profiler(statics, profiles[1:], "layer")


def test_a_network_is_measured(
    gpu: fake_gpu.Gpu,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from kernprof.measure import nvml

    path = tmp_path / "little.prototxt"
    path.write_text(PROTOTXT)
    monkeypatch.setattr(nvml, "loops_needed", lambda one_s, sensor_s: 3)
    sensors = fake_gpu.nvml(watts=itertools.repeat(70.0), energy_mj=itertools.count(0, 600))
    fake_gpu.install(monkeypatch, sensors)
    command = ["network", str(path), "--source", "measured", "--max-batch", "8"]
    assert main([*command, "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["networks"]
    assert record["source"] == "measured"
    assert [b["batch"] for b in record["batches"]] == [1, 2, 4, 8]
    launches = record["batches"][0]["time_ns"] / 1000
    assert record["latency_ms"] == pytest.approx(launches / 1000)
    throughputs = {b["batch"]: b["batch"] * 1e9 / b["time_ns"] for b in record["batches"]}
    assert record["images_per_s"] == pytest.approx(max(throughputs.values()))
    assert throughputs[record["best_batch"]] == max(throughputs.values())
    assert sum(record["shares_pct"].values()) == pytest.approx(100)
    assert record["energy"]["by_counter"] is True
    assert record["energy"]["per_iteration_j"] == pytest.approx(0.6 / 3)
    macs = record["macs"]
    assert record["macs_per_joule"] == pytest.approx(4 * macs / 0.2)
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "measured on" in out
    assert "inference by batch size" in out


def test_without_sensors_the_energy_is_missing_and_told(
    gpu: fake_gpu.Gpu,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "little.prototxt"
    path.write_text(PROTOTXT)
    fake_gpu.install(monkeypatch, fake_gpu.nvml(error="Driver Not Loaded"))
    command = ["network", str(path), "--source", "measured", "--max-batch", "1"]
    assert main([*command, "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["networks"]
    assert record["energy"] is None
    assert "Driver Not Loaded" in record["no_energy"]
    assert main(command) == 0
    assert "no energy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [[*LAYER, "--source", "timed"], ["network", "mobilenet", "--source", "measured"]]
)
def test_without_a_gpu(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(command) == 4
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "gpu-kernprof[gpu]" in error
    assert main([*command, "--gpu", "a100"]) == 2
