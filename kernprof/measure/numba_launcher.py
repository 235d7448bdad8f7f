"""Launching through numba-cuda: its memory and events, and ``cuda.core`` under it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kernprof.errors import UsageError
from kernprof.measure.launcher import Backend, DeviceFacts, Extents, no_gpu, not_installed

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
    "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    "L2_CACHE_SIZE",
    "CLOCK_RATE",
    "MEMORY_CLOCK_RATE",
    "GLOBAL_MEMORY_BUS_WIDTH",
)


class NumbaLauncher:
    """Kernels on a GPU through numba-cuda 0.20 or newer.

    Parameters
    ----------
    index
        Number of the GPU.

    Raises
    ------
    UnavailableError
        numba-cuda is not installed, or there is no usable GPU.
    """

    backend = Backend.NUMBA

    def __init__(self, index: int = 0) -> None:
        try:
            self._cuda: Any = importlib.import_module("numba.cuda")
            self._core: Any = importlib.import_module("cuda.core")
        except ImportError:
            raise not_installed("numba-cuda", "numba") from None
        support: Any = importlib.import_module("numba.cuda.cudadrv.error")
        try:
            self._cuda.select_device(index)
            self._context = self._cuda.current_context()
        except (support.CudaSupportError, IndexError) as failed:
            raise no_gpu(failed) from None
        self._stream = self._core.Stream.from_handle(0)
        self._modules: list[Any] = []
        self._scratch: Any = None

    def facts(self) -> DeviceFacts:
        """Return what the driver tells of the GPU."""
        device = self._context.device
        major, minor = device.compute_capability
        attributes = {
            name.lower(): int(getattr(device, name))
            for name in _ATTRIBUTES
            if hasattr(device, name)
        }
        attributes["compute_capability_major"] = int(major)
        attributes["compute_capability_minor"] = int(minor)
        name = device.name
        return DeviceFacts(
            name=name.decode() if isinstance(name, bytes) else str(name),
            cc=f"{major}.{minor}",
            attributes=attributes,
        )

    def load(self, image: bytes, kernel: str, dynamic_shared: int = 0) -> Any:
        """Load a cubin."""
        module = self._context.create_module_image(self._object_code(image))
        self._modules.append(module)
        function = module.get_function(kernel)
        if dynamic_shared > _DEFAULT_SHARED:
            driver: Any = importlib.import_module("cuda.bindings.driver")
            which = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            (status,) = driver.cuKernelSetAttribute(
                which, dynamic_shared, function.handle, self._context.device.id
            )
            if int(status):
                raise UsageError(
                    f"{kernel} can't have {dynamic_shared:,} bytes of dynamic shared memory: "
                    f"{status.name}"
                )
        return function

    def _object_code(self, image: bytes) -> Any:
        """Return machine code as Numba's driver keeps it: by its handle."""
        kind = getattr(self._core, "ObjectCode", None)
        return image if kind is None else kind.from_cubin(image)

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Copy an array to the GPU."""
        return self._cuda.to_device(array)

    def fetch(self, buffer: Any, out: np.ndarray[Any, Any]) -> None:
        """Copy a buffer back."""
        out[...] = buffer.copy_to_host().reshape(out.shape)

    def launch(
        self,
        function: Any,
        grid: Extents,
        block: Extents,
        arguments: Sequence[Any],
        dynamic_shared: int = 0,
    ) -> None:
        """Launch on the default stream."""
        given = [
            0 if a is None else a.device_ctypes_pointer.value if hasattr(a, "copy_to_host") else a
            for a in arguments
        ]
        config = self._core.LaunchConfig(grid=grid, block=block, shmem_size=dynamic_shared)
        self._core.launch(self._stream, config, function.kernel, *given)

    def elapsed_ns(self, work: Callable[[], None]) -> float | None:
        """Time work by two events."""
        start, end = self._cuda.event(timing=True), self._cuda.event(timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(self._cuda.event_elapsed_time(start, end)) * 1e6

    def flush(self, size_bytes: int) -> None:
        """Copy one scratch array to another, on the GPU: the host does not wait for it."""
        import numpy as np

        if self._scratch is None or self._scratch[0].size < size_bytes:
            host = np.zeros(size_bytes, np.uint8)
            self._scratch = (self._cuda.to_device(host), self._cuda.to_device(host))
        self._scratch[1].copy_to_device(self._scratch[0])

    def used_bytes(self) -> int | None:
        """Return what the driver says is not free."""
        free, total = self._context.get_memory_info()
        return int(total - free)

    def release(self) -> None:
        """Give memory back that no buffer uses any more."""
        self._scratch = None
        # What is to be freed is kept until there is much of it, or somebody asks.
        self._context.deallocations.clear()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        self._cuda.synchronize()
