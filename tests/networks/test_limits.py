"""Hostile and absurd network files: bounded in time and memory, or refused with a message."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from kernprof.errors import NetworkFileError, ShapeError
from kernprof.lowering.emit import Emitter
from kernprof.lowering.launch import Lowering
from kernprof.lowering.lower import lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.caffe_reader import CaffeReaderOptions, network_from_prototxt
from kernprof.networks.ir import Activation, EltwiseKind, Network, Shape
from kernprof.networks.limits import LIMITS, NetworkLimits
from kernprof.networks.onnx_bounds import structure
from kernprof.networks.onnx_reader import network_from_onnx, read_onnx
from kernprof.networks.prototext import parse_prototext
from kernprof.networks.single import single_layer

HEAD = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'


def caffe(text: str, limits: NetworkLimits = LIMITS) -> Network:
    return network_from_prototxt(HEAD + text, "net.prototxt", CaffeReaderOptions(limits=limits))


def relu(name: str, bottom: str = "data") -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{bottom}" top: "{name}" }}\n'


def of_one_name(count: int) -> str:
    return relu("same") * count


def of_unknown_types(count: int) -> str:
    unknown = "".join(
        f'layer {{ name: "a{i}" type: "Foo" bottom: "data" top: "b" }}\n' for i in range(count)
    )
    return unknown + relu("known", "c") + 'layer { name: "c" type: "Split" bottom: "data" top: "c"}'


def of_fields(count: int) -> str:
    return 'layer { name: "x" type: "ReLU" bottom: "data" top: "x" ' + "a: 1 " * count + "}"


def model(nodes, weights=(), functions=(), side: int = 8) -> ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, side])
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [image], [out], list(weights))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions))


def read(proto: ModelProto) -> Network:
    return network_from_onnx(proto.SerializeToString(), "m.onnx")


def seconds(work: Callable[[], object]) -> float:
    """Processor time, the best of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(NetworkFileError):
            work()
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize("make", [of_one_name, of_unknown_types, of_fields])
def test_time_grows_with_the_file(make: Callable[[int], str]) -> None:
    short, long = make(1500), make(6000)
    assert seconds(lambda: caffe(long)) < 6 * seconds(lambda: caffe(short))


def test_time_grows_with_the_nodes() -> None:
    def chain(count: int) -> bytes:
        sources = ["image", *(f"t{i}" for i in range(count))]
        pairs = itertools.pairwise(sources)
        nodes = [helper.make_node("Relu", [a], [b], name="same") for a, b in pairs]
        return model(nodes).SerializeToString()

    short, long = chain(1000), chain(4000)
    ratio = seconds(lambda: network_from_onnx(long, "")) / seconds(
        lambda: network_from_onnx(short, "")
    )
    assert ratio < 6


@pytest.mark.parametrize("lowering", list(Lowering))
@pytest.mark.parametrize("kind", list(EltwiseKind))
def test_launches_grow_with_the_inputs(
    kind: EltwiseKind, lowering: Lowering, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    emit = Emitter.launch_sized

    def counted(*given, **more):
        nonlocal made
        made += 1
        return emit(*given, **more)

    def launches(inputs: int) -> int:
        nonlocal made
        net = NetworkBuilder("n", Shape(3, 8, 8), "")
        net.conv("c", 3, 1)
        net.concat("cat", [net.last] * inputs)
        net.eltwise("sum", [1] * inputs, kind)
        made = 0
        lower_network(net.build(), LoweringOptions(lowering=lowering, data_gradients=True))
        return made

    monkeypatch.setattr(Emitter, "launch_sized", counted)
    assert launches(400) < 5 * launches(100)


def test_long_strings_take_little_memory() -> None:
    text = f'a: "{"x" * 1_000_000}" b: "{chr(92)}n{"y" * 1_000_000}"'
    tracemalloc.start()
    parse_prototext(text, NetworkLimits(text_chars=1 << 24))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'a: "{"x" * 70_000}"', "line 2: .* is longer than 65536 characters"),
        (f"a: {'1' * 70_000}", "line 2: .* is longer than 65536 characters"),
        (relu("x" * 1025), "line 2: 1025 characters in the name .* at most 1024"),
        (of_one_name(20_001), "20001 layers; at most 20000"),
        (of_fields(333_400), "more than 1000000 tokens"),
        (
            'layer { name: "c" type: "Concat" top: "c" ' + 'bottom: "data" ' * 1025 + "}",
            "1025 inputs of layer 'c'; at most 1024",
        ),
        (
            "".join(
                f'layer {{ name: "c{k}" type: "Eltwise" top: "c" ' + 'bottom: "data" ' * 1000 + "}"
                for k in range(201)
            ),
            "201000 inputs of all layers; at most 200000",
        ),
        (
            'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
            "convolution_param { num_output: 999999999999999999 kernel_size: 1 } }",
            "out_channels is 999999999999999999; .* 2147483647 is the most",
        ),
        (
            'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param '
            "{ num_output: 3 kernel_size: 1 pad: 999999999999999999 } }",
            "vertical pad is 999999999999999999; .* 2147483647 is the most",
        ),
    ],
)
def test_prototxt_limits(text: str, said: str) -> None:
    with pytest.raises(NetworkFileError, match=said) as caught:
        caffe(text)
    assert len(str(caught.value)) < 1000


