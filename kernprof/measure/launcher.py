"""Launching kernels: one interface over CuPy, PyCUDA, Numba and the simulator.

A launcher takes machine code (a cubin), copies arrays, launches and times by CUDA events. What uses
one works with all: correctness checks and tests run in the simulator where there is no GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from kernprof.devices import Device, find, from_attributes
from kernprof.errors import KernprofError, ReportError, UnavailableError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np

Extents = tuple[int, int, int]


class Backend(StrEnum):
    """The library that launches."""

    CUPY = "cupy"
    PYCUDA = "pycuda"
    NUMBA = "numba"
    SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a launcher tells of its GPU.

    Parameters
    ----------
    name
        The product's name.
    cc
        Compute capability, "8.0".
    attributes
        CUDA's device attributes by the names that reports use, as far as known.
    driver
        CUDA version of the driver ("12.4"), or None.
    """

    name: str
    cc: str
    attributes: Mapping[str, int]
    driver: str | None = None

    @property
    def arch(self) -> str:
        """Architecture that code is compiled for, "sm_80"."""
        return "sm_" + self.cc.replace(".", "")

    @property
    def device(self) -> Device:
        """The GPU as the tables know it, or made from its attributes.

        Raises
        ------
        UnavailableError
            kernprof has no table of this architecture.
        """
        try:
            known = find(self.name)
            if known.arch.cc == self.cc:
                return known
        except UnknownNameError:
            pass
        try:
            return from_attributes({"display_name": self.name, **self.attributes})
        except (ReportError, UnknownNameError) as unknown:
            raise UnavailableError(
                f"{self.name} (compute capability {self.cc}) is in no table: {unknown}",
                "pip install --upgrade gpu-kernprof",
            ) from None


class Launcher(Protocol):
    """Something that kernels run on.

    ``function`` and ``buffer`` are the library's own objects; callers only hand them back.
    """

    backend: Backend

    def facts(self) -> DeviceFacts:
        """Return what is known of the GPU."""

    def load(self, image: bytes, kernel: str, dynamic_shared: int = 0) -> Any:
        """Load machine code and return the function of a linker symbol."""

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Copy an array to the GPU and return its buffer."""

    def fetch(self, buffer: Any, out: np.ndarray[Any, Any]) -> None:
        """Copy a buffer back into an array of its type and size."""

    def launch(
        self,
        function: Any,
        grid: Extents,
        block: Extents,
        arguments: Sequence[Any],
        dynamic_shared: int = 0,
    ) -> None:
        """Launch; arguments are buffers, numpy scalars, or None for a null pointer."""

    def elapsed_ns(self, work: Callable[[], None]) -> float | None:
        """Return the GPU's time of what ``work`` launches, by events; None where nothing tells."""

    def flush(self, size_bytes: int) -> None:
        """Write so many bytes, so that caches hold nothing of what ran before."""

    def used_bytes(self) -> int | None:
        """Return the GPU memory in use by all, or None where nothing tells."""

    def release(self) -> None:
        """Give memory back that no buffer uses any more."""

    def synchronize(self) -> None:
        """Wait until everything launched is done."""


def open_launcher(backend: Backend, *, index: int = 0) -> Launcher:
    """Open a GPU through a library.

    Parameters
    ----------
    backend
        CuPy, PyCUDA or Numba. The simulator needs to know what it stands for: make a
        :class:`kernprof.measure.simulated.SimulatedLauncher`.
    index
        Number of the GPU, as CUDA counts.

    Raises
    ------
    UnavailableError
        The library is not installed, there is no GPU, or the driver is missing or too old.
    """
    if backend is Backend.CUPY:
        from kernprof.measure.cupy_launcher import CupyLauncher

        return CupyLauncher(index)
    if backend is Backend.PYCUDA:
        from kernprof.measure.pycuda_launcher import PycudaLauncher

        return PycudaLauncher(index)
    if backend is Backend.NUMBA:
        from kernprof.measure.numba_launcher import NumbaLauncher

        return NumbaLauncher(index)
    raise UnavailableError(
        "the simulator is no GPU", "use --source predicted, which shows what it gives"
    )


def not_installed(library: str, extra: str) -> UnavailableError:
    """Make the error of a library that is not there."""
    return UnavailableError(f"{library} is not installed", f"pip install 'gpu-kernprof[{extra}]'")


def no_gpu(reason: object) -> KernprofError:
    """Make the error of a machine without a usable GPU, by what CUDA said."""
    said = " ".join(str(reason).split())
    if "InsufficientDriver" in said or "insufficient" in said or "driver version" in said:
        return UnavailableError(
            f"the NVIDIA driver is missing or too old ({said})",
            "install a driver for this library's CUDA version, or predict: --source predicted",
        )
    return UnavailableError(
        f"no usable GPU here ({said})",
        "run on a machine with an NVIDIA GPU and its driver, or predict: --source predicted",
    )


def version_text(number: int) -> str:
    """Return CUDA's version number as text: 12040 is "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"
