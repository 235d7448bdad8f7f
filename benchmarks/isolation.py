"""What the child process costs that runs the machine code of other people's files.

Every prediction is made in an interpreter of its own, as by a command, with everything compiled
before; the two kinds take turns.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from kernprof.compile import compile_source

REPEATS = 11
BAR_S = 0.030
SOURCE = """
extern "C" __global__ void k(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}
"""
ONE = """
import sys, time
from dataclasses import replace
import numpy as np
from kernprof.devices import find
from kernprof.isolation.shared import shared_zeros
from kernprof.prediction import foreign
from kernprof.prediction.run import execute
from kernprof.prediction.subject import load_subject

subject = replace(
    load_subject(sys.argv[1], kernel="k", device=find("a100")), foreign=sys.argv[2] == "child"
)
kind, size = np.dtype("f4"), int(sys.argv[3])
args = {"x": shared_zeros((size,), kind), "y": shared_zeros((size,), kind), "n": np.int32(8000)}
foreign.load_all()  # both kinds need the modules
started = time.perf_counter()
execute(subject, args, grid=64, block=128)
print(time.perf_counter() - started)
"""
KINDS = {
    "in this process": ("own", 8192),
    "in a child process": ("child", 8192),
    "in a child, two shared arrays of 256 MiB": ("child", 64 << 20),
}


def main() -> bool:
    """Print the figures; returns whether the bar was met."""
    times: dict[str, list[float]] = {label: [] for label in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "k.cubin"
        file.write_bytes(compile_source(SOURCE, arch="sm_80").image)
        for _ in range(REPEATS + 1):
            for label, (kind, size) in KINDS.items():
                command = [sys.executable, "-c", ONE, str(file), kind, str(size)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                times[label].append(float(done.stdout))
    base = median(times["in this process"][1:])
    met = True
    for label, took in times.items():
        more = median(took[1:]) - base
        met &= more <= BAR_S
        print(f"{label:45s} {1000 * median(took[1:]):6.1f} ms  {1000 * more:+6.1f}")
    print(f"bar: {1000 * BAR_S:.0f} ms more at most; {'met' if met else 'MISSED'}")
    return met