def test_messages_stay_short() -> None:
    with pytest.raises(NetworkFileError, match=r"and 4990 more") as caught:
        caffe(of_unknown_types(5000).replace('bottom: "c"', 'bottom: "b"'))
    assert len(str(caught.value)) < 2000


def test_free_names_are_told_without_being_taken() -> None:
    net = NetworkBuilder("n", Shape(3, 8, 8), "")
    for name in ("a", "a#2", "a#3"):
        net.add(name, Activation(), [0])
    assert net.free_name("a") == net.free_name("a") == "a#4"
    assert net.free_name("b") == "b"


def test_networks_made_in_python_have_the_limits_too() -> None:
    net = NetworkBuilder("n", Shape(3, 8, 8), "", NetworkLimits(layers=2))
    net.act("a")
    with pytest.raises(ShapeError, match="3 layers; at most 2"):
        net.act("b")


class Counting(io.FileIO):
    """Counts the bytes that are read."""

    seen = 0

    def readinto(self, buffer) -> int:
        got = super().readinto(buffer)
        self.seen += got or 0
        return got


def test_weights_are_passed_over(tmp_path: Path) -> None:
    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [5_000_000], b"\0" * 20_000_000, raw=True),
        helper.make_tensor("v", TensorProto.FLOAT, [100_000], [1.0] * 100_000),
    ]
    node = helper.make_node("Relu", ["image"], ["out"], doc_string="d" * 50_000)
    constant = helper.make_node("Constant", [], ["k"], value=weights[1])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 192])
    flat = helper.make_node("Reshape", ["out", "shape"], ["flat"])
    proto = model([constant, node, flat], [*weights, shape])
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    raw = Counting(path)
    with io.BufferedReader(raw) as stream:
        bare = structure(stream, path.stat().st_size)
    assert raw.seen < 500_000
    assert len(bare) < 1000
    assert ModelProto.FromString(bare).graph.initializer[0].dims == [5_000_000]
    assert str(read_onnx(path).layers[-1].out_shape) == "192x1x1"


def test_structure_keeps_everything_else() -> None:
    nodes = [
        helper.make_node("Relu", ["image"], [f"t{i}"], name=f"n{i}", domain="") for i in range(999)
    ]
    proto = model(nodes)
    content = proto.SerializeToString()
    assert ModelProto.FromString(structure(io.BytesIO(content), len(content))) == proto


