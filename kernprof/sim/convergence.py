"""Convergence barriers and warp-wide waits of Volta and newer, as code of the compiled warp.

A lane that takes part in a convergence barrier remembers with whom (BSSY: all lanes that are on).
Memory for that is per lane: two sides of a branch use the same barrier's number for different
lanes, and one side may wait in it while the other side begins. BSYNC holds a lane until all of its
mask that still live have come; BREAK takes lanes out of the masks of the others.

WARPSYNC waits for the live lanes of a mask in the same way. Its collective form (sm_90) then runs
the instructions up to ENDCOLLECTIVE for the lanes of a mask at once, wherever they came from and
apart from those of other masks, and sends each lane back to its own place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from kernprof.sim.checking import CheckedHelpers, meet
from kernprof.sim.irkit import I32, I64, PTR, Kit, Value
from kernprof.sim.layout import WARP_SIZE, Warp, offset_of
from kernprof.sim.limits import CONVERGENCE_BARRIERS
from kernprof.sim.memory import FULL, LANES32, Helpers, each_lane
from kernprof.sim.operands import Register, Special
from kernprof.sim.program import Instruction, target_of
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

if TYPE_CHECKING:
    from kernprof.sim.translate import Translator

_WAITING = ir.VectorType(I32, CONVERGENCE_BARRIERS)


def _members_at(number: int) -> int:
    return offset_of(Warp, "members", WARP_SIZE * number)


def barrier_number(site: Site) -> int:
    """Take the operand that names a convergence barrier."""
    name = site.next_special()
    if not (name.startswith("B") and name[1:].isdigit()):
        raise Refused(f"{name} is no convergence barrier")
    return int(name[1:])


def _own_bits(kit: Kit, masks: Value) -> Value:
    """Lanes that are in their own mask."""
    return (masks >> kit.sequence(range(WARP_SIZE)) & 1).ne(0).mask_bits()


def arm(translator: Translator, instruction: Instruction, active: Value) -> None:
    """BSSY: the lanes that are on take part, with each other."""
    kit = translator.kit
    site = translator.site(instruction, active)
    number = barrier_number(site)
    if target_of(instruction) is None:
        raise Refused("BSSY without a target")
    site.operands.pop()
    site.modifiers.drop(("RELIABLE", "RECONVERGENT"))
    site.finish()
    _put_masks(kit, translator.warp, _members_at(number), site.on, site.on.splat(WARP_SIZE))


def _put_masks(kit: Kit, warp: Value, at: int, lanes: Value, masks: Value) -> None:
    old = kit.load(LANES32, warp, at, align=64)
    kit.store(lanes.mask_lanes().where(masks, old), warp, at, align=64)


def _missing(kit: Kit, masks: Value, absent: Value, lanes: Value) -> Value:
    """Lanes of a group whose masks hold one of the lanes that are not there."""
    return (masks & absent.splat(WARP_SIZE)).ne(0).mask_bits() & lanes


def synchronise(translator: Translator, site: Site, after: int) -> None:
    """BSYNC: wait for the lanes of one's mask; lanes that left by BREAK do not wait."""
    kit, warp = translator.kit, translator.warp
    number = barrier_number(site)
    site.modifiers.drop(("RELIABLE", "RECONVERGENT"))
    site.finish()
    if site.guarded:
        raise Refused("BSYNC under a guard")
    masks = kit.load(LANES32, warp, _members_at(number), align=64)
    absent = translator.get("live") & ~site.active
    missing = _missing(kit, masks, absent, site.active)
    together, apart = kit.block("together"), kit.block("apart")
    kit.branch(missing.eq(0), together, apart)
    kit.at_end(together)
    translator.go(after)
    kit.at_end(apart)
    arriving = site.active & _own_bits(kit, masks)
    translator.park(site.active, after)
    translator.set("waiting", translator.get("waiting", number) | arriving, number)
    translator.set("ready", translator.get("ready") & ~arriving)
    release(translator)
    kit.jump(translator.schedule)


def leave(translator: Translator, site: Site, after: int) -> None:
    """BREAK: lanes take themselves out of a barrier, and out of the masks of the others."""
    kit = translator.kit
    number = barrier_number(site)
    if (extra := site.optional_predicate()) is not None and not extra.is_true:
        raise Refused("BREAK with a predicate operand")
    site.finish()
    at = _members_at(number)
    masks = kit.load(LANES32, translator.warp, at, align=64)
    kit.store(masks & (~site.on).splat(WARP_SIZE), translator.warp, at, align=64)
    with kit.when(translator.get("waiting", number).ne(0)):
        release(translator)
    translator.go(after)


