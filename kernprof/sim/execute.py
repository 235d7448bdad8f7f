"""Launching a kernel on numpy arrays.

Arrays are used in place: what the kernel writes is in them afterwards, and an array that is marked
read-only can't be written by the kernel. Device addresses are made up, aligned to 512 bytes like
those of ``cudaMalloc``, and the same in every run.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kernprof.errors import ShapeError, UsageError
from kernprof.sim.check import ENDING, CheckReport, Extent, make_report
from kernprof.sim.engine import CompiledKernel, Store, compile_kernel
from kernprof.sim.faults import StateDamagedError, fault_error
from kernprof.sim.flow import stack_bytes
from kernprof.sim.guarded import Arena
from kernprof.sim.launch_constants import bank_bytes, launch_constants
from kernprof.sim.layout import (
    CANARY_BYTES,
    LOCAL_WINDOW,
    MAX_WARPS,
    REGISTERS,
    SHARED_WINDOW,
    WARP_SIZE,
    Allocation,
    Context,
    Warp,
    warp_bytes,
)
from kernprof.sim.limits import CONSTANT_BANKS
from kernprof.sim.notes import notes
from kernprof.sim.program import Kernel, Program
from kernprof.sim.recording import Trace, TraceBudget, record
from kernprof.sim.shadow import Shadow
from kernprof.sim.watch import watched

_FIRST_ADDRESS = 0x7F00_0000_0000
_ALIGNMENT = 512
_GAP_BYTES = 4096
_MAX_THREADS = 1024
_CHUNK_BLOCKS = 64
_MAX_SHARED_BYTES = 227 * 1024
_CANARY = 0x5A
_BLOCK_COUNTERS = ("block_executed", "block_threads")
_INSTRUCTION_COUNTERS = (
    "predicated_on",
    "requests",
    "sectors",
    "lines",
    "wavefronts",
    "conflicts",
    "divergent",
    "generic_shared",
    "generic_local",
    "generic_local_sectors",
)

Argument = np.ndarray | np.generic | int | float | bytes


@dataclass(frozen=True, slots=True)
class Execution:
    """What a launch did, exactly.

    All arrays have one element per instruction, in address order.

    Parameters
    ----------
    program, kernel
        What ran.
    grid, block
        Launch extents, (x, y, z).
    registers, static_shared_bytes, dynamic_shared_bytes
        Resources of the launch.
    executed
        Warp instructions executed.
    threads
        Thread instructions executed: lanes that took part, predicated off or not.
    predicated_on
        The same without lanes whose guard is false.
    requests
        Memory requests: warp instructions with at least one lane on, once for each memory.
    sectors
        32-byte sectors that these touched in global or local memory.
    lines
        128-byte lines that these touched in global memory.
    wavefronts
        Shared-memory passes.
    conflicts
        Those of them that bank conflicts add.
    divergent
        How often a branch sent lanes different ways.
    generic_shared, generic_local
        Those of ``requests`` that instructions with generic addresses, and asynchronous copies,
        sent to shared and to local memory. One that goes to several memories makes a request in
        each.
    generic_local_sectors
        Those of ``sectors`` that these touched in local memory.
    globals
        Content of the cubin's global variables afterwards, by name.
    notes
        What a reader of the counts must know.
    trace
        What the first blocks' warps did, where it was asked for.
    check
        What a checked run found; None of a plain run.
    """

    program: Program
    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    registers: int
    static_shared_bytes: int
    dynamic_shared_bytes: int
    executed: np.ndarray
    threads: np.ndarray
    predicated_on: np.ndarray
    requests: np.ndarray
    sectors: np.ndarray
    lines: np.ndarray
    wavefronts: np.ndarray
    conflicts: np.ndarray
    divergent: np.ndarray
    generic_shared: np.ndarray
    generic_local: np.ndarray
    generic_local_sectors: np.ndarray
    globals: Mapping[str, bytes]
    notes: tuple[str, ...] = ()
    trace: Trace | None = None
    check: CheckReport | None = None


@dataclass(frozen=True, slots=True)
class _Memory:
    """Everything that compiled code points at; kept alive by this record."""

    allocations: ctypes.Array[Allocation]
    count: int
    banks: tuple[np.ndarray | None, ...]
    arena: Arena
    globals: Mapping[int, np.ndarray]
    extents: tuple[Extent, ...]
    keep: tuple[object, ...]


def run(
    program: Program,
    kernel: str,
    grid: Sequence[int] | int,
    block: Sequence[int] | int,
    args: Sequence[Argument],
    *,
    dynamic_shared: int = 0,
    workers: int | None = None,
    trace: TraceBudget | None = None,
    check: bool = False,
    undefined: Collection[int] = (),
    time_limit_s: float | None = None,
    names: Sequence[str] = (),
    store: Store | None = None,
) -> Execution:
    """Execute a kernel launch.

    Parameters
    ----------
    program
        From :func:`kernprof.sim.program.load`.
    kernel
        Linker symbol.
    grid, block
        Extents in blocks and threads; missing ones are 1.
    args
        One per parameter: an array for a pointer, a numpy scalar, int, float or bytes for a value.
    dynamic_shared
        Dynamic shared memory in bytes.
    workers
        Threads of the host; by default one per processor. A kernel with atomics on global memory
        runs on one, so that results and counts can be repeated.
    trace
        Trace the first blocks for the timing model, about so much.
    check
        Look for defects, and report them in the result instead of stopping at the first: see
        :mod:`kernprof.sim.check`. Runs on one host thread, so that findings can be repeated.
    undefined
        With ``check``: positions in ``args`` of arrays whose content counts as not written yet.
    time_limit_s
        Seconds of wall time after which a launch that has not ended is stopped, as by a fault;
        translating the kernel is not counted. By default there is none; Ctrl-C stops it too.
    names
        What messages call the arguments; by default "argument 0" and so on.
    store
        Where compiled kernels are kept; by default the user's cache.

    Raises
    ------
    UsageError
        The arguments don't fit the parameters, or the launch breaks a limit.
    CubinError
        The kernel came to an instruction whose meaning is not known.
    LaunchFaultError
        The kernel accessed memory that it must not, can't go on, or ran into the time limit.
    """
    _check_arguments(program.kernel(kernel), args)
    if check and trace is not None:
        raise UsageError("a checked run can't be traced; run it once for each")
    compiled = compile_kernel(program, kernel, checked=check, store=store)
    grid3 = _extent(grid, "grid")
    block3 = _extent(block, "block")
    _check_limits(compiled.kernel, block3, dynamic_shared)
    told = names if len(names) == len(args) else [f"argument {n}" for n in range(len(args))]
    memory = _memory(program, compiled.kernel, dict(zip(told, args, strict=True)), grid3, block3)
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise UsageError(f"workers is {count}, expected 1 or more")
    if check or _has_global_atomics(compiled.kernel):
        count = 1
    blocks = grid3[0] * grid3[1] * grid3[2]
    states = [
        _Worker(compiled, memory, grid3, block3, dynamic_shared)
        for _ in range(min(count, -(-blocks // _CHUNK_BLOCKS)))
    ]
    shadow = None
    if check:
        shadow = _shadow(states[0], memory, args, undefined)
    traced = None

    def work() -> None:
        nonlocal traced
        if trace is not None:
            tally = states[0].counters["block_executed"]
            traced = record(compiled, states[0].context, tally, blocks, trace)
        if not any(s.context.fault_kind for s in states):
            _drive(compiled, states, traced.blocks if traced else 0, blocks)

    watched(work, [s.context for s in states], time_limit_s)
    if not (memory.arena.intact() and all(s.intact() for s in states)):
        raise StateDamagedError(kernel)
    for state in states:
        if state.context.fault_kind and not (check and state.context.fault_kind in ENDING):
            raise fault_error(compiled, state.context, block3, memory.extents, time_limit_s)
    made = _execution(compiled, states, memory, program, grid3, block3, dynamic_shared)
    if shadow is None:
        return replace(made, trace=traced)
    state = states[0]
    found = make_report(compiled.kernel, shadow, state.context, state.warps, memory.extents, block3)
    return replace(made, check=found)


def _shadow(
    worker: _Worker, memory: _Memory, args: Sequence[Argument], undefined: Collection[int]
) -> Shadow:
    """Give a worker what a checked build needs."""
    hosts = set()
    for position in undefined:
        argument = args[position] if 0 <= position < len(args) else None
        if not isinstance(argument, np.ndarray) or not argument.ndim:
            raise UsageError(f"undefined: argument {position} is no array")
        hosts.add(argument.ctypes.data)
    written = [
        np.zeros(memory.allocations[i].size, np.uint8)
        if memory.allocations[i].host in hosts
        else None
        for i in range(memory.count)
    ]
    context = worker.context
    shadow = Shadow(context.shared_bytes, worker.local.nbytes, context.warp_count, written)
    context.check = shadow.address
    return shadow


def _extent(value: Sequence[int] | int, what: str) -> tuple[int, int, int]:
    parts = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if not 1 <= len(parts) <= 3 or min(parts) < 1:
        raise ShapeError(f"{what} is {value}, expected one to three numbers of at least 1")
    x, y, z = (*parts, 1, 1)[:3]
    return x, y, z


def _check_arguments(kernel: Kernel, args: Sequence[Argument]) -> None:
    parameters = kernel.image.parameters
    if len(args) == len(parameters):
        return
    known = {8: "8 bytes (array, int64 or float64)", 4: "4 bytes (int32 or float32)"}
    sizes = [known.get(p.size_bytes, f"{p.size_bytes} bytes") for p in parameters]
    raise UsageError(
        f"{kernel.name} has {len(parameters)} parameters, got {len(args)}; give them in their "
        f"order (--arg on the command line): {', '.join(sizes) or 'none'}"
    )


def _check_limits(kernel: Kernel, block: tuple[int, int, int], dynamic_shared: int) -> None:
    threads = block[0] * block[1] * block[2]
    if threads > _MAX_THREADS:
        raise ShapeError(f"{threads} threads a block; the limit is {_MAX_THREADS}")
    required = kernel.image.required_block
    if required is not None and tuple(required) != block:
        raise ShapeError(f"{kernel.name} was compiled for blocks of {required}, got {block}")
    shared = kernel.image.shared_bytes + dynamic_shared
    if dynamic_shared < 0 or shared > _MAX_SHARED_BYTES:
        raise ShapeError(
            f"{shared} bytes of shared memory a block; no GPU has more than {_MAX_SHARED_BYTES}"
        )


def _has_global_atomics(kernel: Kernel) -> bool:
    return any(i.opcode in ("ATOM", "ATOMG", "RED", "REDG") for i in kernel.instructions)


def _memory(
    program: Program,
    kernel: Kernel,
    args: Mapping[str, Argument],
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
) -> _Memory:
    image = kernel.image
    entries: list[tuple[int, int, int, bool]] = []
    known: dict[tuple[int, int], int] = {}
    address = _FIRST_ADDRESS
    keep: list[object] = []

    names: dict[int, str] = {}

    def place(array: np.ndarray, name: str) -> int:
        nonlocal address
        key = (array.ctypes.data, array.nbytes)
        if key in known:
            return known[key]
        for start, size, host, _ in entries:
            if host < key[0] + key[1] and key[0] < host + size:
                raise UsageError(
                    f"two array arguments overlap in memory ({size} and {array.nbytes} bytes at "
                    f"device address {start:#x}); pass the same array or separate ones"
                )
        base = address
        entries.append((base, array.nbytes, array.ctypes.data, bool(array.flags.writeable)))
        known[key] = base
        names[base] = name
        address = -(-(base + array.nbytes + _GAP_BYTES) // _ALIGNMENT) * _ALIGNMENT
        keep.append(array)
        return base

    sections = {
        index: np.frombuffer(bytearray(content), np.uint8)
        for index, content in program.image.globals_bytes.items()
        if content
    }
    section_base = {index: place(array, "global variables") for index, array in sections.items()}
    banks = {number: bytearray(content) for number, content in image.constants.items()}
    first = banks.setdefault(0, bytearray())
    for number, content in banks.items():
        content.extend(bytes(bank_bytes(kernel, number) - len(content)))
    for parameter, (name, argument) in zip(image.parameters, args.items(), strict=True):
        packed = _pack(kernel.name, name, parameter.size_bytes, argument, place)
        at = image.parameter_base + parameter.offset_bytes
        first[at : at + len(packed)] = packed
    values = {
        **{f"grid.{n}": v for n, v in zip("xyz", grid, strict=True)},
        **{f"block.{n}": v for n, v in zip("xyz", block, strict=True)},
        "stack": stack_bytes(kernel),
        "descriptor": 0,
        "shared.low": SHARED_WINDOW & 0xFFFFFFFF,
        "shared.high": SHARED_WINDOW >> 32,
        "local.low": LOCAL_WINDOW & 0xFFFFFFFF,
        "local.high": LOCAL_WINDOW >> 32,
    }
    for offset, meaning in launch_constants(kernel.sm).items():
        if offset + 4 <= image.parameter_base:
            first[offset : offset + 4] = values[meaning].to_bytes(4, "little")
    for relocation in image.relocations:
        if relocation.bank not in banks or not relocation.known:
            continue
        base = section_base[relocation.symbol.section] + relocation.symbol.value
        target = banks[relocation.bank]
        size = relocation.size_bytes
        here = slice(relocation.offset_bytes, relocation.offset_bytes + size)
        total = base + relocation.addend + int.from_bytes(target[here], "little")
        target[here] = (total & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    filled = [n for n in range(CONSTANT_BANKS) if banks.get(n)]
    table_bytes = ctypes.sizeof(Allocation) * max(1, len(entries))
    arena = Arena([table_bytes, *(len(banks[n]) for n in filled)])
    table = (Allocation * max(1, len(entries))).from_address(arena.regions[0].ctypes.data)
    table[: len(entries)] = [Allocation(*e) for e in entries]
    regions = dict(zip(filled, arena.regions[1:], strict=True))
    for n, region in regions.items():
        region[:] = np.frombuffer(banks[n], np.uint8)
    arrays = tuple(regions.get(n) for n in range(CONSTANT_BANKS))
    variables = [
        Extent(section_base[s.section] + s.value, s.size_bytes, s.name)
        for s in program.image.global_symbols
        if s.section in section_base
    ]
    extents = [Extent(base, size, names[base]) for base, size, _, _ in entries]
    return _Memory(
        table, len(entries), arrays, arena, sections, (*variables, *extents), tuple(keep)
    )


def _pack(kernel: str, name: str, size: int, argument: Argument, place: object) -> bytes:
    """Bytes of one argument as the constant bank holds them."""
    what = f"{kernel}: {name}"
    if isinstance(argument, np.ndarray) and argument.ndim:
        if size != 8:
            raise UsageError(f"{what} is an array, but the parameter has {size} bytes")
        if not argument.flags.c_contiguous:
            raise UsageError(f"{what} is not C-contiguous; pass numpy.ascontiguousarray of it")
        assert callable(place)
        address: int = place(argument, name)
        return address.to_bytes(8, "little")
    if isinstance(argument, (np.generic, np.ndarray)):
        packed = argument.tobytes()
    elif isinstance(argument, bytes):
        packed = argument
    elif isinstance(argument, float):
        packed = np.dtype({4: "<f4", 8: "<f8"}.get(size, "<f8")).type(argument).tobytes()
    else:
        bits = 8 * size
        if not -(1 << (bits - 1)) <= int(argument) < 1 << bits:
            raise UsageError(f"{what} is {argument}, which does not fit into {size} bytes")
        packed = (int(argument) & ((1 << bits) - 1)).to_bytes(size, "little")
    if len(packed) != size:
        raise UsageError(f"{what} has {len(packed)} bytes, the parameter {size}")
    return packed


class _Worker:
    """One host thread's context, warps and counters."""

    def __init__(
        self,
        compiled: CompiledKernel,
        memory: _Memory,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        dynamic_shared: int,
    ) -> None:
        image = compiled.kernel.image
        instructions = len(compiled.kernel.instructions)
        blocks = len(compiled.translation.blocks)
        warps = -(-(block[0] * block[1] * block[2]) // WARP_SIZE)
        assert warps <= MAX_WARPS
        stride = -(-(warp_bytes(image.registers) + CANARY_BYTES) // 64) * 64
        local = -(-stack_bytes(compiled.kernel) // 16) * 16
        shared = image.shared_bytes + dynamic_shared
        sizes = dict.fromkeys(_BLOCK_COUNTERS, 8 * blocks)
        sizes |= dict.fromkeys(_INSTRUCTION_COUNTERS, 8 * instructions)
        sizes |= {
            "cache": 4 * instructions,
            "warps": stride * warps,
            "shared": shared,
            "local": local * WARP_SIZE * warps,
            "context": ctypes.sizeof(Context),
        }
        self.arena = Arena(list(sizes.values()))
        region = dict(zip(sizes, self.arena.regions, strict=True))
        self.counters = {
            name: region[name].view(np.int64) for name in (*_BLOCK_COUNTERS, *_INSTRUCTION_COUNTERS)
        }
        self.cache = region["cache"]
        self.warps, self.shared, self.local = region["warps"], region["shared"], region["local"]
        rows = self.warps.reshape(warps, stride)
        between = slice(ctypes.sizeof(Warp), REGISTERS)
        behind = slice(warp_bytes(image.registers), stride)
        self.canaries = (rows[:, between], rows[:, behind])
        for canary in self.canaries:
            canary[:] = _CANARY
        self.memory = memory
        context = Context.from_address(region["context"].ctypes.data)
        for number, bank in enumerate(memory.banks):
            if bank is not None:
                context.banks[number] = bank.ctypes.data
                context.bank_bytes[number] = bank.nbytes
        context.allocations = ctypes.addressof(memory.allocations)
        context.allocation_count = memory.count
        context.allocation_cache = self.cache.ctypes.data
        for name, array in self.counters.items():
            setattr(context, name, array.ctypes.data)
        context.shared, context.shared_bytes = self.shared.ctypes.data, shared
        context.local, context.local_bytes = self.local.ctypes.data, local
        context.warps, context.warp_stride = self.warps.ctypes.data, stride
        context.warp_count = warps
        context.block_size[:] = block
        context.grid_size[:] = grid
        self.context = context

    def intact(self) -> bool:
        """Whether nothing was written where nothing belongs."""
        return self.arena.intact() and all(bool((c == _CANARY).all()) for c in self.canaries)


def _drive(compiled: CompiledKernel, states: list[_Worker], first: int, blocks: int) -> None:
    """Hand out blocks from ``first`` on in chunks; a fault stops everyone."""
    lock = threading.Lock()
    following = first
    chunk = max(1, min(_CHUNK_BLOCKS, -(-(blocks - first) // (4 * len(states)))))
    failed = threading.Event()

    def work(state: _Worker) -> None:
        nonlocal following
        while not failed.is_set():
            with lock:
                first = following
                following += chunk
            if first >= blocks:
                return
            size = min(chunk, blocks - first)
            if compiled.run(ctypes.addressof(state.context), first, size):
                failed.set()

    if len(states) == 1:
        work(states[0])
        return
    threads = [threading.Thread(target=work, args=(s,), daemon=True) for s in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _execution(
    compiled: CompiledKernel,
    states: list[_Worker],
    memory: _Memory,
    program: Program,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    dynamic_shared: int,
) -> Execution:
    kernel = compiled.kernel
    total = {
        name: np.sum([s.counters[name] for s in states], axis=0) for name in states[0].counters
    }
    executed = np.zeros(len(kernel.instructions), np.int64)
    threads = np.zeros_like(executed)
    on = total["predicated_on"].copy()
    for basic in compiled.translation.blocks:
        for instruction in basic.instructions:
            executed[instruction.index] = total["block_executed"][basic.number]
            threads[instruction.index] = total["block_threads"][basic.number]
            if instruction.guard is None:
                on[instruction.index] = threads[instruction.index]
    variables = {
        s.name: memory.globals[s.section][s.value : s.value + s.size_bytes].tobytes()
        for s in program.image.global_symbols
        if s.section in memory.globals
    }
    return Execution(
        program=program,
        kernel=kernel,
        grid=grid,
        block=block,
        registers=kernel.image.registers,
        static_shared_bytes=kernel.image.shared_bytes,
        dynamic_shared_bytes=dynamic_shared,
        executed=executed,
        threads=threads,
        predicated_on=on,
        requests=total["requests"],
        sectors=total["sectors"],
        lines=total["lines"],
        wavefronts=total["wavefronts"],
        conflicts=total["conflicts"],
        divergent=total["divergent"],
        generic_shared=total["generic_shared"],
        generic_local=total["generic_local"],
        generic_local_sectors=total["generic_local_sectors"],
        globals=variables,
        notes=notes(kernel, executed),
    )
