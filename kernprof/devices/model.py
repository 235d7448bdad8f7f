"""What a GPU is to the calculations: an architecture's limits and a board's sizes and clocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kernprof.profile import Gpu

WARP_SIZE = 32
"""Threads per warp on every NVIDIA GPU so far (CUDA C++ Programming Guide, SIMT architecture)."""

_EMPTY: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FunctionalUnits:
    """Execution lanes of one SM and its first-level cache.

    ``l1_bytes`` is the unified L1 and shared memory from Volta on, the separate L1 before.
    """

    fp32_lanes: int
    int32_lanes: int
    fp64_lanes: int
    special_lanes: int
    load_store_lanes: int
    tensor_cores: int
    l1_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Limits that all GPUs of one compute capability share.

    Parameters
    ----------
    name, cc
        As compilers ("sm_86") and documents ("8.6") write it.
    max_warps_per_sm, max_blocks_per_sm, max_threads_per_block, barriers_per_sm
        Residency limits.
    registers_per_sm, registers_per_block, max_registers_per_thread
        In 32-bit registers.
    register_unit
        Registers are given to a warp in multiples of this many.
    sub_partitions
        Parts of the SM, each with its own scheduler and its share of the registers.
    issue_per_scheduler
        Instructions a scheduler can issue per cycle.
    shared_per_sm_bytes, shared_per_block_bytes, shared_per_block_optin_bytes
        Shared memory of an SM; of a block by default and after opting in.
    shared_unit_bytes, shared_reserved_per_block_bytes
        Allocation unit, and what the driver takes from every block.
    shared_carveouts_bytes
        The sizes that can be set aside for shared memory, rising.
    units
        None where no public source gives them.
    results_per_cycle_per_sm
        Arithmetic throughput by operation class; classes that no source gives are absent.
    """

    name: str
    cc: str
    max_warps_per_sm: int
    max_blocks_per_sm: int
    max_threads_per_block: int
    barriers_per_sm: int
    registers_per_sm: int
    registers_per_block: int
    max_registers_per_thread: int
    register_unit: int
    sub_partitions: int
    issue_per_scheduler: int
    shared_per_sm_bytes: int
    shared_per_block_bytes: int
    shared_per_block_optin_bytes: int
    shared_unit_bytes: int
    shared_reserved_per_block_bytes: int
    shared_carveouts_bytes: tuple[int, ...]
    units: FunctionalUnits | None = None
    results_per_cycle_per_sm: Mapping[str, int] = field(default_factory=lambda: _EMPTY)

    @property
    def cc_number(self) -> tuple[int, int]:
        """Compute capability as (major, minor), for comparisons."""
        major, minor = self.cc.split(".")
        return int(major), int(minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU board, or the GPU that a report was taken on.

    Parameters
    ----------
    key
        Name on the command line ("a100"), or None for a device that is in no table.
    name
        The product's name.
    arch
        Its architecture's limits.
    sm_count
        Streaming multiprocessors in use.
    base_clock_mhz, boost_clock_mhz
        SM clocks; None where not known.
    dram_bandwidth_bytes_per_s, dram_bytes, l2_bytes
        Peak DRAM rate, DRAM size, L2 size; None where not known.
    dram_kind
        Kind of memory ("HBM2"); None where not known.
    power_limit_w
        The board's power limit in watts; None where not known.
    """

    key: str | None
    name: str
    arch: Architecture
    sm_count: int
    base_clock_mhz: float | None = None
    boost_clock_mhz: float | None = None
    dram_bandwidth_bytes_per_s: float | None = None
    dram_bytes: int | None = None
    l2_bytes: int | None = None
    dram_kind: str | None = None
    power_limit_w: float | None = None

    @property
    def gpu(self) -> Gpu:
        """The device as profiles name it."""
        return Gpu(self.name, self.arch.cc, self.sm_count)

    @property
    def peak_fp32_flops_per_s(self) -> float | None:
        """FP32 operations per second at boost clock, a fused multiply-add counted as two."""
        if self.arch.units is None or self.boost_clock_mhz is None:
            return None
        return 2.0 * self.arch.units.fp32_lanes * self.sm_count * self.boost_clock_mhz * 1e6
