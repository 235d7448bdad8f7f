"""Timing by events: warm-up, repetitions, cold caches or rotating buffers; median and spread."""

from __future__ import annotations

import importlib
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kernprof.errors import UsageError
from kernprof.measure.launcher import Launcher

_MAX_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class TimingOptions:
    """How often, and with what in the caches.

    Parameters
    ----------
    warmup
        Runs that are not counted: code is loaded, clocks rise.
    repeats
        Runs that are.
    flush_l2
        Whether the L2 is overwritten before each run. Otherwise ``rotate`` sets of buffers are
        used in turn, so that a run does not find its own arrays there.
    rotate
        Sets of buffers without flushing; 1 measures with warm caches.
    """

    warmup: int = 3
    repeats: int = 20
    flush_l2: bool = True
    rotate: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= _MAX_RUNS or not 1 <= self.repeats <= _MAX_RUNS:
            raise UsageError(
                f"{self.warmup} warm-up runs and {self.repeats} repeats; expected 0 and more, 1 "
                f"and more, at most {_MAX_RUNS:,}"
            )
        if self.rotate < 1:
            raise UsageError(f"{self.rotate} sets of buffers; expected 1 or more")


@dataclass(frozen=True, slots=True)
class Times:
    """Times of equal runs in ns.

    Parameters
    ----------
    samples_ns
        One a run, in order.
    """

    samples_ns: tuple[float, ...]

    @property
    def median_ns(self) -> float:
        """The middle one."""
        return statistics.median(self.samples_ns)

    @property
    def low_ns(self) -> float:
        """The tenth percentile: nine in ten take longer."""
        return quantile(self.samples_ns, 0.1)

    @property
    def high_ns(self) -> float:
        """The ninetieth percentile."""
        return quantile(self.samples_ns, 0.9)

    @property
    def spread_pct(self) -> float:
        """Distance of the two in percent of the median."""
        return 100 * (self.high_ns - self.low_ns) / self.median_ns if self.median_ns else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the values lies below, interpolated (Hyndman-Fan type 7).

    Raises
    ------
    ValueError
        There are no values, or the share is not within 0 and 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"{len(values)} values, share {share}")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def time_work(
    launcher: Launcher,
    works: Sequence[Callable[[], None]],
    options: TimingOptions,
    *,
    l2_bytes: int | None = None,
    label: str = "",
) -> Times | None:
    """Time equal pieces of work.

    Parameters
    ----------
    launcher
        Where they run.
    works
        The work, once for each set of buffers; used in turn.
    options
        How often.
    l2_bytes
        Size of the L2, twice of which is written to flush it.
    label
        Name of an NVTX range around the counted runs, for other profilers.

    Returns
    -------
    Times or None
        None where the launcher can't tell time.
    """
    samples = []
    for turn in range(options.warmup):
        works[turn % len(works)]()
    launcher.synchronize()
    with nvtx_range(label):
        for turn in range(options.repeats):
            if options.flush_l2 and l2_bytes:
                # Not waited for: while the GPU is busy overwriting, the host queues the events and
                # the launch behind it. On an idle GPU the host's own launch overhead (some 10 us)
                # would lie between the two events.
                launcher.flush(2 * l2_bytes)
            spent = launcher.elapsed_ns(works[turn % len(works)])
            if spent is None:
                return None
            samples.append(spent)
    return Times(tuple(samples))


@contextmanager
def nvtx_range(label: str) -> Iterator[None]:
    """Mark what runs inside for NVIDIA's profilers, where the nvtx package is installed."""
    try:
        nvtx: Any = importlib.import_module("nvtx")
    except ImportError:
        yield
        return
    marked: Any = nvtx.annotate(label or "kernprof", domain="kernprof")
    with marked:
        yield
