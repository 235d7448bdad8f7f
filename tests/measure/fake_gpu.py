"""Stand-ins for CuPy, PyCUDA, numba-cuda and nvidia-ml-py, with the simulator for a GPU.

They have the calls that the launchers make, with the arguments that the libraries document: CuPy
14.2, PyCUDA 2026.1, numba-cuda 0.30, nvidia-ml-py 13. Time is made up: a microsecond a launch.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernprof import sim

LAUNCH_MS = 1e-3
NAME = "NVIDIA A100-SXM4-40GB"


class Gpu:
    """What the fakes share: arrays by address, launches done so far."""

    def __init__(self) -> None:
        self.launches: list[tuple[str, tuple[int, ...], tuple[int, ...], int]] = []
        self.flushed_bytes = 0
        self.synchronised = 0

    def run(
        self,
        function: Function,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        shared: int,
    ) -> None:
        assert len(grid) == len(block) == 3
        values = []
        for a in arguments:
            if isinstance(a, Array):
                values.append(a.host)
            elif isinstance(a, np.uint64 | int) and int(a) == 0:
                values.append(0)
            else:
                assert isinstance(a, np.generic), f"{a!r} has no size on the GPU"
                values.append(a)
        sim.run(
            function.program,
            function.name,
            tuple(grid),
            tuple(block),
            values,
            dynamic_shared=shared,
        )
        self.launches.append((function.name, tuple(grid), tuple(block), shared))


class Function:
    def __init__(self, gpu: Gpu, image: bytes, name: str) -> None:
        self.gpu, self.name = gpu, name
        self.program = sim.load(image)
        self.max_dynamic_shared_size_bytes = 48 << 10
        self.kernel = self
        self.handle = self


class Array:
    def __init__(self, host: np.ndarray) -> None:
        self.host = host.copy()
        self.size = host.size

    def get(self) -> np.ndarray:
        return self.host.copy()

    copy_to_host = get

    def fill(self, value: int) -> None:
        self.host.fill(value)


class Event:
    clock = itertools.count()

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.done = 0

    def record(self, stream: Any = None) -> None:
        self.done = len(self.gpu.launches)

    def synchronize(self) -> None:
        return None

    def time_till(self, other: Event) -> float:
        return (other.done - self.done) * LAUNCH_MS


def module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(content)
    return made


def cupy(gpu: Gpu, error: str = "", count: int = 1) -> dict[str, types.ModuleType]:
    class CUDARuntimeError(RuntimeError):
        pass

    def device_count() -> int:
        if error:
            raise CUDARuntimeError(error)
        return count

    class RawModule:
        def __init__(self, *, path: str) -> None:
            self.image = Path(path).read_bytes()

        def get_function(self, name: str) -> Any:
            function = Function(gpu, self.image, name)

            class RawKernel:
                max_dynamic_shared_size_bytes = 48 << 10

                def __call__(
                    self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0
                ) -> None:
                    assert isinstance(args, tuple)
                    assert shared_mem <= self.max_dynamic_shared_size_bytes
                    gpu.run(function, grid, block, args, shared_mem)

            return RawKernel()

    class Device:
        def __init__(self, index: int) -> None:
            assert index < count

        def use(self) -> None:
            return None

    def flushed(size: int, kind: str) -> Array:
        gpu.flushed_bytes += size
        return Array(np.empty(size, kind))

    properties = {
        "name": NAME.encode(), "major": 8, "minor": 0, "multiProcessorCount": 108,
        "l2CacheSize": 40 << 20, "clockRate": 1410000, "totalGlobalMem": 40 << 30,
    }  # fmt: skip

    def synchronise() -> None:
        gpu.synchronised += 1

    runtime = module(
        "runtime",
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=device_count,
        getDeviceProperties=lambda index: properties,
        driverGetVersion=lambda: 12040,
        memGetInfo=lambda: (30 << 30, 40 << 30),
        deviceSynchronize=synchronise,
    )
    cuda = module(
        "cuda",
        runtime=runtime,
        Device=Device,
        Event=lambda: Event(gpu),
        get_elapsed_time=lambda a, b: a.time_till(b),
    )
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    return {
        "cupy": module(
            "cupy",
            cuda=cuda,
            RawModule=RawModule,
            asarray=Array,
            empty=flushed,
            get_default_memory_pool=lambda: pool,
        )
    }


def pycuda(gpu: Gpu, error: str = "") -> dict[str, types.ModuleType]:
    class Error(Exception):
        pass

    def init() -> None:
        if error:
            raise Error(error)

    class Context:
        def push(self) -> None:
            return None

        def synchronize(self) -> None:
            gpu.synchronised += 1

    class Device:
        def __init__(self, index: int) -> None:
            self.index = index

        def retain_primary_context(self) -> Context:
            return Context()

        def compute_capability(self) -> tuple[int, int]:
            return 8, 0

        def get_attribute(self, attribute: str) -> int:
            return {"MULTIPROCESSOR_COUNT": 108}.get(attribute, 1)

        def total_memory(self) -> int:
            return 40 << 30

        def name(self) -> str:
            return NAME

    class Module:
        def __init__(self, image: bytes) -> None:
            self.image = image

        def get_function(self, name: str) -> Any:
            function = Function(gpu, self.image, name)

            class Kernel:
                limit = 48 << 10

                def set_attribute(self, which: str, value: int) -> None:
                    assert which == "MAX_DYNAMIC_SHARED_SIZE_BYTES"
                    self.limit = value

                def __call__(self, *args: Any, block: Any, grid: Any, shared: int = 0) -> None:
                    assert shared <= self.limit
                    gpu.run(function, grid, block, args, shared)

            return Kernel()

    def copied(out: np.ndarray, buffer: Array) -> None:
        out[...] = buffer.host.reshape(out.shape)

    def memset(buffer: Any, value: int, size: int) -> None:
        gpu.flushed_bytes += size

    driver = module(
        "pycuda.driver",
        Error=Error,
        init=init,
        Device=Device,
        Event=lambda: Event(gpu),
        device_attribute=types.SimpleNamespace(MULTIPROCESSOR_COUNT="MULTIPROCESSOR_COUNT"),
        function_attribute=types.SimpleNamespace(
            MAX_DYNAMIC_SHARED_SIZE_BYTES="MAX_DYNAMIC_SHARED_SIZE_BYTES"
        ),
        get_driver_version=lambda: 12040,
        module_from_buffer=Module,
        to_device=Array,
        memcpy_dtoh=copied,
        mem_alloc=lambda size: object(),
        memset_d8=memset,
        mem_get_info=lambda: (30 << 30, 40 << 30),
    )
    return {"pycuda": module("pycuda", driver=driver), "pycuda.driver": driver}


def numba(gpu: Gpu, error: str = "") -> dict[str, types.ModuleType]:
    class CudaSupportError(ImportError):
        pass

    addresses: dict[int, Array] = {}

    class DeviceArray(Array):
        @property
        def device_ctypes_pointer(self) -> Any:
            addresses[id(self)] = self
            return types.SimpleNamespace(value=id(self))

        def copy_to_device(self, other: DeviceArray) -> None:
            assert isinstance(other, DeviceArray), "a copy from the host would be waited for"
            gpu.flushed_bytes += other.size

    class Module:
        def __init__(self, code: Any) -> None:
            self.image = code.handle

        def get_function(self, name: str) -> Function:
            return Function(gpu, self.image, name)

    class Context:
        device = types.SimpleNamespace(
            id=0, name=NAME, compute_capability=(8, 0), MULTIPROCESSOR_COUNT=108
        )

        deallocations = types.SimpleNamespace(clear=lambda: None)

        def create_module_image(self, code: Any) -> Module:
            # numba-cuda 0.30 asks its object for a handle; bytes have none.
            return Module(code)

        def get_memory_info(self) -> tuple[int, int]:
            return 30 << 30, 40 << 30

    def select(index: int) -> None:
        if error:
            raise CudaSupportError(error)

    def synchronise() -> None:
        gpu.synchronised += 1

    def launch(stream: Any, config: Any, kernel: Function, *args: Any) -> None:
        assert config.shmem_size <= kernel.max_dynamic_shared_size_bytes
        given = [addresses.get(a, a) if isinstance(a, int) else a for a in args]
        gpu.run(kernel, config.grid, config.block, given, config.shmem_size)

    core = module(
        "cuda.core",
        ObjectCode=types.SimpleNamespace(
            from_cubin=lambda image: types.SimpleNamespace(handle=image)
        ),
        Stream=types.SimpleNamespace(from_handle=lambda handle: handle),
        LaunchConfig=lambda grid, block, shmem_size: types.SimpleNamespace(
            grid=grid, block=block, shmem_size=shmem_size
        ),
        launch=launch,
    )
    shared = types.SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="limit")

    def set_attribute(which: str, value: int, function: Function, device: int) -> tuple[int]:
        assert which == "limit"
        function.max_dynamic_shared_size_bytes = value
        return (0,)

    binding = module(
        "cuda.bindings.driver", CUfunction_attribute=shared, cuKernelSetAttribute=set_attribute
    )
    cuda = module(
        "numba.cuda",
        select_device=select,
        current_context=Context,
        to_device=DeviceArray,
        event=lambda timing: Event(gpu),
        event_elapsed_time=lambda a, b: a.time_till(b),
        synchronize=synchronise,
    )
    return {
        "numba": module("numba", cuda=cuda),
        "numba.cuda": cuda,
        "numba.cuda.cudadrv.error": module("error", CudaSupportError=CudaSupportError),
        "cuda.core": core,
        "cuda.bindings.driver": binding,
    }


def nvml(
    *,
    error: str = "",
    watts: Iterator[float] | None = None,
    energy_mj: Iterator[int] | None = None,
    sensor: bool = True,
) -> dict[str, types.ModuleType]:
    class NVMLError(Exception):
        pass

    def init() -> None:
        if error:
            raise NVMLError(error)

    def power(handle: Any) -> int:
        if not sensor:
            raise NVMLError("Not Supported")
        return round(1e3 * (next(watts) if watts is not None else 100.0))

    def energy(handle: Any) -> int:
        if energy_mj is None:
            raise NVMLError("Not Supported")
        return next(energy_mj)

    return {
        "pynvml": module(
            "pynvml",
            NVMLError=NVMLError,
            NVML_CLOCK_SM=1,
            NVML_CLOCK_MEM=2,
            nvmlInit=init,
            nvmlDeviceGetHandleByIndex=lambda index: index,
            nvmlDeviceGetName=lambda handle: NAME,
            nvmlSystemGetDriverVersion=lambda: "550.54.15",
            nvmlDeviceGetPowerUsage=power,
            nvmlDeviceGetTotalEnergyConsumption=energy,
            nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=5 << 30),
            nvmlDeviceGetClockInfo=lambda handle, kind: {1: 1095, 2: 1215}[kind],
        )
    }


def install(monkeypatch: Any, modules: dict[str, types.ModuleType]) -> None:
    for name, content in modules.items():
        monkeypatch.setitem(sys.modules, name, content)
