"""Turning layers into kernel launches.

``lower_network`` and ``lower_layer`` list the launches that a framework makes of a network or a
layer; ``network_report`` and ``layer_report`` put counts and published figures beside them.
"""

from __future__ import annotations

from kernprof.lowering.launch import (
    Api,
    Direction,
    KernelSpec,
    Launch,
    Library,
    Lowering,
    Phase,
    Purpose,
    kernel_spec,
    kernel_specs,
    launches_by_family,
)
from kernprof.lowering.lower import LoweredNetwork, lower_layer, lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.lowering.report import LayerReport, NetworkReport, layer_report, network_report

__all__ = [
    "Api",
    "Direction",
    "KernelSpec",
    "Launch",
    "LayerReport",
    "Library",
    "LoweredNetwork",
    "Lowering",
    "LoweringOptions",
    "NetworkReport",
    "Phase",
    "Purpose",
    "kernel_spec",
    "kernel_specs",
    "launches_by_family",
    "layer_report",
    "lower_layer",
    "lower_network",
    "network_report",
]
