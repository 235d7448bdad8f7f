"""Table V as a profile in nvprof's format: ``python -m kernprof.paper.trace > FILE``.

The file holds nvprof's own metrics where there is one, in nvprof's units (an occupancy is a ratio,
divergence the part of a branch efficiency that lacks to 100 %), so that it reads like any report
of nvprof. Log lines that begin with ``==kernprof==`` say what nvprof has no place for: that the
figures are published, where, and what is printed in words (``words: KERNEL: FIGURE: WORD``).
"""

from __future__ import annotations

import sys
from decimal import Decimal

from kernprof.paper.kernels import PublishedKernel, published_kernels

_HEAD = """\
==kernprof== source: published
==kernprof== origin: N. K. Jha, S. Mittal, G. Mattela, "The Ramifications of Making Deep Neural \
Networks Compact", VLSID 2019 (arXiv:2006.15098), Table V
==kernprof== note: stall_other holds Table V's row Others, which is every reason but the three \
rows above it
"""
_TITLES = '"Device","Kernel","Invocations","Metric Name","Metric Description","Min","Max","Avg"\n'
_METRICS = (
    ("compute_utilization_pct", "compute_utilization_pct", "Compute Utilization", ""),
    ("bandwidth_utilization_pct", "bandwidth_utilization_pct", "Bandwidth Utilization", ""),
    ("occupancy_pct", "achieved_occupancy", "Achieved Occupancy", "ratio"),
    (
        "warp_execution_efficiency_pct",
        "warp_execution_efficiency",
        "Warp Execution Efficiency",
        "%",
    ),
    ("branch_divergence_pct", "branch_efficiency", "Branch Efficiency", "rest"),
    ("memory_dependency_pct", "stall_memory_dependency", "Issue Stall Reasons (Data Request)", "%"),
    (
        "instruction_dependency_pct",
        "stall_exec_dependency",
        "Issue Stall Reasons (Execution Dependency)",
        "%",
    ),
    ("synchronization_pct", "stall_sync", "Issue Stall Reasons (Synchronization)", "%"),
    ("others_pct", "stall_other", "Issue Stall Reasons (Other)", "%"),
)
"""Key of a cell, metric, its description, and how the printed percentage is written."""


def trace() -> str:
    """Return the file's text."""
    kernels = published_kernels().values()
    words = "".join(
        f"==kernprof== words: {kernel.name}: sm_utilization: {kernel.sm_utilization}\n"
        for kernel in kernels
    )
    rows = "".join(_rows(kernel) for kernel in kernels)
    return _HEAD + words + _TITLES + rows


def _rows(kernel: PublishedKernel) -> str:
    lines = []
    for key, metric, about, how in _METRICS:
        shown = _written(kernel.cells[key], how)
        lines.append(f'"Tesla P100 (0)","{kernel.name}",1,"{metric}","{about}",{shown},{shown},')
        lines[-1] += f"{shown}\n"
    return "".join(lines)


def _written(percent: Decimal, how: str) -> str:
    if how == "ratio":
        return f"{percent / 100:.6f}"
    if how == "rest":
        return f"{100 - percent:.6f}%"
    return f"{percent:.6f}{how}"


if __name__ == "__main__":
    sys.stdout.write(trace())
