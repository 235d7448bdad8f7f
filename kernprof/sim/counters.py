"""Counts of a simulated launch under Nsight Compute's names.

Only metrics whose definition the functional run settles are given: "Metrics Decoder" and "Source
Counters" of the Nsight Compute documentation. Cycles, hit rates and stalls need a timing model and
are absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from kernprof.profile import (
    Collector,
    Dim3,
    Gpu,
    InstanceTable,
    KernelProfile,
    MachineCode,
    SharedMemory,
    Source,
)
from kernprof.sim.execute import Execution

# Metric stem: opcodes whose thread instructions with a true predicate it counts.
_FLOATING = MappingProxyType(
    {name: name.upper() for name in ("fadd", "fmul", "ffma", "dadd", "dmul", "dfma")}
)
_SPACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "global_op_ld": ("LDG", "LD"),
        "global_op_st": ("STG", "ST"),
        "global_op_red": ("RED", "REDG"),
        "global_op_atom": ("ATOM", "ATOMG"),
        "local_op_ld": ("LDL",),
        "local_op_st": ("STL",),
    }
)
# Those with generic addresses count with the memory that their lanes went to.
_GENERIC: Mapping[str, tuple[str, ...]] = MappingProxyType({"ld": ("LD",), "st": ("ST",)})
_SHARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"op_ld": ("LDS", "LD"), "op_st": ("STS", "ST"), "op_atom": ("ATOMS", "ATOM")}
)
# Which instructions have branch targets, and which count as branches, is what published profiles of
# sm_80, sm_89 and sm_90 kernels show; those below occur in none of them.
_TARGETED = ("BRA", "BRX", "JMP", "CALL", "RET")
# Before Volta the compiler leaves an `if` or a loop by one of these under a guard where newer code
# has a branch; without a guard they only bring lanes together.
_CONDITIONAL = ("SYNC", "BRK", "CONT")
_UNSETTLED_BRANCHES = ("BREAK", "WARPSYNC", "YIELD", "BMOV")
_GLOBAL = (
    *(name for space, names in _SPACES.items() if "global" in space for name in names),
    "LDGSTS",
)
_ANY_SHARED = (*(name for names in _SHARED.values() for name in names), "LDGSTS", "LDSM")


def metrics(execution: Execution) -> dict[str, int | float]:
    """Compute the launch's exact metrics.

    Returns
    -------
    dict
        Values by Nsight Compute's name: counts (inst, threads, sectors), bytes, ratios, percent.
    """
    opcodes = np.array([i.opcode for i in execution.kernel.instructions])

    def total(values: np.ndarray, names: Iterable[str]) -> int:
        return int(values[np.isin(opcodes, list(names))].sum())

    executed = int(execution.executed.sum())
    threads = int(execution.threads.sum())
    on = int(execution.predicated_on.sum())
    blocks = int(np.prod(execution.grid))
    block = int(np.prod(execution.block))
    found: dict[str, int | float] = {
        "smsp__inst_executed.sum": executed,
        "smsp__thread_inst_executed.sum": threads,
        "smsp__thread_inst_executed_pred_on.sum": on,
        "smsp__thread_inst_executed_per_inst_executed.ratio": threads / executed,
        "smsp__thread_inst_executed_pred_on_per_inst_executed.ratio": on / executed,
        "launch__grid_size": blocks,
        "launch__block_size": block,
        "launch__thread_count": blocks * block,
        "launch__registers_per_thread": execution.registers,
        "launch__shared_mem_per_block_static": execution.static_shared_bytes,
        "launch__shared_mem_per_block_dynamic": execution.dynamic_shared_bytes,
    }
    for name, opcode in _FLOATING.items():
        metric = f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum"
        found[metric] = total(execution.predicated_on, (opcode,))
    requests = execution.requests - execution.generic_shared - execution.generic_local
    sectors = execution.sectors - execution.generic_local_sectors
    for space, names in _SPACES.items():
        to_space, touched = total(requests, names), total(sectors, names)
        if space.startswith("local"):
            generic = _GENERIC[space[-2:]]
            to_space += total(execution.generic_local, generic)
            touched += total(execution.generic_local_sectors, generic)
        found[f"l1tex__t_requests_pipe_lsu_mem_{space}.sum"] = to_space
        # How hardware counts sectors of atomics is not documented, and differs from loads.
        if not space.endswith(("red", "atom")):
            found[f"l1tex__t_sectors_pipe_lsu_mem_{space}.sum"] = touched
    wide = np.array([bool({"64", "128"} & set(i.modifiers)) for i in execution.kernel.instructions])
    for kind, names in _SHARED.items():
        # How many passes the hardware counts for atomics is not documented.
        if kind == "op_atom" and total(execution.requests, names):
            continue
        waves = f"l1tex__data_pipe_lsu_wavefronts_mem_shared_{kind}.sum"
        found[waves] = total(execution.wavefronts, names)
        # What the hardware's counter makes of conflicts of wide accesses is not settled.
        if not total(execution.conflicts * wide, names):
            clashes = f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_{kind}.sum"
            found[clashes] = total(execution.conflicts, names)
    if not total(execution.executed, _UNSETTLED_BRANCHES):
        found["smsp__inst_executed_op_branch.sum"] = total(
            execution.executed, (*_TARGETED, "EXIT", "BSYNC")
        )
    guarded = np.array(
        [i.opcode in _CONDITIONAL and i.guard is not None for i in execution.kernel.instructions]
    )
    branches = total(execution.executed, _TARGETED) + int(execution.executed[guarded].sum())
    if branches:
        divergent = total(execution.divergent, (*_TARGETED, *_CONDITIONAL))
        found["smsp__sass_branch_targets_threads_divergent.sum"] = divergent
        found["smsp__sass_average_branch_targets_threads_uniform.pct"] = (
            100 * (branches - divergent) / branches
        )
    return found


def profile(execution: Execution, *, gpu: Gpu | None = None) -> KernelProfile:
    """Turn a launch into the record that the rest of kernprof reads.

    Parameters
    ----------
    execution
        From :func:`kernprof.sim.execute.run`.
    gpu
        The device it stands for; by default only the compute capability is known.
    """
    kernel = execution.kernel
    offsets = [i.offset for i in kernel.instructions]
    arch = kernel.arch.removeprefix("sm_")

    def table(values: np.ndarray, only: tuple[str, ...] = ()) -> InstanceTable:
        kept = [i.index for i in kernel.instructions if not only or i.opcode in only]
        return InstanceTable([offsets[k] for k in kept], [int(values[k]) for k in kept])

    return KernelProfile(
        kernel=kernel.name,
        mangled=kernel.name,
        source=Source.PREDICTED,
        origin=f"functional simulation of {kernel.arch}",
        gpu=gpu or Gpu(cc=f"{arch[:-1]}.{arch[-1]}"),
        grid=Dim3(*execution.grid),
        block=Dim3(*execution.block),
        registers=execution.registers,
        shared_mem=SharedMemory(execution.static_shared_bytes, execution.dynamic_shared_bytes),
        metrics=metrics(execution),
        instances={
            "inst_executed": table(execution.executed),
            "thread_inst_executed": table(execution.threads),
            "thread_inst_executed_true": table(execution.predicated_on),
            "smsp__branch_targets_threads_divergent": table(
                execution.divergent, (*_TARGETED, *_CONDITIONAL)
            ),
            "memory_l2_theoretical_sectors_global": table(
                execution.sectors - execution.generic_local_sectors, _GLOBAL
            ),
            "memory_l1_tag_requests_global": table(execution.lines, _GLOBAL),
            "memory_l1_wavefronts_shared": table(execution.wavefronts, _ANY_SHARED),
            "memory_l1_wavefronts_shared_ideal": table(
                execution.wavefronts - execution.conflicts, _ANY_SHARED
            ),
        },
        code=MachineCode(execution.program.cubin, None, 0),
        collector=Collector("kernprof"),
        notes=execution.notes,
    )
