"""Control flow of a kernel: basic blocks that begin wherever execution can arrive.

A block is entered at its start and left at its end by all lanes that entered it, so that one
counter per block gives exact counts for each of its instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernprof.errors import CubinError
from kernprof.sim.operands import Register, Special
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
        "ENDCOLLECTIVE",
        "BAR",
        "YIELD",
        "NANOSLEEP",
        "KILL",
        "BPT",
        "SYNC",
        "BRK",
        "CONT",
        "CAL",
    ]
)
DEFAULT_STACK_BYTES = 1024
_TARGETED = frozenset(("BRA", "BSSY", "JMP", "SSY", "PBK", "PCNT", "PRET"))


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
        return kernel.place(number)
    for operand in reversed(instruction.operands):
        if isinstance(operand, Special) and operand.name in kernel.image.functions:
            return kernel.place(kernel.image.functions[operand.name][0])
    raise CubinError(f"{instruction.where(kernel.arch)}: calls a function outside of the kernel")


def stack_bytes(kernel: Kernel) -> int:
    """Bytes of local memory that each thread of a kernel has.

    The compiler tells them unless functions call themselves: then a launch gets CUDA's default
    stack (``cudaLimitStackSize``), and a deeper recursion goes out of bounds as it would there.
    """
    known = kernel.image.local_bytes
    return max(known, DEFAULT_STACK_BYTES) if _is_recursive(kernel) else known


def _is_recursive(kernel: Kernel) -> bool:
    callees: dict[str, set[str]] = {}
    for instruction in kernel.instructions:
        indirect = any(isinstance(o, Register) for o in instruction.operands)
        if instruction.opcode in ("CALL", "CAL") and not indirect:
            try:
                target = kernel.by_offset.get(call_target(kernel, instruction))
            except CubinError:
                continue
            if target is not None:
                callees.setdefault(instruction.function, set()).add(target.function)
    reached = {name: set(direct) for name, direct in callees.items()}
    for _ in callees:
        for found in reached.values():
            found |= {k for name in list(found) for k in callees.get(name, ())}
    return any(name in found for name, found in reached.items())


@dataclass(frozen=True, slots=True)
class Translation:
    """What translating a kernel gave.

    Parameters
    ----------
    blocks
        Basic blocks; counters are kept per block number.
    refused
        Reason by index of each instruction that can't be executed. Reaching one stops the launch.
    """

    blocks: tuple[Block, ...]
    refused: Mapping[int, str]


def blocks(kernel: Kernel) -> tuple[Block, ...]:
    """Split a kernel's text section into basic blocks in address order."""
    known = kernel.by_offset
    starts = {kernel.entry}
    starts.update(kernel.place(start) for start, _ in kernel.image.functions.values())
    for targets in kernel.image.indirect_targets.values():
        starts.update(kernel.place(target) for target in targets)
    for instruction in kernel.instructions:
        if instruction.opcode in _TARGETED or "COLLECTIVE" in instruction.modifiers:
            target = target_of(instruction)
            if target is not None:
                starts.add(kernel.place(target))
        if instruction.opcode in ENDING:
            starts.add(kernel.after(instruction))
    ordered = sorted(s for s in starts if s in known)
    found = []
    for number, start in enumerate(ordered):
        first = known[start].index
        last = len(kernel.instructions)
        if number + 1 < len(ordered):
            last = known[ordered[number + 1]].index
        found.append(Block(number, kernel.instructions[first:last]))
    return tuple(found)
