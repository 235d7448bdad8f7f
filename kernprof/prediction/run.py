"""Running a subject with arguments: counts, results, agreement with a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernprof._frames import frame, html_table
from kernprof.compile.numba_kernels import is_kernel
from kernprof.errors import CubinError, ShapeError, UnavailableError, UsageError
from kernprof.isolation import TIME_LIMIT_S, memory_limit
from kernprof.prediction.agreement import Compared, compare
from kernprof.prediction.numba_kernels import load_kernel, numba_subject
from kernprof.prediction.signature import arrange, parameters
from kernprof.prediction.subject import PYTHON_SUFFIX, Subject, load_subject
from kernprof.profile import KernelProfile
from kernprof.reports.names import demangle, function_name
from kernprof.text import clean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from kernprof.devices import Device
    from kernprof.sim.check import CheckReport
    from kernprof.sim.execute import Argument, Execution
    from kernprof.sim.recording import TraceBudget
    from kernprof.timing import Caches, Timing, WhatIf

Extent = Sequence[int] | int
TIMED_INSTRUCTIONS = 8_000_000
"""Warp instructions of a launch that are simulated for time; the rest is extrapolated."""


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
    timing
        What the timing model found; None where time is not predicted.
    untimed
        Why it is not, and what would change that; empty where it is.
    reference
        The report's own profile of the launch, or None.
    check
        Defects found, where that was asked for.
    notice
        What of the source was left out as host code; empty where nothing was.
    """

    profile: KernelProfile
    execution: Execution
    arrays: Mapping[str, np.ndarray]
    agreement: tuple[Compared, ...] = ()
    timing: Timing | None = None
    untimed: str = ""
    reference: KernelProfile | None = None
    check: CheckReport | None = None
    notice: str = ""

    def to_frame(self) -> pd.DataFrame:
        """Return one row an instruction: text, line, counts, and warp-cycles by stall reason.

        Counts are exact and of the whole launch; warp-cycles are predicted, of the whole launch,
        and absent where time is not predicted.

        Raises
        ------
        UnavailableError
            pandas is not installed.
        """
        return frame(self.records())

    def records(self) -> Iterable[Mapping[str, str | int | float | None]]:
        """Yield one record an instruction; see :meth:`to_frame`."""
        done = self.execution
        prefix, suffix = "smsp__warps_issue_stalled_", ".sum"
        stalls = {
            name.removeprefix(prefix).removesuffix(suffix): dict(
                zip(table.keys, table.values, strict=True)
            )
            for name, table in self.profile.instances.items()
            if name.startswith(prefix)
        }
        for i in done.kernel.instructions:
            yield {
                "offset": i.offset,
                "instruction": i.text,
                "file": i.source.file if i.source else None,
                "line": i.source.line if i.source else None,
                "executed": int(done.executed[i.index]),
                "threads": int(done.threads[i.index]),
                "predicated_on": int(done.predicated_on[i.index]),
                "divergent": int(done.divergent[i.index]),
                "requests": int(done.requests[i.index]),
                "sectors": int(done.sectors[i.index]),
                "wavefronts": int(done.wavefronts[i.index]),
                "conflicts": int(done.conflicts[i.index]),
                **{f"stalled_{name}": float(by[i.offset]) for name, by in stalls.items()},
            }

    def _repr_html_(self) -> str:
        """Show the metrics in a notebook."""
        return html_table(
            {"metric": name, "predicted": value} for name, value in self.profile.metrics.items()
        )


