"""One instruction while it is being translated: its operands as values, its results as writes.

Semantics (``ops_*.py``) are written against :class:`Site` and know neither where registers live nor
which lanes are on. The same semantics serve the vector and the uniform datapath: there a value has
32 lanes, here one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from kernprof.sim.irkit import F32, F64, I1, I32, I64, PTR, Kit, Value, vector
from kernprof.sim.launch_constants import bank_bytes, check_launch_constant
from kernprof.sim.layout import (
    SPARE_REGISTERS,
    WARP_SIZE,
    Context,
    Warp,
    offset_of,
    register_at,
)
from kernprof.sim.limits import limits
from kernprof.sim.memory import FULL, Helpers
from kernprof.sim.operands import (
    PT,
    Address,
    Constant,
    Immediate,
    Operand,
    Predicate,
    Register,
    Special,
)
from kernprof.sim.program import Instruction, Kernel
from kernprof.sim.refusal import Refused

NAN32 = 0x7FFFFFFF
NAN64 = 0x7FF8000000000000


class Modifiers:
    """The modifiers of an instruction, taken one by one; what is left at the end is refused."""

    def __init__(self, names: Sequence[str]) -> None:
        self.left = list(names)

    def take(self, name: str) -> bool:
        """Whether the modifier is there; it counts as understood from now on."""
        if name in self.left:
            self.left.remove(name)
            return True
        return False

    def one_of(self, names: Sequence[str], default: str | None = None) -> str:
        """Return the first modifier of a set, or the default; refuse where neither is there."""
        for name in list(self.left):
            if name in names:
                self.left.remove(name)
                return name
        if default is None:
            raise Refused(f"needs one of the modifiers {', '.join(names)}")
        return default

    def drop(self, names: Sequence[str]) -> None:
        """Accept modifiers that don't change the result."""
        self.left = [n for n in self.left if n not in names]

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self.left:
            raise Refused(f"modifier .{' .'.join(self.left)} is not known")


