"""Tables, JSON and Markdown of ``kernprof compare``."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kernprof.comparison.changes import Change
from kernprof.comparison.gates import Outcome
from kernprof.comparison.noise import Noise
from kernprof.comparison.result import Comparison, Pair
from kernprof.profile import KernelProfile
from kernprof.text import clean
from kernprof.view.document import SCHEMA, launch_record
from kernprof.view.table import Cell, Table, escape, number, to_markdown

_MARKDOWN_CHARS = 60_000
"""GitHub takes comments of up to 65,536 characters."""
_MARKDOWN_ROWS = 50
_FIRST = (Outcome.FAILED, Outcome.UNJUDGED, Outcome.PASSED)
_MEANINGS = {
    Noise.WITHIN_NOISE: "within the spread of the launches",
    Noise.TOO_FEW: "too few launches to tell",
}
_NAMED = 3
"""So many kernels with different numbers of launches are named in the line of all together."""


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the document of ``kernprof compare --format json``."""
    whole = comparison.whole()
    return {
        "schema": SCHEMA,
        "together": None
        if whole is None
        else {
            "measure": comparison.measure,
            "base": whole[0],
            "new": whole[1],
            "launches_as_in_base": any(_counts_differ(pair) for pair in comparison.pairs),
        },
        "pairs": [
            {**_pair_record(pair), "share_of_difference_pct": comparison.share_of_change_pct(pair)}
            for pair in comparison.pairs
        ],
        "failed": [
            {"gate": f.gate, "pair": f.pair, "kernel": f.kernel, "reason": f.reason}
            for f in comparison.failed
        ],
        "unjudged": [
            {
                "gate": each.gate,
                "pair": each.pair,
                "only_in": each.side,
                "kernel": each.kernel,
                "reason": each.reason,
            }
            for each in comparison.unjudged
        ],
        "unmatched": {
            "base": [launch_record(profile) for profile in comparison.only_base],
            "new": [launch_record(profile) for profile in comparison.only_new],
        },
    }


def flat_table(comparison: Comparison) -> Table:
    """Return one row a kernel and figure, for CSV."""
    records = list(comparison.records())
    return Table("", list(records[0]), [list(record.values()) for record in records])


def summary_table(comparison: Comparison) -> Table:
    """Return one row a kernel: cycles or time, and what explains the difference."""
    rows: list[list[Cell]] = []
    names = labels(comparison)
    key = "cycles" if all(p.change("cycles").delta is not None for p in comparison.pairs) else ""
    key = key or comparison.measure or "cycles"
    for index, pair in enumerate(comparison.pairs):
        shown = pair.change(key)
        changes = [pair.change("cycles"), pair.change("duration_ns")]
        top = pair.parts[0] if pair.parts and changes[0].delta else None
        why = None if top is None else f"{top.name} {top.delta_cycles:+,.0f} cycles"
        share = comparison.share_of_change_pct(pair)
        rows.append(
            [
                names[index],
                _value(shown.base, shown.unit),
                _value(shown.new, shown.unit),
                *(_percent(change) for change in changes),
                None if share is None else f"{share:+.1f} %",
                why,
                *([str(outcome(comparison, index))] if comparison.gates else []),
            ]
        )
    unit = "cycles" if key == "cycles" else "ns"
    columns = ["Kernel", f"Base {unit}", f"New {unit}", "Cycles", "Time", "Of the change"]
    columns += ["Largest change", *(["Gates"] if comparison.gates else [])]
    # What no pair tells is no column.
    told = [at for at in range(len(columns)) if at < 3 or any(row[at] is not None for row in rows)]
    return Table(
        "",
        [columns[at] for at in told],
        [[row[at] for at in told] for row in rows],
        align="".join("lrrrrrll"[at] for at in told),
    )


def outcome(comparison: Comparison, index: int) -> Outcome:
    """Tell what the gates say of a pair: failed, not judged or passed."""
    if any(failure.pair == index for failure in comparison.failed):
        return Outcome.FAILED
    if any(each.pair == index for each in comparison.unjudged):
        return Outcome.UNJUDGED
    return Outcome.PASSED


