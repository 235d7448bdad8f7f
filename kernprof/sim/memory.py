"""Compiled helpers for memory: mapping, checks, data movement and the exact counters.

Each helper handles one warp instruction. What it counts follows the definitions of Nsight Compute:

- a *request* is one warp instruction with at least one lane on;
- *sectors* are the distinct 32-byte blocks that the lanes of a request touch;
- shared-memory *wavefronts* are, per group of lanes that moves 128 bytes (32 lanes of 4 bytes, 16
  of 8, 8 of 16), the largest number of different words that fall into one of the 32 banks (CUDA
  C++ Programming Guide, "Shared Memory").
"""

from __future__ import annotations

from llvmlite import ir

from kernprof.sim.irkit import I1, I32, I64, PTR, Kit, Value, mangled, vector
from kernprof.sim.layout import (
    SHARED_BANKS,
    WARP_SIZE,
    WINDOW_BITS,
    Allocation,
    Context,
    offset_of,
)

FULL = 0xFFFFFFFF
LANES32 = vector(I32, WARP_SIZE)
LANES64 = vector(I64, WARP_SIZE)
GLOBAL, SHARED, LOCAL, GENERIC = "global", "shared", "local", "generic"
ALLOCATION_BYTES = 32
_VECTOR_ALIGN = 64


