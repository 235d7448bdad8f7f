"""Networks: their layers, shapes, definitions, files and counters.

``resolve_network`` gives a network by name or from a file, ``count_network`` its parameters,
activations and MACs, ``single_layer`` one layer from numbers.
"""

from __future__ import annotations

from kernprof.networks.counters import (
    DTYPE_BITS,
    Counter,
    LayerCount,
    NetworkCounts,
    PaperFigures,
    bytes_of,
    count_layer,
    count_network,
    layer_intensity,
    layer_traffic_bytes,
    network_intensity,
    paper_figures,
    stored_params,
)
from kernprof.networks.files import read_network, resolve_network
from kernprof.networks.ir import Engine, Layer, Network, Shape, Unsupported
from kernprof.networks.published import PAPER, Published, published, published_for
from kernprof.networks.registry import (
    PAPER_NETWORKS,
    canonical_name,
    is_known,
    load_network,
    network_names,
)
from kernprof.networks.single import LayerType, single_layer

__all__ = [
    "DTYPE_BITS",
    "PAPER",
    "PAPER_NETWORKS",
    "Counter",
    "Engine",
    "Layer",
    "LayerCount",
    "LayerType",
    "Network",
    "NetworkCounts",
    "PaperFigures",
    "Published",
    "Shape",
    "Unsupported",
    "bytes_of",
    "canonical_name",
    "count_layer",
    "count_network",
    "is_known",
    "layer_intensity",
    "layer_traffic_bytes",
    "load_network",
    "network_intensity",
    "network_names",
    "paper_figures",
    "published",
    "published_for",
    "read_network",
    "resolve_network",
    "single_layer",
    "stored_params",
]
