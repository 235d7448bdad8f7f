"""What the HTML report shows, as plain data, within bounds that keep the page small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kernprof.advice.advise import advise_analysed
from kernprof.advice.model import Advice
from kernprof.comparison.result import Comparison, Pair
from kernprof.devices.model import Architecture
from kernprof.devices.table import find, names
from kernprof.errors import CubinError, KernprofError, UnavailableError, UsageError
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis, analyse
from kernprof.stalls.code import instructions
from kernprof.stalls.lines import LineTable, instruction_table
from kernprof.view.advice import evidence_text
from kernprof.view.charts import roofline_records
from kernprof.view.compare import (
    change_table,
    closing,
    heading,
    labels,
    together,
    unmatched_lines,
)
from kernprof.view.document import SCHEMA, profile_record
from kernprof.view.table import NOT_AVAILABLE

MAX_INSTRUCTIONS = 12_000
"""Rows of all instruction tables of a page: about 1 MiB."""

MAX_LAUNCHES = 5_000
"""A page of so many is about 10 MiB; more are refused, not cut."""

MAX_SOURCE_BYTES = 600_000
_ADVICE = 4
"""Likely causes a launch."""
_WITH_LINES = 50
"""Up to so many launches advice looks source lines up."""
_TEXT_CHARS = 200
_NAME_CHARS = 2_000

_GROUPS = {
    "time": "Time",
    "row": "Table V",
    "occupancy": "Launch",
    "extra": "Schedulers and memory",
    "work": "Work",
    "traffic": "Memory traffic",
}
_NO_SAMPLES = (
    "no stall samples per instruction; collect them with ncu --section SourceCounters "
    "--import-source yes"
)
_LEFT_OUT = (
    f"left out: a page holds {MAX_INSTRUCTIONS:,} instructions, of the longest launches first; "
    "choose fewer with --kernel, or kernprof stalls --lines"
)
_KEPT = (
    "kernel",
    "demangled",
    "source",
    "origin",
    "gpu",
    "grid",
    "block",
    "registers",
    "shared_mem",
    "launches",
    "duration_ns",
    "cycles",
    "table_v",
    "stalls",
    "stall_family",
    "stall_base",
    "bound",
    "evidence",
    "missing",
    "notes",
)
_ARCH = (
    "name",
    "max_warps_per_sm",
    "max_blocks_per_sm",
    "max_threads_per_block",
    "registers_per_sm",
    "registers_per_block",
    "max_registers_per_thread",
    "register_unit",
    "sub_partitions",
    "shared_per_sm_bytes",
    "shared_per_block_optin_bytes",
    "shared_unit_bytes",
    "shared_reserved_per_block_bytes",
)


@dataclass(slots=True)
class _Texts:
    """Texts that many launches share, each once."""

    places: dict[str, int] = field(default_factory=dict)

    def advice(self, item: Advice) -> dict[str, Any]:
        """Return one piece of advice; its texts are places in the list."""
        return {
            "title": self._place(item.title),
            "evidence": evidence_text(item),
            "share": _short(item.share_pct),
            "gain": _short(item.gain_pct),
            "bound": self._place(item.bound),
            "remedy": self._place(item.remedy),
        }

    def _place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))


@dataclass(slots=True)
class _Code:
    """Instruction tables and source texts collected for a page."""

    tables: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    sources: dict[int, list[str]] = field(default_factory=dict)
    rows: int = 0
    source_bytes: int = 0


def report_document(
    profiles: Sequence[KernelProfile], comparison: Comparison | None = None
) -> dict[str, Any]:
    """Return the data of a page.

    Parameters
    ----------
    profiles
        The launches, in order.
    comparison
        What the comparison section shows, or None for no such section.

    Raises
    ------
    UsageError
        There are more than ``MAX_LAUNCHES``.
    """
    if len(profiles) > MAX_LAUNCHES:
        raise UsageError(
            f"a page holds {MAX_LAUNCHES:,} launches, these are {len(profiles):,}; choose fewer "
            "with --kernel"
        )
    analyses = [analyse(profile) for profile in profiles]
    code = _Code()
    places: dict[int, tuple[int | None, str]] = {}
    for at in sorted(range(len(profiles)), key=lambda i: -(profiles[i].duration_ns or 0.0)):
        places[at] = _add_code(code, profiles[at])
    roofs = roofline_records(profiles)
    texts = _Texts()
    few = len(analyses) <= _WITH_LINES
    launches = [
        {
            **_launch(at, analysis, roofs[at], places[at]),
            "advice": [
                texts.advice(a) for a in advise_analysed(analysis, with_lines=few)[:_ADVICE]
            ],
        }
        for at, analysis in enumerate(analyses)
    ]
    return {
        "schema": SCHEMA,
        "launches": launches,
        "texts": list(texts.places),
        "code": code.tables,
        "files": code.files,
        "sources": code.sources,
        "devices": devices(),
        "comparison": None if comparison is None else _comparison(comparison),
    }


def devices() -> list[dict[str, Any]]:
    """Return the GPUs of the occupancy calculator, with the limits that its rules use."""
    boards = {device.key: device for device in map(find, names())}
    return [
        {"key": key, "name": device.name, "arch": _arch(device.arch)}
        for key, device in boards.items()
    ]


def _arch(arch: Architecture) -> dict[str, Any]:
    return {name: getattr(arch, name) for name in _ARCH}


def _launch(
    index: int, analysis: LaunchAnalysis, roof: dict[str, Any], place: tuple[int | None, str]
) -> dict[str, Any]:
    record = profile_record(analysis)
    kept = {name: record[name] for name in _KEPT}
    kept["kernel"] = kept["kernel"][:_NAME_CHARS]
    if kept["demangled"] is not None:
        kept["demangled"] = kept["demangled"][:_NAME_CHARS]
    shown = {key: _short(value) for key, value in roof.items() if key not in kept}
    return {
        **kept,
        "index": index,
        "limiters": list(analysis.limiters),
        "stalls": {name: _short(value) for name, value in kept["stalls"].items() if value},
        "table_v": {name: _short(value) for name, value in kept["table_v"].items()},
        "roofline": shown,
        "device": _device(analysis.profile),
        "code": place[0],
        "code_hint": place[1],
    }


def _short(value: Any) -> Any:
    """Drop digits that nobody sees; a page of 500 launches is a third smaller for it.

    What is no number is missing: JSON has no word for it.
    """
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _device(profile: KernelProfile) -> str | None:
    for name in (profile.gpu.name, profile.gpu.arch):
        try:
            return find(name or "").key
        except KernprofError:
            continue
    return None


def _add_code(code: _Code, profile: KernelProfile) -> tuple[int | None, str]:
    """Add a launch's instructions; returns their place, or None and what to say instead."""
    hint = ""
    table = instruction_table(profile)
    if table is None:
        return None, _NO_SAMPLES
    if code.rows + len(table.lines) > MAX_INSTRUCTIONS:
        return None, _LEFT_OUT
    try:
        table = instruction_table(profile, instructions) or table
    except (CubinError, UnavailableError) as error:
        hint = str(error)
    if code.rows + len(table.lines) > MAX_INSTRUCTIONS:
        return None, _LEFT_OUT
    if profile.code is None:
        hint = (
            "the report holds no machine code, so instructions are told by their offset; "
            "ncu --import-source yes embeds it"
        )
    code.rows += len(table.lines)
    code.tables.append(
        {
            "total": table.total_samples,
            "meaning": "; ".join(part for part in (table.family.meaning, hint) if part),
            "lines": _rows(code, table, profile),
        }
    )
    return len(code.tables) - 1, hint


