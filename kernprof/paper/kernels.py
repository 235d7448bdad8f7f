"""What the paper's Table V prints about three cuBLAS kernels."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType

CELLS = MappingProxyType(
    {
        "compute_utilization_pct": "compute utilization",
        "bandwidth_utilization_pct": "bandwidth utilization",
        "occupancy_pct": "occupancy",
        "warp_execution_efficiency_pct": "warp execution efficiency",
        "branch_divergence_pct": "branch divergence",
        "memory_dependency_pct": "memory dependency",
        "instruction_dependency_pct": "instruction dependency",
        "synchronization_pct": "synchronization",
        "others_pct": "other stalls",
    }
)
"""Table V's rows of numbers, in its order: key, and the row in words."""

STALL_CELLS = tuple(CELLS)[5:]
"""The four rows that split the stalls; those of a column add up to 100 but for rounding."""


@dataclass(frozen=True, slots=True)
class PublishedKernel:
    """A column of Table V.

    Parameters
    ----------
    name
        Kernel family.
    block_threads
        Threads of a block, from the kernel's template arguments.
    sm_utilization
        In the paper's words.
    cells
        Every printed number in percent by the keys of ``CELLS``, digits as printed.
    """

    name: str
    block_threads: int
    sm_utilization: str
    cells: Mapping[str, Decimal]


@cache
def published_kernels() -> Mapping[str, PublishedKernel]:
    """Return the printed columns by kernel family, in the paper's order."""
    text = files("kernprof.paper").joinpath("data/table5.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text, parse_float=Decimal)["kernel"]
    return MappingProxyType({row["name"]: _kernel(row) for row in rows})


def _kernel(row: Mapping[str, object]) -> PublishedKernel:
    cells = row["cells"]
    assert isinstance(cells, dict)
    return PublishedKernel(
        name=str(row["name"]),
        block_threads=int(str(row["block_threads"])),
        sm_utilization=str(row["sm_utilization"]),
        cells=MappingProxyType({key: Decimal(cells[key]) for key in CELLS}),
    )
