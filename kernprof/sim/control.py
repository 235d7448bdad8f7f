"""The control code of an instruction: what the compiler tells the issue logic.

Every instruction since Maxwell carries 21 bits of scheduling. Their place and meaning were worked
out in public by maxas (https://github.com/NervanaSystems/maxas/wiki/Control-Codes), CuAssembler and
Jia et al., "Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking" (arXiv 1804.06826);
the fields are the same in all generations, their place in the code is not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

BARRIERS = 6
_NO_BARRIER = 7
_CONTROL_SHIFT = 105 - 64
_CONTROL_BITS = (1 << 21) - 1


@dataclass(frozen=True, slots=True)
class ControlCode:
    """Scheduling of one instruction.

    Parameters
    ----------
    stall
        Issue cycles before this warp's next instruction; 0 means "drain" since Volta and "issued
        together with the next" on Maxwell and Pascal.
    keep
        True: the scheduler should stay with this warp (the yield flag, which is inverted).
    write_barrier
        Barrier 0-5 that is released when the result is written, or None.
    read_barrier
        Barrier 0-5 that is released when the sources are read, or None.
    wait_mask
        Bit b set: issue waits until barrier b is free.
    reuse_mask
        Bits 0-3: source operands A, B, C, D stay in the operand cache.
    """

    stall: int
    keep: bool
    write_barrier: int | None
    read_barrier: int | None
    wait_mask: int
    reuse_mask: int

    @classmethod
    def from_bits(cls, bits: int) -> ControlCode:
        """Take the 21 bits apart."""
        write = bits >> 5 & 7
        read = bits >> 8 & 7
        return cls(
            stall=bits & 15,
            keep=bool(bits >> 4 & 1),
            write_barrier=None if write == _NO_BARRIER else write,
            read_barrier=None if read == _NO_BARRIER else read,
            wait_mask=bits >> 11 & 63,
            reuse_mask=bits >> 17 & 15,
        )


@dataclass(frozen=True, slots=True)
class Encoding:
    """Bytes of one instruction: its offset in the section, its code word and its control code."""

    offset: int
    code: int
    control: ControlCode


def instruction_bytes(sm: int) -> int:
    """Size of one instruction of architecture ``sm`` (80 for sm_80): 16 since Volta, else 8."""
    return 16 if sm >= 70 else 8


def encodings(code: bytes, sm: int) -> list[Encoding]:
    """Split a text section into instructions.

    Maxwell and Pascal store bundles of 32 bytes: a control word for three instructions, then these.
    Volta and newer keep the control bits at 125:105 of the 128-bit instruction.

    Parameters
    ----------
    code
        The section, from its start.
    sm
        Architecture number, 50 or more.
    """
    if sm >= 70:
        found = []
        for offset in range(0, len(code) - 15, 16):
            low, high = struct.unpack_from("<QQ", code, offset)
            control = ControlCode.from_bits(high >> _CONTROL_SHIFT & _CONTROL_BITS)
            found.append(Encoding(offset, low | high << 64, control))
        return found
    found = []
    for bundle in range(0, len(code) - 31, 32):
        word, *codes = struct.unpack_from("<QQQQ", code, bundle)
        for slot, bits in enumerate(codes):
            control = ControlCode.from_bits(word >> 21 * slot & _CONTROL_BITS)
            found.append(Encoding(bundle + 8 * (slot + 1), bits, control))
    return found
