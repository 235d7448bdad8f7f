"""Reading a cubin: sections, kernels, parameters, constant banks, relocations, source lines.

A cubin is an ELF file with NVIDIA's own section names and a table of attributes per kernel. The
layout is described in the public tools that read it: Mesa's NAK compiler, CuAssembler
(https://github.com/cloudcores/CuAssembler) and the "CUDA Binary Utilities" manual. What can't be
placed with certainty raises :class:`~kernprof.errors.CubinError`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kernprof.errors import CubinError
from kernprof.isolation import memory_limit
from kernprof.sim.limits import (
    CONSTANT_BANK_BYTES,
    CONSTANT_BANKS,
    LOCAL_BYTES,
    REGISTERS,
    SHARED_BYTES,
)
from kernprof.sim.lines import SourceLine, Symbol, line_tables

# Attribute codes of .nv.info (EIATTR_*), as the tools named above list them.
_KPARAM_INFO = 0x17
_REGCOUNT = 0x2F
_MIN_STACK_SIZE = 0x12
_PARAM_CBANK = 0x0A
_INDIRECT_BRANCH_TARGETS = 0x34
_REQUIRED_THREADS = 0x10

_R_CUDA_32 = 1
_R_CUDA_64 = 2

_OLD_OSABI = 51  # cubins made before CUDA 13: SM number in the low byte of the flags
_SM_SHIFT_NEW = 8
_REGISTERS_SHIFT = 24
"""Of ``sh_info`` of a kernel's section; the other bits are its symbol (CuAssembler's notes)."""

MAX_IMAGE_BYTES = 256 << 20
"""Of a file or a report's code; the largest cubins of public libraries have some 30 MB."""
_VARIABLES_SHARE = 4
"""Global variables are held in up to this many copies: content, the launch's own, what is written
of a checked run, and the result."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One kernel parameter.

    Parameters
    ----------
    ordinal
        Position in the parameter list, from 0.
    offset_bytes
        Offset from the first parameter.
    size_bytes
        Size in the constant bank.
    """

    ordinal: int
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GlobalRelocation:
    """A 4- or 8-byte slot of a constant bank that holds an address.

    ``known`` tells whether it is that of a global variable of this cubin; function pointers and
    external symbols are not known, and code that reads such a slot is refused.
    """

    bank: int
    offset_bytes: int
    size_bytes: int
    symbol: Symbol
    addend: int
    known: bool


@dataclass(frozen=True, slots=True)
class KernelImage:
    """What the ELF file says about one kernel; the code is that of its whole text section.

    Parameters
    ----------
    name
        Linker symbol.
    section
        Index of its ``.text`` section.
    code
        Bytes of the section.
    entry
        Offset of the kernel in it.
    registers
        Registers per thread.
    shared_bytes
        Size of the block's shared window: static shared memory, and from sm_90 on the 1 KiB that
        the system keeps in front of it (the kernel's own variables then start at 0x400).
    local_bytes
        Stack frame per thread, called functions included.
    parameters
        In ordinal order.
    parameter_base
        Offset of the first parameter in constant bank 0.
    constants
        Initial content of the constant banks by number; bank 0 is zero except for what the
        launch writes.
    relocations
        Slots of ``constants`` that need the address of a global variable.
    indirect_targets
        Targets of each indirect branch by its offset.
    lines
        Source position by instruction offset where the line table has one.
    functions
        Functions in the section by name: (offset, size).
    patched
        Offsets of instructions that a loader would still have to complete.
    required_block
        Block that the source demands, or None.
    """

    name: str
    section: int
    code: bytes
    entry: int
    registers: int
    shared_bytes: int
    local_bytes: int
    parameters: tuple[Parameter, ...]
    parameter_base: int
    constants: Mapping[int, bytes]
    relocations: tuple[GlobalRelocation, ...]
    indirect_targets: Mapping[int, tuple[int, ...]]
    lines: Mapping[int, SourceLine]
    functions: Mapping[str, tuple[int, int]]
    patched: frozenset[int] = frozenset()
    required_block: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class CubinImage:
    """A parsed cubin.

    Parameters
    ----------
    arch
        ``"sm_80"``.
    kernels
        By linker symbol.
    globals_bytes
        Initial content of each section of global variables by section index.
    global_symbols
        Named variables in these sections.
    """

    arch: str
    kernels: Mapping[str, KernelImage]
    globals_bytes: Mapping[int, bytes]
    global_symbols: tuple[Symbol, ...]


