"""Turning layers into kernel launches.

``lower_network`` and ``lower_layer`` list the launches that a framework makes of a network or a
layer; ``network_report`` and ``layer_report`` put counts and published figures beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernprof._lazy import exports

if TYPE_CHECKING:
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

__getattr__, __dir__ = exports(
    __name__,
    {
        "Api": "kernprof.lowering.launch",
        "Direction": "kernprof.lowering.launch",
        "KernelSpec": "kernprof.lowering.launch",
        "Launch": "kernprof.lowering.launch",
        "Library": "kernprof.lowering.launch",
        "Lowering": "kernprof.lowering.launch",
        "Phase": "kernprof.lowering.launch",
        "Purpose": "kernprof.lowering.launch",
        "kernel_spec": "kernprof.lowering.launch",
        "kernel_specs": "kernprof.lowering.launch",
        "launches_by_family": "kernprof.lowering.launch",
        "LoweredNetwork": "kernprof.lowering.lower",
        "lower_layer": "kernprof.lowering.lower",
        "lower_network": "kernprof.lowering.lower",
        "LoweringOptions": "kernprof.lowering.options",
        "LayerReport": "kernprof.lowering.report",
        "NetworkReport": "kernprof.lowering.report",
        "layer_report": "kernprof.lowering.report",
        "network_report": "kernprof.lowering.report",
    },
)
