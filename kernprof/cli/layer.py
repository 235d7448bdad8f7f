"""``kernprof layer``: one layer, and the launches it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.brief import BriefOption, check_format, show_layer
from kernprof.cli.convert import REPORT_SUFFIX, EmbedSource, write
from kernprof.cli.measured_layer import same_once, show_measured, timed, timing, under_ncu
from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    emit_tables,
    notice,
)
from kernprof.cli.what_if import CachesOption, parse_what_if
from kernprof.errors import UnavailableError, UsageError
from kernprof.lowering.launch import Direction, Lowering, Phase
from kernprof.measure.launcher import Backend
from kernprof.networks.counters import Counter
from kernprof.networks.ir import Engine
from kernprof.networks.single import LayerType

if TYPE_CHECKING:
    from pathlib import Path

    from kernprof.devices import Device
    from kernprof.layers import PredictedLaunch, StaticLaunch
    from kernprof.layers.conclusion import Lowered
    from kernprof.lowering.report import LayerReport
    from kernprof.networks.ir import Layer
    from kernprof.timing import Caches, WhatIf


class LayerSource(StrEnum):
    """Where a layer's figures come from."""

    AUTO = "auto"
    STATIC = "static"
    PREDICTED = "predicted"
    TIMED = "timed"
    MEASURED = "measured"


