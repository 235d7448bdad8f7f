"""A layer's launches on a GPU: checked against numpy, timed by events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kernprof.compile import compile_source
from kernprof.compile.compiler import SOURCE_ROOT
from kernprof.devices.model import Device
from kernprof.errors import InputError
from kernprof.layers.static import StaticLaunch, profile_of
from kernprof.library import KernelEntry, Pointer, Role, source
from kernprof.library.content import sample_arguments
from kernprof.library.reference import references
from kernprof.measure.launcher import Backend, Extents, Launcher
from kernprof.measure.timing import Times, TimingOptions, time_work
from kernprof.profile import Collector, KernelProfile, Source

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-4
"""Largest accepted error, relative to the largest expected value of an array: kernels sum up to
some ten thousand products in single precision."""

Progress = Callable[[int, int], None]
Clocks = Callable[[], tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class MeasuredLaunch:
    """One distinct launch, run on a GPU.

    Parameters
    ----------
    static
        Geometry and resources; ``static.launch.count`` says how many times it is launched.
    times
        Of one launch; None where the launcher can't tell.
    error
        Largest error relative to the largest expected value; None where it was not checked.
    profile
        Its time as a profile; source ``measured`` (``predicted`` in the simulator).
    clocks_mhz
        Clocks of the SMs and of the memory right after the runs; None where nobody told.
    """

    static: StaticLaunch
    times: Times | None
    error: float | None
    profile: KernelProfile
    clocks_mhz: tuple[int, int] | None = None

    @property
    def time_ns(self) -> float | None:
        """Time of all ``count`` launches in ns (of one, the median), gaps left out."""
        one = self.profile.duration_ns if self.times is None else self.times.median_ns
        return None if one is None else self.static.launch.count * one

    @property
    def spread_pct(self) -> float | None:
        """Distance of the tenth and ninetieth percentile in percent of the median."""
        return None if self.times is None else self.times.spread_pct

    @property
    def right(self) -> bool | None:
        """Whether the results are numpy's; None where they were not checked."""
        return None if self.error is None else self.error <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Prepared:
    """A launch with its arguments on the GPU, ready to be repeated.

    Parameters
    ----------
    static
        The launch.
    host
        Its arrays by argument name, as they were before any launch.
    buffers
        The same on the GPU.
    launch
        Launches it once.
    """

    static: StaticLaunch
    host: Mapping[str, np.ndarray[Any, Any]]
    buffers: Mapping[str, Any]
    launch: Callable[[], None]


def under_profiler(
    statics: Iterable[StaticLaunch], profiles: Sequence[KernelProfile], origin: str
) -> tuple[MeasuredLaunch, ...]:
    """Put the profiler's launches beside those that were asked for, one each in order.

    Raises
    ------
    InputError
        The report has other launches than the layer.
    """
    wanted = list(statics)
    distinct = list(dict.fromkeys((s.kernel.name, s.launch.sizes) for s in wanted))
    found = [p.kernel for p in profiles]
    if found != [name for name, _ in distinct]:
        raise InputError(
            f"the report holds {', '.join(found) or 'no launches'}; the layer launches "
            f"{', '.join(name for name, _ in distinct)}"
        )
    by_key = dict(zip(distinct, profiles, strict=True))
    made = []
    for position, static in enumerate(wanted):
        profile = replace(
            by_key[static.kernel.name, static.launch.sizes],
            family=static.kernel.family,
            origin=f"{origin}#{position}",
            launches=static.launch.count,
        )
        made.append(MeasuredLaunch(static, None, None, profile))
    return tuple(made)


def prepare(static: StaticLaunch, launcher: Launcher, arch: str, *, seed: int = 0) -> Prepared:
    """Compile a launch, make its arguments and copy them to the GPU."""
    import numpy as np

    item, geometry = static.kernel, static.geometry
    image = _image(item.file, source(item), arch)
    function = launcher.load(image, item.name, geometry.dynamic_shared_bytes)
    host: dict[str, np.ndarray[Any, Any]] = {}
    buffers: dict[str, Any] = {}
    arguments: list[Any] = []
    values = sample_arguments(item, static.launch.shape, seed=seed)
    for argument, value in zip(item.arguments, values, strict=True):
        if isinstance(value, np.ndarray):
            host[argument.name] = value
            buffers[argument.name] = launcher.put(value)
            arguments.append(buffers[argument.name])
        elif isinstance(argument, Pointer):
            arguments.append(None)
        else:
            arguments.append(value if isinstance(value, np.generic) else np.uint32(value))
    grid: Extents = (geometry.grid.x, geometry.grid.y, geometry.grid.z)
    block: Extents = (geometry.block.x, geometry.block.y, geometry.block.z)

    def launch() -> None:
        launcher.launch(function, grid, block, arguments, geometry.dynamic_shared_bytes)

    return Prepared(static, host, buffers, launch)


