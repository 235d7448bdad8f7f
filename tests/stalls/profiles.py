"""Builders of small profiles with the values visible in the test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernprof.profile import Dim3, Gpu, InstanceTable, KernelProfile, Source

CORE = (
    "long_scoreboard",
    "short_scoreboard",
    "wait",
    "barrier",
    "membar",
    "math_pipe_throttle",
    "mio_throttle",
    "lg_throttle",
    "no_instruction",
    "dispatch_stall",
    "drain",
    "sleeping",
    "misc",
    "not_selected",
    "selected",
)


def profile(metrics: Mapping[str, Any], **overrides: Any) -> KernelProfile:
    fields: dict[str, Any] = {
        "kernel": "kernel",
        "source": Source.IMPORTED,
        "origin": "report.ncu-rep#0",
        "gpu": Gpu("A100", "8.0", 108),
        "grid": Dim3(8),
        "block": Dim3(256),
        "metrics": dict(metrics),
    }
    return KernelProfile(**{**fields, **overrides})


def issue_ratios(**values: float) -> dict[str, float]:
    """A whole per-issue family; reasons not named are 0."""
    return {
        f"smsp__average_warps_issue_stalled_{name}_per_issue_active.ratio": values.get(name, 0.0)
        for name in (*CORE, *(n for n in values if n not in CORE))
    }


def samples(**values: float) -> dict[str, float]:
    spelled = {"no_instruction": "no_instructions"}
    return {
        f"smsp__pcsamp_warps_issue_stalled_{spelled.get(name, name)}": values.get(name, 0)
        for name in (*CORE, *(n for n in values if n not in CORE))
    }


def instances(values: Mapping[int, float]) -> InstanceTable:
    return InstanceTable(tuple(values), tuple(values.values()))