_USUAL = "p100"
# What is shown for a type alone: real layers that people tune.
_EXAMPLES = {
    LayerType.DEPTHWISE: ("mobilenet", "conv5_1/dw"),
    LayerType.POINTWISE: ("mobilenet", "conv5_1/sep"),
    LayerType.CONV: ("squeezenet-v1.0", "fire4/expand3x3"),
    LayerType.GROUPED: ("alexnet", "conv2"),
    LayerType.FC: ("alexnet", "fc8"),
    LayerType.BATCHNORM: ("mobilenet", "conv5_1/dw/bn"),
    LayerType.SCALE: ("mobilenet", "conv5_1/dw/scale"),
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("layer")(layer)


def layer(
    kind: Annotated[
        LayerType | None,
        typer.Option("--type", help="Kind of layer; alone, a real layer of that kind is shown."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Take the layer from this network (or .onnx, .prototxt).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the layer in the network.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="Input channels.")] = None,
    out_channels: Annotated[int | None, typer.Option(help="Output channels.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size: N or HxW.")] = None,
    kernel: Annotated[str | None, typer.Option(help="Window: N or HxW.")] = None,
    stride: Annotated[str | None, typer.Option(help="Stride: N or HxW.")] = None,
    pad: Annotated[str | None, typer.Option(help="Zero padding: N or HxW.")] = None,
    groups: Annotated[int | None, typer.Option(help="Groups.")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="With a bias.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images.")] = 1,
    direction: Annotated[Direction, typer.Option("--pass", help="Passes.")] = Direction.FORWARD,
    lowering: Annotated[
        Lowering, typer.Option(help="How the layer becomes launches.")
    ] = Lowering.CAFFE,
    against: Annotated[
        Lowering | None,
        typer.Option(help="Set this lowering beside it, in short: what would it gain?"),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Caffe's engine for a convolution given by shape; default: cudnn, but caffe for "
            "depthwise ones, as MobileNet's public file has it."
        ),
    ] = Engine.DEFAULT,
    phase: Annotated[Phase, typer.Option(help="Caffe's phase.")] = Phase.TRAIN,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="p100 v100 t4 a100 rtx3090 rtx4090 h100, or an architecture: sm_86; several "
            "(p100,a100,h100) are shown side by side. Default: p100, and the GPU at hand when it "
            "is timed or measured.",
            show_default=False,
        ),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANGE",
            help="The layer on a changed GPU, beside the real one: caches=off, bandwidth=4, "
            "latency=0.5, sms=200, several with commas; may be given again.",
        ),
    ] = None,
    caches: CachesOption = None,
    counter: Annotated[Counter, typer.Option(help="Counting rule.")] = Counter.NETSCOPE,
    source: Annotated[
        LayerSource,
        typer.Option(
            help="static: geometry, resources and bounds, nothing run; predicted: the launches "
            "simulated, with cycles and stalls; auto: predicted where that is possible; timed: run "
            "on the GPU here, checked against numpy and timed by events; measured: run under ncu."
        ),
    ] = LayerSource.AUTO,
    backend: Annotated[
        Backend, typer.Option(help="What launches, for timed and measured: cupy, pycuda, numba.")
    ] = Backend.CUPY,
    repeats: Annotated[
        int, typer.Option(min=1, help="Counted runs of each launch, for timed.")
    ] = 20,
    warmup: Annotated[
        int, typer.Option(min=0, help="Runs before them that are not counted, for timed.")
    ] = 3,
    rotate: Annotated[
        int,
        typer.Option(
            min=0,
            help="For timed: 0 overwrites the L2 before each run; N uses N sets of buffers in turn "
            "instead (1: warm caches).",
        ),
    ] = 0,
    once: Annotated[
        bool,
        typer.Option("--once", help="For timed: launch each once, unchecked (under a profiler)."),
    ] = False,
    clock_control: Annotated[
        str,
        typer.Option(
            help="For measured: base, clocks locked to base as a prediction has them; none, left "
            "as they are."
        ),
    ] = "base",
    embed_source: EmbedSource = False,
    brief: BriefOption = False,
    alternatives: Annotated[
        bool,
        typer.Option(
            "--alternatives/--no-alternatives",
            help="Also predict another lowering that is cheap to simulate, for the conclusion.",
        ),
    ] = True,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Show a layer: its cost, and the kernel launches it becomes on a GPU."""
    from kernprof.devices import find
    from kernprof.layers import static_launches
    from kernprof.layers.conclusion import Lowered, cheap_alternative, conclude, same_work
    from kernprof.lowering.options import LoweringOptions
    from kernprof.lowering.report import layer_report
    from kernprof.measure.launcher import open_launcher
    from kernprof.view import layers as view
    from kernprof.view.document import dump
    from kernprof.view.table import to_csv

    check_outputs({"-o": output}, [network] if network else [], force=force)
    on_gpu = source in (LayerSource.TIMED, LayerSource.MEASURED)
    if gpu is not None and on_gpu:
        raise UsageError(f"--source {source} takes the GPU that is here; leave --gpu out")
    if what_if and source not in (LayerSource.AUTO, LayerSource.PREDICTED):
        raise UsageError(f"--what-if changes a prediction; leave --source {source} out")
    if brief or against is not None:
        check_format(fmt)
        if on_gpu or what_if or "," in (gpu or ""):
            raise UsageError("--brief and --against show predictions for one GPU as it is")
    if source is LayerSource.TIMED and output is not None and output.suffix == REPORT_SUFFIX:
        raise UsageError(f"-o {output}: a report needs --source measured")
    if caches and source not in (LayerSource.AUTO, LayerSource.PREDICTED):
        raise UsageError(f"--caches belongs to a prediction; leave --source {source} out")
    launcher = open_launcher(backend) if on_gpu else None
    devices = [find(part.strip()) for part in (gpu or _USUAL).split(",")]
    device = devices[0] if launcher is None else launcher.facts().device
    shape = {
        "in_channels": in_channels,
        "out_channels": out_channels,
        "size": _pair("size", size),
        "kernel": _pair("kernel", kernel),
        "stride": _pair("stride", stride),
        "pad": _pair("pad", pad),
        "groups": groups,
    }
    given = {key: value for key, value in shape.items() if value is not None}
    found, of = _layer(kind, network, name, given, bias, engine)
    options = LoweringOptions(
        lowering=lowering,
        direction=direction,
        batch=batch,
        phase=phase,
        sm_count=device.sm_count,
    )
    report = layer_report(found, options, network=of, counter=counter)
    if brief or against is not None:
        others = [] if against is None else [same_work(options, report, against)]
        reports = [report, *(layer_report(found, o, network=of, counter=counter) for o in others)]
        show_layer([_lowered(each, device, source) for each in reports], fmt, output)
        return
    if len(devices) > 1 or what_if:
        changes = ["", *(what_if or ())]
        _show_side_by_side(report, devices, changes, source, fmt, output, embed_source, caches)
        return
    statics = static_launches(report.launches, device)
    if launcher is not None:
        if source is LayerSource.TIMED:
            how = timing(warmup, repeats, rotate, once)
            measured = timed(statics, launcher, device, report.name, how, check=not once)
        else:
            again = same_once(kind, network, name, shape, bias, batch, options, engine, backend)
            measured = under_ncu(statics, again, report.name, output, clock_control)
        show_measured(report, statics, device, measured, fmt, output)
        return
    predicted = _predicted(statics, device, source, report.name, caches=caches)
    if output is not None and output.suffix == REPORT_SUFFIX:
        if not predicted:
            raise UsageError(
                f"-o {output}: only predicted launches make a report; see --source predicted"
            )
        write([p.profile for p in predicted], output, embed_source=embed_source)
        return
    lowered = [Lowered(report, device, statics, predicted)]
    if predicted and alternatives:
        other = cheap_alternative(found, report, device, network=of, counter=counter)
        if other is not None:
            times = _predicted(other[1], device, source, report.name, caches=caches)
            lowered.append(Lowered(other[0], device, other[1], times))
    conclusion = conclude(lowered)
    if fmt is Format.JSON:
        emit(dump(view.layer_document(report, statics, device, predicted, conclusion)), output)
    elif fmt is Format.CSV:
        emit(to_csv(view.flat_table(report, statics, device, predicted, conclusion)), output)
    else:
        tables = [view.launch_table(report, statics, device)]
        if predicted:
            tables += view.predicted_tables(predicted, device, conclusion)
        lines = "\n".join(view.layer_lines(report)) + "\n\n"
        emit_tables(tables, fmt, output, head=lines)


def _show_side_by_side(
    report: LayerReport,
    devices: Sequence[Device],
    changes: Sequence[str],
    source: LayerSource,
    fmt: Format,
    output: Path | None,
    embed_source: bool,
    caches: Caches | None,
) -> None:
    """Print or save the layer on several GPUs."""
    from kernprof.layers import static_launches
    from kernprof.view.document import dump
    from kernprof.view.gpus import OnGpu, gpu_tables, gpus_document, gpus_flat_table
    from kernprof.view.layers import layer_lines
    from kernprof.view.table import to_csv

    asked = {change: parse_what_if([change]) for change in changes if change}
    found = []
    for device in devices:
        statics = static_launches(report.launches, device)
        for change in changes:
            name = ", ".join(filter(None, [f"{report.name} on {device.name}", change]))
            predicted = _predicted(statics, device, source, name, asked.get(change), caches)
            found.append(OnGpu(device, statics, predicted, change))
    if output is not None and output.suffix == REPORT_SUFFIX:
        profiles = [p.profile for one in found for p in one.predicted]
        if not profiles:
            raise UsageError(f"-o {output}: only predicted launches make a report")
        write(profiles, output, embed_source=embed_source)
        return
    if fmt is Format.JSON:
        emit(dump(gpus_document(report, found)), output)
        return
    if fmt is Format.CSV:
        emit(to_csv(gpus_flat_table(report, found)), output)
        return
    tables = gpu_tables(report, found)
    lines = "\n".join(layer_lines(report)) + "\n\n"
    emit_tables(tables, fmt, output, head=lines)


def _lowered(report: LayerReport, device: Device, source: LayerSource) -> Lowered:
    """Compile, and where possible simulate, a layer's launches."""
    from kernprof.layers import static_launches
    from kernprof.layers.conclusion import Lowered

    statics = static_launches(report.launches, device)
    return Lowered(report, device, statics, _predicted(statics, device, source, report.name))


