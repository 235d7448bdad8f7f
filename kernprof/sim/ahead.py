"""Several kernels compiled at the same time, each in a process of its own.

Python emits what LLVM translates, and LLVM's binding lets one thread in at a time: only processes
make use of further cores here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from kernprof.isolation import TIME_LIMIT_S, Limits, memory_limit
from kernprof.isolation.child import ChildError, call
from kernprof.sim.engine import Store, build, executes, is_built, prepare, take_built
from kernprof.sim.program import Kernel, Program

_LOADED_ON_USE = ("checking", "memory", "schedule", "stack", "translate")


def compile_ahead(
    wanted: Sequence[tuple[Program, str]],
    *,
    processes: int | None = None,
    store: Store | None = None,
) -> int:
    """Compile kernels that nobody has compiled yet, several at a time; returns how many.

    Whatever is not compiled here is when it is run: kernels that can't be, those whose process
    ended, and all of them where there is nothing to gain.

    Parameters
    ----------
    wanted
        Programs and names of kernels in them.
    processes
        At most so many at a time; by default one a processor.
    store
        Where compiled code is kept; by default the user's cache.
    """
    most = processes or os.cpu_count() or 1
    if most < 2 or not hasattr(os, "fork"):
        return 0
    distinct = {(program.digest, name): program for program, name in wanted}
    missing = [
        (program, name)
        for (_, name), program in distinct.items()
        if executes(program.arch) and not is_built(program, name, store)
    ]
    if len(missing) < 2:
        return 0
    # A child can't load anything any more.
    for module in _LOADED_ON_USE:
        import_module(f"kernprof.sim.{module}")
    prepare()
    kernels = [program.kernel(name) for program, name in missing]
    with ThreadPoolExecutor(min(most, len(missing))) as pool:
        entries = list(pool.map(_built_apart, kernels))
    done = 0
    for (program, name), entry in zip(missing, entries, strict=True):
        if entry is not None:
            take_built(program, name, entry, store)
            done += 1
    return done


def _built_apart(kernel: Kernel) -> bytes | None:
    """Build a kernel in a child process; None where that gave nothing."""
    limits = Limits(memory_limit(), TIME_LIMIT_S, 2 * TIME_LIMIT_S)
    try:
        made = call(lambda: build(kernel), limits=limits)
    except (ChildError, OSError):
        return None
    return made if isinstance(made, bytes) else None
