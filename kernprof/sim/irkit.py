"""A small layer over llvmlite that lets semantics be written as expressions.

A :class:`Value` wraps a typed LLVM value, scalar or vector, and carries the builder that made it;
Python operators emit unsigned integer arithmetic, methods the rest. Plain Python integers become
constants of the other operand's type. Nothing here knows about GPUs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llvmlite import ir
else:
    from llvmlite import ir

I1 = ir.IntType(1)
I8 = ir.IntType(8)
I16 = ir.IntType(16)
I32 = ir.IntType(32)
I64 = ir.IntType(64)
F16 = ir.HalfType()
F32 = ir.FloatType()
F64 = ir.DoubleType()
PTR = ir.PointerType()


def vector(element: Any, lanes: int) -> Any:
    """Type of ``lanes`` elements; a single lane is a plain scalar."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


def _lanes(kind: Any) -> int:
    return kind.count if isinstance(kind, ir.VectorType) else 1


def _element(kind: Any) -> Any:
    return kind.element if isinstance(kind, ir.VectorType) else kind


class Value:
    """An LLVM value with operators.

    Parameters
    ----------
    kit
        The builder that instructions go to.
    raw
        The llvmlite value.
    """

    __slots__ = ("kit", "raw")

    def __init__(self, kit: Kit, raw: Any) -> None:
        self.kit = kit
        self.raw = raw

    @property
    def type(self) -> Any:
        """Its LLVM type."""
        return self.raw.type

    @property
    def lanes(self) -> int:
        """Number of vector elements, 1 for a scalar."""
        return _lanes(self.raw.type)

    @property
    def element(self) -> Any:
        """Type of one element."""
        return _element(self.raw.type)

    @property
    def bits(self) -> int:
        """Width of one integer element."""
        return int(self.element.width)

    def _peer(self, other: Value | int) -> Any:
        return other.raw if isinstance(other, Value) else self.kit.const(self.type, other).raw

    def _emit(self, name: str, other: Value | int) -> Value:
        return Value(self.kit, getattr(self.kit.ir, name)(self.raw, self._peer(other)))

    def __add__(self, other: Value | int) -> Value:
        return self._emit("add", other)

    def __sub__(self, other: Value | int) -> Value:
        return self._emit("sub", other)

    def __mul__(self, other: Value | int) -> Value:
        return self._emit("mul", other)

    def __and__(self, other: Value | int) -> Value:
        return self._emit("and_", other)

    def __or__(self, other: Value | int) -> Value:
        return self._emit("or_", other)

    def __xor__(self, other: Value | int) -> Value:
        return self._emit("xor", other)

    def __lshift__(self, other: Value | int) -> Value:
        return self._emit("shl", other)

    def __rshift__(self, other: Value | int) -> Value:
        return self._emit("lshr", other)

    def sar(self, other: Value | int) -> Value:
        """Arithmetic shift right."""
        return self._emit("ashr", other)

    def __invert__(self) -> Value:
        return Value(self.kit, self.kit.ir.not_(self.raw))

    def neg(self) -> Value:
        """Two's complement."""
        return Value(self.kit, self.kit.ir.neg(self.raw))

    def compare(self, how: str, other: Value | int, *, signed: bool = False) -> Value:
        """Integer comparison: ``how`` is one of == != < <= > >=."""
        emit = self.kit.ir.icmp_signed if signed else self.kit.ir.icmp_unsigned
        return Value(self.kit, emit(how, self.raw, self._peer(other)))

    def eq(self, other: Value | int) -> Value:
        """Compare for equality."""
        return self.compare("==", other)

    def ne(self, other: Value | int) -> Value:
        """Compare for inequality."""
        return self.compare("!=", other)

    def ult(self, other: Value | int) -> Value:
        """Unsigned less-than."""
        return self.compare("<", other)

    def ugt(self, other: Value | int) -> Value:
        """Unsigned greater-than."""
        return self.compare(">", other)

    def ule(self, other: Value | int) -> Value:
        """Unsigned less-or-equal."""
        return self.compare("<=", other)

    def uge(self, other: Value | int) -> Value:
        """Unsigned greater-or-equal."""
        return self.compare(">=", other)

    def slt(self, other: Value | int) -> Value:
        """Signed less-than."""
        return self.compare("<", other, signed=True)

    def sgt(self, other: Value | int) -> Value:
        """Signed greater-than."""
        return self.compare(">", other, signed=True)

    def where(self, yes: Value, no: Value) -> Value:
        """Select by this condition."""
        return Value(self.kit, self.kit.ir.select(self.raw, yes.raw, no.raw))

    def fadd(self, other: Value) -> Value:
        """Floating-point sum, round to nearest even."""
        return self._emit("fadd", other)

    def fsub(self, other: Value) -> Value:
        """Floating-point difference."""
        return self._emit("fsub", other)

    def fmul(self, other: Value) -> Value:
        """Floating-point product."""
        return self._emit("fmul", other)

    def fdiv(self, other: Value) -> Value:
        """Floating-point quotient."""
        return self._emit("fdiv", other)

    def fneg(self) -> Value:
        """Flip the sign."""
        return Value(self.kit, self.kit.ir.fneg(self.raw))

    def fcmp(self, how: str, other: Value) -> Value:
        """Floating-point comparison by LLVM predicate ("oeq", "ult", "uno", ...)."""
        emit = self.kit.ir.fcmp_ordered if how[0] == "o" else self.kit.ir.fcmp_unordered
        operators = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
        name = "ord" if how == "ord" else "uno" if how == "uno" else operators[how[1:]]
        return Value(self.kit, emit(name, self.raw, other.raw))

    def _cast(self, name: str, element: Any) -> Value:
        kind = vector(element, self.lanes)
        if kind == self.type:
            return self
        return Value(self.kit, getattr(self.kit.ir, name)(self.raw, kind))

    def zext(self, element: Any) -> Value:
        """Widen with zeros to elements of this type."""
        return self._cast("zext", element)

    def sext(self, element: Any) -> Value:
        """Widen with the sign."""
        return self._cast("sext", element)

    def extend(self, element: Any, *, signed: bool) -> Value:
        """Widen with the sign or with zeros."""
        return self.sext(element) if signed else self.zext(element)

    def trunc(self, element: Any) -> Value:
        """Keep the low bits."""
        return self._cast("trunc", element)

    def as_float(self, element: Any) -> Value:
        """Reinterpret each element's bits as this type of the same width."""
        return self._cast("bitcast", element)

    def fpext(self, element: Any) -> Value:
        """Widen a float."""
        return self._cast("fpext", element)

    def fptrunc(self, element: Any) -> Value:
        """Round a float to a narrower type, to nearest even."""
        return self._cast("fptrunc", element)

    def convert(self, name: str, element: Any) -> Value:
        """Emit one of sitofp, uitofp, fptosi, fptoui."""
        return self._cast(name, element)

    def bitcast(self, kind: Any) -> Value:
        """Reinterpret all bits as another type of the same size."""
        return Value(self.kit, self.kit.ir.bitcast(self.raw, kind))

    def splat(self, lanes: int) -> Value:
        """Copy a scalar to all lanes."""
        if lanes == 1:
            return self
        kind = ir.VectorType(self.type, lanes)
        one = self.kit.ir.insert_element(ir.Constant(kind, ir.Undefined), self.raw, _index(0))
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return Value(
            self.kit, self.kit.ir.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)
        )

    def at(self, index: Value | int) -> Value:
        """Take one lane."""
        raw = index.raw if isinstance(index, Value) else _index(index)
        return Value(self.kit, self.kit.ir.extract_element(self.raw, raw))

    def put(self, index: Value | int, value: Value) -> Value:
        """Return the vector with one lane replaced."""
        raw = index.raw if isinstance(index, Value) else _index(index)
        return Value(self.kit, self.kit.ir.insert_element(self.raw, value.raw, raw))

    def shuffle(self, order: Sequence[int], other: Value | None = None) -> Value:
        """Reorder lanes by constant indices; lanes of ``other`` follow this value's own."""
        mask = ir.Constant(ir.VectorType(I32, len(order)), list(order))
        second = other.raw if other is not None else ir.Constant(self.type, ir.Undefined)
        return Value(self.kit, self.kit.ir.shuffle_vector(self.raw, second, mask))

    def mask_bits(self) -> Value:
        """Turn <N x i1> into an integer of N bits; a scalar i1 stays."""
        if self.lanes == 1:
            return self
        return self.bitcast(ir.IntType(self.lanes))

    def mask_lanes(self, lanes: int = 32) -> Value:
        """Turn an integer of N bits into <N x i1>."""
        return self.bitcast(ir.VectorType(I1, lanes))