class Helpers:
    """Functions that compiled kernels call; each is made in the module when first asked for.

    Parameters
    ----------
    module
        Receives the functions.
    """

    checked = False

    def __init__(self, module: ir.Module) -> None:
        self.module = module

    def function(
        self, name: str, result: object, arguments: list[object]
    ) -> tuple[ir.Function, bool]:
        """Return the function of this name and whether it still needs its body."""
        found = self.module.globals.get(name)
        if found is not None:
            return found, False
        made = ir.Function(self.module, ir.FunctionType(result, arguments), name=name)
        made.linkage = "internal"
        made.calling_convention = "fastcc"
        made.attributes.add("noinline")
        return made, True

    def call(self, kit: Kit, function: ir.Function, *values: Value) -> Value:
        """Call a helper."""
        return Value(kit, kit.ir.call(function, [v.raw for v in values], cconv="fastcc"))

    def fault(self) -> ir.Function:
        """``fault(ctx, kind, instruction, lane, address)``: remember the first fault."""
        made, fresh = self.function("fault", ir.VoidType(), [PTR, I32, I32, I32, I64])
        if fresh:
            kit = Kit(self.module, made)
            context, kind, instruction, lane, address = (Value(kit, a) for a in made.args)
            at = offset_of(Context, "fault_kind")
            with kit.when(kit.load(I32, context, at).eq(0)):
                kit.store(kind, context, at)
                kit.store(instruction, context, offset_of(Context, "fault_instruction"))
                kit.store(lane, context, offset_of(Context, "fault_lane"))
                warp = kit.load(I32, context, offset_of(Context, "current_warp"))
                kit.store(warp, context, offset_of(Context, "fault_warp"))
                kit.store(address, context, offset_of(Context, "fault_address"), align=8)
            kit.ir.ret_void()
        return made

    def distinct(self) -> ir.Function:
        """``distinct(<32 x i64> values, i32 mask) -> i32``: number of different values."""
        made, fresh = self.function("distinct", I32, [LANES64, I32])
        if not fresh:
            return made
        kit = Kit(self.module, made)
        values, mask = (Value(kit, a) for a in made.args)
        before = values.shuffle([0, *range(WARP_SIZE - 1)])
        rising = values.uge(before).mask_bits()
        with kit.when(mask.eq(FULL) & rising.eq(FULL)):
            kit.ir.ret((kit.popcount(values.ne(before).mask_bits()) + 1).raw)
        memory = kit.slot(LANES64)
        kit.store(values, memory, align=8)
        left, found = kit.slot(I32), kit.slot(I32)
        kit.store(mask, left)
        kit.store(kit.i32(0), found)
        with kit.loop(lambda: kit.load(I32, left).ne(0)):
            now = kit.load(I32, left)
            one = kit.load(I64, memory, kit.cttz(now).zext(I64) << 3, align=8)
            same = values.eq(one.splat(WARP_SIZE)).mask_bits()
            kit.store(now & ~same, left)
            kit.store(kit.load(I32, found) + 1, found)
        kit.ir.ret(kit.load(I32, found).raw)
        return made

    def passes(self, size: int, *, merges: bool) -> ir.Function:
        """``passes(<32 x i32> address, i32 mask) -> i32``: shared-memory wavefronts.

        The number of groups with a lane on, which is the count without conflicts, is in the upper
        16 bits. Wide loads whose neighbours share data take half as many (``merges``; ``_merge``).
        """
        made, fresh = self.function(f"passes{size}{'m' if merges else ''}", I32, [LANES32, I32])
        if not fresh:
            return made
        kit = Kit(self.module, made)
        address, mask = (Value(kit, a) for a in made.args)
        groups = max(1, size // 4)
        width = WARP_SIZE // groups
        total = kit.slot(I32)
        kit.store(kit.i32(0), total)
        word = address & ~3
        lanes = mask.mask_lanes()
        low = lanes.where(word, kit.const(LANES32, FULL))
        high = lanes.where(word, kit.const(LANES32, 0))
        slow = self._conflicts(size)
        if groups > 1 and merges:
            self._merge(kit, word, mask, groups, size)
        for group in range(groups):
            members = kit.i32(((1 << width) - 1) << (group * width)) & mask
            with kit.when(members.ne(0)):
                kit.add_to(total, 0, kit.i32(1 << 16))
                part = list(range(group * width, (group + 1) * width))
                kind = mangled(vector(I32, width))
                first = kit.call(f"llvm.vector.reduce.umin.{kind}", I32, low.shuffle(part))
                last = kit.call(f"llvm.vector.reduce.umax.{kind}", I32, high.shuffle(part))
                near = (last - first).ule(4 * SHARED_BANKS - max(4, size))
                with kit.when(near):
                    kit.add_to(total, 0, kit.i32(1))
                with kit.when(~near):
                    kit.add_to(total, 0, self.call(kit, slow, word, members))
        kit.ir.ret(kit.load(I32, total).raw)
        return made

    def _merge(self, kit: Kit, word: Value, mask: Value, groups: int, size: int) -> None:
        """Return early where two lane groups of a wide load go in one pass.

        They do where every lane reads what its neighbour at distance 1 reads, or every lane what
        that at distance 2 reads, and the joint group has no conflict. Measured on sm_120 in
        https://github.com/cicuvc/nvidia-sass-document (shared_bank_conflicts.md); the counts of
        published profiles of sm_89 kernels agree.
        """
        width = 2 * WARP_SIZE // groups
        shared = kit.const(I1, 0)
        for distance in (1, 2):
            order = [lane ^ distance for lane in range(WARP_SIZE)]
            both = mask & mask.mask_lanes().shuffle(order).mask_bits()
            same = word.eq(word.shuffle(order)).mask_bits()
            shared = shared | (both & ~same).eq(0)
        with kit.when(shared):
            count, worst = kit.slot(I32), kit.slot(I32)
            kit.store(kit.i32(0), count)
            kit.store(kit.i32(0), worst)
            for group in range(groups // 2):
                members = kit.i32(((1 << width) - 1) << (group * width) & FULL) & mask
                found = self.call(kit, self._conflicts(size), word, members)
                kit.add_to(count, 0, members.ne(0).zext(I32))
                old = kit.load(I32, worst)
                kit.store(found.ugt(old).where(found, old), worst)
            with kit.when(kit.load(I32, worst).ule(1)):
                total = kit.load(I32, count)
                kit.ir.ret((total | total << 16).raw)

    def _conflicts(self, size: int) -> ir.Function:
        """Count the fullest bank of one group of lanes, equal addresses once."""
        made, fresh = self.function(f"conflicts{size}", I32, [LANES32, I32])
        if not fresh:
            return made
        kit = Kit(self.module, made)
        address, mask = (Value(kit, a) for a in made.args)
        memory, banks = kit.slot(LANES32), kit.slot(LANES32)
        left, worst = kit.slot(I32), kit.slot(I32)
        kit.store(address, memory)
        kit.store(kit.const(LANES32, 0), banks)
        kit.store(mask, left)
        kit.store(kit.i32(0), worst)
        with kit.loop(lambda: kit.load(I32, left).ne(0)):
            now = kit.load(I32, left)
            one = kit.load(I32, memory, kit.cttz(now).zext(I64) << 2)
            kit.store(now & ~address.eq(one.splat(WARP_SIZE)).mask_bits(), left)
            for step in range(max(1, size // 4)):
                bank = ((one >> 2) + step & (SHARED_BANKS - 1)).zext(I64) << 2
                count = kit.load(I32, banks, bank) + 1
                kit.store(count, banks, bank)
                old = kit.load(I32, worst)
                kit.store(count.ugt(old).where(count, old), worst)
        kit.ir.ret(kit.load(I32, worst).raw)
        return made

    def find(self) -> ir.Function:
        """``find(ctx, address, size) -> index``: allocation that holds an access, or -1."""
        made, fresh = self.function("find_allocation", I32, [PTR, I64, I64])
        if not fresh:
            return made
        kit = Kit(self.module, made)
        context, address, size = (Value(kit, a) for a in made.args)
        table = pointer(kit, context, "allocations")
        count = kit.load(I64, context, offset_of(Context, "allocation_count"), align=8)
        with kit.count(count) as index:
            at = index * ALLOCATION_BYTES
            base = kit.load(I64, table, at + offset_of(Allocation, "base"), align=8)
            extent = kit.load(I64, table, at + offset_of(Allocation, "size"), align=8)
            inside = address - base
            with kit.when(inside.ult(extent) & size.ule(extent - inside)):
                kit.ir.ret(index.trunc(I32).raw)
        kit.ir.ret(kit.i32(-1).raw)
        return made


def pointer(kit: Kit, context: Value, field: str, index: int = 0) -> Value:
    """Load a pointer field of the context."""
    return kit.load(PTR, context, offset_of(Context, field, index), align=8)


def in_window(address: Value, window: int) -> Value:
    """Tell which of the lanes' generic addresses are in a window."""
    return (address >> WINDOW_BITS).eq(window >> WINDOW_BITS)


def distinct_pieces(helpers: Helpers, kit: Kit, address: Value, mask: Value, size: int) -> Value:
    """Count the pieces of memory of a power-of-two size that the lanes' addresses fall into."""
    return helpers.call(kit, helpers.distinct(), address >> (size.bit_length() - 1), mask)


def each_lane(kit: Kit, mask: Value) -> _EachLane:
    """Loop over the set bits of a mask, lowest first; yields the lane as i32."""
    return _EachLane(kit, mask)


class _EachLane:
    def __init__(self, kit: Kit, mask: Value) -> None:
        self.kit = kit
        self.left = kit.slot(I32)
        kit.store(mask, self.left)
        self.scope = kit.loop(lambda: kit.load(I32, self.left).ne(0))

    def __enter__(self) -> Value:
        self.scope.__enter__()
        now = self.kit.load(I32, self.left)
        self.kit.store(now & (now - 1), self.left)
        return self.kit.cttz(now)

    def __exit__(self, *error: object) -> None:
        self.scope.__exit__(None, None, None)
