"""Bounds on network files, which are somebody else's data.

With them the time and memory of reading a file, counting it and listing its launches grow with the
file and stay within seconds and some hundred MB. They are far above real networks: the largest of
torchvision has about 700 layers, exported language models some ten thousand nodes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """The most that a network file may have.

    Parameters
    ----------
    prototxt_bytes
        Of a prototxt.
    onnx_bytes
        Of an ONNX file with its weights, which are skipped (protobuf's own limit).
    onnx_structure_bytes
        Of an ONNX file without its weights.
    onnx_fields
        Fields that are looked at to find the weights.
    tokens
        Words, strings and marks of a prototxt.
    depth
        Messages inside each other.
    text_chars
        Of one word or string of a prototxt.
    layers
        Layers; of an ONNX file the nodes, those of subgraphs and functions wherever they are used.
    name_chars
        Of the name of a layer.
    inputs
        Inputs of one layer; of an ONNX node its outputs, too.
    connections
        Inputs of all layers.
    tensors
        Weights and tensors with a known shape of an ONNX file.
    rank
        Dimensions of a tensor.
    list_values
        Values of one attribute of an ONNX node.
    """

    prototxt_bytes: int = 16 << 20
    onnx_bytes: int = 2 << 30
    onnx_structure_bytes: int = 32 << 20
    onnx_fields: int = 1_000_000
    tokens: int = 1_000_000
    depth: int = 32
    text_chars: int = 65_536
    layers: int = 20_000
    name_chars: int = 1024
    inputs: int = 1024
    connections: int = 200_000
    tensors: int = 200_000
    rank: int = 32
    list_values: int = 65_536


LIMITS = NetworkLimits()
