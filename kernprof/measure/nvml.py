"""Power, energy and memory of a GPU by nvidia-ml-py (NVML API reference, "Device Queries")."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kernprof.errors import UnavailableError
from kernprof.measure.power import PowerTrace, counted, energy_j, gaps, loops_needed, mean_w

RATE_HZ = 50.0
"""Samples per second, as the reference paper took them with nvidia-smi."""

_SENSOR_S = 0.1
_GAP_PERIODS = 5
_MAX_LOOPS = 1_000_000


@dataclass(frozen=True, slots=True)
class EnergyMeasurement:
    """Energy of repeated work.

    Parameters
    ----------
    runs, seconds
        How often it was done, and how long all of it took.
    trace
        The samples.
    trace_j
        Energy by trapezoids, idle power included.
    counter_j
        Energy by the GPU's own counter; None where it has none (before Volta).
    idle_w
        Mean power before the work.
    peak_memory_bytes
        Most memory in use at a sample.
    missed
        Stretches without a sample, in seconds.
    """

    runs: int
    seconds: float
    trace: PowerTrace
    trace_j: float
    counter_j: float | None
    idle_w: float
    peak_memory_bytes: int
    missed: tuple[tuple[float, float], ...]

    def per_run_j(self, *, above_idle: bool = False) -> float:
        """Return the energy of one run: the counter's where there is one, else the trace's."""
        total = self.trace_j if self.counter_j is None else self.counter_j
        return (total - (self.idle_w * self.seconds if above_idle else 0.0)) / self.runs

    @property
    def mean_w(self) -> float:
        """Mean power while the work ran."""
        return mean_w(self.trace)


class Nvml:
    """A GPU's sensors.

    Parameters
    ----------
    index
        Number of the GPU, as NVML counts.
    clock
        Gives seconds; for tests.

    Raises
    ------
    UnavailableError
        nvidia-ml-py is not installed, there is no driver or no such GPU.
    """

    def __init__(self, index: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._nvml: Any = importlib.import_module("pynvml")
        except ImportError:
            raise UnavailableError(
                "nvidia-ml-py is not installed", "pip install 'gpu-kernprof[gpu]'"
            ) from None
        self._clock = clock
        try:
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError as failed:
            raise UnavailableError(
                f"NVML can't be used ({failed})",
                "install the NVIDIA driver, on a machine with a GPU",
            ) from None

    def name(self) -> str:
        """Return the product's name."""
        found = self._nvml.nvmlDeviceGetName(self._handle)
        return found.decode() if isinstance(found, bytes) else str(found)

    def driver(self) -> str:
        """Return the driver's version."""
        found = self._nvml.nvmlSystemGetDriverVersion()
        return found.decode() if isinstance(found, bytes) else str(found)

    def power_w(self) -> float:
        """Return the power that the sensor tells now.

        Raises
        ------
        UnavailableError
            The GPU has no power sensor, or it is not open to this user.
        """
        return float(self._ask("nvmlDeviceGetPowerUsage")) / 1e3

    def energy_mj(self) -> int | None:
        """Return the energy since the driver was loaded, in mJ; None before Volta."""
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError:
            return None

    def used_bytes(self) -> int:
        """Return the memory in use by all."""
        return int(self._ask("nvmlDeviceGetMemoryInfo").used)

    def clocks_mhz(self) -> tuple[int, int] | None:
        """Return the clocks of the SMs and of the memory now; None where not told."""
        kinds = (self._nvml.NVML_CLOCK_SM, self._nvml.NVML_CLOCK_MEM)
        try:
            sm, memory = (self._nvml.nvmlDeviceGetClockInfo(self._handle, k) for k in kinds)
        except self._nvml.NVMLError:
            return None
        return int(sm), int(memory)

    def _ask(self, function: str) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle)
        except self._nvml.NVMLError as failed:
            raise UnavailableError(
                f"{function} of {self.name()} tells nothing ({failed})",
                "measure on a GPU with this sensor; MIG instances and some boards have none",
            ) from None

    def sample(self, work: Callable[[], None], rate_hz: float = RATE_HZ) -> tuple[PowerTrace, int]:
        """Run work and sample power and memory beside it.

        Returns
        -------
        tuple of PowerTrace and int
            The trace, with a sample before and one after the work, and the most bytes in use.
        """
        times: list[float] = []
        watts: list[float] = []
        memory = 0
        done = threading.Event()
        broken: list[BaseException] = []

        def read() -> None:
            nonlocal memory
            now = self._clock()
            if times and now <= times[-1]:
                return
            watts.append(self.power_w())
            times.append(now)
            memory = max(memory, self.used_bytes())

        def keep_reading() -> None:
            try:
                while not done.wait(1 / rate_hz):
                    read()
            except BaseException as failed:
                broken.append(failed)

        read()
        thread = threading.Thread(target=keep_reading, daemon=True)
        thread.start()
        try:
            work()
        finally:
            done.set()
            thread.join()
        if broken:
            raise broken[0]
        read()
        return PowerTrace(tuple(times), tuple(watts)), memory


def measure_energy(
    nvml: Nvml,
    work: Callable[[], None],
    one_s: float,
    *,
    idle_s: float = 1.0,
    rate_hz: float = RATE_HZ,
    sleep: Callable[[float], None] = time.sleep,
) -> EnergyMeasurement:
    """Repeat work until the sensor has told many values, and take its energy.

    Parameters
    ----------
    nvml
        The GPU's sensors.
    work
        The work; it must be done when it returns.
    one_s
        About how long it takes, in s.
    idle_s
        How long the idle power is sampled before.
    rate_hz
        Samples per second.
    sleep
        Waits; for tests.

    Raises
    ------
    UnavailableError
        The GPU has no power sensor.
    """
    idle, _ = nvml.sample(lambda: sleep(idle_s), rate_hz)
    runs = min(_MAX_LOOPS, loops_needed(one_s, _SENSOR_S))

    def loop() -> None:
        for _ in range(runs):
            work()

    before = nvml.energy_mj()
    trace, memory = nvml.sample(loop, rate_hz)
    after = nvml.energy_mj()
    return EnergyMeasurement(
        runs=runs,
        seconds=trace.duration_s,
        trace=trace,
        trace_j=energy_j(trace),
        counter_j=None if before is None or after is None else counted(before, after) / 1e3,
        idle_w=mean_w(idle),
        peak_memory_bytes=memory,
        missed=gaps(trace, _GAP_PERIODS / rate_hz),
    )
