"""Every printed form of an operand becomes the record that it stands for, or is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof.errors import CubinError
from kernprof.sim.operands import (
    PT,
    RZ,
    URZ,
    Address,
    Constant,
    Immediate,
    Operand,
    Predicate,
    Register,
    Special,
    parse_operand,
    split_operands,
)

FORMS: list[tuple[str, Operand]] = [
    ("R12", Register(12)),
    ("RZ", Register(RZ)),
    ("URZ", Register(URZ, uniform=True)),
    ("UR4", Register(4, uniform=True)),
    ("-R7.reuse", Register(7, negate=True)),
    ("|R7|", Register(7, absolute=True)),
    ("-|R7|", Register(7, negate=True, absolute=True)),
    ("~R7", Register(7, invert=True)),
    ("R7.H0_H0", Register(7, modifiers=("H0_H0",))),
    ("P3", Predicate(3)),
    ("!UP2", Predicate(2, uniform=True, negate=True)),
    ("!PT", Predicate(PT, negate=True)),
    ("0x1f", Immediate("0x1f", 31, None)),
    ("-0x1f", Immediate("-0x1f", -31, None)),
    ("1.5", Immediate("1.5", None, 1.5)),
    ("-INF", Immediate("-INF", None, -math.inf)),
    ("c[0x0][0x160]", Constant(0, 0x160)),
    ("-c[0x3][0x8]", Constant(3, 8, negate=True)),
    ("c[0x3][R4+0x8]", Constant(3, 8, base=Register(4))),
    ("c[0x3][R4+-0x8]", Constant(3, -8, base=Register(4))),
    ("cx[UR4][0x10]", Constant(None, 16, bindless=Register(4, uniform=True))),
    ("[R4]", Address(Register(4), None, 0)),
    ("[0x40]", Address(None, None, 0x40)),
    ("[R4.64+-0x10]", Address(Register(4, modifiers=("64",)), None, -16, extent="64")),
    (
        "[R4.X8+UR5+0x20]",
        Address(Register(4, modifiers=("X8",)), Register(5, uniform=True), 32, scale=8),
    ),
    (
        "desc[UR6][R2.64+0x4]",
        Address(
            Register(2, modifiers=("64",)),
            None,
            4,
            extent="64",
            descriptor=Register(6, uniform=True),
        ),
    ),
    ("SR_TID.X", Special("SR_TID.X")),
    ("B0", Special("B0")),
    ("SB0", Special("SB0")),
]


@pytest.mark.parametrize(("text", "expected"), FORMS, ids=[text for text, _ in FORMS])
def test_each_form_is_read(text: str, expected: Operand) -> None:
    assert parse_operand(text) == expected


def test_a_printed_nan_is_a_nan() -> None:
    found = parse_operand("+QNAN")
    assert isinstance(found, Immediate)
    assert found.number is not None
    assert math.isnan(found.number)


@pytest.mark.parametrize(
    "text", ["!R3", "~[R4]", "[R4+R5]", "[R4.X3]", "[-R4]", "c[0x0][R1+R2]", "R4 R5", "?", ""]
)
def test_unknown_forms_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(CubinError) as refused:
        parse_operand(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("R1", ["R1"]),
        ("R0, c[0x0][0x28], RZ", ["R0", "c[0x0][0x28]", "RZ"]),
        # CUDA 12 prints no comma between a load's destination and its address.
        ("R14[R14.64]", ["R14", "[R14.64]"]),
        ("R14,[R14.64]", ["R14", "[R14.64]"]),
        ("R2desc[UR4][R2.64+0x8]", ["R2", "desc[UR4][R2.64+0x8]"]),
        ("SB0, 0x0, {2,1}", ["SB0", "0x0", "{2,1}"]),
    ],
)
def test_operands_split_outside_of_brackets(text: str, parts: list[str]) -> None:
    assert split_operands(text) == parts


@given(
    st.integers(0, 254),
    st.booleans(),
    st.booleans(),
    st.integers(0, 17),
    st.integers(0, 0xFFFC),
)
def test_what_is_printed_is_read_back(
    index: int, negate: bool, absolute: bool, bank: int, offset: int
) -> None:
    sign = "-" if negate else ""
    bar = "|" if absolute else ""
    register = parse_operand(f"{sign}{bar}R{index}{bar}")
    assert register == Register(index, negate=negate, absolute=absolute)
    constant = parse_operand(f"{sign}{bar}c[{bank:#x}][{offset:#x}]{bar}")
    assert constant == Constant(bank, offset, negate=negate, absolute=absolute)
