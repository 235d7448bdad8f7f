"""How far the indices of machine code reach: registers, banks, barriers, offsets, targets.

Machine code is somebody else's data. Each index in it that the simulator turns into a place in its
own memory is held to the architecture's limits twice: all of a program's when it is read
(:func:`check`), and each again where code is made of it
(:func:`kernprof.sim.layout.offset_of`), so that a slip in one of the two is caught by the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
)

if TYPE_CHECKING:
    from kernprof.sim.program import Instruction, Kernel

REGISTERS = 255
"""Vector registers of a thread, R0 to R254 (CUDA C++ Programming Guide, "Compute Capabilities")."""
PREDICATES = 7
"""P0 to P6; the eighth encoding is PT. The same of uniform predicates, since Turing."""
CONSTANT_BANKS = 18
"""Banks c[0x0] to c[0x11]: what sections of cubins can name (``.nv.constant0`` to ``17``)."""
CONSTANT_BANK_BYTES = 1 << 16
CONVERGENCE_BARRIERS = 16
BLOCK_BARRIERS = 16
SCOREBOARDS = 6
LOCAL_BYTES = 512 << 10
"""Local memory of a thread (CUDA C++ Programming Guide, "Compute Capabilities")."""
SHARED_BYTES = 228 << 10
"""Shared memory of an SM of compute capability 9.0, more than any block can have."""
INSTRUCTIONS = 1 << 20
"""Instructions of a section: more than the records of a trace can name are not simulated."""

_TURING, _BLACKWELL = 75, 100
_UNIFORM_REGISTERS = 63
_UNIFORM_REGISTERS_BLACKWELL = 255
_TARGETED = frozenset(
    ("BRA", "BRX", "JMP", "JMX", "CALL", "CAL", "JCAL", "BSSY", "SSY", "PBK", "PCNT", "PRET")
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What differs between architectures.

    Parameters
    ----------
    uniform_registers
        Uniform registers of a warp: none before Turing, UR0 to UR62 up to Hopper; Blackwell's
        machine code encodes UR0 to UR254.
    """

    uniform_registers: int


def limits(sm: int) -> Limits:
    """Return the limits of architecture number ``sm`` (80 for sm_80)."""
    if sm < _TURING:
        return Limits(0)
    return Limits(_UNIFORM_REGISTERS if sm < _BLACKWELL else _UNIFORM_REGISTERS_BLACKWELL)


def check(kernel: Kernel) -> None:
    """Hold every index in a kernel's instructions to the limits of its architecture.

    Raises
    ------
    CubinError
        One is beyond them; the message names the instruction, what was found and the limit.
    """
    known = limits(kernel.sm)
    if len(kernel.instructions) > INSTRUCTIONS:
        raise CubinError(
            f"{kernel.name}: {len(kernel.instructions):,} instructions; the simulator takes up to "
            f"{INSTRUCTIONS:,}"
        )
    for instruction in kernel.instructions:
        for fault in _faults(instruction, kernel, known):
            raise CubinError(f"{instruction.where(kernel.arch)}: {fault}")


def _faults(instruction: Instruction, kernel: Kernel, known: Limits) -> Iterator[str]:
    control = instruction.control
    for barrier in (control.write_barrier, control.read_barrier):
        if barrier is not None and barrier >= SCOREBOARDS:
            yield f"scoreboard {barrier}; there are {SCOREBOARDS}"
    if instruction.guard is not None:
        yield from _predicate(instruction.guard, kernel.sm)
    for operand in instruction.operands:
        yield from _operand(operand, kernel, known)
    if instruction.opcode == "BAR" and instruction.operands:
        first = instruction.operands[0]
        if isinstance(first, Immediate) and not 0 <= (first.bits or 0) < BLOCK_BARRIERS:
            yield f"barrier {first.text} of a block; there are {BLOCK_BARRIERS}"
    yield from _target(instruction, kernel)
    yield from _offset(instruction)


