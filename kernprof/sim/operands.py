"""Operands of SASS instructions: the forms that nvdisasm prints, as frozen records.

The grammar is that of the "CUDA Binary Utilities" manual. Disassemblers of CUDA 12 leave out the
comma between the destination and the address of a load ("R14[R14.64]"), those of CUDA 13 print it;
both are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernprof.errors import CubinError

RZ = 255
URZ = 255
"""Marks of the registers that read as zero, whatever the architecture's encoding of URZ is: 63 up
to Hopper, 255 since Blackwell, where UR63 is a register like others."""
PT = 7


@dataclass(frozen=True, slots=True)
class Register:
    """A vector register (one 32-bit value per lane) or a uniform one (one per warp)."""

    index: int
    uniform: bool = False
    negate: bool = False
    absolute: bool = False
    invert: bool = False
    modifiers: tuple[str, ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether this is RZ or URZ."""
        return self.index == (URZ if self.uniform else RZ)


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate register (one bit per lane) or a uniform one (one bit per warp)."""

    index: int
    uniform: bool = False
    negate: bool = False

    @property
    def is_true(self) -> bool:
        """Whether this is PT or UPT (perhaps negated)."""
        return self.index == PT


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant in the instruction: ``bits`` where it is printed in hex, else ``number``."""

    text: str
    bits: int | None
    number: float | None


@dataclass(frozen=True, slots=True)
class Constant:
    """A word of a constant bank: ``c[bank][base + offset]``, or ``cx[base][offset]`` (bindless)."""

    bank: int | None
    offset: int
    base: Register | None = None
    bindless: Register | None = None
    negate: bool = False
    absolute: bool = False
    invert: bool = False
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """A memory address: ``desc[...][base * scale + uniform + offset]``.

    ``extent`` is how the base register is marked: "64" (a pair of registers), "U32" or "".
    """

    base: Register | None
    uniform: Register | None
    offset: int
    extent: str = ""
    scale: int = 1
    descriptor: Register | None = None


@dataclass(frozen=True, slots=True)
class Special:
    """A named thing: a special register, a convergence barrier, a scoreboard, a token."""

    name: str


Operand = Register | Predicate | Immediate | Constant | Address | Special

_REGISTER = re.compile(r"^(U?)R(\d+|Z)((?:\.[A-Za-z0-9_]+)*)$")
_PREDICATE = re.compile(r"^(U?)P(\d|T)$")
_HEX = re.compile(r"^([+-]?)0x([0-9a-fA-F]+)$")
_DECIMAL = re.compile(r"^[+-]?(\d+\.?\d*(?:e[+-]?\d+)?|INF|QNAN|SNAN|NAN)$", re.IGNORECASE)
_CONSTANT = re.compile(r"^(c|cx)\[([^\]]*)\]\s*\[([^\]]*)\]((?:\.[A-Za-z0-9_]+)*)$")
_ADDRESS = re.compile(r"^(?:desc\[([^\]]*)\])?\[([^\]]*)\]$")
# The half of an address that a loader fills in ("32@lo(symbol)") is named, never a value.
_RELOCATED = re.compile(r"^\d+@(lo|hi)\(.*\)$")
_SPECIAL = re.compile(r"^(SR_[A-Z0-9_.]+|SRZ|B\d+|SB\d+|PR|CC(?:\.[A-Z]+)?|\{[0-9,]*\})$")
_MISSING_COMMA = re.compile(r"^(U?[RP](?:\d+|Z|T)[.A-Za-z0-9_]*?)((?:desc\[[^\]]*\])?\[.*)$")
_TWO_ADDRESSES = re.compile(r"^(\[[^\]]*\])((?:desc\[[^\]]*\])?\[.*)$")


