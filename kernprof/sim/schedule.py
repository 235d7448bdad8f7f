"""The loop over blocks and warps, compiled beside the kernel.

``run(ctx, first, count)`` executes that many blocks in the order of their linear index. Inside a
block the warps take turns in their order; each runs until it exits, waits at a barrier or has used
up its fuel, and a barrier opens when every warp that still lives has come.
"""

from __future__ import annotations

import ctypes

from llvmlite import ir

from kernprof.sim.block_barrier import (
    AT_BARRIER,
    DONE,
    RUNNABLE,
    clear_arrivals,
    open_barriers,
)
from kernprof.sim.checking import CheckedHelpers, enter_block
from kernprof.sim.irkit import I8, I32, I64, PTR, Kit, Value
from kernprof.sim.layout import (
    REGISTERS,
    WARP_SIZE,
    Context,
    FaultKind,
    StepResult,
    Warp,
    offset_of,
    warp_bytes,
)
from kernprof.sim.memory import FULL, LANES32, Helpers
from kernprof.sim.program import Kernel
from kernprof.sim.tracing import point_at_warp

FUEL_SLICE = 1 << 16
MAX_SLICES = 1 << 17


def add_runner(module: ir.Module, helpers: Helpers, step: ir.Function, kernel: Kernel) -> None:
    """Add ``run(ctx, first, count) -> i32``, which returns 0, or 1 after a fault."""
    _Runner(module, helpers, step, kernel).emit()


