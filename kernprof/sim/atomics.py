"""Atomic read-modify-write, lane by lane in lane order.

Hardware serialises conflicting lanes in an order of its own; the lowest lane goes first here, which
is one of the allowed orders and makes runs repeatable. Floating-point sums depend on it.
"""

from __future__ import annotations

from llvmlite import ir

from kernprof.sim import checking
from kernprof.sim.irkit import F32, F64, I32, I64, PTR, Kit, Value, vector
from kernprof.sim.layout import (
    LINE_BYTES,
    SECTOR_BYTES,
    SHARED_WINDOW,
    WARP_SIZE,
    WINDOW_BITS,
    Allocation,
    Context,
    FaultKind,
    offset_of,
)
from kernprof.sim.memory import (
    ALLOCATION_BYTES,
    GENERIC,
    GLOBAL,
    LANES32,
    LANES64,
    SHARED,
    Helpers,
    distinct_pieces,
    each_lane,
    in_window,
)
from kernprof.sim.ops_half import BRAIN, HALF, Format, narrow_single, widen
from kernprof.sim.refusal import Refused
from kernprof.sim.shadow import Space
from kernprof.sim.tracing import Access, note_lines, note_shared

OPERATIONS = ("ADD", "MIN", "MAX", "INC", "DEC", "AND", "OR", "XOR", "EXCH", "CAS", "CAST")
COMPARING = frozenset(("CAS", "CAST"))
WIDE = frozenset(("64", "S64", "U64", "F64"))
_TINY = 0x00800000


def atomic(helpers: Helpers, space: str, name: str, kind: str, *, ftz: bool) -> ir.Function:
    """Return ``atomic(ctx, instruction, addresses, mask, value, second, old)``.

    ``old`` receives the former values, one a lane; of CAST whether the value was stored, 1 or 0.
    """
    wide = kind in WIDE
    element = I64 if wide else I32
    data = vector(element, WARP_SIZE)
    where = LANES32 if space == SHARED else LANES64
    made, fresh = helpers.function(
        f"atomic_{space}_{name}_{kind}{'_ftz' if ftz else ''}",
        ir.VoidType(),
        [PTR, I32, where, I32, data, data, PTR],
    )
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, instruction, address, mask, value, second, old = (Value(kit, a) for a in made.args)
    with kit.when(mask.eq(0)):
        kit.ir.ret_void()
    if space == GENERIC:
        slot = instruction.zext(I64) << 3
        shared = in_window(address, SHARED_WINDOW).mask_bits() & mask
        near = (address & ((1 << WINDOW_BITS) - 1)).trunc(I32)
        for memory, at, lanes in ((GLOBAL, address, mask & ~shared), (SHARED, near, shared)):
            with kit.when(lanes.ne(0)):
                target = atomic(helpers, memory, name, kind, ftz=ftz)
                helpers.call(kit, target, context, instruction, at, lanes, value, second, old)
        requests = kit.load(PTR, context, offset_of(Context, "generic_shared"), align=8)
        kit.add_to(requests, slot, shared.ne(0).zext(I64))
        kit.ir.ret_void()
        return made
    _count(helpers, kit, space, context, instruction, address, mask)
    size = 8 if wide else 4
    if helpers.checked:
        checking.next_access(kit, context)
    with each_lane(kit, mask) as lane:
        at = address.at(lane).zext(I64)
        pointer = kit.slot(PTR)
        kit.store(Value(kit, ir.Constant(PTR, None)), pointer, align=8)
        kind_of_fault = kit.slot(I32)
        kit.store(kit.i32(FaultKind.OUT_OF_BOUNDS), kind_of_fault)
        if space == GLOBAL:
            _map_global(helpers, kit, context, at, size, pointer, kind_of_fault)
        else:
            extent = kit.load(I64, context, offset_of(Context, "shared_bytes"), align=8)
            with kit.when((at + size).ule(extent)):
                base = kit.load(PTR, context, offset_of(Context, "shared"), align=8)
                kit.store(kit.address(base, at), pointer, align=8)
        with kit.when((at & (size - 1)).ne(0)):
            kit.store(kit.i32(FaultKind.MISALIGNED), kind_of_fault)
            kit.store(Value(kit, ir.Constant(PTR, None)), pointer, align=8)
        there = kit.load(PTR, pointer, align=8)
        number = Value(kit, kit.ir.ptrtoint(there.raw, I64))
        with kit.when(number.eq(0)):
            helpers.call(
                kit, helpers.fault(), context, kit.load(I32, kind_of_fault), instruction, lane, at
            )
        with kit.when(number.ne(0)):
            if isinstance(helpers, checking.CheckedHelpers):
                _check(helpers, kit, space, context, instruction, lane, at, size, name)
            before = kit.load(element, there, align=size)
            after = _combine(kit, name, kind, before, value.at(lane), second.at(lane), ftz=ftz)
            kit.store(after, there, align=size)
            found = before.eq(value.at(lane)).zext(element) if name == "CAST" else before
            kit.store(found, old, lane.zext(I64) * size, align=size)
    if helpers.checked:
        checking.note_atomics(kit, context)
    kit.ir.ret_void()
    return made


