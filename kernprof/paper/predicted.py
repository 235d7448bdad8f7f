"""The paper's networks, predicted for a GPU that nobody has at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kernprof.devices.model import Device
from kernprof.errors import UsageError
from kernprof.layers import NetworkPrediction, can_predict, predict_network
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.registry import PAPER_NETWORKS, load_network


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