class Site:
    """An instruction in the middle of a compiled warp.

    Parameters
    ----------
    kit
        Where code goes.
    helpers
        Functions of the module.
    kernel, instruction
        What is translated.
    context, warp
        Pointers to :class:`~kernprof.sim.layout.Context` and :class:`~kernprof.sim.layout.Warp`.
    active
        Mask of the lanes that execute together, as i32.
    behind
        Instructions behind this one in its basic block.
    """

    def __init__(
        self,
        kit: Kit,
        helpers: Helpers,
        kernel: Kernel,
        instruction: Instruction,
        context: Value,
        warp: Value,
        active: Value,
    ) -> None:
        self.kit = kit
        self.helpers = helpers
        self.kernel = kernel
        self.instruction = instruction
        self.context = context
        self.warp = warp
        self.active = active
        self.behind = 0
        self.uniform = is_uniform(instruction)
        self.lanes = 1 if self.uniform else WARP_SIZE
        self.modifiers = Modifiers(instruction.modifiers)
        self.operands = list(instruction.operands)
        guard = instruction.guard
        self.guarded = guard is not None
        if guard is None:
            self.on = active
            self.guard_bit = None
        elif guard.uniform:
            self.guard_bit = self.condition(guard, 1)
            self.on = self.guard_bit.where(active, kit.i32(0))
        else:
            self.guard_bit = None
            self.on = active & self.mask(guard)

    @property
    def word(self) -> object:
        """Type of a 32-bit value here."""
        return vector(I32, self.lanes)

    # Operands, taken from the left -------------------------------------------------------------

    def next(self) -> Operand:
        """Take the next operand."""
        if not self.operands:
            raise Refused("has fewer operands than expected")
        return self.operands.pop(0)

    def next_register(self) -> Register:
        """Take the next operand, which must be a register."""
        found = self.next()
        if not isinstance(found, Register) or found.modifiers:
            raise Refused(f"operand {found} is no plain register")
        return found

    def next_predicate(self) -> Predicate:
        """Take the next operand, which must be a predicate."""
        found = self.next()
        if not isinstance(found, Predicate):
            raise Refused(f"operand {found} is no predicate")
        return found

    def optional_predicate(self) -> Predicate | None:
        """Take the next operand if it is a predicate."""
        if self.operands and isinstance(self.operands[0], Predicate):
            return self.next_predicate()
        return None

    def next_number(self) -> int:
        """Take the next operand, which must be an integer constant."""
        found = self.next()
        if not isinstance(found, Immediate) or found.bits is None:
            raise Refused(f"operand {found} is no integer constant")
        return found.bits

    def next_address(self) -> Address:
        """Take the next operand, which must be an address."""
        found = self.next()
        if not isinstance(found, Address):
            raise Refused(f"operand {found} is no address")
        return found

    def next_special(self) -> str:
        """Take the next operand, which must be a name."""
        found = self.next()
        if not isinstance(found, Special):
            raise Refused(f"operand {found} is no special register")
        return found.name

    def finish(self) -> None:
        """Refuse modifiers and operands that nobody took."""
        self.modifiers.finish()
        if self.operands:
            raise Refused(f"operand {self.operands[0]} is not expected")

    # Reading -----------------------------------------------------------------------------------

    def register(self, register: Register, word: int = 0) -> Value:
        """Read a register's bits, or those of a following one; RZ and URZ are zero."""
        if register.uniform:
            if register.is_zero:
                return self.kit.zero(self.word)
            return self.kit.load(I32, self.warp, self.place(register, word)).splat(self.lanes)
        if self.uniform:
            raise Refused("a vector register in a uniform instruction")
        if register.is_zero:
            return self.kit.zero(self.word)
        return self.kit.load(self.word, self.warp, self.place(register, word), align=64)

    def place(self, register: Register, word: int = 0) -> int:
        """Offset in the warp's state of a register, or of a following one; not of RZ and URZ."""
        index = register.index + word
        if register.uniform:
            count = limits(self.kernel.sm).uniform_registers
            if index >= count:
                raise Refused(f"UR{index} is beyond the {count} uniform registers")
            return offset_of(Warp, "uniform", index)
        count = self.kernel.image.registers
        if index >= count + SPARE_REGISTERS:
            raise Refused(f"R{index} is beyond the kernel's {count} registers")
        return register_at(index)

    def constant(self, operand: Constant, extra: int = 0) -> Value:
        """Read a 32-bit word of a constant bank at a fixed offset."""
        if operand.bank is None or operand.base is not None:
            raise Refused("a constant operand with a register in its address")
        offset = operand.offset + extra
        check_launch_constant(self.kernel, operand.bank, offset)
        extent = bank_bytes(self.kernel, operand.bank)
        if offset % 4:
            raise Refused(f"a word at offset {offset:#x}, which is no multiple of 4")
        if not 0 <= offset <= extent - 4:
            raise Refused(
                f"offset {offset:#x} is beyond the {extent} bytes of constant bank {operand.bank}"
            )
        pointer = self.kit.load(
            PTR, self.context, offset_of(Context, "banks", operand.bank), align=8
        )
        return self.kit.load(I32, pointer, offset).splat(self.lanes)

    def raw(self, operand: Operand, word: int = 0) -> Value:
        """Bits of an operand without sign and absolute marks; ``word`` 1 is the upper half."""
        if isinstance(operand, Register):
            if operand.modifiers:
                raise Refused(f"operand modifier .{operand.modifiers[0]} is not known")
            return self.register(operand, word)
        if isinstance(operand, Constant):
            if operand.modifiers:
                raise Refused(f"operand modifier .{operand.modifiers[0]} is not known")
            return self.constant(operand, 4 * word)
        if isinstance(operand, Immediate):
            return self.kit.const(self.word, self.immediate(operand))
        raise Refused(f"operand {operand} is no value")

    def immediate(self, operand: Immediate) -> int:
        """Bits of a 32-bit constant: as printed in hex, else as encoded and checked."""
        if operand.bits is not None:
            return operand.bits & FULL
        bits = self._encoded_immediate()
        number = operand.number
        assert number is not None
        single = struct.unpack("<f", struct.pack("<I", bits))[0]
        double = struct.unpack("<d", struct.pack("<Q", bits << 32))[0]
        for value in (single, double):
            if math.isnan(number) and math.isnan(value):
                return bits
            if value == number or (number and abs(value / number - 1) < 1e-6):
                return bits
        raise Refused(f"the printed constant {operand.text} is not the encoded {bits:#x}")

    def _encoded_immediate(self) -> int:
        """Bits of a floating-point constant as encoded; of a double its upper half."""
        if self.kernel.sm >= 70:
            return self.instruction.immediate_bits
        code = self.instruction.code
        if self.instruction.opcode.endswith("32I"):
            return code >> 20 & FULL
        # 19 bits and a sign: the upper 20 bits of the number.
        return ((code >> 20 & 0x7FFFF) | (code >> 56 & 1) << 19) << 12

    def int32(self, operand: Operand) -> Value:
        """Read an integer: -x is negation, ~x complement, |x| magnitude."""
        value = self.raw(operand)
        if isinstance(operand, (Register, Constant)):
            if operand.absolute:
                value = self.kit.intrinsic("abs", value, False)
            if operand.negate:
                value = value.neg()
            if operand.invert:
                value = ~value
        return value

    def int64(self, operand: Operand, *, signed: bool = False) -> Value:
        """Read a pair of registers, two constant words, or a constant widened as told."""
        if isinstance(operand, Immediate):
            return self.raw(operand).extend(I64, signed=signed)
        low, high = self.raw(operand).zext(I64), self.raw(operand, 1).zext(I64)
        value = low | high << 32
        if isinstance(operand, (Register, Constant)):
            if operand.absolute:
                raise Refused("magnitude of a 64-bit integer")
            if operand.negate:
                value = value.neg()
            if operand.invert:
                value = ~value
        return value

    def float32(self, operand: Operand) -> Value:
        """Read a single-precision number; marks change its sign bit."""
        bits = self._signed(operand, self.raw(operand), 0x80000000)
        return bits.as_float(F32)

    def float64(self, operand: Operand) -> Value:
        """Read a double; a constant in the instruction is its upper half."""
        if isinstance(operand, Immediate):
            bits = self.raw(operand).zext(I64) << 32
        else:
            bits = self.raw(operand).zext(I64) | self.raw(operand, 1).zext(I64) << 32
        return self._signed(operand, bits, 1 << 63).as_float(F64)

    def _signed(self, operand: Operand, bits: Value, sign: int) -> Value:
        if isinstance(operand, (Register, Constant)):
            if operand.invert:
                raise Refused("complement of a floating-point operand")
            if operand.absolute:
                bits = bits & (sign - 1)
            if operand.negate:
                bits = bits ^ sign
        return bits

    def mask(self, predicate: Predicate) -> Value:
        """Read a predicate as a mask of 32 lanes."""
        if predicate.index == PT:
            return self.kit.i32(0 if predicate.negate else FULL)
        if predicate.uniform:
            bit = self.condition(predicate, 1)
            return bit.where(self.kit.i32(FULL), self.kit.i32(0))
        bits = self.kit.load(I32, self.warp, offset_of(Warp, "predicates", predicate.index))
        return ~bits if predicate.negate else bits

    def condition(self, predicate: Predicate, lanes: int | None = None) -> Value:
        """Read a predicate as one truth value per lane."""
        count = self.lanes if lanes is None else lanes
        if count == WARP_SIZE:
            return self.mask(predicate).mask_lanes()
        if predicate.index == PT:
            return self.kit.const(I1, 0 if predicate.negate else 1)
        if not predicate.uniform:
            raise Refused("a vector predicate in a uniform instruction")
        at = offset_of(Warp, "uniform_predicates", predicate.index)
        bit = self.kit.load(I32, self.warp, at).ne(0)
        return ~bit if predicate.negate else bit

    def truth(self, predicate: Predicate) -> Value:
        """Read a predicate as an integer that has one bit a lane.

        To join truth values as such integers is shorter than as lanes: the host has no short way
        from bits to lanes of one bit.
        """
        return self.mask(predicate) if self.lanes == WARP_SIZE else self.condition(predicate)

    # Writing -----------------------------------------------------------------------------------

    def write(self, register: Register, value: Value, word: int = 0) -> None:
        """Write 32 bits a lane where this instruction's lanes are on."""
        if register.is_zero:
            return
        at = self.place(register, word)
        if register.uniform:
            if self.guard_bit is not None:
                value = self.guard_bit.where(value, self.kit.load(I32, self.warp, at))
            elif self.guarded:
                raise Refused("a uniform result under a vector guard")
            self.kit.store(value, self.warp, at)
            return
        old = self.kit.load(value.type, self.warp, at, align=64)
        self.kit.store(self.on.mask_lanes().where(value, old), self.warp, at, align=64)

    def write64(self, register: Register, value: Value) -> None:
        """Write a pair of registers."""
        self.write(register, value.trunc(I32))
        self.write(register, (value >> 32).trunc(I32), 1)

    def write_float32(self, register: Register, value: Value) -> None:
        """Write a single; NaN results are the one that the hardware makes (PTX ISA, "NaN")."""
        nan = self.kit.const(self.word, NAN32).as_float(F32)
        self.write(register, value.fcmp("uno", value).where(nan, value).as_float(I32))

    def write_float64(self, register: Register, value: Value) -> None:
        """Write a double; NaN results are canonical."""
        nan = self.kit.const(vector(I64, self.lanes), NAN64).as_float(F64)
        self.write64(register, value.fcmp("uno", value).where(nan, value).as_float(I64))

    def write_condition(self, predicate: Predicate | None, value: Value) -> None:
        """Write one truth value per lane; ``value`` has lanes, or one bit a lane."""
        if predicate is None or predicate.index == PT:
            return
        if predicate.uniform:
            at = offset_of(Warp, "uniform_predicates", predicate.index)
            bit = value.zext(I32)
            if self.guard_bit is not None:
                bit = self.guard_bit.where(bit, self.kit.load(I32, self.warp, at))
            self.kit.store(bit, self.warp, at)
            return
        at = offset_of(Warp, "predicates", predicate.index)
        old = self.kit.load(I32, self.warp, at)
        bits = value.mask_bits()
        self.kit.store(bits & self.on | old & ~self.on, self.warp, at)


def is_uniform(instruction: Instruction) -> bool:
    """Whether the instruction computes on the uniform datapath: all of these begin with U."""
    name = instruction.opcode
    return name.startswith("U")
