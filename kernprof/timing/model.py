"""Running the timing core on a traced launch."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import prod
from types import MappingProxyType

import numpy as np

from kernprof.devices import (
    WARP_SIZE,
    Device,
    Occupancy,
    Range,
    check_device,
    check_number,
    occupancy,
    smallest_carveout_bytes,
)
from kernprof.devices.bounds import CLOCK_MHZ, DEVICE
from kernprof.errors import ShapeError, UsageError
from kernprof.sim.execute import Execution
from kernprof.sim.flow import blocks, stack_bytes
from kernprof.sim.recording import Trace
from kernprof.timing.caches import Caches
from kernprof.timing.machine import Machine, machine
from kernprof.timing.native import (
    PIPES,
    REASONS,
    Config,
    KeptCaches,
    Lengths,
    Result,
    Status,
    config,
    core,
    refusal,
)
from kernprof.timing.opcodes import encode, unit_names

_SECTOR_BYTES = 32
_SAMPLES = 4096
_MAX_CYCLES = 1 << 40
_MAX_STEPS = 1 << 34
"""A launch of the usual trace takes less than a thousandth of these."""

FACTOR = Range(0.01, 1000)
"""Factors of :class:`WhatIf` that the model can follow."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Changes to the GPU, for questions.

    Parameters
    ----------
    caches
        False: every access to global memory goes to DRAM.
    bandwidth
        Factor on the bandwidth of DRAM and L2.
    latency
        Factor on the latency of L1, L2 and DRAM.
    sm_count
        Another number of SMs.

    Raises
    ------
    UsageError
        A factor or the number of SMs is out of range.
    """

    caches: bool = True
    bandwidth: float = 1.0
    latency: float = 1.0
    sm_count: int | None = None

    def __post_init__(self) -> None:
        check_number("the factor on bandwidth", self.bandwidth, FACTOR)
        check_number("the factor on latency", self.latency, FACTOR)
        if self.sm_count is not None:
            check_number("the number of SMs", self.sm_count, DEVICE["sm_count"])

    @property
    def text(self) -> str:
        """What is changed, as the command line has it; an empty string where nothing is."""
        said = []
        if not self.caches:
            said.append("caches=off")
        if self.bandwidth != 1:
            said.append(f"bandwidth={self.bandwidth:g}")
        if self.latency != 1:
            said.append(f"latency={self.latency:g}")
        if self.sm_count is not None:
            said.append(f"sms={self.sm_count}")
        return ",".join(said)

    def of(self, device: Device) -> Device:
        """Return the changed GPU, so far as a device's numbers tell the change."""
        bandwidth = device.dram_bandwidth_bytes_per_s
        return replace(
            device,
            sm_count=self.sm_count or device.sm_count,
            dram_bandwidth_bytes_per_s=None if bandwidth is None else bandwidth * self.bandwidth,
        )


NOTHING = WhatIf()


@dataclass(frozen=True, slots=True)
class Timing:
    """What the timing core found; cycles are SM cycles.

    Parameters
    ----------
    execution, device
        The launch and the GPU.
    occupancy
        Blocks and warps resident on an SM.
    clock_mhz
        SM clock that cycles stand for.
    simulated_cycles
        Cycles simulated: the whole launch, or its first part.
    finished
        Whether the whole launch was simulated.
    issued
        Warp instructions issued in them.
    issue_cycles
        Scheduler cycles with an issue.
    warp_cycles
        Sum over warps of the cycles they were resident.
    sm_active_cycles
        Sum over SMs of the cycles with a resident warp.
    stalls
        Warp-cycles by instruction (rows) and reason (columns, ``REASONS``).
    counters
        Sectors, hits and busy cycles by the core's name.
    unit_busy
        Scheduler cycles that each unit was held.
    progress
        (cycle, warp instructions issued until then) through the simulation; shape (2, n).
    what_if
        How ``device`` differs from a GPU that exists.
    caches
        How the caches were when the launch began.
    """

    execution: Execution
    device: Device
    occupancy: Occupancy
    clock_mhz: float | None
    simulated_cycles: int
    finished: bool
    issued: int
    issue_cycles: int
    warp_cycles: int
    sm_active_cycles: int
    stalls: np.ndarray
    counters: Mapping[str, int]
    unit_busy: Mapping[str, int]
    progress: np.ndarray
    what_if: WhatIf = NOTHING
    caches: Caches = Caches.COLD

    @property
    def reasons(self) -> dict[str, int]:
        """Warp-cycles by reason."""
        return dict(zip(REASONS, (int(v) for v in self.stalls.sum(axis=0)), strict=True))


