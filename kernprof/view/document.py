"""The JSON contract: profiles as plain data.

Every number that is missing is null. ``schema`` changes only when a field changes its meaning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from kernprof.metrics.stall_reasons import StallClass
from kernprof.profile import KernelProfile
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.text import escape_json

SCHEMA = "kernprof/1"

_CLASS_KEYS = {
    "memory_dependency_pct": StallClass.MEMORY,
    "instruction_dependency_pct": StallClass.INSTRUCTION,
    "synchronization_pct": StallClass.SYNCHRONIZATION,
    "others_pct": StallClass.OTHERS,
}


def profiles_document(analyses: Iterable[LaunchAnalysis]) -> dict[str, Any]:
    """Return the document of ``kernprof stalls --format json``."""
    return {"schema": SCHEMA, "profiles": [profile_record(item) for item in analyses]}


def profile_record(analysis: LaunchAnalysis) -> dict[str, Any]:
    """Return one launch as the JSON contract has it."""
    profile = analysis.profile
    stalls = analysis.stalls
    return {
        **launch_record(profile),
        "table_v": table_v_record(analysis),
        "occupancy_limiters": list(analysis.limiters),
        "scheduler": {
            "issue_active_pct": _finite(analysis.extras["issue_active_pct"].value),
            "eligible_warps": _finite(analysis.extras["eligible_warps"].value),
        },
        "waves": _finite(analysis.extras["waves"].value),
        "stalls": {} if stalls is None else {n: _finite(v) for n, v in stalls.shares_pct.items()},
        "stalls_raw": {} if stalls is None else {n: _finite(v) for n, v in stalls.raw.items()},
        "stall_family": None if stalls is None else stalls.family.name,
        "stall_classes": str(analysis.options.class_map),
        "stall_base": stall_base(analysis),
        "bound": str(analysis.verdict.bound),
        "evidence": analysis.verdict.evidence,
        "spread": _spreads(analysis),
        "metrics": {
            name: _finite(value) if isinstance(value, float) else value
            for name, value in profile.metrics.items()
        },
        "missing": [{"metric": m.metric, "hint": m.hint} for m in analysis.missing],
        "notes": list(analysis.notes),
    }


def launch_record(profile: KernelProfile) -> dict[str, Any]:
    """Return what identifies a launch: names, source, GPU, geometry, resources, time."""
    return {
        "kernel": profile.kernel,
        "demangled": profile.demangled,
        "family": profile.family,
        "source": str(profile.source),
        "origin": profile.origin,
        "gpu": {
            "name": profile.gpu.name,
            "cc": profile.gpu.cc,
            "sm_count": profile.gpu.sm_count,
        },
        "grid": None if profile.grid is None else list(profile.grid),
        "block": None if profile.block is None else list(profile.block),
        "registers": profile.registers,
        "shared_mem": {
            "static": profile.shared_mem.static_bytes,
            "dynamic": profile.shared_mem.dynamic_bytes,
        },
        "launches": profile.launches,
        "duration_ns": _finite(profile.duration_ns),
        "cycles": _finite(profile.cycles),
        "collector": None
        if profile.collector is None
        else {
            "tool": profile.collector.tool,
            "version": profile.collector.version,
            "clock_control": profile.collector.clock_control,
            "cache_control": profile.collector.cache_control,
        },
        "nvtx": list(profile.nvtx),
        "placement": {
            "process": profile.placement.process,
            "context": profile.placement.context,
            "device": profile.placement.device,
        },
    }


def _spreads(analysis: LaunchAnalysis) -> dict[str, list[float | None]]:
    """Return (smallest, largest) of each figure, where several launches were merged."""
    found = {f.key: f.spread for f in analysis.figures.values()}
    found |= {k: analysis.classes_spread.get(name) for k, name in _CLASS_KEYS.items()}
    found["duration_ns"] = analysis.profile.spread.get("gpu__time_duration.sum")
    return {key: [_finite(end) for end in ends] for key, ends in found.items() if ends is not None}


def table_v_record(analysis: LaunchAnalysis) -> dict[str, float | None]:
    """Return the rows of Table V by key, the four stall classes included."""
    rows = {key: _finite(figure.value) for key, figure in analysis.figures.items()}
    for key, stall_class in _CLASS_KEYS.items():
        rows[key] = _finite(analysis.classes_pct.get(stall_class))
    return rows


def stall_base(analysis: LaunchAnalysis) -> str:
    """Say what the shares are shares of."""
    if analysis.options.count_not_selected:
        return "all stall reasons without selected"
    return "all stall reasons without selected and not_selected"


def dump(document: Mapping[str, Any]) -> str:
    """Serialise a document; strict JSON, so a stray NaN is an error here and not in a reader.

    Text is kept whole; characters that would steer a terminal are escaped.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return escape_json(text) + "\n"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
