"""What a warp did, written down while it runs, for the timing model.

Each traced warp has a stretch of 32-bit words. A word below 2^31 is the number of a basic block
that the warp entered; what follows until the next one are the memory accesses of its instructions,
in order, those of no lane left out. An access is a head word and its pieces::

    head     1 << 31 | Access << 28 | pieces << 20 | index of the instruction
    pieces   SHARED  one word: lane groups << 16 | passes
             GLOBAL  the same word, as if the addresses were in shared memory (the first-level cache
                     keeps its data in the same banks), then a word a 128-byte line:
                     low 28 bits of its number << 4 | mask of its sectors
             LOCAL   such line words only; lines count 4-byte words of the threads' local memory
             ATOMIC  one word: lanes << 16 | lanes in its busiest sector, then line words

A stretch that is full takes no more: the trace is then a beginning of what the warp did.
"""

from __future__ import annotations

from enum import IntEnum

from llvmlite import ir

from kernprof.sim.irkit import I32, I64, PTR, Kit, Value
from kernprof.sim.layout import PIECES_SHIFT, WARP_SIZE, Context, offset_of
from kernprof.sim.memory import LANES64, Helpers, pointer

HEAD = 1 << 31
KIND_SHIFT, LINE_BITS = 28, 28


class Access(IntEnum):
    """Kind of an access in a trace."""

    GLOBAL = 0
    SHARED = 1
    LOCAL = 2
    ATOMIC = 3


def note_block(kit: Kit, helpers: Helpers, context: Value, number: int) -> None:
    """Emit: the warp enters a basic block."""
    cursor = pointer(kit, context, "trace")
    with kit.when(_is_on(kit, cursor), likely=False):
        helpers.call(kit, _put_word(helpers), cursor, kit.i32(number))


def note_shared(
    kit: Kit, helpers: Helpers, context: Value, instruction: Value, passes: Value
) -> None:
    """Emit: an access to shared memory; ``passes`` as the second word of the record."""
    cursor = pointer(kit, context, "trace")
    with kit.when(_is_on(kit, cursor), likely=False):
        head = instruction | _head(Access.SHARED, 1)
        helpers.call(kit, _put_pair(helpers), cursor, head, passes)


def note_lines(
    kit: Kit,
    helpers: Helpers,
    context: Value,
    instruction: Value,
    address: Value,
    mask: Value,
    kind: Access,
    size: int = 4,
    *,
    store: bool = False,
) -> None:
    """Emit: an access of ``size`` bytes a lane at addresses outside of shared memory."""
    cursor = pointer(kit, context, "trace")
    with kit.when(_is_on(kit, cursor), likely=False):
        load = kit.i32(0)
        if kind is Access.GLOBAL:
            low = address.trunc(I32)
            load = helpers.call(kit, helpers.passes(size, merges=not store), low, mask)
        elif kind is Access.ATOMIC:
            busiest = helpers.call(kit, _busiest(helpers), address >> 5, mask)
            load = busiest | (kit.popcount(mask) << 16)
        sectors = address >> 5
        helpers.call(kit, _put_lines(helpers, kind), cursor, instruction, sectors, mask, load)


def _is_on(kit: Kit, cursor: Value) -> Value:
    return Value(kit, kit.ir.ptrtoint(cursor.raw, I64)).ne(0)


def _head(kind: Access, pieces: int) -> int:
    return HEAD | kind << KIND_SHIFT | pieces << PIECES_SHIFT


def _room(kit: Kit, cursor: Value) -> Value:
    """Return from the helper where the stretch is full; otherwise give the place to write."""
    place = kit.load(I64, cursor, 0, align=8)
    end = kit.load(I64, cursor, 8, align=8)
    with kit.when(place.uge(end), likely=False):
        # A full stretch stays full, even where a short record would still fit.
        kit.store(kit.i64(0), cursor, 8, align=8)
        kit.ir.ret_void()
    return Value(kit, kit.ir.inttoptr(place.raw, PTR))


def _advance(kit: Kit, cursor: Value, size: Value) -> None:
    kit.store(kit.load(I64, cursor, 0, align=8) + size, cursor, 0, align=8)


