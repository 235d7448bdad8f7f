"""Semantics of integer and bit instructions.

Sources: NVIDIA "CUDA Binary Utilities" (names), PTX ISA (the operations behind them), and the
executable definitions in Mesa's NAK compiler (carry rules), checked by the differential tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kernprof.sim.irkit import I1, I8, I32, I64, Value, vector
from kernprof.sim.operands import Constant, Immediate, Operand, Predicate, Register
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

Semantics = Callable[[Site], None]
COMPARISONS = {"LT": "<", "LE": "<=", "GT": ">", "GE": ">=", "EQ": "==", "NE": "!="}


def combine(how: str, left: Value, right: Value) -> Value:
    """Join two truth values by AND, OR or XOR."""
    if how == "AND":
        return left & right
    return left | right if how == "OR" else left ^ right


def move(site: Site) -> None:
    """MOV, UMOV: copy; the lane mask operand of MOV must be 0xf."""
    site.modifiers.drop(("U32",))
    target = site.next_register()
    value = site.int32(site.next())
    if site.operands and site.next_number() != 0xF:
        raise Refused("moves part of a quad")
    site.write(target, value)


def is_negated(operand: Operand) -> bool:
    """Whether a minus stands before the operand."""
    return isinstance(operand, (Register, Constant)) and operand.negate


def addend(site: Site, operand: Operand) -> Value:
    """Read one addend as 64 bits: -x counts as ~x + 1, so that its carry is that of the adder."""
    value = site.raw(operand).zext(I64)
    if isinstance(operand, (Register, Constant)):
        if operand.absolute:
            raise Refused("magnitude of an addend")
        if operand.invert or operand.negate:
            value = value ^ 0xFFFFFFFF
        if operand.negate:
            value = value + 1
    return value


def add3(site: Site) -> None:
    """IADD3: three addends; carry-outs say whether the sum passed 2^32 and 2^33."""
    carry = site.modifiers.take("X")
    target = site.next_register()
    outs = []
    while (out := site.optional_predicate()) is not None:
        outs.append(out)
    total = site.kit.zero(vector(I64, site.lanes))
    for _ in range(3):
        total = total + addend(site, site.next())
    if carry:
        while (into := site.optional_predicate()) is not None:
            total = total + site.condition(into).zext(I64)
    site.write(target, total.trunc(I32))
    for number, out in enumerate(outs):
        site.write_condition(out, (total >> 32).ugt(number))


def multiply_add(site: Site) -> None:
    """IMAD: low word, high word (.HI, with a 64-bit addend) or all 64 bits (.WIDE)."""
    mods = site.modifiers
    mods.drop(("MOV", "SHL", "IADD"))
    signed = not mods.take("U32")
    wide, high, carry = mods.take("WIDE"), mods.take("HI"), mods.take("X")
    target = site.next_register()
    out = site.optional_predicate()
    a, b, c = site.next(), site.next(), site.next()
    into = site.next_predicate() if carry else None
    if not wide and not high:
        if out is not None and not out.is_true:
            raise Refused("a carry out of a 32-bit product")
        total = site.int32(a) * site.int32(b) + site.int32(c)
        if into is not None:
            total = total + site.condition(into).zext(I32)
        site.write(target, total)
        return
    for operand in (a, b):
        if is_negated(operand) and high:
            raise Refused("a negated factor of a high product")
    product = site.raw(a).extend(I64, signed=signed) * site.raw(b).extend(I64, signed=signed)
    negative = is_negated(a) != is_negated(b)
    if negative:
        product = product.neg()
    addend = site.int64(c, signed=signed)
    total = product + addend
    extra = total.ult(addend)
    if into is not None:
        more = site.condition(into).zext(I64)
        total = total + more
        extra = extra | (total.ult(more))
    if out is not None:
        if negative or is_negated(c):
            raise Refused("a carry out of a difference of products")
        site.write_condition(out, extra)
    if wide:
        site.write64(target, total)
    else:
        site.write(target, (total >> 32).trunc(I32))


def compare(site: Site) -> None:
    """ISETP: compare, join with a predicate; .EX decides on the low words' result when equal."""
    mods = site.modifiers
    how = mods.one_of(tuple(COMPARISONS))
    signed = not mods.take("U32")
    join = mods.one_of(("AND", "OR", "XOR"))
    extended = mods.take("EX")
    first, second = site.next_predicate(), site.next_predicate()
    a, b = site.int32(site.next()), site.int32(site.next())
    other = site.truth(site.next_predicate())
    result = a.compare(COMPARISONS[how], b, signed=signed).mask_bits()
    if extended:
        same = a.eq(b).mask_bits()
        result = same & site.truth(site.next_predicate()) | ~same & result
    write_comparison(site, (first, second), join, result, other)


