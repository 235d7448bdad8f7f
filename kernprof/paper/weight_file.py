"""Sizes of Caffe's weight files, from the layers alone.

A ``.caffemodel`` is the network's description (``NetParameter`` of BVLC/caffe's
``src/caffe/proto/caffe.proto``, as binary protobuf) with every layer's blobs in it: weights, for
BatchNorm the running mean and variance and the weight of their average, for Scale factor and
offset. The floats are exact. The description around them is counted field by field, as
``Net::ToProto`` writes it: names, types, inputs, outputs, the copies that ``insert_splits.cpp``
adds for blobs with several readers, and for convolutions, BatchNorm and Scale the settings that
SqueezeNext's public files spell out (fillers, learning rates, defaults). What other layers set is
not in it: a few bytes each.
"""

from __future__ import annotations

from collections.abc import Mapping

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.counters import bytes_of, stored_params
from kernprof.networks.ir import (
    BatchNorm,
    Convolution,
    InnerProduct,
    Layer,
    Network,
    PoolMethod,
    Scale,
    Shape,
)

_FLAG = 2
_FLOAT = 5
_XAVIER = 2 + len("xavier")
_CONSTANT = 2 + len("constant")


def blob_bytes(network: Network) -> int:
    """Bytes of the floats that a network's weight file holds."""
    return bytes_of(sum(stored_params(layer) for layer in network.layers))


def weight_file_bytes(network: Network) -> int:
    """Bytes of a network's ``.caffemodel``: its floats and the description around them."""
    layers = network.layers
    blobs: list[str] = []
    for layer in layers:
        blobs.append(blobs[layer.inputs[0]] if layer.in_place else layer.name)
    bottoms: list[list[str]] = [[blobs[source] for source in layer.inputs] for layer in layers]
    total = _field(network.name)
    for position, readers in enumerate(network.consumers()):
        if len(readers) < 2:
            continue
        split = f"{blobs[position]}_{layers[position].name}_0_split"
        copies = [f"{split}_{number}" for number in range(len(readers))]
        total += _message(_head(split, "Split", [blobs[position]], copies), key=2)
        for reader, copy in zip(readers, copies, strict=True):
            bottoms[reader][layers[reader].inputs.index(position)] = copy
    for position, layer in enumerate(layers):
        size = _head(layer.name, layer.kind, bottoms[position], [blobs[position]])
        total += _message(size + _settings(layer) + _blobs(layer), key=2)
    return total


def auxiliary_heads() -> tuple[Network, ...]:
    """Return the two heads that GoogLeNet is trained with and deploy files leave out.

    Source: BVLC/caffe ``models/bvlc_googlenet/train_val.prototxt``. They read the outputs of
    modules 4a (512 channels of 14 x 14) and 4d (528).
    """
    return tuple(
        _head_network(name, channels) for name, channels in (("loss1", 512), ("loss2", 528))
    )


def _head_network(name: str, channels: int) -> Network:
    net = NetworkBuilder(name, Shape(channels, 14, 14), "bvlc_googlenet/train_val.prototxt")
    net.pool(f"{name}/ave_pool", PoolMethod.AVE, 5, 3)
    net.conv(f"{name}/conv", 128, 1)
    net.act(f"{name}/relu_conv")
    net.fc(f"{name}/fc", 1024)
    net.act(f"{name}/relu_fc")
    net.dropout(f"{name}/drop_fc")
    net.fc(f"{name}/classifier", 1000)
    net.softmax(f"{name}/loss")
    return net.build()


# Protobuf: a field is a key (1 byte, 2 from number 16 on) and a number (varint), 4 bytes (float),
# or a length and so many bytes.


def _varint(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))


def _message(size: int, key: int = 1) -> int:
    """Bytes of a text, a message or packed numbers of ``size`` bytes as a field."""
    return key + _varint(size) + size


def _field(text: str) -> int:
    return _message(len(text.encode()))


def _head(name: str, kind: str, bottoms: list[str], tops: list[str]) -> int:
    """Name, type, inputs, outputs and phase of a layer."""
    return sum(map(_field, (name, _TYPES.get(kind, kind), *bottoms, *tops))) + _FLAG


_TYPES: Mapping[str, str] = {"Activation": "ReLU"}


def _settings(layer: Layer) -> int:
    match layer.op:
        case Convolution(out_channels=channels, kernel=kernel, bias=bias):
            square = kernel[0] == kernel[1]
            # pad, kernel_size or their _h and _w; bias_term, group, stride, and dilation (a key
            # of two bytes).
            size = 1 + _varint(channels) + _FLAG * (2 if square else 4) + 3 * _FLAG + 3
            size += _message(_XAVIER) + _message(_CONSTANT)
            return _message(size - _FLAG if bias else size, key=2)
        case BatchNorm():
            # Three times a learning rate and a decay of 0.
            return 3 * _message(2 * _FLOAT)
        case Scale():
            return _message(2 * _message(_FLOAT) + _FLAG, key=2)
        case _:
            return 0


def _blobs(layer: Layer) -> int:
    return sum(_blob(shape) for shape in _blob_shapes(layer))


def _blob_shapes(layer: Layer) -> tuple[tuple[int, ...], ...]:
    channels = layer.in_shape.channels
    match layer.op:
        case Convolution(out_channels=out, kernel=kernel, groups=groups, bias=bias):
            weights: tuple[int, ...] = (out, channels // groups, *kernel)
            return (weights, (out,)) if bias else (weights,)
        case InnerProduct(out_features=out, bias=bias):
            weights = (out, layer.in_shape.count)
            return (weights, (out,)) if bias else (weights,)
        case BatchNorm():
            return (channels,), (channels,), (1,)
        case Scale(bias=bias):
            return ((channels,), (channels,)) if bias else ((channels,),)
        case _:
            return ()


def _blob(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    dims = _message(sum(_varint(extent) for extent in shape))
    return _message(_message(bytes_of(count)) + _message(dims))
