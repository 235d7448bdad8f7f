"""Barriers of a block: BAR and B2R inside a warp, and opening them from the loop over warps.

A block has 16 barriers. A warp waits at one with all of its lanes, each of which may come on its
own; it counts as 32 threads, as does a warp that only arrives (BAR.ARV). A barrier opens when the
threads that its count tells have come, or all that still live where it has no count. A reducing
barrier (BAR.RED) gives its warps the count, conjunction or disjunction of a predicate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernprof.sim.checking import CheckedHelpers, look_at_barrier, next_epoch
from kernprof.sim.irkit import I32, I64, Kit, Value
from kernprof.sim.layout import WARP_SIZE, Context, Warp, offset_of
from kernprof.sim.limits import BLOCK_BARRIERS
from kernprof.sim.memory import Helpers
from kernprof.sim.operands import Immediate, Operand, Predicate, Register
from kernprof.sim.program import Instruction, Kernel
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

if TYPE_CHECKING:
    from kernprof.sim.translate import Translator

RUNNABLE, AT_BARRIER, DONE = 0, 1, 2
_POPC, _AND, _OR = 1, 2, 3
_COUNT_SHIFT, _COUNT_MASK = 16, 0xFFF
_MIXED = (
    "lanes of one warp at different barriers, an arrival of a part of a warp, or a thread count "
    "that is no multiple of 32"
)


def _number_and_count(site: Site) -> tuple[Value, Value]:
    """Read which barrier, and how many threads it waits for; 0 are all.

    One register may hold both: the number in its lower four bits, the count from bit 16 on.
    """
    kit = site.kit
    lane = kit.cttz(site.on) & (WARP_SIZE - 1)

    def read(operand: Operand) -> Value:
        if isinstance(operand, Immediate):
            return kit.i32(operand.bits or 0)
        return site.int32(operand).at(lane)

    first = site.next()
    second: Operand | None = None
    if site.operands and not isinstance(site.operands[0], Predicate):
        second = site.next()
    number = read(first) & (BLOCK_BARRIERS - 1)
    if second is None:
        return number, kit.i32(0)
    if isinstance(first, Register) and first == second:
        return number, read(second) >> _COUNT_SHIFT & _COUNT_MASK
    return number, read(second)


def block_barrier(translator: Translator, site: Site, after: int) -> None:
    """BAR: wait (SYNC, RED) or only arrive (ARV)."""
    kit, mods = translator.kit, site.modifiers
    mods.drop(("DEFER_BLOCKING",))
    how = mods.one_of(("SYNC", "ARV", "RED"))
    reduction = mods.one_of(("POPC", "AND", "OR")) if how == "RED" else ""
    mods.finish()
    if site.guarded:
        none, some = kit.block("no_lane_at_barrier"), kit.block("lanes_at_barrier")
        kit.branch(site.on.eq(0), none, some)
        kit.at_end(none)
        translator.go(after)
        kit.at_end(some)
    number, count = _number_and_count(site)
    condition = site.next_predicate() if how == "RED" else None
    site.finish()
    came = translator.get("at_barrier")
    if not translator.one_barrier:
        _refuse_mixed(translator, site, number, count, how)
    if how == "ARV":
        at = (number.zext(I64) << 2) + offset_of(Context, "barrier_arrived")
        arrived = kit.load(I32, translator.context, at)
        kit.store(arrived + WARP_SIZE, translator.context, at)
        translator.go(after)
        return
    translator.park(site.active, after)
    translator.set("at_barrier", came | site.on)
    translator.set("barrier_number", number)
    translator.set("barrier_count", count)
    if condition is not None:
        kind = {"POPC": _POPC, "AND": _AND, "OR": _OR}[reduction]
        translator.set("barrier_kind", kit.i32(kind))
        earlier = translator.get("barrier_true") & came
        translator.set("barrier_true", earlier | site.mask(condition) & site.on)
    translator.set("ready", translator.get("ready") & ~site.on)
    kit.jump(translator.schedule)


def _refuse_mixed(
    translator: Translator, site: Site, number: Value, count: Value, how: str
) -> None:
    """Stop where warps are not what barriers count."""
    kit = translator.kit
    wrong = translator.get("at_barrier").ne(0) & translator.get("barrier_number").ne(number)
    wrong = wrong | (count & (WARP_SIZE - 1)).ne(0)
    if how == "ARV":
        wrong = wrong | site.on.ne(translator.get("live")) | count.eq(0)
    with kit.when(wrong, likely=False):
        translator.refuse(site.instruction, site.active, _MIXED)


def only_whole_block(kernel: Kernel) -> bool:
    """Whether all barriers of a kernel are number 0 without a count."""
    return all(
        isinstance(i.operands[0], Immediate)
        and i.operands[0].bits == 0
        and not any(isinstance(o, (Immediate, Register)) for o in i.operands[1:])
        for i in kernel.instructions
        if i.opcode == "BAR"
    )


def barrier_result(translator: Translator, instruction: Instruction, active: Value) -> None:
    """B2R.RESULT: what the reducing barrier found; a truth value goes to a predicate."""
    kit = translator.kit
    site = translator.site(instruction, active)
    if not site.modifiers.take("RESULT"):
        raise Refused("this form of B2R is not known")
    target, out = site.next_register(), site.optional_predicate()
    site.finish()
    counts = translator.get("barrier_kind").eq(_POPC)
    wrong = counts if target.is_zero else ~counts
    with kit.when(wrong & site.on.ne(0), likely=False):
        translator.refuse(instruction, active, "a barrier's truth value in a register")
    result = translator.get("barrier_result")
    site.write(target, result.splat(WARP_SIZE))
    if out is not None:
        site.write_condition(out, result.ne(0).splat(WARP_SIZE))


def open_barriers(
    kit: Kit, helpers: Helpers, context: Value, warps: Value, stride: Value, warp_count: Value
) -> Value:
    """Emit: open every barrier that is complete; returns how many were."""
    present, opened = kit.slot(I32), kit.slot(I32)
    kit.store(kit.i32(0), present)
    kit.store(kit.i32(0), opened)
    left = kit.slot(I32)
    kit.store(kit.i32(0), left)

    def each_warp(body: Callable[[Value, Value], None]) -> None:
        with kit.count(warp_count) as index:
            warp = kit.address(warps, index * stride)
            body(warp, kit.load(I32, warp, offset_of(Warp, "state")))

    def note(warp: Value, state: Value) -> None:
        kit.store(kit.load(I32, left) + state.ne(DONE).zext(I32), left)
        with kit.when(state.eq(AT_BARRIER)):
            number = kit.load(I32, warp, offset_of(Warp, "barrier_number"))
            kit.store(kit.load(I32, present) | kit.i32(1) << number, present)

    each_warp(note)
    with kit.loop(lambda: kit.load(I32, present).ne(0)):
        now = kit.load(I32, present)
        kit.store(now & (now - 1), present)
        number = kit.cttz(now)
        here, count, true, false = (kit.slot(I32) for _ in range(4))
        for slot in (here, count, true, false):
            kit.store(kit.i32(0), slot)

        def here_too(warp: Value, state: Value, number: Value = number) -> Value:
            own = kit.load(I32, warp, offset_of(Warp, "barrier_number"))
            return state.eq(AT_BARRIER) & own.eq(number)

        def gather(
            warp: Value,
            state: Value,
            here: Value = here,
            count: Value = count,
            true: Value = true,
            false: Value = false,
        ) -> None:
            with kit.when(here_too(warp, state)):
                kit.add_to(here, 0, kit.i32(1))
                own = kit.load(I32, warp, offset_of(Warp, "barrier_count"))
                kit.store(kit.load(I32, count) | own, count)
                lanes = kit.load(I32, warp, offset_of(Warp, "at_barrier"))
                holds = kit.load(I32, warp, offset_of(Warp, "barrier_true")) & lanes
                kit.add_to(true, 0, kit.popcount(holds))
                kit.add_to(false, 0, kit.popcount(lanes & ~holds))

        each_warp(gather)
        arrived = (number.zext(I64) << 2) + offset_of(Context, "barrier_arrived")
        came = kit.load(I32, here) * WARP_SIZE + kit.load(I32, context, arrived)
        wanted = kit.load(I32, count)
        everyone = kit.load(I32, left) * WARP_SIZE
        with kit.when(came.uge(wanted.eq(0).where(everyone, wanted))):
            kit.add_to(opened, 0, kit.i32(1))
            kit.store(kit.i32(0), context, arrived)
            if isinstance(helpers, CheckedHelpers):
                # Different places are an error where the whole block must come to the same one.
                with kit.when((number | wanted).eq(0)):
                    look_at_barrier(kit, helpers, context, warps, stride, warp_count)
                next_epoch(kit, context)

            def let_go(warp: Value, state: Value, true: Value = true, false: Value = false) -> None:
                with kit.when(here_too(warp, state)):
                    _let_go(kit, warp, kit.load(I32, true), kit.load(I32, false))

            each_warp(let_go)
    return kit.load(I32, opened)


def _let_go(kit: Kit, warp: Value, true: Value, false: Value) -> None:
    def at(field: str) -> int:
        return offset_of(Warp, field)

    kind = kit.load(I32, warp, at("barrier_kind"))
    both = kind.eq(_AND).where(false.eq(0).zext(I32), true.ne(0).zext(I32))
    kit.store(kind.eq(_POPC).where(true, both), warp, at("barrier_result"))
    kit.store(kit.load(I32, warp, at("at_barrier")), warp, at("ready"))
    for field in ("at_barrier", "barrier_true"):
        kit.store(kit.i32(0), warp, at(field))
    kit.store(kit.i32(RUNNABLE), warp, at("state"))


def clear_arrivals(kit: Kit, context: Value) -> None:
    """Emit: a block begins without arrivals."""
    for number in range(BLOCK_BARRIERS):
        kit.store(kit.i32(0), context, offset_of(Context, "barrier_arrived", number))
