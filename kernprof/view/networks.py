"""Tables and records of ``kernprof network``: Table II, launches by family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernprof.layers.network import NetworkPrediction, rank_correlation
from kernprof.lowering.launch import Direction
from kernprof.lowering.options import LoweringOptions
from kernprof.lowering.report import NetworkReport
from kernprof.networks.counters import Counter
from kernprof.networks.paper_tables import PAPER
from kernprof.profile import Source
from kernprof.stalls.analysis import analyse
from kernprof.view.energy import efficiency_table, energy_note, energy_record
from kernprof.view.stalls import duration
from kernprof.view.table import Cell, Table

_COLUMNS = (
    ("MACs M", "macs_m"),
    ("Params M", "params_m"),
    ("Acts M", "activations_m"),
    ("Acts/params", "activations_per_param"),
    ("MACs/params", "macs_per_param"),
    ("MACs/acts", "macs_per_activation"),
)

_PAPER_FAMILIES = ("gemv2T", "gemv2N", "gemmk1")


def totals_table(reports: Sequence[NetworkReport]) -> Table:
    """Return Table II: computed figures with the published ones behind them in brackets."""
    rows: list[list[Cell]] = []
    for report in reports:
        cells: list[Cell] = [report.network]
        for _, key in _COLUMNS:
            computed = None if report.figures is None else getattr(report.figures, key)
            shown = "n/a" if computed is None else f"{computed:,}"
            if report.published is not None:
                shown += f" ({getattr(report.published.figures, key):,})"
            cells.append(shown)
        cells.append(f"{report.intensity_flop_per_byte:.1f}")
        cells.append(f"{report.weights_bytes / 1e6:,.2f}")
        cells.append(f"{report.activations_bytes / 1e6:,.2f}")
        rows.append(cells)
    dtype = reports[0].dtype
    columns = [
        "Network",
        *(label for label, _ in _COLUMNS),
        "FLOP/byte",
        f"Weights MB ({dtype})",
        f"Acts MB ({dtype})",
    ]
    return Table("", columns, rows, _totals_notes(reports), align="l" + "r" * 9)


def launches_table(reports: Sequence[NetworkReport], options: LoweringOptions) -> Table:
    """Return the number of launches by kernel family, the paper's three families first."""
    families = _families(reports)
    rows: list[list[Cell]] = []
    for report in reports:
        launches = report.launches or {}
        counts: list[Cell] = [launches.get(family, 0) for family in families]
        rows.append([report.network, *counts, sum(launches.values()), _shares(report)])
    columns = ["Network", *families, "all", "published share of time %"]
    align = "l" + "r" * (len(families) + 2)
    return Table("", columns, rows, _launch_notes(options), align=align)


def flat_table(reports: Sequence[NetworkReport]) -> Table:
    """Return one row a network with exact integers, for CSV."""
    families = _families(reports)
    rows: list[list[Cell]] = []
    columns: list[str] = []
    for report in reports:
        launches = report.launches
        published = report.published
        cells: dict[str, Cell] = {
            "network": report.network,
            "counter": str(report.counter),
            "source": str(Source.STATIC),
            "macs": report.counts.macs,
            "params": report.counts.params,
            "activations": report.counts.activations,
            "intensity_flop_per_byte": report.intensity_flop_per_byte,
            "weights_bytes": report.weights_bytes,
            "activations_bytes": report.activations_bytes,
            "dtype": report.dtype,
        }
        for _, key in _COLUMNS:
            cells[f"published_{key}"] = (
                None if published is None else float(getattr(published.figures, key))
            )
        for family in families:
            cells[f"launches_{family}"] = None if launches is None else launches.get(family, 0)
        columns = list(cells)
        rows.append(list(cells.values()))
    return Table("", columns, rows)


