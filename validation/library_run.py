"""``python -m validation.library_run``: the library's kernels on a GPU, once each, for a profiler.

Run alone it launches every chosen kernel and writes the digests of what they computed; run under
``ncu --set full`` it also gives a report whose launches ``validation.library_judge`` replays with
the same arguments.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernprof.errors import KernprofError
from kernprof.layers import static_launches
from kernprof.layers.measured import prepare
from kernprof.library import Pointer, Role, entry
from kernprof.lowering.launch import Direction, Launch, Lowering
from kernprof.lowering.lower import lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.measure.launcher import Backend, Launcher, open_launcher
from kernprof.networks.registry import load_network

NETWORKS = ("mobilenet", "alexnet", "squeezenet-v1.0", "resnet-50")
LOWERINGS = (Lowering.CAFFE, Lowering.DIRECT, Lowering.IM2COL, Lowering.IMPLICIT_GEMM)
MOST_BYTES = 64 << 20
MOST_FLOPS = 1 << 31


def selection() -> list[Launch]:
    """Return up to three launches of every kernel that real networks use: least, middle, most.

    Work is counted in bytes of least traffic; launches beyond 64 MiB or 2^31 operations are left
    out, so that all of them can be replayed in the simulator within minutes.
    """
    by_kernel: dict[str, dict[object, tuple[int, Launch]]] = {}
    for key in NETWORKS:
        network = load_network(key)
        for lowering in LOWERINGS:
            options = LoweringOptions(lowering=lowering, direction=Direction.BOTH)
            for launch in lower_network(network, options).launches:
                item = entry(launch.kernel)
                size, work = item.bytes_moved(launch.shape), item.flops(launch.shape)
                if size <= MOST_BYTES and work <= MOST_FLOPS:
                    by_kernel.setdefault(launch.kernel, {})[launch.sizes] = (size, launch)
    chosen = []
    for name in sorted(by_kernel):
        ordered = sorted(by_kernel[name].values(), key=lambda pair: (pair[0], str(pair[1].sizes)))
        places = sorted({0, len(ordered) // 2, len(ordered) - 1})
        chosen += [ordered[place][1] for place in places]
    return chosen


def few(launches: list[Launch]) -> list[Launch]:
    """Return one launch of each kernel: of two or three the second."""
    by_kernel: dict[str, list[Launch]] = {}
    for launch in launches:
        by_kernel.setdefault(launch.kernel, []).append(launch)
    return [found[min(1, len(found) - 1)] for found in by_kernel.values()]


def digests(launch: Launch, arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, str]:
    """Return SHA-256 of what a launch wrote, by argument."""
    written = [
        a.name
        for a in entry(launch.kernel).arguments
        if isinstance(a, Pointer) and a.role is not Role.IN and a.name in arrays
    ]
    return {
        n: hashlib.sha256(np.ascontiguousarray(arrays[n]).tobytes()).hexdigest() for n in written
    }


def run_all(
    launcher: Launcher, launches: Sequence[Launch], limit_s: float | None = None
) -> list[dict[str, Any]]:
    """Launch each once; returns one row each, until so many seconds have gone by."""
    device = launcher.facts().device
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    for launch in launches:
        if limit_s is not None and time.monotonic() - started > limit_s:
            break
        row: dict[str, Any] = {"kernel": launch.kernel, "sizes": str(launch.sizes)}
        rows.append(row)
        try:
            (static,) = static_launches([launch], device)
            ready = prepare(static, launcher, device.arch.name)
            ready.launch()
            launcher.synchronize()
            arrays = {name: np.empty_like(array) for name, array in ready.host.items()}
            for name, array in arrays.items():
                launcher.fetch(ready.buffers[name], array)
            row["digests"] = digests(launch, arrays)
        except KernprofError as error:
            row["failure"] = str(error)
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m validation.library_run", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="digests, JSON")
    parser.add_argument("--few", action="store_true", help="one launch a kernel, of middle size")
    parser.add_argument("--limit", type=float, help="start no launch after so many seconds")
    options = parser.parse_args(argv)
    launcher = open_launcher(Backend.CUPY)
    launches = few(selection()) if options.few else selection()
    rows = run_all(launcher, launches, options.limit)
    gpu = launcher.facts().device.name
    options.output.write_text(json.dumps({"gpu": gpu, "launches": rows}, indent=1), "utf-8")
    print(f"{len(rows)} launches, {sum('failure' in r for r in rows)} failed", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
