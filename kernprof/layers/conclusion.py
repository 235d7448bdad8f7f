"""What a layer's figures come to: what takes the time, and what another lowering would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kernprof.devices.model import Device
from kernprof.errors import UsageError
from kernprof.layers.predicted import PredictedLaunch
from kernprof.layers.static import StaticLaunch, static_launches
from kernprof.lowering.launch import Direction, Lowering, Purpose
from kernprof.lowering.options import LoweringOptions
from kernprof.lowering.report import LayerReport, layer_report
from kernprof.networks.counters import Counter
from kernprof.networks.ir import Layer

_OTHERS = (Lowering.DIRECT, Lowering.IMPLICIT_GEMM)
"""Lowerings that are tried beside the one that was asked for, the first that is cheap."""
_CHEAP_OPERATIONS = 3e8
"""Of distinct launches: what is simulated in a second or two."""
_CHEAP_LAUNCHES = 12


@dataclass(frozen=True, slots=True)
class Lowered:
    """A layer's launches under one lowering on one GPU.

    Parameters
    ----------
    report
        The layer and its launches.
    device
        The GPU.
    statics
        The launches, compiled for it.
    predicted
        The same launches, simulated; empty where that was not possible.
    """

    report: LayerReport
    device: Device
    statics: Sequence[StaticLaunch]
    predicted: Sequence[PredictedLaunch]

    @property
    def name(self) -> str:
        """The lowering."""
        return str(self.report.options.lowering)

    @property
    def launches(self) -> int:
        """How often something is launched."""
        return sum(static.launch.count for static in self.statics)

    @property
    def least_ns(self) -> float:
        """The time below which the launches can't get, in ns."""
        return sum(static.least_time_ns for static in self.statics)

    @property
    def time_ns(self) -> float | None:
        """Predicted time of all launches in ns; None where one's is not known."""
        return sum_of([p.time_ns for p in self.predicted])


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a layer's figures come to.

    Parameters
    ----------
    first
        The lowering that was asked for.
    total_ns
        Time of all its launches, the gaps between them left out.
    kernel
        The kernel that takes most of it.
    longest
        Its launch with the most time: what the kernel is judged by.
    launches, time_ns
        How often that kernel is launched, and what all of that takes.
    others
        Other lowerings whose time is known, the fastest first.
    """

    first: Lowered
    total_ns: float
    kernel: str
    longest: PredictedLaunch
    launches: int
    time_ns: float
    others: tuple[Lowered, ...]

    @property
    def share_pct(self) -> float:
        """Share of the kernel in the time."""
        return 100 * self.time_ns / self.total_ns

    @property
    def busy_sms(self) -> int:
        """SMs that get a block of the longest launch."""
        return min(self.first.device.sm_count, self.longest.static.geometry.grid.total)

    @property
    def best(self) -> Lowered | None:
        """The fastest of the other lowerings, where it is faster."""
        fastest = self.others[0] if self.others else None
        time = None if fastest is None else fastest.time_ns
        return fastest if time is not None and time < self.total_ns else None


def conclude(found: Sequence[Lowered]) -> Conclusion | None:
    """Draw the conclusion; None where the first lowering's time is not known.

    Parameters
    ----------
    found
        The lowering that was asked for, then those it is set against.
    """
    first, *others = found
    total = first.time_ns
    if not total:
        return None
    by_kernel: dict[str, list[PredictedLaunch]] = {}
    for launch in first.predicted:
        by_kernel.setdefault(launch.static.kernel.name, []).append(launch)
    times = {name: sum_of([p.time_ns for p in all_]) or 0.0 for name, all_ in by_kernel.items()}
    kernel = max(times, key=lambda name: times[name])
    known = [(other.time_ns, other) for other in others]
    ordered = sorted(
        ((time, other) for time, other in known if time is not None), key=lambda pair: pair[0]
    )
    return Conclusion(
        first=first,
        total_ns=total,
        kernel=kernel,
        longest=max(by_kernel[kernel], key=lambda p: p.time_ns or 0.0),
        launches=sum(p.static.launch.count for p in by_kernel[kernel]),
        time_ns=times[kernel],
        others=tuple(other for _, other in ordered),
    )


def same_work(options: LoweringOptions, first: LayerReport, lowering: Lowering) -> LoweringOptions:
    """Return options for another lowering that computes what the first one does.

    Caffe leaves gradients of a layer's input out where nothing before it learns; other lowerings
    would compute them.
    """
    gradients = options.data_gradients
    if options.direction is not Direction.FORWARD:
        purposes = {launch.purpose for launch in first.launches}
        gradients = Purpose.DATA_GRADIENT in purposes
    return replace(options, lowering=lowering, data_gradients=gradients)


def cheap_alternative(
    layer: Layer,
    first: LayerReport,
    device: Device,
    *,
    network: str | None,
    counter: Counter,
) -> tuple[LayerReport, list[StaticLaunch]] | None:
    """Compile a layer under another lowering whose launches are few and small; None: there is none.

    Passed over are lowerings that can't lower it, and those that make the same launches of it.
    """
    for lowering in _OTHERS:
        if lowering is first.options.lowering:
            continue
        try:
            options = same_work(first.options, first, lowering)
            report = layer_report(layer, options, network=network, counter=counter)
        except UsageError:
            continue
        if _shapes(report) == _shapes(first) or len(report.launches) > _CHEAP_LAUNCHES:
            continue
        statics = list(static_launches(report.launches, device))
        if sum(static.flops for static in statics) <= _CHEAP_OPERATIONS:
            return report, statics
    return None


def _shapes(report: LayerReport) -> list[tuple[str, str]]:
    return [(launch.kernel, str(launch.shape)) for launch in report.launches]


def sum_of(times: Sequence[float | None]) -> float | None:
    """Add times; None where one is not known, or there is none."""
    known = [time for time in times if time is not None]
    return sum(known) if known and len(known) == len(times) else None
