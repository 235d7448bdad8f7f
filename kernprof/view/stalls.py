"""Tables of ``kernprof stalls``: Table V per launch, one row a launch, hottest lines."""

from __future__ import annotations

from collections.abc import Sequence

from kernprof.metrics.stall_reasons import ClassMap, StallClass
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.stalls.figures import Figure
from kernprof.stalls.lines import Line, LineTable
from kernprof.stalls.verdict import Bound
from kernprof.view.document import launch_record, stall_base, table_v_record
from kernprof.view.table import Cell, Table, number

_CLASS_LABELS = {
    StallClass.MEMORY: "Memory dependency",
    StallClass.INSTRUCTION: "Instruction dependency",
    StallClass.SYNCHRONIZATION: "Synchronization",
    StallClass.OTHERS: "Others",
}

_NAME_CHARS = 34
"""Kernel names are shortened to this in headings; JSON and CSV keep them whole."""


def launch_table(analyses: Sequence[LaunchAnalysis], *, top: int) -> Table:
    """Return Table V with one column per launch, as the paper prints it."""
    rows: list[list[Cell]] = [
        ["Source", *(str(a.profile.source) for a in analyses)],
        ["GPU", *(_gpu(a.profile) for a in analyses)],
        ["Launch", *(_launch(a.profile) for a in analyses)],
        ["Grid x block", *(_geometry(a.profile) for a in analyses)],
        *_places(analyses),
        ["Duration", *(_duration(a.profile) for a in analyses)],
    ]
    for key, first in analyses[0].figures.items():
        label = f"{first.label} %"
        rows.append([label, *(_figure(a.figures[key]) for a in analyses)])
        if key == "theoretical_occupancy_pct":
            rows.append(["  limited by", *(", ".join(a.limiters) or None for a in analyses)])
    for stall_class, label in _CLASS_LABELS.items():
        rows.append([f"{label} %", *(_share(a, stall_class) for a in analyses)])
    rows.append(
        ["Schedulers issuing %", *(_figure(a.extras["issue_active_pct"]) for a in analyses)]
    )
    conflicts = [a.extras["shared_bank_conflicts"].value for a in analyses]
    if any(conflicts):
        rows.append(["Shared bank conflicts", *(number(value, 0) for value in conflicts)])
    for rank in range(max((_reason_count(a, top) for a in analyses), default=0)):
        rows.append(["Top stalls" if rank == 0 else "", *(_reason(a, rank) for a in analyses)])
    rows.append(["Bound by", *(str(a.verdict.bound) for a in analyses)])
    align = "l" + "r" * len(analyses)
    return Table("", ["", *(_heading(a.profile) for a in analyses)], rows, align=align)


def launch_notes(analyses: Sequence[LaunchAnalysis]) -> list[str]:
    """Return what stands under the tables: verdicts, how stalls were counted, what is missing."""
    lines: list[str] = []
    for analysis in analyses:
        bound = analysis.verdict.bound
        what = "what bounds it is unknown" if bound is Bound.UNKNOWN else f"bound by {bound}"
        lines.append(
            f"{_heading(analysis.profile)} [{analysis.profile.origin}]: {what}: "
            f"{analysis.verdict.evidence}."
        )
    lines += _counting(analyses)
    lines += _collected("Missing", [(m.metric, m.hint) for a in analyses for m in a.missing])
    lines += [f"Note: {note}." for note in dict.fromkeys(n for a in analyses for n in a.notes)]
    return lines


def flat_table(analyses: Sequence[LaunchAnalysis]) -> Table:
    """Return one row a launch with every figure and every stall reason, for CSV."""
    reasons = sorted({n for a in analyses if a.stalls is not None for n in a.stalls.shares_pct})
    columns: list[str] = []
    rows: list[list[Cell]] = []
    for analysis in analyses:
        record = launch_record(analysis.profile)
        shares = analysis.stalls.shares_pct if analysis.stalls is not None else {}
        cells: dict[str, Cell] = {
            "kernel": record["kernel"],
            "demangled": record["demangled"],
            "source": record["source"],
            "origin": record["origin"],
            "gpu": record["gpu"]["name"],
            "cc": record["gpu"]["cc"],
            "grid": _extent(record["grid"]),
            "block": _extent(record["block"]),
            "registers": record["registers"],
            "shared_static_bytes": record["shared_mem"]["static"],
            "shared_dynamic_bytes": record["shared_mem"]["dynamic"],
            "launches": record["launches"],
            "duration_ns": record["duration_ns"],
            "cycles": record["cycles"],
            **table_v_record(analysis),
            "occupancy_limiters": " ".join(x.replace(" ", "_") for x in analysis.limiters) or None,
            "issue_active_pct": analysis.extras["issue_active_pct"].value,
            "bound": str(analysis.verdict.bound),
            "evidence": analysis.verdict.evidence,
            "stall_family": analysis.stalls.family.name if analysis.stalls is not None else None,
            "stall_classes": str(analysis.options.class_map),
            "stall_base": stall_base(analysis),
            **{f"stall_{name}_pct": shares.get(name) for name in reasons},
        }
        columns = list(cells)
        rows.append(list(cells.values()))
    return Table("", columns, rows)


