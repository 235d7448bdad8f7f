"""Running a subject with arguments: counts, results, agreement with a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernprof.errors import UsageError
from kernprof.prediction.agreement import Compared, compare
from kernprof.prediction.subject import Subject, load_subject
from kernprof.profile import KernelProfile
from kernprof.reports.names import demangle, function_name

if TYPE_CHECKING:
    import numpy as np

    from kernprof.sim.execute import Argument, Execution

Extent = Sequence[int] | int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A launch that was executed without a GPU.

    Parameters
    ----------
    profile
        Its counts under Nsight Compute's names.
    execution
        The same per instruction, as arrays.
    arrays
        Array arguments by name, as the kernel left them.
    agreement
        The report's counters beside the prediction; empty where there is no report.
    """

    profile: KernelProfile
    execution: Execution
    arrays: Mapping[str, np.ndarray]
    agreement: tuple[Compared, ...] = ()


def predict(
    file: str | os.PathLike[str],
    args: Mapping[str, Argument] | Sequence[Argument],
    *,
    kernel: str | None = None,
    grid: Extent | None = None,
    block: Extent | None = None,
    gpu: str | None = None,
    dynamic_shared: int | None = None,
    launch: int | None = None,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | None] | None = None,
    options: Sequence[str] = (),
    workers: int | None = None,
) -> Prediction:
    """Execute a kernel's machine code and count what it does.

    Parameters
    ----------
    file
        CUDA source, a cubin or a report that holds machine code.
    args
        In the kernel's own order: numpy arrays for pointers (used in place), numpy scalars,
        numbers or bytes for values. A mapping gives them names.
    kernel, launch, include_dirs, defines, options
        See :func:`kernprof.prediction.subject.load_subject`.
    grid, block
        Extents in blocks and threads; those of the report where not given.
    gpu
        Name of a GPU or architecture.
    dynamic_shared
        Dynamic shared memory in bytes; that of the report, or none.
    workers
        Threads of the host.

    Raises
    ------
    UsageError, InputError, UnavailableError
        As :func:`load_subject` and :func:`kernprof.sim.run` do.
    """
    from kernprof.devices import find

    subject = load_subject(
        file,
        kernel=kernel,
        device=find(gpu) if gpu is not None else None,
        launch=launch,
        include_dirs=include_dirs,
        defines=defines,
        options=options,
    )
    named = args if isinstance(args, Mapping) else {f"arg{i}": a for i, a in enumerate(args)}
    return execute(
        subject, named, grid=grid, block=block, dynamic_shared=dynamic_shared, workers=workers
    )


def execute(
    subject: Subject,
    args: Mapping[str, Argument],
    *,
    grid: Extent | None = None,
    block: Extent | None = None,
    dynamic_shared: int | None = None,
    workers: int | None = None,
) -> Prediction:
    """Run a subject; see :func:`predict`.

    Raises
    ------
    UsageError
        Extents are missing, or arguments don't fit the kernel's parameters.
    """
    import numpy as np

    from kernprof import sim

    if dynamic_shared is None:
        dynamic_shared = subject.dynamic_shared_bytes or 0
    done = sim.run(
        subject.program,
        subject.symbol,
        _extent("grid", grid, subject.grid),
        _extent("block", block, subject.block),
        list(args.values()),
        dynamic_shared=dynamic_shared,
        workers=workers,
    )
    full = demangle(subject.symbol)
    made = replace(
        sim.profile(done, gpu=subject.gpu),
        kernel=function_name(full) if full else subject.symbol,
        demangled=full,
    )
    reference = subject.reference
    return Prediction(
        profile=made,
        execution=done,
        arrays={n: a for n, a in args.items() if isinstance(a, np.ndarray) and a.ndim},
        agreement=compare(reference, made) if reference is not None else (),
    )


def _extent(what: str, given: Extent | None, told: Extent | None) -> Extent:
    extent = told if given is None else given
    if extent is None:
        raise UsageError(f"a launch needs its {what}: --{what} X,Y,Z")
    return extent