def _operand(operand: Operand, kernel: Kernel, known: Limits) -> Iterator[str]:
    if isinstance(operand, Register):
        yield from _register(operand, kernel.arch, known)
    elif isinstance(operand, Predicate):
        yield from _predicate(operand, kernel.sm)
    elif isinstance(operand, Constant):
        for part in (operand.base, operand.bindless):
            if part is not None:
                yield from _register(part, kernel.arch, known)
        if operand.bank is not None and not 0 <= operand.bank < CONSTANT_BANKS:
            last = CONSTANT_BANKS - 1
            yield f"there is no constant bank {operand.bank:#x}; the last is {last:#x}"
        if operand.base is None and not 0 <= operand.offset < CONSTANT_BANK_BYTES:
            yield f"offset {operand.offset:#x} in a constant bank of {CONSTANT_BANK_BYTES:,} bytes"
    elif isinstance(operand, Address):
        for part in (operand.base, operand.uniform, operand.descriptor):
            if part is not None:
                yield from _register(part, kernel.arch, known)
    elif isinstance(operand, Special):
        yield from _named(operand.name)


def _register(register: Register, arch: str, known: Limits) -> Iterator[str]:
    if register.uniform:
        if register.index != URZ and not 0 <= register.index < known.uniform_registers:
            yield (
                f"there is no uniform register UR{register.index} on {arch}, which has "
                f"{known.uniform_registers}"
            )
    elif register.index != RZ and not 0 <= register.index < REGISTERS:
        yield f"there is no register R{register.index}; the last is R{REGISTERS - 1}"


def _predicate(predicate: Predicate, sm: int) -> Iterator[str]:
    prefix = "UP" if predicate.uniform else "P"
    if predicate.uniform and sm < _TURING:
        yield f"uniform predicate UP{predicate.index} on an architecture without"
    elif predicate.index != PT and not 0 <= predicate.index < PREDICATES:
        last = f"{prefix}{PREDICATES - 1}"
        yield f"there is no predicate {prefix}{predicate.index}; the last is {last}"


def _named(name: str) -> Iterator[str]:
    for prefix, what, count in (
        ("SB", "scoreboard", SCOREBOARDS),
        ("B", "convergence barrier", CONVERGENCE_BARRIERS),
    ):
        digits = name.removeprefix(prefix)
        if name.startswith(prefix) and digits.isdecimal() and int(digits) >= count:
            yield f"there is no {what} {name}; there are {count}"


def _target(instruction: Instruction, kernel: Kernel) -> Iterator[str]:
    """See that a direct branch goes to an instruction of its section; names are looked up later."""
    if instruction.opcode not in _TARGETED and "COLLECTIVE" not in instruction.modifiers:
        return
    if instruction.opcode in ("BRX", "JMX"):
        return  # the number is a part of the target, which the register completes
    last = instruction.operands[-1] if instruction.operands else None
    if isinstance(last, Immediate) and last.bits is not None:
        place = kernel.place(last.bits)
        if place not in kernel.by_offset:
            yield f"{last.text} is no instruction of its {len(kernel.image.code):,} bytes of code"


def _offset(instruction: Instruction) -> Iterator[str]:
    """See that a fixed address in shared or local memory is one that the hardware can have."""
    spaces = {"S": ("shared", SHARED_BYTES), "L": ("local", LOCAL_BYTES)}
    if instruction.opcode not in ("LDS", "STS", "ATOMS", "LDL", "STL"):
        return
    what, extent = spaces[instruction.opcode[-1]]
    for operand in instruction.operands:
        if not isinstance(operand, Address) or operand.uniform is not None:
            continue
        fixed = operand.base is None or operand.base.is_zero
        if fixed and not 0 <= operand.offset < extent:
            yield f"address {operand.offset:#x} in {what} memory of {extent:,} bytes at most"
