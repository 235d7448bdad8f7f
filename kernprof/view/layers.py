"""Tables and records of ``kernprof layer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kernprof.advice.advise import advise_analysed
from kernprof.devices.model import Device
from kernprof.layers import PredictedLaunch, StaticLaunch, profile_of, total_energy
from kernprof.layers.conclusion import Conclusion
from kernprof.layers.measured import MeasuredLaunch
from kernprof.lowering.report import LayerReport
from kernprof.stalls.analysis import LaunchAnalysis, analyse
from kernprof.view.advice import advice_lines, advice_records
from kernprof.view.conclusion import conclusion_record, sentences
from kernprof.view.document import SCHEMA, profile_record
from kernprof.view.energy import energy_note, energy_record, joules
from kernprof.view.stalls import duration
from kernprof.view.stalls import launch_table as table_v
from kernprof.view.table import Cell, Table

_CAUSES = 2
"""Likely causes that are shown of a kernel."""


def layer_lines(report: LayerReport) -> list[str]:
    """Return what the layer is and what it costs, as lines of text."""
    window = ""
    if report.kernel is not None and report.stride is not None and report.pad is not None:
        window = (
            f", kernel {_pair(report.kernel)}, stride {_pair(report.stride)}, pad "
            f"{_pair(report.pad)}"
        )
    groups = f", {report.groups} groups" if report.groups not in (None, 1) else ""
    where = f" of {report.network}" if report.network else ""
    return [
        f"{report.name}{where}: {report.kind} {report.in_shape} -> {report.out_shape}"
        f"{window}{groups}, batch {report.batch}",
        f"{report.macs:,} MACs, {report.params:,} parameters, {report.activations:,} activations "
        f"({report.counter}); {report.intensity_flop_per_byte:.2f} FLOP/byte at {report.dtype}",
    ]


def launch_table(report: LayerReport, statics: Sequence[StaticLaunch], device: Device) -> Table:
    """Return the layer's launches on a GPU, grouped by family."""
    families = list(dict.fromkeys(s.kernel.family for s in statics))
    ordered = sorted(statics, key=lambda s: families.index(s.kernel.family))
    rows: list[list[Cell]] = [
        [
            static.kernel.family,
            static.kernel.name + ("*" if static.launch.stand_in else ""),
            f"{static.launch.direction}: {static.launch.purpose}",
            static.launch.count,
            str(static.geometry.grid),
            str(static.geometry.block),
            static.registers,
            static.static_shared_bytes + static.geometry.dynamic_shared_bytes,
            f"{static.occupancy.occupancy_pct:.1f}",
            ", ".join(str(name) for name in static.occupancy.limiters),
            f"{static.waves:.3g}",
            duration(static.least_time_ns),
            "-" if static.roofline is None else static.roofline.kind,
        ]
        for static in ordered
    ]
    columns = [
        "Family",
        "Kernel",
        "Purpose",
        "Launches",
        "Grid",
        "Block",
        "Regs",
        "Shared B",
        "Occ. %",
        "limited by",
        "Waves",
        "Time at least",
        "bound by",
    ]
    return Table("", columns, rows, _notes(report, statics, device), align="lllrrrrrrlrrl")


