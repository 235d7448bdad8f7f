"""Writing reports: 500 launches of 1000 metrics, as written by ``kernprof convert``."""

from __future__ import annotations

import time

from kernprof.profile import Dim3, Gpu, KernelProfile, MetricValue, Source
from kernprof.reports.ncurep.writer import write_report

LAUNCHES = 500
METRICS = 1000
REPEATS = 3
BAR_S = 3.0


def main() -> bool:
    """Print the best time of three; True when it is under the bar."""
    gpu = Gpu("Tesla T4", "7.5", 40)
    profiles = []
    for launch in range(LAUNCHES):
        # Three quarters doubles and one quarter integers, about as reports have them.
        metrics: dict[str, MetricValue] = {
            f"unit__metric_{i}.sum": launch * i if i % 4 == 0 else launch * i + 0.5
            for i in range(METRICS)
        }
        profiles.append(
            KernelProfile(
                kernel="kernel",
                source=Source.IMPORTED,
                origin=f"made#{launch}",
                gpu=gpu,
                grid=Dim3(4),
                block=Dim3(128),
                metrics=metrics,
            )
        )
    best = float("inf")
    size = 0
    for _ in range(REPEATS):
        started = time.perf_counter()
        size = len(write_report(profiles))
        best = min(best, time.perf_counter() - started)
    print(
        f"{LAUNCHES} launches x {METRICS} metrics: {best:.2f} s, {size / 1e6:.1f} MB "
        f"(bar {BAR_S} s)"
    )
    return best < BAR_S