def _put_word(helpers: Helpers) -> ir.Function:
    made, fresh = helpers.function("trace_word", ir.VoidType(), [PTR, I32])
    if fresh:
        kit = Kit(helpers.module, made)
        cursor, word = (Value(kit, a) for a in made.args)
        kit.store(word, _room(kit, cursor))
        _advance(kit, cursor, kit.i64(4))
        kit.ir.ret_void()
    return made


def _put_pair(helpers: Helpers) -> ir.Function:
    made, fresh = helpers.function("trace_pair", ir.VoidType(), [PTR, I32, I32])
    if fresh:
        kit = Kit(helpers.module, made)
        cursor, first, second = (Value(kit, a) for a in made.args)
        place = _room(kit, cursor)
        kit.store(first, place)
        kit.store(second, place, 4)
        _advance(kit, cursor, kit.i64(8))
        kit.ir.ret_void()
    return made


def _put_lines(helpers: Helpers, kind: Access) -> ir.Function:
    """``(cursor, instruction, <32 x i64> sectors, mask, load)``: a word for each line touched."""
    name = f"trace_{kind.name.lower()}"
    made, fresh = helpers.function(name, ir.VoidType(), [PTR, I32, LANES64, I32, I32])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    cursor, instruction, sectors, mask, load = (Value(kit, a) for a in made.args)
    with kit.when(mask.eq(0)):
        kit.ir.ret_void()
    place = _room(kit, cursor)
    lines = sectors >> 2
    inside = sectors & 3
    memory = kit.slot(LANES64)
    kit.store(lines, memory, align=8)
    left, size = kit.slot(I32), kit.slot(I64)
    kit.store(mask, left)
    kit.store(kit.i64(4), size, align=8)
    if kind is not Access.LOCAL:
        kit.store(load, place, 4)
        kit.store(kit.i64(8), size, align=8)
    with kit.loop(lambda: kit.load(I32, left).ne(0)):
        now = kit.load(I32, left)
        line = kit.load(I64, memory, kit.cttz(now).zext(I64) << 3, align=8)
        same = lines.eq(line.splat(WARP_SIZE)).mask_bits() & now
        kit.store(now & ~same, left)
        word = (line.trunc(I32) & ((1 << LINE_BITS) - 1)) << 4
        for sector in range(4):
            touched = (inside.eq(sector).mask_bits() & same).ne(0)
            word = word | (touched.zext(I32) << sector)
        at = kit.load(I64, size, align=8)
        kit.store(word, place, at)
        kit.store(at + 4, size, align=8)
    end = kit.load(I64, size, align=8)
    pieces = ((end >> 2).trunc(I32) - 1) << PIECES_SHIFT
    kit.store(instruction | pieces | _head(kind, 0), place)
    _advance(kit, cursor, end)
    kit.ir.ret_void()
    return made


def _busiest(helpers: Helpers) -> ir.Function:
    """``(<32 x i64> sectors, mask) -> i32``: lanes in the sector that most lanes touch."""
    made, fresh = helpers.function("trace_busiest", I32, [LANES64, I32])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    values, mask = (Value(kit, a) for a in made.args)
    memory = kit.slot(LANES64)
    kit.store(values, memory, align=8)
    left, most = kit.slot(I32), kit.slot(I32)
    kit.store(mask, left)
    kit.store(kit.i32(0), most)
    with kit.loop(lambda: kit.load(I32, left).ne(0)):
        now = kit.load(I32, left)
        one = kit.load(I64, memory, kit.cttz(now).zext(I64) << 3, align=8)
        same = values.eq(one.splat(WARP_SIZE)).mask_bits() & now
        kit.store(now & ~same, left)
        count = kit.popcount(same)
        old = kit.load(I32, most)
        kit.store(count.ugt(old).where(count, old), most)
    kit.ir.ret(kit.load(I32, most).raw)
    return made


def point_at_warp(kit: Kit, context: Value, index: Value) -> None:
    """Emit: from now on the warp of this index runs; its cursor is where notes go."""
    table = kit.load(I64, context, offset_of(Context, "trace_table"), align=8)
    own = table + index * 16
    cursor = table.eq(0).where(table, own)
    kit.store(cursor, context, offset_of(Context, "trace"), align=8)
