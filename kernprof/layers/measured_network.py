"""A network run launch by launch on a GPU: the columns of the reference paper's Table III."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kernprof.devices.model import Device
from kernprof.errors import ShapeError
from kernprof.layers.measured import MeasuredLaunch, measure_launches, prepare
from kernprof.layers.static import StaticLaunch, static_launches
from kernprof.lowering.launch import Direction
from kernprof.lowering.lower import lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.measure.launcher import Launcher
from kernprof.measure.nvml import EnergyMeasurement, Nvml, measure_energy
from kernprof.measure.timing import Times, TimingOptions, time_work
from kernprof.networks.counters import count_network
from kernprof.networks.ir import Network

ENERGY_BATCH = 4
"""Images of an iteration whose energy is taken, as in the paper."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_MEMORY_SHARE = 0.9

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BatchRun:
    """Inference at one batch size.

    Parameters
    ----------
    batch
        Images an iteration.
    times
        Of an iteration, from the first launch to the end of the last, gaps between them included;
        None where the launcher can't tell.
    memory_bytes
        Memory that its arrays take on the GPU; None where the launcher can't tell.
    """

    batch: int
    times: Times | None
    memory_bytes: int | None

    @property
    def images_per_s(self) -> float | None:
        """Throughput."""
        return None if self.times is None else self.batch * 1e9 / self.times.median_ns


@dataclass(frozen=True, slots=True)
class NetworkMeasurement:
    """What a network takes on the GPU at hand.

    Parameters
    ----------
    network, device, backend
        Which, where and through what.
    macs
        Multiply-accumulates of one image.
    runs
        Inference by batch size, smallest first.
    launches
        Forward and backward at batch 1, launch by launch.
    energy
        Of iterations at ``ENERGY_BATCH``; None where it was not measured.
    unmeasured
        Why not, or an empty string.
    """

    network: str
    device: Device
    backend: str
    macs: int
    runs: tuple[BatchRun, ...]
    launches: tuple[MeasuredLaunch, ...]
    energy: EnergyMeasurement | None
    unmeasured: str

    @property
    def latency_ms(self) -> float | None:
        """Time of one image's inference."""
        first = self.runs[0].times
        return None if first is None else first.median_ns / 1e6

    @property
    def best(self) -> BatchRun | None:
        """The batch size of the highest throughput."""
        known = [r for r in self.runs if r.images_per_s is not None]
        return max(known, key=lambda r: r.images_per_s or 0.0) if known else None

    @property
    def shares_pct(self) -> dict[str, float]:
        """Share of the GPU time of both passes by kernel family, 0-100, largest first."""
        by_family: dict[str, float] = {}
        for one in self.launches:
            family = one.static.launch.family
            by_family[family] = by_family.get(family, 0.0) + (one.time_ns or 0.0)
        total = sum(by_family.values())
        if not total:
            return {}
        ordered = sorted(by_family, key=lambda f: -by_family[f])
        return {family: 100 * by_family[family] / total for family in ordered}

    def macs_per_joule(self, *, above_idle: bool = False) -> float | None:
        """Energy efficiency; None where energy was not measured."""
        if self.energy is None:
            return None
        return self.macs * ENERGY_BATCH / self.energy.per_run_j(above_idle=above_idle)


def measure_network(
    network: Network,
    launcher: Launcher,
    device: Device,
    options: LoweringOptions,
    *,
    nvml: Nvml | None = None,
    no_energy: str = "",
    batches: Sequence[int] = BATCHES,
    timing: TimingOptions | None = None,
    progress: Progress | None = None,
) -> NetworkMeasurement:
    """Run a network launch by launch.

    Parameters
    ----------
    network
        The network.
    launcher, device
        The GPU.
    options
        How layers become launches; direction and batch are set here.
    nvml
        The GPU's sensors, or None for no energy.
    no_energy
        Why there are none.
    batches
        Sizes of the throughput's sweep, rising from 1; it ends where memory does.
    timing
        Repetitions of an iteration.
    progress
        Called with what is run, and the number done and of all.

    Raises
    ------
    ShapeError
        A layer can't be lowered, or the batch sizes don't rise from 1.
    UnavailableError, CompileError
        The compiler is missing, or refuses a source.
    """
    if not batches or batches[0] != 1 or list(batches) != sorted(set(batches)):
        raise ShapeError(f"batch sizes {list(batches)} must rise from 1")
    # Single launches find cold caches as under a profiler; an iteration finds what it left.
    how = timing or TimingOptions(warmup=2, repeats=10, flush_l2=False)
    inference = replace(options, direction=Direction.FORWARD)
    runs: list[BatchRun] = []
    energy, why = None, no_energy
    for number, batch in enumerate(batches):
        if progress is not None:
            progress(f"{network.name}, batch {batch}", number, len(batches))
        if _too_large(runs, batch, device):
            break
        work, memory = _iteration(network, launcher, device, replace(inference, batch=batch))
        times = time_work(launcher, [work], how, label=f"{network.name}, batch {batch}")
        runs.append(BatchRun(batch, times, memory))
        if batch == ENERGY_BATCH and nvml is not None and times is not None:
            energy, why = _energy(nvml, launcher, work, times)
        del work
        launcher.release()
    lowered = lower_network(network, replace(options, direction=Direction.BOTH, batch=1))
    launches = measure_launches(
        static_launches(lowered.launches, device),
        launcher,
        device,
        options=replace(how, flush_l2=True),
        check=False,
        origin=network.name,
        progress=None
        if progress is None
        else lambda done, total: progress(f"{network.name}, launches", done, total),
    )
    launcher.release()
    return NetworkMeasurement(
        network=network.name,
        device=device,
        backend=str(launcher.backend),
        macs=count_network(network).macs,
        runs=tuple(runs),
        launches=launches,
        energy=energy,
        unmeasured="" if energy is not None else why or "batch 4 was not reached",
    )


def _too_large(runs: Sequence[BatchRun], batch: int, device: Device) -> bool:
    """Whether a batch would not fit: weights stay, the rest grows with it."""
    if not runs or runs[-1].memory_bytes is None or device.dram_bytes is None:
        return False
    grown = runs[-1].memory_bytes * batch / runs[-1].batch
    return grown > _MEMORY_SHARE * device.dram_bytes


def _iteration(
    network: Network, launcher: Launcher, device: Device, options: LoweringOptions
) -> tuple[Callable[[], None], int | None]:
    """Prepare all launches of an iteration; return it as one piece of work, and its memory."""
    before = launcher.used_bytes()
    ready: dict[tuple[object, ...], Callable[[], None]] = {}
    order: list[tuple[Callable[[], None], int]] = []
    # cuDNN's tiles are chosen for the GPU that is here.
    options = replace(options, sm_count=device.sm_count)
    statics: tuple[StaticLaunch, ...] = static_launches(
        lower_network(network, options).launches, device
    )
    for static in statics:
        key = (static.kernel.name, static.launch.sizes)
        if key not in ready:
            ready[key] = prepare(static, launcher, device.arch.name).launch
        order.append((ready[key], static.launch.count))
    after = launcher.used_bytes()

    def work() -> None:
        for launch, count in order:
            for _ in range(count):
                launch()

    return work, None if before is None or after is None else after - before


def _energy(
    nvml: Nvml, launcher: Launcher, work: Callable[[], None], times: Times
) -> tuple[EnergyMeasurement | None, str]:
    from kernprof.errors import UnavailableError

    def finished() -> None:
        work()
        launcher.synchronize()

    try:
        return measure_energy(nvml, finished, times.median_ns / 1e9), ""
    except UnavailableError as missing:
        return None, str(missing)
