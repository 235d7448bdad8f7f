r"""Launch the micro-benchmarks on the GPU that is here.

``python validation/hardware/micro_run.py --out FOLDER`` times each kernel by events and keeps the
clock readings of those that take them, in ``FOLDER/micro.json`` and ``FOLDER/micro.npz``. With
``--once`` each is launched once and nothing else is, for a run under Nsight Compute::

    ncu --set full --import-source no --clock-control none --cache-control all \
        -o micro python validation/hardware/micro_run.py --once --budget 80

Needs CuPy and numpy. ``--build FOLDER`` (machine code for ``--cubins FOLDER``) and ``--dry`` (run
in the simulator) need kernprof and no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# A kernel's code is loaded before its launch, not within it; must be told before CUDA starts.
os.environ.setdefault("CUDA_MODULE_LOADING", "EAGER")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from validation.hardware.table import (
    CLOCKED,
    OPTIONS,
    Experiment,
    arguments,
    experiments,
    file_name,
    is_struct,
)

_FLUSH_FLOATS = 1 << 26
_REPEATS = 3
_SMI = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,pstate"


class Gpu:
    """The GPU through CuPy: modules, arrays, launches.

    Parameters
    ----------
    cubins
        Folder with machine code, or None: compiled here for the GPU that is here.
    """

    def __init__(self, cubins: Path | None) -> None:
        import cupy

        self._cupy: Any = cupy
        self._cubins = cubins
        self._ones: Any = None
        self._flush: Any = None
        self._keep: list[Any] = []

    def function(self, one: Experiment, clocked: bool) -> Any:
        """Load an experiment's kernel."""
        cupy = self._cupy
        path = self._cubins and self._cubins / file_name(one, clocked)
        if path is not None and path.is_file():
            module = cupy.RawModule(path=str(path))
        else:
            options = (*OPTIONS, CLOCKED) if clocked else OPTIONS
            module = cupy.RawModule(code=one.code, options=options)
        self._keep.append(module)
        return module.get_function(one.name)

    def put(self, one: Experiment) -> list[Any]:
        """Copy arguments to the GPU; no kernel is launched for it."""
        given = []
        for value in arguments(one).values():
            if is_struct(value) or not isinstance(value, np.ndarray):
                given.append(value)
            elif not value.any():
                given.append(self._zeros(value))
            elif value.size > 1 << 20 and value.dtype == np.float32 and (value == 1).all():
                given.append(self._shared_ones(value))
            else:
                given.append(self._cupy.asarray(value))
        return given

    def _zeros(self, like: np.ndarray) -> Any:
        made = self._cupy.empty(like.shape, like.dtype)
        made.data.memset(0, made.nbytes)
        return made

    def _shared_ones(self, like: np.ndarray) -> Any:
        # No kernel writes its array of ones, so that one copy does for all.
        if self._ones is None or self._ones.size < like.size:
            self._ones = self._cupy.asarray(like)
        return self._ones[: like.size]

    def flush(self) -> None:
        """Read more than the L2 holds, so that it is full of lines that need no write-back."""
        if self._flush is None:
            reader = next(e for e in experiments() if e.name == "stream_read_4")
            x = self._zeros(np.empty(_FLUSH_FLOATS, np.float32))
            y, t = self._zeros(np.empty(1, np.float32)), self._zeros(np.empty(1, np.int64))
            count = _FLUSH_FLOATS // 4
            self._flush = self.function(reader, False), count // 256, (x, y, np.int32(count), t)
        function, grid, given = self._flush
        function((grid,), (256,), given)

    def launch(self, function: Any, one: Experiment, given: list[Any]) -> None:
        """Launch and return at once."""
        function((one.grid,), (one.block,), tuple(given))

    def milliseconds(self, function: Any, one: Experiment, given: list[Any]) -> float:
        """Launch and time by events."""
        start, end = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        start.record()
        self.launch(function, one, given)
        end.record()
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(start, end))

    def synchronize(self) -> None:
        """Wait; raises what a launch ended with."""
        self._cupy.cuda.runtime.deviceSynchronize()

    def facts(self) -> dict[str, Any]:
        """Return what tells this GPU and its state."""
        runtime = self._cupy.cuda.runtime
        found = runtime.getDeviceProperties(0)
        plain = {k: v for k, v in found.items() if isinstance(v, int | float)}
        name = found["name"]
        return {
            "name": name.decode() if isinstance(name, bytes) else str(name),
            "driver": runtime.driverGetVersion(),
            "runtime": runtime.runtimeGetVersion(),
            "properties": plain,
            "nvidia_smi": smi(),
        }