def _check(
    helpers: checking.CheckedHelpers,
    kit: Kit,
    space: str,
    context: Value,
    instruction: Value,
    lane: Value,
    at: Value,
    size: int,
    name: str,
) -> None:
    """Emit: one lane's atomic reads (unless it is an exchange) and writes defined bytes."""
    reads = name != "EXCH"
    if space != GLOBAL:
        where = checking.Where(instruction, lane, kit.i32(Space.SHARED), at, kit.i32(size))
        written = checking.written_shared(kit, context, at)
        nothing = [kit.i32(0)] * (size // 4)
        checking.touch(kit, helpers, context, where, checking.ATOMIC, size, nothing)
        if reads:
            checking.need_written(kit, helpers, context, written, where, size)
        checking.mark_written(kit, written, size)
        return
    where = checking.Where(instruction, lane, kit.i32(Space.GLOBAL), at, kit.i32(size))
    found = helpers.call(kit, helpers.find(), context, at, kit.i64(size))
    checking.use_global(kit, helpers, context, found, where, size, reads=reads, writes=True)


def _count(
    helpers: Helpers,
    kit: Kit,
    space: str,
    context: Value,
    instruction: Value,
    address: Value,
    mask: Value,
) -> None:
    slot = instruction.zext(I64) << 3
    requests = kit.load(PTR, context, offset_of(Context, "requests"), align=8)
    kit.add_to(requests, slot, kit.i64(1))
    if space == GLOBAL:
        for field, size in (("sectors", SECTOR_BYTES), ("lines", LINE_BYTES)):
            counts = kit.load(PTR, context, offset_of(Context, field), align=8)
            found = distinct_pieces(helpers, kit, address, mask, size)
            kit.add_to(counts, slot, found.zext(I64))
        note_lines(kit, helpers, context, instruction, address, mask, Access.ATOMIC)
    else:
        distinct = helpers.call(kit, helpers.distinct(), address.zext(I64), mask)
        # Lanes on one word go one after another.
        passes = kit.popcount(mask) - distinct + 1
        note_shared(kit, helpers, context, instruction, passes | (1 << 16))


def _map_global(
    helpers: Helpers,
    kit: Kit,
    context: Value,
    at: Value,
    size: int,
    pointer: Value,
    kind_of_fault: Value,
) -> None:
    found = helpers.call(kit, helpers.find(), context, at, kit.i64(size))
    with kit.when(found.ne(-1)):
        table = kit.load(PTR, context, offset_of(Context, "allocations"), align=8)
        place = found.zext(I64) * ALLOCATION_BYTES
        base = kit.load(I64, table, place + offset_of(Allocation, "base"), align=8)
        host = kit.load(PTR, table, place + offset_of(Allocation, "host"), align=8)
        flag = kit.load(I64, table, place + offset_of(Allocation, "writable"), align=8)
        with kit.when(flag.ne(0)):
            kit.store(kit.address(host, at - base), pointer, align=8)
        with kit.when(flag.eq(0)):
            kit.store(kit.i32(FaultKind.READ_ONLY), kind_of_fault)


def _combine(
    kit: Kit, name: str, kind: str, old: Value, value: Value, second: Value, *, ftz: bool
) -> Value:
    signed = kind in ("S32", "S64")
    if kind in ("F16x2", "BF16x2"):
        if name != "ADD":
            raise Refused(f"an atomic {name} of pairs of halves")
        form = HALF if kind == "F16x2" else BRAIN
        low, high = (_sum_of_halves(old >> s, value >> s, form) for s in (0, 16))
        return low | high << 16
    if kind in ("F32", "F64"):
        return _sum(kit, kind, old, value, ftz=ftz) if name == "ADD" else value
    if name == "ADD":
        return old + value
    if name in ("MIN", "MAX"):
        less = old.compare("<", value, signed=signed)
        return less.where(old, value) if name == "MIN" else less.where(value, old)
    if name == "INC":  # PTX ISA, atom.inc: back to 0 from the given limit on
        return old.uge(value).where(kit.const(old.type, 0), old + 1)
    if name == "DEC":
        return (old.eq(0) | old.ugt(value)).where(value, old - 1)
    if name in COMPARING:
        return old.eq(value).where(second, old)
    return {"AND": old & value, "OR": old | value, "XOR": old ^ value, "EXCH": value}[name]


def _sum(kit: Kit, kind: str, old: Value, value: Value, *, ftz: bool) -> Value:
    element, bits, nan = (F32, I32, 0x7FFFFFFF) if kind == "F32" else (F64, I64, 0x7FF8 << 48)
    if ftz:
        old, value = _flush(old), _flush(value)
    total = old.as_float(element).fadd(value.as_float(element))
    out = total.fcmp("uno", total).where(kit.const(bits, nan), total.as_float(bits))
    return _flush(out) if ftz else out


def _sum_of_halves(old: Value, value: Value, form: Format) -> Value:
    """Sum of two 16-bit floats in the lower bits: rounding their sum as a single rounds it right.

    A sum that a single can't hold is too far from the middle between two 16-bit floats.
    """
    first, second = widen(old & 0xFFFF, form), widen(value & 0xFFFF, form)
    return narrow_single(first.fadd(second), form)


def _flush(bits: Value) -> Value:
    return (bits & 0x7FFFFFFF).ult(_TINY).where(bits & 0x80000000, bits)
