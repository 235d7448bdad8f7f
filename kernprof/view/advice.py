"""Advice as lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernprof.advice.model import Advice, Evidence


def advice_lines(items: Sequence[Advice], *, most: int) -> list[str]:
    """Return advice as numbered lines; at most ``most`` of them."""
    lines = []
    for number, item in enumerate(items[:most], 1):
        stalls = f" [{', '.join(item.stalls)}]" if item.stalls else ""
        lines.append(f"  {number}. {item.title}{stalls}: {evidence_text(item)}.")
        if item.gain_pct is None:
            gain = "Gain n/a: needs elapsed cycles, SM utilization and issue activity"
        else:
            gain = f"Saves at most {item.gain_pct:.0f} % of the time ({item.bound})"
            if item.share_pct is not None:
                gain = f"Holds {item.share_pct:.0f} % of the cycles. {gain}"
        lines.append(f"     {gain}. To do: {item.remedy}.")
    return lines


def evidence_text(item: Advice) -> str:
    """Return the evidence of a piece of advice: figure = value, figure = value."""
    return ", ".join(_shown(one) for one in item.evidence)


def advice_records(items: Sequence[Advice]) -> list[dict[str, Any]]:
    """Return advice as plain data."""
    return [
        {
            "cause": item.key,
            "title": item.title,
            "stalls": list(item.stalls),
            "evidence": [
                {"name": one.name, "value": one.value, "unit": one.unit} for one in item.evidence
            ],
            "share_pct": item.share_pct,
            "gain_at_most_pct": item.gain_pct,
            "bound": item.bound,
            "remedy": item.remedy,
        }
        for item in items
    ]


def _shown(one: Evidence) -> str:
    if isinstance(one.value, str):
        return f"{one.name} {one.value}"
    value = f"{one.value:,.0f}" if abs(one.value) >= 1000 else f"{one.value:.3g}"
    unit = f" {one.unit}" if one.unit else ""
    return f"{one.name} = {value}{unit}"
