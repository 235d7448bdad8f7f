"""Networks: their layers, shapes, definitions, files and counters.

``resolve_network`` gives a network by name or from a file, ``count_network`` its parameters,
activations and MACs, ``single_layer`` one layer from numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernprof._lazy import exports

if TYPE_CHECKING:
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
    from kernprof.networks.paper_tables import PAPER, Published, published, published_for
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

__getattr__, __dir__ = exports(
    __name__,
    {
        "DTYPE_BITS": "kernprof.networks.counters",
        "Counter": "kernprof.networks.counters",
        "LayerCount": "kernprof.networks.counters",
        "NetworkCounts": "kernprof.networks.counters",
        "PaperFigures": "kernprof.networks.counters",
        "bytes_of": "kernprof.networks.counters",
        "count_layer": "kernprof.networks.counters",
        "count_network": "kernprof.networks.counters",
        "layer_intensity": "kernprof.networks.counters",
        "layer_traffic_bytes": "kernprof.networks.counters",
        "network_intensity": "kernprof.networks.counters",
        "paper_figures": "kernprof.networks.counters",
        "stored_params": "kernprof.networks.counters",
        "read_network": "kernprof.networks.files",
        "resolve_network": "kernprof.networks.files",
        "Engine": "kernprof.networks.ir",
        "Layer": "kernprof.networks.ir",
        "Network": "kernprof.networks.ir",
        "Shape": "kernprof.networks.ir",
        "Unsupported": "kernprof.networks.ir",
        "PAPER": "kernprof.networks.paper_tables",
        "Published": "kernprof.networks.paper_tables",
        "published": "kernprof.networks.paper_tables",
        "published_for": "kernprof.networks.paper_tables",
        "PAPER_NETWORKS": "kernprof.networks.registry",
        "canonical_name": "kernprof.networks.registry",
        "is_known": "kernprof.networks.registry",
        "load_network": "kernprof.networks.registry",
        "network_names": "kernprof.networks.registry",
        "LayerType": "kernprof.networks.single",
        "single_layer": "kernprof.networks.single",
    },
)
