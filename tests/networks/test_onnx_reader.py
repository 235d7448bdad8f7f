"""Networks from ONNX files. The models are built here, with the operators that torch exports."""

import json
import sys
from collections import Counter as Tally
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernprof.errors import NetworkFileError, UnavailableError
from kernprof.networks import Counter, count_network, load_network, read_network
from kernprof.networks.ir import (
    ActivationKind,
    BatchNorm,
    Convolution,
    Opaque,
    Pad,
    Pooling,
    Rounding,
    Shape,
)
from kernprof.networks.limits import NetworkLimits
from kernprof.networks.onnx_reader import OnnxReaderOptions, network_from_onnx, read_onnx

onnx = pytest.importorskip("onnx")
from network_writers import onnx_model  # noqa: E402  (needs onnx)
from onnx import TensorProto, helper  # noqa: E402

MODELS = json.loads((Path(__file__).parent / "data" / "torchvision.json").read_text())["models"]


def model(nodes, weights=(), shape=(1, 3, 12, 12), opset=17):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, dims, [0.0] * _count(dims))
        for name, dims in weights
    ]
    graph = helper.make_graph(nodes, "g", [image], [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def _count(dims):
    count = 1
    for dim in dims:
        count *= dim
    return count


def read(proto, **options):
    return network_from_onnx(proto.SerializeToString(), "m.onnx", OnnxReaderOptions(**options))


def one(kind, weights=(), inputs=(), shape=(1, 3, 12, 12), **attributes):
    """The layers after the input of a model of one node."""
    node = helper.make_node(kind, ["image", *inputs], ["out"], name="n", **attributes)
    return read(model([node], weights, shape)).layers[1:]


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3-large", "ResNet-50"])
def test_same_totals_as_the_definition(name):
    network = load_network(name)
    proto = onnx_model(network)
    read_back = read(proto)
    for counter in (Counter.EQ2, Counter.NETSCOPE):
        expected, found = count_network(network, counter), count_network(read_back, counter)
        assert (found.macs, found.params, found.activations) == (
            expected.macs,
            expected.params,
            expected.activations,
        )
    assert read_back.unsupported == ()


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3-large", "ResNet-50"])
def test_written_models_have_the_operators_of_real_exports(name):
    """So that the tests above stand for files that torch writes."""
    exported = dict(MODELS[name]["onnx_operators"])
    exported.pop("Constant", None)  # limits of Clip and the like, constants here too
    written = Tally(node.op_type for node in onnx_model(load_network(name)).graph.node)
    flattened = written.pop("Flatten")
    exported.pop("Flatten")
    assert flattened >= 1
    assert dict(written) == exported


def test_open_batch_and_open_size():
    node = helper.make_node("Relu", ["image"], ["out"])
    assert read(model([node], shape=("n", 3, 8, 8))).input_shape == Shape(3, 8, 8)
    with pytest.raises(
        NetworkFileError, match=r"leaves dimensions 2, 3 open; give the input shape"
    ):
        read(model([node], shape=("n", 3, "h", "w")))
    opened = read(model([node], shape=("n", 3, "h", "w")), input_shape=Shape(3, 20, 24))
    assert opened.layers[-1].out_shape == Shape(3, 20, 24)


def test_convolution_attributes():
    (conv,) = one(
        "Conv",
        [("w", (6, 1, 3, 5)), ("b", (6,))],
        ["w", "b"],
        group=3,
        strides=[2, 1],
        pads=[1, 2, 1, 2],
        dilations=[1, 2],
    )
    assert conv.op == Convolution(6, (3, 5), (2, 1), (1, 2), (1, 2), 3, True)
    assert conv.out_shape == Shape(6, 6, 8)


@pytest.mark.parametrize(
    ("mode", "pad"), [("SAME_UPPER", Pad(0, 0, 1, 1)), ("SAME_LOWER", Pad(1, 1, 0, 0))]
)
def test_uneven_padding_becomes_a_layer(mode, pad):
    padding, conv = one("Conv", [("w", (4, 3, 3, 3))], ["w"], strides=[2, 2], auto_pad=mode)
    assert padding.op == pad
    assert conv.op == Convolution(4, (3, 3), (2, 2), bias=False)
    assert conv.out_shape == Shape(4, 6, 6)
    (conv,) = one("Conv", [("w", (4, 3, 3, 3))], ["w"], auto_pad=mode)
    assert conv.op.pad == (1, 1)


def test_pooling():
    (pool,) = one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    assert pool.op.rounding is Rounding.CEIL
    assert pool.out_shape == Shape(3, 6, 6)
    (pool,) = one("AveragePool", kernel_shape=[3, 3], strides=[2, 2])
    assert pool.out_shape == Shape(3, 5, 5)
    (pool,) = one("ReduceMean", axes=[-1, -2], keepdims=1)
    assert isinstance(pool.op, Pooling)
    assert pool.op.global_pooling


def test_batch_normalisation_says_where_its_statistics_come_from():
    weights = [(name, (3,)) for name in "gbmv"]
    stored, affine = one("BatchNormalization", weights, list("gbmv"))
    assert stored.op == BatchNorm(global_stats=True)
    assert affine.in_place
    trained, _ = one("BatchNormalization", weights, list("gbmv"), training_mode=1)
    assert trained.op == BatchNorm(global_stats=False)


def test_swish_is_a_sigmoid_and_a_product():
    nodes = [
        helper.make_node("Sigmoid", ["image"], ["s"]),
        helper.make_node("Mul", ["image", "s"], ["out"]),
    ]
    sigmoid, product = read(model(nodes)).layers[1:]
    assert sigmoid.op.kind is ActivationKind.SIGMOID
    assert product.inputs == (0, 1)


def test_factors_may_come_first():
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["f"]),
        helper.make_node("Mul", ["f", "image"], ["out"]),
    ]
    assert read(model(nodes)).layers[-1].inputs == (0, 1)


