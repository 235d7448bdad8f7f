"""Semantics of loads, stores and atomics; the movement itself is in :mod:`kernprof.sim.memory`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from llvmlite import ir

from kernprof.sim.access import access
from kernprof.sim.async_copy import copy_to_shared
from kernprof.sim.atomics import COMPARING, OPERATIONS, WIDE, atomic
from kernprof.sim.irkit import I32, I64, PTR, Value, vector
from kernprof.sim.launch_constants import check_launch_constant
from kernprof.sim.layout import (
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WARP_SIZE,
    Context,
    FaultKind,
    offset_of,
)
from kernprof.sim.memory import (
    GENERIC,
    GLOBAL,
    LANES32,
    LANES64,
    LOCAL,
    SHARED,
    each_lane,
    in_window,
)
from kernprof.sim.operands import Address, Constant, Predicate, Register
from kernprof.sim.ops_integer import Semantics
from kernprof.sim.refusal import Refused
from kernprof.sim.site import Site

_SIZES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "32": 4, "64": 8, "128": 16}
_ATOMIC_KINDS = ("F32", "S32", "U32", "32", "64", "S64", "U64", "F64", "F16x2", "BF16x2")
# Caching and ordering marks: they steer caches, not values.
_HINTS = (
    "CONSTANT", "CI", "STRONG", "WEAK", "GPU", "SYS", "SM", "CTA", "EF", "EL", "LU", "EU", "NA",
    "LTC64B", "LTC128B", "LTC256B", "U", "CG", "CS", "CV", "WT",
)  # fmt: skip


def address64(site: Site, address: Address) -> Value:
    """Compute 64-bit addresses, one a lane."""
    kit = site.kit
    total = kit.zero(LANES64)
    if address.base is not None and not address.base.is_zero:
        low = site.register(address.base).zext(I64)
        if address.extent == "U32":
            total = low
        else:
            total = low | site.register(address.base, 1).zext(I64) << 32
    if address.scale != 1:
        raise Refused("a scaled global address")
    if address.uniform is not None and not address.uniform.is_zero:
        low = site.register(address.uniform).zext(I64)
        total = total + (low | site.register(address.uniform, 1).zext(I64) << 32)
    return total + address.offset


def address32(site: Site, address: Address) -> Value:
    """Compute addresses in shared or local memory, one a lane."""
    kit = site.kit
    total = kit.zero(LANES32)
    if address.extent:
        raise Refused("a 64-bit address in a 32-bit space")
    if address.base is not None and not address.base.is_zero:
        total = site.register(address.base) * address.scale
    if address.uniform is not None and not address.uniform.is_zero:
        total = total + site.register(address.uniform)
    return total + address.offset


def _address(site: Site, space: str, operand: Address) -> Value:
    if space in (GLOBAL, GENERIC):
        if not site.modifiers.take("E"):
            raise Refused("a 32-bit global address")
        return address64(site, operand)
    return address32(site, operand)


def _window_hint(site: Site, space: str) -> None:
    """Pascal's LD and ST name a predicate that tells global addresses: the address does too."""
    if space == GENERIC and site.kernel.sm < 70 and site.operands:
        site.next_predicate()


def _index(site: Site) -> Value:
    return site.kit.i32(site.instruction.index)


