"""Networks from prototxt files."""

import pytest
from network_writers import prototxt

from kernprof.errors import NetworkFileError, UnknownNameError
from kernprof.networks import PAPER_NETWORKS, load_network, resolve_network
from kernprof.networks.caffe_reader import (
    CaffeReaderOptions,
    NetPhase,
    network_from_prototxt,
    read_prototxt,
)
from kernprof.networks.ir import (
    Activation,
    ActivationKind,
    BatchNorm,
    Convolution,
    Eltwise,
    EltwiseKind,
    Engine,
    Pooling,
    PoolMethod,
    Rounding,
    Scale,
    Shape,
    Softmax,
)
from kernprof.networks.limits import NetworkLimits

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12\n'


def read(text, **options):
    return network_from_prototxt(text, "net.prototxt", CaffeReaderOptions(**options))


def layer(type_name, param="", *, bottoms=("data",), top="x", name="x"):
    inputs = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    return f'layer {{ name: "{name}" type: "{type_name}" {inputs} top: "{top}" {param} }}\n'


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_round_trip_of_the_papers_networks(name):
    """Written as prototxt and read back, a network is the same layer for layer."""
    network = load_network(name)
    assert read(prototxt(network)).layers == network.layers


def test_old_syntax():
    network = read(
        """
        name: "old"
        input: "data" input_dim: 10 input_dim: 3 input_dim: 12 input_dim: 12
        layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2
          convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 1 } }
        layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
        layers { name: "pool" type: POOLING bottom: "conv" top: "pool"
          pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
        layers { name: "fc" type: INNER_PRODUCT bottom: "pool" top: "fc"
          inner_product_param { num_output: 5 } }
        layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc" bottom: "label" top: "loss" }
        """
    )
    assert network.name == "old"
    assert [layer.kind for layer in network.layers] == [
        "Input",
        "Convolution",
        "Activation",
        "Pooling",
        "InnerProduct",
        "Softmax",
    ]
    assert network.layer("conv").op == Convolution(8, (3, 3), pad=(1, 1))
    assert network.layer("relu").in_place
    assert network.layer("pool").out_shape == Shape(8, 6, 6)
    assert network.layer("loss").op == Softmax(loss=True)


def test_phases_and_data_layers():
    text = """
    layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
      transform_param { crop_size: 10 } data_param { source: "/x" batch_size: 3 } }
    layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
      transform_param { crop_size: 10 } }
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
      inner_product_param { num_output: 5 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss"
      exclude { phase: TEST } }
    layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc"
      include { phase: TEST } include { phase: TRAIN stage: "never" } }
    """
    shape = Shape(3, 10, 10)
    train = read(text, input_shape=shape)
    test = read(text, input_shape=shape, phase=NetPhase.TEST)
    assert [layer.name for layer in train.layers] == ["data", "fc", "loss"]
    assert [layer.name for layer in test.layers] == ["data", "fc", "acc"]
    assert train.input_shape == shape
    with pytest.raises(
        NetworkFileError, match=r"crop_size is 10.*give the input shape, for .*3x10"
    ):
        read(text)


def test_input_shape_overrides_the_file():
    text = INPUT + layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }")
    assert read(text).layer("x").out_shape == Shape(4, 10, 10)
    assert read(text, input_shape=Shape(3, 20, 20)).layer("x").out_shape == Shape(4, 18, 18)


@pytest.mark.parametrize(
    ("type_name", "param", "op"),
    [
        (
            "Convolution",
            "convolution_param { num_output: 6 kernel_size: 3 kernel_size: 5 stride_h: 2 "
            "stride_w: 1 pad_w: 2 dilation: 2 dilation: 1 group: 3 bias_term: false "
            "engine: CAFFE }",
            Convolution(6, (3, 5), (2, 1), (0, 2), (2, 1), 3, False, Engine.CAFFE),
        ),
        (
            "Convolution",
            "convolution_param { num_output: 6 kernel_size: 3 engine: 2 }",
            Convolution(6, (3, 3), engine=Engine.CUDNN),
        ),
        ("Pooling", "pooling_param { kernel_size: 3 }", Pooling(PoolMethod.MAX, (3, 3))),
        (
            "Pooling",
            "pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 "
            "round_mode: FLOOR }",
            Pooling(PoolMethod.AVE, (3, 2), (2, 2), (1, 1), rounding=Rounding.FLOOR),
        ),
        (
            "Pooling",
            "pooling_param { kernel_size: 3 ceil_mode: false }",
            Pooling(PoolMethod.MAX, (3, 3), rounding=Rounding.FLOOR),
        ),
        ("ReLU", "relu_param { negative_slope: 0.1 }", Activation(leaky=True)),
        ("TanH", "", Activation(ActivationKind.TANH)),
        ("BatchNorm", "batch_norm_param { use_global_stats: true }", BatchNorm(True)),
        ("Scale", "", Scale(bias=False)),
    ],
)
def test_fields(type_name, param, op):
    assert read(INPUT + layer(type_name, param)).layer("x").op == op


