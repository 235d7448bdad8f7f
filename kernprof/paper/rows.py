"""The eleven rows in which a launch stands beside Table V."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kernprof.metrics.stall_reasons import StallClass
from kernprof.paper.kernels import STALL_CELLS
from kernprof.stalls.analysis import LaunchAnalysis
from kernprof.stalls.figures import rows as figure_rows

_CLASSES = MappingProxyType(
    dict(
        zip(
            STALL_CELLS,
            (
                StallClass.MEMORY,
                StallClass.INSTRUCTION,
                StallClass.SYNCHRONIZATION,
                StallClass.OTHERS,
            ),
            strict=True,
        )
    )
)


def table_rows() -> Mapping[str, str]:
    """Return the eleven rows: key of ``kernprof stalls``, and label with its unit."""
    labels = {row.key: f"{row.label} %" for row in figure_rows()}
    labels |= {key: f"Stalls: {name} dependency %" for key, name in _CLASSES.items()}
    labels["synchronization_pct"] = "Stalls: synchronization %"
    labels["others_pct"] = "Stalls: others %"
    return MappingProxyType(labels)


def values(analysis: LaunchAnalysis) -> dict[str, float | None]:
    """Return a launch's figures by the keys of :func:`table_rows`, in percent."""
    found = {key: figure.value for key, figure in analysis.figures.items()}
    return found | {key: analysis.classes_pct.get(name) for key, name in _CLASSES.items()}