def function(number: int, callees: list[int]):
    body = [helper.make_node(f"F{to}", ["a"], ["b"], domain="own") for to in callees]
    body = body or [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", f"F{number}", ["a"], ["b"], body, opsets)


def call() -> list:
    return [helper.make_node("F0", ["image"], ["out"], domain="own")]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: model(call(), functions=[function(0, [0])]), "'F0' calls itself"),
        (
            lambda: model(call(), functions=[function(0, [1]), function(1, [0])]),
            "calls itself",
        ),
        (
            lambda: model(
                call(), functions=[function(k, [k + 1] * 2 * (k < 40)) for k in range(41)]
            ),
            r"\d{10,} nodes, those of functions and subgraphs included; at most 20000",
        ),
        (
            lambda: model(call(), functions=[function(k, [k + 1] * (k < 80)) for k in range(81)]),
            "more than 64 deep",
        ),
        (
            lambda: model([helper.make_node("Concat", ["image"] * 1025, ["out"], axis=1)]),
            "node 0 has 1025 inputs",
        ),
        (
            lambda: model(
                [helper.make_node("Relu", ["image"], ["out"])],
                [TensorProto(name="w", data_type=1, dims=[2**62] * 33)],
            ),
            "'w' has 33 dimensions; at most 32",
        ),
        (
            lambda: model([helper.make_node("Relu", ["image"], ["out"], name="x" * 1025)]),
            "1025 characters in the name",
        ),
        (
            lambda: model([helper.make_node("Relu", ["image"], ["out"], foo=[1] * 70_000)]),
            "attribute 'foo' has more than 65536 values",
        ),
        (
            lambda: model([helper.make_node("Relu", ["image"], ["out"])], side=2**62),
            "output width is 4611686018427387904; .* 2147483647 is the most",
        ),
        (
            lambda: model(
                [helper.make_node("Relu", ["image"], ["out"])],
                [TensorProto(name="w")] * 200_001,
            ),
            r"20000\d weights and tensors",
        ),
    ],
)
def test_onnx_limits(make: Callable[[], ModelProto], said: str) -> None:
    with pytest.raises(NetworkFileError, match=said):
        read(make())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (NetworkLimits(onnx_fields=3), "more than 3 fields"),
        (NetworkLimits(onnx_structure_bytes=50), "more than 50 bytes without the weights"),
    ],
)
def test_limits_of_the_structure(limits: NetworkLimits, said: str) -> None:
    content = model([helper.make_node("Relu", ["image"], ["out"])]).SerializeToString()
    with pytest.raises(NetworkFileError, match=said):
        structure(io.BytesIO(content), len(content), limits)


def test_graphs_inside_each_other() -> None:
    content = b""
    for _ in range(30):  # graph in attribute in node in graph, each padded so that it is descended
        padding = b"\x12\x80\x80\x01" + b"x" * 16_384
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            size = len(content) + len(padding) if tag == b"\x0a" else len(content)
            body = content + padding if tag == b"\x0a" else content
            content = tag + _varint(size) + body
    content = b"\x3a" + _varint(len(content)) + content
    with pytest.raises(NetworkFileError, match="nested more than 32"):
        structure(io.BytesIO(content), len(content))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def test_cut_and_changed_files_end_in_a_message() -> None:
    content = model(
        [helper.make_node("Conv", ["image", "w"], ["out"], kernel_shape=[3, 3])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], [0.0] * 108)],
    ).SerializeToString()
    for cut in range(0, len(content), 7):
        with pytest.raises(NetworkFileError):
            network_from_onnx(content[:cut], "m.onnx")
    for place in range(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        try:
            network_from_onnx(bytes(changed), "m.onnx")
        except NetworkFileError:
            continue


@pytest.mark.parametrize("name", ["pipe.onnx", "folder.onnx"])
def test_what_is_no_ordinary_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path) if name.startswith("pipe") else path.mkdir()
    with pytest.raises(NetworkFileError, match="not an ordinary file"):
        read_onnx(path)


HUGE = 10**4299  # Python prints no product of it


@pytest.mark.parametrize(
    "options",
    [
        {"in_channels": HUGE},
        {"in_channels": 3, "size": HUGE},
        {"in_channels": 3, "size": 8, "out_channels": HUGE},
        {"in_channels": 3, "size": 8, "kernel": HUGE},
        {"in_channels": 3, "size": 8, "stride": HUGE},
        {"in_channels": 3, "size": 8, "pad": HUGE},
        {"in_channels": 3, "size": 8, "kernel": -HUGE},
    ],
)
def test_numbers_of_thousands_of_digits(options: dict[str, int]) -> None:
    with pytest.raises(ShapeError, match="a number of more than 20 digits") as caught:
        single_layer("conv", **options)
    assert len(str(caught.value)) < 300


def test_batches_beyond_all_indices() -> None:
    with pytest.raises(ShapeError, match="batch is more than 2147483647"):
        LoweringOptions(batch=HUGE)