def _rows(code: _Code, table: LineTable, profile: KernelProfile) -> list[list[Any]]:
    rows: list[list[Any]] = []
    sources = profile.code.sources if profile.code is not None else {}
    for line in table.lines:
        at = None
        if line.file is not None:
            if line.file not in code.files:
                code.files.append(line.file)
                _add_source(code, len(code.files) - 1, sources.get(line.file))
            at = code.files.index(line.file)
        text = line.text[:_TEXT_CHARS] if line.text is not None else None
        top = f"{line.top[0][0]} {line.top[0][1]:.0f} %" if line.top else None
        threads = _short(line.threads_per_inst)
        count = line.inst_executed
        executed = int(count) if count is not None and math.isfinite(count) else None
        rows.append(
            [line.offset, text, at, line.line, line.stalled_samples, executed, threads, top]
        )
    return rows


def _add_source(code: _Code, at: int, text: str | None) -> None:
    if text is None or code.source_bytes + len(text) > MAX_SOURCE_BYTES:
        return
    code.source_bytes += len(text)
    code.sources[at] = [row[:_TEXT_CHARS] for row in text.splitlines()]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """Return the pairs in cycles, or in ns where one of them doesn't tell its cycles."""
    told = all(pair.change("cycles").delta is not None for pair in comparison.pairs)
    key = "cycles" if told else comparison.measure or "cycles"
    pairs = []
    for label, pair in zip(labels(comparison), comparison.pairs, strict=True):
        whole = pair.change(key)
        pairs.append(
            {
                "kernel": label[:_NAME_CHARS],
                "base": whole.base,
                "new": whole.new,
                "share": comparison.share_of_change_pct(pair),
                "sentence": pair.sentence,
                "heading": heading(pair),
                "notes": closing(pair),
                "figures": _grouped(pair),
                "parts": [
                    {
                        "name": part.name,
                        "base": part.base_cycles,
                        "new": part.new_cycles,
                        "delta": part.delta_cycles,
                    }
                    for part in pair.parts
                    if part.base_cycles or part.new_cycles
                ],
            }
        )
    return {
        "unit": "cycles" if key == "cycles" else "ns",
        "pairs": pairs,
        "together": together(comparison),
        "unmatched": unmatched_lines(comparison),
    }


def _grouped(pair: Pair) -> list[list[str]]:
    """Return the rows of the table of figures, each with the name of its group in front."""
    groups = {change.label: _GROUPS.get(change.group, change.group) for change in pair.changes}
    rows: list[list[str]] = []
    group = ""
    for row in change_table(pair).rows:
        texts = [NOT_AVAILABLE if value is None else str(value) for value in row]
        # The label of a row may end with its unit; a row of another kind belongs to the one above.
        found = [label for label in groups if texts[0].startswith(label)]
        group = groups[max(found, key=len)] if found else group
        rows.append([group, *texts])
    return rows
