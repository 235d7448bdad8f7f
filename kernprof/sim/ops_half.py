"""Semantics of arithmetic on pairs of 16-bit floats: IEEE halves and bfloat16.

A register holds two of them. Results are those of exact arithmetic rounded once to nearest even:
sums and products of such numbers are exact in double precision, and a fused multiply-add is rounded
to odd on its way (Boldo, Melquiond, "Emulation of a FMA and correctly rounded sums: proved
algorithms using rounding to odd", 2008), so that the last rounding is the only one that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from kernprof.sim.irkit import F16, F32, F64, I16, I32, I64, Value
from kernprof.sim.operands import Constant, Immediate, Register
from kernprof.sim.ops_integer import Semantics, combine
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

NAN16 = 0x7FFF  # PTX ISA: the canonical NaN of .f16 and of .bf16
_COMPARISONS = ("LT", "LE", "GT", "GE", "EQ", "NE", "LTU", "LEU", "GTU", "GEU", "EQU", "NEU")
# Which half of a register the low and the high result take.
_SELECTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"H0_H0": (0, 0), "H1_H1": (1, 1), "H1_H0": (0, 1), "H0_H1": (1, 0)}
)


@dataclass(frozen=True, slots=True)
class Format:
    """A 16-bit float."""

    name: str
    one: int
    brain: bool


HALF = Format("F16", 0x3C00, brain=False)
BRAIN = Format("BF16", 0x3F80, brain=True)


def _step(bits: Value, away: Value) -> Value:
    """Next float away from zero where told, else toward it."""
    return away.where(bits + 1, bits - 1)


def round_to_odd(nearest: Value, error: Value, integer: Any) -> Value:
    """Turn a result that was rounded to nearest, with its error's sign, into that rounded to odd.

    ``error`` is the exact value minus ``nearest``, or something of its sign.
    """
    zero = error.kit.real(error.element, 0.0, error.lanes)
    bits = nearest.as_float(integer)
    inexact = error.fcmp("olt", zero) | error.fcmp("ogt", zero)
    negative = bits.compare("<", 0, signed=True)
    away = negative ^ error.fcmp("ogt", zero)
    adjust = inexact & (bits & 1).eq(0)
    return adjust.where(_step(bits, away), bits).as_float(nearest.element)


def single_to_odd(value: Value) -> Value:
    """Round doubles to singles, to odd."""
    nearest = value.fptrunc(F32)
    return round_to_odd(nearest, value.fsub(nearest.fpext(F64)), I32)


def fused_to_odd(a: Value, b: Value, c: Value) -> Value:
    """Compute ``a * b + c`` of doubles whose product is exact, to odd (error by TwoSum)."""
    product = a.fmul(b)
    total = product.fadd(c)
    part = total.fsub(product)
    error = product.fsub(total.fsub(part)).fadd(c.fsub(part))
    return round_to_odd(total, error, I64)


def narrow_single(value: Value, kind: Format, *, toward_zero: bool = False) -> Value:
    """Round singles to 16 bits, the bits in the lower half of 32-bit words; NaN is canonical."""
    word = value.as_float(I32)
    if kind.brain:
        rounded = word if toward_zero else word + 0x7FFF + (word >> 16 & 1)
        bits = rounded >> 16
    else:
        near = value.fptrunc(F16)
        bits = near.as_float(I16).zext(I32)
        if toward_zero:
            magnitude = (near.fpext(F32).as_float(I32) & 0x7FFFFFFF).as_float(F32)
            over = magnitude.fcmp("ogt", (word & 0x7FFFFFFF).as_float(F32))
            bits = over.where(bits - 1, bits)
    nan = value.kit.const(word.type, NAN16)
    return value.fcmp("uno", value).where(nan, bits)


def narrow_double(value: Value, kind: Format) -> Value:
    """Round doubles to 16 bits with one rounding."""
    return narrow_single(single_to_odd(value), kind)


def widen(bits: Value, kind: Format) -> Value:
    """Singles of 16-bit floats in the lower halves of 32-bit words."""
    if kind.brain:
        return (bits << 16).as_float(F32)
    return bits.trunc(I16).as_float(F16).fpext(F32)


def take_format(site: Site) -> Format:
    """Take the modifier that says which kind of 16-bit floats the operands are."""
    return BRAIN if site.modifiers.take("BF16_V2") else HALF


def pair_bits(site: Site) -> tuple[Value, Value]:
    """Take the next operand: the bits of its low and high number, marks applied."""
    operand = site.next()
    if isinstance(operand, Immediate):
        # Two numbers are printed, the instruction holds both in one word.
        if not site.operands or not isinstance(site.operands[0], Immediate):
            raise Refused("one constant where a pair is expected")
        site.next()
        word = site.kit.const(site.word, site.instruction.immediate_bits)
        return word & 0xFFFF, word >> 16
    if not isinstance(operand, (Register, Constant)):
        raise Refused(f"operand {operand} is no pair of halves")
    if operand.invert:
        raise Refused("complement of a floating-point operand")
    selected = (0, 1)
    if operand.modifiers:
        if len(operand.modifiers) != 1 or operand.modifiers[0] not in _SELECTIONS:
            raise Refused(f"operand modifier .{' .'.join(operand.modifiers)} is not known")
        selected = _SELECTIONS[operand.modifiers[0]]
    word = site.raw(replace(operand, modifiers=()))
    if operand.absolute:
        word = word & 0x7FFF7FFF
    if operand.negate:
        word = word ^ 0x80008000
    halves = (word & 0xFFFF, word >> 16)
    return halves[selected[0]], halves[selected[1]]


def _pair(site: Site, kind: Format, *, ftz: bool) -> list[Value]:
    found = []
    for bits in pair_bits(site):
        if ftz:
            if kind.brain:
                raise Refused("flushed denormals of bfloat16")
            bits = (bits & 0x7FFF).ult(0x0400).where(bits & 0x8000, bits)
        found.append(widen(bits, kind).fpext(F64))
    return found


def _write_pair(site: Site, target: Register, low: Value, high: Value) -> None:
    site.write(target, low & 0xFFFF | high << 16)


def _arithmetic(site: Site, name: str, count: int) -> None:
    mods = site.modifiers
    mods.drop(("MMA",))
    kind = take_format(site)
    ftz, sat, relu = mods.take("FTZ"), mods.take("SAT"), mods.take("RELU")
    target = site.next_register()
    operands = [_pair(site, kind, ftz=ftz) for _ in range(count)]
    results = []
    for values in zip(*operands, strict=True):
        if name == "fma":
            exact = fused_to_odd(*values)
        elif name == "add":
            # Of bfloat16 a sum may need more than 53 bits.
            one = site.kit.real(F64, 1.0, site.lanes)
            exact = fused_to_odd(values[0], one, values[1])
        else:
            exact = values[0].fmul(values[1])
        bits = narrow_double(exact, kind)
        if ftz:
            bits = (bits & 0x7FFF).ult(0x0400).where(bits & 0x8000, bits)
        results.append(_clamped(site, bits, kind, sat=sat, relu=relu))
    _write_pair(site, target, *results)


def _clamped(site: Site, bits: Value, kind: Format, *, sat: bool, relu: bool) -> Value:
    value = widen(bits, kind)
    zero = site.kit.real(F32, 0.0, site.lanes)
    none = site.kit.zero(site.word)
    if relu:
        bits = (value.fcmp("ogt", zero) | value.fcmp("uno", value)).where(bits, none)
    if sat:
        one = site.kit.real(F32, 1.0, site.lanes)
        above = value.fcmp("ogt", zero).where(bits, none)
        bits = value.fcmp("ogt", one).where(site.kit.const(site.word, kind.one), above)
    return bits


def _cut(site: Site, source: Register) -> None:
    """HADD2 of a single and -0: what compilers make of PTX ``cvt.rz.f16.f32`` on sm_70 and 75."""
    target = site.next_register()
    site.next()
    zero = site.next()
    if not isinstance(zero, Register) or not zero.is_zero or not zero.negate:
        raise Refused("a sum of a single and a half")
    value = site.float32(replace(source, modifiers=()))
    bits = narrow_single(value, HALF, toward_zero=True)
    _write_pair(site, target, bits, bits)


def add(site: Site) -> None:
    """HADD2; HADD2.F32 adds one half of each operand in single precision."""
    if not site.modifiers.take("F32"):
        first = site.operands[1] if len(site.operands) == 3 else None
        if isinstance(first, Register) and first.modifiers == ("F32",):
            _cut(site, first)
        else:
            _arithmetic(site, "add", 2)
        return
    kind = take_format(site)
    target = site.next_register()
    singles = []
    for _ in range(2):
        operand = site.operands[0] if site.operands else None
        if not isinstance(operand, Register) or (not operand.modifiers and not operand.is_zero):
            raise Refused("a sum in single precision of both halves")
        singles.append(widen(pair_bits(site)[0], kind))
    site.write_float32(target, singles[0].fadd(singles[1]))


def multiply(site: Site) -> None:
    """HMUL2."""
    _arithmetic(site, "mul", 2)


def fused(site: Site) -> None:
    """HFMA2: one rounding; -0 * 0 plus a constant is how compilers load constants."""
    operands = site.operands
    zero = len(operands) == 5 and all(isinstance(f, Register) and f.is_zero for f in operands[1:3])
    if zero and all(isinstance(a, Immediate) for a in operands[3:]):
        site.modifiers.drop(("MMA", "BF16_V2"))
        target = site.next_register()
        site.operands.clear()
        # -0 + x = x, and the encoding holds x itself.
        site.write(target, site.kit.const(site.word, site.instruction.immediate_bits))
        return
    _arithmetic(site, "fma", 3)


def minimum_maximum(site: Site) -> None:
    """HMNMX2: the smaller where the predicate holds, else the larger; a number beats NaN."""
    kind = take_format(site)
    keep_nan = site.modifiers.take("NAN")
    target = site.next_register()
    first, second = pair_bits(site), pair_bits(site)
    least = site.condition(site.next_predicate())
    nan = site.kit.const(site.word, NAN16)
    results = []
    for a, b in zip(first, second, strict=True):
        x, y = widen(a, kind), widen(b, kind)
        # Equal operands differ at most in the sign of zero: the one with the sign bit is smaller.
        less = x.fcmp("oeq", y).where((a & 0x8000).ugt(b & 0x8000), x.fcmp("olt", y))
        found = (less ^ ~least).where(a, b)
        x_nan, y_nan = x.fcmp("uno", x), y.fcmp("uno", y)
        if keep_nan:
            found = (x_nan | y_nan).where(nan, found)
        else:
            found = x_nan.where(y_nan.where(nan, b), y_nan.where(a, found))
        results.append(found)
    _write_pair(site, target, *results)


def _compare(site: Site) -> tuple[str, str, Format]:
    mods = site.modifiers
    kind = take_format(site)
    how = mods.one_of((*_COMPARISONS, "NUM", "NAN"))
    return how, mods.one_of(("AND", "OR", "XOR")), kind


def _relations(site: Site, how: str, kind: Format) -> list[Value]:
    found = []
    first, second = pair_bits(site), pair_bits(site)
    for a, b in zip(first, second, strict=True):
        x, y = widen(a, kind), widen(b, kind)
        if how in ("NUM", "NAN"):
            found.append(x.fcmp("ord" if how == "NUM" else "uno", y))
        elif how.endswith("U"):
            found.append(x.fcmp("u" + how[:-1].lower(), y))
        else:
            found.append(x.fcmp("o" + how.lower(), y))
    return found


def set_predicate(site: Site) -> None:
    """HSETP2: compare; the first predicate is that of the low halves, the second of the high."""
    how, join, kind = _compare(site)
    outs = (site.next_predicate(), site.next_predicate())
    results = _relations(site, how, kind)
    other = site.truth(site.next_predicate())
    for out, result in zip(outs, results, strict=True):
        site.write_condition(out, combine(join, result.mask_bits(), other))


def set_register(site: Site) -> None:
    """HSET2: per half all ones, or 1.0 with .BF, where the comparison holds."""
    number = site.modifiers.take("BF")
    how, join, kind = _compare(site)
    target = site.next_register()
    results = _relations(site, how, kind)
    other = site.condition(site.next_predicate())
    true = site.kit.const(site.word, kind.one if number else 0xFFFF)
    none = site.kit.zero(site.word)
    _write_pair(site, target, *(combine(join, r, other).where(true, none) for r in results))


def pack(site: Site) -> None:
    """F2FP.PACK_AB: two singles rounded to a pair of 16-bit floats, the first one above."""
    mods = site.modifiers
    mods.one_of(("PACK_AB",))
    kind = BRAIN if mods.take("BF16") else HALF
    mods.drop(("F16", "F32", "RN"))
    toward_zero, relu = mods.take("RZ"), mods.take("RELU")
    target = site.next_register()
    a, b = site.float32(site.next()), site.float32(site.next())
    high, low = (
        _clamped(site, narrow_single(v, kind, toward_zero=toward_zero), kind, sat=False, relu=relu)
        for v in (a, b)
    )
    _write_pair(site, target, low, high)


PAIRS: Mapping[str, Semantics] = MappingProxyType(
    {
        "HADD2": add,
        "HMUL2": multiply,
        "HFMA2": fused,
        "HMNMX2": minimum_maximum,
        "HSETP2": set_predicate,
        "HSET2": set_register,
        "F2FP": pack,
    }
)
