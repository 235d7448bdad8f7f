"""Semantics of instructions that only Maxwell and Pascal have, or have in another form.

Carry and zero of a sum, and zero of a comparison, live in the condition code CC; a destination
marked ``.CC`` sets it. Sources: NVIDIA "CUDA Binary Utilities" (names), the maxas project's wiki
and grammar (https://github.com/NervanaSystems/maxas), Mesa's NAK compiler, and products checked
against numpy by the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kernprof.sim.irkit import F32, F64, I8, I16, I32, I64, Value
from kernprof.sim.layout import LOCAL_WINDOW, SHARED_WINDOW, Warp, offset_of
from kernprof.sim.memory import FULL, in_window
from kernprof.sim.operands import Constant, Immediate, Operand, Predicate, Register
from kernprof.sim.ops_float import (
    FLOAT,
    add,
    flush,
    function_unit,
    fused,
    multiply,
    relation,
    saturate,
    set_register,
)
from kernprof.sim.ops_integer import (
    COMPARISONS,
    Semantics,
    addend,
    combine,
    compare,
    is_negated,
    lookup,
    move,
    write_comparison,
)
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

_FLOAT_COMPARISONS = (
    *("LT", "EQ", "LE", "GT", "NE", "GE", "NUM", "NAN"),
    *("LTU", "EQU", "LEU", "GTU", "NEU", "GEU"),
)
_HALVES = ("H0", "H1")
_WIDTHS = MappingProxyType({"U8": 8, "S8": 8, "U16": 16, "S16": 16, "U32": 32, "S32": 32})


# Condition code ---------------------------------------------------------------------------------


def _flag(site: Site, field: str) -> Value:
    return site.kit.load(I32, site.warp, offset_of(Warp, field))


def _set_flag(site: Site, field: str, value: Value) -> None:
    """Set a flag of the lanes that are on."""
    bits = value.mask_bits() & site.on | _flag(site, field) & ~site.on
    site.kit.store(bits, site.warp, offset_of(Warp, field))


def condition_code(site: Site) -> Value:
    """Take ``CC,NEU`` and the like from the operands: the lanes for which it holds."""
    if site.next_special() != "CC":
        raise Refused("a condition that is not CC")
    name = site.next_special()
    zero = _flag(site, "zero")
    if name in ("EQ", "EQU"):
        return zero
    if name in ("NE", "NEU"):
        return ~zero
    raise Refused(f"condition code {name} is not known")


def _target(site: Site) -> tuple[Register, bool]:
    """Take the destination, and whether it sets the condition code."""
    found = site.next()
    if not isinstance(found, Register):
        raise Refused(f"operand {found} is no register")
    if found.modifiers not in ((), ("CC",)):
        raise Refused(f"destination modifier .{found.modifiers[0]} is not known")
    return replace(found, modifiers=()), bool(found.modifiers)


def _finish_sum(site: Site, target: Register, total: Value, *, sets: bool) -> None:
    """Write a sum of 64 bits; its bit 32 and above are the carry."""
    low = total.trunc(I32)
    site.write(target, low)
    if sets:
        _set_flag(site, "carry", (total >> 32).ne(0))
        _set_flag(site, "zero", low.eq(0))


def _carry_in(site: Site) -> Value:
    return _flag(site, "carry").mask_lanes().zext(I64)


# Integers ---------------------------------------------------------------------------------------


def sum2(site: Site) -> None:
    """IADD, IADD32I: a + b, with the carry under .X."""
    with_carry = site.modifiers.take("X")
    target, sets = _target(site)
    a, b = site.next(), site.next()
    if with_carry:
        total = _extended(site, a) + _extended(site, b) + _carry_in(site)
    else:
        total = addend(site, a) + addend(site, b)
    _finish_sum(site, target, total, sets=sets)


def _extended(site: Site, operand: Operand) -> Value:
    """Read an addend of a carried sum: the carry brings the 1 that a negated one lacks."""
    if isinstance(operand, (Register, Constant)) and operand.negate:
        return addend(site, replace(operand, negate=False, invert=True))
    return addend(site, operand)


def sum3(site: Site) -> None:
    """IADD3: three addends or halves of them; .LS and .RS shift the sum of the first two by 16.

    The shifted sum has 33 bits.
    """
    mods = site.modifiers
    with_carry, left, right = mods.take("X"), mods.take("LS"), mods.take("RS")
    target, sets = _target(site)
    operands = [_signed20(site, site.next()) for _ in range(3)]
    if with_carry:
        if left or right or sum(is_negated(o) for o in operands) > 1:
            raise Refused("this sum with a carry")
        a, b, c = (_extended(site, o) for o in operands)
    else:
        a, b, c = (_half_addend(site, o) for o in operands)
    if sets and (left or right):
        raise Refused("a carry out of a shifted sum")
    if right:
        total = ((a + b) >> 16) + c
    elif left:
        total = (((a + b) << 16) & FULL) + c
    else:
        total = a + b + c
    if with_carry:
        total = total + _carry_in(site)
    _finish_sum(site, target, total, sets=sets)


def _signed20(site: Site, operand: Operand) -> Operand:
    """Extend the sign of a constant: it has 20 bits, which the disassembler prints as they are."""
    if not isinstance(operand, Immediate) or operand.bits is None:
        return operand
    negative = 1 << 19 <= operand.bits < 1 << 20 and site.instruction.code >> 56 & 1
    return replace(operand, bits=operand.bits - (1 << 20)) if negative else operand


def _half_addend(site: Site, operand: Operand) -> Value:
    half, plain = _half(operand)
    if half is None:
        return addend(site, plain)
    if isinstance(plain, (Register, Constant)) and (plain.negate or plain.invert):
        raise Refused("a negated half")
    return (site.raw(plain) >> (16 * half) & 0xFFFF).zext(I64)


def _half(operand: Operand) -> tuple[int | None, Operand]:
    """Which half an operand names, and the operand without the mark."""
    if isinstance(operand, (Register, Constant)) and operand.modifiers:
        if len(operand.modifiers) > 1 or operand.modifiers[0] not in _HALVES:
            raise Refused(f"operand modifier .{operand.modifiers[0]} is not known")
        return int(operand.modifiers[0][1]), replace(operand, modifiers=())
    return None, operand


def multiply16(site: Site) -> None:
    """XMAD: product of two halves and an addend.

    .PSL shifts the product left by 16; .MRG puts the low half of b above the low half of the sum.
    The addend is c, its low (.CLO) or high half (.CHI), c plus b shifted left by 16 (.CBCC), or c
    less 2^16 for each factor that is negative while the other operand's low half is not zero
    (.CSFU: it undoes the sign of the cross products of a signed high product).
    """
    mods = site.modifiers
    kinds = [m for m in mods.left if m in ("U16", "S16")]
    mods.drop(("U16", "S16"))
    shift, merge = mods.take("PSL"), mods.take("MRG")
    how = mods.one_of(("CLO", "CHI", "CBCC", "CSFU"), "C")
    if mods.take("X"):
        raise Refused("a product with a carry")
    signed = [k == "S16" for k in (kinds * 2)[:2]] if kinds else [False, False]
    target, sets = _target(site)
    if sets:
        raise Refused("a carry out of a product")
    halves, whole = [], []
    for number in range(2):
        half, plain = _half(site.next())
        bits = site.raw(plain)
        if isinstance(plain, (Register, Constant)) and (plain.negate or plain.invert):
            raise Refused("a negated factor")
        word = (bits >> (16 * (half or 0))).trunc(I16)
        halves.append(word.extend(I32, signed=signed[number]))
        whole.append(bits)
    c = site.int32(site.next())
    product = halves[0] * halves[1]
    if shift:
        product = product << 16
    if how == "CLO":
        c = c & 0xFFFF
    elif how == "CHI":
        c = c >> 16
    elif how == "CBCC":
        c = c + (whole[1] << 16)
    elif how == "CSFU":
        for own, other in ((0, 1), (1, 0)):
            negative = halves[own].compare("<", 0, signed=True)
            counts = negative & (whole[other] & 0xFFFF).ne(0)
            c = c - (counts.zext(I32) << 16)
    total = product + c
    if merge:
        total = total & 0xFFFF | whole[1] << 16
    site.write(target, total)


def scaled_add(site: Site) -> None:
    """LEA, ISCADD, ISCADD32I: (a << s) + b; LEA.HI takes the upper word of the shifted pair.

    A predicate result tells whether the address that LEA and LEA.HI.X make is one of global memory:
    compiled code goes to shared memory where it is not.
    """
    mods = site.modifiers
    high, with_carry = mods.take("HI"), mods.take("X")
    out = site.optional_predicate()
    target, sets = _target(site)
    a, b = site.next(), site.next()
    if len(site.operands) == high:
        # The form without an amount, which makes generic addresses.
        site.operands.append(Immediate("0x0", 0, None))
    elif out is not None:
        raise Refused("a shifted sum with a predicate result")
    if high:
        if isinstance(a, (Register, Constant)) and (a.negate or a.invert or a.absolute):
            raise Refused("a marked operand of a high part")
        pair = site.raw(a).zext(I64) | site.int32(site.next()).zext(I64) << 32
        amount = site.next_number() & 31
        shifted = ((pair << amount) >> 32).trunc(I32)
    else:
        amount = site.next_number() & 31
        if sets and isinstance(a, (Register, Constant)) and a.negate:
            raise Refused("a carry out of a negated shift")
        shifted = site.int32(a) << amount
    total = shifted.zext(I64) + addend(site, b)
    if with_carry:
        total = total + _carry_in(site)
    if out is not None:
        if not (high and with_carry):
            raise Refused("a sum with a predicate result")
        address = site.raw(a).zext(I64) | total << 32
        inside = in_window(address, SHARED_WINDOW) | in_window(address, LOCAL_WINDOW)
        site.write_condition(out, ~inside)
    _finish_sum(site, target, total, sets=sets)


def shift_left(site: Site) -> None:
    """SHL: the amount clamps at 32, or wraps with .W."""
    _shift(site, right=False, signed=False)


def shift_right(site: Site) -> None:
    """SHR: signed unless .U32."""
    _shift(site, right=True, signed=not site.modifiers.take("U32"))


def _shift(site: Site, *, right: bool, signed: bool) -> None:
    site.modifiers.drop(("S32",))
    wrap = site.modifiers.take("W")
    target, sets = _target(site)
    if sets:
        raise Refused("a shift that sets the condition code")
    value, amount = site.int32(site.next()), site.int32(site.next())
    limit = site.kit.const(amount.type, 32)
    amount = amount & 31 if wrap else amount.ugt(32).where(limit, amount)
    wide, steps = value.extend(I64, signed=signed), amount.zext(I64)
    right_moved = wide.sar(steps) if signed else wide >> steps
    site.write(target, (right_moved if right else wide << steps).trunc(I32))


def funnel_shift(site: Site) -> None:
    """SHF: L gives the upper word of the pair shifted left, R the lower (.HI: upper) one."""
    mods = site.modifiers
    right = mods.one_of(("L", "R")) == "R"
    kind = mods.one_of(("U32", "S32", "U64", "S64"), "U32")
    high, wrap = mods.take("HI") or not right, mods.take("W")
    width = int(kind[1:])
    target, sets = _target(site)
    if sets:
        raise Refused("a shift that sets the condition code")
    low, amount, upper = (site.int32(site.next()) for _ in range(3))
    pair = low.zext(I64) | upper.zext(I64) << 32
    limit = site.kit.const(amount.type, width)
    amount = amount & (width - 1) if wrap else amount.ugt(width).where(limit, amount)
    steps = amount.zext(I64)
    # A shift of 64 in two steps: LLVM leaves the full width undefined.
    whole = steps.eq(64)
    step = whole.where(steps - 1, steps)
    if not right:
        moved = pair << step
        moved = whole.where(moved << 1, moved)
    elif kind[0] == "S":
        moved = pair.sar(step)
        moved = whole.where(moved.sar(1), moved)
    else:
        moved = pair >> step
        moved = whole.where(moved >> 1, moved)
    site.write(target, ((moved >> 32) if high else moved).trunc(I32))


def logic(site: Site) -> None:
    """LOP, LOP32I: AND, OR, XOR or the second operand; .NZ and .Z tell a predicate about it."""
    mods = site.modifiers
    how = mods.one_of(("AND", "OR", "XOR", "PASS_B"))
    test = mods.one_of(("NZ", "Z"), "")
    out = site.optional_predicate()
    target, sets = _target(site)
    a, b = site.int32(site.next()), site.int32(site.next())
    result = b if how == "PASS_B" else combine(how, a, b)
    _finish_logic(site, target, result, out, test, sets=sets)


def logic3(site: Site) -> None:
    """LOP3.LUT: any function of three words."""
    site.modifiers.take("LUT")
    test = site.modifiers.one_of(("NZ", "Z"), "")
    out = site.optional_predicate()
    target, sets = _target(site)
    a, b, c = (site.int32(site.next()) for _ in range(3))
    result = lookup(a, b, c, site.next_number())
    _finish_logic(site, target, result, out, test, sets=sets)


def _finish_logic(
    site: Site, target: Register, result: Value, out: Predicate | None, test: str, *, sets: bool
) -> None:
    site.write(target, result)
    if sets:
        raise Refused("a logic operation that sets the condition code")
    if out is not None:
        if not test:
            raise Refused("a predicate without a test")
        site.write_condition(out, result.ne(0) if test == "NZ" else result.eq(0))


def extract_bits(site: Site) -> None:
    """BFE: bits from b's byte 0 on, as many as its byte 1 says (PTX ISA, bfe); .BREV reverses."""
    signed, reverse = not site.modifiers.take("U32"), site.modifiers.take("BREV")
    target, sets = _target(site)
    if sets:
        raise Refused("a bit field that sets the condition code")
    value, control = site.int32(site.next()), site.int32(site.next())
    if reverse:
        value = site.kit.intrinsic("bitreverse", value)
    start, count = (control & 0xFF).zext(I64), (control >> 8 & 0xFF).zext(I64)
    most = site.kit.const(start.type, 32)
    start = start.ugt(32).where(most, start)
    count = count.ugt(32).where(most, count)
    moved = value.extend(I64, signed=signed).sar(start) if signed else value.zext(I64) >> start
    mask = (site.kit.const(start.type, 1) << count) - 1
    field = moved & mask
    if signed:
        # The sign is the field's highest bit, or bit 31 where the field goes beyond it.
        empty = count.eq(0)
        top = empty.where(count, count - 1)
        sign = (moved >> top & 1).ne(0) & ~empty
        field = sign.where(field | (mask ^ -1), field)
    site.write(target, field.trunc(I32))


