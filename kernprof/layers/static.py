"""Facts about launches that need no run: geometry, resources, occupancy, least time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from kernprof.compile import Cubin, compile_source
from kernprof.compile.compiler import SOURCE_ROOT
from kernprof.devices.model import Device
from kernprof.devices.occupancy import Occupancy, occupancy, waves_per_sm
from kernprof.devices.roofline import Bound, bound
from kernprof.library import Geometry, KernelEntry, entry, source
from kernprof.lowering.launch import Launch
from kernprof.profile import KernelProfile, MetricValue, SharedMemory, Source

_FILES_IN_MEMORY = 64


@dataclass(frozen=True, slots=True)
class StaticLaunch:
    """A launch of a layer, compiled for a GPU.

    Parameters
    ----------
    launch
        What the lowering asks for; ``launch.count`` says how many times.
    kernel
        The kernel of the library that does it.
    geometry
        Grid, block and dynamic shared memory.
    registers
        Per thread, as the compiler gave them.
    static_shared_bytes, stack_bytes, spill_bytes
        Per block, per thread, per thread.
    occupancy
        Theoretical occupancy and what limits it.
    waves
        How many times the grid fills the GPU.
    flops, bytes_moved
        Operations and least traffic of one launch.
    roofline
        The least time of one launch, and which limit gives it; None for a launch that does no
        work at all.
    """

    launch: Launch
    kernel: KernelEntry
    geometry: Geometry
    registers: int
    static_shared_bytes: int
    stack_bytes: int
    spill_bytes: int
    occupancy: Occupancy
    waves: float
    flops: int
    bytes_moved: int
    roofline: Bound | None

    @property
    def least_time_ns(self) -> float:
        """Lower bound of the time of all ``count`` launches in ns, launch overhead left out."""
        return 0.0 if self.roofline is None else self.launch.count * self.roofline.time_ns


def static_launches(launches: Iterable[Launch], device: Device) -> tuple[StaticLaunch, ...]:
    """Compile the launches' kernels for a GPU and tell what holds before they run.

    Parameters
    ----------
    launches
        Launches of a lowering. Those that differ only in layer, direction or purpose stay apart.
    device
        The GPU.

    Raises
    ------
    UnknownNameError
        A launch names a kernel that the library lacks.
    ShapeError
        A shape breaks one of its kernel's rules.
    UnavailableError, CompileError
        The compiler is missing, or refuses a source.
    """
    return tuple(_static(launch, device) for launch in merged(launches))


def merged(launches: Iterable[Launch]) -> list[Launch]:
    """Add up launches of one kernel and shape in one direction, in order of first appearance."""
    found: dict[tuple[object, ...], Launch] = {}
    for launch in launches:
        key = (launch.kernel, launch.sizes, launch.layer, launch.direction, launch.purpose)
        earlier = found.get(key)
        count = launch.count + (earlier.count if earlier is not None else 0)
        found[key] = replace(launch, count=count)
    return list(found.values())


def _static(launch: Launch, device: Device) -> StaticLaunch:
    kernel = entry(launch.kernel)
    shape = launch.shape
    geometry = kernel.launch_geometry(shape)
    cubin = _compiled(kernel.file, source(kernel), device.arch.name)
    resources = cubin.kernel(kernel.name)
    spills = cubin.spills.get(kernel.name)
    resident = occupancy(
        device,
        threads_per_block=geometry.block.total,
        registers=resources.registers,
        static_shared_bytes=resources.static_shared_bytes,
        dynamic_shared_bytes=geometry.dynamic_shared_bytes,
    )
    flops, bytes_moved = kernel.flops(shape), kernel.bytes_moved(shape)
    return StaticLaunch(
        launch=launch,
        kernel=kernel,
        geometry=geometry,
        registers=resources.registers,
        static_shared_bytes=resources.static_shared_bytes,
        stack_bytes=resources.stack_bytes,
        spill_bytes=0 if spills is None else spills.store_bytes + spills.load_bytes,
        occupancy=resident,
        waves=waves_per_sm(device, geometry.grid.total, resident.blocks_per_sm),
        flops=flops,
        bytes_moved=bytes_moved,
        roofline=bound(flops, bytes_moved, device) if flops + bytes_moved else None,
    )


def profile_of(static: StaticLaunch, device: Device, origin: str) -> KernelProfile:
    """Return a launch as a profile: launch attributes and theoretical occupancy, nothing timed."""
    shared = SharedMemory(static.static_shared_bytes, static.geometry.dynamic_shared_bytes)
    metrics: dict[str, MetricValue] = {
        "launch__grid_size": static.geometry.grid.total,
        "launch__block_size": static.geometry.block.total,
        "launch__registers_per_thread": static.registers,
        "launch__shared_mem_per_block_static": static.static_shared_bytes,
        "launch__shared_mem_per_block_dynamic": static.geometry.dynamic_shared_bytes,
        "launch__waves_per_multiprocessor": static.waves,
        "sm__maximum_warps_per_active_cycle_pct": static.occupancy.occupancy_pct,
        **{
            f"launch__occupancy_limit_{name}": limit
            for name, limit in static.occupancy.limits.items()
        },
    }
    return KernelProfile(
        kernel=static.kernel.name,
        family=static.kernel.family,
        source=Source.STATIC,
        origin=origin,
        gpu=device.gpu,
        grid=static.geometry.grid,
        block=static.geometry.block,
        registers=static.registers,
        shared_mem=shared,
        launches=static.launch.count,
        metrics=metrics,
        notes=(f"stands in for {static.launch.library}",) if static.launch.stand_in else (),
    )


@lru_cache(maxsize=_FILES_IN_MEMORY)
def _compiled(file: str, text: str, arch: str) -> Cubin:
    """Compile one of the library's files; kept for the many launches that share it."""
    return compile_source(text, arch=arch, name=f"{SOURCE_ROOT}/{file}")