def _predicted(
    statics: Sequence[StaticLaunch],
    device: Device,
    source: LayerSource,
    name: str,
    what_if: WhatIf | None = None,
    caches: Caches | None = None,
) -> Sequence[PredictedLaunch]:
    """Simulate the launches where that is wanted and possible."""
    from kernprof.layers import can_predict, predict_launches, too_large

    if source is LayerSource.STATIC:
        return ()
    large = too_large(statics)
    if large and source is LayerSource.PREDICTED:
        raise UsageError(f"can't predict: {large}; take a smaller --batch, or --source static")
    reason = large or can_predict(device)
    if reason and source is LayerSource.PREDICTED:
        raise UsageError(f"can't predict: {reason}; take another --gpu, or --source static")
    if reason:
        notice(f"cycles and stalls are not predicted: {reason}")
        return ()
    try:
        return predict_launches(statics, device, origin=name, what_if=what_if, caches=caches)
    except UnavailableError as missing:
        if source is LayerSource.PREDICTED:
            raise
        notice(f"cycles and stalls are not predicted: {missing}")
        return ()


def _layer(
    kind: LayerType | None,
    network: str | None,
    name: str | None,
    given: Mapping[str, object],
    bias: bool,
    engine: Engine,
) -> tuple[Layer, str | None]:
    """Find the layer that the options describe, and the network it is from."""
    from kernprof.networks.files import resolve_network
    from kernprof.networks.single import single_layer

    if network is not None:
        if name is None:
            raise UsageError("--network needs --name, the layer's name")
        if given:
            options = ", ".join("--" + key.replace("_", "-") for key in given)
            raise UsageError(f"a layer of a network has its shape already; leave out {options}")
        net = resolve_network(network)
        return net.layer(name), net.name
    if name is not None:
        raise UsageError("--name names a layer of a network; give --network too")
    if kind is None:
        raise UsageError("say which layer: --type, or --network and --name")
    if not given:
        of, example = _EXAMPLES[kind]
        net = resolve_network(of)
        return net.layer(example), net.name
    if "in_channels" not in given:
        raise UsageError("a layer given by shape needs --in-channels")
    if engine is Engine.DEFAULT and kind is LayerType.DEPTHWISE:
        engine = Engine.CAFFE
    return single_layer(kind, bias=bias, engine=engine, **given), None  # type: ignore[arg-type]


def _pair(option: str, text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise UsageError(f"--{option} {text!r}: expected N or HxW, such as 3 or 3x1")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))
