"""Metrics that were renamed between GPU generations or profiler versions."""

from __future__ import annotations

from functools import cache

from kernprof.metrics.tables import table


@cache
def _groups() -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for row in table("aliases")["alias"]:
        names = (row["name"], *row["also"])
        for name in names:
            groups[name] = (name, *(other for other in names if other != name))
    return groups


def spellings(metric: str) -> tuple[str, ...]:
    """Return the metric's own name first, then every other name for the same quantity.

    Only true renames count: a metric that merely approximates another is not a spelling of it.
    Source: ``data/aliases.toml``.
    """
    return _groups().get(metric, (metric,))
