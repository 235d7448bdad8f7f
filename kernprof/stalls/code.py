"""The instructions of a launch, from the machine code that its report carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from kernprof.compile import elf
from kernprof.errors import CubinError
from kernprof.profile import Instruction, MachineCode
from kernprof.sim.cubin import read_cubin
from kernprof.sim.disasm import RawFunction, disassemble
from kernprof.sim.lines import rows_at

_FUNCTION = 2
"""ELF symbol type STT_FUNC."""


def function_name(code: MachineCode) -> str:
    """Return the linker symbol of the launched function.

    Raises
    ------
    CubinError
        The report does not tell which function it is, or the cubin has no such symbol.
    """
    symbols = [s for s in elf.parse(code.cubin).symbols if s.type == _FUNCTION]
    if code.symbol_index is None:
        if len(symbols) == 1:
            return symbols[0].name
        raise CubinError(f"the report does not tell which of {len(symbols)} functions was launched")
    for symbol in symbols:
        if symbol.index == code.symbol_index:
            return symbol.name
    raise CubinError(f"the cubin has no function at symbol {code.symbol_index}")


def instructions(code: MachineCode) -> Sequence[Instruction]:
    """Disassemble the launched function.

    Returns
    -------
    sequence of Instruction
        In program order, with source positions where the cubin has a line table.

    Raises
    ------
    UnavailableError
        No disassembler for this architecture is installed; carries the command that adds one.
    CubinError
        The machine code can't be decoded.
    """
    return _instructions(code.cubin, function_name(code))


@lru_cache(maxsize=32)
def _instructions(cubin: bytes, name: str) -> tuple[Instruction, ...]:
    """Disassemble once what several launches of a report execute: it takes a process each time."""
    image = read_cubin(cubin)
    sm = int(image.arch.removeprefix("sm_"))
    for function in disassemble(cubin, sm):
        if function.name == name:
            break
    else:
        raise CubinError(f"the disassembly does not list {name}")
    found = _listed(function, sm)
    kernel = image.kernels.get(name)
    if kernel is None:
        return tuple(found)
    located = []
    positions = rows_at(kernel.lines, (i.offset + function.start for i in found))
    for instruction, position in zip(found, positions, strict=True):
        if position is not None:
            instruction = replace(instruction, file=position.file, line=position.line)
        located.append(instruction)
    return tuple(located)


def source_positions(code: MachineCode, offsets: Sequence[int]) -> Sequence[tuple[str, int] | None]:
    """Return file and line of instructions by their offset in the launched function.

    Needs no disassembler; None for an offset that the line table doesn't cover.

    Raises
    ------
    CubinError
        The machine code can't be decoded, or doesn't hold the function.
    """
    name = function_name(code)
    start = next(s.value for s in elf.parse(code.cubin).symbols if s.name == name)
    kernel = read_cubin(code.cubin).kernels.get(name)
    if kernel is None:
        raise CubinError(f"the cubin has no kernel {name}")
    rows = rows_at(kernel.lines, (offset + start for offset in offsets))
    return [None if row is None else (row.file, row.line) for row in rows]


def _listed(function: RawFunction, sm: int) -> list[Instruction]:
    """Give every instruction its offset; before Volta an empty entry is a control word."""
    step = 16 if sm >= 70 else 8
    return [
        Instruction(
            offset=index * step,
            text=" ".join(part for part in (raw.predicate, raw.opcode, raw.operands) if part),
        )
        for index, raw in enumerate(function.instructions)
        if raw.opcode
    ]
