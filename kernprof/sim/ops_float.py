"""Semantics of floating-point instructions and conversions.

Arithmetic is IEEE 754 in the rounding that the instruction names. The multi-function unit (MUFU)
approximates; here its functions are computed in double precision and rounded once, denormal inputs
and results flushed to zero as PTX describes for the ``.approx.ftz`` instructions. They can differ
from hardware in the last bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kernprof.sim.irkit import F16, F32, F64, I8, I16, I32, I64, Value, mangled, vector
from kernprof.sim.operands import Immediate, Operand, Register
from kernprof.sim.ops_half import HALF, narrow_double, narrow_single, widen
from kernprof.sim.ops_integer import Semantics, combine, write_comparison
from kernprof.sim.refusal import Refused
from kernprof.sim.rounding import directed
from kernprof.sim.site import Site

_ROUNDINGS = ("RM", "RP", "RZ")
_COMPARISONS = ("LT", "LE", "GT", "GE", "EQ", "NE", "LTU", "LEU", "GTU", "GEU", "EQU", "NEU")
_SMALLEST_NORMAL_BITS = 0x00800000


def flush(value: Value) -> Value:
    """Replace denormal singles by zero of the same sign."""
    bits = value.as_float(I32)
    tiny = (bits & 0x7FFFFFFF).ult(_SMALLEST_NORMAL_BITS)
    return tiny.where(bits & 0x80000000, bits).as_float(F32)


def saturate(site: Site, value: Value) -> Value:
    """Clamp a single to 0..1; NaN becomes 0 (PTX ISA, ".sat")."""
    zero, one = site.kit.real(F32, 0.0, site.lanes), site.kit.real(F32, 1.0, site.lanes)
    above = value.fcmp("ogt", zero).where(value, zero)
    return above.fcmp("olt", one).where(above, one)


def _rounding(site: Site) -> str:
    site.modifiers.drop(("RN",))
    return site.modifiers.one_of(_ROUNDINGS, "RN")


def _arithmetic(site: Site, name: str, count: int) -> None:
    ftz, sat = site.modifiers.take("FTZ"), site.modifiers.take("SAT")
    mode = _rounding(site)
    target = site.next_register()
    values = [site.float32(site.next()) for _ in range(count)]
    if ftz:
        values = [flush(v) for v in values]
    result = _compute(site, name, values, mode)
    if ftz:
        result = flush(result)
    if sat:
        result = saturate(site, result)
    site.write_float32(target, result)


def _compute(site: Site, name: str, values: list[Value], mode: str) -> Value:
    if mode != "RN":
        return directed(site.helpers, site.kit, name, mode, values)
    if name == "fma":
        return site.kit.intrinsic("fma", *values)
    return values[0].fadd(values[1]) if name == "fadd" else values[0].fmul(values[1])


def add(site: Site) -> None:
    """FADD."""
    _arithmetic(site, "fadd", 2)


def multiply(site: Site) -> None:
    """FMUL."""
    _arithmetic(site, "fmul", 2)


def fused(site: Site) -> None:
    """FFMA: one rounding."""
    _arithmetic(site, "fma", 3)


def _double(site: Site, name: str, count: int) -> None:
    mode = _rounding(site)
    target = site.next_register()
    values = [site.float64(site.next()) for _ in range(count)]
    site.write_float64(target, _compute(site, name, values, mode))


def double_add(site: Site) -> None:
    """DADD."""
    _double(site, "fadd", 2)


def double_multiply(site: Site) -> None:
    """DMUL."""
    _double(site, "fmul", 2)


def double_fused(site: Site) -> None:
    """DFMA."""
    _double(site, "fma", 3)


def relation(how: str, a: Value, b: Value) -> Value:
    """Compare floats; names that end in U hold for unordered operands too."""
    if how == "NUM":
        return a.fcmp("ord", b)
    if how == "NAN":
        return a.fcmp("uno", b)
    if how.endswith("U"):
        return a.fcmp("u" + how[:-1].lower(), b)
    return a.fcmp("o" + how.lower(), b)


def _choose(site: Site, *, least: bool) -> None:
    """DSETP.MIN and .MAX: whether the first of two is the result, and whether that is NaN.

    Compilers build ``fmin`` of these two predicates: the first one selects, the second one, which
    can hold only where both operands are NaN, makes the NaN quiet. So both follow from what PTX
    says of ``min.f64``: a number beats NaN, -0 is smaller than +0.
    """
    first, second = site.next_predicate(), site.next_predicate()
    a, b = site.float64(site.next()), site.float64(site.next())
    other = site.next_predicate()
    if not other.is_true or other.negate:
        raise Refused("a choice that is joined with a predicate")
    sign = a.as_float(I64).compare("<", b.as_float(I64), signed=True)
    less = a.fcmp("oeq", b).where(sign, a.fcmp("olt", b))
    both_numbers = a.fcmp("ord", b)
    smaller = both_numbers & (less if least else ~less)
    a_nan, b_nan = a.fcmp("uno", a), b.fcmp("uno", b)
    site.write_condition(first, smaller | (b_nan & ~a_nan))
    site.write_condition(second, a_nan & b_nan)


def _set_predicate(site: Site, *, double: bool) -> None:
    mods = site.modifiers
    if double and (way := mods.one_of(("MIN", "MAX"), "")):
        mods.one_of(("AND",))
        _choose(site, least=way == "MIN")
        return
    ftz = mods.take("FTZ")
    how = mods.one_of((*_COMPARISONS, "NUM", "NAN", "F", "T"))
    join = mods.one_of(("AND", "OR", "XOR"))
    first, second = site.next_predicate(), site.next_predicate()
    read = site.float64 if double else site.float32
    a, b = read(site.next()), read(site.next())
    if ftz:
        a, b = flush(a), flush(b)
    if how in ("F", "T"):
        raise Refused(f"comparison .{how} is not known")
    result = relation(how, a, b).mask_bits()
    write_comparison(site, (first, second), join, result, site.truth(site.next_predicate()))


def set_predicate(site: Site) -> None:
    """FSETP: compare, join with a predicate."""
    _set_predicate(site, double=False)


def double_set_predicate(site: Site) -> None:
    """DSETP."""
    _set_predicate(site, double=True)


def set_register(site: Site) -> None:
    """FSET: all ones, or 1.0 with .BF, where the comparison holds."""
    mods = site.modifiers
    ftz, number = mods.take("FTZ"), mods.take("BF")
    how = mods.one_of((*_COMPARISONS, "NUM", "NAN"))
    join = mods.one_of(("AND", "OR", "XOR"))
    target = site.next_register()
    a, b = site.float32(site.next()), site.float32(site.next())
    if ftz:
        a, b = flush(a), flush(b)
    result = combine(join, relation(how, a, b), site.condition(site.next_predicate()))
    true = site.kit.const(site.word, 0x3F800000 if number else 0xFFFFFFFF)
    site.write(target, result.where(true, site.kit.zero(site.word)))


def select(site: Site) -> None:
    """FSEL: one of two by a predicate; marks change the sign bit."""
    ftz = site.modifiers.take("FTZ")
    target = site.next_register()
    a, b = site.float32(site.next()), site.float32(site.next())
    if ftz:
        a, b = flush(a), flush(b)
    chosen = site.condition(site.next_predicate()).where(a, b)
    site.write(target, chosen.as_float(I32))


def minimum_maximum(site: Site) -> None:
    """FMNMX: the smaller where the predicate holds, else the larger; a number beats NaN.

    -0 counts as smaller than +0 (PTX ISA, min).
    """
    ftz, keep_nan = site.modifiers.take("FTZ"), site.modifiers.take("NAN")
    target = site.next_register()
    a, b = site.float32(site.next()), site.float32(site.next())
    if ftz:
        a, b = flush(a), flush(b)
    least = site.condition(site.next_predicate())
    sign = a.as_float(I32).compare("<", b.as_float(I32), signed=True)
    both = a.fcmp("oeq", b)
    # Equal operands differ at most in the sign of zero: the one with the sign bit is smaller.
    less = both.where(sign, a.fcmp("olt", b))
    result = (less ^ ~least).where(a, b)
    if keep_nan:
        result = a.fcmp("uno", b).where(a.fadd(b), result)
    else:
        result = a.fcmp("uno", a).where(b, result)
        result = (b.fcmp("uno", b)).where(a, result)
    site.write_float32(target, result)


def check_division(site: Site) -> None:
    """FCHK.DIVIDE: whether a quotient needs the slow path.

    The exact condition is not public; this one holds wherever the fast path of a division could
    fail: an operand that is zero, denormal, infinite or NaN, or exponents whose quotient or whose
    remainder leaves the normal range.
    """
    site.modifiers.take("DIVIDE")
    out = site.next_predicate()
    a, b = site.float32(site.next()), site.float32(site.next())
    ea = a.as_float(I32) >> 23 & 0xFF
    eb = b.as_float(I32) >> 23 & 0xFF
    odd = (ea - 1).ugt(253) | (eb - 1).ugt(251)
    gap = ea - eb
    far = (gap + 125).ugt(250)
    low = ea.ult(26)
    site.write_condition(out, odd | far | low)


def function_unit(site: Site) -> None:
    """MUFU: an approximated function of one operand."""
    mods = site.modifiers
    name = mods.one_of(
        ("RCP", "RSQ", "EX2", "LG2", "SIN", "COS", "SQRT", "TANH", "RCP64H", "RSQ64H")
    )
    target = site.next_register()
    operand = site.next()
    if name.endswith("64H"):
        bits = site._signed(operand, site.raw(operand).zext(I64) << 32, 1 << 63)
        result = _reciprocal64(site, name, bits.as_float(F64))
        site.write(target, result)
        return
    value = flush(site.float32(operand)).fpext(F64)
    one = site.kit.real(F64, 1.0, site.lanes)
    if name == "RCP":
        result = one.fdiv(value)
    elif name == "RSQ":
        result = one.fdiv(site.kit.intrinsic("sqrt", value))
    elif name == "SQRT":
        result = site.kit.intrinsic("sqrt", value)
    else:
        result = _library(site, name, value)
    site.write_float32(target, flush(result.fptrunc(F32)))


def _library(site: Site, name: str, value: Value) -> Value:
    """Functions of the C library; angles are in turns, powers and logarithms base 2."""
    kit = site.kit
    if name in ("SIN", "COS"):
        whole = kit.intrinsic("roundeven", value)
        turn = kit.real(F64, 6.283185307179586, site.lanes)
        return kit.intrinsic(name.lower(), value.fsub(whole).fmul(turn))
    if name == "TANH":
        return kit.intrinsic("tanh", value)
    return kit.intrinsic({"EX2": "exp2", "LG2": "log2"}[name], value)


def _reciprocal64(site: Site, name: str, value: Value) -> Value:
    """Upper word of 1/x or 1/sqrt(x) of the double whose upper word is given."""
    bits = value.as_float(I64)
    tiny = (bits & 0x7FFFFFFFFFFFFFFF).ult(1 << 52)
    value = tiny.where(bits & (1 << 63), bits).as_float(F64)
    root = value if name == "RCP64H" else site.kit.intrinsic("sqrt", value)
    found = site.kit.real(F64, 1.0, site.lanes).fdiv(root)
    nan = site.kit.const(bits.type, 0x7FFFFFFF << 32).as_float(F64)
    found = found.fcmp("uno", found).where(nan, found)
    out = found.as_float(I64)
    small = (out & 0x7FFFFFFFFFFFFFFF).ult(1 << 52)
    return (small.where(out & (1 << 63), out) >> 32).trunc(I32)


_INTEGERS = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "U32": 32, "S32": 32, "U64": 64, "S64": 64}
_FLOATS: Mapping[str, Any] = MappingProxyType({"F16": F16, "F32": F32, "F64": F64})


def float_to_integer(site: Site) -> None:
    """F2I: round as told, saturate; NaN gives 0, or the most negative 64-bit number."""
    mods = site.modifiers
    ftz = mods.take("FTZ")
    mods.drop(("NTZ",))
    rounding = mods.one_of(("TRUNC", "FLOOR", "CEIL"), "RN")
    names = [m for m in mods.left if m in _INTEGERS or m in _FLOATS]
    mods.drop(names)
    integer = next((m for m in names if m in _INTEGERS), "S32")
    source = next((m for m in names if m in _FLOATS), "F32")
    target = site.next_register()
    operand = site.next()
    value = _source(site, operand, source)
    if ftz and source == "F32":
        value = flush(value)
    how = {"TRUNC": "trunc", "FLOOR": "floor", "CEIL": "ceil", "RN": "roundeven"}[rounding]
    value = site.kit.intrinsic(how, value)
    width = _INTEGERS[integer]
    element = {8: I8, 16: I16, 32: I32, 64: I64}[width]
    kind = vector(element, site.lanes)
    name = "fptoui" if integer[0] == "U" else "fptosi"
    result = site.kit.call(f"llvm.{name}.sat.{mangled(kind)}.{mangled(value.type)}", kind, value)
    if element == I64:
        lowest = site.kit.const(kind, 1 << 63)
        site.write64(target, value.fcmp("uno", value).where(lowest, result))
    else:
        # Narrow results fill the register with their sign or with zeros (PTX ISA, cvt).
        site.write(target, result.extend(I32, signed=integer[0] == "S"))


def _source(site: Site, operand: Operand, kind: str) -> Value:
    """Read a float of one of three precisions; halves come as singles."""
    if kind == "F16":
        half = 0
        if isinstance(operand, Register) and operand.modifiers:
            half = {"H0": 0, "H0_H0": 0, "H1": 1, "H1_H1": 1}.get(operand.modifiers[0], -1)
            operand = replace(operand, modifiers=operand.modifiers[1:])
        if half < 0 or (isinstance(operand, Register) and operand.absolute):
            raise Refused("this form of a half operand is not known")
        word = site.raw(operand) >> (16 * half)
        return widen(site._signed(operand, word, 0x8000) & 0xFFFF, HALF)
    return site.float64(operand) if kind == "F64" else site.float32(operand)


def integer_to_float(site: Site) -> None:
    """I2F, I2FP: convert, round as told."""
    mods = site.modifiers
    mode = _rounding(site)
    names = [m for m in mods.left if m in _INTEGERS or m in _FLOATS]
    mods.drop(names)
    integer = next((m for m in names if m in _INTEGERS), "S32")
    result_kind = next((m for m in names if m in _FLOATS), "F32")
    target = site.next_register()
    operand = site.next()
    signed = integer[0] == "S"
    width = _INTEGERS[integer]
    if width == 64:
        if isinstance(operand, Immediate) and site.immediate(operand) >> 31:
            # Compilers print -2^63 as -0x80000000: which half this is has no public description.
            raise Refused("a 64-bit constant with its upper bit set")
        value = site.int64(operand)
    else:
        if width < 32:
            byte = 0
            if isinstance(operand, Register) and operand.modifiers:
                byte = int(operand.modifiers[0].removeprefix("B").removeprefix("H")[0])
                operand = Register(operand.index, operand.uniform, operand.negate)
            value = site.int32(operand) >> (byte * width)
            value = value << (32 - width)
            value = value.sar(32 - width) if signed else value >> (32 - width)
        else:
            value = site.int32(operand)
        value = value.extend(I64, signed=signed)
        signed = True
    if result_kind == "F16":
        if mode != "RN":
            raise Refused(f"an integer as a half in rounding {mode}")
        # Beyond 2^32 every number rounds to infinity: what is left is exact in double precision.
        top = site.kit.const(value.type, 1 << 32)
        value = value.compare(">", top, signed=signed).where(top, value)
        if signed:
            value = value.compare("<", top.neg(), signed=True).where(top.neg(), value)
        site.write(target, narrow_double(value.convert("sitofp", F64), HALF))
        return
    name = "sitofp" if signed else "uitofp"
    element = _FLOATS[result_kind]
    found = value.convert(name, element)
    if mode != "RN":
        found = _round_integer(site, value, found, mode, signed=signed)
    if result_kind == "F64":
        site.write_float64(target, found)
    else:
        site.write_float32(target, found)


def _round_integer(site: Site, value: Value, near: Value, mode: str, *, signed: bool) -> Value:
    """Turn an integer's nearest float into the one below or above, by comparing back."""
    kind = value.type
    name = "fptosi" if signed else "fptoui"
    back = site.kit.call(f"llvm.{name}.sat.{mangled(kind)}.{mangled(near.type)}", kind, near)
    top = site.kit.real(near.element, 2.0 ** (63 if signed else 64), site.lanes)
    # A result of 2^63 or 2^64 saturates on the way back: it lies above every integer.
    over = near.fcmp("oge", top)
    above = over | back.compare(">", value, signed=signed)
    below = back.compare("<", value, signed=signed) & ~over
    bits = near.as_float(I32 if near.element == F32 else I64)
    negative = bits.compare("<", 0, signed=True)
    up, down = bits + 1, bits - 1
    larger = negative.where(down, up)
    smaller = negative.where(up, down)
    if mode == "RP":
        chosen = below.where(larger, bits)
    elif mode == "RM":
        chosen = above.where(smaller, bits)
    else:
        chosen = negative.where(below.where(larger, bits), above.where(smaller, bits))
    return chosen.as_float(near.element)