def predicted_table(report: NetworkReport, predicted: NetworkPrediction) -> Table:
    """Return where a network's GPU time goes, family by family, beside the published shares."""
    from kernprof.timing.accuracy import model_error

    published = report.published_shares_pct or {}
    rows: list[list[Cell]] = []
    for family in predicted.families:
        analysis = analyse(family.longest.profile)
        top = analysis.stalls.top(2) if analysis.stalls is not None else []
        shown = published.get(family.family)
        rows.append(
            [
                family.family,
                family.launches,
                duration(family.time_ns),
                family.share_pct,
                None if shown is None else float(shown),
                family.longest.static.kernel.name,
                str(analysis.verdict.bound),
                ", ".join(f"{name} {share:.0f}" for name, share in top),
            ]
        )
    columns = [
        "Family",
        "Launches",
        "Time",
        "Share % (predicted)",
        "Share % (published)",
        "Longest",
        "bound by",
        "Top stalls %",
    ]
    device = predicted.device
    notes = [
        f"predicted: {duration(predicted.time_ns)} of GPU time an iteration on {device.name}, "
        "caches cold at each launch, gaps between launches left out.",
        model_error().sentence,
        f"{predicted.stand_in_pct:.0f} % of it in kernels that stand in for those of cuDNN, cuBLAS "
        "and cuRAND.",
    ]
    notes.append(energy_note(predicted.energy))
    if published:
        notes.append(f"Published: {PAPER}, Table III, Tesla P100.")
    return Table(report.network, columns, rows, notes, align="lrrrrlll")


def agreement_note(
    pairs: Sequence[tuple[NetworkReport, NetworkPrediction]],
) -> str | None:
    """Say how the predicted shares of the paper's families rank beside the published ones.

    Of all families together, and of each (a column of Table III) over the networks.
    """
    columns: dict[str, list[tuple[float, float]]] = {}
    for report, predicted in pairs:
        if predicted.options.batch != 1 or predicted.options.direction is not Direction.BOTH:
            # The published shares are of both passes at batch 1.
            continue
        for family, share in (report.published_shares_pct or {}).items():
            pair = (predicted.shares_pct.get(family, 0.0), float(share))
            columns.setdefault(family, []).append(pair)
    everything = [pair for column in columns.values() for pair in column]
    found = _ranks_of(everything)
    if found is None:
        return None
    note = (
        "Spearman's rank correlation of predicted and published shares of "
        f"{len(everything)} families: {found:.3f}"
    )
    known = [(family, len(column), _ranks_of(column)) for family, column in columns.items()]
    each = ", ".join(
        f"{family} {value:.3f} ({count} networks)"
        for family, count, value in known
        if value is not None
    )
    return f"{note}; of each family over its networks: {each}." if each else f"{note}."


def _ranks_of(pairs: Sequence[tuple[float, float]]) -> float | None:
    return rank_correlation([a for a, _ in pairs], [b for _, b in pairs])


def energy_table(pairs: Sequence[tuple[NetworkReport, NetworkPrediction]]) -> Table | None:
    """Return MACs per joule of networks beside the published ones; None where none is known."""
    rows = []
    for report, predicted in pairs:
        if predicted.energy is None:
            continue
        published = report.published
        batch = predicted.options.batch
        rows.append(
            (
                report.network,
                report.counts.macs * batch,
                predicted.energy,
                None if published is None else float(published.run.gmacs_per_joule),
            )
        )
    if not rows:
        return None
    options = pairs[0][1].options
    notes = [
        f"predicted: {options.direction} pass(es) at batch {options.batch}; MACs are those of the "
        "forward pass. In brackets the bounds that the published energies per operation leave; "
        "docs/energy.md.",
    ]
    device = pairs[0][1].device
    if device.peak_fp32_flops_per_s and device.power_limit_w:
        best = device.peak_fp32_flops_per_s / 2 / device.power_limit_w / 1e9
        notes.append(
            f"{device.name} at its peak rate and power limit ({device.power_limit_w:g} W): "
            f"{best:.3g} GMAC/J."
        )
    shown = [(macs / energy.total.mid, own) for _, macs, energy, own in rows if own is not None]
    if shown:
        notes.append(
            f"Published: {PAPER}, Table III: inference on a Tesla P100 at batch 4; whether above "
            "idle is not told."
        )
    found = rank_correlation([a for a, _ in shown], [b for _, b in shown])
    if found is not None:
        notes.append(
            f"Spearman's rank correlation of {len(shown)} predicted and published GMAC/J: "
            f"{found:.3f}."
        )
    return efficiency_table(rows, notes)