def read_cubin(data: bytes, *, memory_limit_bytes: int | None = None) -> CubinImage:
    """Parse a cubin.

    Sizes that it tells are believed as far as the hardware has them and the memory limit allows.

    Parameters
    ----------
    data
        The ELF image.
    memory_limit_bytes
        What a prediction may take; by default that of :func:`kernprof.isolation.memory_limit`.

    Raises
    ------
    CubinError
        The data is no cubin, tells a size that can't be, or uses a structure that this reader
        doesn't know.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    if data[:4] != b"\x7fELF":
        raise CubinError(
            f"not a cubin: it starts with {data[:4].hex(' ') or 'nothing'}, an ELF file starts "
            "with 7f 45 4c 46; compile with NVRTC or nvcc -cubin"
        )
    if len(data) > MAX_IMAGE_BYTES:
        raise CubinError(f"a cubin of {len(data):,} bytes; up to {MAX_IMAGE_BYTES:,} are read")
    limit = memory_limit() if memory_limit_bytes is None else memory_limit_bytes
    try:
        return _read(_Sections(ELFFile(io.BytesIO(data)), limit))
    except CubinError:
        raise
    # The ELF library checks little: a damaged file makes it fail in any of its own ways.
    except (ELFError, struct.error, zlib.error, ArithmeticError, LookupError, ValueError) as error:
        raise CubinError(f"damaged cubin: {error}") from error
    except (AttributeError, TypeError, AssertionError, MemoryError, RecursionError) as error:
        raise CubinError(f"damaged cubin: {type(error).__name__} while reading it") from error


class _Sections:
    """The sections of a file; each content is read once, and all of them count for the limit."""

    def __init__(self, elf: Any, limit_bytes: int) -> None:
        self.elf = elf
        self.all = list(elf.iter_sections())
        self.by_name = {section.name: index for index, section in enumerate(self.all)}
        self._limit = self._left = limit_bytes // _VARIABLES_SHARE
        self._kept: dict[int, bytes] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def named(self, name: str) -> Any:
        """Return the section of this name, or None."""
        index = self.by_name.get(name)
        return None if index is None else self.all[index]

    def content(self, name: str | int) -> bytes:
        """Return a section's bytes, by name or index; one without content in the file is zero."""
        index = self.by_name[name] if isinstance(name, str) else name
        if index not in self._kept:
            section = self.all[index]
            # Of a compressed section the size that it has when it is unpacked.
            size = section.data_size
            self._left -= size
            if self._left < 0:
                raise CubinError(
                    f"{section.name} has {size:,} bytes; the sections of a cubin may take "
                    f"{self._limit:,} (a quarter of the memory limit; --memory-limit sets it)"
                )
            empty = section["sh_type"] == "SHT_NOBITS"
            self._kept[index] = bytes(size) if empty else bytes(section.data())
        return self._kept[index]


