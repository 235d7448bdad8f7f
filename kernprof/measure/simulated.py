"""The simulator as a launcher: results are exact, times only as good as the model given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kernprof.devices import Device
from kernprof.measure.launcher import Backend, DeviceFacts, Extents

if TYPE_CHECKING:
    import numpy as np

    from kernprof.sim.execute import Execution
    from kernprof.sim.program import Program

Clock = Callable[["Execution"], float]


class SimulatedLauncher:
    """Kernels executed without a GPU.

    Parameters
    ----------
    device
        The GPU that it stands for.
    clock
        Gives a launch's time in ns; without one nothing is timed. It sees executions without a
        trace unless ``trace`` is given.
    trace
        What to trace for the clock, by launch geometry (blocks, threads); see
        :class:`kernprof.sim.recording.TraceBudget`.
    """

    backend = Backend.SIMULATOR

    def __init__(
        self,
        device: Device,
        clock: Clock | None = None,
        trace: Callable[[Any, Extents, int], Any] | None = None,
    ) -> None:
        self._device = device
        self._clock = clock
        self._trace = trace
        self._elapsed_ns = 0.0
        self._used = 0

    def facts(self) -> DeviceFacts:
        """Return the device that it stands for."""
        major, minor = self._device.arch.cc_number
        attributes = {
            "compute_capability_major": major,
            "compute_capability_minor": minor,
            "multiprocessor_count": self._device.sm_count,
        }
        return DeviceFacts(self._device.name, self._device.arch.cc, attributes)

    def load(self, image: bytes, kernel: str, dynamic_shared: int = 0) -> Any:
        """Read machine code."""
        from kernprof import sim

        return sim.load(image), kernel

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Copy an array."""
        copy = array.copy()
        self._used += copy.nbytes
        return copy

    def fetch(self, buffer: Any, out: np.ndarray[Any, Any]) -> None:
        """Copy a buffer back."""
        out[...] = buffer.reshape(out.shape)

    def launch(
        self,
        function: tuple[Program, str],
        grid: Extents,
        block: Extents,
        arguments: Sequence[Any],
        dynamic_shared: int = 0,
    ) -> None:
        """Execute."""
        from kernprof import sim

        program, kernel = function
        trace = None
        if self._clock is not None and self._trace is not None:
            trace = self._trace(program.kernel(kernel).image, block, dynamic_shared)
        done = sim.run(
            program,
            kernel,
            grid,
            block,
            [0 if a is None else a for a in arguments],
            dynamic_shared=dynamic_shared,
            trace=trace,
        )
        if self._clock is not None:
            self._elapsed_ns += self._clock(done)

    def elapsed_ns(self, work: Callable[[], None]) -> float | None:
        """Return the sum of what the clock says; None without one."""
        before = self._elapsed_ns
        work()
        return None if self._clock is None else self._elapsed_ns - before

    def flush(self, size_bytes: int) -> None:
        """Do nothing: every launch starts with cold caches."""

    def used_bytes(self) -> int | None:
        """Return the bytes of all arrays put so far."""
        return self._used

    def release(self) -> None:
        """Give memory back that no buffer uses any more."""
        self._used = 0

    def synchronize(self) -> None:
        """Do nothing: launches are done when they return."""
