"""How many blocks of a launch fit on one SM, and what keeps more from fitting.

The rules are those of NVIDIA's occupancy calculator (``cuda_occupancy.h``, which the CUDA runtime
package ships and a test runs beside this module): registers are given to warps in units and per
sub-partition, shared memory to blocks in units and with what the driver reserves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from kernprof.devices.model import WARP_SIZE, Architecture, Device
from kernprof.errors import ShapeError


class Limiter(StrEnum):
    """A resource that a launch can run out of."""

    WARPS = "warps"
    REGISTERS = "registers"
    SHARED_MEMORY = "shared_mem"
    BLOCKS = "blocks"
    BARRIERS = "barriers"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Theoretical occupancy of one launch.

    Parameters
    ----------
    blocks_per_sm, warps_per_sm
        Resident at once; 0 where the launch can't run at all.
    occupancy_pct
        Warps resident of the warps an SM can hold, 0-100.
    limits
        Blocks per SM that each resource alone would allow; a resource of which the launch uses
        nothing is absent.
    limiters
        The resources whose limit is the smallest.
    registers_per_block, shared_per_block_bytes
        Allocated, rounded up to units; shared memory includes what the driver reserves.
    shared_config_bytes
        The carve-out that the limit by shared memory was computed with.
    """

    blocks_per_sm: int
    warps_per_sm: int
    occupancy_pct: float
    limits: Mapping[Limiter, int]
    limiters: tuple[Limiter, ...]
    registers_per_block: int
    shared_per_block_bytes: int
    shared_config_bytes: int


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _register_limit(arch: Architecture, warps: int, registers: int) -> int:
    """Blocks per SM that the register file holds; 0 where not even one fits."""
    per_warp = _round_up(registers * WARP_SIZE, arch.register_unit)
    # The hardware's own check of one block assumes that its warps fill all sub-partitions evenly.
    # On GP100, with its two, the driver checks as if there were four, as on the rest of Pascal.
    assumed_partitions = max(arch.sub_partitions, 4)
    assumed = per_warp * _round_up(warps, assumed_partitions)
    if assumed > arch.registers_per_block or registers > arch.max_registers_per_thread:
        return 0
    warps_per_partition = arch.registers_per_sm // arch.sub_partitions // per_warp
    return warps_per_partition * arch.sub_partitions // warps


def occupancy(
    device: Device | Architecture,
    *,
    threads_per_block: int,
    registers: int,
    static_shared_bytes: int = 0,
    dynamic_shared_bytes: int = 0,
    barriers: int = 0,
    shared_config_bytes: int | None = None,
) -> Occupancy:
    """Compute the theoretical occupancy of a launch.

    Parameters
    ----------
    device
        The GPU or just its architecture.
    threads_per_block
        All threads of the block.
    registers
        Registers per thread as the compiler reports them; 0 puts no limit.
    static_shared_bytes, dynamic_shared_bytes
        Shared memory of one block without the driver's reserve.
    barriers
        Named barriers that a block uses; only compute capability 9.0 and newer is limited by them.
    shared_config_bytes
        The carve-out in force (``launch__shared_mem_config_size``). By default the largest, which
        the driver is free to choose for any launch.

    Raises
    ------
    ShapeError
        If a number is negative or there is no thread.
    """
    arch = device.arch if isinstance(device, Device) else device
    amounts = (registers, static_shared_bytes, dynamic_shared_bytes, barriers)
    if threads_per_block < 1 or min(amounts) < 0:
        raise ShapeError(
            f"a launch with {threads_per_block} threads per block, {registers} registers,"
            f" {static_shared_bytes} + {dynamic_shared_bytes} bytes of shared memory and {barriers}"
            " barriers has no occupancy; expected at least one thread and nothing negative"
        )
    warps = -(-threads_per_block // WARP_SIZE)
    limits = {Limiter.BLOCKS: arch.max_blocks_per_sm}
    fits = threads_per_block <= arch.max_threads_per_block
    limits[Limiter.WARPS] = arch.max_warps_per_sm // warps if fits else 0
    if registers:
        limits[Limiter.REGISTERS] = _register_limit(arch, warps, registers)

    used = static_shared_bytes + dynamic_shared_bytes
    allocated = _round_up(used + arch.shared_reserved_per_block_bytes, arch.shared_unit_bytes)
    config = arch.shared_per_sm_bytes if shared_config_bytes is None else shared_config_bytes
    if allocated > config:
        # A launch always gets a carve-out that holds at least one block.
        config = min(
            (c for c in arch.shared_carveouts_bytes if c >= allocated),
            default=arch.shared_per_sm_bytes,
        )
    if used > arch.shared_per_block_optin_bytes:
        limits[Limiter.SHARED_MEMORY] = 0
    elif allocated:
        limits[Limiter.SHARED_MEMORY] = config // allocated
    if barriers and arch.cc_number >= (9, 0):
        limits[Limiter.BARRIERS] = arch.barriers_per_sm // barriers

    blocks = min(limits.values())
    per_warp = _round_up(registers * WARP_SIZE, arch.register_unit)
    return Occupancy(
        blocks_per_sm=blocks,
        warps_per_sm=blocks * warps,
        occupancy_pct=100.0 * blocks * warps / arch.max_warps_per_sm,
        limits=MappingProxyType(limits),
        limiters=tuple(name for name in Limiter if limits.get(name) == blocks),
        registers_per_block=per_warp * warps,
        shared_per_block_bytes=allocated,
        shared_config_bytes=config,
    )


def smallest_carveout_bytes(arch: Architecture, blocks: int, shared_per_block_bytes: int) -> int:
    """Return the smallest carve-out that holds this many blocks.

    Parameters
    ----------
    blocks
        Blocks that are to be resident.
    shared_per_block_bytes
        Allocation of one block, units and reserve included.

    Raises
    ------
    ShapeError
        If not even the largest carve-out holds them.
    """
    need = blocks * shared_per_block_bytes
    for size in arch.shared_carveouts_bytes:
        if size >= need:
            return size
    raise ShapeError(
        f"{blocks} blocks of {shared_per_block_bytes} bytes of shared memory need {need} bytes;"
        f" an SM of {arch.name} has {arch.shared_per_sm_bytes}"
    )


def waves_per_sm(device: Device, grid_blocks: int, blocks_per_sm: int) -> float:
    """Return how many times the grid fills the GPU (``launch__waves_per_multiprocessor``).

    Raises
    ------
    ShapeError
        If no block fits on an SM, or the grid is empty.
    """
    if grid_blocks < 1 or blocks_per_sm < 1:
        raise ShapeError(
            f"{grid_blocks} blocks with {blocks_per_sm} resident per SM make no wave; expected at"
            " least one of each"
        )
    return grid_blocks / (blocks_per_sm * device.sm_count)


def tail_efficiency_pct(waves: float) -> float:
    """Return how full the waves are on average, 0-100: the last one is only part full."""
    return 100.0 * waves / math.ceil(waves)
