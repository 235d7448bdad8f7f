"""Loads and stores of one warp instruction: mapping, checks, counters, movement."""

from __future__ import annotations

from llvmlite import ir

from kernprof.sim import checking
from kernprof.sim.irkit import I1, I8, I16, I32, I64, PTR, Kit, Value, mangled
from kernprof.sim.layout import (
    LINE_BYTES,
    LOCAL_WINDOW,
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
    FULL,
    GENERIC,
    GLOBAL,
    LANES32,
    LANES64,
    LOCAL,
    SHARED,
    Helpers,
    distinct_pieces,
    each_lane,
    in_window,
    pointer,
)
from kernprof.sim.shadow import FoundKind, Space
from kernprof.sim.tracing import Access as TraceAccess
from kernprof.sim.tracing import note_lines, note_shared

_VECTOR_ALIGN = 64


def access(
    helpers: Helpers,
    space: str,
    size: int,
    *,
    store: bool,
    signed: bool = False,
    rows: bool = False,
) -> ir.Function:
    """Return the load or store of ``size`` bytes a lane.

    The function takes (ctx, instruction, addresses, mask, data): ``data`` points to one <32 x i32>
    per 32-bit word, filled by a load and read by a store. Lanes that would fault touch nothing.
    With ``rows`` a shared load is that of rows of matrices, whose passes never merge.
    """
    kind = LANES64 if space in (GLOBAL, GENERIC) else LANES32
    name = f"{space}_{'store' if store else 'load'}{size}{'s' if signed else ''}"
    name += "_rows" if rows else ""
    made, fresh = helpers.function(name, ir.VoidType(), [PTR, I32, kind, I32, PTR])
    if fresh and space == GENERIC:
        _split(helpers, made, size, store=store, signed=signed)
    elif fresh:
        _Access(helpers, made, space, size, store, signed, merges=not (store or rows)).emit()
    return made


def _split(helpers: Helpers, made: ir.Function, size: int, *, store: bool, signed: bool) -> None:
    """Emit a generic access: lanes go to global, shared or local memory by their address.

    Each space that lanes go to is a request of its own.
    """
    kit = Kit(helpers.module, made)
    context, instruction, address, mask, data = (Value(kit, a) for a in made.args)
    shared = in_window(address, SHARED_WINDOW).mask_bits() & mask
    local = in_window(address, LOCAL_WINDOW).mask_bits() & mask
    slot = instruction.zext(I64) << 3
    near = (address & ((1 << WINDOW_BITS) - 1)).trunc(I32)
    sectors = pointer(kit, context, "sectors")
    for space, lanes in ((GLOBAL, mask & ~shared & ~local), (SHARED, shared), (LOCAL, local)):
        with kit.when(lanes.ne(0)):
            before = kit.load(I64, sectors, slot, align=8)
            target = access(helpers, space, size, store=store, signed=signed)
            where = address if space == GLOBAL else near
            helpers.call(kit, target, context, instruction, where, lanes, data)
            if space != GLOBAL:
                kit.add_to(pointer(kit, context, f"generic_{space}"), slot, kit.i64(1))
            if space == LOCAL:
                more = kit.load(I64, sectors, slot, align=8) - before
                kit.add_to(pointer(kit, context, "generic_local_sectors"), slot, more)
    kit.ir.ret_void()


