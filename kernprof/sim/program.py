"""A program for the simulator: the instructions of each kernel of a cubin, parsed.

``load`` joins what the ELF file tells (:mod:`kernprof.sim.cubin`), the disassembler's text
(:mod:`kernprof.sim.disasm`) and the control bits (:mod:`kernprof.sim.control`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kernprof.compile import DiskCache, open_cache
from kernprof.errors import CubinError, UnknownNameError
from kernprof.sim.control import ControlCode, encodings, instruction_bytes
from kernprof.sim.cubin import CubinImage, KernelImage, read_cubin
from kernprof.sim.disasm import RawFunction, RawInstruction, disassemble
from kernprof.sim.limits import check
from kernprof.sim.lines import SourceLine, rows_at
from kernprof.sim.operands import Immediate, Operand, Predicate, parse_operand, split_operands

_BUNDLE_BYTES, _BUNDLED_BYTES = 32, 8


@dataclass(frozen=True, slots=True)
class Instruction:
    """One machine instruction.

    Parameters
    ----------
    index
        Position in the kernel's ``instructions``.
    offset
        Byte offset in the text section: the address that branches name.
    opcode
        Base name ("IMAD").
    modifiers
        What follows it ("WIDE", "U32").
    guard
        The predicate in front, or None.
    operands
        In printed order, destinations first.
    code
        The raw bits without interpretation.
    control
        Scheduling bits.
    source
        Source position, or None.
    function
        The function it belongs to.
    """

    index: int
    offset: int
    opcode: str
    modifiers: tuple[str, ...]
    guard: Predicate | None
    operands: tuple[Operand, ...]
    code: int
    control: ControlCode
    source: SourceLine | None
    function: str
    text: str

    @property
    def immediate_bits(self) -> int:
        """Bits 63:32 of a Volta-style instruction: its 32-bit immediate, where it has one."""
        return self.code >> 32 & 0xFFFFFFFF

    def where(self, arch: str) -> str:
        """Name the place for a message: opcode, architecture, function, offset, source line."""
        place = f"{self.text!r} ({arch}, {self.function}+{self.offset:#x}"
        if self.source is not None:
            place += f", {self.source.file}:{self.source.line}"
        return place + ")"


@dataclass(frozen=True)
class Kernel:
    """A kernel: its image and its instructions in address order.

    ``instructions`` covers the whole text section: the kernel and the functions that it calls.
    """

    arch: str
    image: KernelImage
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """Linker symbol."""
        return self.image.name

    @property
    def sm(self) -> int:
        """Architecture number, 80 for sm_80."""
        return int(self.arch.removeprefix("sm_"))

    @cached_property
    def by_offset(self) -> Mapping[int, Instruction]:
        """Instructions by their offset."""
        return {i.offset: i for i in self.instructions}

    @property
    def step(self) -> int:
        """Size of an instruction in bytes."""
        return instruction_bytes(self.sm)

    def after(self, instruction: Instruction) -> int:
        """Offset of the instruction behind one, or the end of the code."""
        following = instruction.index + 1
        if following < len(self.instructions):
            return self.instructions[following].offset
        return len(self.image.code)

    def place(self, offset: int) -> int:
        """Offset of the instruction that runs when one jumps to ``offset``.

        Before Volta three instructions share a bundle with a control word in front; a jump to the
        bundle starts its first instruction.
        """
        bundled = self.step == _BUNDLED_BYTES and offset % _BUNDLE_BYTES == 0
        return offset + _BUNDLED_BYTES if bundled else offset

    @property
    def entry(self) -> int:
        """Offset of the first instruction."""
        return self.place(self.image.entry)


@dataclass(frozen=True)
class Program:
    """A cubin that is ready to be simulated.

    Parameters
    ----------
    arch
        ``"sm_80"``.
    image
        The parsed file.
    kernels
        By linker symbol.
    digest
        SHA-256 of the cubin.
    cubin
        The ELF image itself.
    compiled
        What the engine has compiled of it so far; not part of its value.
    """

    arch: str
    image: CubinImage
    kernels: Mapping[str, Kernel]
    digest: str
    cubin: bytes = field(repr=False)
    compiled: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    def kernel(self, name: str) -> Kernel:
        """Return a kernel by its linker symbol.

        Raises
        ------
        UnknownNameError
            The cubin has no such kernel.
        """
        if name not in self.kernels:
            raise UnknownNameError("kernel in this cubin", name, sorted(self.kernels))
        return self.kernels[name]


def load(
    cubin: bytes, *, cache: DiskCache | None = None, memory_limit_bytes: int | None = None
) -> Program:
    """Read and disassemble a cubin.

    Parameters
    ----------
    cubin
        The ELF image that NVRTC or nvcc made.
    cache
        Where the disassembly is kept; the user's cache directory by default.
    memory_limit_bytes
        See :func:`kernprof.sim.cubin.read_cubin`.

    Raises
    ------
    CubinError
        The file is damaged or uses an unknown structure. Asking for a kernel raises it too: of one
        with an index in its code that is beyond what the architecture has.
    UnavailableError
        No disassembler for its architecture.
    """
    image = read_cubin(cubin, memory_limit_bytes=memory_limit_bytes)
    sm = int(image.arch.removeprefix("sm_"))
    functions = disassemble(cubin, sm, open_cache("disassembly") if cache is None else cache)
    kernels = _Kernels(image, functions)
    return Program(image.arch, image, kernels, hashlib.sha256(cubin).hexdigest(), cubin)


class _Kernels(Mapping[str, Kernel]):
    """The kernels of a cubin; each is parsed, and its indices checked, when it is asked for."""

    def __init__(self, image: CubinImage, functions: tuple[RawFunction, ...]) -> None:
        self._image = image
        self._functions = functions
        self._made: dict[str, Kernel] = {}

    def __getitem__(self, name: str) -> Kernel:
        if name not in self._made:
            image, arch = self._image.kernels[name], self._image.arch
            made = Kernel(arch, image, _instructions(image, arch, self._functions))
            check(made)
            self._made[name] = made
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._image.kernels)

    def __len__(self) -> int:
        return len(self._image.kernels)


def _instructions(
    image: KernelImage, arch: str, functions: tuple[RawFunction, ...]
) -> tuple[Instruction, ...]:
    """Join the disassembly of a section with its bytes."""
    sm = int(arch.removeprefix("sm_"))
    words = encodings(image.code, sm)
    raw = _listing(image, functions, len(words))
    bounds = sorted(
        (start, name) for name, (start, size) in image.functions.items() if start or size
    )
    found = []
    sources = rows_at(image.lines, (word.offset for word in words))
    for index, (line, word, source) in enumerate(zip(raw, words, sources, strict=True)):
        owner = [name for start, name in bounds if start <= word.offset]
        opcode, *modifiers = line.opcode.split(".")
        text = " ".join(x for x in (line.predicate, line.opcode, line.operands) if x)
        found.append(
            Instruction(
                index=index,
                offset=word.offset,
                opcode=opcode,
                modifiers=tuple(modifiers),
                guard=_guard(line.predicate),
                operands=tuple(parse_operand(o) for o in split_operands(line.operands)),
                code=word.code,
                control=word.control,
                source=source,
                function=owner[-1] if owner else image.name,
                text=text,
            )
        )
    return tuple(found)


def _listing(
    image: KernelImage, functions: tuple[RawFunction, ...], expected: int
) -> list[RawInstruction]:
    """Collect the lines of a section in address order.

    The disassembler of CUDA 13 lists a section whole under its kernel's name, that of CUDA 12 lists
    the kernel and each function behind it.
    """
    pieces = sorted(
        (f for f in functions if image.functions.get(f.name, (-1, 0))[0] == f.start),
        key=lambda f: f.start,
    )
    raw: list[RawInstruction] = []
    for piece in pieces:
        if len(raw) == expected:
            break
        raw += [line for line in piece.instructions if line.opcode]
    if len(raw) != expected:
        raise CubinError(
            f"{image.name}: {len(raw)} instructions disassembled, {expected} in its code"
        )
    return raw


def _guard(text: str) -> Predicate | None:
    if not text:
        return None
    found = parse_operand(text.lstrip("@"))
    if not isinstance(found, Predicate):
        raise CubinError(f"guard {text!r} is no predicate")
    return None if found.is_true and not found.negate else found


def target_of(instruction: Instruction) -> int | None:
    """Return the byte offset that a direct branch names as its last operand, or None."""
    for operand in reversed(instruction.operands):
        if isinstance(operand, Immediate) and operand.bits is not None:
            return operand.bits
    return None
