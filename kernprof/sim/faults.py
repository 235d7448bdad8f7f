"""What stopped a launch, told with thread, address, instruction and source line."""

from __future__ import annotations

from collections.abc import Sequence

from kernprof.errors import CubinError, InputError
from kernprof.sim.check import Extent, nearest
from kernprof.sim.engine import CompiledKernel
from kernprof.sim.layout import WARP_SIZE, Context, FaultKind

_TEXTS = {
    FaultKind.OUT_OF_BOUNDS: "accesses address {address:#x}, which belongs to no allocation",
    FaultKind.MISALIGNED: "accesses address {address:#x}, which is not a multiple of its size",
    FaultKind.READ_ONLY: "writes to address {address:#x} in an array that is marked read-only",
    FaultKind.CONSTANT: "reads offset {address:#x} beyond the end of its constant bank",
    FaultKind.DEADLOCK: "waits for lanes that never come",
    FaultKind.BAD_BRANCH: "branches to {address:#x}, where no block of instructions begins",
    FaultKind.TRAP: "stops at a trap (__trap(), or what the compiler put where code can't come)",
    FaultKind.FUEL: "loops without end (a lock, or a wait for another block that is not running)",
    FaultKind.STOPPED: "was still running after {seconds:g} s, the time limit (--time-limit)",
}


class LaunchFaultError(InputError):
    """A kernel did what a GPU would stop it for.

    Parameters
    ----------
    message
        The whole story on one line.
    kind
        What happened.
    thread, block
        Indices (x, y, z) of the first thread that did it.
    address
        Address of the access, or code offset.
    """

    def __init__(
        self,
        message: str,
        kind: FaultKind,
        thread: tuple[int, int, int],
        block: tuple[int, int, int],
        address: int,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.thread = thread
        self.block = block
        self.address = address


class StateDamagedError(RuntimeError):
    """Compiled code has written outside of its own memory: a defect of the simulator.

    Parameters
    ----------
    kernel
        What ran.
    """

    def __init__(self, kernel: str) -> None:
        super().__init__(
            f"{kernel}: the simulator's memory was damaged while the kernel ran; results are "
            "worthless. Please report the kernel's machine code"
        )


def fault_error(
    compiled: CompiledKernel,
    context: Context,
    block_size: tuple[int, int, int],
    extents: Sequence[Extent],
    time_limit_s: float | None = None,
) -> CubinError | LaunchFaultError:
    """Turn the fault that a worker noted into an exception; extents name global memory."""
    kernel = compiled.kernel
    kind = FaultKind(context.fault_kind)
    index = context.fault_instruction
    address = int(context.fault_address)
    if index < len(kernel.instructions) and kind is not FaultKind.BAD_BRANCH:
        instruction = kernel.instructions[index]
    else:
        instruction = kernel.by_offset.get(address, kernel.instructions[0])
    where = instruction.where(kernel.arch)
    if kind is FaultKind.UNSUPPORTED:
        reason = compiled.translation.refused[index]
        return CubinError(f"{where}: {reason}; the simulator executes exactly or not at all")
    linear = context.fault_warp * WARP_SIZE + context.fault_lane
    thread = (
        linear % block_size[0],
        linear // block_size[0] % block_size[1],
        linear // (block_size[0] * block_size[1]),
    )
    block = (context.block_index[0], context.block_index[1], context.block_index[2])
    text = _TEXTS[kind].format(address=address, seconds=time_limit_s or 0)
    if kind is FaultKind.OUT_OF_BOUNDS and instruction.opcode in ("LDS", "STS", "ATOMS"):
        text = (
            f"accesses shared memory at {address:#x}, beyond the {context.shared_bytes:#x} bytes "
            "of its block (static and dynamic)"
        )
    elif kind in (FaultKind.OUT_OF_BOUNDS, FaultKind.MISALIGNED, FaultKind.READ_ONLY):
        near = nearest(address, extents)
        if near is not None:
            text += f" ({near.name} of {near.size_bytes:,} bytes, offset {address - near.base:,})"
    return LaunchFaultError(
        f"{kernel.name}: thread {thread} of block {block} {text}: {where}",
        kind,
        thread,
        block,
        address,
    )