class _Access:
    """Emits one access helper."""

    def __init__(
        self,
        helpers: Helpers,
        made: ir.Function,
        space: str,
        size: int,
        store: bool,
        signed: bool,
        *,
        merges: bool,
    ) -> None:
        self.helpers = helpers
        self.merges = merges
        self.space = space
        self.size = size
        self.is_store = store
        self.signed = signed
        self.words = max(1, size // 4)
        self.kit = kit = Kit(helpers.module, made)
        self.context, self.instruction, self.address, self.mask, self.data = (
            Value(kit, a) for a in made.args
        )

    def emit(self) -> None:
        kit = self.kit
        with kit.when(self.mask.eq(0)):
            kit.ir.ret_void()
        slot = self.instruction.zext(I64) << 3
        kit.add_to(pointer(kit, self.context, "requests"), slot, kit.i64(1))
        if isinstance(self.helpers, checking.CheckedHelpers):
            self._emit_checked(self.helpers, slot)
            return
        mask = self._aligned(self.mask)
        base, offset, mask = self._map(mask)
        self._count(offset, base, mask, slot)
        self._move(base, offset, mask)
        kit.ir.ret_void()

    def _emit_checked(self, helpers: checking.CheckedHelpers, slot: Value) -> None:
        """Do the same in a checked build: lanes go one by one unless nothing can be wrong."""
        kit = self.kit
        checking.next_access(kit, self.context)
        if self.space == GLOBAL:
            self._quick(slot)
        with each_lane(kit, self.mask) as lane:
            self._check_lane(helpers, lane)
        self._count(self.address, pointer(kit, self.context, "shared"), self.mask, slot)
        kit.ir.ret_void()

    def _quick(self, slot: Value) -> None:
        """Return early where all lanes are in one allocation that is defined all over."""
        kit = self.kit
        table = pointer(kit, self.context, "allocations")
        first = self.address.at(kit.cttz(self.mask) & (WARP_SIZE - 1))
        found = self.helpers.call(kit, self.helpers.find(), self.context, first, kit.i64(self.size))
        with kit.when(found.ne(-1)):
            base, offset, inside = self._inside(table, found, self.mask)
            odd = (self.address & (self.size - 1)).ne(0).mask_bits() & self.mask
            record = checking.written_global(kit, self.context, found)
            plain = Value(kit, kit.ir.ptrtoint(record.raw, I64)).eq(0)
            good = inside.eq(self.mask) & odd.eq(0) & plain
            if self.is_store:
                at = found.zext(I64) * ALLOCATION_BYTES + offset_of(Allocation, "writable")
                good = good & kit.load(I64, table, at, align=8).ne(0)
            with kit.when(good):
                self._count(offset, base, self.mask, slot)
                self._move(base, offset, self.mask)
                kit.ir.ret_void()

    def _check_lane(self, helpers: checking.CheckedHelpers, lane: Value) -> None:
        """Check and move one lane's bytes."""
        kit = self.kit
        address = self.address.at(lane).zext(I64)
        spaces = {GLOBAL: Space.GLOBAL, SHARED: Space.SHARED, LOCAL: Space.LOCAL}
        size = self.size
        where = checking.Where(
            self.instruction, lane, kit.i32(spaces[self.space]), address, kit.i32(size)
        )

        def bad(kind: FoundKind) -> None:
            checking.report(kit, helpers, self.context, kit.i32(kind), where)

        odd = (address & (size - 1)).ne(0)
        with kit.when(odd, likely=False):
            bad(FoundKind.MISALIGNED)
        if self.space == GLOBAL:
            found = helpers.call(kit, helpers.find(), self.context, address, kit.i64(size))
            there = found.ne(-1)
        else:
            name = "shared_bytes" if self.space == SHARED else "local_bytes"
            extent = kit.load(I64, self.context, offset_of(Context, name), align=8)
            there = (address + size).ule(extent)
        with kit.when(~there & ~odd, likely=False):
            bad(FoundKind.OUT_OF_BOUNDS)
        with kit.when(there & ~odd):
            if self.space == GLOBAL:
                self._use_global(helpers, found, where)
            elif self.space == SHARED:
                self._use_shared(helpers, where)
            else:
                self._use_local(helpers, where)

    def _use_global(
        self, helpers: checking.CheckedHelpers, found: Value, where: checking.Where
    ) -> None:
        kit = self.kit
        table = pointer(kit, self.context, "allocations")
        at = found.zext(I64) * ALLOCATION_BYTES
        base = kit.load(I64, table, at + offset_of(Allocation, "base"), align=8)
        host = kit.load(PTR, table, at + offset_of(Allocation, "host"), align=8)
        good = kit.const(I1, 1)
        if self.is_store:
            good = kit.load(I64, table, at + offset_of(Allocation, "writable"), align=8).ne(0)
            with kit.when(~good, likely=False):
                kind = kit.i32(FoundKind.READ_ONLY)
                checking.report(kit, helpers, self.context, kind, where)
        with kit.when(good):
            checking.use_global(
                kit, helpers, self.context, found, where, self.size,
                reads=not self.is_store, writes=self.is_store,
            )  # fmt: skip
            self._one(kit.address(host, where.address - base), where.lane)

    def _use_shared(self, helpers: checking.CheckedHelpers, where: checking.Where) -> None:
        kit = self.kit
        place = kit.address(pointer(kit, self.context, "shared"), where.address)
        written = checking.written_shared(kit, self.context, where.address)
        how = checking.WRITE if self.is_store else checking.READ
        changed = [self._changed(place, where.lane, word) for word in range(self.words)]
        checking.touch(kit, helpers, self.context, where, how, self.size, changed)
        self._mind_written(helpers, written, where)
        self._one(place, where.lane)

    def _use_local(self, helpers: checking.CheckedHelpers, where: checking.Where) -> None:
        kit = self.kit
        extent = kit.load(I64, self.context, offset_of(Context, "local_bytes"), align=8)
        warp = kit.load(I32, self.context, offset_of(Context, "current_warp"))
        thread = ((warp << 5) + where.lane).zext(I64)
        offset = thread * extent + where.address
        self._mind_written(helpers, checking.written_local(kit, self.context, offset), where)
        self._one(kit.address(pointer(kit, self.context, "local"), offset), where.lane)

    def _mind_written(
        self, helpers: checking.CheckedHelpers, written: Value, where: checking.Where
    ) -> None:
        if self.is_store:
            checking.mark_written(self.kit, written, self.size)
        else:
            checking.need_written(self.kit, helpers, self.context, written, where, self.size)

    def _changed(self, place: Value, lane: Value, word: int) -> Value:
        """Bits of a word in memory that one lane's store changes; 0 for a load."""
        kit = self.kit
        if not self.is_store:
            return kit.i32(0)
        new = kit.load(I32, self.data, (lane.zext(I64) << 2) + 128 * word)
        if self.size >= 4:
            return new ^ kit.load(I32, place, 4 * word)
        element = I8 if self.size == 1 else I16
        return (new.trunc(element) ^ kit.load(element, place, align=self.size)).zext(I32)

    def _fault(self, kind: FaultKind, bad: Value) -> None:
        kit = self.kit
        with kit.when(bad.ne(0), likely=False):
            lane = kit.cttz(bad)
            at = self.address.at(lane).zext(I64)
            self.helpers.call(
                kit, self.helpers.fault(), self.context, kit.i32(kind), self.instruction, lane, at
            )

    def _aligned(self, mask: Value) -> Value:
        if self.size == 1:
            return mask
        odd = (self.address & (self.size - 1)).ne(0).mask_bits() & mask
        self._fault(FaultKind.MISALIGNED, odd)
        return mask & ~odd

    def _map(self, mask: Value) -> tuple[Value, Value, Value]:
        """Return host base, offsets from it and the mask of lanes that may access."""
        kit = self.kit
        if self.space == GLOBAL:
            return self._map_global(mask)
        field = "shared_bytes" if self.space == SHARED else "local_bytes"
        extent = kit.load(I64, self.context, offset_of(Context, field), align=8).trunc(I32)
        limit = extent.uge(self.size).where(extent - (self.size - 1), kit.i32(0))
        bad = mask & ~self.address.ult(limit.splat(WARP_SIZE)).mask_bits()
        self._fault(FaultKind.OUT_OF_BOUNDS, bad)
        mask = mask & ~bad
        if self.space == SHARED:
            return pointer(kit, self.context, "shared"), self.address, mask
        warp = kit.load(I32, self.context, offset_of(Context, "current_warp")).zext(I64)
        start = warp * extent.zext(I64) * WARP_SIZE
        lanes = kit.sequence(range(WARP_SIZE)) * extent.splat(WARP_SIZE)
        base = kit.address(pointer(kit, self.context, "local"), start)
        return base, self.address + lanes, mask

    def _map_global(self, mask: Value) -> tuple[Value, Value, Value]:
        """Find the one allocation that all lanes touch; lanes in others go one by one."""
        kit = self.kit
        cache = pointer(kit, self.context, "allocation_cache")
        place = self.instruction.zext(I64) << 2
        table = pointer(kit, self.context, "allocations")
        good = kit.slot(I32)
        kit.store(self._inside(table, kit.load(I32, cache, place), mask)[2], good)
        with kit.when(kit.load(I32, good).ne(mask), likely=False):
            first = self.address.at(kit.cttz(mask) & (WARP_SIZE - 1))
            found = self.helpers.call(
                kit, self.helpers.find(), self.context, first, kit.i64(self.size)
            )
            with kit.when(found.ne(-1) & mask.ne(0)):
                kit.store(found, cache, place)
        base, offset, inside = self._inside(table, kit.load(I32, cache, place), mask)
        rest = mask & ~inside
        with kit.when(rest.ne(0), likely=False), each_lane(kit, rest) as lane:
            self._lonely(table, lane)
        if self.is_store:
            index = kit.load(I32, cache, place).zext(I64) * ALLOCATION_BYTES
            flag = kit.load(I64, table, index + offset_of(Allocation, "writable"), align=8)
            bad = flag.eq(0).where(inside, kit.i32(0))
            self._fault(FaultKind.READ_ONLY, bad)
            inside = inside & ~bad
        return base, offset, inside

    def _inside(self, table: Value, index: Value, mask: Value) -> tuple[Value, Value, Value]:
        kit = self.kit
        at = index.zext(I64) * ALLOCATION_BYTES
        base = kit.load(I64, table, at + offset_of(Allocation, "base"), align=8)
        extent = kit.load(I64, table, at + offset_of(Allocation, "size"), align=8)
        host = kit.load(PTR, table, at + offset_of(Allocation, "host"), align=8)
        offset = self.address - base.splat(WARP_SIZE)
        limit = extent.uge(self.size).where(extent - (self.size - 1), kit.i64(0))
        return host, offset, offset.ult(limit.splat(WARP_SIZE)).mask_bits() & mask

    def _lonely(self, table: Value, lane: Value) -> None:
        """Access of one lane through its own allocation."""
        kit = self.kit
        address = self.address.at(lane)
        found = self.helpers.call(
            kit, self.helpers.find(), self.context, address, kit.i64(self.size)
        )
        with kit.when(found.eq(-1)):
            self.helpers.call(
                kit,
                self.helpers.fault(),
                self.context,
                kit.i32(FaultKind.OUT_OF_BOUNDS),
                self.instruction,
                lane,
                address,
            )
        with kit.when(found.ne(-1)):
            at = found.zext(I64) * ALLOCATION_BYTES
            base = kit.load(I64, table, at + offset_of(Allocation, "base"), align=8)
            host = kit.load(PTR, table, at + offset_of(Allocation, "host"), align=8)
            if self.is_store:
                flag = kit.load(I64, table, at + offset_of(Allocation, "writable"), align=8)
                with kit.when(flag.eq(0)):
                    self.helpers.call(
                        kit,
                        self.helpers.fault(),
                        self.context,
                        kit.i32(FaultKind.READ_ONLY),
                        self.instruction,
                        lane,
                        address,
                    )
                with kit.when(flag.ne(0)):
                    self._one(kit.address(host, address - base), lane)
            else:
                self._one(kit.address(host, address - base), lane)

    def _one(self, pointer: Value, lane: Value) -> None:
        """Move one lane's bytes between memory and its place in the data vectors."""
        kit = self.kit
        place = lane.zext(I64) << 2
        if self.size < 4:
            element = I8 if self.size == 1 else I16
            if self.is_store:
                kit.store(kit.load(I32, self.data, place).trunc(element), pointer, align=self.size)
            else:
                value = kit.load(element, pointer, align=self.size)
                kit.store(value.extend(I32, signed=self.signed), self.data, place)
            return
        for word in range(self.words):
            if self.is_store:
                kit.store(kit.load(I32, self.data, place + 128 * word), pointer, 4 * word)
            else:
                kit.store(kit.load(I32, pointer, 4 * word), self.data, place + 128 * word)

    def _count(self, offset: Value, base: Value, mask: Value, slot: Value) -> None:
        kit = self.kit
        if self.space == SHARED:
            found = self.helpers.call(
                kit, self.helpers.passes(self.size, merges=self.merges), self.address, mask
            )
            total, groups = found & 0xFFFF, found >> 16
            kit.add_to(pointer(kit, self.context, "wavefronts"), slot, total.zext(I64))
            more = (total - groups).zext(I64)
            kit.add_to(pointer(kit, self.context, "conflicts"), slot, more)
            note_shared(kit, self.helpers, self.context, self.instruction, found)
            return
        if self.space == LOCAL:
            # Local memory interleaves the 32 lanes word by word, so that equal addresses are
            # neighbours (CUDA C++ Programming Guide, "Local Memory").
            words = self.address.zext(I64) >> 2
            where = (words << 7) + (kit.sequence(range(WARP_SIZE), I64) << 2)
            touched = kit.slot(I32)
            kit.store(kit.i32(0), touched)
            for word in range(self.words):
                sector = (where + 128 * word) >> 5
                found = self.helpers.call(kit, self.helpers.distinct(), sector, self.mask)
                kit.add_to(touched, 0, found)
                note_lines(
                    kit,
                    self.helpers,
                    self.context,
                    self.instruction,
                    where + 128 * word,
                    self.mask,
                    TraceAccess.LOCAL,
                )
            count = kit.load(I32, touched)
        else:
            count = distinct_pieces(self.helpers, kit, self.address, self.mask, SECTOR_BYTES)
            lines = distinct_pieces(self.helpers, kit, self.address, self.mask, LINE_BYTES)
            kit.add_to(pointer(kit, self.context, "lines"), slot, lines.zext(I64))
            note_lines(
                kit,
                self.helpers,
                self.context,
                self.instruction,
                self.address,
                self.mask,
                TraceAccess.GLOBAL,
                self.size,
                store=self.is_store,
            )
        kit.add_to(pointer(kit, self.context, "sectors"), slot, count.zext(I64))

    def _move(self, base: Value, offset: Value, mask: Value) -> None:
        kit = self.kit
        if self.size < 4:
            with each_lane(kit, mask) as lane:
                self._one(kit.address(base, offset.at(lane).zext(I64)), lane)
            return
        start = offset.at(0)
        steps = kit.sequence([lane * self.size for lane in range(WARP_SIZE)], offset.element)
        dense = offset.eq(start.splat(WARP_SIZE) + steps).mask_bits()
        full = mask.eq(FULL)
        with kit.when(full & dense.eq(FULL)):
            self._dense(kit.address(base, start.zext(I64)))
            kit.ir.ret_void()
        if not self.is_store:
            same = offset.eq(start.splat(WARP_SIZE)).mask_bits()
            with kit.when(full & same.eq(FULL)):
                for word in range(self.words):
                    one = kit.load(I32, base, start.zext(I64) + 4 * word)
                    self._put(word, one.splat(WARP_SIZE))
                kit.ir.ret_void()
        lanes = mask.mask_lanes()
        for word in range(self.words):
            pointers = kit.address(base, offset.zext(I64) + 4 * word)
            kind = f"{mangled(LANES32)}.v{WARP_SIZE}p0"
            if self.is_store:
                kit.call(
                    f"llvm.masked.scatter.{kind}",
                    ir.VoidType(),
                    self._take(word),
                    pointers,
                    4,
                    lanes,
                )
            else:
                zero = kit.const(LANES32, 0)
                found = kit.call(f"llvm.masked.gather.{kind}", LANES32, pointers, 4, lanes, zero)
                # Lanes that went one by one have their data already.
                old = self._take(word)
                self._put(word, lanes.where(found, old))

    def _take(self, word: int) -> Value:
        return self.kit.load(LANES32, self.data, 128 * word, align=_VECTOR_ALIGN)

    def _put(self, word: int, value: Value) -> None:
        self.kit.store(value, self.data, 128 * word, align=_VECTOR_ALIGN)

    def _dense(self, pointer: Value) -> None:
        """All lanes, neighbouring addresses: whole vectors, words taken apart or put together."""
        kit = self.kit
        words = self.words
        if not self.is_store:
            for word in range(words):
                parts = []
                for piece in range(words):
                    whole = kit.load(LANES32, pointer, 128 * piece)
                    parts.append(whole)
                if words == 1:
                    self._put(0, parts[0])
                elif words == 2:
                    self._put(word, parts[0].shuffle(range(word, 64, 2), parts[1]))
                else:
                    low = parts[0].shuffle(range(word, 64, 4), parts[1])
                    high = parts[2].shuffle(range(word, 64, 4), parts[3])
                    self._put(word, low.shuffle(range(WARP_SIZE), high))
            return
        values = [self._take(word) for word in range(words)]
        for piece in range(words):
            first = piece * WARP_SIZE // words
            count = WARP_SIZE // words
            if words == 1:
                out = values[0]
            elif words == 2:
                order = [first + i // 2 + WARP_SIZE * (i % 2) for i in range(WARP_SIZE)]
                out = values[0].shuffle(order, values[1])
            else:
                pick = [first + i // 2 + WARP_SIZE * (i % 2) for i in range(2 * count)]
                even = values[0].shuffle(pick, values[1])
                odd = values[2].shuffle(pick, values[3])
                order = []
                for i in range(count):
                    order += [2 * i, 2 * i + 1, 2 * count + 2 * i, 2 * count + 2 * i + 1]
                out = even.shuffle(order, odd)
            kit.store(out, pointer, 128 * piece)