def write_comparison(
    site: Site, targets: tuple[Predicate, Predicate], join: str, result: Value, other: Value
) -> None:
    """Write a comparison, and its opposite, joined with a predicate; all are one bit a lane."""
    for target, value in zip(targets, (result, ~result), strict=True):
        site.write_condition(target, combine(join, value, other))


def minimum_maximum(site: Site) -> None:
    """IMNMX, VIMNMX: the smaller where the predicate holds, else the larger."""
    signed = not site.modifiers.take("U32")
    site.modifiers.drop(("S32",))
    target = site.next_register()
    a, b = site.int32(site.next()), site.int32(site.next())
    least = site.condition(site.next_predicate())
    less = a.compare("<", b, signed=signed)
    site.write(target, (less ^ ~least).where(a, b))


def minimum_maximum3(site: Site) -> None:
    """VIMNMX3: the smallest of three where the predicate holds, else the largest."""
    signed = not site.modifiers.take("U32")
    site.modifiers.drop(("S32",))
    target = site.next_register()
    values = [site.int32(site.next()) for _ in range(3)]
    least = site.condition(site.next_predicate())
    best = values[0]
    for value in values[1:]:
        less = best.compare("<", value, signed=signed)
        best = (less ^ ~least).where(best, value)
    site.write(target, best)


def magnitude(site: Site) -> None:
    """IABS: absolute value, the most negative number stays."""
    target = site.next_register()
    site.write(target, site.kit.intrinsic("abs", site.int32(site.next()), False))


def select(site: Site) -> None:
    """SEL: one of two by a predicate."""
    target = site.next_register()
    a, b = site.int32(site.next()), site.int32(site.next())
    site.write(target, site.condition(site.next_predicate()).where(a, b))


def shift(site: Site) -> None:
    """SHF: funnel shift of high:low; the amount clamps at the type's width, or wraps with .W."""
    mods = site.modifiers
    right = mods.one_of(("L", "R")) == "R"
    kind = mods.one_of(("U32", "S32", "U64", "S64"), "U32")
    high, wrap = mods.take("HI"), mods.take("W")
    width = int(kind[1:])
    target = site.next_register()
    low_word = site.int32(site.next())
    amount = site.int32(site.next())
    high_word = site.int32(site.next())
    value = low_word.zext(I64) | high_word.zext(I64) << 32
    if wrap:
        amount = amount & (width - 1)
    else:
        limit = site.kit.const(amount.type, width)
        amount = amount.ugt(width).where(limit, amount)
    wide = amount.zext(I64)
    # LLVM leaves shifts by the full width undefined: two steps of at most 63 and 1.
    whole = wide.eq(64)
    step = whole.where(wide - 1, wide)
    if not right:
        moved = value << step
        moved = whole.where(moved << 1, moved)
    elif kind[0] == "S":
        moved = value.sar(step)
        moved = whole.where(moved.sar(1), moved)
    else:
        moved = value >> step
        moved = whole.where(moved >> 1, moved)
    site.write(target, ((moved >> 32) if high else moved).trunc(I32))


def scaled_add(site: Site) -> None:
    """LEA: (a << s) + b; .HI takes the upper word of the shifted pair, .X adds a carry."""
    mods = site.modifiers
    high, carry, sign_extend = mods.take("HI"), mods.take("X"), mods.take("SX32")
    target = site.next_register()
    out = site.optional_predicate()
    a, b = site.next(), site.next()
    if not high:
        amount = site.next_number() & 31
        shifted = site.int32(a) << amount
        if carry:
            raise Refused("a carry into the low word")
        if out is not None and not out.is_true and is_negated(a):
            raise Refused("a carry out of a negated shift")
        total = shifted.zext(I64) + addend(site, b)
    else:
        if is_negated(a) or (isinstance(a, (Register, Constant)) and a.invert):
            raise Refused("a negated operand of a high part")
        if sign_extend:
            pair = site.raw(a).sext(I64)
        else:
            pair = site.raw(a).zext(I64) | site.int32(site.next()).zext(I64) << 32
        amount = site.next_number() & 31
        shifted = ((pair << amount) >> 32).trunc(I32)
        total = shifted.zext(I64) + addend(site, b)
        if carry:
            total = total + site.condition(site.next_predicate()).zext(I64)
    site.write(target, total.trunc(I32))
    site.write_condition(out, (total >> 32).ne(0))


