"""Traces of the first blocks of a launch: how many to take, and taking them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernprof.sim.engine import CompiledKernel
from kernprof.sim.guarded import Arena
from kernprof.sim.layout import MAX_INSTRUCTIONS, RESERVE_WORDS

_WARP_WORDS = 1 << 20
_MIN_WARP_WORDS = 512
_MAX_WORDS = 1 << 28
_CURSOR_WORDS = 2


_WHOLE = 1.5
"""A launch that takes no more than so many budgets is traced whole: the bounds that a cut leaves
are worth more than the time it saves."""


@dataclass(frozen=True, slots=True)
class TraceBudget:
    """How much of a launch to trace.

    Parameters
    ----------
    instructions
        Warp instructions that the trace should hold at most, about.
    resident_blocks
        Blocks that the GPU runs at once: of a launch that has more instructions than the budget,
        at least so many are traced, each only its beginning where need be.
    """

    instructions: int
    resident_blocks: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What the warps of the first blocks did; see :mod:`kernprof.sim.tracing` for the words.

    Parameters
    ----------
    words
        All warps' words, one warp after another, uint32.
    starts
        Index of each warp's first word, and at the end the number of words; int64.
    complete
        Whether a warp's trace goes on to its exit.
    blocks
        Blocks traced, from block 0 on.
    warps_per_block
        Warps of a block.
    instructions
        Warp instructions of the traced blocks, whether their trace is complete or not.
    """

    words: np.ndarray
    starts: np.ndarray
    complete: np.ndarray
    blocks: int
    warps_per_block: int
    instructions: int


def record(
    compiled: CompiledKernel,
    context: ctypes.Structure,
    block_executed: np.ndarray,
    blocks: int,
    budget: TraceBudget,
) -> Trace | None:
    """Run and trace blocks from the first on; None where a block faulted or can't be traced."""
    if len(compiled.kernel.instructions) >= MAX_INSTRUCTIONS:
        return None
    sizes = np.array([len(b.instructions) for b in compiled.translation.blocks], np.int64)
    warps: int = context.warp_count
    tape = _Tape(compiled, context, warps)
    try:
        first = tape.take(0, _WARP_WORDS)
        if first is None:
            return None
        wanted, cap = _plan(
            int(block_executed @ sizes), max(map(len, first)), warps, blocks, budget
        )
        taken = [first]
        if cap < _WARP_WORDS:
            taken = [[part[:cap] for part in first]]
            tape.complete[:warps] = [len(part) <= cap for part in first]
        for number in range(1, wanted):
            found = tape.take(number, cap)
            if found is None:
                return None
            taken.append(found)
    finally:
        context.trace_table = 0
    parts = [part for block in taken for part in block]
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(p) for p in parts], out=starts[1:])
    return Trace(
        words=np.concatenate(parts),
        starts=starts,
        complete=np.array(tape.complete, bool),
        blocks=len(taken),
        warps_per_block=warps,
        instructions=int(block_executed @ sizes),
    )


def _plan(
    instructions: int, words: int, warps: int, blocks: int, budget: TraceBudget
) -> tuple[int, int]:
    """Blocks to trace and words a warp, from what the first block took."""
    affordable = max(1, budget.instructions // max(1, instructions))
    if instructions * blocks <= _WHOLE * budget.instructions:
        return blocks, _WARP_WORDS
    wave = min(blocks, budget.resident_blocks)
    wanted = min(blocks, max(affordable, wave))
    if affordable >= wave:
        return wanted, _WARP_WORDS
    share = budget.instructions / (instructions * wave)
    cap = max(_MIN_WARP_WORDS, int(words * share) + RESERVE_WORDS)
    return wanted, min(cap, _WARP_WORDS, max(_MIN_WARP_WORDS, _MAX_WORDS // (wave * warps)))


class _Tape:
    """Scratch room for one block's warps, used again for each block."""

    def __init__(self, compiled: CompiledKernel, context: ctypes.Structure, warps: int) -> None:
        self.run: Callable[[int, int, int], int] = compiled.run
        self.context = context
        self.warps = warps
        self.arena = Arena([4 * warps * _WARP_WORDS])
        self.scratch = self.arena.regions[0].view(np.uint32).reshape(warps, _WARP_WORDS)
        self.cursors = np.zeros((warps, _CURSOR_WORDS), np.uint64)
        self.complete: list[bool] = []

    def take(self, number: int, cap: int) -> list[np.ndarray] | None:
        bases = self.scratch.ctypes.data + 4 * _WARP_WORDS * np.arange(self.warps, dtype=np.uint64)
        self.cursors[:, 0] = bases
        self.cursors[:, 1] = bases + np.uint64(4 * (cap - RESERVE_WORDS))
        self.context.trace_table = self.cursors.ctypes.data
        if self.run(ctypes.addressof(self.context), number, 1):
            return None
        used = ((self.cursors[:, 0] - bases) // 4).astype(np.int64)
        self.complete.extend(self.cursors[:, 1] != 0)
        return [self.scratch[w, : used[w]].copy() for w in range(self.warps)]
