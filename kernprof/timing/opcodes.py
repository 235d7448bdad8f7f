"""Instructions as the timing core takes them: unit, latency, scoreboards, kind of memory access."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np

from kernprof.devices import Architecture
from kernprof.errors import CubinError
from kernprof.sim.operands import Constant, Immediate, Operand, Predicate, Register, Special
from kernprof.sim.program import Instruction, Kernel
from kernprof.timing.machine import machine
from kernprof.timing.native import BANKS, INSTRUCTION, PIPES, Kind, Queue

_NO_BOARD = 7
_CONSTANT_LINE_BYTES = 64
_LONG = frozenset(
    (Kind.GLOBAL_LOAD, Kind.LOCAL_LOAD, Kind.GLOBAL_ATOMIC, Kind.ASYNC_COPY, Kind.COPY_GROUP)
)
_SHARED = frozenset((Kind.SHARED_LOAD, Kind.SHARED_STORE, Kind.SHARED_ATOMIC))
_WIDTHS = MappingProxyType({"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16})


@dataclass(frozen=True, slots=True)
class Unit:
    """One execution unit of a scheduler."""

    number: int
    name: str
    interval: int
    latency: int
    queue: Queue


@cache
def _document() -> Mapping[str, Any]:
    text = (resources.files("kernprof.timing") / "data" / "opcodes.toml").read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))


def unit_names() -> tuple[str, ...]:
    """Return the units in the order of their numbers."""
    return tuple(_document()["unit"])


def known_opcodes() -> frozenset[str]:
    """Return the opcodes that the table has a place for."""
    document = _document()
    units = (name for row in document["unit"].values() for name in row["opcodes"])
    return frozenset((*units, *document["memory"]))


def _units(arch: Architecture) -> dict[str, Unit]:
    """Units by opcode."""
    found: dict[str, Unit] = {}
    assert len(_document()["unit"]) <= PIPES
    for number, (name, row) in enumerate(_document()["unit"].items()):
        if "results" in row:
            results = arch.results_per_cycle_per_sm.get(row["results"])
            if results is None:
                raise CubinError(f"no throughput of {row['results']} is known for {arch.name}")
            per_scheduler = results / arch.sub_partitions / (2 if row.get("halves") else 1)
            interval = max(1, round(32 / per_scheduler))
        elif "lanes_per_sm" in row:
            interval = max(1, round(32 * arch.sub_partitions / row["lanes_per_sm"]))
        else:
            interval = row["interval"]
        queue = Queue.MIO if row.get("queue") == "mio" else Queue.NONE
        unit = Unit(number, name, interval, row["latency"], queue)
        found.update(dict.fromkeys(row["opcodes"], unit))
    return found


def encode(kernel: Kernel, arch: Architecture) -> np.ndarray:
    """Return one :data:`~kernprof.timing.native.INSTRUCTION` for each instruction of a kernel.

    Raises
    ------
    CubinError
        An opcode is in no unit of the table.
    """
    units = _units(arch)
    banks = machine(arch.name).register_banks
    before: Instruction | None = None
    table = np.zeros(len(kernel.instructions), INSTRUCTION)
    for instruction in kernel.instructions:
        row = _row(kernel, instruction, units, arch)
        # What goes through a queue reads its operands when there is time.
        reads = _reads(instruction, before, banks) if row[7] == Queue.NONE else (0,) * BANKS
        table[instruction.index] = (*row, reads)
        before = instruction
    return table


def _row(
    kernel: Kernel, instruction: Instruction, units: Mapping[str, Unit], arch: Architecture
) -> tuple[int, ...]:
    opcode = instruction.opcode
    control = instruction.control
    memory = _document()["memory"].get(opcode)
    kind = Kind.PLAIN
    unit = None
    if memory is not None:
        kind = Kind[memory.upper()]
        queue = Queue.MIO if kind in _SHARED else Queue.LOCAL_GLOBAL
    else:
        unit = units.get(opcode) or units.get(opcode.removeprefix("U"))
        if unit is None:
            raise CubinError(
                f"{instruction.where(kernel.arch)}: the timing model knows no unit for {opcode}"
            )
        queue = unit.queue
        special = _document()["special"].get(opcode)
        if special is not None:
            kind = Kind[special.upper()]
        # Arriving does not wait; a fence for the block alone is that of its barriers.
        if (opcode, kind) == ("BAR", Kind.BARRIER) and "ARV" in instruction.modifiers:
            kind = Kind.PLAIN
        if kind is Kind.FENCE and "CTA" in instruction.modifiers:
            kind = Kind.PLAIN
    board, left = _NO_BOARD, 0
    if kind is Kind.WAIT_COUNT:
        board, left = _counted(instruction)
    return (
        control.stall,
        control.keep,
        _NO_BOARD if control.write_barrier is None else control.write_barrier,
        _NO_BOARD if control.read_barrier is None else control.read_barrier,
        control.wait_mask,
        kind,
        unit.number if unit else 0,
        queue,
        _bytes(instruction),
        kind in _LONG,
        board,
        left,
        0,
        0,
        unit.latency if unit else 0,
        _interval(instruction, unit, arch) if unit else 0,
        _constant_line(instruction),
    )


def _interval(instruction: Instruction, unit: Unit, arch: Architecture) -> int:
    """Cycles that an instruction holds its unit; of tensor cores by its shape and elements."""
    if unit.name != "tensor":
        return unit.interval
    table = _document()["tensor"]
    marks = instruction.modifiers
    element = {"IMMA": "byte", "DMMA": "double"}.get(instruction.opcode, "half")
    if "TF32" in marks:
        element = "tf32"
    shape = "884" if instruction.opcode == "DMMA" else next((m for m in marks if m.isdigit()), "")
    products: int | None = table["shape"].get(shape)
    rate: int | None = table[element].get(arch.name)
    if products is None or rate is None:
        return unit.interval
    if instruction.opcode == "DMMA":
        products //= 4  # one product by the whole warp, not four by quads
    elif shape == "884":
        products //= 4 if "F32" in marks else 2
    return max(1, round(products * arch.sub_partitions / rate))


def _reads(instruction: Instruction, before: Instruction | None, banks: int) -> tuple[int, ...]:
    """Operands read from each bank of the register file; reused ones come from their cache."""
    counts = [0] * BANKS
    kept: Mapping[int, Operand] = {}
    if before is not None and before.function == instruction.function:
        mask = before.control.reuse_mask
        kept = {s: o for s, o in enumerate(_sources(before)) if mask >> s & 1}
    for slot, operand in enumerate(_sources(instruction)):
        if not isinstance(operand, Register) or operand.uniform or operand.is_zero:
            continue
        cached = kept.get(slot)
        if isinstance(cached, Register) and cached.index == operand.index and not cached.uniform:
            continue
        counts[operand.index % banks] += 1
    return tuple(counts)


def _sources(instruction: Instruction) -> list[Operand]:
    """Operands in the slots A, B, C, D of an arithmetic instruction."""
    operands = instruction.operands
    if operands and isinstance(operands[0], Register):
        operands = operands[1:]
    return [o for o in operands if not isinstance(o, Predicate)]


def _bytes(instruction: Instruction) -> int:
    for modifier in instruction.modifiers:
        if modifier in _WIDTHS:
            return _WIDTHS[modifier]
    return 4


def _counted(instruction: Instruction) -> tuple[int, int]:
    """Scoreboard of DEPBAR.LE and how many operations may be left."""
    names = [o.name for o in instruction.operands if isinstance(o, Special)]
    board = next((int(n[2:]) for n in names if n[:2] == "SB" and n[2:].isdigit()), _NO_BOARD)
    numbers = [o.bits for o in instruction.operands if isinstance(o, Immediate)]
    left = next((n for n in numbers if n is not None), 0)
    return board, min(255, left)


def _constant_line(instruction: Instruction) -> int:
    for operand in instruction.operands:
        if isinstance(operand, Constant) and operand.bank is not None and operand.base is None:
            return 1 + (operand.bank * 256 + operand.offset // _CONSTANT_LINE_BYTES) % 1000
    return 0