def insert_bits(site: Site) -> None:
    """BFI: a's low bits into c, at the place and of the length that b says (PTX ISA, bfi)."""
    target, sets = _target(site)
    if sets:
        raise Refused("a bit field that sets the condition code")
    value, control, base = (site.int32(site.next()) for _ in range(3))
    start, count = (control & 0xFF).zext(I64), (control >> 8 & 0xFF).zext(I64)
    most = site.kit.const(start.type, 32)
    start = start.ugt(32).where(most, start)
    count = count.ugt(32).where(most, count)
    mask = ((site.kit.const(start.type, 1) << count) - 1) << start
    joined = value.zext(I64) << start & mask | base.zext(I64) & ~mask
    site.write(target, joined.trunc(I32))


def choose_integer(site: Site) -> None:
    """ICMP: the first of two where the third compares to zero as told."""
    how = site.modifiers.one_of(tuple(COMPARISONS))
    signed = not site.modifiers.take("U32")
    target, _ = _target(site)
    a, b, c = (site.int32(site.next()) for _ in range(3))
    site.write(target, c.compare(COMPARISONS[how], 0, signed=signed).where(a, b))


def choose_float(site: Site) -> None:
    """FCMP: the first of two where the third compares to zero as told.

    The disassembler leaves .GT out; the comparison is also in bits 51:48.
    """
    ftz = site.modifiers.take("FTZ")
    how = site.modifiers.one_of(_FLOAT_COMPARISONS, "")
    encoded = site.instruction.code >> 48 & 15
    if not 1 <= encoded <= len(_FLOAT_COMPARISONS):
        raise Refused("this comparison is not known")
    named = _FLOAT_COMPARISONS[encoded - 1]
    if how not in ("", named):
        raise Refused(f"the printed comparison {how} is not the encoded {named}")
    target, _ = _target(site)
    a, b = site.next(), site.next()
    third = site.float32(site.next())
    if ftz:
        third = flush(third)
    zero = site.kit.zero(site.word).as_float(third.element)
    chosen = relation(named, third, zero).where(
        site.float32(a).as_float(I32), site.float32(b).as_float(I32)
    )
    site.write(target, chosen)