def predicted_tables(
    predicted: Sequence[PredictedLaunch], device: Device, conclusion: Conclusion | None = None
) -> list[Table]:
    """Return where the layer's time goes, and Table V for each family's longest launch.

    Under the second table stand the likely causes and the conclusion.
    """
    from kernprof.timing.accuracy import model_error

    families = list(dict.fromkeys(p.static.kernel.family for p in predicted))
    ordered = sorted(predicted, key=lambda p: families.index(p.static.kernel.family))
    total = sum(p.time_ns or 0.0 for p in predicted)
    rows: list[list[Cell]] = []
    for p in ordered:
        analysis = analyse(p.profile)
        top = analysis.stalls.top(2) if analysis.stalls is not None else []
        rows.append(
            [
                p.static.kernel.name + ("*" if p.static.launch.stand_in else ""),
                f"{p.static.launch.direction}: {p.static.launch.purpose}",
                p.static.launch.count,
                int(p.timing.execution.executed.sum()),
                f"{p.cycles.cycles:,.0f}" + _sampled(p),
                duration(p.profile.duration_ns),
                duration(p.time_ns),
                100 * (p.time_ns or 0.0) / total if total else None,
                None if p.energy is None else joules(p.energy.total.mid * p.static.launch.count),
                str(analysis.verdict.bound),
                ", ".join(f"{name} {share:.0f}" for name, share in top),
            ]
        )
    columns = [
        "Kernel",
        "Purpose",
        "Launches",
        "Warp inst.",
        "Cycles",
        "Time of one",
        "Time of all",
        "Share %",
        "Energy",
        "Bound by",
        "Top stalls %",
    ]
    clock = next((p.timing.clock_mhz for p in predicted if p.timing.clock_mhz), None)
    notes = [
        f"predicted: {duration(total)} in all on {device.name}"
        + (f" at {clock:.0f} MHz" if clock else "")
        + ", caches cold at each launch, gaps between launches left out. Warp instructions are "
        "exact.",
        model_error().sentence,
    ]
    if predicted:
        notes.append(energy_note(total_energy(predicted), _no_energy(device)))
    if any(not p.timing.finished for p in predicted):
        notes.append("+- what extrapolating from the simulated part of a launch leaves open.")
    longest = {
        family: max(
            (p for p in predicted if p.static.kernel.family == family),
            key=lambda p: p.time_ns or 0.0,
        )
        for family in families
    }
    analyses = [analyse(p.profile) for p in longest.values()]
    made = [Table("", columns, rows, notes, align="llrrrrrrrll")]
    ends = [line for analysis in analyses for line in _causes(analysis)]
    if conclusion is not None:
        ends += ["Conclusion: " + " ".join(sentences(conclusion))]
    if analyses:
        made.append(replace(table_v(analyses, top=3), notes=ends))
    return made


def _causes(analysis: LaunchAnalysis) -> list[str]:
    """Return the likely causes behind the longest launch of a kernel, as lines."""
    found = advice_lines(advise_analysed(analysis), most=_CAUSES)
    return [f"Likely causes for {analysis.profile.kernel}:", *found] if found else []


def _no_energy(device: Device) -> str:
    from kernprof.timing.energy import why_not

    return why_not(device)


def _sampled(p: PredictedLaunch) -> str:
    return "" if p.timing.finished else f" +-{p.cycles.sampling_pct:.0f} %"


def layer_document(
    report: LayerReport,
    statics: Sequence[StaticLaunch],
    device: Device,
    predicted: Sequence[PredictedLaunch] = (),
    conclusion: Conclusion | None = None,
    measured: Sequence[MeasuredLaunch] = (),
) -> dict[str, Any]:
    """Return the document of ``kernprof layer --format json``."""
    profiles = []
    for position, static in enumerate(statics):
        if predicted:
            profile = predicted[position].profile
        elif measured:
            profile = measured[position].profile
        else:
            profile = profile_of(static, device, f"{report.name}#{position}")
        record = profile_record(analyse(profile))
        if predicted:
            record["advice"] = advice_records(advise_analysed(analyse(profile)))
            whole = predicted[position].cycles
            record["cycles_range"] = [whole.low, whole.high]
            record["simulated_pct"] = whole.simulated_pct
            record["energy_j"] = energy_record(predicted[position].energy)
        if measured:
            record["spread_pct"] = measured[position].spread_pct
            record["error"] = measured[position].error
            record["right"] = measured[position].right
        record["launch"] = {
            "direction": str(static.launch.direction),
            "purpose": str(static.launch.purpose),
            "library": str(static.launch.library),
            "stand_in": static.launch.stand_in,
            "shape": static.launch.shape,
        }
        record["flops"] = static.flops
        record["bytes"] = static.bytes_moved
        record["least_time_ns"] = None if static.roofline is None else static.roofline.time_ns
        record["least_time_limit"] = None if static.roofline is None else static.roofline.kind
        profiles.append(record)
    document = {"schema": SCHEMA, "layer": layer_record(report), "profiles": profiles}
    if predicted:
        from kernprof.timing.accuracy import model_error

        document["model_error"] = model_error().record()
    if conclusion is not None:
        document["conclusion"] = conclusion_record(conclusion)
    return document