def summary_table(analyses: Sequence[LaunchAnalysis]) -> Table:
    """Return one short row a launch, for Markdown and for reports with very many kernels."""
    columns = [
        "Launch",
        "Kernel",
        "Source",
        "Duration",
        "Compute %",
        "DRAM %",
        "Occ. %",
        "Warp eff. %",
        "Div. %",
        "Mem. dep. %",
        "Inst. dep. %",
        "Sync. %",
        "Others %",
        "Top stall",
        "Bound by",
    ]
    rows = []
    for analysis in analyses:
        figures, classes = analysis.figures, analysis.classes_pct
        rows.append(
            [
                _launch(analysis.profile),
                _shortened(analysis.profile.kernel),
                str(analysis.profile.source),
                duration(analysis.profile.duration_ns),
                _figure(figures["compute_utilization_pct"]),
                _figure(figures["bandwidth_utilization_pct"]),
                _figure(figures["occupancy_pct"]),
                _figure(figures["warp_execution_efficiency_pct"]),
                _figure(figures["branch_divergence_pct"]),
                *(_optional(classes.get(stall_class)) for stall_class in _CLASS_LABELS),
                _reason(analysis, 0) or None,
                str(analysis.verdict.bound),
            ]
        )
    return Table("", columns, rows, _counting(analyses))


def line_table(profile: KernelProfile, table: LineTable, lines: Sequence[Line]) -> Table:
    """Return the places with most stalled samples."""
    by_source = table.by == "source line"
    columns = ["Line" if by_source else "Offset", "Stalled %", "Samples", "Executed", "Threads"]
    columns += ["Top stalls", "Source" if by_source else "Instruction"]
    rows: list[list[Cell]] = []
    for line in lines:
        place = f"{line.file}:{line.line}" if by_source else f"{line.offset or 0:#06x}"
        instruction = line.text
        if not by_source and line.file is not None and line.line is not None:
            instruction = f"{line.text or ''}  {line.file}:{line.line}".strip()
        rows.append(
            [
                place,
                number(line.share_pct),
                int(line.stalled_samples),
                None if line.inst_executed is None else int(line.inst_executed),
                number(line.threads_per_inst),
                ", ".join(f"{name} {share:.0f} %" for name, share in line.top[:2]),
                instruction,
            ]
        )
    title = (
        f"{_heading(profile)} [{profile.origin}]: stalls by {table.by} "
        f"({table.total_samples:,.0f} stalled samples; {table.family.meaning})"
    )
    return Table(title, columns, rows)


def line_rows(
    sections: Sequence[tuple[KernelProfile, LineTable, Sequence[Line]]],
) -> Table:
    """Return the places of several launches as one flat table, for CSV."""
    columns = [
        "origin",
        "kernel",
        "by",
        "offset",
        "file",
        "line",
        "stalled_samples",
        "share_pct",
        "inst_executed",
        "threads_per_inst",
        "top_stall",
        "top_stall_pct",
        "text",
    ]
    rows: list[list[Cell]] = []
    for profile, table, lines in sections:
        for line in lines:
            name, share = line.top[0] if line.top else (None, None)
            rows.append(
                [
                    profile.origin,
                    profile.kernel,
                    table.by,
                    line.offset,
                    line.file,
                    line.line,
                    line.stalled_samples,
                    line.share_pct,
                    line.inst_executed,
                    line.threads_per_inst,
                    name,
                    share,
                    line.text,
                ]
            )
    return Table("", columns, rows)


