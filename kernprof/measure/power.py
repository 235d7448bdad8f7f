"""Arithmetic of power traces: energy, resampling, gaps, counters that wrap. No hardware here."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

COUNTER_BITS = 64


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Power over time.

    Parameters
    ----------
    times_s
        Seconds, strictly rising.
    watts
        Power at these times.

    Raises
    ------
    ValueError
        The two differ in length, a time does not rise, or a value is no finite number.
    """

    times_s: tuple[float, ...]
    watts: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times_s) != len(self.watts):
            raise ValueError(f"{len(self.times_s)} times and {len(self.watts)} powers")
        if not all(map(math.isfinite, (*self.times_s, *self.watts))):
            raise ValueError("a time or a power is no finite number")
        pairs = zip(self.times_s, self.times_s[1:], strict=False)
        if any(later <= earlier for earlier, later in pairs):
            raise ValueError("the times of a trace must rise")

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the last."""
        return self.times_s[-1] - self.times_s[0] if self.times_s else 0.0

    def at(self, time_s: float) -> float:
        """Return the power at a time, on the line between its neighbours; the ends hold on.

        Raises
        ------
        ValueError
            The trace is empty.
        """
        if not self.times_s:
            raise ValueError("an empty trace has no power")
        right = bisect_left(self.times_s, time_s)
        if right == 0:
            return self.watts[0]
        if right == len(self.times_s):
            return self.watts[-1]
        t0, t1 = self.times_s[right - 1], self.times_s[right]
        w0, w1 = self.watts[right - 1], self.watts[right]
        return w0 + (w1 - w0) * (time_s - t0) / (t1 - t0)


def energy_j(trace: PowerTrace, start_s: float | None = None, end_s: float | None = None) -> float:
    """Integrate a trace by trapezoids between two times, by default over all of it.

    Raises
    ------
    ValueError
        The trace has no sample, or the end is before the start.
    """
    if not trace.times_s:
        raise ValueError("an empty trace has no energy")
    start = trace.times_s[0] if start_s is None else start_s
    end = trace.times_s[-1] if end_s is None else end_s
    if end < start:
        raise ValueError(f"from {start} s to {end} s")
    first, last = bisect_right(trace.times_s, start), bisect_left(trace.times_s, end)
    times = [start, *trace.times_s[first:last], end]
    watts = [trace.at(start), *trace.watts[first:last], trace.at(end)]
    return math.fsum(
        (watts[i] + watts[i + 1]) / 2 * (times[i + 1] - times[i]) for i in range(len(times) - 1)
    )


def mean_w(trace: PowerTrace) -> float:
    """Return the mean power over time, not over samples: these need not be equally far apart."""
    if trace.duration_s == 0:
        return trace.at(0.0)
    return energy_j(trace) / trace.duration_s


def resample(trace: PowerTrace, period_s: float) -> PowerTrace:
    """Return the trace at equal distances, its first and last time kept.

    Raises
    ------
    ValueError
        The period is not positive.
    """
    if not period_s > 0:
        raise ValueError(f"a period of {period_s} s")
    if len(trace.times_s) < 2:
        return trace
    count = max(1, round(trace.duration_s / period_s))
    start = trace.times_s[0]
    step = trace.duration_s / count
    times = [start + i * step for i in range(count)] + [trace.times_s[-1]]
    return PowerTrace(tuple(times), tuple(trace.at(t) for t in times))


def gaps(trace: PowerTrace, longest_s: float) -> tuple[tuple[float, float], ...]:
    """Return the stretches without a sample that are longer than they should be."""
    pairs = zip(trace.times_s, trace.times_s[1:], strict=False)
    return tuple((a, b) for a, b in pairs if b - a > longest_s)


def counted(first: int, last: int, bits: int = COUNTER_BITS) -> int:
    """Return the difference of two readings of a counter that may have wrapped once."""
    return (last - first) % (1 << bits)


def updates(trace: PowerTrace) -> int:
    """Count how often the sensor gave a new value.

    NVML's sensors refresh 10 to 100 times a second (Yang and others, arXiv 2312.02741): reading
    faster gives the same value again.
    """
    return sum(a != b for a, b in zip(trace.watts, trace.watts[1:], strict=False))


def loops_needed(one_s: float, sensor_s: float, periods: int = 50) -> int:
    """Return how often work must be repeated to last many refreshes of the sensor.

    Raises
    ------
    ValueError
        The work takes no time.
    """
    if not one_s > 0:
        raise ValueError(f"work of {one_s} s can't be measured by a sensor")
    return max(1, math.ceil(periods * sensor_s / one_s))


def joined(traces: Sequence[PowerTrace]) -> PowerTrace:
    """Put traces one after the other; they must not overlap."""
    return PowerTrace(
        tuple(t for trace in traces for t in trace.times_s),
        tuple(w for trace in traces for w in trace.watts),
    )
