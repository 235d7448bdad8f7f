"""What a launch's instructions are made of: executed warp instructions by opcode.

Nsight Compute stores them with the section InstructionStats (``sass__inst_executed_per_opcode``,
with modifiers in newer versions); a profile that carries its machine code and a count per
instruction gives them through a disassembler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kernprof.errors import CubinError, UnavailableError
from kernprof.metrics.tables import table
from kernprof.profile import KernelProfile
from kernprof.stalls.code import instructions

_TABLES: Final = (
    ("sass__inst_executed_per_opcode_with_modifier_all", True),
    ("sass__inst_executed_per_opcode_with_modifier_selective", True),
    ("sass__inst_executed_per_opcode", False),
)
_WORD_BYTES = 4
_DEBUG_MOVE_PCT = 25.0
"""Code for a debugger keeps variables in place: a third of it and more are moves; of optimised code
a few percent are."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Executed warp instructions by opcode.

    Parameters
    ----------
    counts
        By whole opcode ("LDG.E.128"), or by what stands before the first dot.
    modifiers
        Whether the opcodes have their modifiers, which tell the width of an access.
    """

    counts: Mapping[str, float]
    modifiers: bool

    @property
    def total(self) -> float:
        """All executed warp instructions."""
        return math.fsum(self.counts.values())

    def of(self, group: str) -> float:
        """Return the instructions of a group of ``opcode_groups.toml``."""
        members = frozenset(table("opcode_groups")["group"][group])
        return math.fsum(n for name, n in self.counts.items() if _plain(name) in members)

    @property
    def arithmetic(self) -> float:
        """Floating-point instructions that carry the work: multiply-adds, or else the others.

        Compilers fold a multiplication into an addition or don't, so all of them together would
        change with the compiler's options.
        """
        return self.of("multiply_add") + self.of("tensor") or self.of("float")

    def bytes_per_thread(self, group: str) -> float | None:
        """Return how many bytes a thread moves with an average load or store of a group."""
        if not self.modifiers:
            return None
        members = frozenset(table("opcode_groups")["group"][group])
        found = {name: n for name, n in self.counts.items() if _plain(name) in members and n}
        count = math.fsum(found.values())
        return math.fsum(_width(name) * n for name, n in found.items()) / count if count else None

    @property
    def move_pct(self) -> float:
        """Share of plain register moves in percent."""
        return 100 * self.of("move") / self.total if self.total else 0.0

    @property
    def looks_unoptimised(self) -> bool:
        """Whether this looks like code compiled for a debugger (``nvcc -G``).

        Many register moves, and either multiplications and additions that no multiply-add joins or
        memory accesses whose kind of memory the compiler left open.
        """
        unfused = self.of("float") > 0 and self.of("multiply_add") + self.of("tensor") == 0
        open_kind = self.of("generic") > 0 and self.of("named_global") == 0
        return self.move_pct >= _DEBUG_MOVE_PCT and (unfused or open_kind)


def mix(profile: KernelProfile, *, disassembled: bool = True) -> Mix | None:
    """Return the executed instructions by opcode, or None where the profile doesn't tell them.

    Parameters
    ----------
    disassembled
        Whether to call the disassembler where opcodes are not stored: a fifth of a second a launch.
    """
    for name, modifiers in _TABLES:
        stored = profile.instances.get(name)
        if stored is None:
            continue
        counts = {
            str(key): float(value)
            for key, value in zip(stored.keys, stored.values, strict=True)
            if key is not None and isinstance(value, (int, float))
        }
        if counts and all(map(math.isfinite, counts.values())):
            return Mix(MappingProxyType(counts), modifiers)
    return _disassembled(profile) if disassembled else None


def _disassembled(profile: KernelProfile) -> Mix | None:
    executed, code = profile.instances.get("inst_executed"), profile.code
    if executed is None or code is None or not code.cubin:
        return None
    try:
        listed = instructions(code)
    except (CubinError, UnavailableError):
        return None
    by_key = dict(zip(executed.keys, executed.values, strict=True))
    base = code.base_address or 0
    counts: dict[str, float] = {}
    for instruction in listed:
        value = by_key.get(base + instruction.offset)
        if instruction.text is None or not isinstance(value, (int, float)):
            continue
        if not math.isfinite(value):
            # One unknown count leaves all shares unknown.
            return None
        words = instruction.text.split()
        opcode = words[1] if words[0].startswith("@") and len(words) > 1 else words[0]
        counts[opcode] = counts.get(opcode, 0.0) + value
    return Mix(MappingProxyType(counts), True) if counts else None


def _plain(opcode: str) -> str:
    return opcode.partition(".")[0]


def _width(opcode: str) -> int:
    widths: Mapping[str, int] = table("opcode_groups")["width"]
    return next((widths[part] for part in opcode.split(".")[1:] if part in widths), _WORD_BYTES)