def predict(
    file: str | os.PathLike[str] | Callable[..., object],
    args: Mapping[str, Argument | Decimal] | Sequence[Argument],
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
    clock_mhz: float | None = None,
    what_if: WhatIf | None = None,
    caches: Caches | None = None,
    check: bool = False,
    undefined: Collection[str] = (),
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int | None = None,
) -> Prediction:
    """Execute a kernel's machine code, count what it does and predict its time.

    Parameters
    ----------
    file
        CUDA source, a cubin or a report that holds machine code; a function that Numba's
        ``@cuda.jit`` made, or a Python file with such functions, which is imported.
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
    clock_mhz
        SM clock to predict for; by default that of the report, or the GPU's base clock.
    what_if
        Changes to the GPU that time is predicted for.
    caches
        How the launch finds the caches; by default cold, as under Nsight Compute.
    check
        Look for defects: accesses out of bounds, uninitialised reads, races, barriers that not all
        reach. Such a run is slower and time is not predicted from it.
    undefined
        With ``check``: names of arrays whose content counts as not written yet.
    time_limit_s
        Seconds after which a launch that has not ended is stopped.
    memory_limit_bytes
        Bytes that machine code out of a file may take to run, arrays aside; by default 8 GiB, or
        half of the machine's memory.

    Raises
    ------
    UsageError, InputError, UnavailableError
        As :func:`load_subject` and :func:`kernprof.sim.run` do.
    """
    from kernprof.devices import find

    named = args if isinstance(args, Mapping) else {f"arg{i}": a for i, a in enumerate(args)}
    device = find(gpu) if gpu is not None else None
    python = callable(file) or Path(file).suffix == PYTHON_SUFFIX
    if python and (launch is not None or include_dirs or defines or options):
        raise UsageError("a Numba kernel has no launches of a report and no compiler options")
    if python:
        function = file if callable(file) else load_kernel(Path(file), kernel)
        if not is_kernel(function):
            raise UsageError(f"{function!r} is no kernel; decorate it with numba.cuda.jit")
        subject, named = numba_subject(function, _with_types(named), device)
    else:
        assert not callable(file)
        subject = load_subject(
            file,
            kernel=kernel,
            device=device,
            launch=launch,
            include_dirs=include_dirs,
            defines=defines,
            options=options,
            time_limit_s=time_limit_s,
            memory_limit_bytes=memory_limit_bytes,
        )
    return execute(
        subject,
        named,
        grid=grid,
        block=block,
        dynamic_shared=dynamic_shared,
        workers=workers,
        clock_mhz=clock_mhz,
        what_if=what_if,
        caches=caches,
        check=check,
        undefined=undefined,
        time_limit_s=time_limit_s,
        memory_limit_bytes=memory_limit_bytes,
    )


def _with_types(args: Mapping[str, Argument | Decimal]) -> Mapping[str, Argument]:
    """Refuse numbers without a type: Numba compiles for the types that it is given."""
    typed: dict[str, Argument] = {}
    for name, value in args.items():
        if isinstance(value, Decimal):
            raise UsageError(
                f"argument {name}: a Numba kernel is compiled for its arguments' types; say which "
                f"number it is, such as {name}=int32:{value}"
            )
        typed[name] = value
    return typed


