"""Compiled helpers of a checked run: findings, defined bytes, races between barriers.

A checked build of a kernel has everything that the plain one has (the same semantics, the same
counters) and these helpers beside; a plain build has none of them.

What orders two threads of a block, so that they may touch the same byte:

- a barrier of the block between them;
- inside one warp, ``__syncwarp()`` over both lanes. ptxas leaves a WARPSYNC for it, or a NOP where
  the lanes are together anyway, so it can be seen in machine code. Shuffles and votes are no such
  order: the CUDA C++ Programming Guide ("Warp Shuffle Functions", "Warp Vote Functions") grants
  them no effect on memory. Before Volta the lanes of a warp run in lockstep, which orders them;
- atomics of both threads' warps between the two accesses. They may be a lock or a flag, which can't
  be told apart from other atomics, so such pairs are not reported.

Two lanes of one store that write different values to one place are a race; equal values are not.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from llvmlite import ir

from kernprof.sim.irkit import I1, I8, I32, I64, PTR, Kit, Value
from kernprof.sim.layout import WARP_SIZE, Allocation, Context, FaultKind, Warp, offset_of
from kernprof.sim.memory import (
    ALLOCATION_BYTES,
    FULL,
    LANES32,
    Helpers,
    each_lane,
    pointer,
)
from kernprof.sim.shadow import (
    MAX_FOUND,
    Cell,
    CheckState,
    Clock,
    Found,
    FoundKind,
    Space,
)

READ, WRITE, ATOMIC = "read", "write", "atomic"
_CELL_SHIFT = 6
_CLOCK_BYTES = ctypes.sizeof(Clock)
_GOING_ON = (
    FaultKind.OUT_OF_BOUNDS,
    FaultKind.MISALIGNED,
    FaultKind.READ_ONLY,
    FaultKind.CONSTANT,
)


class CheckedHelpers(Helpers):
    """Helpers of a checked build.

    Parameters
    ----------
    module
        Receives the functions.
    lockstep
        Whether the lanes of a warp are ordered by the program, as before Volta.
    """

    checked = True

    def __init__(self, module: ir.Module, *, lockstep: bool) -> None:
        super().__init__(module)
        self.lockstep = lockstep

    def fault(self) -> ir.Function:
        """``fault(ctx, kind, instruction, lane, address)``: note it, and go on where that goes."""
        made, fresh = self.function("fault_or_finding", ir.VoidType(), [PTR, I32, I32, I32, I64])
        if fresh:
            kit = Kit(self.module, made)
            context, kind, instruction, lane, address = (Value(kit, a) for a in made.args)
            small = kit.const(kind.eq(0).type, 0)
            for number in _GOING_ON:
                small = small | kind.eq(number)
            with kit.when(small):
                space = kind.eq(FaultKind.CONSTANT).where(
                    kit.i32(Space.CONSTANT), kit.i32(Space.GLOBAL)
                )
                one = Where(instruction, lane, space, address, kit.i32(0))
                report(kit, self, context, kind, one)
                kit.ir.ret_void()
            self.call(kit, super().fault(), context, kind, instruction, lane, address)
            kit.ir.ret_void()
        return made


@dataclass(frozen=True, slots=True)
class Where:
    """An access of one lane: instruction, lane, space, address and size, as values."""

    instruction: Value
    lane: Value
    space: Value
    address: Value
    size: Value


def report(
    kit: Kit,
    helpers: Helpers,
    context: Value,
    kind: Value,
    where: Where,
    other: Value | None = None,
    other_thread: Value | None = None,
) -> None:
    """Emit: note a finding."""
    none = kit.i32(FULL)
    helpers.call(
        kit,
        _report(helpers),
        context,
        kind,
        where.instruction,
        none if other is None else other,
        where.lane,
        none if other_thread is None else other_thread,
        where.space,
        where.address,
        where.size,
    )


def _report(helpers: Helpers) -> ir.Function:
    """``(ctx, kind, instruction, other, lane, other_thread, space, address, size)``."""
    made, fresh = helpers.function(
        "report", ir.VoidType(), [PTR, I32, I32, I32, I32, I32, I32, I64, I32]
    )
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, kind, instruction, other, lane, other_thread, space, address, size = (
        Value(kit, a) for a in made.args
    )
    state = _state(kit, context)
    table = kit.load(PTR, state, offset_of(CheckState, "found"), align=8)
    count_at = offset_of(CheckState, "found_count")
    count = kit.load(I64, state, count_at, align=8)
    serial = kit.load(I32, state, offset_of(CheckState, "serial"))
    epoch = kit.load(I32, state, offset_of(CheckState, "epoch"))
    thread = _thread(kit, context, lane)
    total = offset_of(Found, "count")
    with kit.count(count) as index:
        entry = kit.address(table, index * ctypes.sizeof(Found))
        same = (
            kit.load(I32, entry, offset_of(Found, "kind")).eq(kind)
            & kit.load(I32, entry, offset_of(Found, "instruction")).eq(instruction)
            & kit.load(I32, entry, offset_of(Found, "other")).eq(other)
            & kit.load(I32, entry, offset_of(Found, "space")).eq(space)
        )
        with kit.when(same):
            # A wide access that is wrong in several words is one occurrence.
            again = kit.const(I1, 1)
            for name, value in (
                ("last_epoch", epoch),
                ("last_serial", serial),
                ("last_thread", thread),
            ):
                again = again & kit.load(I32, entry, offset_of(Found, name)).eq(value)
                kit.store(value, entry, offset_of(Found, name))
            kit.add_to(entry, total, (~again).zext(I64))
            kit.ir.ret_void()
    with kit.when(count.uge(MAX_FOUND)):
        kit.add_to(state, offset_of(CheckState, "lost"), kit.i64(1))
        kit.ir.ret_void()
    entry = kit.address(table, count * ctypes.sizeof(Found))
    for name, value in (
        ("kind", kind),
        ("instruction", instruction),
        ("other", other),
        ("thread", thread),
        ("other_thread", other_thread),
        ("space", space),
        ("size", size),
        ("last_epoch", epoch),
        ("last_serial", serial),
        ("last_thread", thread),
    ):
        kit.store(value, entry, offset_of(Found, name))
    for axis in range(3):
        block = kit.load(I32, context, offset_of(Context, "block_index", axis))
        kit.store(block, entry, offset_of(Found, "block", axis))
    kit.store(address, entry, offset_of(Found, "address"), align=8)
    kit.store(kit.i64(1), entry, total, align=8)
    kit.store(count + 1, state, count_at, align=8)
    kit.ir.ret_void()
    return made


def _state(kit: Kit, context: Value) -> Value:
    return pointer(kit, context, "check")


def _field(kit: Kit, context: Value, name: str) -> Value:
    """Read a pointer out of the state."""
    return kit.load(PTR, _state(kit, context), offset_of(CheckState, name), align=8)


def _thread(kit: Kit, context: Value, lane: Value) -> Value:
    return (kit.load(I32, context, offset_of(Context, "current_warp")) << 5) + lane


def _clock(kit: Kit, context: Value, warp: Value | None = None) -> Value:
    if warp is None:
        warp = kit.load(I32, context, offset_of(Context, "current_warp"))
    return kit.address(_field(kit, context, "clocks"), warp.zext(I64) * _CLOCK_BYTES)


# Order ----------------------------------------------------------------------------------------


def enter_block(kit: Kit, context: Value, local_bytes: Value, warp_count: Value) -> None:
    """Emit: a block begins; nothing is written, nobody knows of anybody."""
    _clear(kit, _field(kit, context, "clocks"), warp_count * _CLOCK_BYTES)
    shared = kit.load(I64, context, offset_of(Context, "shared_bytes"), align=8)
    _clear(kit, _field(kit, context, "shared_written"), shared)
    _clear(kit, _field(kit, context, "local_written"), local_bytes)
    kit.store(kit.i32(1), _state(kit, context), offset_of(CheckState, "serial"))
    next_epoch(kit, context)


def _clear(kit: Kit, place: Value, size: Value) -> None:
    zero = Value(kit, ir.Constant(I8, 0))
    kit.call("llvm.memset.p0.i64", ir.VoidType(), place, zero, size, False)


def next_epoch(kit: Kit, context: Value) -> None:
    """Emit: all threads of the block are ordered."""
    state = _state(kit, context)
    at = offset_of(CheckState, "epoch")
    kit.store(kit.load(I32, state, at) + 1, state, at)


def next_access(kit: Kit, context: Value) -> None:
    """Emit: a memory instruction begins."""
    state = _state(kit, context)
    at = offset_of(CheckState, "serial")
    kit.store(kit.load(I32, state, at) + 1, state, at)


def note_atomics(kit: Kit, context: Value) -> None:
    """Emit: the warp has done an atomic."""
    serial = kit.load(I32, _state(kit, context), offset_of(CheckState, "serial"))
    kit.store(serial, _clock(kit, context), offset_of(Clock, "last_atomic"))


def meet(kit: Kit, helpers: Helpers, context: Value, lanes: Value) -> None:
    """Emit: the lanes of a mask synchronise with each other."""
    helpers.call(kit, _meet(helpers), context, lanes)


def _meet(helpers: Helpers) -> ir.Function:
    made, fresh = helpers.function("meet", ir.VoidType(), [PTR, I32])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, mask = (Value(kit, a) for a in made.args)
    clock = _clock(kit, context)
    # Times begin at 1, so that a lane that has met nobody is ordered behind nothing.
    time = kit.load(I32, clock, offset_of(Clock, "time")) + 1
    joint = kit.slot(LANES32, align=64)
    kit.store(kit.const(LANES32, 0), joint)
    row_bytes = 4 * WARP_SIZE
    with each_lane(kit, mask) as lane:
        row = kit.load(LANES32, clock, lane.zext(I64) * row_bytes)
        old = kit.load(LANES32, joint)
        kit.store(row.ugt(old).where(row, old), joint)
    known = mask.mask_lanes().where(time.splat(WARP_SIZE), kit.load(LANES32, joint))
    with each_lane(kit, mask) as lane:
        kit.store(known, clock, lane.zext(I64) * row_bytes)
    kit.store(time, clock, offset_of(Clock, "time"))
    kit.ir.ret_void()
    return made


def _unordered(helpers: CheckedHelpers) -> ir.Function:
    """``(ctx, lane, who, time, serial) -> i32``: 1 unless that access comes before this one."""
    made, fresh = helpers.function("unordered", I32, [PTR, I32, I32, I32, I32])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, lane, who, time, serial = (Value(kit, a) for a in made.args)
    with kit.when(who.eq(_thread(kit, context, lane))):
        kit.ir.ret(kit.i32(0).raw)
    mine = kit.load(I32, context, offset_of(Context, "current_warp"))
    theirs = who >> 5
    with kit.when(mine.eq(theirs)):
        if helpers.lockstep:
            kit.ir.ret(kit.i32(0).raw)
        else:
            at = ((lane << 5) + (who & (WARP_SIZE - 1))).zext(I64) << 2
            with kit.when(kit.load(I32, _clock(kit, context), at).uge(time)):
                kit.ir.ret(kit.i32(0).raw)
    last = offset_of(Clock, "last_atomic")
    own = kit.load(I32, _clock(kit, context), last)
    other = kit.load(I32, _clock(kit, context, theirs), last)
    kit.ir.ret((~(own.ugt(serial) & other.ugt(serial))).zext(I32).raw)
    return made


# Shared memory --------------------------------------------------------------------------------


def touch(
    kit: Kit, helpers: CheckedHelpers, context: Value, where: Where, how: str, size: int,
    changed: list[Value],
) -> None:  # fmt: skip
    """Emit: one lane touches ``size`` bytes of shared memory.

    ``changed`` has, for each 32-bit word, the bits that a write changes (0 for a read).
    """
    if size >= 4:
        for word, bits in enumerate(changed):
            at = where.address + 4 * word
            helpers.call(
                kit, _touch_word(helpers, how), context, where.instruction, where.lane, at, bits,
                where.size,
            )  # fmt: skip
        return
    for byte in range(size):
        helpers.call(
            kit, _touch_byte(helpers, how), context, where.instruction, where.lane,
            where.address + byte, (changed[0] >> (8 * byte)) & 0xFF, where.size,
        )  # fmt: skip


def _touch_word(helpers: CheckedHelpers, how: str) -> ir.Function:
    """``(ctx, instruction, lane, address, changed, size)`` of a whole word."""
    made, fresh = helpers.function(
        f"touch_word_{how}", ir.VoidType(), [PTR, I32, I32, I64, I32, I32]
    )
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, instruction, lane, address, changed, size = (Value(kit, a) for a in made.args)
    where = (instruction, lane, address)
    word = address >> 2
    cell = kit.address(_field(kit, context, "words"), word << _CELL_SHIFT)
    helpers.call(
        kit, _cell(helpers, how, keep=True), context, cell, *where, changed.eq(0).zext(I32), size
    )
    epoch = kit.load(I32, _state(kit, context), offset_of(CheckState, "epoch"))
    split = kit.load(I32, _field(kit, context, "split"), word << 2)
    with kit.when(split.eq(epoch), likely=False):
        for byte in range(4):
            at = address + byte
            cell = kit.address(_field(kit, context, "bytes"), at << _CELL_SHIFT)
            same = ((changed >> (8 * byte)) & 0xFF).eq(0).zext(I32)
            helpers.call(
                kit, _cell(helpers, how, keep=True), context, cell, *where, same, size
            )  # fmt: skip
    kit.ir.ret_void()
    return made


def _touch_byte(helpers: CheckedHelpers, how: str) -> ir.Function:
    """``(ctx, instruction, lane, address, changed, size)`` of a single byte."""
    made, fresh = helpers.function(
        f"touch_byte_{how}", ir.VoidType(), [PTR, I32, I32, I64, I32, I32]
    )
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, instruction, lane, address, changed, size = (Value(kit, a) for a in made.args)
    same = changed.eq(0).zext(I32)
    word = address >> 2
    for name, place, keep in (("words", word, False), ("bytes", address, True)):
        cell = kit.address(_field(kit, context, name), place << _CELL_SHIFT)
        helpers.call(
            kit, _cell(helpers, how, keep=keep), context, cell, instruction, lane, address, same,
            size,
        )  # fmt: skip
    epoch = kit.load(I32, _state(kit, context), offset_of(CheckState, "epoch"))
    kit.store(epoch, _field(kit, context, "split"), word << 2)
    kit.ir.ret_void()
    return made


def _cell(helpers: CheckedHelpers, how: str, *, keep: bool) -> ir.Function:
    """``(ctx, cell, instruction, lane, address, same, size)``: races with what the cell knows.

    With ``keep`` the access is noted in the cell.
    """
    made, fresh = helpers.function(
        f"cell_{how}{'' if keep else '_look'}",
        ir.VoidType(),
        [PTR, PTR, I32, I32, I64, I32, I32],
    )
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, cell, instruction, lane, address, same, size = (Value(kit, a) for a in made.args)
    state = _state(kit, context)
    epoch = kit.load(I32, state, offset_of(CheckState, "epoch"))
    serial = kit.load(I32, state, offset_of(CheckState, "serial"))
    where = Where(instruction, lane, kit.i32(Space.SHARED), address, size)

    def get(name: str) -> Value:
        return kit.load(I32, cell, offset_of(Cell, name))

    def race(access: str) -> None:
        report(
            kit, helpers, context, kit.i32(FoundKind.RACE), where,
            get(f"{access}_instruction"), get(f"{access}_who"),
        )  # fmt: skip

    def unordered(access: str) -> Value:
        found = helpers.call(
            kit, _unordered(helpers), context, lane, get(f"{access}_who"),
            get(f"{access}_time"), get(f"{access}_serial"),
        )  # fmt: skip
        return found.ne(0)

    with kit.when(get("write_epoch").eq(epoch)):
        if how == WRITE:
            at_once = get("write_serial").eq(serial)
            with kit.when(same.eq(0) & at_once):
                race("write")
            with kit.when(same.eq(0) & ~at_once & unordered("write")):
                race("write")
        else:
            bad = unordered("write")
            if how == ATOMIC:
                bad = bad & get("write_atomic").eq(0)
            with kit.when(bad):
                race("write")
    if how != READ:
        for access in ("read", "older"):
            with kit.when(get(f"{access}_epoch").eq(epoch)), kit.when(unordered(access)):
                race(access)
    if keep:
        _keep(kit, context, cell, how, instruction, lane)
    kit.ir.ret_void()
    return made


def _keep(kit: Kit, context: Value, cell: Value, how: str, instruction: Value, lane: Value) -> None:
    """Emit: the cell remembers this access."""
    state = _state(kit, context)
    thread = _thread(kit, context, lane)
    now = {
        "epoch": kit.load(I32, state, offset_of(CheckState, "epoch")),
        "serial": kit.load(I32, state, offset_of(CheckState, "serial")),
        "who": thread,
        "instruction": instruction,
        "time": kit.load(I32, _clock(kit, context), offset_of(Clock, "time")) + 1,
    }
    if how == READ:
        theirs = kit.load(I32, cell, offset_of(Cell, "read_who")) >> 5
        with kit.when(theirs.ne(thread >> 5)):
            for name in now:
                moved = kit.load(I32, cell, offset_of(Cell, f"read_{name}"))
                kit.store(moved, cell, offset_of(Cell, f"older_{name}"))
        for name, value in now.items():
            kit.store(value, cell, offset_of(Cell, f"read_{name}"))
        return
    for name, value in now.items():
        kit.store(value, cell, offset_of(Cell, f"write_{name}"))
    kit.store(kit.i32(how == ATOMIC), cell, offset_of(Cell, "write_atomic"))
    for access in ("read", "older"):
        kit.store(kit.i32(0), cell, offset_of(Cell, f"{access}_epoch"))


# Defined bytes --------------------------------------------------------------------------------


def need_written(
    kit: Kit, helpers: Helpers, context: Value, written: Value, where: Where, size: int
) -> None:
    """Emit: note a read of bytes that nothing has been written to; ``written`` is their record.

    Compilers join neighbouring reads into wide ones, over padding that the source never reads: a
    read of more than 4 bytes counts only where none of its bytes has been written.
    """
    kind = ir.IntType(8 * size)
    found = kit.load(kind, written, align=1)
    all_set = kit.const(kind, int.from_bytes(b"\1" * size, "little"))
    bad = found.ne(all_set) if size <= 4 else found.eq(0)
    with kit.when(bad, likely=False):
        report(kit, helpers, context, kit.i32(FoundKind.UNINITIALISED), where)


def mark_written(kit: Kit, written: Value, size: int) -> None:
    """Emit: these bytes are defined from now on."""
    all_set = kit.const(ir.IntType(8 * size), int.from_bytes(b"\1" * size, "little"))
    kit.store(all_set, written, align=1)


def written_shared(kit: Kit, context: Value, address: Value) -> Value:
    """Record of a byte of shared memory."""
    return kit.address(_field(kit, context, "shared_written"), address)


def written_local(kit: Kit, context: Value, offset: Value) -> Value:
    """Record of a byte of the block's local memory."""
    return kit.address(_field(kit, context, "local_written"), offset)


