"""What the paper's Table V prints about three cuBLAS kernels."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PublishedKernel:
    """A column of Table V; None is a cell that is not transcribed.

    Parameters
    ----------
    name
        Kernel family.
    block_threads
        Threads of a block, from the kernel's template arguments.
    occupancy_pct, compute_utilization_pct
        As printed, 0-100.
    sm_utilization
        In the paper's words.
    """

    name: str
    block_threads: int
    sm_utilization: str
    occupancy_pct: float | None = None
    compute_utilization_pct: float | None = None


@cache
def published_kernels() -> Mapping[str, PublishedKernel]:
    """Return the printed columns by kernel family, in the paper's order."""
    text = files("kernprof.paper").joinpath("data/table5.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["kernel"]
    return MappingProxyType({row["name"]: PublishedKernel(**row) for row in rows})