def together(comparison: Comparison) -> str | None:
    """Say what all kernels take together; None for a single one, or where a time is missing."""
    whole, key = comparison.whole(), comparison.measure
    if whole is None or key is None or len(comparison.pairs) < 2:
        return None
    unit = "cycles" if key == "cycles" else "ns"
    base, new = whole
    change = f" ({100 * (new - base) / base:+.1f} %)" if base else ""
    text = f"{_all_launches(comparison)}: {base:,.0f} -> {new:,.0f} {unit}{change}"
    first = comparison.pairs[0]
    share = comparison.share_of_change_pct(first)
    if share is None:
        return text + "."
    return f"{text}; {labels(comparison)[0]} is {share:.0f} % of the difference."


def _all_launches(comparison: Comparison) -> str:
    """Say what is summed up: where the numbers of launches differ, as many as the base has."""
    names = labels(comparison)
    differ = [
        f"{name} {pair.counts[0]:,} against {pair.counts[1]:,}"
        for name, pair in zip(names, comparison.pairs, strict=True)
        if _counts_differ(pair)
    ]
    if not differ:
        return "All launches together"
    shown = ", ".join(differ[:_NAMED])
    more = f", and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
    return (
        f"Per launch, each kernel as often as the base launches it (different numbers: {shown}"
        f"{more})"
    )


def _counts_differ(pair: Pair) -> bool:
    return pair.counts[0] != pair.counts[1]


def labels(comparison: Comparison) -> list[str]:
    """Name the pairs, with their geometry where several have one name."""
    names = [pair.kernel for pair in comparison.pairs]
    return [
        name if names.count(name) == 1 else f"{name} {_geometry(pair.base.profile)}".rstrip()
        for name, pair in zip(names, comparison.pairs, strict=True)
    ]


def cycles_table(pair: Pair, top: int) -> Table:
    """Return where the cycles went, what changed most first."""
    rows: list[list[Cell]] = [
        [
            part.name,
            number(part.base_cycles, 0),
            number(part.new_cycles, 0),
            f"{_mark(part.noise)}{part.delta_cycles:+,.0f}",
            None if part.share_of_change_pct is None else f"{part.share_of_change_pct:+.1f} %",
        ]
        for part in pair.parts[:top]
        if part.base_cycles or part.new_cycles
    ]
    left = len([p for p in pair.parts if p.base_cycles or p.new_cycles]) - len(rows)
    notes = [f"{left} smaller part(s) not shown; --top shows more."] if left > 0 else []
    return Table("", ["Cycles", "Base", "New", "Change", "Of the change"], rows, notes, "lrrrr")


def change_table(pair: Pair) -> Table:
    """Return every figure of a pair."""
    rows: list[list[Cell]] = [
        [
            change.label + (f" {change.unit}" if change.unit in ("%", "ns", "GHz") else ""),
            _value(change.base, change.unit),
            _value(change.new, change.unit),
            _delta(change),
            _percent(change) if change.unit != "%" else None if change.delta is None else "",
        ]
        for change in pair.changes
        if change.base is not None or change.new is not None
    ]
    if any(_limiters(pair)):
        rows.insert(_table_v_end(pair), ["  limited by", *_limiters(pair), "", ""])
    return Table("", ["", "Base", "New", "Change", "%"], rows, align="lrrrr")


def heading(pair: Pair) -> str:
    """Return the name of a pair with its origins and geometries."""
    sides = [_side(pair.base.profile), _side(pair.new.profile)]
    return f"{pair.kernel} [{sides[0]} -> {sides[1]}; matched by {pair.matched_by}]"


def common_lines(comparison: Comparison) -> list[str]:
    """Return the notes that all of several pairs have: they are told once, below all of them."""
    if len(comparison.pairs) < 2:
        return []
    first, *others = [closing(pair) for pair in comparison.pairs]
    return [line for line in first if all(line in lines for lines in others)]