def loader(space: str) -> Semantics:
    """Make the semantics of a load from one memory space."""

    def load(site: Site) -> None:
        mods = site.modifiers
        mods.drop(_HINTS)
        kind = mods.one_of(tuple(_SIZES), "32")
        target = site.next_register()
        address = _address(site, space, site.next_address())
        _window_hint(site, space)
        size = _SIZES[kind]
        helper = access(site.helpers, space, size, store=False, signed=kind[0] == "S")
        data = data_slot(site)
        if size < 4 or site.helpers.checked or space == GENERIC:
            # Lanes that are off, or go wrong in a checked run, are never written: the slot must
            # hold something defined.
            for word in range(max(1, size // 4)):
                site.kit.store(site.kit.const(LANES32, 0), data, 128 * word, align=64)
        site.helpers.call(site.kit, helper, site.context, _index(site), address, site.on, data)
        for word in range(max(1, size // 4)):
            found = site.kit.load(LANES32, data, 128 * word, align=64)
            if not target.is_zero:
                site.write(target, found, word)

    return load


def storer(space: str) -> Semantics:
    """Make the semantics of a store to one memory space."""

    def store(site: Site) -> None:
        mods = site.modifiers
        mods.drop(_HINTS)
        kind = mods.one_of(tuple(_SIZES), "32")
        address = _address(site, space, site.next_address())
        source = site.next_register()
        _window_hint(site, space)
        size = _SIZES[kind]
        helper = access(site.helpers, space, size, store=True)
        data = data_slot(site)
        for word in range(max(1, size // 4)):
            site.kit.store(site.raw(source, word), data, 128 * word, align=64)
        site.helpers.call(site.kit, helper, site.context, _index(site), address, site.on, data)

    return store


def copy_async(site: Site) -> None:
    """LDGSTS: global to shared memory; a predicate operand tells lanes that copy and not clear."""
    mods = site.modifiers
    mods.drop(_HINTS)
    mods.drop(("BYPASS", "ACCESS"))
    fills = mods.take("ZFILL")
    size = _SIZES[mods.one_of(("32", "64", "128"), "32")]
    near = address32(site, site.next_address())
    far = _address(site, GLOBAL, site.next_address())
    whole = site.optional_predicate()
    if whole is not None and not fills:
        raise Refused("an asynchronous copy with a predicate that does not clear")
    copied = site.mask(whole) if whole is not None else site.on
    helper = copy_to_shared(site.helpers, size, fills=fills)
    site.helpers.call(site.kit, helper, site.context, _index(site), near, far, site.on, copied)


def data_slot(site: Site) -> Value:
    """Frame space for four words a lane."""
    return site.kit.slot(ir.ArrayType(LANES32, 4), align=64)


def load_constant(site: Site) -> None:
    """LDC, ULDC: up to two words of a constant bank; a register may be part of the address."""
    mods = site.modifiers
    mods.drop(("U32",))
    kind = mods.one_of(tuple(_SIZES), "32")
    target = site.next_register()
    operand = site.next()
    if not isinstance(operand, Constant) or operand.bank is None:
        raise Refused("a constant bank given by a register")
    size = _SIZES[kind]
    if size > 8:
        raise Refused(f"a constant of {size} bytes a lane")
    if operand.base is not None:
        _indexed_constant(site, target, operand, kind)
        return
    first = operand.offset & 3 if size < 4 else 0
    for word in range(max(1, size // 4)):
        found = site.constant(operand, 4 * word - first)
        site.write(target, _part(found, 8 * first, kind), word)


def _part(word: Value, shift: Value | int, kind: str) -> Value:
    """Cut a byte or half word out of a word; wider kinds are the word itself."""
    bits = 8 * _SIZES[kind]
    if bits >= 32:
        return word
    low = (word >> shift) & ((1 << bits) - 1)
    if not kind.startswith("S"):
        return low
    sign = 1 << (bits - 1)
    return (low ^ sign) - sign


def _indexed_constant(site: Site, target: Register, operand: Constant, kind: str) -> None:
    kit = site.kit
    assert operand.bank is not None
    assert operand.base is not None
    if operand.bank == 0:
        check_launch_constant(site.kernel, 0, site.kernel.image.parameter_base)
    offset = site.register(operand.base) + operand.offset
    if site.uniform:
        raise Refused("a uniform constant at a register's address")
    extent = kit.load(I64, site.context, offset_of(Context, "bank_bytes", operand.bank), align=8)
    size = _SIZES[kind]
    end = offset.zext(I64) + size
    bad = end.ugt(extent.splat(WARP_SIZE)).mask_bits() & site.on
    # A plain run stops at the first lane, a checked one notes all.
    with kit.when(bad.ne(0), likely=False), each_lane(kit, bad) as lane:
        site.helpers.call(
            kit,
            site.helpers.fault(),
            site.context,
            kit.i32(FaultKind.CONSTANT),
            _index(site),
            lane,
            offset.at(lane).zext(I64),
        )
    good = (site.on & ~bad).mask_lanes()
    base = kit.load(PTR, site.context, offset_of(Context, "banks", operand.bank), align=8)
    start = offset & ~3 if size < 4 else offset
    for word in range(max(1, size // 4)):
        pointers = kit.address(base, start.zext(I64) + 4 * word)
        found = kit.call(
            "llvm.masked.gather.v32i32.v32p0", LANES32, pointers, 4, good, kit.const(LANES32, 0)
        )
        site.write(target, _part(found, (offset & 3) << 3, kind), word)


def _atomic(space: str, *, result: bool) -> Semantics:
    def run(site: Site) -> None:
        mods = site.modifiers
        mods.drop(_HINTS)
        mods.drop(("RN",))
        mods.drop(("SPIN",))
        ftz = mods.take("FTZ")
        counting = mods.take("POPC")
        name = mods.one_of(OPERATIONS)
        kind = mods.one_of(_ATOMIC_KINDS, "U32")
        out = None
        target = None
        if result:
            out = site.optional_predicate()
            target = site.next_register()
        address = _address(site, space, site.next_address())
        if counting:
            # Adds the number of lanes that are on to a word: one for each.
            if name != "INC" or kind != "32" or target is None or not target.is_zero:
                raise Refused("this form of an atomic count is not known")
            name, values = "ADD", [site.kit.const(LANES32, 1)]
        else:
            operands = [site.next_register() for _ in range(1 + (name in COMPARING))]
            read = site.int64 if kind in WIDE else site.int32
            values = [read(o) for o in operands]
        lanes = site.on
        if out is not None and not out.is_true:
            native = name in ("EXCH", "CAS") or kind in ("U32", "S32", "32")
            lanes = _supported(site, space, out, address, native=native)
        element = vector(I64 if kind in WIDE else I32, WARP_SIZE)
        second = values[1] if len(values) == 2 else site.kit.zero(element)
        helper = atomic(site.helpers, space, name, kind, ftz=ftz)
        data = data_slot(site)
        if space == GENERIC:
            # A lane's result comes from the memory that it went to; the others' must be defined.
            for word in range(2 if kind in WIDE else 1):
                site.kit.store(site.kit.const(LANES32, 0), data, 128 * word, align=64)
        site.helpers.call(
            site.kit, helper, site.context, _index(site), address, lanes, values[0], second, data
        )
        if target is not None and not target.is_zero:
            old = site.kit.load(element, data, align=64)
            if kind in WIDE:
                site.write64(target, old)
            else:
                site.write(target, old)

    return run


def _supported(site: Site, space: str, out: Predicate, address: Value, *, native: bool) -> Value:
    """Write a generic atomic's predicate and return the lanes that it is done for.

    Shared memory lacks some operations: sums of floats, and those of 64 bits but exchange and
    compare-and-swap. Where the predicate is false compiled code goes on with compare-and-swap in
    shared, with plain accesses in local memory.
    """
    if space != GENERIC:
        raise Refused("an atomic with a predicate result")
    done = ~in_window(address, LOCAL_WINDOW)
    if not native:
        done = done & ~in_window(address, SHARED_WINDOW)
    site.write_condition(out, done)
    return site.on & done.mask_bits()


def query_space(site: Site) -> None:
    """QSPC: whether a generic address is in shared (S), local (L) or global (G) memory.

    D is shared memory of the cluster, which without clusters is that of the block alone.
    """
    which = site.modifiers.one_of(("S", "L", "G", "D"))
    out = site.next_predicate()
    if not site.next_register().is_zero:
        raise Refused("a query of a space with a register result")
    address = _address(site, GENERIC, site.next_address())
    shared, local = in_window(address, SHARED_WINDOW), in_window(address, LOCAL_WINDOW)
    found = {"S": shared, "D": shared, "L": local, "G": ~shared & ~local}[which]
    site.write_condition(out, found)


MEMORY: Mapping[str, Semantics] = MappingProxyType(
    {
        "LDG": loader(GLOBAL),
        "LD": loader(GENERIC),
        "STG": storer(GLOBAL),
        "ST": storer(GENERIC),
        "LDS": loader(SHARED),
        "STS": storer(SHARED),
        "LDL": loader(LOCAL),
        "STL": storer(LOCAL),
        "LDGSTS": copy_async,
        "LDC": load_constant,
        "ULDC": load_constant,
        "RED": _atomic(GLOBAL, result=False),
        "REDG": _atomic(GLOBAL, result=False),
        "ATOM": _atomic(GENERIC, result=True),
        "ATOMG": _atomic(GLOBAL, result=True),
        "ATOMS": _atomic(SHARED, result=True),
        "QSPC": query_space,
    }
)
