"""Source lines of machine code: the line table of a cubin, plain DWARF 2 with relocations."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kernprof.errors import CubinError


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol of the ELF file: ``value`` is its offset in section ``section``."""

    index: int
    name: str
    section: int
    value: int
    size_bytes: int
    is_function: bool


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where an instruction comes from."""

    file: str
    line: int


_PATH_CHARACTERS, _FILES = 4096, 1 << 16


def line_tables(
    data: bytes, elf: Any, symbols: tuple[Symbol, ...]
) -> dict[int, dict[int, SourceLine]]:
    """Decode ``.debug_line``: source positions by text section, and in it by offset.

    A sequence belongs to one section; its relocation tells which.
    """
    starts: dict[int, tuple[int, int]] = {}
    for prefix in (".rel", ".rela"):
        relocation = elf.get_section_by_name(prefix + ".debug_line")
        if relocation is None:
            continue
        for entry in relocation.iter_relocations():
            symbol = symbols[entry["r_info_sym"]]
            starts[entry["r_offset"]] = (symbol.section, symbol.value)
    found: dict[int, dict[int, SourceLine]] = {}
    at = 0
    while at + 4 <= len(data):
        end = at + 4 + struct.unpack_from("<I", data, at)[0]
        for target, offset, line in _line_program(data, at, end, starts):
            found.setdefault(target, {})[offset] = line
        at = end
    return found


def rows_at(rows: Mapping[int, SourceLine], offsets: Iterable[int]) -> Iterator[SourceLine | None]:
    """Give each offset the last row of a line table at or before it, or None before the first.

    A row holds until the next one. It may stand at no instruction: on Maxwell and Pascal at the
    control word in front of a bundle.
    """
    starts = sorted(rows)
    for offset in offsets:
        count = bisect_right(starts, offset)
        yield rows[starts[count - 1]] if count else None


class _Cursor:
    """Reads the variable-length numbers of DWARF."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def u8(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def fixed(self, form: str) -> int:
        value: int = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:
                raise CubinError("line table: a number of more than 64 bits")

    def sleb(self) -> int:
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def text(self) -> str:
        end = self.data.index(0, self.at)
        value = self.data[self.at : end].decode()
        self.at = end + 1
        return value


def _line_program(
    data: bytes, at: int, end: int, starts: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[int, int, SourceLine]]:
    """Run one DWARF 2 line program; yields (section, first offset of a row, position).

    DWARF 2.0.0 section 6.2. Opcodes above the standard ones that NVIDIA adds (inlining contexts)
    are skipped by their declared operand counts.
    """
    c = _Cursor(data, at + 4)
    version = c.fixed("<H")
    if version not in (2, 3):
        raise CubinError(f"line table of DWARF {version}; versions 2 and 3 are known")
    header = c.fixed("<I")
    program = c.at + header
    minimum = c.u8()
    c.u8()
    line_base = c.fixed("<b")
    line_range = c.u8()
    opcode_base = c.u8()
    operands = [0, *(c.u8() for _ in range(opcode_base - 1))]
    directories = [""]
    while text := c.text():
        directories.append(text)
    files = [""]
    while text := c.text():
        folder = directories[c.uleb()]
        c.uleb()
        c.uleb()
        path = f"{folder}/{text}" if folder else text
        if len(path) > _PATH_CHARACTERS or len(files) > _FILES:
            raise CubinError(
                f"line table: more than {_FILES:,} files, or a name of more than "
                f"{_PATH_CHARACTERS:,} characters"
            )
        files.append(path)
    c.at = program
    section, address, file, line = -1, 0, 1, 1
    while c.at < end:
        opcode = c.u8()
        if opcode >= opcode_base:
            address += (opcode - opcode_base) // line_range * minimum
            line += line_base + (opcode - opcode_base) % line_range
            yield section, address, SourceLine(files[file], line)
        elif opcode == 0:
            size = c.uleb()
            after = c.at + size
            extended = c.u8()
            if extended == 1:
                section, address, file, line = -1, 0, 1, 1
            elif extended == 2:
                section, base = starts.get(c.at, (-1, 0))
                address = base + c.fixed("<Q" if size == 9 else "<I")
            c.at = after
        elif opcode == 1:
            yield section, address, SourceLine(files[file], line)
        elif opcode == 2:
            address += c.uleb() * minimum
        elif opcode == 3:
            line += c.sleb()
        elif opcode == 4:
            file = c.uleb()
        elif opcode == 8:
            address += (255 - opcode_base) // line_range * minimum
        elif opcode == 9:
            address += c.fixed("<H")
        else:
            for _ in range(operands[opcode]):
                c.uleb()