def _read(sections: _Sections) -> CubinImage:
    elf = sections.elf
    if elf["e_machine"] not in ("EM_CUDA", 190):
        raise CubinError(f"an ELF file for {elf['e_machine']}, not for an NVIDIA GPU")
    symbols = tuple(_symbols(elf))
    regcounts = _file_attributes(sections, _REGCOUNT)
    stacks = _file_attributes(sections, _MIN_STACK_SIZE)
    lines = (
        line_tables(sections.content(".debug_line"), elf, symbols)
        if (".debug_line" in sections)
        else {}
    )
    functions: dict[int, dict[str, tuple[int, int]]] = {}
    for symbol in symbols:
        if symbol.is_function:
            functions.setdefault(symbol.section, {})[symbol.name] = (
                symbol.value,
                symbol.size_bytes,
            )
    kernels = {}
    for symbol in symbols:
        if not symbol.is_function or f".nv.info.{symbol.name}" not in sections:
            continue
        if sections.all[symbol.section].name != f".text.{symbol.name}":
            continue
        kernels[symbol.name] = _kernel(
            symbol,
            symbols,
            sections,
            registers=regcounts.get(symbol.index),
            local_bytes=stacks.get(symbol.index, 0),
            lines=lines.get(symbol.section, {}),
            functions=functions[symbol.section],
        )
    global_sections = {
        index: sections.content(index)
        for index, s in enumerate(sections.all)
        if s.name in (".nv.global", ".nv.global.init")
    }
    return CubinImage(
        arch=_arch(elf),
        kernels=kernels,
        globals_bytes=global_sections,
        global_symbols=tuple(
            s for s in symbols if s.section in global_sections and s.name and s.size_bytes
        ),
    )


def _arch(elf: Any) -> str:
    flags = elf["e_flags"]
    old = elf["e_ident"]["EI_OSABI"] in (_OLD_OSABI, "ELFOSABI_CUDA")
    number = flags & 0xFF if old else (flags >> _SM_SHIFT_NEW) & 0xFF
    return f"sm_{number}"


