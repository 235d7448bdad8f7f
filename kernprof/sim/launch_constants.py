"""Words of a kernel's constant banks: how many there are, which of bank 0 a launch writes."""

from __future__ import annotations

from kernprof.sim.program import Kernel
from kernprof.sim.refusal import Refused


def check_launch_constant(kernel: Kernel, bank: int, offset: int) -> None:
    """Refuse a word whose value is not known: below the parameters, or an external address."""
    for slot in kernel.image.relocations:
        inside = slot.offset_bytes <= offset < slot.offset_bytes + slot.size_bytes
        if slot.bank == bank and inside and not slot.known:
            raise Refused(f"the address of {slot.symbol.name!r} is not known")
    if bank != 0 or offset >= kernel.image.parameter_base:
        return
    if offset not in launch_constants(kernel.sm):
        raise Refused(f"launch constant c[0x0][{offset:#x}] is not known on {kernel.arch}")


def bank_bytes(kernel: Kernel, bank: int) -> int:
    """Return the size of a constant bank in whole words; that of bank 0 holds all parameters."""
    image = kernel.image
    ends = [len(image.constants.get(bank, b""))]
    if bank == 0:
        ends += [image.parameter_base + p.offset_bytes + p.size_bytes for p in image.parameters]
        ends.append(image.parameter_base)
    return -(-max(ends) // 4) * 4


def launch_constants(sm: int) -> dict[int, str]:
    """Meaning of the known words at the start of constant bank 0, by byte offset.

    Found by compiling kernels that read blockDim, gridDim, their stack, and generic addresses of
    shared and local memory (windows); checked for each architecture by the tests.
    """
    if sm < 70:
        names = {0x8: "block.x", 0xC: "block.y", 0x10: "block.z", 0x14: "grid.x", 0x18: "grid.y"}
        names |= {0x0: "shared.low", 0x100: "shared.high", 0x4: "local.low", 0x104: "local.high"}
        return names | {0x1C: "grid.z", 0x20: "stack"}
    names = {0x0: "block.x", 0x4: "block.y", 0x8: "block.z", 0xC: "grid.x", 0x10: "grid.y"}
    names |= {0x14: "grid.z", 0x28: "stack", 0x20: "local.low", 0x24: "local.high"}
    if sm >= 90:
        return names | {0x208: "descriptor", 0x20C: "descriptor"}
    names |= {0x18: "shared.low", 0x1C: "shared.high"}
    if sm >= 80:
        return names | {0x118: "descriptor", 0x11C: "descriptor"}
    return names
