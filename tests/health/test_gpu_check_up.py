"""The GPU check-up, with the simulator for a GPU, and on a real one where there is one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "measure"))
import fake_gpu

from kernprof import main
from kernprof.errors import UnavailableError
from kernprof.health.checks import State
from kernprof.health.gpu import check_up, sample_launches
from kernprof.library import entries
from kernprof.measure.launcher import Backend, open_launcher
from kernprof.view.health import check_up_record, check_up_tables

FEW = ("gemv2N", "pooling")


def test_a_healthy_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = fake_gpu.Gpu()
    fake_gpu.install(monkeypatch, fake_gpu.cupy(gpu))
    fake_gpu.install(monkeypatch, fake_gpu.nvml())
    try:
        done = check_up(families=lambda family: family in FEW)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    assert done.healthy
    assert {k.measured.static.launch.family for k in done.kernels} == set(FEW)
    states = {f.check: f.state for f in done.findings}
    assert states["NVML"] is State.OK
    assert states["GPU through cupy"] is State.OK
    for kernel in done.kernels:
        assert kernel.measured.right
        # A microsecond at the fake sensor's 1095 MHz.
        assert kernel.measured_cycles == pytest.approx(1095)
        if kernel.predicted_cycles is not None:
            expected = 100 * (kernel.predicted_cycles / 1095 - 1)
            assert kernel.difference_pct == pytest.approx(expected)
    record = check_up_record(done)
    assert json.loads(json.dumps(record))["healthy"] is True
    assert [t.title for t in check_up_tables(done)] == ["", "One kernel of each family"]


def test_every_family_of_the_networks_is_run() -> None:
    families = {launch.family for launch in sample_launches()}
    assert {"gemv2T", "gemv2N", "gemmk1", "im2col", "conv", "depthwise", "pointwise"} <= families
    assert all(launch.kernel in entries() for launch in sample_launches())


def test_without_a_gpu_the_page_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert main(["doctor", "--gpu", "--format", "json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is False
    findings = {f["check"]: f for f in document["findings"]}
    assert findings["NVML"]["remedy"] == "pip install 'gpu-kernprof[gpu]'"
    assert findings["GPU through cupy"]["state"] == "missing"


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [Backend.CUPY, Backend.PYCUDA, Backend.NUMBA])
def test_a_real_gpu(backend: Backend) -> None:
    try:
        launcher = open_launcher(backend)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    done = check_up(launcher=launcher)
    wrong = [k.measured.static.kernel.name for k in done.kernels if not k.measured.right]
    assert not wrong
    assert all(k.measured.times is not None for k in done.kernels)