def test_ceil_mode_can_be_ignored():
    text = INPUT + layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }")
    assert read(text).layer("x").out_shape == Shape(3, 5, 5)
    assert read(text, ignore_ceil_mode=True).layer("x").out_shape == Shape(3, 6, 6)


def test_split_flatten_reshape_and_channel_products():
    network = read(
        INPUT
        + layer("Split", top='a" top: "b', name="s")
        + layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", top="g", name="g")
        + layer("Scale", "scale_param { axis: 0 }", bottoms=("a", "f"), top="m", name="m").replace(
            '"f"', '"g"'
        )
        + layer("Flatten", bottoms=("m",), top="flat", name="flat")
        + layer(
            "Reshape",
            "reshape_param { shape { dim: 0 dim: -1 dim: 12 } }",
            bottoms=("m",),
            top="r",
            name="r",
        )
    )
    assert network.layer("m").op == Eltwise(EltwiseKind.PROD)
    assert network.layer("m").inputs == (0, 1)
    assert network.layer("flat").out_shape == Shape(3 * 144)
    assert network.layer("r").out_shape == Shape(36, 12)


def test_unknown_last_layers_are_listed():
    network = read(
        INPUT
        + layer("ReLU", top="a", name="a")
        + layer("DetectionOutput", bottoms=("a",), top="b", name="b")
        + layer("Resample", bottoms=("b",), top="c", name="c")
    )
    assert [str(item) for item in network.unsupported] == [
        "DetectionOutput ('b', line 3)",
        "Resample ('c', line 4)",
    ]
    assert [layer.name for layer in network.layers] == ["data", "a"]


def test_unknown_layers_in_the_middle_are_all_named():
    text = (
        INPUT
        + layer("Mish", top="a", name="a")
        + layer("ReLU", bottoms=("a",), top="b", name="b")
        + layer("Pooling", "pooling_param { pool: STOCHASTIC }", name="p")
    )
    with pytest.raises(NetworkFileError) as caught:
        read(text)
    message = str(caught.value)
    assert "Mish ('a', line 2)" in message
    assert "Pooling (STOCHASTIC) ('p', line 4)" in message
    assert "'b' (line 3) can't be shaped" in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no layer"),
        (INPUT, "there is no layer"),
        (INPUT + layer("ReLU", bottoms=("nope",)), "reads 'nope', which no earlier layer produces"),
        (INPUT + layer("Convolution"), "no num_output"),
        (INPUT + layer("Convolution", "convolution_param { num_output: 3 }"), "no kernel_size"),
        (
            INPUT + layer("Convolution", "convolution_param { num_output: 3 kernel_size: 99 }"),
            "line 2: layer 'x': the vertical window reaches over 99",
        ),
        (
            INPUT + layer("Convolution", "convolution_param { num_output: x kernel_size: 3 }"),
            "whole number",
        ),
        (
            INPUT
            + layer(
                "Convolution",
                "convolution_param { num_output: 3 kernel_size: 3 kernel_h: 3 }",
            ),
            "are both given",
        ),
        (
            INPUT + layer("Pooling", "pooling_param { pool: MEDIAN kernel_size: 3 }"),
            "expected one of",
        ),
        ('input: "data" input_dim: 3\n' + layer("ReLU"), "four an input are expected"),
        ('input: "data"\n' + layer("ReLU"), "give the input shape"),
        (layer("ReLU"), "which no earlier layer produces"),
        (INPUT + layer("ReLU") + "layers { }", "both 'layer' and 'layers'"),
        ("layers { layer { name: 'x' type: 'conv' } }", "oldest syntax"),
        (INPUT + layer("ReLU", bottoms=()), "has no bottom"),
        (INPUT.replace("12", "-12") + layer("ReLU"), "must be at least 1"),
    ],
)
def test_bad_files(text, message):
    with pytest.raises(NetworkFileError, match=message) as caught:
        read(text)
    assert str(caught.value).startswith("net.prototxt: ")


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "x.prototxt"
    path.write_bytes(b"\x89PNG\r\n\xff")
    with pytest.raises(NetworkFileError, match="no UTF-8 text"):
        read_prototxt(path)
    with pytest.raises(NetworkFileError, match="No such file"):
        read_prototxt(tmp_path / "none.prototxt")


def test_names_and_files_are_told_apart(tmp_path, monkeypatch):
    path = tmp_path / "mine.prototxt"
    path.write_text(prototxt(load_network("alexnet")))
    assert len(resolve_network(str(path)).layers) == 24
    monkeypatch.chdir(tmp_path)
    assert resolve_network("mine.prototxt").source == "mine.prototxt"
    (tmp_path / "weights.caffemodel").write_bytes(b"\x00")
    with pytest.raises(NetworkFileError, match=r"neither \.onnx nor \.prototxt"):
        resolve_network("./weights.caffemodel")
    with pytest.raises(UnknownNameError):
        resolve_network("nosuchnet")


def test_too_many_layers():
    text = INPUT + "".join(layer("ReLU", top=f"x{i}", name=f"x{i}") for i in range(5))
    with pytest.raises(NetworkFileError, match="5 layers; at most 4"):
        read(text, limits=NetworkLimits(layers=4))
