"""A network's time by kernel family, predicted launch by launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernprof.devices.model import Device
from kernprof.layers.predicted import PredictedLaunch, Progress, predict_launches
from kernprof.layers.static import static_launches
from kernprof.lowering.lower import lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.ir import Network

if TYPE_CHECKING:
    from kernprof.timing import Caches, Energy

TIMED_INSTRUCTIONS = 1_000_000
"""Warp instructions of a launch that are simulated for time: networks have many launches."""


@dataclass(frozen=True, slots=True)
class FamilyTime:
    """All launches of one kernel family.

    Parameters
    ----------
    family
        As tables count it; copies and fills of the runtime are families of their own.
    launches
        How many.
    time_ns
        Their time in ns, gaps left out.
    share_pct
        Of the network's time, 0-100.
    longest
        The launch whose repetitions take most of it.
    """

    family: str
    launches: int
    time_ns: float
    share_pct: float
    longest: PredictedLaunch


@dataclass(frozen=True, slots=True)
class NetworkPrediction:
    """One iteration of a network on a GPU.

    Parameters
    ----------
    network
        Its name.
    device
        The GPU.
    options
        How it was lowered.
    families
        The most expensive first.
    time_ns
        GPU time of all launches, gaps left out.
    stand_in_pct
        Share of the time in kernels that stand in for those of a closed library, 0-100.
    energy
        Energy of all launches; None where the board's numbers are not known.
    """

    network: str
    device: Device
    options: LoweringOptions
    families: tuple[FamilyTime, ...]
    time_ns: float
    stand_in_pct: float
    energy: Energy | None

    @property
    def shares_pct(self) -> dict[str, float]:
        """Share of the time by family, 0-100."""
        return {f.family: f.share_pct for f in self.families}


def predict_network(
    network: Network,
    device: Device,
    options: LoweringOptions,
    *,
    instructions: int = TIMED_INSTRUCTIONS,
    workers: int | None = None,
    progress: Progress | None = None,
    caches: Caches | None = None,
) -> NetworkPrediction:
    """Predict every launch of one iteration; launches of one kernel and shape once.

    Parameters are those of :func:`kernprof.layers.predict_launches`, which simulates each launch
    anew where they run back to back.
    Where kernels are chosen by the GPU's size, this GPU's counts, not ``options.sm_count``.

    Raises
    ------
    ShapeError
        A layer can't be lowered.
    UnavailableError, CubinError
        As :func:`kernprof.layers.predict_launches` does.
    """
    options = replace(options, sm_count=device.sm_count)
    lowered = lower_network(network, options)
    done = predict_launches(
        static_launches(lowered.launches, device),
        device,
        origin=network.name,
        instructions=instructions,
        workers=workers,
        progress=progress,
        caches=caches,
    )
    total = sum(p.time_ns or 0.0 for p in done)
    by_family: dict[str, list[PredictedLaunch]] = {}
    for p in done:
        by_family.setdefault(p.static.launch.family, []).append(p)
    families = [
        FamilyTime(
            family=family,
            launches=sum(p.static.launch.count for p in members),
            time_ns=(spent := sum(p.time_ns or 0.0 for p in members)),
            share_pct=100 * spent / total if total else 0.0,
            longest=max(members, key=lambda p: p.time_ns or 0.0),
        )
        for family, members in by_family.items()
    ]
    stand_in = sum(p.time_ns or 0.0 for p in done if p.static.launch.stand_in)
    return NetworkPrediction(
        network=network.name,
        device=device,
        options=options,
        families=tuple(sorted(families, key=lambda f: -f.time_ns)),
        time_ns=total,
        stand_in_pct=100 * stand_in / total if total else 0.0,
        energy=total_energy(done),
    )


def total_energy(launches: Sequence[PredictedLaunch]) -> Energy | None:
    """Add up the energy of all launches, each times its count; None where one is not known."""
    from kernprof.timing.energy import summed

    parts = []
    for p in launches:
        if p.energy is None:
            return None
        parts.append(p.energy * p.static.launch.count)
    return summed(parts)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None for fewer than three pairs.

    Raises
    ------
    ValueError
        The sequences differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values make no pairs")
    if len(first) < 3:
        return None
    a, b = _ranks(first), _ranks(second)
    middle = (len(a) + 1) / 2
    over = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b)
    return float(over / spread**0.5) if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first = {v: i for i, v in reversed(list(enumerate(ordered, 1)))}
    last = {v: i for i, v in enumerate(ordered, 1)}
    return [(first[v] + last[v]) / 2 for v in values]
