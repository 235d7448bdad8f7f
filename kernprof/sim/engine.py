"""From a kernel's instructions to a callable: translate, optimise, link.

The object code is kept on disk under everything it depends on (the cubin, the simulator's own
source, LLVM's version and the processor), since LLVM takes longer than most launches.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from kernprof.collector import resting
from kernprof.compile import open_cache
from kernprof.errors import CubinError
from kernprof.sim.flow import Translation, blocks
from kernprof.sim.program import Kernel, Program

_OPTIMISATION = 2
_HEAD_BYTES = 4


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel that can run.

    Parameters
    ----------
    kernel
        What was compiled.
    translation
        Its blocks and what was refused.
    run
        ``run(context, first_block, block_count) -> int``; releases the interpreter lock.
    """

    kernel: Kernel
    translation: Translation
    run: Callable[[int, int, int], int]
    keep: Any = field(repr=False, compare=False, default=None)


def _machine(optimisation: int) -> Any:
    """Code generator for this processor; an engine takes ownership, so each needs its own."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        # LLVM 22's AVX-512 back end returned wrong words for some generated programs (a sign copied
        # by LOP3 before a minimum): right results come before speed.
        features=f"{llvm.get_host_cpu_features().flatten()},-avx512f",
        opt=optimisation,
        jit=True,
    )


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of all that decides the code made for a given cubin, except the cubin."""
    from llvmlite import binding as llvm

    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    machine = f"{llvm.llvm_version_info}{llvm.get_host_cpu_name()}"
    digest.update(machine.encode() + llvm.get_host_cpu_features().flatten().encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def prepare() -> None:
    """Set LLVM up, so that a forked process need not do it: linking an empty module does it all."""
    from llvmlite import binding as llvm

    code_version()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(_OPTIMISATION))
    engine.finalize_object()


def executes(arch: str) -> bool:
    """Whether machine code of an architecture ("sm_80") can be executed at all."""
    return int(arch.removeprefix("sm_")) >= 50


class Store(Protocol):
    """Where machine code that was made is kept; :class:`~kernprof.compile.DiskCache` is one."""

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key, or None."""

    def put(self, key: str, content: bytes) -> None:
        """Keep something."""


def compile_kernel(
    program: Program,
    name: str,
    *,
    checked: bool = False,
    store: Store | None = None,
    optimisation: int = _OPTIMISATION,
) -> CompiledKernel:
    """Compile a kernel of a program; a program keeps what it compiled.

    A checked build (:mod:`kernprof.sim.checking`) needs a context with a check state. What it
    compiles to is kept in ``store``, by default in the user's cache. Less than the usual
    ``optimisation`` (LLVM's levels, 0 to 3) compiles faster to slower code.

    Raises
    ------
    UnknownNameError
        The program has no such kernel.
    CubinError
        The kernel is for an architecture that is not simulated.
    """
    kernel = program.kernel(name)
    kept = program.compiled.get(_variant(name, checked=checked))
    if isinstance(kept, CompiledKernel):
        return kept
    if not executes(kernel.arch):
        raise CubinError(
            f"{name}: {kernel.arch} is not simulated; compile the kernel for sm_50 or newer"
        )
    where = open_cache("simulator") if store is None else store
    made = _compile(program, kernel, where, checked=checked, optimisation=optimisation)
    program.compiled[_variant(name, checked=checked)] = made
    return made


def _variant(name: str, *, checked: bool) -> str:
    return f"{name} (checked)" if checked else name


def object_key(program: Program, name: str, *, checked: bool = False) -> str:
    """Return the key that a kernel's compiled form has in a store."""
    variant = _variant(name, checked=checked)
    return hashlib.sha256(f"{program.digest} {variant} {code_version()}".encode()).hexdigest()


def _compile(
    program: Program, kernel: Kernel, store: Store, *, checked: bool, optimisation: int
) -> CompiledKernel:
    key = object_key(program, kernel.name, checked=checked)
    entry = store.get(key)
    if entry is None:
        entry = build(kernel, checked=checked, optimisation=optimisation)
        if optimisation == _OPTIMISATION:
            store.put(key, entry)
    return _link(kernel, entry, optimisation)


def take_built(program: Program, name: str, entry: bytes, store: Store | None = None) -> None:
    """Keep what :func:`build` made of a kernel elsewhere, as if it had been made here."""
    (open_cache("simulator") if store is None else store).put(object_key(program, name), entry)
    made = _link(program.kernel(name), entry, _OPTIMISATION)
    program.compiled[_variant(name, checked=False)] = made


def is_built(program: Program, name: str, store: Store | None = None) -> bool:
    """Whether nothing has to be made for a kernel: it is linked, or kept in the store."""
    where = open_cache("simulator") if store is None else store
    if _variant(name, checked=False) in program.compiled:
        return True
    return where.get(object_key(program, name)) is not None


def _link(kernel: Kernel, entry: bytes, optimisation: int) -> CompiledKernel:
    """Make a callable of what :func:`build` made."""
    from llvmlite import binding as llvm

    size = int.from_bytes(entry[:_HEAD_BYTES], "little")
    head = json.loads(entry[_HEAD_BYTES : _HEAD_BYTES + size])
    machine = _machine(optimisation)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(entry[_HEAD_BYTES + size :]))
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    run = prototype(engine.get_function_address("run"))
    refused = {int(index): reason for index, reason in head.items()}
    translation = Translation(blocks(kernel), MappingProxyType(refused))
    return CompiledKernel(kernel, translation, run, engine)


def build(kernel: Kernel, *, checked: bool = False, optimisation: int = _OPTIMISATION) -> bytes:
    """Translate and optimise; returns the refused instructions as JSON, then the object file."""
    from llvmlite import binding as llvm
    from llvmlite import ir

    from kernprof.sim.checking import CheckedHelpers
    from kernprof.sim.memory import Helpers
    from kernprof.sim.schedule import add_runner
    from kernprof.sim.stack import StackTranslator
    from kernprof.sim.translate import Translator

    machine = _machine(optimisation)
    # All that is made stays until the text is there; looking for garbage takes a fifth of the time.
    with resting():
        module = ir.Module(name="kernel")
        module.triple = machine.triple
        helpers = CheckedHelpers(module, lockstep=kernel.sm < 70) if checked else Helpers(module)
        # Volta gave lanes their own places; before, a warp had one stack.
        kind = StackTranslator if kernel.sm < 70 else Translator
        translation = kind(module, helpers, kernel).run()
        add_runner(module, helpers, module.globals["step"], kernel)
        text = str(module)
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    if optimisation:
        _optimise(parsed, machine)
    head = json.dumps(dict(translation.refused)).encode()
    code: bytes = machine.emit_object(parsed)
    return len(head).to_bytes(_HEAD_BYTES, "little") + head + code


def _optimise(module: Any, machine: Any) -> None:
    """Run the passes that pay.

    Code of one warp instruction after the other has no loops, calls or structures that the rest of
    LLVM's usual pipeline could better: that takes six times as long for code as fast.
    """
    from llvmlite import binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_dead_store_elimination_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
