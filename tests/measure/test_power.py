"""Arithmetic of power traces, and sampling with made-up sensors."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import fake_gpu

from kernprof.errors import UnavailableError
from kernprof.measure.nvml import Nvml, measure_energy
from kernprof.measure.power import (
    PowerTrace,
    counted,
    energy_j,
    gaps,
    joined,
    loops_needed,
    mean_w,
    resample,
    updates,
)

steps = st.lists(st.floats(1e-3, 10), min_size=1, max_size=30)
watts = st.floats(0, 1000)


@st.composite
def traces(draw: st.DrawFn) -> PowerTrace:
    distances = draw(steps)
    times = list(itertools.accumulate(distances))
    return PowerTrace(tuple(times), tuple(draw(watts) for _ in times))


@given(traces())
def test_energy_lies_between_the_extremes(trace: PowerTrace) -> None:
    found = energy_j(trace)
    assert min(trace.watts) * trace.duration_s <= found * (1 + 1e-9) + 1e-9
    assert found <= max(trace.watts) * trace.duration_s * (1 + 1e-9) + 1e-9


@given(traces(), st.floats(0, 1))
def test_energies_of_two_parts_add_up(trace: PowerTrace, share: float) -> None:
    middle = trace.times_s[0] + share * trace.duration_s
    assume(trace.times_s[0] <= middle <= trace.times_s[-1])
    parts = energy_j(trace, None, middle) + energy_j(trace, middle, None)
    assert parts == pytest.approx(energy_j(trace), rel=1e-9, abs=1e-9)


@given(steps, watts, st.floats(-100, 100))
def test_constant_and_rising_power_have_the_textbook_energy(
    distances: list[float], level: float, slope: float
) -> None:
    times = tuple(itertools.accumulate(distances))
    span = times[-1] - times[0]
    flat = PowerTrace(times, (level,) * len(times))
    assert energy_j(flat) == pytest.approx(level * span, abs=1e-9)
    # Trapezoids are exact for a straight line, however the samples lie.
    line = PowerTrace(times, tuple(level + slope * (t - times[0]) for t in times))
    exact = level * span + slope * span**2 / 2
    assert energy_j(line) == pytest.approx(exact, rel=1e-9, abs=1e-6)


@given(traces(), st.floats(1e-2, 1))
def test_resampling_keeps_the_ends_and_a_straight_line(trace: PowerTrace, period: float) -> None:
    again = resample(trace, period)
    if len(trace.times_s) < 2:
        assert again == trace
        return
    assert again.times_s[0] == trace.times_s[0]
    assert again.times_s[-1] == trace.times_s[-1]
    assert min(trace.watts) - 1e-9 <= min(again.watts)
    assert max(again.watts) <= max(trace.watts) + 1e-9
    line = PowerTrace(trace.times_s, tuple(3 * t for t in trace.times_s))
    assert energy_j(resample(line, period)) == pytest.approx(energy_j(line), rel=1e-9)


@given(traces(), st.floats(1e-3, 10))
def test_gaps_are_all_and_only_the_long_stretches(trace: PowerTrace, longest: float) -> None:
    found = gaps(trace, longest)
    assert all(b - a > longest for a, b in found)
    pairs = list(itertools.pairwise(trace.times_s))
    assert len(found) == sum(b - a > longest for a, b in pairs)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63))
def test_a_counter_may_wrap_once(first: int, spent: int) -> None:
    assert counted(first, (first + spent) % 2**64) == spent
    assert counted(first % 2**32, (first + spent % 2**31) % 2**32, 32) == spent % 2**31


@given(st.floats(1e-9, 100), st.floats(1e-3, 1), st.integers(1, 100))
def test_loops_last_the_periods_asked_for(one: float, sensor: float, periods: int) -> None:
    runs = loops_needed(one, sensor, periods)
    assert runs * one >= periods * sensor * (1 - 1e-9)
    assert runs == 1 or (runs - 1) * one < periods * sensor * (1 + 1e-9)


def test_broken_traces_are_refused() -> None:
    for times, powers in (((0.0,), ()), ((1.0, 1.0), (2.0, 2.0)), ((0.0, math.inf), (1.0, 1.0))):
        with pytest.raises(ValueError, match=r"times|rise|finite"):
            PowerTrace(times, powers)
    with pytest.raises(ValueError, match="empty"):
        energy_j(PowerTrace((), ()))
    with pytest.raises(ValueError, match="from"):
        energy_j(PowerTrace((0.0, 1.0), (1.0, 1.0)), 1.0, 0.0)
    with pytest.raises(ValueError, match="period"):
        resample(PowerTrace((0.0, 1.0), (1.0, 1.0)), 0.0)
    with pytest.raises(ValueError, match="by a sensor"):
        loops_needed(0.0, 0.1)


def test_updates_and_joins() -> None:
    trace = PowerTrace((0.0, 1.0, 2.0, 3.0), (5.0, 5.0, 6.0, 6.0))
    assert updates(trace) == 1
    later = PowerTrace((4.0,), (6.0,))
    assert joined([trace, later]).duration_s == 4.0
    assert mean_w(PowerTrace((1.0,), (7.0,))) == 7.0


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-4
        return self.now


def test_energy_is_measured_by_trace_and_by_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    modules = fake_gpu.nvml(watts=itertools.repeat(80.0), energy_mj=iter([2**64 - 500, 1500]))
    fake_gpu.install(monkeypatch, modules)
    runs: list[float] = []

    def work() -> None:
        runs.append(time.monotonic())
        time.sleep(0.002)

    found = measure_energy(Nvml(), work, one_s=0.5, idle_s=0.05, rate_hz=200)
    assert found.runs == len(runs) == 10
    assert found.counter_j == pytest.approx(2.0)
    assert found.trace_j == pytest.approx(80 * found.seconds, rel=1e-6)
    assert found.idle_w == pytest.approx(80)
    assert found.mean_w == pytest.approx(80)
    assert found.per_run_j() == pytest.approx(0.2)
    assert found.per_run_j(above_idle=True) == pytest.approx((2.0 - 80 * found.seconds) / 10)
    assert found.peak_memory_bytes == 5 << 30


def test_before_volta_the_trace_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.nvml(watts=itertools.repeat(50.0)))
    found = measure_energy(Nvml(), lambda: None, one_s=10.0, sleep=lambda s: None)
    assert found.counter_j is None
    assert found.per_run_j() == pytest.approx(50 * found.seconds)
    assert Nvml().clocks_mhz() == (1095, 1215)
    assert Nvml().driver() == "550.54.15"


def test_samples_are_taken_while_the_work_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    fake_gpu.install(monkeypatch, fake_gpu.nvml(watts=(float(n) for n in itertools.count())))
    trace, memory = Nvml().sample(lambda: time.sleep(0.2), rate_hz=100)
    assert len(trace.times_s) >= 3
    assert trace.watts == tuple(float(n) for n in range(len(trace.watts)))
    assert memory == 5 << 30


@pytest.mark.parametrize(
    ("modules", "text"),
    [
        (lambda: fake_gpu.nvml(error="NVML Shared Library Not Found"), "NVML can't be used"),
        (lambda: {"pynvml": None}, "nvidia-ml-py is not installed"),
    ],
)
def test_without_sensors(
    modules: Callable[[], dict], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.install(monkeypatch, modules())
    with pytest.raises(UnavailableError, match=text) as raised:
        Nvml()
    assert raised.value.exit_code == 4


def test_a_board_without_a_power_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.nvml(sensor=False))
    with pytest.raises(UnavailableError, match="nvmlDeviceGetPowerUsage"):
        measure_energy(Nvml(), lambda: None, one_s=1.0)
