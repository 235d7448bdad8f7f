"""The reference paper's Table II, and the counting rules that don't give it."""

import hashlib
from decimal import Decimal

import pytest

from kernprof.networks import (
    PAPER_NETWORKS,
    Counter,
    bytes_of,
    count_layer,
    count_network,
    layer_intensity,
    layer_traffic_bytes,
    load_network,
    network_intensity,
    paper_figures,
    published,
    published_for,
    single_layer,
)
from kernprof.networks.counters import DTYPE_BITS
from kernprof.networks.ir import Activation, ActivationKind, Rounding
from kernprof.networks.zoo.densenet import densenet121

# MACs, parameters, activations. Exact integers from Netscope's own analyzer run over the published
# network files; rounded, they are the paper's 36 printed numbers.
EXACT = {
    "AlexNet": (722_941_184, 60_965_228, 2_045_360),
    "SqueezeNet-V1.0": (847_596_576, 1_248_424, 12_295_904),
    "SqueezeNet-V1.1": (349_151_936, 1_235_496, 7_198_432),
    "1.0-G-SqNxt-23": (220_650_848, 543_072, 17_806_032),
    "1.0-SqNxt-23": (272_816_992, 717_280, 17_806_032),
    "1.0-SqNxt-23v5": (225_096_464, 930_016, 14_062_416),
    "2.0-SqNxt-23": (725_980_480, 2_361_728, 32_206_160),
    "2.0-SqNxt-23v5": (703_279_520, 3_222_912, 24_655_888),
    "1.0-MobileNet-224": (573_783_040, 4_231_976, 20_324_304),
    "DenseNet-121": (3_080_043_552, 7_978_856, 69_991_720),
    "GoogLeNet": (1_586_685_952, 6_998_556, 10_062_768),
    "Inception-V2": (2_200_376_768, 11_188_224, 18_026_723),
}

# As printed: MACs (10^6), params (10^6), acts (10^6), acts/params, MACs/params, MACs/acts.
PRINTED = {
    "AlexNet": "723 60.97 2.05 0.03 11.86 352.65",
    "SqueezeNet-V1.0": "848 1.25 12.3 9.84 678.08 68.91",
    "SqueezeNet-V1.1": "349 1.24 7.2 5.81 281.57 48.49",
    "1.0-G-SqNxt-23": "221 0.54 17.81 32.80 406.35 12.39",
    "1.0-SqNxt-23": "273 0.72 17.81 24.84 380.50 15.32",
    "1.0-SqNxt-23v5": "225 0.93 14.06 15.12 242.04 16.01",
    "2.0-SqNxt-23": "726 2.36 32.21 13.65 307.62 22.54",
    "2.0-SqNxt-23v5": "703 3.22 24.66 7.66 218.41 28.52",
    "1.0-MobileNet-224": "574 4.23 20.32 4.80 135.65 28.24",
    "DenseNet-121": "3080 7.98 69.99 8.77 385.96 44.01",
    "GoogLeNet": "1590 7.00 10.06 1.44 227.14 158.05",
    "Inception-V2": "2200 11.19 18.03 1.61 196.60 122.02",
}

# Number of layers, and a digest of all layers' types, shapes, counts, in-place flags and inputs, as
# an independent implementation of the Netscope rule finds them in the published network files.
LAYERS = {
    "AlexNet": (24, "24f76057b0dfd3da"),
    "SqueezeNet-V1.0": (67, "d3c787348892e9d3"),
    "SqueezeNet-V1.1": (67, "5eda0583c339f813"),
    "1.0-G-SqNxt-23": (491, "ec78b555089e7c2d"),
    "1.0-SqNxt-23": (491, "63a5dc7c4fc6561c"),
    "1.0-SqNxt-23v5": (491, "cac2dedc083054a9"),
    "2.0-SqNxt-23": (491, "a8de67b1dbe13882"),
    "2.0-SqNxt-23v5": (491, "db0d6a65b80c4cf6"),
    "1.0-MobileNet-224": (112, "029fb3a9288aaa56"),
    "DenseNet-121": (548, "872294083a6306ae"),
    "GoogLeNet": (143, "bfb20939b95e315c"),
    "Inception-V2": (302, "b3161a64aa99960a"),
}