class _Runner:
    def __init__(
        self, module: ir.Module, helpers: Helpers, step: ir.Function, kernel: Kernel
    ) -> None:
        made = ir.Function(module, ir.FunctionType(I32, [PTR, I64, I64]), name="run")
        self.kit = Kit(module, made)
        self.helpers = helpers
        self.step = step
        self.entry = kernel.entry
        self.register_bytes = warp_bytes(kernel.image.registers) - REGISTERS
        self.context, self.first, self.count = (Value(self.kit, a) for a in made.args)

    def _context(self, field: str, index: int = 0, kind: ir.Type = I64) -> Value:
        align = 4 if kind == I32 else 8
        at = offset_of(Context, field, index)
        return self.kit.load(kind, self.context, at, align=align)

    def emit(self) -> None:
        kit = self.kit
        warps = self._context("warps", kind=PTR)
        stride = self._context("warp_stride")
        warp_count = self._context("warp_count")
        with kit.count(self.count) as number:
            self._enter_block(self.first + number, warps, stride, warp_count)
            self._run_block(warps, stride, warp_count)
        kit.ir.ret(kit.i32(0).raw)

    def _enter_block(self, block: Value, warps: Value, stride: Value, warp_count: Value) -> None:
        kit = self.kit
        grid_x = self._context("grid_size", 0, I32).zext(I64)
        grid_y = self._context("grid_size", 1, I32).zext(I64)
        row = Value(kit, kit.ir.udiv(block.raw, grid_x.raw))
        plane = Value(kit, kit.ir.udiv(row.raw, grid_y.raw))
        for axis, value in enumerate((block - row * grid_x, row - plane * grid_y, plane)):
            kit.store(value.trunc(I32), self.context, offset_of(Context, "block_index", axis))
        self._clear(self._context("shared", kind=PTR), self._context("shared_bytes"))
        local = self._context("local_bytes") * WARP_SIZE * warp_count
        self._clear(self._context("local", kind=PTR), local)
        clear_arrivals(kit, self.context)
        if isinstance(self.helpers, CheckedHelpers):
            enter_block(kit, self.context, local, warp_count)
        block_x = self._context("block_size", 0, I32)
        block_y = self._context("block_size", 1, I32)
        block_z = self._context("block_size", 2, I32)
        threads = block_x * block_y * block_z
        with kit.count(warp_count) as index:
            warp = kit.address(warps, index * stride)
            # Not the canaries between and behind the fields and the registers.
            self._clear(warp, kit.i64(ctypes.sizeof(Warp)))
            self._clear(kit.address(warp, REGISTERS), kit.i64(self.register_bytes))
            thread = (index.trunc(I32) * WARP_SIZE).splat(WARP_SIZE) + kit.sequence(
                range(WARP_SIZE)
            )
            wide_x, wide_y = block_x.splat(WARP_SIZE), block_y.splat(WARP_SIZE)
            line = Value(kit, kit.ir.udiv(thread.raw, wide_x.raw))
            layer = Value(kit, kit.ir.udiv(line.raw, wide_y.raw))
            for name, value in (
                ("tid_x", thread - line * wide_x),
                ("tid_y", line - layer * wide_y),
                ("tid_z", layer),
                ("lane_pc", kit.const(LANES32, self.entry)),
            ):
                kit.store(value, warp, offset_of(Warp, name))
            live = thread.ult(threads.splat(WARP_SIZE)).mask_bits()
            kit.store(live, warp, offset_of(Warp, "live"))
            kit.store(live, warp, offset_of(Warp, "ready"))

    def _clear(self, pointer: Value, size: Value) -> None:
        zero = Value(self.kit, ir.Constant(I8, 0))
        self.kit.call("llvm.memset.p0.i64", ir.VoidType(), pointer, zero, size, False)

    def _run_block(self, warps: Value, stride: Value, warp_count: Value) -> None:
        kit = self.kit
        slices, runnable, waiting, again = (kit.slot(I32) for _ in range(4))
        kit.store(kit.i32(0), slices)
        kit.store(kit.i32(1), again)
        with kit.loop(lambda: kit.load(I32, again).ne(0)):
            kit.store(kit.i32(0), runnable)
            kit.store(kit.i32(0), waiting)
            with kit.count(warp_count) as index:
                warp = kit.address(warps, index * stride)
                state = offset_of(Warp, "state")
                with kit.when(kit.load(I32, warp, state).eq(RUNNABLE)):
                    self._step(warp, index, slices)
                now = kit.load(I32, warp, state)
                kit.store(kit.load(I32, runnable) + now.eq(RUNNABLE).zext(I32), runnable)
                kit.store(kit.load(I32, waiting) + now.eq(AT_BARRIER).zext(I32), waiting)
            nobody = kit.load(I32, runnable).eq(0)
            kit.store((~nobody).zext(I32), again)
            with kit.when(kit.load(I32, waiting).ne(0)):
                kit.store(kit.i32(1), again)
                opened = open_barriers(kit, self.helpers, self.context, warps, stride, warp_count)
                with kit.when(opened.eq(0) & nobody, likely=False):
                    self._stop_waiting(warps, stride, warp_count)

    def _step(self, warp: Value, index: Value, slices: Value) -> None:
        kit = self.kit
        kit.store(index.trunc(I32), self.context, offset_of(Context, "current_warp"))
        # Before every slice: a loop around a barrier never uses up the fuel of one.
        self._look_at_stop(warp)
        kit.store(kit.i64(FUEL_SLICE), self.context, offset_of(Context, "fuel"), align=8)
        point_at_warp(kit, self.context, index)
        result = Value(kit, kit.ir.call(self.step, [self.context.raw, warp.raw]))
        with kit.when(result.eq(StepResult.FAULT), likely=False):
            kit.ir.ret(kit.i32(1).raw)
        with kit.when(result.eq(StepResult.BLOCKED), likely=False):
            self._stop(FaultKind.DEADLOCK, warp)
        with kit.when(result.eq(StepResult.YIELD), likely=False):
            used = kit.load(I32, slices) + 1
            kit.store(used, slices)
            with kit.when(used.ugt(MAX_SLICES), likely=False):
                self._stop(FaultKind.FUEL, warp)
        exited = result.eq(StepResult.EXITED)
        at_barrier = result.eq(StepResult.BARRIER)
        state = exited.where(kit.i32(DONE), at_barrier.zext(I32) * AT_BARRIER)
        kit.store(state, warp, offset_of(Warp, "state"))

    def _stop_waiting(self, warps: Value, stride: Value, warp_count: Value) -> None:
        """Fault: the first warp that waits at a barrier which can't open any more."""
        kit = self.kit
        with kit.count(warp_count) as index:
            warp = kit.address(warps, index * stride)
            with kit.when(kit.load(I32, warp, offset_of(Warp, "state")).eq(AT_BARRIER)):
                kit.store(index.trunc(I32), self.context, offset_of(Context, "current_warp"))
                self._stop(FaultKind.DEADLOCK, warp)

    def _look_at_stop(self, warp: Value) -> None:
        with self.kit.when(self._context("stop", kind=I32).ne(0), likely=False):
            self._stop(FaultKind.STOPPED, warp)

    def _stop(self, kind: FaultKind, warp: Value) -> None:
        kit = self.kit
        lane = kit.cttz(kit.load(I32, warp, offset_of(Warp, "live")))
        place = kit.load(I32, warp, lane.zext(I64) << 2)
        self.helpers.call(
            kit,
            self.helpers.fault(),
            self.context,
            kit.i32(kind),
            kit.i32(FULL),
            lane,
            place.zext(I64),
        )
        kit.ir.ret(kit.i32(1).raw)