def _index(value: int) -> Any:
    return ir.Constant(I32, value)


def _float_text(kind: Any, value: float) -> Any:
    return ir.Constant(kind, value)


class Kit:
    """Emits into one function.

    Parameters
    ----------
    module
        Receives declarations of intrinsics.
    function
        The function under construction.
    """

    def __init__(self, module: Any, function: Any) -> None:
        self.module = module
        self.function = function
        self.entry = function.append_basic_block("entry")
        self.ir = ir.IRBuilder(self.entry)

    def const(self, kind: Any, value: int) -> Value:
        """Integer constant, wrapped to the type's width; the same in all lanes of a vector."""
        element = _element(kind)
        wrapped = value & ((1 << element.width) - 1)
        count = _lanes(kind)
        raw = ir.Constant(element, wrapped)
        if count == 1:
            return Value(self, raw)
        return Value(self, ir.Constant(kind, [wrapped] * count))

    def i32(self, value: int) -> Value:
        """32-bit constant."""
        return self.const(I32, value)

    def i64(self, value: int) -> Value:
        """64-bit constant."""
        return self.const(I64, value)

    def sequence(self, values: Sequence[int], element: Any = I32) -> Value:
        """Constant vector."""
        wrapped = [v & ((1 << element.width) - 1) for v in values]
        return Value(self, ir.Constant(ir.VectorType(element, len(wrapped)), wrapped))

    def real(self, element: Any, value: float, lanes: int = 1) -> Value:
        """Float constant in all lanes."""
        if element == F32:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        kind = vector(element, lanes)
        content = _float_text(element, value)
        return Value(self, content if lanes == 1 else ir.Constant(kind, [content] * lanes))

    def zero(self, kind: Any) -> Value:
        """All bits zero."""
        return Value(self, ir.Constant(kind, None))

    def call(self, name: str, kind: Any, *values: Value | int | bool) -> Value:
        """Call an LLVM intrinsic of this full name; Python booleans become i1 constants."""
        raw = [
            v.raw
            if isinstance(v, Value)
            else ir.Constant(I1 if isinstance(v, bool) else I32, int(v))
            for v in values
        ]
        declared = self.module.globals.get(name)
        if declared is None:
            declared = ir.Function(
                self.module, ir.FunctionType(kind, [v.type for v in raw]), name=name
            )
        return Value(self, self.ir.call(declared, raw))

    def intrinsic(self, name: str, *values: Value | bool) -> Value:
        """Call ``llvm.<name>.<type>`` overloaded on, and returning, the first operand's type."""
        first = values[0]
        assert isinstance(first, Value)
        return self.call(f"llvm.{name}.{mangled(first.type)}", first.type, *values)

    def popcount(self, value: Value) -> Value:
        """Count set bits."""
        return self.intrinsic("ctpop", value)

    def cttz(self, value: Value) -> Value:
        """Index of the lowest set bit; the width for 0."""
        return self.intrinsic("cttz", value, False)

    def ctlz(self, value: Value) -> Value:
        """Count of leading zeros; the width for 0."""
        return self.intrinsic("ctlz", value, False)

    def load(self, kind: Any, pointer: Value, offset: Value | int = 0, align: int = 4) -> Value:
        """Load from ``pointer`` plus a byte offset."""
        raw = self.ir.load(self.address(pointer, offset).raw, typ=kind)
        raw.align = align
        return Value(self, raw)

    def store(self, value: Value, pointer: Value, offset: Value | int = 0, align: int = 4) -> None:
        """Store to ``pointer`` plus a byte offset."""
        raw = self.ir.store(value.raw, self.address(pointer, offset).raw)
        raw.align = align

    def address(self, pointer: Value, offset: Value | int) -> Value:
        """Pointer plus a byte offset (scalar or one per lane)."""
        if isinstance(offset, int):
            if offset == 0:
                return pointer
            offset = self.i64(offset)
        if offset.lanes > 1:
            raw = self.ir.gep(pointer.raw, [offset.raw], source_etype=I8)
            raw.type = ir.VectorType(PTR, offset.lanes)
            return Value(self, raw)
        return Value(self, self.ir.gep(pointer.raw, [offset.raw], source_etype=I8))

    def add_to(self, pointer: Value, offset: Value | int, amount: Value) -> None:
        """Add to a counter in memory."""
        total = self.load(amount.type, pointer, offset, align=8) + amount
        self.store(total, pointer, offset, align=8)

    def block(self, name: str) -> Any:
        """Append a basic block."""
        return self.function.append_basic_block(name)

    def at_end(self, block: Any) -> None:
        """Go on emitting at the end of a block."""
        self.ir.position_at_end(block)

    def jump(self, block: Any) -> None:
        """Branch without condition."""
        self.ir.branch(block)

    def branch(self, condition: Value, yes: Any, no: Any, *, likely: bool | None = None) -> None:
        """Branch by a condition."""
        made = self.ir.cbranch(condition.raw, yes, no)
        if likely is not None:
            made.set_weights([1000, 1] if likely else [1, 1000])

    def slot(self, kind: Any, align: int = 0) -> Value:
        """Variable in the function's frame."""
        with self.ir.goto_entry_block():
            raw = self.ir.alloca(kind)
            if align:
                raw.align = align
            # llvmlite types the result of an alloca; this names the same place without a type.
            start = self.ir.gep(raw, [ir.Constant(I64, 0)], source_etype=I8)
            start.type = PTR
            return Value(self, start)

    @contextmanager
    def when(self, condition: Value, *, likely: bool | None = None) -> Iterator[None]:
        """Emit the body under a condition."""
        inside, after = self.block("then"), self.block("after")
        self.branch(condition, inside, after, likely=likely)
        self.at_end(inside)
        yield
        if not self.ir.block.is_terminated:
            self.jump(after)
        self.at_end(after)

    @contextmanager
    def loop(self, condition: Callable[[], Value]) -> Iterator[None]:
        """Emit ``while condition(): body``."""
        head, body, after = self.block("head"), self.block("body"), self.block("done")
        self.jump(head)
        self.at_end(head)
        self.branch(condition(), body, after)
        self.at_end(body)
        yield
        if not self.ir.block.is_terminated:
            self.jump(head)
        self.at_end(after)

    @contextmanager
    def count(self, limit: Value) -> Iterator[Value]:
        """Emit ``for i in range(limit): body`` with an i32 (or i64) counter."""
        index = self.slot(limit.type)
        self.store(self.const(limit.type, 0), index)

        def less() -> Value:
            return self.load(limit.type, index).ult(limit)

        with self.loop(less):
            current = self.load(limit.type, index)
            yield current
            self.store(current + 1, index)


def mangled(kind: Any) -> str:
    """Name of a type as LLVM writes it in names of intrinsics."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{mangled(kind.element)}"
    if isinstance(kind, ir.IntType):
        return f"i{kind.width}"
    if isinstance(kind, ir.PointerType):
        return "p0"
    return {F16: "f16", F32: "f32", F64: "f64"}[kind]