def _symbols(elf: Any) -> Iterator[Symbol]:
    table = elf.get_section_by_name(".symtab")
    if table is None:
        raise CubinError("the cubin has no symbol table; compile it without stripping")
    for index, entry in enumerate(table.iter_symbols()):
        section = entry["st_shndx"]
        yield Symbol(
            index=index,
            name=entry.name,
            section=section if isinstance(section, int) else -1,
            value=entry["st_value"],
            size_bytes=entry["st_size"],
            is_function=entry["st_info"]["type"] == "STT_FUNC",
        )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk an attribute table: (format, code, value) records; formats 1-3 hold 2 bytes inline."""
    at = 0
    while at + 4 <= len(data):
        form, code, value = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == 4:
            yield code, data[at : at + value]
            at += value
        elif form in (1, 2, 3):
            yield code, value.to_bytes(2, "little")
        else:
            raise CubinError(f"attribute {code:#x} in format {form}; formats 1 to 4 are known")


def _file_attributes(sections: _Sections, wanted: int) -> dict[int, int]:
    if ".nv.info" not in sections:
        return {}
    return {
        symbol: value
        for code, payload in _attributes(sections.content(".nv.info"))
        if code == wanted
        for symbol, value in [struct.unpack("<II", payload[:8])]
    }


def _kernel(
    symbol: Symbol,
    symbols: tuple[Symbol, ...],
    sections: _Sections,
    *,
    registers: int | None,
    local_bytes: int,
    lines: Mapping[int, SourceLine],
    functions: Mapping[str, tuple[int, int]],
) -> KernelImage:
    name = symbol.name
    text = sections.all[symbol.section]
    parameters = []
    base = None
    indirect: dict[int, tuple[int, ...]] = {}
    required = None
    for code, payload in _attributes(sections.content(f".nv.info.{name}")):
        if code == _KPARAM_INFO:
            _, ordinal, offset, packed = struct.unpack("<IHHI", payload)
            parameters.append(Parameter(ordinal, offset, packed >> 18))
        elif code == _PARAM_CBANK:
            _, base, _ = struct.unpack("<IHH", payload)
        elif code == _REQUIRED_THREADS:
            x, y, z = struct.unpack("<III", payload[:12])
            required = (x, y, z)
        elif code == _INDIRECT_BRANCH_TARGETS:
            indirect.update(_indirect(payload))
    if base is None:
        if parameters:
            raise CubinError(f"{name}: parameters without a constant bank attribute")
        base = len(_constants(name, sections).get(0, b""))
    # Kernels that were not made by ptxas (cuBLAS's) have it in their section's header only.
    registers = registers or text["sh_info"] >> _REGISTERS_SHIFT
    if not registers:
        raise CubinError(f"{name}: the cubin does not tell its register count")
    shared = sections.named(f".nv.shared.{name}")
    shared_bytes = shared["sh_size"] if shared else 0
    for told, what, most in (
        (registers, "registers a thread", REGISTERS),
        (local_bytes, "bytes of local memory a thread", LOCAL_BYTES),
        (shared_bytes, "bytes of shared memory a block", SHARED_BYTES),
        (base, "bytes in front of the parameters", CONSTANT_BANK_BYTES),
        (max((p.offset_bytes + p.size_bytes for p in parameters), default=0),
         "bytes of parameters", CONSTANT_BANK_BYTES),
    ):  # fmt: skip
        if told > most:
            raise CubinError(f"{name}: {told:,} {what}; no GPU has more than {most:,}")
    relocations = tuple(_relocations(name, symbols, sections))
    return KernelImage(
        name=name,
        section=symbol.section,
        code=sections.content(symbol.section),
        entry=symbol.value,
        registers=registers,
        shared_bytes=shared_bytes,
        local_bytes=local_bytes,
        parameters=tuple(sorted(parameters, key=lambda p: p.ordinal)),
        parameter_base=base,
        constants=_constants(name, sections),
        relocations=relocations,
        indirect_targets=indirect,
        lines=lines,
        functions=functions,
        patched=_patched(name, sections),
        required_block=required,
    )


def _indirect(payload: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at + 12 <= len(payload):
        offset, _, count = struct.unpack_from("<III", payload, at)
        yield offset, struct.unpack_from(f"<{count}I", payload, at + 12)
        at += 12 + 4 * count


def _constants(name: str, sections: _Sections) -> dict[int, bytes]:
    banks: dict[int, bytes] = {}
    for bank in range(CONSTANT_BANKS):
        for section_name in (f".nv.constant{bank}.{name}", f".nv.constant{bank}"):
            if section_name in sections:
                banks[bank] = sections.content(section_name)
                break
    return banks


def _relocations(
    name: str, symbols: tuple[Symbol, ...], sections: _Sections
) -> Iterator[GlobalRelocation]:
    for prefix in (".rel", ".rela"):
        for bank in range(CONSTANT_BANKS):
            for target in (f".nv.constant{bank}.{name}", f".nv.constant{bank}"):
                found = sections.named(prefix + target)
                if found is None:
                    continue
                for entry in found.iter_relocations():
                    yield _relocation(bank, entry, symbols, sections.all, target)


def _patched(name: str, sections: _Sections) -> frozenset[int]:
    """Offsets of the instructions that the driver would complete when it loads the cubin."""
    found: set[int] = set()
    for prefix in (".rel", ".rela"):
        section = sections.named(f"{prefix}.text.{name}")
        if section is not None:
            found.update(int(e["r_offset"]) for e in section.iter_relocations())
    return frozenset(found)


def _relocation(
    bank: int, entry: Any, symbols: tuple[Symbol, ...], sections: list[Any], where: str
) -> GlobalRelocation:
    kind = entry["r_info_type"]
    if kind not in (_R_CUDA_32, _R_CUDA_64):
        raise CubinError(f"{where}: relocation type {kind}; types 1 and 2 are known")
    size = 4 if kind == _R_CUDA_32 else 8
    symbol = symbols[entry["r_info_sym"]]
    known = symbol.section >= 0 and sections[symbol.section].name.startswith(".nv.global")
    addend = entry.entry.get("r_addend", 0) or 0
    return GlobalRelocation(bank, entry["r_offset"], size, symbol, addend, known)