# Activations in 10^6 when only convolutions and fully connected layers count, and when only
# distinct buffers do.
EQ2_ACTIVATIONS = "0.65 4.40 2.59 3.84 3.84 3.05 6.91 5.32 5.04 7.31 3.23 4.43"
BLOB_ACTIVATIONS = "1.39 7.81 4.52 5.23 5.23 4.15 9.36 7.18 5.20 36.02 6.84 7.43"


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_exact_counts(name):
    counts = count_network(load_network(name))
    assert (counts.macs, counts.params, counts.activations) == EXACT[name]


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_printed_numbers_and_ratios(name):
    found = paper_figures(count_network(load_network(name)))
    printed = [Decimal(text) for text in PRINTED[name].split()]
    assert [
        found.macs_m,
        found.params_m,
        found.activations_m,
        found.activations_per_param,
        found.macs_per_param,
        found.macs_per_activation,
    ] == printed


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_published_file_has_the_printed_numbers(name):
    figures = published_for(name).figures
    printed = [Decimal(text) for text in PRINTED[name].split()]
    assert [getattr(figures, field) for field in figures.__dataclass_fields__] == printed


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_every_layer(name):
    rows = []
    for layer in load_network(name).layers:
        count = count_layer(layer)
        kind = "ReLU" if layer.op == Activation(ActivationKind.RELU) else layer.kind
        shape = layer.out_shape
        row = (
            kind,
            *(shape.channels, shape.height, shape.width),
            *(count.macs, count.params, count.activations),
            layer.in_place,
            *layer.inputs,
        )
        rows.append(" ".join(map(str, row)))
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
    assert (len(rows), digest) == LAYERS[name]


@pytest.mark.parametrize(
    ("counter", "expected"), [(Counter.EQ2, EQ2_ACTIVATIONS), (Counter.BLOBS, BLOB_ACTIVATIONS)]
)
def test_other_counters(counter, expected):
    found = [
        round(count_network(load_network(name), counter).activations / 1e6, 2)
        for name in PAPER_NETWORKS
    ]
    assert found == [float(text) for text in expected.split()]


def test_other_counters_macs_are_those_of_convolutions_and_fully_connected_layers():
    found = {
        name: round(count_network(load_network(name), Counter.EQ2).macs / 1e6, 1)
        for name in ("AlexNet", "1.0-MobileNet-224")
    }
    assert found == {"AlexNet": 720.6, "1.0-MobileNet-224": 568.7}
    for name in PAPER_NETWORKS:
        network = load_network(name)
        eq2, blobs = (count_network(network, c) for c in (Counter.EQ2, Counter.BLOBS))
        assert eq2.macs == blobs.macs


def test_stored_floats_of_a_caffemodel():
    """BatchNorm stores 2 C + 1 floats, Scale 2 C, and LRN none, unlike Netscope's parameters."""
    assert count_network(load_network("alexnet"), Counter.BLOBS).params == 60_965_224
    assert count_network(load_network("mobilenet"), Counter.BLOBS).params == 4_253_891
    assert count_network(load_network("densenet"), Counter.BLOBS).params == 8_062_625
    assert count_network(load_network("2.0-SqNxt-23v5"), Counter.BLOBS).params == 3_251_375


def test_intended_densenet():
    """With the pooling rounded down, as the files intend and stock Caffe doesn't."""
    counts = count_network(densenet121(Rounding.FLOOR))
    assert round(counts.macs / 1e6, 1) == 2849.8
    assert round(counts.activations / 1e6, 2) == 64.60


def test_squeezenet_conv1():
    old = count_layer(load_network("squeezenet").layer("conv1"))
    new = count_layer(load_network("squeezenet1.1").layer("conv1"))
    assert (old.params, new.params) == (14_208, 1_792)
    assert (old.activations, new.activations) == (1_140_576, 788_544)
    assert (round(old.macs / 1e6, 1), round(new.macs / 1e6, 1)) == (167.7, 21.3)


def test_share_of_pointwise_convolutions_in_mobilenet():
    network = load_network("mobilenet")
    counts = {layer.name: layer.macs for layer in count_network(network, Counter.EQ2).layers}
    pointwise = sum(macs for name, macs in counts.items() if name.endswith("/sep"))
    assert round(100 * pointwise / sum(counts.values()), 2) == 94.86


def test_published_shares():
    assert list(published()) == list(PAPER_NETWORKS)
    shares = published_for("1.0-MobileNet-224").run.shares_pct
    assert shares == {
        "gemv2T": Decimal("55.47"),
        "gemv2N": Decimal("30.5"),
        "gemmk1": Decimal("0.68"),
    }
    assert published_for("ResNet-50") is None


def test_intensity_of_a_pointwise_layer_by_hand():
    layer = single_layer("pointwise", in_channels=64, out_channels=128, size=56)
    macs = 64 * 128 * 56 * 56
    elements = 64 * 56 * 56 + 128 * 56 * 56 + 64 * 128
    assert layer_traffic_bytes(layer) == 4 * elements
    assert layer_intensity(layer) == pytest.approx(2 * macs / (4 * elements))
    assert layer_intensity(layer, dtype="float16") == pytest.approx(2 * layer_intensity(layer))
    # Weights are read once however many images there are.
    assert layer_intensity(layer, batch=8) > layer_intensity(layer)


def test_network_intensity_lies_between_its_layers():
    network = load_network("googlenet")
    values = [layer_intensity(layer) for layer in network.layers]
    assert min(values) < network_intensity(network) < max(values)


def test_sizes_by_data_type():
    assert {name: bytes_of(10, name) for name in DTYPE_BITS} == {
        "float64": 80,
        "float32": 40,
        "tf32": 40,
        "float16": 20,
        "bfloat16": 20,
        "fp8": 10,
        "int8": 10,
    }