def set_integer(site: Site) -> None:
    """ISET: all ones where the comparison holds; .CC notes whether the result is zero."""
    mods = site.modifiers
    how = mods.one_of(tuple(COMPARISONS))
    signed, number = not mods.take("U32"), mods.take("BF")
    join = mods.one_of(("AND", "OR", "XOR"))
    target, sets = _target(site)
    a, b = site.int32(site.next()), site.int32(site.next())
    other = site.condition(site.next_predicate())
    result = combine(join, a.compare(COMPARISONS[how], b, signed=signed), other)
    _finish_set(site, target, result, number=number, sets=sets)


def _finish_set(site: Site, target: Register, result: Value, *, number: bool, sets: bool) -> None:
    true = site.kit.const(site.word, 0x3F800000 if number else FULL)
    site.write(target, result.where(true, site.kit.zero(site.word)))
    if sets:
        _set_flag(site, "zero", ~result)


def set_float(site: Site) -> None:
    """FSET, also into the condition code."""
    first = site.operands[0]
    if not isinstance(first, Register) or not first.modifiers:
        set_register(site)
        return
    mods = site.modifiers
    ftz, number = mods.take("FTZ"), mods.take("BF")
    how = mods.one_of(_FLOAT_COMPARISONS)
    join = mods.one_of(("AND", "OR", "XOR"))
    target, sets = _target(site)
    a, b = site.float32(site.next()), site.float32(site.next())
    if ftz:
        a, b = flush(a), flush(b)
    result = combine(join, relation(how, a, b), site.condition(site.next_predicate()))
    _finish_set(site, target, result, number=number, sets=sets)


