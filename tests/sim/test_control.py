"""Control bits are taken from their places in both encodings, and from nowhere else."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernprof.sim.control import ControlCode, encodings, instruction_bytes

BITS = st.integers(0, (1 << 21) - 1)


def test_fields_of_one_word() -> None:
    bits = 5 | 1 << 4 | 2 << 5 | 7 << 8 | 0b100001 << 11 | 0b0101 << 17
    assert ControlCode.from_bits(bits) == ControlCode(
        stall=5, keep=True, write_barrier=2, read_barrier=None, wait_mask=33, reuse_mask=5
    )


@given(BITS)
def test_no_bit_is_lost(bits: int) -> None:
    found = ControlCode.from_bits(bits)
    write = 7 if found.write_barrier is None else found.write_barrier
    read = 7 if found.read_barrier is None else found.read_barrier
    again = found.stall | found.keep << 4 | write << 5 | read << 8
    assert again | found.wait_mask << 11 | found.reuse_mask << 17 == bits


@given(st.lists(st.tuples(BITS, st.integers(0, (1 << 105) - 1)), min_size=1, max_size=5))
def test_volta_instructions_carry_their_own(items: list[tuple[int, int]]) -> None:
    """A 128-bit instruction: 105 bits of operation, then the control code."""
    words = [bits << 105 | operation for bits, operation in items]
    code = b"".join(word.to_bytes(16, "little") for word in words)
    found = encodings(code, 80)
    assert [e.offset for e in found] == [16 * i for i in range(len(items))]
    assert [e.code for e in found] == words
    assert [e.control for e in found] == [ControlCode.from_bits(bits) for bits, _ in items]


@given(st.lists(st.tuples(BITS, BITS, BITS), min_size=1, max_size=4))
def test_pascal_bundles_share_a_word(bundles: list[tuple[int, int, int]]) -> None:
    """Three instructions at 8, 16 and 24 bytes behind the control word at 0."""
    code = b""
    for number, (a, b, c) in enumerate(bundles):
        names = (8 * number + 1, 8 * number + 2, 8 * number + 3)
        code += struct.pack("<QQQQ", a | b << 21 | c << 42, *names)
    found = encodings(code, 60)
    expected = [
        (32 * n + 8 * (k + 1), 8 * n + k + 1, ControlCode.from_bits(bits))
        for n, bundle in enumerate(bundles)
        for k, bits in enumerate(bundle)
    ]
    assert [(e.offset, e.code, e.control) for e in found] == expected


def test_sizes_by_architecture() -> None:
    assert [instruction_bytes(sm) for sm in (50, 60, 61, 70, 75, 80, 90)] == [8] * 3 + [16] * 4
