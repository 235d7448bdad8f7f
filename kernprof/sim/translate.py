"""A kernel's machine code as one compiled function that runs a warp until it must wait.

Each basic block of the kernel becomes a block of LLVM IR in which an instruction computes all 32
lanes at once; registers stay in the warp's state, which LLVM keeps in vector registers inside a
block. Lanes that execute together are a *group*, with one mask. A group runs until it exits or
waits; then the function picks the next group that is ready, or returns.

Divergence follows the convergence barriers of Volta and newer (public descriptions: Mesa's NAK;
"Control Flow Management in Modern GPUs", arXiv 2407.02944): BSSY notes the lanes that take part,
BSYNC holds lanes until all of these that still live have come, BREAK and EXIT take lanes off
(:mod:`kernprof.sim.convergence`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from llvmlite import ir

from kernprof.errors import CubinError
from kernprof.sim.block_barrier import barrier_result, block_barrier, only_whole_block
from kernprof.sim.convergence import (
    arm,
    end_collective,
    leave,
    move,
    release_after_exit,
    same_collective,
    synchronise,
    warp_sync,
)
from kernprof.sim.flow import ENDING, Block, Translation, blocks, call_target
from kernprof.sim.irkit import I32, I64, PTR, Kit, Value
from kernprof.sim.layout import (
    WARP_SIZE,
    Context,
    FaultKind,
    StepResult,
    Warp,
    offset_of,
)
from kernprof.sim.memory import FULL, LANES32, Helpers
from kernprof.sim.notes import reads_time
from kernprof.sim.operands import Register
from kernprof.sim.ops_float import FLOAT
from kernprof.sim.ops_half import PAIRS
from kernprof.sim.ops_integer import INTEGER, Semantics
from kernprof.sim.ops_memory import MEMORY
from kernprof.sim.ops_tensor import TENSOR
from kernprof.sim.ops_warp import WARP
from kernprof.sim.program import Instruction, Kernel, target_of
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site
from kernprof.sim.tracing import note_block

SEMANTICS: Mapping[str, Semantics] = MappingProxyType(
    {**INTEGER, **FLOAT, **PAIRS, **WARP, **MEMORY, **TENSOR}
)
_FAULTING = frozenset((*MEMORY, "LDSM"))


class Translator:
    """Adds ``step(ctx, warp) -> i32``, which returns a ``StepResult``, for a kernel to a module.

    Parameters
    ----------
    module
        Receives the function.
    helpers
        Functions of the module.
    kernel
        What is translated.
    """

    semantics: Mapping[str, Semantics] = SEMANTICS

    def __init__(self, module: ir.Module, helpers: Helpers, kernel: Kernel) -> None:
        self.helpers = helpers
        self.kernel = kernel
        self.blocks = blocks(kernel)
        self.patched = kernel.image.patched
        self.has_clock = any(reads_time(i) for i in kernel.instructions)
        self.block_end = 0
        self.one_barrier = only_whole_block(kernel)
        self.refused: dict[int, str] = {}
        made = ir.Function(module, ir.FunctionType(I32, [PTR, PTR]), name="step")
        made.linkage = "internal"
        made.args[1].add_attribute("noalias")
        self.kit = Kit(module, made)
        self.context, self.warp = (Value(self.kit, a) for a in made.args)
        self.labels = {b.start: self.kit.block(f"at_{b.start:x}") for b in self.blocks}
        self.schedule = self.kit.block("schedule")
        self.bad_branch = self.kit.block("bad_branch")
        self.group = self.kit.slot(I32)
        self.own = self._own()
        self.endings = self._endings()

    def run(self) -> Translation:
        """Translate every block."""
        kit = self.kit
        kit.jump(self.schedule)
        self._emit_schedule()
        for block in self.blocks:
            kit.at_end(self.labels[block.start])
            self._emit_block(block)
        return Translation(self.blocks, MappingProxyType(dict(self.refused)))

    # State ------------------------------------------------------------------------------------

    def get(self, field: str, index: int = 0) -> Value:
        """Load a 32-bit field of the warp."""
        return self.kit.load(I32, self.warp, offset_of(Warp, field, index))

    def set(self, field: str, value: Value, index: int = 0) -> None:
        """Store a 32-bit field of the warp."""
        self.kit.store(value, self.warp, offset_of(Warp, field, index))

    def _return(self, result: StepResult) -> None:
        self.kit.ir.ret(ir.Constant(I32, int(result)))

    def park(self, lanes: Value, place: Value | int) -> None:
        """Note where lanes go on."""
        kit = self.kit
        at = offset_of(Warp, "lane_pc")
        old = kit.load(LANES32, self.warp, at)
        where = kit.const(LANES32, place) if isinstance(place, int) else place
        kit.store(lanes.mask_lanes().where(where, old), self.warp, at)

    def _emit_schedule(self) -> None:
        """Pick the ready lanes that stand at the place of the lowest one, or return."""
        kit = self.kit
        kit.at_end(self.schedule)
        ready = self.get("ready")
        with kit.when(ready.eq(0)):
            with kit.when(self.get("live").eq(0)):
                self._return(StepResult.EXITED)
            with kit.when(self.get("at_barrier").eq(self.get("live"))):
                self._return(StepResult.BARRIER)
            self._return(StepResult.BLOCKED)
        self._spend_at_schedule()
        places = kit.load(LANES32, self.warp, offset_of(Warp, "lane_pc"))
        first = kit.load(I32, self.warp, kit.cttz(ready).zext(I64) << 2)
        group = places.eq(first.splat(WARP_SIZE)).mask_bits() & ready
        if any(i.opcode == "ENDCOLLECTIVE" for i in self.kernel.instructions):
            group = group & same_collective(self, kit.cttz(ready))
        kit.store(group, self.group)
        self._emit_switch(first, ready)

    def _emit_switch(self, first: Value, ready: Value) -> None:
        """Jump to the block that starts at a place."""
        kit = self.kit
        switch = kit.ir.switch(first.raw, self.bad_branch)
        for start, label in self.labels.items():
            switch.add_case(ir.Constant(I32, start), label)
        kit.at_end(self.bad_branch)
        lane = kit.cttz(ready)
        self.helpers.call(
            kit,
            self.helpers.fault(),
            self.context,
            kit.i32(FaultKind.BAD_BRANCH),
            kit.i32(0),
            lane,
            first.zext(I64),
        )
        self._return(StepResult.FAULT)

    # Blocks -----------------------------------------------------------------------------------

    def _emit_block(self, block: Block) -> None:
        kit = self.kit
        active = kit.load(I32, self.group)
        slot = 8 * block.number
        kit.add_to(self._pointer("block_executed"), slot, kit.i64(1))
        kit.add_to(self._pointer("block_threads"), slot, kit.popcount(active).zext(I64))
        note_block(kit, self.helpers, self.context, block.number)
        self.block_end = block.instructions[-1].index
        if self.has_clock:
            kit.add_to(self.warp, offset_of(Warp, "issued"), kit.i64(len(block.instructions)))
        can_fault = any(i.opcode in _FAULTING for i in block.instructions)
        for instruction in block.instructions[:-1]:
            self._emit(instruction, active)
        last = block.instructions[-1]
        if last.opcode not in ENDING:
            self._emit(last, active)
            self._check_fault(can_fault)
            self.go(self.kernel.after(last))
            return
        self._check_fault(can_fault)
        try:
            self._emit_ending(last, active)
        except Refused as reason:
            self.refuse(last, active, str(reason))

    def _pointer(self, field: str) -> Value:
        return self.kit.load(PTR, self.context, offset_of(Context, field), align=8)

    def _check_fault(self, needed: bool) -> None:
        if not needed:
            return
        kind = self.kit.load(I32, self.context, offset_of(Context, "fault_kind"))
        with self.kit.when(kind.ne(0), likely=False):
            self._return(StepResult.FAULT)

    def site(self, instruction: Instruction, active: Value) -> Site:
        """Begin an instruction for the lanes of a mask."""
        step = self.kernel.step
        if any(instruction.offset <= at < instruction.offset + step for at in self.patched):
            raise Refused("it needs a relocation; link the kernel whole")
        site = Site(
            self.kit, self.helpers, self.kernel, instruction, self.context, self.warp, active
        )
        site.behind = self.block_end - instruction.index
        if site.guarded:
            count = self.kit.popcount(site.on).zext(I64)
            self.kit.add_to(self._pointer("predicated_on"), 8 * instruction.index, count)
        return site

    def _emit(self, instruction: Instruction, active: Value) -> None:
        kit = self.kit
        semantics = self.semantics.get(instruction.opcode)
        try:
            own = self.own.get(instruction.opcode)
            if own is not None:
                own(instruction, active)
                return
            if semantics is None:
                raise Refused(f"opcode {instruction.opcode} is not known")
            site = self.site(instruction, active)
            semantics(site)
            site.finish()
        except Refused as reason:
            # What was emitted before the refusal can't be observed: the fault ends the launch.
            self.refuse(instruction, active, str(reason))
            kit.at_end(kit.block("unreachable"))

    def refuse(self, instruction: Instruction, active: Value, reason: str) -> None:
        """Stop the launch where this is reached: the semantics are not known."""
        self.refused[instruction.index] = reason
        kit = self.kit
        self.helpers.call(
            kit,
            self.helpers.fault(),
            self.context,
            kit.i32(FaultKind.UNSUPPORTED),
            kit.i32(instruction.index),
            kit.cttz(active),
            kit.i64(instruction.offset),
        )
        self._return(StepResult.FAULT)

    def go(self, offset: int) -> None:
        """Go on with the group at an offset."""
        if offset in self.labels:
            self.kit.jump(self.labels[offset])
        else:
            self.park(self.kit.load(I32, self.group), offset)
            self.kit.jump(self.schedule)

    # Control flow -----------------------------------------------------------------------------

    def _emit_ending(self, instruction: Instruction, active: Value) -> None:
        site = self.site(instruction, active)
        after = self.kernel.after(instruction)
        handler = self.endings.get(instruction.opcode)
        if handler is None:
            raise Refused(f"opcode {instruction.opcode} is not known")
        handler(site, after)

    def _own(self) -> Mapping[str, Callable[[Instruction, Value], None]]:
        """Instructions inside a block that keep track of lanes."""
        own = {"BSSY": arm, "BMOV": move, "B2R": barrier_result}
        return {opcode: partial(emit, self) for opcode, emit in own.items()}

    def _endings(self) -> Mapping[str, Callable[[Site, int], None]]:
        """Instructions that end a block."""
        return {
            "BRA": self._branch,
            "JMP": self._branch,
            "BRX": self._indirect,
            "CALL": self._call,
            "RET": self._return_lanes,
            "EXIT": self._exit,
            "BSYNC": partial(synchronise, self),
            "BREAK": partial(leave, self),
            "WARPSYNC": partial(warp_sync, self),
            "ENDCOLLECTIVE": partial(end_collective, self),
            "BAR": partial(block_barrier, self),
            "BPT": self.trap,
            "YIELD": self._yield,
            "NANOSLEEP": self._yield,
        }

    def _branch(self, site: Site, after: int) -> None:
        mods = site.modifiers
        mods.drop(("U", "REL", "INC", "NODEC"))
        diverges, converged = mods.take("DIV"), mods.take("CONV")
        target = target_of(site.instruction)
        if target is None:
            raise Refused("a branch without a target")
        taken = site.on
        condition = site.optional_predicate()
        if condition is not None:
            taken = taken & site.mask(condition)
        if diverges or converged:
            # Without an operand all lanes are meant; those that are gone are not waited for.
            expected = self.kit.i32(FULL)
            if len(site.operands) > 1:
                mask = site.next()
                if not isinstance(mask, Register) or not mask.uniform:
                    raise Refused("a branch on convergence with a vector register")
                expected = site.int32(mask).at(0)
            # Lanes that a guard leaves out count as not there: all branch to where they are
            # gathered (DIV) then, or none takes the short way (CONV).
            whole = site.on.eq(expected & self.get("live"))
            if diverges and condition is not None:
                raise Refused("a branch on divergence with a predicate operand")
            if diverges:
                taken = whole.where(self.kit.i32(0), site.active)
            else:
                taken = whole.where(taken, self.kit.i32(0))
        site.operands.pop()
        site.finish()
        self._split(site, taken, target, after)

    def _split(self, site: Site, taken: Value, target: int, after: int) -> None:
        """Go where all lanes go, or park those that branch and go on with the others."""
        kit = self.kit
        if target not in self.labels:
            raise Refused(f"branch to {target:#x}, which is no instruction")
        stay = site.active & ~taken
        if target <= site.instruction.offset:
            self._spend(site, taken, target, after)
        always = kit.block("all_taken")
        mixed = kit.block("not_all")
        kit.branch(stay.eq(0), always, mixed)
        kit.at_end(always)
        kit.jump(self.labels[target])
        kit.at_end(mixed)
        diverge = kit.block("diverge")
        through = kit.block("none_taken")
        kit.branch(taken.eq(0), through, diverge)
        kit.at_end(through)
        self.go(after)
        kit.at_end(diverge)
        slot = 8 * site.instruction.index
        kit.add_to(self._pointer("divergent"), slot, kit.i64(1))
        self._diverge(site, taken, target, after)

    def _diverge(self, site: Site, taken: Value, target: int, after: int) -> None:
        """Let some lanes branch; the others go on first."""
        self.park(taken, target)
        self.kit.store(site.active & ~taken, self.group)
        self.go(after)

    def _spend(self, site: Site, taken: Value, target: int, after: int) -> None:
        """Backward branches use up fuel; without it the warp yields, so that spinning ends."""
        with self.kit.when(self._empty(), likely=False):
            self.park(site.active & ~taken, after)
            self.park(taken, target)
            self._return(StepResult.YIELD)

    def _spend_at_schedule(self) -> None:
        """So does every way through the scheduler: returns, indirect branches, reconvergence.

        Whatever else can loop comes here, where the places of all lanes are noted already.
        """
        with self.kit.when(self._empty(), likely=False):
            self._return(StepResult.YIELD)

    def _empty(self) -> Value:
        """Take one unit of fuel; tells whether it was the last."""
        kit, at = self.kit, offset_of(Context, "fuel")
        fuel = kit.load(I64, self.context, at, align=8) - 1
        kit.store(fuel, self.context, at, align=8)
        return fuel.eq(0)

    def _indirect(self, site: Site, after: int) -> None:
        targets = self.kernel.image.indirect_targets.get(site.instruction.offset)
        register = site.next_register()
        base = site.next_number()
        site.modifiers.take("REL")
        if targets is None:
            raise Refused("an indirect branch whose targets the cubin does not list")
        place = site.register(register) + (after + base)
        self._scatter(site, place, after)

    def _scatter(self, site: Site, place: Value, after: int) -> None:
        """Send each lane to its own place."""
        kit = self.kit
        first = place.at(kit.cttz(site.on) & (WARP_SIZE - 1))
        same = place.eq(first.splat(WARP_SIZE)).mask_bits()
        split = (site.on & ~same).ne(0) | site.on.ne(site.active)
        slot = 8 * site.instruction.index
        kit.add_to(self._pointer("divergent"), slot, split.zext(I64))
        self.park(site.active & ~site.on, after)
        self.park(site.on, place)
        kit.jump(self.schedule)

    def _call(self, site: Site, after: int) -> None:
        site.modifiers.drop(("REL", "NOINC"))
        if site.modifiers.left:
            site.modifiers.finish()
        if any(isinstance(o, Register) for o in site.operands):
            raise Refused("an indirect call")
        try:
            target = call_target(self.kernel, site.instruction)
        except CubinError as error:
            raise Refused(str(error)) from error
        self._split(site, site.on, target, after)

    def _return_lanes(self, site: Site, after: int) -> None:
        site.modifiers.drop(("REL", "NODEC"))
        site.modifiers.finish()
        register = site.next_register()
        # The pair is relative to the function that the operand names; the listing starts at 0.
        name = site.next_special() if site.operands else self.kernel.name
        base = self.kernel.image.functions.get(name, (None, 0))[0]
        if base is None:
            raise Refused(f"a return relative to {name}, which is not in the section")
        self._scatter(site, site.register(register) + base, after)

    def _exit(self, site: Site, after: int) -> None:
        site.modifiers.finish()
        leaving = site.on
        if (condition := site.optional_predicate()) is not None:
            leaving = leaving & site.mask(condition)
        self.set("live", self.get("live") & ~leaving)
        self.set("ready", self.get("ready") & ~leaving)
        release_after_exit(self)
        self._continue_with(site.active & ~leaving, after)

    def _continue_with(self, lanes: Value, after: int) -> None:
        kit = self.kit
        gone, rest = kit.block("gone"), kit.block("rest")
        kit.branch(lanes.eq(0), gone, rest)
        kit.at_end(gone)
        kit.jump(self.schedule)
        kit.at_end(rest)
        kit.store(lanes, self.group)
        self.go(after)

    def trap(self, site: Site, after: int) -> None:
        """BPT.TRAP: the launch ends with an error where a lane is on."""
        kit = self.kit
        if not site.modifiers.take("TRAP"):
            raise Refused("this form of BPT is not known")
        site.modifiers.finish()
        none, some = kit.block("no_trap"), kit.block("trap")
        kit.branch(site.on.eq(0), none, some)
        kit.at_end(some)
        self.helpers.call(
            kit,
            self.helpers.fault(),
            self.context,
            kit.i32(FaultKind.TRAP),
            kit.i32(site.instruction.index),
            kit.cttz(site.on),
            kit.i64(site.instruction.offset),
        )
        self._return(StepResult.FAULT)
        kit.at_end(none)
        self.go(after)

    def _yield(self, site: Site, after: int) -> None:
        self.go(after)
