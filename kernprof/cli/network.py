"""``kernprof network``: what networks cost, and the launches they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.output import (
    Format,
    FormatOption,
    OutputOption,
    emit,
    notice,
    terminal_width,
    use_color,
)
from kernprof.errors import UsageError
from kernprof.lowering.launch import Direction, Lowering, Phase
from kernprof.networks.counters import Counter

if TYPE_CHECKING:
    from rich.progress import TaskID

    from kernprof.layers import NetworkPrediction
    from kernprof.lowering.options import LoweringOptions
    from kernprof.networks.ir import Network, Shape


class NetworkSource(StrEnum):
    """Where a network's figures come from."""

    STATIC = "static"
    PREDICTED = "predicted"


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
            "a network), time and shares by kernel family."
        ),
    ] = NetworkSource.STATIC,
    gpu: Annotated[
        str,
        typer.Option(help="For predicted: p100 v100 t4 a100 rtx3090 rtx4090 h100, or sm_86."),
    ] = "p100",
    input_shape: Annotated[
        str | None,
        typer.Option("--input", help="CxHxW of one image, for files that leave it open."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Data type of the sizes in bytes.")] = "float32",
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Count networks' MACs, parameters and activations, and the launches they become."""
    from kernprof.lowering.options import LoweringOptions
    from kernprof.lowering.report import network_report
    from kernprof.networks.files import resolve_network
    from kernprof.networks.registry import PAPER_NETWORKS, network_names
    from kernprof.view import networks as view
    from kernprof.view.document import SCHEMA, dump
    from kernprof.view.table import to_csv, to_markdown, to_terminal

    if show_list:
        emit("\n".join(network_names()) + "\n", output)
        return
    wanted = [*(PAPER_NETWORKS if all_of_paper else ()), *(names or ())]
    if not wanted:
        raise UsageError("name at least one network, or give --all; --list names the known ones")
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
    predicted: dict[str, NetworkPrediction] = {}
    if source is NetworkSource.PREDICTED:
        networks = [resolve_network(name, input_shape=shape) for name in dict.fromkeys(wanted)]
        predicted = _predict(networks, gpu, options)
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
    if fmt is Format.MD:
        emit("\n".join(to_markdown(table) for table in tables), output)
        return
    width, color = terminal_width(output), use_color(output)
    emit("\n".join(to_terminal(t, width=width, color=color) for t in tables), output)


def _predict(
    networks: Sequence[Network], gpu: str, options: LoweringOptions
) -> dict[str, NetworkPrediction]:
    """Simulate networks one after the other, with a progress bar where someone looks."""
    from rich.console import Console
    from rich.progress import Progress

    from kernprof.devices import find
    from kernprof.layers import can_predict, predict_network

    device = find(gpu)
    reason = can_predict(device)
    if reason:
        raise UsageError(f"can't predict: {reason}; take another --gpu, or --source static")
    found = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for network in networks:
            task = bar.add_task(network.name, total=None)

            def step(done: int, total: int, task: TaskID = task) -> None:
                bar.update(task, completed=done, total=total)

            found[network.name] = predict_network(network, device, options, progress=step)
    return found


def _shape(text: str | None) -> Shape | None:
    from kernprof.networks.ir import Shape

    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UsageError(f"--input {text!r}: expected CxHxW, such as 3x224x224") from None
    return Shape(channels, height, width)
