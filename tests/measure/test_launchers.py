"""Launchers: the same kernels, the same results and the same errors through every library."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_gpu

from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import UnavailableError, UsageError
from kernprof.layers import static_launches
from kernprof.layers.measured import TOLERANCE, measure_launches
from kernprof.library import entries
from kernprof.lowering.launch import Lowering
from kernprof.lowering.lower import lower_layer
from kernprof.lowering.options import LoweringOptions
from kernprof.measure.launcher import Backend, Launcher, open_launcher
from kernprof.measure.simulated import SimulatedLauncher
from kernprof.measure.timing import Times, TimingOptions, quantile, time_work
from kernprof.networks.single import LayerType, single_layer
from kernprof.profile import Source

FAKES: dict[Backend, Callable[..., Any]] = {
    Backend.CUPY: fake_gpu.cupy,
    Backend.PYCUDA: fake_gpu.pycuda,
    Backend.NUMBA: fake_gpu.numba,
}
A100 = find("a100")
SOURCE = """
extern "C" __global__ void scale(int n, float a, const float* x, float* y, const float* none) {
  extern __shared__ float s[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  s[threadIdx.x] = a;
  if (i < n) y[i] = s[threadIdx.x] * x[i] + (none ? none[i] : 0.f);
}
"""


def opened(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> tuple[Launcher, fake_gpu.Gpu]:
    gpu = fake_gpu.Gpu()
    if backend is Backend.SIMULATOR:
        return SimulatedLauncher(A100), gpu
    fake_gpu.install(monkeypatch, FAKES[backend](gpu))
    return open_launcher(backend), gpu


@pytest.mark.parametrize("backend", list(Backend))
def test_a_kernel_runs_the_same_everywhere(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = compile_source(SOURCE, arch="sm_80", name="/kernprof/launcher.cu").image
    launcher, gpu = opened(backend, monkeypatch)
    facts = launcher.facts()
    assert (facts.name, facts.arch, facts.device) == (fake_gpu.NAME, "sm_80", A100)
    x = np.arange(100, dtype=np.float32)
    try:
        function = launcher.load(image, "scale", 60 << 10)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    source, target = launcher.put(x), launcher.put(np.zeros_like(x))
    arguments = [np.uint32(100), np.float32(3), source, target, None]

    def work() -> None:
        launcher.launch(function, (2, 1, 1), (64, 1, 1), arguments, 60 << 10)

    spent = launcher.elapsed_ns(work)
    out = np.empty_like(x)
    launcher.fetch(target, out)
    assert np.array_equal(out, 3 * x)
    launcher.synchronize()
    launcher.flush(1 << 20)
    assert launcher.used_bytes() is not None
    launcher.release()
    if backend is Backend.SIMULATOR:
        assert spent is None
        return
    assert spent == pytest.approx(1000)
    assert gpu.launches == [("scale", (2, 1, 1), (64, 1, 1), 60 << 10)]
    assert gpu.flushed_bytes >= 1 << 20
    assert gpu.synchronised == 1


@pytest.mark.parametrize("backend", list(FAKES))
@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime "
            "version",
            "driver is missing or too old",
        ),
        ("cudaErrorNoDevice: no CUDA-capable device is detected", "no usable GPU here"),
    ],
)
def test_without_a_usable_gpu_one_line_tells_why(
    backend: Backend, said: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.install(monkeypatch, FAKES[backend](fake_gpu.Gpu(), error=said))
    with pytest.raises(UnavailableError, match=text) as raised:
        open_launcher(backend)
    assert raised.value.exit_code == 4
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        (Backend.CUPY, "cupy", "gpu"),
        (Backend.PYCUDA, "pycuda.driver", "pycuda"),
        (Backend.NUMBA, "numba.cuda", "numba"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    backend: Backend, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError, match=rf"gpu-kernprof\[{extra}\]"):
        open_launcher(backend)


def test_pycuda_without_the_driver_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def refuse(name: str) -> Any:
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(UnavailableError, match="no usable GPU here"):
        open_launcher(Backend.PYCUDA)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.cupy(fake_gpu.Gpu(), count=1))
    with pytest.raises(UnavailableError, match="GPU 3 of 1"):
        open_launcher(Backend.CUPY, index=3)
    with pytest.raises(UnavailableError, match="the simulator is no GPU"):
        open_launcher(Backend.SIMULATOR)


@pytest.mark.parametrize("backend", list(Backend))
@pytest.mark.parametrize("lowering", [Lowering.CAFFE, Lowering.DIRECT])
def test_a_layer_is_right_and_timed_through_every_launcher(
    backend: Backend, lowering: Lowering, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, gpu = opened(backend, monkeypatch)
    layer = single_layer(LayerType.DEPTHWISE, in_channels=4, size=9, kernel=3, pad=1)
    launches = lower_layer(layer, LoweringOptions(lowering=lowering))
    try:
        statics = static_launches(launches, A100)
        done = measure_launches(
            statics,
            launcher,
            A100,
            options=TimingOptions(warmup=1, repeats=3),
            origin="layer",
        )
    except UnavailableError as missing:
        pytest.skip(str(missing))
    assert len(done) == len(statics)
    for one in done:
        assert one.right, (one.static.kernel.name, one.error)
        assert one.profile.origin.startswith("layer#")
        if backend is Backend.SIMULATOR:
            assert one.times is None
            assert one.profile.source is Source.PREDICTED
        else:
            assert one.times is not None
            assert one.times.median_ns == pytest.approx(1000)
            assert one.time_ns == pytest.approx(1000 * one.static.launch.count)
            assert one.profile.source is Source.MEASURED
            assert one.profile.duration_ns == pytest.approx(1000)
    if backend is not Backend.SIMULATOR:
        # A check, a warm-up and three counted runs of each distinct launch.
        assert len(gpu.launches) == 5 * len({(s.kernel.name, s.launch.sizes) for s in statics})


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernprof.layers import measured

    layer = single_layer(LayerType.POINTWISE, in_channels=8, out_channels=8, size=4)
    launches = lower_layer(layer, LoweringOptions(lowering=Lowering.DIRECT))
    statics = static_launches(launches, A100)
    text = measured.source
    monkeypatch.setattr(
        measured,
        "source",
        lambda item: text(item).replace("fmaf(", "kp_wrong(").replace("#pragma once", ""),
    )
    wrong = "__device__ float kp_wrong(float a, float b, float c) { return a * b + c + 1e-2f; }\n"
    real = measured._image.__wrapped__
    monkeypatch.setattr(measured, "_image", lambda file, code, arch: real(file, wrong + code, arch))
    done = measure_launches(
        statics[:1], SimulatedLauncher(A100), A100, options=TimingOptions(repeats=1)
    )
    if "kp_wrong" not in measured.source(statics[0].kernel):
        pytest.skip("the kernel has no fmaf to spoil")
    assert done[0].error is not None
    assert done[0].error > TOLERANCE
    assert done[0].right is False


def test_every_family_has_a_kernel_to_check() -> None:
    assert len({e.family for e in entries().values()}) > 10


def test_times_are_told_by_median_and_spread() -> None:
    times = Times(tuple(float(v) for v in (10, 20, 30, 40, 1000)))
    assert times.median_ns == 30
    assert times.low_ns == pytest.approx(14)
    assert times.high_ns == pytest.approx(616)
    assert times.spread_pct == pytest.approx(100 * 602 / 30)
    assert quantile([5.0], 0.9) == 5
    with pytest.raises(ValueError, match="0 values"):
        quantile([], 0.5)


def test_caches_are_flushed_or_buffers_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher, gpu = opened(Backend.CUPY, monkeypatch)
    turns: list[int] = []
    works = [lambda k=k: turns.append(k) for k in range(3)]
    options = TimingOptions(warmup=2, repeats=4, flush_l2=False)
    assert time_work(launcher, works, options, l2_bytes=1 << 20) is not None
    assert turns == [0, 1, 0, 1, 2, 0]
    assert gpu.flushed_bytes == 0
    before = gpu.synchronised
    time_work(launcher, works, TimingOptions(warmup=0, repeats=2), l2_bytes=1 << 20)
    assert gpu.flushed_bytes == 2 << 20
    # Once after the warm-up: waiting for a flush would put the host's launch time between events.
    assert gpu.synchronised == before + 1


@pytest.mark.parametrize(
    "wrong", [{"warmup": -1}, {"repeats": 0}, {"rotate": 0}, {"repeats": 10**9}]
)
def test_wrong_counts_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        TimingOptions(**wrong)
