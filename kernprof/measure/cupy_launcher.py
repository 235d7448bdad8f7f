"""Launching through CuPy's ``RawModule`` (docs.cupy.dev, "User-Defined Kernels")."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
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
# cudaDeviceProp's fields under the names of device attributes.
_PROPERTIES = {
    "multiprocessor_count": "multiProcessorCount",
    "max_threads_per_multiprocessor": "maxThreadsPerMultiProcessor",
    "max_threads_per_block": "maxThreadsPerBlock",
    "max_registers_per_multiprocessor": "regsPerMultiprocessor",
    "max_registers_per_block": "regsPerBlock",
    "max_shared_memory_per_multiprocessor": "sharedMemPerMultiprocessor",
    "max_shared_memory_per_block": "sharedMemPerBlock",
    "max_shared_memory_per_block_optin": "sharedMemPerBlockOptin",
    "l2_cache_size": "l2CacheSize",
    "clock_rate": "clockRate",
    "memory_clock_rate": "memoryClockRate",
    "global_memory_bus_width": "memoryBusWidth",
    "total_memory": "totalGlobalMem",
}


class CupyLauncher:
    """Kernels on a GPU through CuPy.

    Parameters
    ----------
    index
        Number of the GPU.

    Raises
    ------
    UnavailableError
        CuPy is not installed, or there is no usable GPU.
    """

    backend = Backend.CUPY

    def __init__(self, index: int = 0) -> None:
        try:
            cupy: Any = importlib.import_module("cupy")
        except ImportError:
            raise not_installed("CuPy", "gpu") from None
        self._cupy = cupy
        self._index = index
        try:
            count = cupy.cuda.runtime.getDeviceCount()
            if index >= count:
                raise no_gpu(f"GPU {index} of {count}")
            cupy.cuda.Device(index).use()
        except cupy.cuda.runtime.CUDARuntimeError as failed:
            raise no_gpu(failed) from None
        self._scratch: Any = None

    def facts(self) -> DeviceFacts:
        """Return what the runtime tells of the GPU."""
        runtime = self._cupy.cuda.runtime
        found = runtime.getDeviceProperties(self._index)
        name = found["name"]
        attributes = {
            key: int(found[field]) for key, field in _PROPERTIES.items() if field in found
        }
        attributes["compute_capability_major"] = int(found["major"])
        attributes["compute_capability_minor"] = int(found["minor"])
        return DeviceFacts(
            name=name.decode() if isinstance(name, bytes) else str(name),
            cc=f"{found['major']}.{found['minor']}",
            attributes=attributes,
            driver=version_text(runtime.driverGetVersion()),
        )

    def load(self, image: bytes, kernel: str, dynamic_shared: int = 0) -> Any:
        """Load a cubin; RawModule takes it as a file."""
        with tempfile.TemporaryDirectory(prefix="kernprof-") as folder:
            path = Path(folder) / "kernels.cubin"
            path.write_bytes(image)
            function = self._cupy.RawModule(path=str(path)).get_function(kernel)
        if dynamic_shared > _DEFAULT_SHARED:
            function.max_dynamic_shared_size_bytes = dynamic_shared
        return function

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Copy an array to the GPU."""
        return self._cupy.asarray(array)

    def fetch(self, buffer: Any, out: np.ndarray[Any, Any]) -> None:
        """Copy a buffer back."""
        out[...] = buffer.get().reshape(out.shape)

    def launch(
        self,
        function: Any,
        grid: Extents,
        block: Extents,
        arguments: Sequence[Any],
        dynamic_shared: int = 0,
    ) -> None:
        """Launch on the current stream."""
        import numpy as np

        given = tuple(np.uint64(0) if a is None else a for a in arguments)
        function(grid, block, given, shared_mem=dynamic_shared)

    def elapsed_ns(self, work: Callable[[], None]) -> float | None:
        """Time work by two events."""
        cuda = self._cupy.cuda
        # Made first: nothing but the launch may come between the two records.
        start, end = cuda.Event(), cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end)) * 1e6

    def flush(self, size_bytes: int) -> None:
        """Overwrite a scratch array."""
        if self._scratch is None or self._scratch.size < size_bytes:
            self._scratch = self._cupy.empty(size_bytes, "uint8")
        self._scratch.fill(0)

    def used_bytes(self) -> int | None:
        """Return what the runtime says is not free."""
        free, total = self._cupy.cuda.runtime.memGetInfo()
        return int(total - free)

    def release(self) -> None:
        """Give memory back that no buffer uses any more."""
        self._scratch = None
        self._cupy.get_default_memory_pool().free_all_blocks()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        self._cupy.cuda.runtime.deviceSynchronize()