def measure_launches(
    statics: Iterable[StaticLaunch],
    launcher: Launcher,
    device: Device,
    *,
    options: TimingOptions | None = None,
    check: bool = True,
    origin: str = "",
    progress: Progress | None = None,
    clocks: Clocks | None = None,
) -> tuple[MeasuredLaunch, ...]:
    """Run launches on a GPU; those of one kernel and shape once.

    Parameters
    ----------
    statics
        Launches that were compiled for the GPU.
    launcher, device
        The GPU.
    options
        How they are timed.
    check
        Compare the results of the first run with numpy's.
    origin
        What the profiles say they come from.
    progress
        Called with the number of launches done and of all.
    clocks
        Tells the clocks of the SMs and of the memory in MHz, as NVML does.

    Raises
    ------
    UnavailableError, CompileError
        The compiler is missing, or refuses a source.
    """
    wanted = list(statics)
    how = options or TimingOptions()
    known: dict[tuple[object, ...], MeasuredLaunch] = {}
    found = []
    for position, static in enumerate(wanted):
        key = (static.kernel.name, static.launch.sizes)
        if key not in known:
            known[key] = _measure(static, launcher, device, how, check, clocks)
        made = known[key]
        profile = replace(made.profile, origin=f"{origin}#{position}", launches=static.launch.count)
        found.append(replace(made, static=static, profile=profile))
        if progress is not None:
            progress(position + 1, len(wanted))
    return tuple(found)


def _measure(
    static: StaticLaunch,
    launcher: Launcher,
    device: Device,
    how: TimingOptions,
    check: bool,
    clocks: Clocks | None,
) -> MeasuredLaunch:
    first = prepare(static, launcher, device.arch.name)
    error = None
    if check:
        first.launch()
        launcher.synchronize()
        error = largest_error(first, launcher)
    # Rotating sets are of no use where caches are flushed anyway.
    sets = 1 if how.flush_l2 else how.rotate
    others = [prepare(static, launcher, device.arch.name, seed=k) for k in range(1, sets)]
    times = time_work(
        launcher,
        [p.launch for p in (first, *others)],
        how,
        l2_bytes=device.l2_bytes,
        label=static.kernel.name,
    )
    at = None if clocks is None or times is None else clocks()
    profile = _profile(static, launcher, device, how, times, at)
    return MeasuredLaunch(static, times, error, profile, at)


def largest_error(prepared: Prepared, launcher: Launcher) -> float:
    """Return the largest error of a launch's results, relative to the largest expected value.

    The reference of :mod:`kernprof.library.reference` computes what they must be; an array that
    holds integers is right or wrong (0 or infinity).
    """
    import numpy as np

    item: KernelEntry = prepared.static.kernel
    shape = prepared.static.launch.shape
    inputs = {p.name: prepared.host[p.name] for p in item.pointers if p.name in prepared.host}
    want = references()[item.name](shape, inputs)
    worst = 0.0
    for pointer in item.pointers:
        if pointer.role is Role.IN or pointer.name not in prepared.host:
            continue
        got = np.empty_like(prepared.host[pointer.name])
        launcher.fetch(prepared.buffers[pointer.name], got)
        expected = np.asarray(want[pointer.name]).ravel()
        if pointer.dtype != "float32":
            worst = max(worst, 0.0 if np.array_equal(got.ravel(), expected) else float("inf"))
            continue
        if not np.isfinite(got).all():
            return float("inf")
        largest = float(np.abs(expected).max()) or 1.0
        worst = max(worst, float(np.abs(got.ravel() - expected).max()) / largest)
    return worst


def _profile(
    static: StaticLaunch,
    launcher: Launcher,
    device: Device,
    how: TimingOptions,
    times: Times | None,
    clocks_mhz: tuple[int, int] | None,
) -> KernelProfile:
    made = profile_of(static, device, "")
    simulated = launcher.backend is Backend.SIMULATOR
    metrics = dict(made.metrics)
    notes = list(made.notes)
    if times is not None:
        metrics["gpu__time_duration.sum"] = times.median_ns
        caches = "L2 flushed before each" if how.flush_l2 else f"{how.rotate} set(s) of buffers"
        notes.append(
            f"median of {len(times.samples_ns)} runs by events, 80 % within "
            f"{times.spread_pct:.1f} % of it; {caches}"
        )
        if clocks_mhz is not None:
            notes.append(
                f"clocks right after: SM {clocks_mhz[0]} MHz, memory {clocks_mhz[1]} MHz (NVML)"
            )
    return replace(
        made,
        source=Source.PREDICTED if simulated else Source.MEASURED,
        metrics=metrics,
        collector=Collector(
            str(launcher.backend),
            clock_control="none",
            cache_control="all" if how.flush_l2 else "none",
        ),
        notes=tuple(notes),
    )


@lru_cache(maxsize=64)
def _image(file: str, text: str, arch: str) -> bytes:
    return compile_source(text, arch=arch, name=f"{SOURCE_ROOT}/{file}").image
