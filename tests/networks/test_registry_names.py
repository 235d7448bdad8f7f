"""Networks and their layers by name."""

import pytest

from kernprof.errors import UnknownNameError
from kernprof.networks import (
    PAPER_NETWORKS,
    canonical_name,
    load_network,
    network_names,
    resolve_network,
)
from kernprof.networks.ir import BatchNorm, Convolution, Eltwise, Engine


def test_all_names_build_and_carry_their_name():
    names = network_names()
    assert len(names) == 16
    assert names[:12] == PAPER_NETWORKS
    for name in names:
        network = load_network(name)
        assert network.name == name
        assert network.source
        assert not network.unsupported
        assert len({layer.name for layer in network.layers}) == len(network.layers)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mobilenet", "1.0-MobileNet-224"),
        ("MOBILENETV2", "MobileNetV2"),
        ("mobilenet_v2", "MobileNetV2"),
        ("mobilenet-v3-large", "MobileNetV3-large"),
        ("squeezenet", "SqueezeNet-V1.0"),
        ("squeezenet_v1.1", "SqueezeNet-V1.1"),
        ("resnet50", "ResNet-50"),
        ("googlenet", "GoogLeNet"),
        ("inception_v2", "Inception-V2"),
        ("densenet121", "DenseNet-121"),
        ("1.0-sqnxt-23V5", "1.0-SqNxt-23v5"),
        ("efficientnet_b0", "EfficientNet-B0"),
    ],
)
def test_aliases(given, expected):
    assert canonical_name(given) == expected


def test_unknown_names_suggest_near_ones():
    with pytest.raises(UnknownNameError) as caught:
        resolve_network("mobilnet")
    assert "mobilenet" in caught.value.suggestions
    assert caught.value.exit_code == 2


def test_layer_by_name():
    network = load_network("mobilenet")
    assert network.layer("conv5_3/dw").out_shape.channels == 512
    assert network.layer("CONV5_3/DW") == network.layer("conv5_3/dw")
    with pytest.raises(UnknownNameError) as caught:
        network.layer("conv5_3/dv")
    assert "conv5_3/dw" in caught.value.suggestions


def test_mobilenet_depthwise_layers_ask_for_the_caffe_engine():
    layers = load_network("mobilenet").layers
    depthwise = [layer.op for layer in layers if layer.name.endswith("/dw")]
    depthwise = [op for op in depthwise if isinstance(op, Convolution)]
    assert len(depthwise) == 13
    assert all(op.engine is Engine.CAFFE for op in depthwise)
    assert sum(op.groups for op in depthwise) == 4960


def test_squeezenext_has_21_blocks():
    layers = load_network("1.0-SqNxt-23").layers
    assert sum(isinstance(layer.op, Eltwise) for layer in layers) == 21
    assert sum(isinstance(layer.op, Convolution) for layer in layers) == 111
    grouped = load_network("1.0-G-SqNxt-23").layers
    assert (
        sum(isinstance(layer.op, Convolution) and layer.op.groups == 2 for layer in grouped) == 63
    )


@pytest.mark.parametrize(
    ("name", "stored"),
    [("mobilenet", True), ("densenet", True), ("Inception-V2", True), ("1.0-SqNxt-23", None)],
)
def test_where_batch_norm_takes_its_statistics(name, stored):
    found = {
        layer.op.global_stats
        for layer in load_network(name).layers
        if isinstance(layer.op, BatchNorm)
    }
    assert found == {stored}


def test_consumers():
    network = load_network("squeezenet")
    squeezed = next(
        i for i, layer in enumerate(network.layers) if layer.name == "fire2/relu_squeeze1x1"
    )
    readers = [network.layers[i].name for i in network.consumers()[squeezed]]
    assert readers == ["fire2/expand1x1", "fire2/expand3x3"]