def written_global(kit: Kit, context: Value, allocation: Value) -> Value:
    """Record of an allocation's first byte, or null where all of it is defined."""
    return kit.load(PTR, _field(kit, context, "global_written"), allocation.zext(I64) << 3, align=8)


def use_global(
    kit: Kit,
    helpers: Helpers,
    context: Value,
    allocation: Value,
    where: Where,
    size: int,
    *,
    reads: bool,
    writes: bool,
) -> None:
    """Emit: one lane reads or writes an allocation of global memory."""
    record = written_global(kit, context, allocation)
    with kit.when(Value(kit, kit.ir.ptrtoint(record.raw, I64)).ne(0)):
        table = pointer(kit, context, "allocations")
        at = allocation.zext(I64) * ALLOCATION_BYTES + offset_of(Allocation, "base")
        written = kit.address(record, where.address - kit.load(I64, table, at, align=8))
        if reads:
            need_written(kit, helpers, context, written, where, size)
        if writes:
            mark_written(kit, written, size)


# Barriers -------------------------------------------------------------------------------------


def look_at_barrier(
    kit: Kit, helpers: Helpers, context: Value, warps: Value, stride: Value, warp_count: Value
) -> None:
    """Emit: note threads that wait at another barrier than the first thread that waits."""
    place, thread = kit.slot(I32), kit.slot(I32)
    kit.store(kit.i32(FULL), place)
    kit.store(kit.i32(FULL), thread)
    with kit.count(warp_count) as index:
        warp = kit.address(warps, index * stride)
        waiting = kit.load(I32, warp, offset_of(Warp, "at_barrier"))
        with kit.when(waiting.ne(0)):
            first = kit.cttz(waiting)
            number = index.trunc(I32)
            with kit.when(kit.load(I32, place).eq(FULL)):
                kit.store(kit.load(I32, warp, first.zext(I64) << 2), place)
                kit.store((number << 5) + first, thread)
            places = kit.load(LANES32, warp, offset_of(Warp, "lane_pc"))
            expected = kit.load(I32, place)
            elsewhere = places.ne(expected.splat(WARP_SIZE)).mask_bits() & waiting
            with kit.when(elsewhere.ne(0), likely=False):
                kit.store(number, context, offset_of(Context, "current_warp"))
                with each_lane(kit, elsewhere) as lane:
                    at = kit.load(I32, warp, lane.zext(I64) << 2)
                    nothing = kit.i32(0)
                    where = Where(at, lane, nothing, kit.i64(0), nothing)
                    report(
                        kit, helpers, context, kit.i32(FoundKind.BARRIER), where,
                        expected, kit.load(I32, thread),
                    )  # fmt: skip
