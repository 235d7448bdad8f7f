"""The paper's networks and kernels, predicted for a GPU that nobody has at hand.

The layer of Table V is MobileNet's ``conv5_1/dw`` (512 channels of 14x14, of which the network has
five) with its normalisation, as Caffe runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from kernprof.devices.model import Device
from kernprof.errors import UsageError
from kernprof.layers import (
    NetworkPrediction,
    can_predict,
    predict_launches,
    predict_network,
    static_launches,
)
from kernprof.lowering.launch import Launch
from kernprof.lowering.lower import lower_layer
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.registry import PAPER_NETWORKS, load_network
from kernprof.paper.quantities import FAMILIES
from kernprof.profile import KernelProfile

_NETWORK = "1.0-MobileNet-224"
_LAYERS = ("conv5_1/dw", "conv5_1/dw/bn")


def table5_launches() -> tuple[Launch, ...]:
    """Return one launch of each kernel: the one that writes most in the layers above."""
    layers = [layer for layer in load_network(_NETWORK).layers if layer.name in _LAYERS]
    launches = [launch for layer in layers for launch in lower_layer(layer)]
    return tuple(
        max((x for x in launches if x.family == family), key=_outputs) for family in FAMILIES
    )


def predict_table5(device: Device) -> tuple[KernelProfile, ...]:
    """Simulate the three launches for a GPU.

    Raises
    ------
    UsageError
        Time can't be predicted for this GPU; says why.
    UnavailableError
        The disassembler or the compiler is missing.
    """
    reason = can_predict(device)
    if reason:
        raise UsageError(f"can't predict Table V: {reason}; take another --gpu")
    statics = static_launches(table5_launches(), device)
    found = predict_launches(statics, device)
    return tuple(
        replace(one.profile, origin=f"{one.static.launch.layer}, {device.name}") for one in found
    )


def predict_table3(
    device: Device, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, NetworkPrediction]:
    """Predict forward and backward of the paper's networks, as ``caffe time`` runs them.

    Parameters
    ----------
    device
        The GPU.
    progress
        Called with the network's name, the number of launches done and of all.

    Raises
    ------
    UsageError
        Time can't be predicted for this GPU; says why.
    UnavailableError
        The disassembler or the compiler is missing.
    """
    reason = can_predict(device)
    if reason:
        raise UsageError(f"can't predict Table III: {reason}; take another --gpu")
    found = {}
    for key in PAPER_NETWORKS:
        network = load_network(key)
        step = None if progress is None else partial(progress, network.name)
        found[network.name] = predict_network(network, device, LoweringOptions(), progress=step)
    return found


def _outputs(launch: Launch) -> int:
    sizes = launch.shape
    # A transposed product has an output a column, the others one a row.
    return int(sizes["n"] if launch.family == "gemv2T" else sizes["m"] * sizes["n"])
