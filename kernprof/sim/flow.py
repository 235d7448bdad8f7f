"""Control flow of a kernel: basic blocks that begin wherever execution can arrive.

A block is entered at its start and left at its end by all lanes that entered it, so that one
counter per block gives exact counts for each of its instructions.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernprof.errors import CubinError
from kernprof.sim.operands import Special
from kernprof.sim.program import Instruction, Kernel, target_of

# Instructions after which the set of lanes, or the place, can be another.
ENDING = frozenset(
    [
        "BRA",
        "BRX",
        "JMP",
        "JMX",
        "CALL",
        "RET",
        "EXIT",
        "BSYNC",
        "BREAK",
        "WARPSYNC",
        "BAR",
        "YIELD",
        "NANOSLEEP",
        "KILL",
        "BPT",
    ]
)
_TARGETED = frozenset(("BRA", "BSSY", "JMP"))


@dataclass(frozen=True, slots=True)
class Block:
    """A basic block: its number and its instructions."""

    number: int
    instructions: tuple[Instruction, ...]

    @property
    def start(self) -> int:
        """Offset of its first instruction."""
        return self.instructions[0].offset


def call_target(kernel: Kernel, instruction: Instruction) -> int:
    """Offset that a CALL goes to: a function of the section by name, or a number.

    Raises
    ------
    CubinError
        The function is not in this section.
    """
    number = target_of(instruction)
    if number is not None:
        return number
    for operand in reversed(instruction.operands):
        if isinstance(operand, Special) and operand.name in kernel.image.functions:
            return kernel.image.functions[operand.name][0]
    raise CubinError(f"{instruction.where(kernel.arch)}: calls a function outside of the kernel")


def blocks(kernel: Kernel) -> tuple[Block, ...]:
    """Split a kernel's text section into basic blocks in address order."""
    known = kernel.by_offset
    starts = {kernel.image.entry}
    starts.update(start for start, _ in kernel.image.functions.values())
    for targets in kernel.image.indirect_targets.values():
        starts.update(targets)
    for instruction in kernel.instructions:
        if instruction.opcode in _TARGETED:
            target = target_of(instruction)
            if target is not None:
                starts.add(target)
        if instruction.opcode in ENDING:
            starts.add(instruction.offset + kernel.step)
    ordered = sorted(s for s in starts if s in known)
    found = []
    for number, start in enumerate(ordered):
        end = ordered[number + 1] if number + 1 < len(ordered) else len(kernel.image.code)
        members = tuple(known[o] for o in range(start, end, kernel.step) if o in known)
        found.append(Block(number, members))
    return tuple(found)
