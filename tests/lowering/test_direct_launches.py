"""Launches of the lowerings of our own."""

import pytest

from kernprof.errors import ShapeError
from kernprof.lowering import Direction, Lowering, LoweringOptions, lower_layer, lower_network
from kernprof.networks import load_network, single_layer
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Convolution, Shape

F, B = Direction.FORWARD, Direction.BACKWARD


def listed(layer, lowering, direction=F, **options):
    rows = []
    for launch in lower_layer(layer, LoweringOptions(lowering, direction, **options)):
        assert launch.library == "kernprof"
        assert not launch.stand_in
        sizes = " ".join(str(value) for value in launch.shape.values())
        times = "" if launch.count == 1 else f"{launch.count} x "
        rows.append(f"{times}{launch.kernel} {sizes}")
    return rows


def test_depthwise():
    layer = single_layer("depthwise", in_channels=512, size=14, bias=True)
    sizes = "512 14 14 3 3 1 1 1 1"
    assert listed(layer, Lowering.DIRECT, batch=2) == [f"depthwise_tiled 2 {sizes} 1"]
    assert listed(layer, Lowering.DIRECT, B) == [
        "bias_backward 1 512 196",
        f"depthwise_backward_weight 1 {sizes} 0",
        f"depthwise_backward_data 1 {sizes} 0",
    ]
    assert listed(layer, Lowering.DIRECT, depthwise="depthwise_naive") == [
        f"depthwise_naive 1 {sizes} 1"
    ]
    assert listed(layer, Lowering.IMPLICIT_GEMM) == [
        "conv_implicit_gemm 1 512 14 14 512 3 3 1 1 1 1 512 1"
    ]


def test_pointwise():
    layer = single_layer("pointwise", in_channels=64, out_channels=128, size=56)
    assert listed(layer, Lowering.DIRECT) == ["pointwise_register 1 64 128 3136 0"]
    assert listed(layer, Lowering.DIRECT, B, data_gradients=False) == [
        "pointwise_backward_weight 1 64 128 3136 0"
    ]
    assert listed(layer, Lowering.IM2COL) == ["sgemm_register 3136 128 64 0 0 0"]


@pytest.mark.parametrize(
    "op",
    [
        Convolution(8, (3, 3), groups=4, bias=False),  # two outputs a channel: not depthwise
        Convolution(4, (3, 3), groups=2, bias=False),
        Convolution(8, (1, 1), (2, 2), bias=False),
        Convolution(8, (1, 1), groups=2, bias=False),
    ],
)
def test_anything_else_is_an_implicit_gemm(op):
    net = NetworkBuilder("n", Shape(4, 9, 9), "test")
    net.add("x", op, [0])
    rows = listed(net.build().layers[-1], Lowering.DIRECT)
    assert len(rows) == 1
    assert rows[0].startswith("conv_implicit_gemm 1 4 9 9")


def test_im2col():
    layer = single_layer("grouped", in_channels=4, out_channels=6, size=(6, 5), groups=2, bias=True)
    assert listed(layer, Lowering.IM2COL, batch=3) == [
        "3 x im2col 4 6 5 3 3 1 1 1 1 1 1",
        "6 x sgemm_register 30 3 18 0 0 0",
        "bias_add 3 6 30",
    ]
    assert listed(layer, Lowering.IM2COL, B, sgemm="sgemm_naive") == [
        "bias_backward 1 6 30",
        "im2col 4 6 5 3 3 1 1 1 1 1 1",
        "2 x sgemm_naive 18 3 30 1 0 1",
        "2 x sgemm_naive 30 18 3 0 1 0",
        "col2im 4 6 5 3 3 1 1 1 1 1 1",
    ]


def test_dilation():
    net = NetworkBuilder("n", Shape(4, 9, 9), "test")
    net.add("x", Convolution(4, (3, 3), dilation=(2, 2), bias=False), [0])
    layer = net.build().layers[-1]
    assert listed(layer, Lowering.IM2COL)[0] == "im2col 4 9 9 3 3 1 1 0 0 2 2"
    for lowering in (Lowering.DIRECT, Lowering.IMPLICIT_GEMM):
        with pytest.raises(ShapeError, match=f"kernels of the {lowering} lowering take none"):
            lower_layer(layer, LoweringOptions(lowering))


def test_fused_layers():
    norm = single_layer("batchnorm", in_channels=4, size=5)
    assert listed(norm, Lowering.DIRECT) == ["bn_stats 1 4 25", "bn_normalize 1 4 25"]
    assert listed(norm, Lowering.DIRECT, B) == [
        "bn_backward_reduce 1 4 25",
        "bn_backward_apply 1 4 25",
    ]
    assert listed(norm, Lowering.DIRECT, batch_statistics=False) == ["bn_normalize 1 4 25"]
    assert listed(norm, Lowering.DIRECT, B, batch_statistics=False) == [
        "scale_backward_data 1 4 25"
    ]
    scale = single_layer("scale", in_channels=4, size=5, bias=True)
    assert listed(scale, Lowering.DIRECT) == ["scale_forward 1 4 25 1"]
    assert listed(scale, Lowering.DIRECT, B) == [
        "scale_backward_reduce 1 4 25",
        "scale_backward_data 1 4 25",
    ]
    fc = single_layer("fc", in_channels=120, out_channels=7, bias=True)
    assert listed(fc, Lowering.DIRECT) == ["gemv2T 120 7 0", "bias_add 1 7 1"]
    assert listed(fc, Lowering.DIRECT, batch=2) == [
        "sgemm_register 7 2 120 1 0 0",
        "bias_add 2 7 1",
    ]


def test_one_launch_a_convolution_in_mobilenet():
    found = lower_network(
        load_network("mobilenet"), LoweringOptions(Lowering.DIRECT, Direction.FORWARD)
    ).by_family()
    assert (found["depthwise"], found["pointwise"], found["conv"]) == (13, 14, 1)
    assert "sgemm" not in found
    assert sum(found.values()) < 150
