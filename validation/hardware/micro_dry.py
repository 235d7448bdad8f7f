"""The micro-benchmarks without a GPU: compiled, executed and timed by the model."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kernprof.compile import compile_source
from kernprof.devices import Device, find
from kernprof.errors import KernprofError
from kernprof.prediction.run import Prediction, execute
from kernprof.prediction.subject import Subject
from kernprof.sim.program import load
from kernprof.stalls.breakdown import breakdown
from kernprof.timing import estimate
from validation.hardware.table import (
    CLOCKED,
    OPTIONS,
    Experiment,
    arguments,
    file_name,
    is_struct,
)


@dataclass(frozen=True, slots=True)
class Dry:
    """What the model says of one experiment.

    Parameters
    ----------
    instructions
        Warp instructions.
    cycles
        Of the whole launch, or None where time is not predicted.
    shares
        Stall reasons in percent.
    """

    instructions: int
    cycles: float | None
    shares: dict[str, float]


def machine_code(one: Experiment, arch: str, clocked: bool = False) -> bytes:
    """Compile an experiment."""
    options = (*OPTIONS, CLOCKED) if clocked else OPTIONS
    return compile_source(one.code, arch=arch, options=options, line_info=False).image


def build(chosen: Sequence[Experiment], folder: Path, arch: str) -> int:
    """Write machine code of all experiments, plain and clocked."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in chosen:
        for clocked in (False, True) if one.ticks else (False,):
            (folder / file_name(one, clocked)).write_bytes(machine_code(one, arch, clocked))
    print(f"{len(chosen)} experiments for {arch} in {folder}")
    return 0


def replayed(one: Experiment, subject: Subject) -> Prediction:
    """Execute an experiment's launch with the arguments of the table."""
    given = {
        name: value.tobytes() if is_struct(value) else value
        for name, value in arguments(one).items()
    }
    return execute(subject, given, grid=one.grid, block=one.block)


def run(one: Experiment, device: Device) -> Dry:
    """Compile, execute and time one."""
    arch = device.arch.name
    subject = Subject(load(machine_code(one, arch)), one.name, device.gpu, device)
    done = replayed(one, subject)
    if done.timing is None:
        print(f"{one.name}: not timed: {done.untimed}", file=sys.stderr)
    found = breakdown(done.profile, family="per_issue_active")
    return Dry(
        int(done.execution.executed.sum()),
        None if done.timing is None else estimate(done.timing).cycles,
        dict(found.shares_pct) if found is not None else {},
    )


def dry(chosen: Sequence[Experiment], arch: str) -> int:
    """Compile both builds of each and run one; print a table; returns 1 when one failed."""
    device = find(arch)
    failed = 0
    for one in chosen:
        started = time.monotonic()
        try:
            if one.ticks:
                machine_code(one, arch, clocked=True)
            made = run(one, device)
        except KernprofError as error:
            failed += 1
            print(f"{one.name:26} {type(error).__name__}: {error}", flush=True)
            continue
        top = sorted(made.shares, key=lambda n: -made.shares[n])[:3]
        text = ", ".join(f"{n} {made.shares[n]:.0f} %" for n in top)
        cycles = "n/a" if made.cycles is None else f"{made.cycles:,.0f}"
        spent = time.monotonic() - started
        print(
            f"{one.name:26} {made.instructions:12,} instructions {cycles:>12} cycles  {text} "
            f"({spent:.1f} s)",
            flush=True,
        )
    print(f"{len(chosen) - failed} run, {failed} failed")
    return min(1, failed)
