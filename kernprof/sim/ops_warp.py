"""Semantics of instructions that see the whole warp: votes, shuffles, special registers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kernprof.sim.checking import CheckedHelpers, meet
from kernprof.sim.irkit import I32, I64, Value
from kernprof.sim.layout import SHARED_WINDOW, WARP_SIZE, Context, Warp, offset_of
from kernprof.sim.memory import FULL, LANES32, each_lane
from kernprof.sim.operands import Immediate, Register
from kernprof.sim.ops_integer import Semantics
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

_LANES = tuple(range(WARP_SIZE))


def special(site: Site) -> None:
    """S2R, S2UR, CS2R: read a special register."""
    wide = site.modifiers.take("64")
    narrow = site.modifiers.take("32")
    target = site.next_register()
    name = site.next_special()
    if name == "SRZ":
        site.write(target, site.kit.zero(LANES32))
        if site.instruction.opcode == "CS2R" and not narrow:
            site.write(target, site.kit.zero(LANES32), 1)
        return
    if name.startswith(("SR_CLOCK", "SR_GLOBALTIMER")):
        pair = site.instruction.opcode == "CS2R" and not narrow and site.kernel.sm >= 70
        _clock(site, target, name, pair=pair or wide)
        return
    if wide or site.instruction.opcode == "CS2R":
        raise Refused(f"special register {name} is not known as a pair")
    value = _special(site, name)
    if target.uniform:
        value = value.at(site.kit.cttz(site.on) & (WARP_SIZE - 1))
    site.write(target, value)


def _clock(site: Site, target: Register, name: str, *, pair: bool) -> None:
    """Read the number of instructions that the warp has issued: a functional run has no cycles."""
    known = ("SR_CLOCKLO", "SR_CLOCKHI", "SR_GLOBALTIMERLO", "SR_GLOBALTIMERHI")
    if name not in known or (pair and name.endswith("HI")):
        raise Refused(f"special register {name} is not known")
    issued = site.kit.load(I64, site.warp, offset_of(Warp, "issued"), align=8)
    issued = issued - (site.behind + 1)
    words = [issued.trunc(I32), (issued >> 32).trunc(I32)]
    if not pair:
        words = [words[name.endswith("HI")]]
    for number, word in enumerate(words):
        site.write(target, word if target.uniform else word.splat(WARP_SIZE), number)


def _special(site: Site, name: str) -> Value:
    kit = site.kit
    if name.startswith("SR_TID."):
        return kit.load(LANES32, site.warp, offset_of(Warp, f"tid_{name[-1].lower()}"))
    if name.startswith("SR_CTAID."):
        at = offset_of(Context, "block_index", "XYZ".index(name[-1]))
        return kit.load(I32, site.context, at).splat(WARP_SIZE)
    if name == "SR_CgaCtaId":
        # A launch without clusters: every block is the first of its own.
        return kit.zero(LANES32)
    if name == "SR_SWINHI":
        return kit.const(LANES32, SHARED_WINDOW >> 32)
    if name == "SR_LANEID":
        return kit.sequence(_LANES)
    masks = {
        "SR_EQMASK": [1 << lane for lane in _LANES],
        "SR_LTMASK": [(1 << lane) - 1 for lane in _LANES],
        "SR_LEMASK": [(2 << lane) - 1 for lane in _LANES],
        "SR_GTMASK": [FULL & ~((2 << lane) - 1) for lane in _LANES],
        "SR_GEMASK": [FULL & ~((1 << lane) - 1) for lane in _LANES],
    }
    if name in masks:
        return kit.sequence(masks[name])
    raise Refused(f"special register {name} is not known")


def vote(site: Site) -> None:
    """VOTE, VOTEU: ballot, any, all, all-equal over the lanes that are on."""
    how = site.modifiers.one_of(("ANY", "ALL", "EQ"))
    target = None
    if isinstance(site.operands[0], Register):
        target = site.next_register()
    out = site.optional_predicate()
    source = site.optional_predicate()
    if source is None:
        out, source = None, out
    if source is None:
        raise Refused("a vote without a predicate")
    ballot = site.mask(source) & site.on
    if target is not None:
        site.write(target, ballot if target.uniform else ballot.splat(WARP_SIZE))
    if how == "ANY":
        result = ballot.ne(0)
    elif how == "ALL":
        result = ballot.eq(site.on)
    else:
        result = ballot.eq(0) | ballot.eq(site.on)
    if out is not None:
        site.write_condition(out, result if out.uniform else result.splat(WARP_SIZE))


def _sources(how: str, b: int, c: int) -> tuple[list[int], int]:
    """Source lane of each lane and the mask of lanes in range (PTX ISA, shfl)."""
    lanes, valid = [], 0
    segment, clamp = c >> 8 & 31, c & 31
    for lane in _LANES:
        highest = lane & segment | clamp & ~segment & 31
        lowest = lane & segment
        offset = b & 31
        if how == "UP":
            source = lane - offset
            good = source >= highest
        elif how == "DOWN":
            source = lane + offset
            good = source <= highest
        elif how == "BFLY":
            source = lane ^ offset
            good = source <= highest
        else:
            source = lowest | offset & ~segment & 31
            good = source <= highest
        lanes.append(source if good else lane)
        valid |= int(good) << lane
    return lanes, valid


def shuffle(site: Site) -> None:
    """SHFL: read another lane's register; out of range, or off, gives the lane's own value."""
    how = site.modifiers.one_of(("IDX", "UP", "DOWN", "BFLY"))
    out = site.next_predicate()
    target = site.next_register()
    value = site.int32(site.next())
    b, c = site.next(), site.next()
    kit = site.kit
    if isinstance(b, Immediate) and isinstance(c, Immediate):
        assert b.bits is not None
        assert c.bits is not None
        order, valid = _sources(how, b.bits, c.bits)
        moved = value.shuffle(order)
        there = site.on.mask_lanes().shuffle(order).mask_bits()
        good = there & valid
        result = there.mask_lanes().where(moved, value)
    else:
        source, inside = _dynamic_sources(site, how, site.int32(b), site.int32(c))
        memory, gathered, seen = kit.slot(LANES32), kit.slot(LANES32), kit.slot(I32)
        kit.store(value, memory)
        places = kit.slot(LANES32)
        kit.store(source, places)
        kit.store(value, gathered)
        kit.store(kit.i32(0), seen)
        with each_lane(kit, site.on) as lane:
            at = lane.zext(I64) << 2
            other = kit.load(I32, places, at)
            with kit.when((site.on >> other & 1).ne(0)):
                kit.store(kit.load(I32, memory, other.zext(I64) << 2), gathered, at)
                old = kit.load(I32, seen)
                kit.store(old | kit.i32(1) << lane, seen)
        result = kit.load(LANES32, gathered)
        good = kit.load(I32, seen) & inside.mask_bits()
    site.write(target, result)
    site.write_condition(out, good.mask_lanes())


def _dynamic_sources(site: Site, how: str, b: Value, c: Value) -> tuple[Value, Value]:
    kit = site.kit
    lane = kit.sequence(_LANES)
    segment, clamp, offset = c >> 8 & 31, c & 31, b & 31
    outside = (segment ^ 31) & 31
    lowest = lane & segment
    highest = lowest | clamp & outside
    if how == "UP":
        source = lane - offset
        good = source.compare(">=", highest, signed=True)
    else:
        if how == "DOWN":
            source = lane + offset
        elif how == "BFLY":
            source = lane ^ offset
        else:
            source = lowest | offset & outside
        good = source.compare("<=", highest, signed=True)
    return good.where(source, lane), good


def match(site: Site) -> None:
    """MATCH.ANY: mask of the lanes that hold the same value; MATCH.ALL: of all if all agree."""
    how = site.modifiers.one_of(("ANY", "ALL"))
    wide = site.modifiers.take("U64")
    out = site.optional_predicate()
    target = site.next_register()
    operand = site.next()
    kit = site.kit
    value = site.int64(operand) if wide else site.int32(operand).zext(I64)
    result = kit.slot(LANES32)
    kit.store(kit.const(LANES32, 0), result)
    with each_lane(kit, site.on) as lane:
        same = value.eq(value.at(lane).splat(WARP_SIZE)).mask_bits() & site.on
        kit.store(same, result, lane.zext(I64) << 2)
    found = kit.load(LANES32, result)
    if how == "ALL":
        all_same = found.eq(site.on.splat(WARP_SIZE))
        found = all_same.where(found, kit.const(LANES32, 0))
        site.write_condition(out, all_same)
    site.write(target, found)


def reduce_warp(site: Site) -> None:
    """REDUX: one value out of those of all lanes that are on."""
    how = site.modifiers.one_of(("SUM", "MIN", "MAX", "AND", "OR", "XOR"), "AND")
    signed = site.modifiers.take("S32")
    site.modifiers.drop(("U32",))
    target = site.next_register()
    value = site.int32(site.next())
    kit = site.kit
    names = {"SUM": "add", "AND": "and", "OR": "or", "XOR": "xor"}
    neutral = {"SUM": 0, "AND": FULL, "OR": 0, "XOR": 0}
    if how in ("MIN", "MAX"):
        name = ("s" if signed else "u") + how.lower()
        edge = {"smin": 0x7FFFFFFF, "smax": 0x80000000, "umin": FULL, "umax": 0}[name]
    else:
        name, edge = names[how], neutral[how]
    filled = site.on.mask_lanes().where(value, kit.const(LANES32, edge))
    total = kit.call(f"llvm.vector.reduce.{name}.v32i32", I32, filled)
    site.write(target, total if target.uniform else total.splat(WARP_SIZE))


def to_uniform(site: Site) -> None:
    """R2UR: the value of the first lane that is on.

    A predicate result tells that lanes hold different values; compiled code then doesn't treat a
    mask of lanes as that of all.
    """
    out = site.optional_predicate()
    target = site.next_register()
    source = site.int32(site.next())
    if out is not None:
        if not target.is_zero or out.uniform:
            raise Refused("R2UR with a register and a predicate")
        first = source.at(site.kit.cttz(site.on) & (WARP_SIZE - 1))
        differs = (source.ne(first.splat(WARP_SIZE)).mask_bits() & site.on).ne(0)
        site.write_condition(out, differs.splat(WARP_SIZE))
        return
    value = source.at(site.kit.cttz(site.on) & (WARP_SIZE - 1))
    if site.guarded and site.guard_bit is None and target.uniform and not target.is_zero:
        # Under a guard of the lanes: nothing happens where no lane is on.
        at = site.place(target)
        old = site.kit.load(I32, site.warp, at)
        site.kit.store(site.on.ne(0).where(value, old), site.warp, at)
        return
    site.write(target, value)


def no_effect(site: Site) -> None:
    """Instructions that order or hint, and change no register."""
    site.operands.clear()
    site.modifiers.left.clear()


def no_operation(site: Site) -> None:
    """NOP: what ptxas leaves of a ``__syncwarp()`` over lanes that are together anyway."""
    if isinstance(site.helpers, CheckedHelpers):
        meet(site.kit, site.helpers, site.context, site.on)
    no_effect(site)


WARP: Mapping[str, Semantics] = MappingProxyType(
    {
        "S2R": special,
        "S2UR": special,
        "CS2R": special,
        "VOTE": vote,
        "VOTEU": vote,
        "SHFL": shuffle,
        "MATCH": match,
        "REDUX": reduce_warp,
        "R2UR": to_uniform,
        "NOP": no_operation,
        "MEMBAR": no_effect,
        "ERRBAR": no_effect,
        "CGAERRBAR": no_effect,
        "CCTL": no_effect,
        "DEPBAR": no_effect,
        "LDGDEPBAR": no_effect,
    }
)
