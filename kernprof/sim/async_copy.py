"""LDGSTS: copies from global to shared memory that a warp does not wait for (sm_80 and newer).

The bytes move when the instruction is issued, which is one of the orders that the hardware allows:
a copy is done at the latest when its group is waited for. What waits (LDGDEPBAR, DEPBAR) has no
other effect then. Counted are the access to global memory and the passes of the store.
"""

from __future__ import annotations

from llvmlite import ir

from kernprof.sim import checking
from kernprof.sim.access import access
from kernprof.sim.irkit import I8, I32, I64, PTR, Kit, Value
from kernprof.sim.layout import (
    LINE_BYTES,
    SECTOR_BYTES,
    WARP_SIZE,
    Allocation,
    FaultKind,
    offset_of,
)
from kernprof.sim.memory import (
    ALLOCATION_BYTES,
    GLOBAL,
    LANES32,
    LANES64,
    SHARED,
    Helpers,
    distinct_pieces,
    each_lane,
    pointer,
)
from kernprof.sim.shadow import Space
from kernprof.sim.tracing import Access, note_lines

_ROW_BYTES = 4 * WARP_SIZE


def copy_to_shared(helpers: Helpers, size: int, *, fills: bool) -> ir.Function:
    """Return the copy of ``size`` bytes a lane: 4, 8 or 16.

    The function takes (ctx, instruction, shared addresses, global addresses, mask, whole). With
    ``fills`` the lower bits of a global address tell how many bytes at the end are zero instead of
    copied, and lanes that are not in ``whole`` get zeros only.
    """
    name = f"copy_to_shared{size}{'z' if fills else ''}"
    made, fresh = helpers.function(name, ir.VoidType(), [PTR, I32, LANES32, LANES64, I32, I32])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, instruction, near, far, mask, whole = (Value(kit, a) for a in made.args)
    data = kit.slot(ir.ArrayType(LANES32, 4), align=64)
    for word in range(size // 4):
        kit.store(kit.zero(LANES32), data, _ROW_BYTES * word, align=64)
    with kit.when(mask.eq(0)):
        kit.ir.ret_void()
    slot = instruction.zext(I64) << 3
    if fills:
        _fill(helpers, kit, size, context, instruction, far, mask & whole, data)
    else:
        load = access(helpers, GLOBAL, size, store=False)
        helpers.call(kit, load, context, instruction, far, mask, data)
    store = access(helpers, SHARED, size, store=True)
    helpers.call(kit, store, context, instruction, near, mask, data)
    kit.add_to(pointer(kit, context, "generic_shared"), slot, kit.i64(1))
    kit.ir.ret_void()
    return made


def _fill(
    helpers: Helpers,
    kit: Kit,
    size: int,
    context: Value,
    instruction: Value,
    far: Value,
    mask: Value,
    data: Value,
) -> None:
    """Copy the bytes in front of those that are zero; no other byte of the source is touched."""
    base = far & ~(size - 1)
    with kit.when(mask.ne(0)):
        slot = instruction.zext(I64) << 3
        kit.add_to(pointer(kit, context, "requests"), slot, kit.i64(1))
        for field, piece in (("sectors", SECTOR_BYTES), ("lines", LINE_BYTES)):
            count = distinct_pieces(helpers, kit, base, mask, piece).zext(I64)
            kit.add_to(pointer(kit, context, field), slot, count)
        note_lines(kit, helpers, context, instruction, base, mask, Access.GLOBAL, size)
    with each_lane(kit, mask) as lane:
        start = base.at(lane)
        count = kit.i64(size) - (far.at(lane) & (size - 1))
        found = helpers.call(kit, helpers.find(), context, start, count)
        with kit.when(found.eq(-1)):
            kind = kit.i32(FaultKind.OUT_OF_BOUNDS)
            helpers.call(kit, helpers.fault(), context, kind, instruction, lane, start)
        with kit.when(found.ne(-1)):
            table = pointer(kit, context, "allocations")
            at = found.zext(I64) * ALLOCATION_BYTES
            host = kit.load(PTR, table, at + offset_of(Allocation, "host"), align=8)
            first = start - kit.load(I64, table, at + offset_of(Allocation, "base"), align=8)
            with kit.count(count) as byte:
                if isinstance(helpers, checking.CheckedHelpers):
                    where = checking.Where(
                        instruction, lane, kit.i32(Space.GLOBAL), start + byte, kit.i32(1)
                    )
                    checking.use_global(
                        kit, helpers, context, found, where, 1, reads=True, writes=False
                    )
                value = kit.load(I8, host, first + byte, align=1)
                place = (lane.zext(I64) << 2) + (byte >> 2) * _ROW_BYTES + (byte & 3)
                kit.store(value, data, place, align=1)