def network_record(
    report: NetworkReport, predicted: NetworkPrediction | None = None
) -> dict[str, Any]:
    """Return one network as the JSON contract has it, with exact integers."""
    published = report.published
    return {
        "name": report.network,
        "counter": str(report.counter),
        "macs": report.counts.macs,
        "params": report.counts.params,
        "activations": report.counts.activations,
        "intensity_flop_per_byte": report.intensity_flop_per_byte,
        "dtype": report.dtype,
        "weights_bytes": report.weights_bytes,
        "activations_bytes": report.activations_bytes,
        "published": None
        if published is None
        else {
            "source": str(Source.PUBLISHED),
            "table2": {key: float(getattr(published.figures, key)) for _, key in _COLUMNS},
            "shares_pct": {k: float(v) for k, v in published.run.shares_pct.items()},
            "latency_ms": float(published.run.latency_ms),
            "memory_mb": float(published.run.memory_mb),
            "gmacs_per_joule": float(published.run.gmacs_per_joule),
            "images_per_s": float(published.run.images_per_s),
        },
        "launches": report.launches,
        # Shares of time need a profile; nothing is told without one.
        "shares_pct": None if predicted is None else predicted.shares_pct,
        "time_ns": None if predicted is None else predicted.time_ns,
        "gpu": None if predicted is None else predicted.device.name,
        "stand_in_pct": None if predicted is None else predicted.stand_in_pct,
        "energy_j": None if predicted is None else energy_record(predicted.energy),
        "source": str(Source.STATIC if predicted is None else Source.PREDICTED),
        "definition": report.source,
        "unsupported": [str(item) for item in report.unsupported],
    }


def _families(reports: Sequence[NetworkReport]) -> list[str]:
    totals: dict[str, int] = dict.fromkeys(_PAPER_FAMILIES, 0)
    for report in reports:
        for family, count in (report.launches or {}).items():
            totals[family] = totals.get(family, 0) + count
    rest = sorted((f for f in totals if f not in _PAPER_FAMILIES), key=lambda f: -totals[f])
    return [*_PAPER_FAMILIES, *rest]


def _shares(report: NetworkReport) -> str | None:
    if report.published is None:
        return None
    shares = report.published.run.shares_pct
    return " / ".join(f"{shares[family]}" for family in _PAPER_FAMILIES)


def _totals_notes(reports: Sequence[NetworkReport]) -> list[str]:
    counter = reports[0].counter
    rules = {
        Counter.NETSCOPE: "netscope: every layer's output counts as activations, Scale and LRN "
        "count as MACs; the rule behind the paper's Table II",
        Counter.EQ2: "eq2: convolutions and fully connected layers only, the paper's equations 1-3",
        Counter.BLOBS: "blobs: as netscope, but layers in place share their blob",
    }
    notes = [f"Counted by {rules[counter]}. Batch 1. MAC = one multiplication and one addition."]
    if any(report.published is not None for report in reports):
        held = "" if counter is Counter.NETSCOPE else " (they hold for the netscope counter)"
        notes.append(f"In brackets: published, {PAPER}, Table II{held}.")
    notes.append("FLOP/byte: 2 MACs over inputs, outputs and weights of each layer read once.")
    for report in reports:
        if report.unsupported:
            listed = ", ".join(str(item) for item in report.unsupported[:8])
            more = len(report.unsupported) - 8
            listed += f" and {more} more" if more > 0 else ""
            notes.append(f"{report.network}: not in the numbers: {listed}.")
    return notes


def _launch_notes(options: LoweringOptions) -> list[str]:
    notes = [
        f"Launches of one iteration: lowering {options.lowering}, {options.direction} pass(es), "
        f"batch {options.batch}, {options.phase} phase, {options.engine} engine."
    ]
    if options.lowering == "caffe":
        notes.append(
            "As `caffe time` runs a file without a loss layer: parameter gradients, no data "
            "gradients."
            if not options.wants_data_gradients
            else "Parameter and data gradients."
        )
        notes.append(
            "Published shares (Table III, P100): of the GPU time of forward and backward; "
            "gemv2T / gemv2N / gemmk1."
        )
    return notes