def smi() -> str:
    """Clocks and power as nvidia-smi tells them; why not, where it doesn't."""
    command = ["nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError) as failed:
        return f"n/a: {failed}"
    return done.stdout.strip() or f"n/a: {done.stderr.strip()}"


def once(gpu: Gpu, chosen: list[Experiment], until: float) -> int:
    """Launch each kernel once; returns how many failed."""
    failed = 0
    for one in chosen:
        if time.monotonic() > until:
            print(f"time is up before {one.name}", flush=True)
            break
        try:
            function, given = gpu.function(one, False), gpu.put(one)
            gpu.launch(function, one, given)
            gpu.synchronize()
        except Exception as error:
            failed += 1
            print(f"{one.name}: {type(error).__name__}: {error}", flush=True)
    return failed


def measure(gpu: Gpu, one: Experiment) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Time a kernel and take its clock readings: in its very first launch and in a later one."""
    row: dict[str, Any] = {"grid": one.grid, "block": one.block, "ms": []}
    readings: dict[str, np.ndarray] = {}
    given = gpu.put(one)
    if one.ticks:
        function = gpu.function(one, True)
        for which in ("first", "later"):
            gpu.launch(function, one, given)
            gpu.synchronize()
            readings[which] = given[-1].get()
            gpu.flush()
            gpu.synchronize()
        if one.steps:
            row["cycles_a_step"] = {
                which: round(float(r[-1] - r[one.passed]) / one.steps, 3)
                for which, r in readings.items()
            }
    function = gpu.function(one, False)
    for _ in range(1 + _REPEATS):
        row["ms"].append(round(gpu.milliseconds(function, one, given), 6))
        gpu.flush()
    gpu.synchronize()
    return row, readings


def plain(gpu: Gpu, chosen: list[Experiment], out: Path, until: float) -> int:
    """Measure every experiment and write the results; returns how many failed."""
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Any] = {}
    kept: dict[str, np.ndarray] = {}
    failed = 0
    facts = gpu.facts()
    print(f"{facts['name']}: {facts['nvidia_smi']}")
    gpu.flush()
    for one in chosen:
        if time.monotonic() > until:
            print(f"time is up before {one.name}")
            break
        try:
            row, readings = measure(gpu, one)
        except Exception as error:
            failed += 1
            row, readings = {"failed": f"{type(error).__name__}: {error}"}, {}
        rows[one.name] = row
        kept |= {f"{one.name}.{which}": r for which, r in readings.items()}
        step = row.get("cycles_a_step", {})
        times = " ".join(f"{ms * 1e3:9.2f}" for ms in row.get("ms", ()))
        clocks = " ".join(f"{v:9.2f}" for v in step.values())
        print(f"{one.name:26} us {times}  cycles/step {clocks} {row.get('failed', '')}", flush=True)
    facts["nvidia_smi_after"] = smi()
    document = {"gpu": facts, "experiments": rows}
    (out / "micro.json").write_text(json.dumps(document, indent=1), "utf-8")
    np.savez_compressed(out / "micro.npz", **kept)
    print(f"{len(rows) - failed} measured, {failed} failed; {out}/micro.json, {out}/micro.npz")
    return failed


def main(argv: list[str] | None = None) -> int:
    """Run; returns 1 when an experiment failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("micro"), help="folder for the results")
    parser.add_argument("--once", action="store_true", help="each once, for a run under ncu")
    parser.add_argument("--only", default="", help="experiments whose name this expression finds")
    parser.add_argument("--every", action="store_true", help="with --once: all, not the usual ones")
    parser.add_argument("--budget", type=float, default=1e9, help="begin none after these seconds")
    parser.add_argument("--cubins", type=Path, help="folder that --build made")
    parser.add_argument("--list", action="store_true", help="show what there is")
    parser.add_argument("--build", type=Path, help="write machine code to this folder")
    parser.add_argument("--arch", default="sm_90", help="of --build and --dry")
    parser.add_argument("--dry", action="store_true", help="run in the simulator, no GPU")
    options = parser.parse_args(argv)
    until = time.monotonic() + options.budget
    chosen = [e for e in experiments() if re.search(options.only, e.name)]
    if options.once and not options.every and not options.only:
        chosen = [e for e in chosen if e.under_ncu]
    if options.list:
        for e in chosen:
            mark = "ncu" if e.under_ncu else ""
            print(f"{e.name:26} {e.grid:6} x {e.block:4} {e.bytes:12,} B {mark:4} {e.identifies}")
        return 0
    if options.build is not None or options.dry:
        from validation.hardware import micro_dry

        if options.build is not None:
            return micro_dry.build(chosen, options.build, options.arch)
        return micro_dry.dry(chosen, options.arch)
    gpu = Gpu(options.cubins)
    if options.once:
        return min(1, once(gpu, chosen, until))
    return min(1, plain(gpu, chosen, options.out, until))


if __name__ == "__main__":
    raise SystemExit(main())