def _narrowed(value: Value, mode: str) -> Value:
    """Round doubles to singles as told: the nearest one, moved if it lies on the wrong side."""
    near = value.fptrunc(F32)
    if mode == "RN":
        return near
    back, bits = near.fpext(F64), near.as_float(I32)
    negative = value.as_float(I64).compare("<", 0, signed=True)
    above, below = back.fcmp("ogt", value), back.fcmp("olt", value)
    raised = below.where(negative.where(bits - 1, bits + 1), bits)
    lowered = above.where(negative.where(bits + 1, bits - 1), bits)
    if mode == "RP":
        return raised.as_float(F32)
    if mode == "RM":
        return lowered.as_float(F32)
    return negative.where(raised, lowered).as_float(F32)


def float_to_float(site: Site) -> None:
    """F2F: between precisions; FRND: to a whole number."""
    mods = site.modifiers
    ftz, sat = mods.take("FTZ"), mods.take("SAT")
    whole = site.instruction.opcode == "FRND"
    rounding = mods.one_of(("TRUNC", "FLOOR", "CEIL", "RM", "RP", "RZ"), "RN")
    mods.drop(("RN",))
    names = [m for m in mods.left if m in _FLOATS]
    mods.drop(names)
    to, source = (names * 2 or ["F32", "F32"])[:2]
    target = site.next_register()
    operand = site.next()
    value = _source(site, operand, source)
    if to == "F16":
        if whole or ftz or sat or source == to or (source == "F64" and rounding != "RN"):
            raise Refused("this conversion to half precision")
        if rounding not in ("RN", "RZ"):
            raise Refused(f"narrowing in rounding {rounding}")
        if source == "F64":
            site.write(target, narrow_double(value, HALF))
        else:
            zero = rounding == "RZ"
            site.write(target, narrow_single(value, HALF, toward_zero=zero))
        return
    if ftz and source == "F32":
        value = flush(value)
    if whole:
        names_of = {"TRUNC": "trunc", "FLOOR": "floor", "CEIL": "ceil", "RN": "roundeven"}
        if rounding not in names_of or to != source:
            raise Refused("this rounding of a whole number")
        value = site.kit.intrinsic(names_of[rounding], value)
    elif to != source:
        if source == "F64" and to == "F32":
            value = _narrowed(value, rounding)
        elif to == "F64":
            value = value.fpext(F64)
    else:
        raise Refused("a conversion between equal precisions")
    if sat:
        if to != "F32":
            raise Refused("saturation of a double")
        value = saturate(site, value)
    if to == "F64":
        site.write_float64(target, value)
    else:
        site.write_float32(target, flush(value) if ftz else value)


FLOAT: Mapping[str, Semantics] = MappingProxyType(
    {
        "FADD": add,
        "FMUL": multiply,
        "FFMA": fused,
        "DADD": double_add,
        "DMUL": double_multiply,
        "DFMA": double_fused,
        "FSETP": set_predicate,
        "DSETP": double_set_predicate,
        "FSET": set_register,
        "FSEL": select,
        "FMNMX": minimum_maximum,
        "FCHK": check_division,
        "MUFU": function_unit,
        "F2I": float_to_integer,
        "I2F": integer_to_float,
        "I2FP": integer_to_float,
        "F2F": float_to_float,
        "FRND": float_to_float,
    }
)