def layer_record(report: LayerReport) -> dict[str, Any]:
    """Return the layer as the JSON contract has it."""
    return {
        "type": report.kind,
        "network": report.network,
        "name": report.name,
        "in_channels": report.in_shape.channels,
        "out_channels": report.out_shape.channels,
        "in_size": [report.in_shape.height, report.in_shape.width],
        "out_size": [report.out_shape.height, report.out_shape.width],
        "kernel": None if report.kernel is None else list(report.kernel),
        "stride": None if report.stride is None else list(report.stride),
        "pad": None if report.pad is None else list(report.pad),
        "groups": report.groups,
        "batch": report.batch,
        "params": report.params,
        "activations": report.activations,
        "macs": report.macs,
        "counter": str(report.counter),
        "intensity_flop_per_byte": report.intensity_flop_per_byte,
        "pass": str(report.options.direction),
        "lowering": str(report.options.lowering),
    }


def flat_table(
    report: LayerReport,
    statics: Sequence[StaticLaunch],
    device: Device,
    predicted: Sequence[PredictedLaunch] = (),
    conclusion: Conclusion | None = None,
) -> Table:
    """Return one row a distinct launch, for CSV; the conclusion stands in the first."""
    columns = [
        "layer",
        "network",
        "gpu",
        "source",
        "family",
        "kernel",
        "direction",
        "purpose",
        "library",
        "stand_in",
        "launches",
        "grid",
        "block",
        "registers",
        "shared_static_bytes",
        "shared_dynamic_bytes",
        "theoretical_occupancy_pct",
        "occupancy_limiters",
        "waves",
        "flops",
        "bytes",
        "least_time_ns",
        "least_time_limit",
        "warp_instructions",
        "cycles",
        "time_ns",
        "energy_j",
        "energy_low_j",
        "energy_high_j",
        "conclusion",
    ]
    said = None if conclusion is None else " ".join(sentences(conclusion))
    rows: list[list[Cell]] = [
        [
            report.name,
            report.network,
            device.name,
            "predicted" if predicted else "static",
            static.kernel.family,
            static.kernel.name,
            str(static.launch.direction),
            str(static.launch.purpose),
            str(static.launch.library),
            str(static.launch.stand_in).lower(),
            static.launch.count,
            str(static.geometry.grid),
            str(static.geometry.block),
            static.registers,
            static.static_shared_bytes,
            static.geometry.dynamic_shared_bytes,
            static.occupancy.occupancy_pct,
            " ".join(str(name) for name in static.occupancy.limiters),
            static.waves,
            static.flops,
            static.bytes_moved,
            None if static.roofline is None else static.roofline.time_ns,
            None if static.roofline is None else static.roofline.kind,
            *_counted(predicted[position] if predicted else None),
            said if position == 0 else None,
        ]
        for position, static in enumerate(statics)
    ]
    return Table("", columns, rows)


def _counted(p: PredictedLaunch | None) -> tuple[Cell, ...]:
    """Warp instructions, cycles, time and energy of one launch."""
    if p is None:
        return (None,) * 6
    energy = None if p.energy is None else p.energy.total
    return (
        int(p.timing.execution.executed.sum()),
        p.cycles.cycles,
        p.profile.duration_ns,
        *((None,) * 3 if energy is None else (energy.mid, energy.low, energy.high)),
    )


def _notes(report: LayerReport, statics: Sequence[StaticLaunch], device: Device) -> list[str]:
    launches = sum(static.launch.count for static in statics)
    least = sum(static.least_time_ns for static in statics)
    clock = f" at {device.boost_clock_mhz:.0f} MHz" if device.boost_clock_mhz else ""
    notes = [
        f"static: {launches:,} launches on {device.name} ({device.arch.name}), lowering "
        f"{report.options.lowering}; compiled, not run.",
        f"Time at least: operations (taps in the padding too) over peak FP32 rate{clock}, or least "
        f"traffic over peak DRAM bandwidth, of all launches of the row; {duration(least)} in all, "
        "launch overhead left out.",
    ]
    if any(static.launch.stand_in for static in statics):
        notes.append("* stands in for a kernel of a closed library (cuDNN, cuBLAS, cuRAND).")
    spilled = sorted({static.kernel.name for static in statics if static.spill_bytes})
    if spilled:
        notes.append(f"Spills registers to local memory: {', '.join(spilled)}.")
    return notes


def _pair(values: tuple[int, int]) -> str:
    return f"{values[0]}x{values[1]}" if values[0] != values[1] else str(values[0])