def launch_occupancy(
    device: Device, threads: int, registers: int, static_shared: int, dynamic_shared: int
) -> Occupancy:
    """Occupancy of a launch that must fit.

    Raises
    ------
    ShapeError
        Not even one block fits on an SM.
    """
    found = occupancy(
        device,
        threads_per_block=threads,
        registers=registers,
        static_shared_bytes=static_shared,
        dynamic_shared_bytes=dynamic_shared,
    )
    if found.blocks_per_sm < 1:
        limits = ", ".join(str(name) for name in found.limiters)
        raise ShapeError(
            f"no block of this launch fits on an SM of {device.name}: {threads} threads, "
            f"{registers} registers, {static_shared + dynamic_shared} bytes of shared memory "
            f"(limited by {limits})"
        )
    return found


def simulate(
    execution: Execution,
    device: Device,
    *,
    clock_mhz: float | None = None,
    what_if: WhatIf = NOTHING,
    overrides: Mapping[str, float] | None = None,
    kept: KeptCaches | None = None,
    caches: Caches = Caches.COLD,
) -> Timing:
    """Simulate a launch's warps on every SM, as far as its trace goes.

    Parameters
    ----------
    execution
        From :func:`kernprof.sim.run` with a trace.
    device
        The GPU; of the architecture that the kernel was compiled for.
    clock_mhz
        SM clock; by default the device's base clock, at which Nsight Compute measures, or its boost
        clock where that is all that is known.
    what_if
        Changes to the GPU.
    overrides
        Other values of the core's configuration, by name; for calibration.
    kept
        What launches before this one left in the caches; takes up what this one leaves. Without
        it the caches are empty, or as ``caches`` says.
    caches
        ``warm`` simulates the launch twice and returns the second run; ``back-to-back`` takes its
        arrays as other ones than those of the launches that ``kept`` is of.

    Raises
    ------
    UsageError
        The launch was executed without a trace, a number of the GPU is out of range, or the core
        gave up.
    UnavailableError
        The core was not built.
    UnknownNameError
        The model has no numbers for the architecture.
    CubinError
        The model knows no unit for an opcode.
    """
    trace = execution.trace
    if trace is None:
        raise UsageError("the launch has no trace; run it with trace=TraceBudget(...)")
    check_device(device)
    if clock_mhz is not None:
        check_number("the SM clock", clock_mhz, CLOCK_MHZ)
    if caches is Caches.WARM:
        kept = kept or KeptCaches()
        # Of a launch that is simulated in part the first run leaves no data: its second run would
        # find those of that part, which the rest of a real launch may have pushed out.
        simulate(
            execution, device, clock_mhz=clock_mhz, what_if=what_if, overrides=overrides, kept=kept
        )
    threads = prod(execution.block)
    found = launch_occupancy(
        device,
        threads,
        execution.registers,
        execution.static_shared_bytes,
        execution.dynamic_shared_bytes,
    )
    clock = clock_mhz or device.base_clock_mhz or device.boost_clock_mhz
    held: dict[str, float] = {}
    if kept is not None:
        kept.take_up(f"{device.name} {what_if.text}".strip())
        held["code_there"] = _code_of(execution) in kept.kernels
        kept.kernels.add(_code_of(execution))
    held["constants_there"] = caches is Caches.WARM
    held["own_data"] = caches is Caches.BACK_TO_BACK
    library = core()
    values = _values(execution, trace, device, found, clock, what_if)
    told = config({**values, **held, **(overrides or {})})
    kernel = execution.kernel
    instructions = encode(kernel, device.arch)
    basic = blocks(kernel)
    first = np.array([b.instructions[0].index for b in basic], np.int32)
    size = np.array([len(b.instructions) for b in basic], np.int32)
    stalls = np.zeros((len(kernel.instructions), len(REASONS)), np.int64)
    progress = np.zeros((2, _SAMPLES), np.int64)
    words = np.ascontiguousarray(trace.words, np.uint32)
    starts = np.ascontiguousarray(trace.starts, np.int64)
    complete = trace.complete.astype(np.uint8)
    warps = len(complete) if len(starts) == len(complete) + 1 else -1
    lengths = Lengths(len(instructions), len(basic), len(words), warps, _SAMPLES)
    result = Result()

    def at(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    status = library.kernprof_simulate(
        ctypes.byref(told),
        ctypes.byref(lengths),
        at(instructions),
        at(first),
        at(size),
        at(words),
        at(starts),
        at(complete),
        at(stalls),
        at(progress[0]),
        at(progress[1]),
        ctypes.c_void_p(None if kept is None else kept.handle),
        ctypes.byref(result),
    )
    if status != Status.FINE:
        raise refusal(status, told, result.problem)
    names = [f[0] for f in Result._fields_]
    own = {
        "cycles",
        "finished",
        "issued",
        "issue_cycles",
        "warp_cycles",
        "sm_active_cycles",
        "samples",
        "steps",
        "problem",
        "pipe_busy",
    }
    return Timing(
        # The trace has served its purpose, and is large.
        execution=replace(execution, trace=None),
        device=what_if.of(device),
        occupancy=found,
        clock_mhz=clock,
        simulated_cycles=result.cycles,
        finished=bool(result.finished),
        issued=result.issued,
        issue_cycles=result.issue_cycles,
        warp_cycles=result.warp_cycles,
        sm_active_cycles=result.sm_active_cycles,
        stalls=stalls,
        counters=MappingProxyType({n: getattr(result, n) for n in names if n not in own}),
        unit_busy=MappingProxyType(
            dict(zip(unit_names(), list(result.pipe_busy)[:PIPES], strict=False))
        ),
        progress=progress[:, : result.samples].copy(),
        what_if=what_if,
        caches=caches,
    )


def _code_of(execution: Execution) -> tuple[str, str]:
    return execution.kernel.name, execution.kernel.arch


def _values(
    execution: Execution,
    trace: Trace,
    device: Device,
    found: Occupancy,
    clock_mhz: float | None,
    what_if: WhatIf,
) -> dict[str, float]:
    """Return the fields of the core's configuration."""
    known: Machine = machine(device.arch.name)
    arch = device.arch
    units = arch.units
    if units is None:
        raise UsageError(f"the lanes of {arch.name} are not known, so its time can't be predicted")
    names = {f[0] for f in Config._fields_}
    l1_bytes = units.l1_bytes
    if known.l1_in_shared:
        l1_bytes -= smallest_carveout_bytes(arch, found.blocks_per_sm, found.shared_per_block_bytes)
    l2_bytes = round((device.l2_bytes or 0) / known.l2_copies)
    through = 0.0
    if trace.blocks < prod(execution.grid) or not trace.complete.all():
        stores = [i.index for i in execution.kernel.instructions if i.opcode in ("STG", "ST")]
        written = _SECTOR_BYTES * int(execution.sectors[stores].sum())
        through = max(0.0, 1 - l2_bytes / written) if written else 0.0
    peak = device.dram_bandwidth_bytes_per_s
    if peak is None or clock_mhz is None:
        raise UsageError(f"the clock or the DRAM bandwidth of {device.name} is not known")
    scale = what_if.bandwidth / _SECTOR_BYTES
    slower = {
        name: round(getattr(known, name) * what_if.latency)
        for name in ("l1_latency", "l2_latency", "dram_latency")
    }
    return {
        **{f.name: getattr(known, f.name) for f in fields(known) if f.name in names},
        **slower,
        "atomic_latency": slower["l2_latency"] + known.atomic_extra,
        "sm_count": what_if.sm_count or device.sm_count,
        "schedulers": arch.sub_partitions,
        "issue_width": arch.issue_per_scheduler,
        "blocks_per_sm": found.blocks_per_sm,
        "warps_per_block": trace.warps_per_block,
        "blocks_traced": trace.blocks,
        "blocks_total": prod(execution.grid),
        "l1_bytes": l1_bytes,
        "l2_bytes": l2_bytes,
        "write_through": through,
        "icache_lines": known.code_cache_bytes // 128,
        "insn_bytes": execution.kernel.step,
        "insn_count": len(execution.kernel.instructions),
        "block_count": len(blocks(execution.kernel)),
        "local_words": max(1, -(-stack_bytes(execution.kernel) // 4)),
        "max_cycles": _MAX_CYCLES,
        "max_steps": _MAX_STEPS,
        "caches": what_if.caches,
        "lsu_interval": WARP_SIZE / units.load_store_lanes,
        "tag_lines": known.tag_lines_per_cycle,
        "fill_sectors": known.fill_bytes_per_cycle / _SECTOR_BYTES,
        "store_sectors": known.store_bytes_per_cycle / _SECTOR_BYTES,
        "l2_sectors": known.l2_bytes_per_cycle_per_sm * device.sm_count * scale,
        "dram_sectors": peak * known.dram_efficiency / (clock_mhz * 1e6) * scale,
    }