def lookup(a: Value, b: Value, c: Value, table: int) -> Value:
    """Bitwise function of three values: bit (a, b, c) of ``table`` (PTX ISA, lop3)."""
    result = a ^ a
    for index in range(8):
        if table >> index & 1:
            term = (a if index & 4 else ~a) & (b if index & 2 else ~b) & (c if index & 1 else ~c)
            result = result | term
    return result


def logic3(site: Site) -> None:
    """LOP3.LUT: any function of three words; the predicate tells whether the result is not 0."""
    site.modifiers.take("LUT")
    join_and = site.modifiers.take("PAND")
    out = site.optional_predicate()
    target = site.next_register()
    a, b, c = (site.int32(site.next()) for _ in range(3))
    result = lookup(a, b, c, site.next_number())
    into = site.optional_predicate()
    site.write(target, result)
    if out is not None and into is not None:
        other = site.truth(into)
        true = result.ne(0).mask_bits()
        site.write_condition(out, true & other if join_and else true | other)


def predicate_logic3(site: Site) -> None:
    """PLOP3.LUT: two functions of three predicates."""
    site.modifiers.take("LUT")
    first, second = site.next_predicate(), site.next_predicate()
    a, b, c = (site.truth(site.next_predicate()) for _ in range(3))
    results = [lookup(a, b, c, site.next_number()) for _ in range(2)]
    site.write_condition(first, results[0])
    site.write_condition(second, results[1])


def permute(site: Site) -> None:
    """PRMT: each result byte is one of eight source bytes, or its sign (PTX ISA, prmt)."""
    target = site.next_register()
    a, selector, b = site.int32(site.next()), site.int32(site.next()), site.int32(site.next())
    both = a.zext(I64) | b.zext(I64) << 32
    result = site.kit.zero(site.word)
    for place in range(4):
        choice = selector >> (4 * place)
        byte = (both >> ((choice & 7) << 3).zext(I64)).trunc(I8)
        sign = byte.sar(7)
        picked = (choice & 8).ne(0).where(sign, byte)
        result = result | picked.zext(I32) << (8 * place)
    site.write(target, result)


def population(site: Site) -> None:
    """POPC: number of set bits."""
    target = site.next_register()
    site.write(target, site.kit.popcount(site.int32(site.next())))


def find_leading(site: Site) -> None:
    """FLO: place of the highest bit (signed: that differs from the sign), -1 if none.

    With .SH the distance from bit 31 (PTX ISA, bfind).
    """
    unsigned = site.modifiers.take("U32")
    distance = site.modifiers.take("SH")
    target = site.next_register()
    value = site.int32(site.next())
    if not unsigned:
        value = value ^ value.sar(31)
    zeros = site.kit.ctlz(value)
    found = zeros if distance else site.kit.const(value.type, 31) - zeros
    site.write(target, value.eq(0).where(site.kit.const(value.type, -1), found))


def reverse(site: Site) -> None:
    """BREV: bits in reverse order."""
    target = site.next_register()
    site.write(target, site.kit.intrinsic("bitreverse", site.int32(site.next())))


def bit_mask(site: Site) -> None:
    """BMSK: ``width`` ones from bit ``start`` (PTX ISA, bmsk)."""
    wrap = site.modifiers.take("W")
    site.modifiers.drop(("C",))
    target = site.next_register()
    start, width = site.int32(site.next()), site.int32(site.next())
    limit = site.kit.const(start.type, 32)
    if wrap:
        start, width = start & 31, width & 31
    start = start.ugt(32).where(limit, start).zext(I64)
    width = width.ugt(32).where(limit, width).zext(I64)
    one = site.kit.const(start.type, 1)
    site.write(target, (((one << width) - 1) << start).trunc(I32))


def extend_sign(site: Site) -> None:
    """SGXT: keep the low bits and repeat the highest of them, or zeros with .U32."""
    unsigned, wrap = site.modifiers.take("U32"), site.modifiers.take("W")
    target = site.next_register()
    value, width = site.int32(site.next()), site.int32(site.next())
    limit = site.kit.const(width.type, 32)
    width = width & 31 if wrap else width.ugt(32).where(limit, width)
    gap = (limit - width).zext(I64)
    wide = value.zext(I64) << 32 << gap
    moved = wide >> gap if unsigned else wide.sar(gap)
    site.write(target, (moved >> 32).trunc(I32))