def move(translator: Translator, instruction: Instruction, active: Value) -> None:
    """BMOV: a barrier's mask to a register (and empty it), or back."""
    kit = translator.kit
    site = translator.site(instruction, active)
    mods = site.modifiers
    mods.drop(("32",))
    clear = mods.take("CLEAR")
    first, second = site.next(), site.next()
    name = second if isinstance(second, Special) else first
    site.operands = [name]
    number = barrier_number(site)
    site.finish()
    if site.guarded:
        raise Refused("BMOV under a guard")
    at = _members_at(number)
    if isinstance(first, Register) and isinstance(second, Special):
        site.write(first, kit.load(LANES32, translator.warp, at, align=64))
        if clear:
            _put_masks(kit, translator.warp, at, active, kit.const(LANES32, 0))
        return
    if isinstance(first, Special) and isinstance(second, Register) and not clear:
        _put_masks(kit, translator.warp, at, active, site.int32(second))
        return
    raise Refused("this form of BMOV is not known")


def warp_sync(translator: Translator, site: Site, after: int) -> None:
    """WARPSYNC: wait for the live lanes of a mask, one's own where it comes from a register."""
    kit, warp = translator.kit, translator.warp
    mods = site.modifiers
    collective = mods.take("COLLECTIVE")
    everyone = mods.take("ALL")
    mods.finish()
    target = target_of(site.instruction) if collective else None
    if collective:
        if target is None or site.guarded:
            raise Refused("this form of a collective wait is not known")
        site.operands.pop()
    masks = kit.const(LANES32, FULL) if everyone else site.int32(site.next())
    if site.operands:
        raise Refused(f"operand {site.operands[0]} is not expected")
    if site.guarded:
        none, some = kit.block("nobody_syncs"), kit.block("some_sync")
        kit.branch(site.on.eq(0), none, some)
        kit.at_end(none)
        translator.go(after)
        kit.at_end(some)
    absent = translator.get("live") & ~site.on
    missing = _missing(kit, masks, absent, site.on)
    if target is not None:
        _put_masks(kit, warp, offset_of(Warp, "collect_pc"), site.on, kit.const(LANES32, target))
        _put_masks(kit, warp, offset_of(Warp, "sync_masks"), site.on, masks)
        translator.set("inside", translator.get("inside") | site.on)
        # The lanes of different masks go on one after another.
        first = masks.at(kit.cttz(site.on) & (WARP_SIZE - 1))
        missing = missing | masks.ne(first.splat(WARP_SIZE)).mask_bits() & site.on
    together, apart = kit.block("together"), kit.block("apart")
    kit.branch(missing.eq(0), together, apart)
    kit.at_end(together)
    if isinstance(translator.helpers, CheckedHelpers):
        _meet_sets(kit, translator.helpers, translator.context, masks, site.on)
    translator.go(after)
    kit.at_end(apart)
    _put_masks(kit, warp, offset_of(Warp, "sync_masks"), site.on, masks)
    translator.park(site.active, after)
    translator.set("sync_waiting", translator.get("sync_waiting") | site.on)
    if collective:
        translator.set("collecting", translator.get("collecting") | site.on)
    translator.set("ready", translator.get("ready") & ~site.on)
    release(translator)
    kit.jump(translator.schedule)


def _meet_sets(
    kit: Kit, helpers: CheckedHelpers, context: Value, masks: Value, lanes: Value
) -> None:
    """Note that the lanes of each mask have met."""
    memory = kit.slot(LANES32, align=64)
    kit.store(masks, memory, align=64)
    left = kit.slot(I32)
    kit.store(lanes, left)
    with kit.loop(lambda: kit.load(I32, left).ne(0)):
        now = kit.load(I32, left)
        mask = kit.load(I32, memory, kit.cttz(now).zext(I64) << 2)
        same = masks.eq(mask.splat(WARP_SIZE)).mask_bits() & now
        kit.store(now & ~same, left)
        meet(kit, helpers, context, same)


