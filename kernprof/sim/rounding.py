"""Arithmetic in the directed rounding modes, through the host's own rounding control.

LLVM moves ordinary floating-point operations across a change of the rounding mode; its constrained
intrinsics are exempt, so each such operation is a small function around one of them (LLVM Language
Reference, "Constrained Floating-Point Intrinsics").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from kernprof.sim.irkit import I32, Kit, Value, mangled

if TYPE_CHECKING:
    from kernprof.sim.memory import Helpers

# Values of llvm.set.rounding: those of FLT_ROUNDS.
_MODES = {"RZ": 0, "RN": 1, "RP": 2, "RM": 3}


def directed(helpers: Helpers, kit: Kit, name: str, mode: str, values: list[Value]) -> Value:
    """Compute ``fadd``, ``fmul`` or ``fma`` rounded as ``mode`` (RZ, RP, RM) says."""
    kind = values[0].type
    made, fresh = helpers.function(f"{name}_{mode}_{mangled(kind)}", kind, [kind] * len(values))
    if fresh:
        _strict(made)
        _body(helpers, made, name, mode)
    return helpers.call(kit, made, *values)


def _body(helpers: Helpers, made: ir.Function, name: str, mode: str) -> None:
    module = helpers.module
    inner = Kit(module, made)
    kind = made.args[0].type
    text = ir.MetaDataType()
    full = f"llvm.experimental.constrained.{name}.{mangled(kind)}"
    operation = module.globals.get(full) or ir.Function(
        module, ir.FunctionType(kind, [kind] * len(made.args) + [text, text]), name=full
    )
    switch = module.globals.get("llvm.set.rounding") or ir.Function(
        module, ir.FunctionType(ir.VoidType(), [I32]), name="llvm.set.rounding"
    )
    _strict(inner.ir.call(switch, [ir.Constant(I32, _MODES[mode])]))
    texts = [ir.MetaDataString(module, t) for t in ("round.dynamic", "fpexcept.ignore")]
    result = inner.ir.call(operation, [*made.args, *texts])
    _strict(result)
    _strict(inner.ir.call(switch, [ir.Constant(I32, _MODES["RN"])]))
    inner.ir.ret(result)


def _strict(thing: ir.Function | ir.CallInstr) -> None:
    """Mark with an attribute that LLVM knows and llvmlite's own list of them lacks."""
    set.add(thing.attributes, "strictfp")