def duration(value_ns: float | None) -> str | None:
    """Return a time with a unit that keeps three to four digits."""
    if value_ns is None:
        return None
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if value_ns >= factor:
            return f"{value_ns / factor:.2f} {unit}"
    return f"{value_ns:.0f} ns"


def _places(analyses: Sequence[LaunchAnalysis]) -> list[list[Cell]]:
    """Return rows that tell launches apart which ran in different places or NVTX ranges."""
    placed = [str(a.profile.placement) or None for a in analyses]
    ranges = ["/".join(a.profile.nvtx) or None for a in analyses]
    told = ((label, cells) for label, cells in (("Ran in", placed), ("NVTX range", ranges)))
    return [[label, *cells] for label, cells in told if len(set(cells)) > 1]


def _duration(profile: KernelProfile) -> str | None:
    shown = duration(profile.duration_ns)
    ends = profile.spread.get("gpu__time_duration.sum")
    if shown is None or ends is None:
        return shown
    low, high = (duration(end) for end in ends)
    return shown if low == high else f"{shown} ({low}-{high})"


def _share(analysis: LaunchAnalysis, stall_class: StallClass) -> str | None:
    value = analysis.classes_pct.get(stall_class)
    return (
        None if value is None else number(value) + _ends(analysis.classes_spread.get(stall_class))
    )


def _ends(spread: tuple[float, float] | None) -> str:
    """Return what stands behind a value of several launches: their smallest and largest."""
    if spread is None or spread[1] - spread[0] < 0.05:
        return ""
    return f" ({number(spread[0])}-{number(spread[1])})"


def _counting(analyses: Sequence[LaunchAnalysis]) -> list[str]:
    families = {a.stalls.family for a in analyses if a.stalls is not None}
    if not families:
        return []
    used = "; ".join(f"{f.name} ({f.meaning})" for f in sorted(families, key=lambda f: f.name))
    options = analyses[0].options
    where = (
        "nvprof's classes, as in Table V: a wait for shared memory is an instruction dependency"
        if options.class_map is ClassMap.PAPER
        else "by cause; queues and caches count with their memory"
    )
    base = stall_base(analyses[0])
    return [f"Stalls from {used}; base: {base}; classes: {options.class_map} ({where})."]


def _collected(title: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    by_hint: dict[str, list[str]] = {}
    for metric, hint in dict.fromkeys(pairs):
        by_hint.setdefault(hint, []).append(metric.removesuffix("_pct"))
    return [f"{title} (n/a): {', '.join(metrics)}: {hint}." for hint, metrics in by_hint.items()]


def _heading(profile: KernelProfile) -> str:
    return _shortened(profile.kernel)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 3] + "..."


def _launch(profile: KernelProfile) -> str:
    position = profile.origin.partition("#")[2]
    place = f"#{position}" if position else profile.origin
    return f"{place} ({profile.launches}x)" if profile.launches > 1 else place


def _gpu(profile: KernelProfile) -> str | None:
    name = profile.gpu.name
    if name is None:
        return profile.gpu.arch
    short = name.removeprefix("NVIDIA ").removeprefix("GeForce ")
    return f"{short} ({profile.gpu.arch})" if profile.gpu.arch else short


def _geometry(profile: KernelProfile) -> str | None:
    if profile.grid is None or profile.block is None:
        return None
    return f"{profile.grid} x {profile.block}"


def _extent(extent: Sequence[int] | None) -> str | None:
    return None if extent is None else "x".join(str(n) for n in extent)


def _figure(figure: Figure) -> str | None:
    if figure.value is None:
        return figure.words
    shown = ("~" if figure.approximate else "") + number(figure.value, _digits(figure.value))
    return shown + _ends(figure.spread)


def _digits(value: float) -> int:
    """One digit behind the point, and of small values the first two that are not 0."""
    if value == 0 or abs(value) >= 1 or abs(value) < 0.001:
        return 1
    return 2 if abs(value) >= 0.1 else 3


def _optional(value: float | None) -> str | None:
    return None if value is None else number(value)


def _reason_count(analysis: LaunchAnalysis, top: int) -> int:
    return len(analysis.stalls.top(top)) if analysis.stalls is not None else 0


def _reason(analysis: LaunchAnalysis, rank: int) -> str:
    ranked = analysis.stalls.top(rank + 1) if analysis.stalls is not None else []
    if len(ranked) <= rank:
        return ""
    name, share = ranked[rank]
    return f"{name} {share:.1f}"