def compare_integers(site: Site) -> None:
    """ISETP; .X goes on from the condition code of the low words' difference."""
    if not site.modifiers.take("X"):
        compare(site)
        return
    mods = site.modifiers
    how = mods.one_of(tuple(COMPARISONS))
    signed = not mods.take("U32")
    join = mods.one_of(("AND", "OR", "XOR"))
    first, second = site.next_predicate(), site.next_predicate()
    a, b = site.int32(site.next()), site.int32(site.next())
    other = site.truth(site.next_predicate())
    same = a.eq(b).mask_bits()
    low_less = ~_flag(site, "carry")
    low_same = _flag(site, "zero")
    less = a.compare("<", b, signed=signed).mask_bits() | same & low_less
    equal = same & low_same
    result = {
        "LT": less,
        "GE": ~less,
        "EQ": equal,
        "NE": ~equal,
        "LE": less | equal,
        "GT": ~(less | equal),
    }[how]
    write_comparison(site, (first, second), join, result, other)


def set_predicates(site: Site) -> None:
    """PSETP: (a . b) . c for two operations on predicates, and the same with the first inverted."""
    first_how, second_how = _two_joins(site)
    first, second = site.next_predicate(), site.next_predicate()
    a, b, c = (site.truth(site.next_predicate()) for _ in range(3))
    write_comparison(site, (first, second), second_how, combine(first_how, a, b), c)


