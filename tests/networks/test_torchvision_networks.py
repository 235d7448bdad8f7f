"""Our MobileNetV2, MobileNetV3, EfficientNet and ResNet against torchvision's own models.

The expected numbers are in data/torchvision.json, made by torchvision_reference.py.
"""

import json
from pathlib import Path

import pytest

from kernprof.networks import Counter, count_layer, count_network, load_network
from kernprof.networks.ir import BatchNorm, Convolution, InnerProduct

MODELS = json.loads((Path(__file__).parent / "data" / "torchvision.json").read_text())["models"]


@pytest.mark.parametrize("name", MODELS)
def test_totals(name):
    expected, network = MODELS[name], load_network(name)
    netscope, eq2, blobs = (count_network(network, counter) for counter in Counter)
    assert eq2.macs == expected["product_macs"]
    assert eq2.params == expected["product_params"]
    # Netscope's 2 C of a BatchNorm equal torch's gamma and beta in number.
    assert netscope.params == expected["params"]
    # Caffe stores the running statistics too, and one factor a BatchNorm.
    assert blobs.params == expected["params"] + expected["buffers"] + expected["batch_norms"]
    norms = [layer for layer in network.layers if isinstance(layer.op, BatchNorm)]
    assert len(norms) == expected["batch_norms"]


@pytest.mark.parametrize("name", MODELS)
def test_every_convolution_and_linear_layer(name):
    found = []
    for layer in load_network(name).layers:
        if isinstance(layer.op, Convolution | InnerProduct):
            count, shape = count_layer(layer, Counter.EQ2), layer.out_shape
            extents = [shape.channels]
            if isinstance(layer.op, Convolution):
                extents += [shape.height, shape.width]
            found.append([layer.name, count.macs, count.params, extents])
    assert found == MODELS[name]["products"]
