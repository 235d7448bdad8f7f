"""A small reader of 64-bit little-endian ELF images that trusts nothing in them.

Cubins come out of reports and files of other people: each offset and size is checked against the
image before it is used, and every fault is a ``CubinError`` that says where.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kernprof.errors import CubinError

EM_CUDA = 190
SHT_SYMTAB = 2
SHT_NOBITS = 8
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its header, and where its bytes are (no bytes for ``SHT_NOBITS``)."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol of the symbol table."""

    index: int
    name: str
    type: int
    other: int
    section: int
    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Elf:
    """A parsed image."""

    image: bytes
    flags: int
    os_abi: int
    abi_version: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def section(self, name: str) -> Section | None:
        """Return the first section of this name."""
        return next((s for s in self.sections if s.name == name), None)

    def data(self, section: Section) -> bytes:
        """Return a section's bytes; none for ``SHT_NOBITS``."""
        if section.type == SHT_NOBITS:
            return b""
        return self.image[section.offset : section.offset + section.size]


def _string(table: bytes, offset: int, what: str) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise CubinError(
            f"the name of {what} is at byte {offset} of a string table of {len(table)} bytes"
        )
    return table[offset:end].decode("utf-8", "replace")


def _slice(image: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(image):
        raise CubinError(
            f"{what} reaches to byte {offset + size}, but the image ends at {len(image)}"
        )
    return image[offset : offset + size]


def parse(image: bytes) -> Elf:
    """Read the section and symbol tables.

    Raises
    ------
    CubinError
        If the image is no 64-bit little-endian ELF for CUDA or contradicts itself.
    """
    if image[:4] != b"\x7fELF":
        raise CubinError(f"not an ELF image: it starts with {image[:4].hex() or 'nothing'}")
    if len(image) < _HEADER.size:
        raise CubinError(f"the image has {len(image)} bytes, an ELF header alone {_HEADER.size}")
    fields = _HEADER.unpack_from(image)
    ident, machine, flags = fields[0], fields[2], fields[7]
    table_offset, entry_size, count, names_index = fields[6], fields[11], fields[12], fields[13]
    if ident[4] != 2 or ident[5] != 1:
        raise CubinError("not a 64-bit little-endian ELF image")
    if machine != EM_CUDA:
        raise CubinError(f"an ELF image for machine {machine}, expected {EM_CUDA} (CUDA)")
    if entry_size != _SECTION.size or names_index >= count:
        raise CubinError(
            f"{count} section headers of {entry_size} bytes with names in number {names_index}"
        )
    headers = list(
        _SECTION.iter_unpack(
            _slice(image, table_offset, count * entry_size, "the section header table")
        )
    )
    for index, header in enumerate(headers):
        if header[1] != SHT_NOBITS:
            _slice(image, header[4], header[5], f"section {index}")
    names = _slice(image, headers[names_index][4], headers[names_index][5], "the name table")
    sections = tuple(
        Section(
            index=i,
            name=_string(names, h[0], f"section {i}"),
            type=h[1],
            flags=h[2],
            offset=h[4],
            size=h[5],
            link=h[6],
            info=h[7],
        )
        for i, h in enumerate(headers)
    )
    symbols: list[Symbol] = []
    for section in sections:
        if section.type == SHT_SYMTAB:
            symbols += _symbols(image, sections, section)
    return Elf(image, flags, ident[7], ident[8], sections, tuple(symbols))


def _symbols(image: bytes, sections: tuple[Section, ...], table: Section) -> list[Symbol]:
    if table.link >= len(sections) or table.size % _SYMBOL.size:
        raise CubinError(
            f"a symbol table of {table.size} bytes with names in section {table.link}"
            f" of {len(sections)}"
        )
    names_section = sections[table.link]
    names = image[names_section.offset : names_section.offset + names_section.size]
    data = image[table.offset : table.offset + table.size]
    return [
        Symbol(
            index=i,
            name=_string(names, s[0], f"symbol {i}"),
            type=s[1] & 0xF,
            other=s[2],
            section=s[3],
            value=s[4],
            size=s[5],
        )
        for i, s in enumerate(_SYMBOL.iter_unpack(data))
    ]