def closing(pair: Pair) -> list[str]:
    """Return the notes under a pair's tables."""
    lines = [f"Note: {note}." for note in pair.notes]
    lacking: dict[str, list[str]] = {}
    for change in pair.changes:
        if change.delta is None and change.hint:
            lacking.setdefault(change.hint, []).append(change.key)
    lines += [f"Missing (n/a): {', '.join(keys)}: {hint}." for hint, keys in lacking.items()]
    if pair.family is not None:
        lines.append(
            f"Cycles by cause: a scheduler of the {pair.scope}; counters for resident and issuing "
            f"cycles, the rest in proportion to the stalls of {pair.family}."
        )
    seen = {change.noise for change in pair.changes}
    meanings = [_MEANINGS[noise] for noise in _MEANINGS if noise in seen]
    if meanings:
        lines.append(f"~: {' or '.join(meanings)}.")
    return lines


def unmatched_lines(comparison: Comparison) -> list[str]:
    """Name the kernels that only one side has."""
    lines = []
    for side, profiles in (("base", comparison.only_base), ("new", comparison.only_new)):
        if profiles:
            names = ", ".join(f"{p.kernel} [{_side(p)}]" for p in profiles)
            lines.append(f"Only in the {side}: {names}.")
    if comparison.only_base and len(comparison.only_base) == len(comparison.only_new):
        lines.append("--match order pairs kernels as they come, whatever their names.")
    return lines


def markdown(comparison: Comparison, top: int) -> str:
    """Return a summary fit for a pull request: one table, details folded away.

    It stays under what a comment may hold: details of failed kernels come first, then of those that
    explain most; what is left out is counted.
    """
    blocks = [*_gate_blocks(comparison)]
    all_of_them = together(comparison)
    if all_of_them is not None:
        blocks.append(f"{escape(all_of_them)}\n")
    found = [outcome(comparison, index) for index in range(len(comparison.pairs))]
    order = sorted(range(len(found)), key=lambda index: _FIRST.index(found[index]))
    table = summary_table(comparison)
    rows = [table.rows[index] for index in order]
    blocks.append(to_markdown(replace(table, rows=rows[:_MARKDOWN_ROWS])))
    common = common_lines(comparison)
    names = labels(comparison)
    closing_lines = [f"- {escape(line)}" for line in (*common, *unmatched_lines(comparison))]
    used = sum(map(len, (*blocks, *closing_lines)))
    detailed = 0
    for index in order:
        details = "\n".join(_details(comparison.pairs[index], names[index], top, common))
        used += len(details)
        if used > _MARKDOWN_CHARS:
            break
        blocks.append(details)
        detailed += 1
    left = len(rows) - min(len(rows), _MARKDOWN_ROWS), len(rows) - detailed
    if left[1]:
        closing_lines.append(
            f"- Left out here: {left[0]} kernel(s) of the table, details of {left[1]}; "
            "`--format json` has all."
        )
    return "\n".join([*blocks, *closing_lines]) + "\n"


def _gate_blocks(comparison: Comparison) -> list[str]:
    if not comparison.gates:
        return []
    counts = len(comparison.failed), len(comparison.unjudged)
    told = [
        f"{count} gate(s) {what}"
        for count, what in zip(counts, (Outcome.FAILED, Outcome.UNJUDGED), strict=True)
        if count
    ]
    blocks = [f"**{', '.join(told) or 'All gates passed'}**\n"]
    found = [(f.kernel, f.gate, f.reason) for f in comparison.failed]
    found += [(u.kernel, u.gate, f"not judged: {u.reason}") for u in comparison.unjudged]
    blocks += [
        f"- {escape(kernel)}: `{_code(gate)}`: {escape(reason)}\n"
        for kernel, gate, reason in found[:_MARKDOWN_ROWS]
    ]
    if len(found) > _MARKDOWN_ROWS:
        blocks.append(f"- and {len(found) - _MARKDOWN_ROWS} more\n")
    return blocks


def _details(pair: Pair, label: str, top: int, common: Sequence[str]) -> list[str]:
    # Up to the blank line this is HTML, where a backslash escapes nothing.
    summary = html.escape(clean(f"{label}: {pair.sentence}"))
    blocks = [f"<details><summary>{summary}</summary>\n"]
    if pair.parts:
        blocks.append(to_markdown(cycles_table(pair, top)))
    blocks.append(to_markdown(change_table(pair)))
    blocks += [f"- {escape(line)}" for line in closing(pair) if line not in common]
    blocks.append("\n</details>\n")
    return blocks