def test_shape_arithmetic_makes_no_layers():
    one_ = helper.make_tensor("one", TensorProto.INT64, (1,), [1])
    rest = helper.make_tensor("rest", TensorProto.INT64, (1,), [-1])
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Constant", [], ["one"], value=one_),
        helper.make_node("Constant", [], ["rest"], value=rest),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["image", "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["out"], transB=1),
    ]
    proto = model(nodes, [("w", (7, 432))])
    proto.graph.initializer.append(helper.make_tensor("zero", TensorProto.INT64, (1,), [0]))
    assert [layer.kind for layer in read(proto).layers] == ["Input", "Reshape", "InnerProduct"]


def test_unknown_operators_are_listed_with_their_shape():
    nodes = [
        helper.make_node("Erf", ["image"], ["e"], name="erf"),
        helper.make_node("Split", ["e"], ["a", "b"], axis=2, name="split"),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Mul", ["r", "c"], ["out"], name="times"),
    ]
    network = read(model(nodes, [("c", (1,))], opset=13))
    assert [str(item) for item in network.unsupported] == [
        "Erf ('erf', node 0)",
        "Split ('split', node 1)",
        "Mul (with a constant) ('times', node 3)",
    ]
    opaque = [layer for layer in network.layers if isinstance(layer.op, Opaque)]
    assert [layer.out_shape for layer in opaque] == [
        Shape(3, 12, 12),
        Shape(3, 6, 12),
        Shape(3, 6, 12),
        Shape(3, 6, 12),
    ]
    assert count_network(network).unsupported == network.unsupported


@pytest.mark.parametrize(
    ("kind", "attributes", "weights"),
    [
        ("Clip", {}, []),
        ("HardSigmoid", {"alpha": 0.2}, []),
        ("Softmax", {"axis": 2}, []),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, []),
        ("ReduceMean", {"axes": [1]}, []),
        ("LogSoftmax", {}, []),
    ],
)
def test_modes_that_are_not_modelled(kind, attributes, weights):
    (found,) = one(kind, weights, **attributes)
    assert isinstance(found.op, Opaque)
    assert found.kind.startswith(kind)


def test_external_data_are_not_touched(tmp_path):
    """The weights' file doesn't exist, and its path leads out of the folder."""
    proto = model([helper.make_node("Conv", ["image", "w"], ["out"])])
    weight = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4, 3, 3, 3])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    assert read_network(path).layers[-1].out_shape == Shape(4, 10, 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no nodes"),
        (b"\xff" * 64, "not an ONNX model"),
        (b"<html></html>", "not an ONNX model"),
    ],
)
def test_files_that_are_no_model(tmp_path, content, message):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(NetworkFileError, match=message):
        read_onnx(path)


def test_contradictions_are_refused():
    missing = model([helper.make_node("Relu", ["nowhere"], ["out"])])
    with pytest.raises(NetworkFileError, match="reads 'nowhere', which no earlier node produces"):
        read(missing)
    wrong = model([helper.make_node("Conv", ["image", "w"], ["out"])], [("w", (4, 5, 3, 3))])
    with pytest.raises(NetworkFileError, match="5 x 1 input channels meet an image of 3"):
        read(wrong)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["out"]),
    ]
    with pytest.raises(NetworkFileError, match="weights for 9 inputs meet a matrix of 1 x 432"):
        read(model(nodes, [("w", (9, 4))]))
    huge = model([helper.make_node("Relu", ["image"], ["out"])], shape=(1, 2**20, 2**10, 2**10))
    with pytest.raises(NetworkFileError, match="signed 32 bits"):
        read(huge)


def test_names_that_are_no_text():
    content = model([helper.make_node("Relu", ["image"], ["out"], name="XYZW")]).SerializeToString()
    network = network_from_onnx(content.replace(b"XYZW", b"X\xff\xfeW"), "m.onnx")
    assert network.layers[-1].name == "X\ufffd\ufffdW"


def test_limits(tmp_path):
    proto = model([helper.make_node("Relu", ["image"], ["out"])])
    with pytest.raises(NetworkFileError, match=r"1 nodes, .*; at most 0"):
        read(proto, limits=NetworkLimits(layers=0))
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(NetworkFileError, match="at most 10 are read"):
        read_onnx(path, OnnxReaderOptions(limits=NetworkLimits(onnx_bytes=10)))
    with pytest.raises(NetworkFileError, match="No such file"):
        read_onnx(tmp_path / "none.onnx")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UnavailableError, match=r"pip install 'gpu-kernprof\[onnx\]'"):
        network_from_onnx(b"", "m.onnx")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_models_end_in_our_error(data):
    """Cut or flip bytes of a good model: a network comes out, or NetworkFileError."""
    content = bytearray(
        model(
            [
                helper.make_node("Conv", ["image", "w"], ["c"], pads=[1, 1, 1, 1]),
                helper.make_node("Relu", ["c"], ["out"]),
            ],
            [("w", (4, 3, 3, 3))],
        ).SerializeToString()
    )
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    try:
        network_from_onnx(bytes(content[:end]), "m.onnx")
    except NetworkFileError as error:
        assert str(error).startswith("m.onnx: ")
