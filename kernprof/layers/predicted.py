"""A layer's launches run in the simulator: exact counts, predicted cycles and stall reasons."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from kernprof.compile import compile_source
from kernprof.compile.compiler import SOURCE_ROOT
from kernprof.devices.model import Device
from kernprof.errors import UnavailableError, UsageError
from kernprof.layers.static import StaticLaunch
from kernprof.library import source
from kernprof.library.content import sample_arguments
from kernprof.library.model import Pointer
from kernprof.profile import KernelProfile

if TYPE_CHECKING:
    from kernprof.sim.execute import Execution
    from kernprof.sim.program import Program
    from kernprof.timing import Caches, Energy, Estimate, KeptCaches, Timing, WhatIf

TIMED_INSTRUCTIONS = 3_000_000
"""Warp instructions of a launch that are simulated for time; the rest is extrapolated."""

MOST_OPERATIONS = 10**11
"""Operations of a launch that are simulated at most: every one is executed."""

MOST_BYTES = 4 << 30
"""Bytes of the arrays of a launch that are made for it at most."""
_KEPT_BYTES = 8 << 20
"""Traces up to this size are kept for the next launch of the same kernel and shape, where launches
run back to back and each is simulated anew."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PredictedLaunch:
    """One distinct launch of a layer, simulated.

    Parameters
    ----------
    static
        Geometry and resources; ``static.launch.count`` says how many times it is launched.
    profile
        Its metrics; source ``predicted``.
    timing, cycles
        What the timing model found, and cycles of one launch.
    energy
        Energy of one launch; None where the board's numbers are not known.
    """

    static: StaticLaunch
    profile: KernelProfile
    timing: Timing
    cycles: Estimate
    energy: Energy | None

    @property
    def time_ns(self) -> float | None:
        """Time of all ``count`` launches in ns, the gaps between them left out."""
        one = self.profile.duration_ns
        return None if one is None else self.static.launch.count * one


def can_predict(device: Device) -> str:
    """Say why time can't be predicted for a GPU here, or return an empty string."""
    from kernprof.sim.engine import executes
    from kernprof.timing.machine import names
    from kernprof.timing.native import core

    if device.arch.name not in names():
        return f"the timing model has no numbers for {device.arch.name} ({device.name})"
    if not executes(device.arch.name):
        return f"machine code of {device.arch.name} ({device.name}) is not executed yet"
    try:
        core()
    except UnavailableError as missing:
        return str(missing)
    return ""


def too_large(statics: Iterable[StaticLaunch]) -> str:
    """Say why launches are too much work or memory to simulate, or return an empty string."""
    import numpy as np

    for static in statics:
        shape = static.launch.shape
        arrays = sum(
            np.dtype(argument.dtype).itemsize * argument.elements(shape)
            for argument in static.kernel.arguments
            if isinstance(argument, Pointer)
        )
        for what, found, most in (
            ("operations", static.flops, MOST_OPERATIONS),
            ("bytes of arrays", arrays, MOST_BYTES),
        ):
            if found > most:
                return (
                    f"{static.kernel.name} of layer {static.launch.layer!r} has {found:.3g} {what},"
                    f" at most {most:.3g} are simulated"
                )
    return ""