def predicates_to_register(site: Site) -> None:
    """P2R: predicates as bits of a byte, joined with the bits of a register outside the mask."""
    byte = site.modifiers.one_of(("B0", "B1", "B2", "B3"), "B0")
    shift_by = 8 * int(byte[1])
    target = site.next_register()
    if site.next_special() != "PR":
        raise Refused("a source that is not PR")
    source = site.int32(site.next())
    mask = site.int32(site.next())
    bits = site.kit.zero(site.word)
    for index in range(7):
        on = site.condition(Predicate(index)).zext(I32)
        bits = bits | on << index
    field = mask << shift_by
    site.write(target, source & ~field | bits << shift_by & field)


def register_to_predicates(site: Site) -> None:
    """R2P: bits of a byte as predicates, those of the mask."""
    byte = site.modifiers.one_of(("B0", "B1", "B2", "B3"), "B0")
    if site.next_special() != "PR":
        raise Refused("a target that is not PR")
    source = site.next()
    modifiers: tuple[str, ...] = ()
    if isinstance(source, Register) and source.modifiers:
        modifiers = source.modifiers
        source = Register(source.index, source.uniform)
    if modifiers:
        if modifiers[0] not in ("B0", "B1", "B2", "B3"):
            raise Refused(f"operand modifier .{modifiers[0]} is not known")
        byte = modifiers[0]
    value = site.int32(source) >> (8 * int(byte[1]))
    operand = site.next()
    if not isinstance(operand, Immediate) or operand.bits is None:
        raise Refused("a mask that is no constant")
    for index in range(7):
        if operand.bits >> index & 1:
            site.write_condition(Predicate(index), (value >> index).trunc(I1))


def dot4(site: Site) -> None:
    """IDP.4A: four products of bytes and an addend (PTX ISA, dp4a)."""
    site.modifiers.one_of(("4A",))
    kinds = ("U8", "S8")
    first = site.modifiers.one_of(kinds)
    second = site.modifiers.one_of(kinds, first)
    target = site.next_register()
    a, b, total = site.int32(site.next()), site.int32(site.next()), site.int32(site.next())
    for place in range(4):
        x = (a >> (8 * place)).trunc(I8).extend(I32, signed=first == "S8")
        y = (b >> (8 * place)).trunc(I8).extend(I32, signed=second == "S8")
        total = total + x * y
    site.write(target, total)


def absolute_difference(site: Site) -> None:
    """VABSDIFF: distance of two numbers, and an addend (PTX ISA, sad)."""
    signed = not site.modifiers.take("U32")
    if signed:
        site.modifiers.drop(("S32",))
    target = site.next_register()
    a, b, addend = site.int32(site.next()), site.int32(site.next()), site.int32(site.next())
    distance = a.compare("<", b, signed=signed).where(b - a, a - b)
    site.write(target, distance + addend)


def add_minimum_maximum(site: Site) -> None:
    """VIADDMNMX: a + b, then the smaller or larger of that and c."""
    signed = not site.modifiers.take("U32")
    target = site.next_register()
    total = site.int32(site.next()) + site.int32(site.next())
    other = site.int32(site.next())
    least = site.condition(site.next_predicate())
    less = total.compare("<", other, signed=signed)
    site.write(target, (less ^ ~least).where(total, other))


def add2(site: Site) -> None:
    """VIADD: sum of two."""
    target = site.next_register()
    site.write(target, site.int32(site.next()) + site.int32(site.next()))


INTEGER: Mapping[str, Semantics] = MappingProxyType(
    {
        "MOV": move,
        "UMOV": move,
        "IADD3": add3,
        "UIADD3": add3,
        "VIADD": add2,
        "VIADDMNMX": add_minimum_maximum,
        "IMAD": multiply_add,
        "UIMAD": multiply_add,
        "ISETP": compare,
        "UISETP": compare,
        "IMNMX": minimum_maximum,
        "UIMNMX": minimum_maximum,
        "VIMNMX": minimum_maximum,
        "VIMNMX3": minimum_maximum3,
        "IABS": magnitude,
        "SEL": select,
        "USEL": select,
        "SHF": shift,
        "USHF": shift,
        "LEA": scaled_add,
        "ULEA": scaled_add,
        "LOP3": logic3,
        "ULOP3": logic3,
        "PLOP3": predicate_logic3,
        "UPLOP3": predicate_logic3,
        "PRMT": permute,
        "UPRMT": permute,
        "POPC": population,
        "UPOPC": population,
        "FLO": find_leading,
        "UFLO": find_leading,
        "BREV": reverse,
        "UBREV": reverse,
        "BMSK": bit_mask,
        "UBMSK": bit_mask,
        "SGXT": extend_sign,
        "USGXT": extend_sign,
        "P2R": predicates_to_register,
        "R2P": register_to_predicates,
        "IDP": dot4,
        "VABSDIFF": absolute_difference,
    }
)
