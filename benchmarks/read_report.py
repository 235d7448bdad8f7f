"""Reading reports: metrics per second, peak memory, growth with the number of launches.

The reports are made here. Each figure comes from a process of its own, so that peak memory is that
of one reading. Where NVIDIA's ``ncu_report`` is installed, it reads the same file and the ratio is
printed.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "reports"))

METRICS = 1000
REPEATS = 5
BAR_METRICS_PER_S = 1_000_000
BAR_MEMORY_MB = 200

_OURS = """
import json, resource, sys, time
from kernprof.reports import load
best, total = None, 0
for _ in range({repeats}):
    started = time.perf_counter()
    total = 0
    for profile in load({path!r}).profiles:
        for value in profile.metrics.values():
            total += 1
    took = time.perf_counter() - started
    best = took if best is None else min(best, took)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"seconds": best, "metrics": total, "peak_mb": peak}}))
"""

_PEER = """
import json, resource, time, ncu_report
started, total = time.perf_counter(), 0
context = ncu_report.load_report({path!r})
for r in range(context.num_ranges()):
    actions = context.range_by_idx(r)
    for a in range(actions.num_actions()):
        action = actions.action_by_idx(a)
        for name in action.metric_names():
            action.metric_by_name(name).value()
            total += 1
took = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"seconds": took, "metrics": total, "peak_mb": peak}}))
"""


def make_report(path: Path, launches: int) -> None:
    """Write a report whose metrics are three quarters doubles and one quarter integers."""
    import ncurep_builder as build

    names = [f"unit__counter_{index:04d}.avg.per_cycle_active" for index in range(METRICS)]
    rows = [
        build.Launch(
            kernel=f"kernel_{launch % 7}",
            metrics={
                name: launch + index if index % 4 == 0 else 0.37 * index + launch
                for index, name in enumerate(names)
            },
        )
        for launch in range(launches)
    ]
    path.write_bytes(build.report(rows))


def measure(code: str, path: Path, repeats: int = REPEATS) -> dict[str, float]:
    """Run a reader in a process of its own."""
    script = code.format(path=str(path), repeats=repeats)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> bool:
    """Print the figures; returns whether all bars were met."""
    met = True
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for launches in (50, 500, 5000):
            path = Path(folder) / f"{launches}.ncu-rep"
            make_report(path, launches)
            figure = measure(_OURS, path, REPEATS if launches < 5000 else 2)
            rates[launches] = figure["metrics"] / figure["seconds"]
            print(
                f"{launches:5d} launches x {METRICS} metrics, {path.stat().st_size / 1e6:6.1f} MB: "
                f"{figure['seconds']:.3f} s, {rates[launches] / 1e6:.2f} M metrics/s, "
                f"peak {figure['peak_mb']:.0f} MB"
            )
            if launches == 500:
                met &= rates[500] >= BAR_METRICS_PER_S and figure["peak_mb"] <= BAR_MEMORY_MB
                if importlib.util.find_spec("ncu_report"):
                    peer = measure(_PEER, path)
                    ratio = peer["seconds"] / figure["seconds"]
                    print(
                        f"      ncu_report on the same file: {peer['seconds']:.3f} s, peak "
                        f"{peer['peak_mb']:.0f} MB: {ratio:.1f} times our time"
                    )
                else:
                    print("      ncu_report is not installed: no ratio")
    growth = rates[50] / rates[5000]
    met &= growth <= 2
    print(f"rate at 50 launches over rate at 5000: {growth:.2f} (linear is 1; bar 2)")
    print(f"bars: {BAR_METRICS_PER_S / 1e6:.0f} M metrics/s, {BAR_MEMORY_MB} MB at 500 launches")
    print("met" if met else "MISSED")
    return met