def split_operands(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets."""
    parts: list[str] = []
    depth = start = 0
    for at, char in enumerate(text):
        if char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    if text.strip():
        parts.append(text[start:].strip())
    split: list[str] = []
    for part in parts:
        fused = _MISSING_COMMA.match(part) or _TWO_ADDRESSES.match(part)
        split.extend(fused.groups() if fused else (part,))
    return split


def parse_operand(text: str) -> Operand:
    """Parse one operand.

    Raises
    ------
    CubinError
        The text has a form that is not known.
    """
    negate = absolute = invert = False
    inner = text.strip()
    if inner.startswith("!"):
        match = _PREDICATE.match(inner[1:])
        if match is None:
            raise CubinError(f"operand {text!r}: '!' stands before predicates only")
        return _predicate(match, negate=True)
    if match := _PREDICATE.match(inner):
        return _predicate(match, negate=False)
    if match := _HEX.match(inner):
        value = int(match.group(2), 16)
        return Immediate(text, -value if match.group(1) == "-" else value, None)
    if _DECIMAL.match(inner):
        lowered = inner.lower().replace("qnan", "nan").replace("snan", "nan")
        return Immediate(text, None, float(lowered))
    if inner[:1] in ("-", "~"):
        negate, invert = inner[0] == "-", inner[0] == "~"
        inner = inner[1:]
    if inner.startswith("|"):
        closing = inner.index("|", 1)
        absolute = True
        inner = inner[1:closing] + inner[closing + 1 :]
    if match := _REGISTER.match(inner):
        uniform = match.group(1) == "U"
        index = (URZ if uniform else RZ) if match.group(2) == "Z" else int(match.group(2))
        return Register(index, uniform, negate, absolute, invert, _modifiers(match.group(3)))
    if match := _CONSTANT.match(inner):
        return _constant(match, negate, absolute, invert)
    if negate or absolute or invert:
        raise CubinError(f"operand {text!r} has an unknown form")
    if match := _ADDRESS.match(inner):
        return _address(match, text)
    if _SPECIAL.match(inner) or _RELOCATED.match(inner) or re.match(r"^[$A-Za-z_][\w$@.]*$", inner):
        return Special(inner)
    raise CubinError(f"operand {text!r} has an unknown form")


def _modifiers(text: str) -> tuple[str, ...]:
    # .reuse tells the operand cache, not the value: it stays in the control bits.
    return tuple(m for m in text.split(".") if m and m != "reuse")


def _predicate(match: re.Match[str], *, negate: bool) -> Predicate:
    index = PT if match.group(2) == "T" else int(match.group(2))
    return Predicate(index, match.group(1) == "U", negate)


def _plain_register(text: str) -> Register:
    found = parse_operand(text)
    if not isinstance(found, Register):
        raise CubinError(f"{text!r} stands where a register is expected")
    return found


def _constant(match: re.Match[str], negate: bool, absolute: bool, invert: bool) -> Constant:
    kind, bank_text, inner, modifiers = match.groups()
    base: Register | None = None
    offset = 0
    for sign, term in re.findall(r"([+-]?)([^+-]+)", inner):
        if value := _HEX.match(term.strip()):
            offset += int(value.group(2), 16) * (-1 if sign == "-" else 1)
        elif base is None and sign != "-":
            base = _plain_register(term.strip())
        else:
            raise CubinError(f"constant operand {match.group(0)!r} has two base registers")
    if kind == "cx":
        return Constant(
            None,
            offset,
            base,
            _plain_register(bank_text),
            negate,
            absolute,
            invert,
            _modifiers(modifiers),
        )
    return Constant(
        int(bank_text, 16), offset, base, None, negate, absolute, invert, _modifiers(modifiers)
    )


def _address(match: re.Match[str], text: str) -> Address:
    descriptor = _plain_register(match.group(1)) if match.group(1) else None
    base: Register | None = None
    uniform: Register | None = None
    offset = 0
    extent = ""
    scale = 1
    for sign, raw in re.findall(r"([+-]?)([^+-]+)", match.group(2).replace("+-", "-")):
        term = raw.strip()
        if value := _HEX.match(term):
            offset += int(value.group(2), 16) * (-1 if sign == "-" else 1)
            continue
        register = _plain_register(term)
        if sign == "-":
            raise CubinError(f"address {text!r} subtracts a register")
        for modifier in register.modifiers:
            if modifier in ("64", "U32") and not register.uniform:
                extent = modifier
            elif modifier in ("X4", "X8", "X16") and not register.uniform:
                scale = int(modifier[1:])
            else:
                raise CubinError(f"address {text!r} has the unknown modifier .{modifier}")
        if register.uniform and uniform is None:
            uniform = register
        elif not register.uniform and base is None:
            base = register
        else:
            raise CubinError(f"address {text!r} has two registers of one kind")
    return Address(base, uniform, offset, extent, scale, descriptor)
