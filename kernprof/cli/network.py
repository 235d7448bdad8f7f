"""``kernprof network``: what networks cost, and the launches they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    emit_tables,
    notice,
    progress_bar,
)
from kernprof.cli.what_if import CachesOption
from kernprof.errors import UsageError
from kernprof.lowering.launch import Direction, Lowering, Phase
from kernprof.measure.launcher import Backend
from kernprof.networks.counters import Counter

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kernprof.layers import NetworkPrediction
    from kernprof.lowering.options import LoweringOptions
    from kernprof.lowering.report import NetworkReport
    from kernprof.networks.ir import Network, Shape
    from kernprof.timing import Caches


class NetworkSource(StrEnum):
    """Where a network's figures come from."""

    STATIC = "static"
    PREDICTED = "predicted"
    MEASURED = "measured"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("network")(network)


def network(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="Known networks, or files: .onnx, Caffe's .prototxt. --list names the known ones.",
            show_default=False,
        ),
    ] = None,
    all_of_paper: Annotated[
        bool, typer.Option("--all", help="The twelve networks of the paper's Table II.")
    ] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Name the known networks.")] = False,
    counter: Annotated[
        Counter, typer.Option(help="Counting rule: the paper's, its equations, or blobs.")
    ] = Counter.NETSCOPE,
    launches: Annotated[
        bool, typer.Option("--launches", help="Show the launches by kernel family.")
    ] = False,
    direction: Annotated[
        Direction, typer.Option("--pass", help="Passes whose launches are counted.")
    ] = Direction.BOTH,
    lowering: Annotated[
        Lowering, typer.Option(help="How layers become launches.")
    ] = Lowering.CAFFE,
    phase: Annotated[Phase, typer.Option(help="Caffe's phase.")] = Phase.TRAIN,
    data_gradients: Annotated[
        bool | None,
        typer.Option(
            "--data-gradients/--no-data-gradients",
            help="Whether gradients of the layers' inputs are computed. By default not with the "
            "caffe lowering (a file without a loss layer), else yes.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images per iteration.")] = 1,
    source: Annotated[
        NetworkSource,
        typer.Option(
            help="static: counted, nothing run; predicted: every launch simulated (a minute or so "
            "a network), time and shares by kernel family; measured: run launch by launch on the "
            "GPU here: latency, throughput, memory, energy, shares."
        ),
    ] = NetworkSource.STATIC,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="For predicted: p100 v100 t4 a100 rtx3090 rtx4090 h100, or sm_86; default: p100.",
            show_default=False,
        ),
    ] = None,
    caches: CachesOption = None,
    backend: Annotated[
        Backend, typer.Option(help="What launches, for measured: cupy, pycuda, numba.")
    ] = Backend.CUPY,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Largest batch of the throughput's sweep, for measured.")
    ] = 64,
    input_shape: Annotated[
        str | None,
        typer.Option("--input", help="CxHxW of one image, for files that leave it open."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Data type of the sizes in bytes.")] = "float32",
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Count networks' MACs, parameters and activations, and the launches they become."""
    from kernprof.lowering.options import LoweringOptions
    from kernprof.lowering.report import network_report
    from kernprof.networks.files import resolve_network
    from kernprof.networks.registry import PAPER_NETWORKS, network_names
    from kernprof.view import networks as view
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import to_csv

    check_outputs({"-o": output}, names or [], force=force)
    if show_list:
        emit("\n".join(network_names()) + "\n", output)
        return
    wanted = [*(PAPER_NETWORKS if all_of_paper else ()), *(names or ())]
    if not wanted:
        raise UsageError("name at least one network, or give --all; --list names the known ones")
    if caches and source is not NetworkSource.PREDICTED:
        raise UsageError("--caches belongs to a prediction; add --source predicted")
    options = LoweringOptions(
        lowering=lowering,
        direction=direction,
        batch=batch,
        phase=phase,
        data_gradients=data_gradients,
    )
    # A table only lists launches when asked; the other formats always carry them.
    lowered = options if launches or fmt in (Format.JSON, Format.CSV) else None
    shape = _shape(input_shape)
    reports = [
        network_report(
            resolve_network(name, input_shape=shape), counter=counter, lowering=lowered, dtype=dtype
        )
        for name in dict.fromkeys(wanted)
    ]
    for report in reports:
        if report.unsupported:
            notice(f"{report.network}: {len(report.unsupported)} operation(s) are not counted")
    if source is NetworkSource.MEASURED:
        if gpu is not None:
            raise UsageError("--source measured takes the GPU that is here; leave --gpu out")
        networks = [resolve_network(name, input_shape=shape) for name in dict.fromkeys(wanted)]
        _show_measured(networks, reports, options, backend, max_batch, fmt, output)
        return
    predicted: dict[str, NetworkPrediction] = {}
    if source is NetworkSource.PREDICTED:
        networks = [resolve_network(name, input_shape=shape) for name in dict.fromkeys(wanted)]
        predicted = _predict(networks, gpu or "p100", options, caches)
    if fmt is Format.JSON:
        records = [view.network_record(r, predicted.get(r.network)) for r in reports]
        emit(dump({"schema": SCHEMA, "networks": records}), output)
        return
    if fmt is Format.CSV:
        emit(to_csv(view.flat_table(reports)), output)
        return
    tables = [view.totals_table(reports)]
    if launches:
        tables.append(view.launches_table(reports, options))
    pairs = [(r, predicted[r.network]) for r in reports if r.network in predicted]
    tables += [view.predicted_table(report, made) for report, made in pairs]
    agreement = view.agreement_note(pairs)
    if agreement is not None:
        last = tables[-1]
        tables[-1] = replace(last, notes=(*last.notes, agreement))
    energies = view.energy_table(pairs)
    if energies is not None:
        tables.append(energies)
    emit_tables(tables, fmt, output)


def _predict(
    networks: Sequence[Network], gpu: str, options: LoweringOptions, caches: Caches | None
) -> dict[str, NetworkPrediction]:
    """Simulate networks one after the other, with a progress bar where someone looks."""
    from kernprof.devices import find
    from kernprof.layers import can_predict, predict_network

    device = find(gpu)
    reason = can_predict(device)
    if reason:
        raise UsageError(f"can't predict: {reason}; take another --gpu, or --source static")
    found = {}
    with progress_bar() as bar:
        for network in networks:
            task = bar.add_task(network.name, total=None)

            def step(done: int, total: int, task: TaskID = task) -> None:
                bar.update(task, completed=done, total=total)

            found[network.name] = predict_network(
                network, device, options, progress=step, caches=caches
            )
    return found


def _show_measured(
    networks: Sequence[Network],
    reports: Sequence[NetworkReport],
    options: LoweringOptions,
    backend: Backend,
    max_batch: int,
    fmt: Format,
    output: Path | None,
) -> None:
    """Run networks on the GPU here, one after the other, and show what they take."""
    from kernprof.errors import UnavailableError
    from kernprof.layers.measured_network import BATCHES, measure_network
    from kernprof.measure.launcher import open_launcher
    from kernprof.measure.nvml import Nvml
    from kernprof.view import measured as view
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.networks import network_record
    from kernprof.view.table import to_csv

    launcher = open_launcher(backend)
    device = launcher.facts().device
    nvml, why = None, ""
    try:
        nvml = Nvml()
    except UnavailableError as missing:
        why = str(missing)
        notice(f"energy is not measured: {why}")
    found = []
    with progress_bar() as bar:
        for network in networks:
            task = bar.add_task(network.name, total=None)

            def step(what: str, done: int, total: int, task: TaskID = task) -> None:
                bar.update(task, description=what, completed=done, total=total)

            found.append(
                measure_network(
                    network,
                    launcher,
                    device,
                    options,
                    nvml=nvml,
                    no_energy=why,
                    batches=[b for b in BATCHES if b <= max_batch],
                    progress=step,
                )
            )
    if fmt is Format.JSON:
        records = [
            {**network_record(report), **view.network_record(one)}
            for report, one in zip(reports, found, strict=True)
        ]
        emit(dump({"schema": SCHEMA, "networks": records}), output)
        return
    published = [None if r.published is None else r.published.run for r in reports]
    tables = [view.network_table(list(zip(found, published, strict=True)))]
    tables += [view.batch_table(one) for one in found]
    if fmt is Format.CSV:
        emit(to_csv(tables[0]), output)
    else:
        emit_tables(tables, fmt, output)


def _shape(text: str | None) -> Shape | None:
    from kernprof.networks.ir import Shape

    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--input {text!r}: expected CxHxW, such as 3x224x224") from None
    return Shape(channels, height, width)