def execute(
    subject: Subject,
    args: Mapping[str, Argument | Decimal],
    *,
    grid: Extent | None = None,
    block: Extent | None = None,
    dynamic_shared: int | None = None,
    workers: int | None = None,
    clock_mhz: float | None = None,
    what_if: WhatIf | None = None,
    caches: Caches | None = None,
    check: bool = False,
    undefined: Collection[str] = (),
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int | None = None,
) -> Prediction:
    """Run a subject; see :func:`predict`.

    Raises
    ------
    UsageError
        Extents are missing, or arguments don't fit the kernel's parameters.
    """
    import numpy as np

    from kernprof import sim
    from kernprof.timing import WhatIf, timed

    if dynamic_shared is None:
        dynamic_shared = subject.dynamic_shared_bytes or 0
    block3 = _extent("block", block, subject.block)
    full = demangle(subject.symbol)
    shown = subject.name or (function_name(full) if full else subject.symbol)
    sizes = [p.size_bytes for p in subject.program.kernel(subject.symbol).image.parameters]
    wanted = parameters(sizes, full, subject.parameters)
    if subject.reference is not None and wanted and not args:
        examples = " ".join(f"--arg {p.example(n)}" for n, p in enumerate(wanted))
        raise UsageError(
            f"a report does not hold the arguments of {shown}; give those of the program that was "
            f"profiled, in their order: {examples}"
        )
    args = arrange(shown, wanted, args)
    if undefined and not check:
        raise UsageError("undefined arrays are told apart by a checked run only; add check")
    clock = clock_mhz or subject.clock_mhz
    budget, untimed = _budget(subject, block3, dynamic_shared, clock)
    if check:
        budget, untimed = None, "a checked run is not timed; leave --check out"
    launch: dict[str, Any] = {
        "grid": _extent("grid", grid, subject.grid),
        "block": block3,
        "dynamic_shared": dynamic_shared,
        "workers": workers,
        "trace": budget,
        "check": check,
        "undefined": [n for n, name in enumerate(args) if name in set(undefined)],
        "names": list(args),
    }
    change = what_if or WhatIf()

    def timing_of(done: Execution) -> tuple[Timing | None, str]:
        if budget is None or subject.device is None:
            return None, untimed
        return _timed(done, subject.device, clock, change, caches)

    if subject.foreign:
        from kernprof.prediction.foreign import run_apart

        done, timing, untimed = run_apart(
            subject.program,
            subject.symbol,
            list(args.values()),
            launch,
            timing_of,
            device=subject.device,
            what_if=change,
            time_limit_s=time_limit_s,
            memory_limit_bytes=memory_limit_bytes or memory_limit(),
        )
    else:
        done = sim.run(
            subject.program,
            subject.symbol,
            args=list(args.values()),
            time_limit_s=time_limit_s,
            **launch,
        )
        timing, untimed = timing_of(done)
    exact = replace(
        sim.profile(done, gpu=subject.gpu), kernel=clean(shown), demangled=full and clean(full)
    )
    made = exact if timing is None else timed(exact, timing)
    reference = subject.reference
    return Prediction(
        profile=made,
        execution=done,
        arrays={n: a for n, a in args.items() if isinstance(a, np.ndarray) and a.ndim},
        agreement=compare(reference, exact) if reference is not None else (),
        timing=timing,
        untimed=untimed,
        reference=reference,
        check=done.check,
        notice=subject.notice,
    )


def _budget(
    subject: Subject, block: Extent, dynamic_shared: int, clock_mhz: float | None
) -> tuple[TraceBudget | None, str]:
    """How much to trace for the timing model, or why nothing."""
    from math import prod

    from kernprof.sim.recording import TraceBudget
    from kernprof.timing import launch_occupancy
    from kernprof.timing.machine import names
    from kernprof.timing.native import core

    device = subject.device
    if device is None:
        return None, "the GPU is not known; name it with --gpu"
    if device.arch.name not in names():
        return None, f"the timing model has no numbers for {device.arch.name}"
    if not (clock_mhz or device.base_clock_mhz or device.boost_clock_mhz):
        return None, f"the clock of {device.name} is not known; tell it with --clock"
    if device.dram_bandwidth_bytes_per_s is None:
        return None, f"the DRAM bandwidth of {device.name} is not known"
    try:
        core()
    except UnavailableError as missing:
        return None, str(missing)
    image = subject.program.kernel(subject.symbol).image
    threads = block if isinstance(block, int) else prod(block)
    try:
        found = launch_occupancy(
            device, threads, image.registers, image.shared_bytes, dynamic_shared
        )
    except ShapeError as reason:
        return None, str(reason)
    return TraceBudget(TIMED_INSTRUCTIONS, found.blocks_per_sm * device.sm_count), ""


def _timed(
    done: Execution,
    device: Device,
    clock_mhz: float | None,
    what_if: WhatIf,
    caches: Caches | None,
) -> tuple[Timing | None, str]:
    from kernprof.timing import Caches, simulate

    if done.trace is None:
        return None, "the launch was not traced"
    try:
        timing = simulate(
            done,
            device,
            clock_mhz=clock_mhz,
            what_if=what_if,
            caches=caches or Caches.COLD,
        )
    except CubinError as reason:
        return None, str(reason)
    return timing, ""


def _extent(what: str, given: Extent | None, told: Extent | None) -> Extent:
    extent = told if given is None else given
    if extent is None:
        raise UsageError(f"a launch needs its {what}: --{what} X,Y,Z")
    return extent
