"""What a reader of a launch's results must know: what in them is not what a GPU would give."""

from __future__ import annotations

import numpy as np

from kernprof.sim.operands import Special
from kernprof.sim.program import Instruction, Kernel

_TENSOR = ("HMMA", "DMMA")


def reads_time(instruction: Instruction) -> bool:
    """Tell whether an instruction reads a clock."""
    return any(
        isinstance(o, Special) and o.name.startswith(("SR_CLOCK", "SR_GLOBALTIMER"))
        for o in instruction.operands
    )


def notes(kernel: Kernel, executed: np.ndarray) -> tuple[str, ...]:
    """Return notes about a launch.

    Parameters
    ----------
    kernel
        What ran.
    executed
        Warp instructions executed, by instruction.
    """
    found = []
    ran = [i for i in kernel.instructions if executed[i.index]]
    if any(reads_time(i) for i in ran):
        found.append(
            "the kernel reads a clock: clock(), clock64() and globaltimer gave the number of "
            "instructions that the warp had issued, not cycles or nanoseconds"
        )
    if any(i.opcode in _TENSOR for i in ran):
        found.append(
            "the kernel uses tensor cores: products and sums are exact to double precision and "
            "rounded once an instruction, where the hardware aligns and truncates; the last bits "
            "of its results differ"
        )
    return tuple(found)
