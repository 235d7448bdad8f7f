"""What a cubin says of its kernels: target, registers, memory, barriers.

Section names and attribute numbers are those that NVIDIA's ``cuobjdump -elf`` prints; they were
checked against the assembler's own figures (``ptxas -v``) for sm_60 to sm_120.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kernprof.compile.elf import Elf, parse
from kernprof.errors import CubinError

_STT_FUNC = 2
_STO_ENTRY = 0x10  # in a symbol's st_other: the function is a kernel
_SHF_BARRIERS_SHIFT = 20  # in the code section's flags, up to sm_90
_SHF_BARRIERS_MASK = 0x7F

_FORMAT_SIZED = 4
_MAX_THREADS = 0x05
_REQUIRED_THREADS = 0x10
_MIN_STACK_SIZE = 0x12
_FRAME_SIZE = 0x11
_PARAMETER_BYTES = 0x19
_REGISTER_COUNT = 0x2F
_BARRIER_COUNT = 0x4C

_RESERVED_SHARED_BYTES = 1024
"""In front of a kernel's own shared memory from sm_90 on; ``.nv.shared.reserved.0`` tells."""


@dataclass(frozen=True, slots=True)
class KernelResources:
    """What one kernel needs on the GPU, as its machine code states it.

    Parameters
    ----------
    symbol
        Linker symbol.
    registers
        Per thread.
    static_shared_bytes
        Declared in the source, per block; without what the driver reserves.
    frame_bytes, stack_bytes
        Local memory per thread: of the kernel's own frame (arrays and spilled registers), and of
        the deepest chain of calls.
    parameter_bytes
        Size of the kernel's arguments.
    constant_bytes
        Constant banks that belong to this kernel, launch constants and arguments included.
    barriers
        Named barriers that a block uses.
    max_threads
        Threads per block that the source bounds it to (``__launch_bounds__``), or None.
    code_bytes
        Machine code.
    """

    symbol: str
    registers: int
    static_shared_bytes: int
    frame_bytes: int
    stack_bytes: int
    parameter_bytes: int
    constant_bytes: int
    barriers: int
    max_threads: int | None
    code_bytes: int


def _attributes(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Walk the attribute records of a ``.nv.info`` section as (attribute, payload)."""
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise CubinError(f"{where}: a record is cut short at byte {position}")
        form, attribute, value = struct.unpack_from("<BBH", data, position)
        position += 4
        if form != _FORMAT_SIZED:
            yield attribute, value.to_bytes(2, "little")
            continue
        if position + value > len(data):
            raise CubinError(
                f"{where}: attribute 0x{attribute:02x} has {value} bytes,"
                f" {len(data) - position} are left"
            )
        yield attribute, data[position : position + value]
        position += value


def _pair(payload: bytes, where: str) -> tuple[int, int]:
    if len(payload) != 8:
        raise CubinError(f"{where}: a per-function attribute of {len(payload)} bytes, expected 8")
    first, second = struct.unpack("<II", payload)
    return first, second


def target(image: bytes | Elf) -> str:
    """Return the architecture that a cubin is for ("sm_80").

    Raises
    ------
    CubinError
        If the image is damaged or is no cubin.
    """
    elf = parse(image) if isinstance(image, bytes) else image
    # Up to ABI version 7 the number is in the low byte, since version 8 in the next one.
    number = (elf.flags & 0xFF) if elf.abi_version < 8 else (elf.flags >> 8) & 0xFF
    if number < 20:
        raise CubinError(f"ELF flags 0x{elf.flags:x} name no GPU architecture")
    return f"sm_{number}"


def kernels(image: bytes | Elf) -> Mapping[str, KernelResources]:
    """Return every kernel of a cubin by its linker symbol.

    Raises
    ------
    CubinError
        If the image is damaged, is no cubin, or lacks what a kernel must have.
    """
    elf = parse(image) if isinstance(image, bytes) else image
    cc = int(target(elf).removeprefix("sm_"))
    per_function: dict[int, dict[int, int]] = {}
    info = elf.section(".nv.info")
    for attribute, payload in _attributes(elf.data(info), ".nv.info") if info else ():
        if attribute in (_REGISTER_COUNT, _FRAME_SIZE, _MIN_STACK_SIZE):
            symbol, value = _pair(payload, ".nv.info")
            per_function.setdefault(symbol, {})[attribute] = value
    by_name = {section.name: section for section in elf.sections}
    found: dict[str, KernelResources] = {}
    for function in elf.symbols:
        if function.type != _STT_FUNC or not function.other & _STO_ENTRY:
            continue
        name = function.name
        code = by_name.get(f".text.{name}")
        if code is None:
            raise CubinError(f"kernel {name} has no code section")
        sizes = per_function.get(function.index, {})
        if _REGISTER_COUNT not in sizes:
            raise CubinError(f"kernel {name} has no register count")
        barriers = (code.flags >> _SHF_BARRIERS_SHIFT) & _SHF_BARRIERS_MASK
        parameter_bytes = 0
        max_threads: int | None = None
        own = by_name.get(f".nv.info.{name}")
        where = f".nv.info.{name}"
        for attribute, payload in _attributes(elf.data(own), where) if own else ():
            if attribute == _BARRIER_COUNT:
                barriers = max(barriers, payload[0])
            elif attribute == _PARAMETER_BYTES:
                parameter_bytes = int.from_bytes(payload, "little")
            elif attribute in (_MAX_THREADS, _REQUIRED_THREADS):
                if len(payload) < 12:
                    raise CubinError(f"{where}: {len(payload)} bytes of block size, expected 12")
                x, y, z = struct.unpack_from("<III", payload)
                max_threads = x * y * z
        shared = by_name.get(f".nv.shared.{name}")
        static_shared = shared.size if shared else 0
        if shared and cc >= 90 and ".nv.shared.reserved.0" in by_name:
            static_shared -= _RESERVED_SHARED_BYTES
        if static_shared < 0:
            raise CubinError(f"kernel {name} has {shared.size if shared else 0} bytes shared")
        found[name] = KernelResources(
            symbol=name,
            registers=sizes[_REGISTER_COUNT],
            static_shared_bytes=static_shared,
            frame_bytes=sizes.get(_FRAME_SIZE, 0),
            stack_bytes=sizes.get(_MIN_STACK_SIZE, 0),
            parameter_bytes=parameter_bytes,
            constant_bytes=sum(
                s.size
                for n, s in by_name.items()
                if n.startswith(".nv.constant") and n.endswith(f".{name}")
            ),
            barriers=barriers,
            max_threads=max_threads,
            code_bytes=code.size,
        )
    return found