def _pair_record(pair: Pair) -> dict[str, Any]:
    return {
        "kernel": pair.kernel,
        "matched_by": pair.matched_by,
        "base": {
            **launch_record(pair.base.profile),
            "occupancy_limiters": list(pair.base.limiters),
        },
        "new": {**launch_record(pair.new.profile), "occupancy_limiters": list(pair.new.limiters)},
        "sentence": pair.sentence,
        "kernel_changes": [{"key": lever.key, "text": lever.text} for lever in pair.levers],
        "changes": [_change_record(change) for change in pair.changes],
        "cycles_by_cause": [
            {
                "cause": part.name,
                "base": part.base_cycles,
                "new": part.new_cycles,
                "delta": part.delta_cycles,
                "share_of_change_pct": part.share_of_change_pct,
                "noise": str(part.noise),
            }
            for part in pair.parts
        ],
        "stall_family": pair.family,
        "cycles_scope": pair.scope,
        "missing": [
            {"metric": change.key, "hint": change.hint}
            for change in pair.changes
            if change.delta is None
        ],
        "notes": list(pair.notes),
    }


def _change_record(change: Change) -> dict[str, Any]:
    each = change.launches_pct
    return {
        "key": change.key,
        "group": change.group,
        "unit": change.unit,
        "base": change.base,
        "new": change.new,
        "delta": change.delta,
        "relative_pct": change.relative_pct,
        "noise": str(change.noise),
        "launch_by_launch": None
        if each is None
        else {
            "launches": len(change.pairs),
            "least_pct": each[0],
            "median_pct": each[1],
            "largest_pct": each[2],
        },
    }


def _table_v_end(pair: Pair) -> int:
    shown = [c for c in pair.changes if c.base is not None or c.new is not None]
    for index, change in enumerate(shown):
        if change.key == "theoretical_occupancy_pct":
            return index + 1
    return len(shown)


def _limiters(pair: Pair) -> tuple[str | None, str | None]:
    before, after = (", ".join(a.limiters) or None for a in (pair.base, pair.new))
    return before, after


def _side(profile: KernelProfile) -> str:
    times = f" ({profile.launches}x)" if profile.launches > 1 else ""
    geometry = _geometry(profile)
    place = f"{profile.source} {profile.origin.rpartition('/')[2]}{times}"
    return f"{place} {geometry}" if geometry else place


def _geometry(profile: KernelProfile) -> str:
    return f"{profile.grid} x {profile.block}" if profile.grid and profile.block else ""


def _value(value: float | None, unit: str) -> str | None:
    if value is None:
        return None
    if unit == "%":
        return number(value)
    if value == int(value) or abs(value) >= 1000:
        return number(value, 0)
    return f"{value:.4g}"


def _delta(change: Change) -> str | None:
    if change.delta is None:
        return None
    mark = _mark(change.noise)
    if not change.delta:
        return "0"
    shown = f"{change.delta:+,.0f}" if abs(change.delta) >= 100 else f"{change.delta:+.3g}"
    return f"{mark}{shown}" + (" points" if change.unit == "%" else "")


def _mark(noise: Noise) -> str:
    return "~" if noise.doubtful else ""


def _percent(change: Change) -> str | None:
    if change.relative_pct is None:
        return None if change.delta is None else ""
    mark = _mark(change.noise)
    return f"{mark}{change.relative_pct:+.1f} %"


def _code(text: str) -> str:
    return clean(text).replace("`", "'")


def gate_lines(comparison: Comparison) -> Sequence[str]:
    """Return one line a gate that failed, then one a gate that was not judged."""
    lines = [f"failed: {f.kernel}: {f.gate}: {f.reason}" for f in comparison.failed]
    lines += [f"not judged: {u.kernel}: {u.gate}: {u.reason}" for u in comparison.unjudged]
    return lines
