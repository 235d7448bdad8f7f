"""The program as a user starts it: help, import, a real report end to end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.read_report import ROOT, make_report

REPEATS = 7
BAR_START_S = 0.200
BAR_STALLS_S = 1.0


def seconds(*command: str) -> float:
    """Return the median wall time of a command."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - started)
    return median(times)


def main() -> bool:
    """Print the figures; returns whether all bars were met."""
    program = str(Path(sys.executable).with_name("kernprof"))
    rows = [
        ("python -c pass", (sys.executable, "-c", "pass"), None),
        ("import kernprof", (sys.executable, "-c", "import kernprof"), BAR_START_S),
        ("kernprof --help", (program, "--help"), BAR_START_S),
    ]
    met = True
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.ncu-rep"
        make_report(made, 10)
        rows.append(("kernprof stalls, 10 x 1000", (program, "stalls", str(made)), BAR_STALLS_S))
        shared = ROOT.parent / "shared" / "reports"
        if shared.is_dir():
            largest = max(shared.glob("*.ncu-rep"), key=lambda path: path.stat().st_size)
            size = largest.stat().st_size / 1e6
            label = f"kernprof stalls, real report of {size:.1f} MB"
            rows.append((label, (program, "stalls", str(largest)), BAR_STALLS_S))
        for label, command, bar in rows:
            took = seconds(*command)
            met &= bar is None or took <= bar
            print(
                f"{label:45s} {took * 1000:6.0f} ms" + (f"   bar {bar * 1000:.0f}" if bar else "")
            )
    print("met" if met else "MISSED")
    return met
