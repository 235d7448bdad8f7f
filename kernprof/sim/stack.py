"""Divergence before Volta: one place a warp, and a stack of tokens.

SSY, PBK, PCNT and PRET push a token with the lanes that are on and the place where they go on
together; SYNC, BRK, CONT and RET send lanes to wait for the topmost token of their kind. A branch
that some lanes take pushes these and goes on with the others. When no lane is left, the topmost
token's lanes go on at its place. Lanes that leave for a token further down are taken out of those
above it, lanes that exit out of all (public descriptions: the maxas project's wiki; Fung et al.,
"Dynamic Warp Formation and Scheduling", MICRO 2007, on the stack itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial
from types import MappingProxyType

from llvmlite import ir

from kernprof.errors import CubinError
from kernprof.sim.block_barrier import barrier_result, block_barrier
from kernprof.sim.flow import Translation, call_target
from kernprof.sim.irkit import I32, I64, Value
from kernprof.sim.layout import STACK_DEPTH, WARP_SIZE, StepResult, Warp, offset_of
from kernprof.sim.memory import LANES32, Helpers
from kernprof.sim.operands import Special
from kernprof.sim.ops_integer import Semantics
from kernprof.sim.ops_pascal import PASCAL, condition_code
from kernprof.sim.program import Instruction, Kernel, target_of
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site
from kernprof.sim.translate import SEMANTICS, Translator


class Token(IntEnum):
    """What a token waits for."""

    SYNC = 0
    BREAK = 1
    CONTINUE = 2
    RETURN = 3
    DIVERGED = 4


_PUSHES = MappingProxyType(
    {"SSY": Token.SYNC, "PBK": Token.BREAK, "PCNT": Token.CONTINUE, "PRET": Token.RETURN}
)


class StackTranslator(Translator):
    """Translates code of Maxwell and Pascal; see :class:`~kernprof.sim.translate.Translator`."""

    semantics: Mapping[str, Semantics] = MappingProxyType({**SEMANTICS, **PASCAL})

    def __init__(self, module: ir.Module, helpers: Helpers, kernel: Kernel) -> None:
        super().__init__(module, helpers, kernel)
        self.unwind = self.kit.block("unwind")

    def run(self) -> Translation:
        """Translate every block."""
        self._emit_unwind()
        self.kit.at_end(self.kit.entry)
        return super().run()

    def _emit_schedule(self) -> None:
        """Go on where the lanes that are on stand, or return."""
        kit = self.kit
        kit.at_end(self.schedule)
        ready = self.get("ready")
        with kit.when(ready.eq(0)):
            with kit.when(self.get("at_barrier").ne(0)):
                self._return(StepResult.BARRIER)
            with kit.when(self.get("live").eq(0)):
                self._return(StepResult.EXITED)
            self._return(StepResult.BLOCKED)
        self._spend_at_schedule()
        kit.store(ready, self.group)
        first = kit.load(I32, self.warp, kit.cttz(ready).zext(I64) << 2)
        self._emit_switch(first, ready)

    def _emit_unwind(self) -> None:
        """Let the lanes of the topmost token go on; drop tokens without lanes."""
        kit = self.kit
        kit.at_end(self.unwind)
        depth = self.get("depth")
        with kit.when(depth.eq(0)):
            self.set("ready", kit.i32(0))
            kit.jump(self.schedule)
        top = depth - 1
        self.set("depth", top)
        lanes = self._token("token_lanes", top) & self.get("live")
        some = kit.block("token_with_lanes")
        kit.branch(lanes.eq(0), self.unwind, some)
        kit.at_end(some)
        self.set("ready", lanes)
        self.park(lanes, self._token("token_place", top).splat(WARP_SIZE))
        kit.jump(self.schedule)

    # Tokens -----------------------------------------------------------------------------------

    def _token_at(self, field: str, number: Value) -> Value:
        return (number.zext(I64) << 2) + offset_of(Warp, field)

    def _token(self, field: str, number: Value) -> Value:
        return self.kit.load(I32, self.warp, self._token_at(field, number))

    def _push(
        self, instruction: Instruction, kind: Token, place: int | Value, lanes: Value
    ) -> None:
        kit = self.kit
        depth = self.get("depth")
        with kit.when(depth.uge(STACK_DEPTH), likely=False):
            self.refuse(instruction, lanes, f"more than {STACK_DEPTH} nested tokens")
        where = kit.i32(place) if isinstance(place, int) else place
        for field, value in (
            ("token_kind", kit.i32(kind)),
            ("token_place", where),
            ("token_lanes", lanes),
        ):
            kit.store(value, self.warp, self._token_at(field, depth))
        self.set("depth", depth + 1)

    def _leave(self, kind: Token, lanes: Value) -> None:
        """Take lanes out of the tokens above the topmost one of a kind."""
        kit = self.kit
        left, here = kit.slot(I32), kit.slot(I32)
        kit.store(self.get("depth"), left)
        with kit.loop(lambda: kit.load(I32, left).ne(0)):
            number = kit.load(I32, left) - 1
            kit.store(number, here)
            kit.store(number, left)
            with kit.when(self._token("token_kind", number).eq(kind)):
                kit.store(kit.i32(0), left)
            with kit.when(self._token("token_kind", number).ne(kind)):
                at = self._token_at("token_lanes", number)
                kit.store(kit.load(I32, self.warp, at) & ~lanes, self.warp, at)

    def _continue_with(self, rest: Value, after: int) -> None:
        """Go on behind the instruction with the lanes that are left, or with a token's."""
        kit = self.kit
        more = kit.block("lanes_left")
        kit.branch(rest.eq(0), self.unwind, more)
        kit.at_end(more)
        kit.store(rest, self.group)
        self.set("ready", rest)
        self.go(after)

    # Instructions -----------------------------------------------------------------------------

    def _own(self) -> Mapping[str, Callable[[Instruction, Value], None]]:
        pushes = dict.fromkeys(_PUSHES, self._push_token)
        return {**pushes, "B2R": partial(barrier_result, self)}

    def _push_token(self, instruction: Instruction, active: Value) -> None:
        site = self.site(instruction, active)
        target = target_of(instruction)
        if target is None or site.guarded:
            raise Refused("this form of a token is not known")
        place = self.kernel.place(target)
        if place not in self.labels:
            raise Refused(f"a token for {target:#x}, which is no instruction")
        self._push(instruction, _PUSHES[instruction.opcode], place, active)

    def _endings(self) -> Mapping[str, Callable[[Site, int], None]]:
        return {
            "BRA": self._branch,
            "BRX": self._indirect,
            "CAL": self._call,
            "EXIT": self._exit,
            "BAR": self._barrier,
            "BPT": self.trap,
            "SYNC": lambda site, after: self._wait(site, Token.SYNC, after),
            "BRK": lambda site, after: self._wait(site, Token.BREAK, after),
            "CONT": lambda site, after: self._wait(site, Token.CONTINUE, after),
            "RET": lambda site, after: self._wait(site, Token.RETURN, after),
        }

    def _wait(self, site: Site, kind: Token, after: int) -> None:
        """SYNC, BRK, CONT, RET: lanes wait for the topmost token of the kind."""
        kit = self.kit
        lanes = site.on & self._condition(site)
        site.finish()
        none, some = kit.block("nobody_waits"), kit.block("some_wait")
        kit.branch(lanes.eq(0), none, some)
        kit.at_end(none)
        self.go(after)
        kit.at_end(some)
        self._leave(kind, lanes)
        rest = site.active & ~lanes
        # Lanes that wait while others go on: what a branch out of an `if` or loop is here.
        slot = 8 * site.instruction.index
        kit.add_to(self._pointer("divergent"), slot, rest.ne(0).zext(I64))
        self._continue_with(rest, after)

    def _condition(self, site: Site) -> Value:
        """Lanes whose condition code holds, where the instruction names one."""
        if site.operands and isinstance(site.operands[0], Special):
            return condition_code(site)
        return self.kit.i32(0xFFFFFFFF)

    def _branch(self, site: Site, after: int) -> None:
        site.modifiers.drop(("U",))
        taken = site.on & self._condition(site)
        target = target_of(site.instruction)
        if target is None:
            raise Refused("a branch without a target")
        site.operands.pop()
        site.finish()
        self._split(site, taken, self.kernel.place(target), after)

    def _diverge(self, site: Site, taken: Value, target: int, after: int) -> None:
        stay = site.active & ~taken
        self._push(site.instruction, Token.DIVERGED, target, taken)
        self.set("ready", stay)
        self.kit.store(stay, self.group)
        self.go(after)

    def _spend(self, site: Site, taken: Value, target: int, after: int) -> None:
        kit = self.kit
        whole = kit.block("whole_warp_back")
        on = kit.block("goes_on")
        kit.branch(taken.eq(site.active), whole, on)
        kit.at_end(whole)
        super()._spend(site, taken, target, after)
        kit.jump(on)
        kit.at_end(on)

    def _indirect(self, site: Site, after: int) -> None:
        """BRX: each lane to its own place; equal ones together, the others as tokens."""
        kit = self.kit
        targets = self.kernel.image.indirect_targets.get(site.instruction.offset)
        register = site.next_register()
        base = site.next_number()
        if targets is None or site.guarded:
            raise Refused("an indirect branch whose targets the cubin does not list")
        site.finish()
        start = site.instruction.offset + self.kernel.step + base
        place = site.register(register) + (start & 0xFFFFFFFF)
        # A jump to a bundle starts its first instruction.
        bundle = (place & 31).eq(0)
        place = bundle.where(place + 8, place)
        memory, left = kit.slot(LANES32), kit.slot(I32)
        kit.store(place, memory)
        kit.store(site.active, left)
        first = place.at(kit.cttz(site.active) & (WARP_SIZE - 1))
        same = place.eq(first.splat(WARP_SIZE)).mask_bits()
        slot = 8 * site.instruction.index
        split = (site.active & ~same).ne(0)
        kit.add_to(self._pointer("divergent"), slot, split.zext(I64))
        with kit.loop(lambda: kit.load(I32, left).ne(0)):
            now = kit.load(I32, left)
            one = kit.load(I32, memory, kit.cttz(now).zext(I64) << 2)
            group = place.eq(one.splat(WARP_SIZE)).mask_bits() & now
            kit.store(now & ~group, left)
            self._push(site.instruction, Token.DIVERGED, one, group)
        kit.jump(self.unwind)

    def _barrier(self, site: Site, after: int) -> None:
        """BAR; under a guard the whole warp waits, or goes on."""
        with self.kit.when(site.on.ne(0) & site.on.ne(site.active), likely=False):
            self.refuse(site.instruction, site.active, "a barrier for some lanes of a warp")
        block_barrier(self, site, after)

    def _call(self, site: Site, after: int) -> None:
        site.modifiers.drop(("NOINC",))
        site.modifiers.finish()
        if site.guarded:
            raise Refused("a call under a guard")
        try:
            target = call_target(self.kernel, site.instruction)
        except CubinError as error:
            raise Refused(str(error)) from error
        if target not in self.labels:
            raise Refused(f"a call of {target:#x}, which is no instruction")
        self._push(site.instruction, Token.RETURN, after, site.active)
        self.park(site.active, target)
        self.kit.jump(self.schedule)

    def _exit(self, site: Site, after: int) -> None:
        site.modifiers.finish()
        leaving = site.on & self._condition(site)
        site.finish()
        self.set("live", self.get("live") & ~leaving)
        self._continue_with(site.active & ~leaving, after)