def same_collective(translator: Translator, lane: Value) -> Value:
    """Lanes that may run together with one: those of its mask, or none that are in a collective."""
    kit, warp = translator.kit, translator.warp
    inside = translator.get("inside")
    at = offset_of(Warp, "sync_masks")
    masks = kit.load(LANES32, warp, at, align=64)
    mask = kit.load(I32, warp, (lane.zext(I64) << 2) + at)
    same = masks.eq(mask.splat(WARP_SIZE)).mask_bits() & inside
    return (inside >> lane & 1).ne(0).where(same, ~inside)


def end_collective(translator: Translator, site: Site, after: int) -> None:
    """ENDCOLLECTIVE: each lane goes on where its WARPSYNC said."""
    del after
    kit = translator.kit
    site.finish()
    if site.guarded:
        raise Refused("ENDCOLLECTIVE under a guard")
    places = kit.load(LANES32, translator.warp, offset_of(Warp, "collect_pc"), align=64)
    translator.park(site.active, places)
    translator.set("inside", translator.get("inside") & ~site.active)
    kit.jump(translator.schedule)


def release(translator: Translator) -> None:
    """Let go all lanes that nobody is missing for any more."""
    translator.helpers.call(
        translator.kit, _release(translator.helpers), translator.context, translator.warp
    )


def release_after_exit(translator: Translator) -> None:
    """Do the same where lanes that are gone may be what others wait for."""
    kit = translator.kit
    waiting = kit.load(_WAITING, translator.warp, offset_of(Warp, "waiting"))
    somebody = kit.call("llvm.vector.reduce.or.v16i32", I32, waiting)
    with kit.when((somebody | translator.get("sync_waiting")).ne(0), likely=False):
        release(translator)


def _release(helpers: Helpers) -> ir.Function:
    made, fresh = helpers.function("release_lanes", ir.VoidType(), [PTR, PTR])
    if not fresh:
        return made
    kit = Kit(helpers.module, made)
    context, warp = (Value(kit, a) for a in made.args)
    live = kit.load(I32, warp, offset_of(Warp, "live"))

    def make_ready(lanes: Value) -> None:
        at = offset_of(Warp, "ready")
        kit.store(kit.load(I32, warp, at) | lanes, warp, at)

    with kit.count(kit.i64(CONVERGENCE_BARRIERS)) as number:
        place = (number << 2) + offset_of(Warp, "waiting")
        waiting = kit.load(I32, warp, place)
        with kit.when(waiting.ne(0)):
            at = (number << 7) + offset_of(Warp, "members")
            masks = kit.load(LANES32, warp, at, align=64)
            there = waiting & ~_missing(kit, masks, live & ~waiting, waiting)
            kit.store(waiting & ~there, warp, place)
            make_ready(there)
    came = kit.load(I32, warp, offset_of(Warp, "sync_waiting"))
    with kit.when(came.ne(0)):
        free = _free_syncs(kit, helpers, context, warp, came, live)
        for name in ("sync_waiting", "collecting"):
            field = offset_of(Warp, name)
            kit.store(kit.load(I32, warp, field) & ~free, warp, field)
        make_ready(free)
    kit.ir.ret_void()
    return made


def _free_syncs(
    kit: Kit, helpers: Helpers, context: Value, warp: Value, came: Value, live: Value
) -> Value:
    """Lanes at a WARPSYNC whose whole mask waits there with the same mask."""
    at = offset_of(Warp, "sync_masks")
    masks = kit.load(LANES32, warp, at, align=64)
    free = kit.slot(I32)
    kit.store(kit.i32(0), free)
    with each_lane(kit, came) as lane:
        mask = kit.load(I32, warp, (lane.zext(I64) << 2) + at)
        same = masks.eq(mask.splat(WARP_SIZE)).mask_bits() & came
        whole = (mask & live & ~same).eq(0)
        with kit.when(whole & kit.cttz(same).eq(lane)):
            kit.store(kit.load(I32, free) | same, free)
            if isinstance(helpers, CheckedHelpers):
                meet(kit, helpers, context, same)
            collecting = kit.load(I32, warp, offset_of(Warp, "collecting")) & same
            with kit.when(collecting.ne(0)):
                # One of the places where they wait runs the instructions for all.
                places = offset_of(Warp, "lane_pc")
                one = kit.load(I32, warp, (kit.cttz(collecting).zext(I64) << 2) + places)
                _put_masks(kit, warp, places, collecting, one.splat(WARP_SIZE))
    return kit.load(I32, free)