def predicates_to_word(site: Site) -> None:
    """PSET: all ones, or 1.0 with .BF, where (a . b) . c holds."""
    number = site.modifiers.take("BF")
    first_how, second_how = _two_joins(site)
    target, sets = _target(site)
    a, b, c = (site.condition(site.next_predicate()) for _ in range(3))
    result = combine(second_how, combine(first_how, a, b), c)
    _finish_set(site, target, result, number=number, sets=sets)


def _two_joins(site: Site) -> tuple[str, str]:
    joins = ("AND", "OR", "XOR")
    return site.modifiers.one_of(joins), site.modifiers.one_of(joins)


def convert_integer(site: Site) -> None:
    """I2I: between integer types; what does not fit is cut off."""
    names = [m for m in site.modifiers.left if m in _WIDTHS]
    site.modifiers.drop(names)
    if len(names) != 2:
        raise Refused("this conversion between integers is not known")
    target, sets = _target(site)
    if sets:
        raise Refused("a conversion that sets the condition code")
    operand = site.next()
    part = 0
    if isinstance(operand, Register) and operand.modifiers:
        part = int(operand.modifiers[0][1:]) * _WIDTHS[names[1]]
        operand = replace(operand, modifiers=())
    plain, negate = operand, False
    if isinstance(operand, (Register, Constant)):
        if operand.absolute and _WIDTHS[names[1]] < 32:
            raise Refused("magnitude of a narrow integer")
        negate = operand.negate
        plain = replace(operand, negate=False)
    value = _narrow(site.int32(plain) >> part, names[1])
    if negate:
        value = value.neg()
    site.write(target, _narrow(value, names[0]))


