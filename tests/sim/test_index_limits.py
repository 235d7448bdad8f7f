"""Indices of machine code are held to what the architecture has; whatever loops can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import CubinError, UnavailableError
from kernprof.sim import limits
from kernprof.sim.engine import compile_kernel
from kernprof.sim.execute import Execution
from kernprof.sim.faults import LaunchFaultError, StateDamagedError
from kernprof.sim.layout import (
    REGISTERS,
    Context,
    FaultKind,
    Warp,
    offset_of,
    register_at,
    warp_bytes,
)
from kernprof.sim.operands import (
    PT,
    RZ,
    URZ,
    Address,
    Constant,
    Immediate,
    Operand,
    Predicate,
    Special,
)
from kernprof.sim.operands import Register as R
from kernprof.sim.program import Instruction, Kernel, Program
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

SOURCE = """
extern "C" __global__ void k(int *y) { y[threadIdx.x] = threadIdx.x * 3 + y[0]; }
extern "C" __global__ void waits(volatile int *y) {
  while (y[threadIdx.x] == 0) __syncthreads();
}
"""


class Nothing:
    """A store that keeps nothing: what is made here must not get into the cache."""

    def get(self, key: str) -> bytes | None:
        del key

    def put(self, key: str, content: bytes) -> None:
        del key, content


def load(arch: str) -> Program:
    try:
        return sim.load(compile_source(SOURCE, arch=arch, name="/limits.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def with_operands(kernel: Kernel, *operands: Operand, opcode: str = "IADD3") -> Kernel:
    first = replace(kernel.instructions[0], opcode=opcode, operands=operands, modifiers=())
    return replace(kernel, instructions=(first, *kernel.instructions[1:]))


def imm(number: int) -> Immediate:
    return Immediate(hex(number), number, None)


@pytest.mark.parametrize(
    ("arch", "operands", "opcode", "says"),
    [
        ("sm_80", [R(255 + 1)], "IADD3", "no register R256"),
        ("sm_80", [R(63, True)], "UMOV", "no uniform register UR63 on sm_80, which has 63"),
        ("sm_80", [R(83, True)], "UMOV", "no uniform register UR83"),
        ("sm_70", [R(0, True)], "UMOV", "no uniform register UR0 on sm_70, which has 0"),
        ("sm_80", [Predicate(8)], "PLOP3", "no predicate P8"),
        ("sm_80", [Predicate(9, True)], "PLOP3", "no predicate UP9"),
        ("sm_70", [Predicate(0, True)], "PLOP3", "uniform predicate UP0"),
        ("sm_80", [Constant(0x12, 0)], "LDC", "no constant bank 0x12; the last is 0x11"),
        ("sm_80", [Constant(0x1F, 0, R(3))], "LDC", "no constant bank 0x1f"),
        ("sm_80", [Constant(0, 0x10000)], "MOV", "offset 0x10000"),
        ("sm_80", [Constant(0, -4)], "MOV", "offset -0x4"),
        ("sm_80", [Constant(0, 0, R(256))], "LDC", "no register R256"),
        ("sm_80", [Address(R(256), None, 0)], "LDG", "no register R256"),
        ("sm_80", [Address(None, R(64, True), 0)], "LDG", "no uniform register UR64"),
        ("sm_80", [Address(None, None, 0, descriptor=R(70, True))], "LDG", "UR70"),
        ("sm_80", [Address(None, None, 1 << 20)], "LDS", "in shared memory"),
        ("sm_80", [Address(R(RZ), None, -4)], "LDS", "in shared memory"),
        ("sm_80", [Address(None, None, 512 << 10)], "STL", "in local memory"),
        ("sm_80", [Special("B16")], "BSSY", "no convergence barrier B16"),
        ("sm_80", [Special("SB6")], "DEPBAR", "no scoreboard SB6"),
        ("sm_80", [imm(16)], "BAR", "barrier 0x10 of a block"),
        ("sm_80", [imm(0x8)], "BRA", "no instruction"),
        ("sm_80", [imm(1 << 30)], "BRA", "no instruction"),
        ("sm_80", [Special("B0"), imm(1 << 30)], "BSSY", "no instruction"),
        ("sm_60", [imm(4)], "SSY", "no instruction"),
    ],
)
def test_what_the_architecture_lacks_is_refused(
    arch: str, operands: Sequence[Operand], opcode: str, says: str
) -> None:
    kernel = with_operands(load(arch).kernel("k"), *operands, opcode=opcode)
    with pytest.raises(CubinError, match=says) as caught:
        limits.check(kernel)
    assert "k+0x" in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "operands", "opcode"),
    [
        ("sm_80", [R(254), R(RZ), R(62, True), R(URZ, True)], "IADD3"),
        ("sm_80", [Predicate(6), Predicate(PT), Predicate(6, True)], "PLOP3"),
        ("sm_80", [Constant(0x11, 0xFFFC)], "MOV"),
        ("sm_80", [Address(None, None, (512 << 10) - 4)], "STL"),
        ("sm_80", [Address(R(4), None, -(1 << 23))], "LDS"),
        ("sm_80", [Special("B15")], "BSYNC"),
        ("sm_80", [Special("SR_CTAID.X")], "S2R"),
        ("sm_80", [imm(15)], "BAR"),
        ("sm_60", [imm(0)], "SSY"),
    ],
)
def test_what_it_has_is_not(arch: str, operands: Sequence[Operand], opcode: str) -> None:
    limits.check(with_operands(load(arch).kernel("k"), *operands, opcode=opcode))


def test_a_seventh_scoreboard_is_refused() -> None:
    kernel = load("sm_80").kernel("k")
    first = kernel.instructions[0]
    wrong = replace(first, control=replace(first.control, write_barrier=6))
    with pytest.raises(CubinError, match="scoreboard 6; there are 6"):
        limits.check(replace(kernel, instructions=(wrong, *kernel.instructions[1:])))


@pytest.mark.parametrize(("sm", "count"), [(60, 0), (75, 63), (90, 63), (100, 255), (120, 255)])
def test_uniform_registers_by_architecture(sm: int, count: int) -> None:
    assert limits.limits(sm).uniform_registers == count
    # The state has room for all of them.
    if count:
        offset_of(Warp, "uniform", count - 1)


@pytest.mark.parametrize(
    ("structure", "field", "index"),
    [
        (Context, "banks", limits.CONSTANT_BANKS),
        (Context, "bank_bytes", -1),
        (Context, "barrier_arrived", limits.BLOCK_BARRIERS),
        (Warp, "uniform", 256),
        (Warp, "predicates", 8),
        (Warp, "waiting", limits.CONVERGENCE_BARRIERS),
        (Warp, "members", limits.CONVERGENCE_BARRIERS * 32),
        (Warp, "live", 1),
    ],
)
def test_no_index_leaves_its_field(structure: type, field: str, index: int) -> None:
    with pytest.raises(Refused):
        offset_of(structure, field, index)
    with pytest.raises(Refused):
        register_at(limits.REGISTERS + 3)


# Loops -------------------------------------------------------------------------------------------


def looping(arch: str, made: Callable[[Kernel], Sequence[Instruction]]) -> Program:
    """Return a program whose kernel begins with these instructions."""
    whole = load(arch)
    kernel = whole.kernel("k")
    begin = tuple(made(kernel))
    changed = replace(kernel, instructions=(*begin, *kernel.instructions[len(begin) :]))
    return replace(whole, kernels={"k": changed}, compiled={})


def run(program: Program, kernel: str = "k", threads: int = 32) -> Execution:
    return sim.run(
        program, kernel, 1, threads, [np.zeros(64, np.int32)], time_limit_s=0.3, store=Nothing()
    )


def through_return(kernel: Kernel) -> Sequence[Instruction]:
    first = kernel.instructions[0]
    operands = (R(RZ), Special("k"))
    return [replace(first, opcode="RET", modifiers=("REL", "NODEC"), operands=operands)]


def through_indirect_branch(kernel: Kernel) -> Sequence[Instruction]:
    first = kernel.instructions[0]
    # Its targets count from behind it.
    object.__setattr__(kernel.image, "indirect_targets", {0: (0,)})
    return [replace(first, opcode="BRX", modifiers=(), operands=(R(RZ), imm(-kernel.step)))]


def through_collective(kernel: Kernel) -> Sequence[Instruction]:
    # Lanes that were in no collective have their return place at 0.
    return [replace(kernel.instructions[0], opcode="ENDCOLLECTIVE", modifiers=(), operands=())]


def through_call(kernel: Kernel) -> Sequence[Instruction]:
    first = kernel.instructions[0]
    return [replace(first, opcode="CALL", modifiers=("REL", "NOINC"), operands=(imm(0),))]


def through_token(push: str, pop: str) -> Callable[[Kernel], Sequence[Instruction]]:
    def made(kernel: Kernel) -> Sequence[Instruction]:
        first, second = kernel.instructions[:2]
        return [
            replace(first, opcode=push, modifiers=(), operands=(imm(first.offset),)),
            replace(second, opcode=pop, modifiers=(), operands=(), guard=None),
        ]

    return made


@pytest.mark.parametrize(
    ("arch", "made"),
    [
        ("sm_80", through_return),
        ("sm_80", through_indirect_branch),
        ("sm_90", through_collective),
        ("sm_80", through_call),
        ("sm_60", through_token("SSY", "SYNC")),
        ("sm_60", through_token("PBK", "BRK")),
        ("sm_60", through_token("PCNT", "CONT")),
        ("sm_60", through_token("PRET", "RET")),
    ],
    ids=["RET", "BRX", "ENDCOLLECTIVE", "CALL", "SYNC", "BRK", "CONT", "RET of Pascal"],
)
def test_every_way_back_can_be_stopped(
    arch: str, made: Callable[[Kernel], Sequence[Instruction]]
) -> None:
    with pytest.raises(LaunchFaultError, match=r"after 0\.3 s, the time limit") as caught:
        run(looping(arch, made))
    assert caught.value.kind is FaultKind.STOPPED


@pytest.mark.parametrize("arch", ["sm_60", "sm_80"])
def test_a_loop_around_a_barrier_can_be_stopped(arch: str) -> None:
    with pytest.raises(LaunchFaultError) as caught:
        run(load(arch), "waits", threads=64)
    assert caught.value.kind is FaultKind.STOPPED


def test_calls_without_end_are_refused_before_volta() -> None:
    def made(kernel: Kernel) -> Sequence[Instruction]:
        first = kernel.instructions[0]
        return [replace(first, opcode="CAL", modifiers=("NOINC",), operands=(imm(first.offset),))]

    with pytest.raises(CubinError, match="nested tokens"):
        run(looping("sm_60", made))


# A slip in the translation ------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["registers", "fields"])
def test_a_write_beside_the_state_is_noticed(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    program = load("sm_80")
    size = warp_bytes(program.kernel("k").image.registers)
    # Half of a register's 128 bytes lies in the canary, which begins where fields or registers end.
    beside = size - 64 if end == "registers" else REGISTERS - 64

    def wrong(self: Site, register: R, word: int = 0) -> int:
        del self, register, word
        return beside

    monkeypatch.setattr(Site, "place", wrong)
    compile_kernel(program, "k", store=Nothing())
    monkeypatch.undo()
    with pytest.raises(StateDamagedError):
        run(program)


def test_nothing_is_told_of_a_launch_that_kept_to_itself() -> None:
    assert run(load("sm_80")).executed.sum() > 0
