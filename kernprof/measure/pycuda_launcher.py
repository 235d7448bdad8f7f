"""Launching through PyCUDA (documen.tician.de/pycuda, "Device Interface")."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kernprof.measure.launcher import (
    Backend,
    DeviceFacts,
    Extents,
    no_gpu,
    not_installed,
    version_text,
)

if TYPE_CHECKING:
    import numpy as np

_DEFAULT_SHARED = 48 << 10
_ATTRIBUTES = (
    "MULTIPROCESSOR_COUNT",
    "MAX_THREADS_PER_MULTIPROCESSOR",
    "MAX_THREADS_PER_BLOCK",
    "MAX_REGISTERS_PER_MULTIPROCESSOR",
    "MAX_REGISTERS_PER_BLOCK",
    "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR",
    "MAX_SHARED_MEMORY_PER_BLOCK",
    "L2_CACHE_SIZE",
    "CLOCK_RATE",
    "MEMORY_CLOCK_RATE",
    "GLOBAL_MEMORY_BUS_WIDTH",
)


class PycudaLauncher:
    """Kernels on a GPU through PyCUDA, in the device's primary context.

    Parameters
    ----------
    index
        Number of the GPU.

    Raises
    ------
    UnavailableError
        PyCUDA is not installed, or there is no usable GPU.
    """

    backend = Backend.PYCUDA

    def __init__(self, index: int = 0) -> None:
        try:
            driver: Any = importlib.import_module("pycuda.driver")
        except ImportError as missing:
            # Without the NVIDIA driver the module itself can't be loaded.
            if "libcuda" in str(missing):
                raise no_gpu(missing) from None
            raise not_installed("PyCUDA", "pycuda") from None
        self._driver = driver
        try:
            driver.init()
            self._device = driver.Device(index)
            self._context = self._device.retain_primary_context()
            self._context.push()
        except driver.Error as failed:
            raise no_gpu(failed) from None
        self._scratch: Any = None
        self._scratch_bytes = 0
        # A function lives as long as its module.
        self._modules: list[Any] = []

    def facts(self) -> DeviceFacts:
        """Return what the driver tells of the GPU."""
        major, minor = self._device.compute_capability()
        known = self._driver.device_attribute
        attributes = {
            name.lower(): int(self._device.get_attribute(getattr(known, name)))
            for name in _ATTRIBUTES
            if hasattr(known, name)
        }
        attributes["compute_capability_major"] = int(major)
        attributes["compute_capability_minor"] = int(minor)
        attributes["total_memory"] = int(self._device.total_memory())
        return DeviceFacts(
            name=str(self._device.name()),
            cc=f"{major}.{minor}",
            attributes=attributes,
            driver=version_text(self._driver.get_driver_version()),
        )

    def load(self, image: bytes, kernel: str, dynamic_shared: int = 0) -> Any:
        """Load a cubin from memory."""
        module = self._driver.module_from_buffer(image)
        self._modules.append(module)
        function = module.get_function(kernel)
        if dynamic_shared > _DEFAULT_SHARED:
            which = self._driver.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES
            function.set_attribute(which, dynamic_shared)
        return function

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Copy an array to the GPU."""
        return self._driver.to_device(array)

    def fetch(self, buffer: Any, out: np.ndarray[Any, Any]) -> None:
        """Copy a buffer back."""
        self._driver.memcpy_dtoh(out, buffer)

    def launch(
        self,
        function: Any,
        grid: Extents,
        block: Extents,
        arguments: Sequence[Any],
        dynamic_shared: int = 0,
    ) -> None:
        """Launch on the default stream."""
        import numpy as np

        given = [np.uint64(0) if a is None else a for a in arguments]
        function(*given, block=block, grid=grid, shared=dynamic_shared)

    def elapsed_ns(self, work: Callable[[], None]) -> float | None:
        """Time work by two events."""
        start, end = self._driver.Event(), self._driver.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.time_till(end)) * 1e6

    def flush(self, size_bytes: int) -> None:
        """Overwrite a scratch allocation."""
        if self._scratch is None or self._scratch_bytes < size_bytes:
            self._scratch = self._driver.mem_alloc(size_bytes)
            self._scratch_bytes = size_bytes
        self._driver.memset_d8(self._scratch, 0, size_bytes)

    def used_bytes(self) -> int | None:
        """Return what the driver says is not free."""
        free, total = self._driver.mem_get_info()
        return int(total - free)

    def release(self) -> None:
        """Give memory back that no buffer uses any more."""
        # Allocations end with their objects.
        self._scratch = None

    def synchronize(self) -> None:
        """Wait for the GPU."""
        self._context.synchronize()