def predict_launches(
    statics: Iterable[StaticLaunch],
    device: Device,
    *,
    origin: str = "",
    instructions: int = TIMED_INSTRUCTIONS,
    workers: int | None = None,
    progress: Progress | None = None,
    what_if: WhatIf | None = None,
    caches: Caches | None = None,
) -> tuple[PredictedLaunch, ...]:
    """Run launches in the simulator; those of one kernel and shape once, unless back to back.

    Parameters
    ----------
    statics
        Launches that were compiled for the GPU.
    device
        The GPU.
    origin
        What the profiles say they come from.
    instructions
        Warp instructions of a launch that are simulated for time.
    workers
        Threads of the host.
    progress
        Called with the number of launches done and of all.
    what_if
        Changes to the GPU; the profiles say so.
    caches
        How launches find the caches; by default cold, as under Nsight Compute.

    Raises
    ------
    UsageError
        A launch is too large to be executed here.
    UnavailableError
        The disassembler or the timing core is missing.
    CubinError
        The machine code has an instruction whose meaning is not known.
    """
    from kernprof.timing import Caches, KeptCaches, WhatIf

    wanted = list(statics)
    reason = too_large(wanted)
    if reason:
        raise UsageError(f"{reason}; take a smaller batch or size")
    run = _Runner(device, instructions, workers, what_if or WhatIf(), caches or Caches.COLD)
    kept = KeptCaches() if caches is Caches.BACK_TO_BACK else None
    known: dict[tuple[object, ...], PredictedLaunch] = {}
    found = []
    _prepare(wanted, device, workers)
    for position, static in enumerate(wanted):
        key = _key(static)
        if kept is not None:
            # Of many in a row the second one stands for all: it finds the first one's code.
            for _ in range(min(2, static.launch.count)):
                known[key] = run(static, kept)
        elif key not in known:
            known[key] = run(static)
        made = known[key]
        profile = replace(
            made.profile,
            origin=f"{origin}#{position}",
            launches=static.launch.count,
            notes=(*made.profile.notes, *_stand_in(static)),
        )
        found.append(replace(made, static=static, profile=profile))
        if progress is not None:
            progress(position + 1, len(wanted))
    return tuple(found)


def _prepare(statics: Sequence[StaticLaunch], device: Device, workers: int | None) -> None:
    """Disassemble and compile what the launches need, several at a time."""
    from kernprof.sim.ahead import compile_ahead

    kernels = list({s.kernel.name: s.kernel for s in statics}.values())
    files = list({item.file: source(item) for item in kernels}.items())
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        # The disassembler is a program of its own, which this one only waits for.
        list(pool.map(lambda file: _program(*file, device.arch.name), files))
    programs = [_program(item.file, source(item), device.arch.name) for item in kernels]
    names = [item.name for item in kernels]
    compile_ahead(list(zip(programs, names, strict=True)), processes=workers)


def _key(static: StaticLaunch) -> tuple[object, ...]:
    return static.kernel.name, static.launch.sizes


class _Runner:
    """Simulates launches of one GPU under the same conditions."""

    def __init__(
        self,
        device: Device,
        instructions: int,
        workers: int | None,
        what_if: WhatIf,
        caches: Caches,
    ) -> None:
        self._device = device
        self._instructions = instructions
        self._workers = workers
        self._what_if = what_if
        self._caches = caches
        self._executed: dict[tuple[object, ...], Execution] = {}

    def __call__(self, static: StaticLaunch, kept: KeptCaches | None = None) -> PredictedLaunch:
        """Simulate a launch, in the caches that launches before it left."""
        from kernprof import sim
        from kernprof.timing import estimate, launch_energy, simulate, timed

        done = self._executed.get(_key(static)) or self._execute(static)
        if kept is not None and done.trace is not None and done.trace.words.nbytes <= _KEPT_BYTES:
            self._executed[_key(static)] = done
        timing = simulate(done, self._device, what_if=self._what_if, kept=kept, caches=self._caches)
        profile = timed(sim.profile(done, gpu=self._device.gpu), timing)
        return PredictedLaunch(
            static=static,
            profile=replace(profile, family=static.kernel.family),
            timing=timing,
            cycles=estimate(timing),
            energy=launch_energy(timing),
        )

    def _execute(self, static: StaticLaunch) -> Execution:
        from kernprof import sim
        from kernprof.sim.recording import TraceBudget

        item, geometry = static.kernel, static.geometry
        resident = static.occupancy.blocks_per_sm * self._device.sm_count
        return sim.run(
            _program(item.file, source(item), self._device.arch.name),
            item.name,
            tuple(geometry.grid),
            tuple(geometry.block),
            sample_arguments(item, static.launch.shape),
            dynamic_shared=geometry.dynamic_shared_bytes,
            workers=self._workers,
            trace=TraceBudget(self._instructions, resident),
        )


def _stand_in(static: StaticLaunch) -> tuple[str, ...]:
    return (f"stands in for {static.launch.library}",) if static.launch.stand_in else ()


@lru_cache(maxsize=64)
def _program(file: str, text: str, arch: str) -> Program:
    from kernprof import sim

    return sim.load(compile_source(text, arch=arch, name=f"{SOURCE_ROOT}/{file}").image)