def _narrow(value: Value, kind: str) -> Value:
    """Low bits of a word as a type, extended again."""
    width = _WIDTHS[kind]
    if width == 32:
        return value
    return value.trunc(I8 if width == 8 else I16).extend(I32, signed=kind[0] == "S")


def extreme(site: Site) -> None:
    """VMNMX: the larger (.MX) or smaller (.MN) of two words, and of that and a third."""
    mods = site.modifiers
    kinds = [m for m in mods.left if m in ("UD", "SD", "U32", "S32")]
    mods.drop(kinds)
    if kinds not in ([], ["UD", "U32", "U32"], ["SD", "S32", "S32"]):
        raise Refused("this form of VMNMX is not known")
    signed = not kinds or kinds[0] == "SD"
    first = mods.one_of(("MX", "MN"))
    second = mods.one_of(("MAX", "MIN"))
    target, _ = _target(site)
    best = site.int32(site.next())
    for larger in (first == "MX", second == "MAX"):
        other = site.int32(site.next())
        less = best.compare("<", other, signed=signed)
        best = less.where(other, best) if larger else less.where(best, other)
    site.write(target, best)


# Floating point ---------------------------------------------------------------------------------


def convert_float(site: Site) -> None:
    """F2F; between equal types it rounds to a whole number."""
    mods = site.modifiers
    names = [m for m in mods.left if m in ("F16", "F32", "F64")]
    if names != ["F32", "F32"]:
        FLOAT["F2F"](site)
        return
    mods.drop(("F32",))
    ftz, sat = mods.take("FTZ"), mods.take("SAT")
    how = mods.one_of(("ROUND", "FLOOR", "CEIL", "TRUNC"), "")
    target = site.next_register()
    value = site.float32(site.next())
    if ftz:
        value = flush(value)
    if how:
        names_of = {"ROUND": "roundeven", "FLOOR": "floor", "CEIL": "ceil", "TRUNC": "trunc"}
        value = site.kit.intrinsic(names_of[how], value)
    site.write_float32(target, saturate(site, value) if sat else value)


def prepare(site: Site) -> None:
    """RRO: hands the operand on; the function unit, its only reader, computes from that.

    Hardware makes a fixed-point number here, of which the function unit takes the same function.
    """
    site.modifiers.one_of(("SINCOS", "EX2"))
    target = site.next_register()
    site.write(target, site.float32(site.next()).as_float(I32))


def unit_function(site: Site) -> None:
    """MUFU: sine and cosine are of radians here."""
    if not {"SIN", "COS"} & set(site.modifiers.left):
        function_unit(site)
        return
    name = site.modifiers.one_of(("SIN", "COS"))
    target = site.next_register()
    value = flush(site.float32(site.next()))
    found = site.kit.intrinsic(name.lower(), value.fpext(F64))
    site.write_float32(target, flush(found.fptrunc(F32)))


PASCAL: Mapping[str, Semantics] = MappingProxyType(
    {
        "IADD": sum2,
        "IADD32I": sum2,
        "IADD3": sum3,
        "XMAD": multiply16,
        "LEA": scaled_add,
        "ISCADD": scaled_add,
        "ISCADD32I": scaled_add,
        "SHL": shift_left,
        "SHR": shift_right,
        "SHF": funnel_shift,
        "LOP": logic,
        "LOP32I": logic,
        "LOP3": logic3,
        "BFE": extract_bits,
        "BFI": insert_bits,
        "ICMP": choose_integer,
        "FCMP": choose_float,
        "ISET": set_integer,
        "FSET": set_float,
        "ISETP": compare_integers,
        "PSETP": set_predicates,
        "PSET": predicates_to_word,
        "I2I": convert_integer,
        "VMNMX": extreme,
        "MOV32I": move,
        "FADD32I": add,
        "FMUL32I": multiply,
        "FFMA32I": fused,
        "F2F": convert_float,
        "RRO": prepare,
        "MUFU": unit_function,
    }
)
