"""``kernprof layer`` on a GPU: timed by events, or measured under ncu."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kernprof.cli.convert import REPORT_SUFFIX
from kernprof.cli.output import Format, emit, emit_tables, notice
from kernprof.errors import UnavailableError

if TYPE_CHECKING:
    from kernprof.devices import Device
    from kernprof.layers import StaticLaunch
    from kernprof.layers.measured import MeasuredLaunch
    from kernprof.lowering.options import LoweringOptions
    from kernprof.lowering.report import LayerReport
    from kernprof.measure.launcher import Backend, Launcher
    from kernprof.measure.timing import TimingOptions
    from kernprof.networks.ir import Engine
    from kernprof.networks.single import LayerType


def timing(warmup: int, repeats: int, rotate: int, once: bool) -> TimingOptions:
    """Return how the options say that launches are timed."""
    from kernprof.measure.timing import TimingOptions

    if once:
        # Nothing else may be launched: a profiler would list it.
        return TimingOptions(warmup=0, repeats=1, flush_l2=False)
    return TimingOptions(warmup=warmup, repeats=repeats, flush_l2=not rotate, rotate=max(rotate, 1))


def timed(
    statics: Sequence[StaticLaunch],
    launcher: Launcher,
    device: Device,
    name: str,
    how: TimingOptions,
    *,
    check: bool,
) -> Sequence[MeasuredLaunch]:
    """Run the launches and time them by events."""
    from kernprof.layers.measured import measure_launches
    from kernprof.measure.nvml import Nvml
    from kernprof.measure.timing import nvtx_range

    try:
        clocks = Nvml().clocks_mhz
    except UnavailableError:
        clocks = None
    with nvtx_range(name):
        done = measure_launches(
            statics, launcher, device, options=how, check=check, origin=name, clocks=clocks
        )
    for one in done:
        if one.right is False:
            notice(f"{one.static.kernel.name}: WRONG RESULT (error {one.error:.2g})")
    return done


def under_ncu(
    statics: Sequence[StaticLaunch],
    again: Sequence[str],
    name: str,
    output: Path | None,
    clock_control: str,
) -> Sequence[MeasuredLaunch]:
    """Run the same command under ncu, each launch once, and read the report."""
    import tempfile

    from kernprof.cli.profile import collect_into
    from kernprof.layers.measured import under_profiler
    from kernprof.measure.collect import CollectOptions

    names = "|".join(dict.fromkeys(s.kernel.name for s in statics))
    options = CollectOptions(
        set_name="memory", kernel=f"regex:^({names})$", clock_control=clock_control
    )
    keep = output if output is not None and output.suffix == REPORT_SUFFIX else None
    with tempfile.TemporaryDirectory(prefix="kernprof-") as folder:
        done = collect_into(folder, keep, again, options)
    for note in done.notes:
        notice(note)
    return under_profiler(statics, done.profiles, name)


def same_once(
    kind: LayerType | None,
    network: str | None,
    name: str | None,
    shape: Mapping[str, object],
    bias: bool,
    batch: int,
    options: LoweringOptions,
    engine: Engine,
    backend: Backend,
) -> list[str]:
    """Return the command that launches the same layer once, for a profiler."""
    words = [sys.executable, "-m", "kernprof", "layer", "--source", "timed", "--once"]
    # Its own table would stand among the profiler's messages.
    words += ["--output", os.devnull]
    words += ["--backend", str(backend), "--batch", str(batch), "--engine", str(engine)]
    words += ["--pass", str(options.direction), "--lowering", str(options.lowering)]
    words += ["--phase", str(options.phase)]
    for option, value in (("--type", kind), ("--network", network), ("--name", name)):
        words += [] if value is None else [option, str(value)]
    for key, extent in shape.items():
        if extent is not None:
            text = "x".join(map(str, extent)) if isinstance(extent, tuple) else str(extent)
            words += ["--" + key.replace("_", "-"), text]
    return [*words, "--bias"] if bias else words


def show_measured(
    report: LayerReport,
    statics: Sequence[StaticLaunch],
    device: Device,
    measured: Sequence[MeasuredLaunch],
    fmt: Format,
    output: Path | None,
) -> None:
    """Print or save what was measured."""
    from kernprof.view import layers as view
    from kernprof.view.document import dump
    from kernprof.view.measured import measured_tables
    from kernprof.view.table import to_csv

    if output is not None and output.suffix == REPORT_SUFFIX:
        # The profiler's own report is there; the result is shown beside it.
        output = None
    if fmt is Format.JSON:
        emit(dump(view.layer_document(report, statics, device, measured=measured)), output)
        return
    tables = [
        view.launch_table(report, statics, device),
        *measured_tables(measured, device.name),
    ]
    if fmt is Format.CSV:
        emit(to_csv(tables[1]), output)
        return
    lines = "\n".join(view.layer_lines(report)) + "\n\n"
    emit_tables(tables, fmt, output, head=lines)
