"""Layers given by shape."""

import pytest

from kernprof.errors import ShapeError, UnknownNameError
from kernprof.networks import LayerType, single_layer
from kernprof.networks.ir import BatchNorm, Convolution, InnerProduct, Scale, Shape


def test_defaults_by_kind():
    depthwise = single_layer(LayerType.DEPTHWISE, in_channels=32, size=112, stride=2)
    assert depthwise.op == Convolution(32, (3, 3), (2, 2), (1, 1), groups=32, bias=False)
    assert depthwise.out_shape == Shape(32, 56, 56)
    pointwise = single_layer(LayerType.POINTWISE, in_channels=32, out_channels=64, size=(7, 9))
    assert pointwise.op == Convolution(64, (1, 1), bias=False)
    assert pointwise.out_shape == Shape(64, 7, 9)
    grouped = single_layer(LayerType.GROUPED, in_channels=32, out_channels=64, size=7, groups=4)
    assert grouped.op.groups == 4
    conv = single_layer(LayerType.CONV, in_channels=3, out_channels=8, size=9, kernel=(3, 1), pad=0)
    assert conv.out_shape == Shape(8, 7, 9)
    assert single_layer(LayerType.FC, in_channels=4, out_channels=10, size=2).op == InnerProduct(
        10, bias=False
    )
    assert single_layer(LayerType.BATCHNORM, in_channels=4, size=2).op == BatchNorm()
    assert single_layer(LayerType.SCALE, in_channels=4, size=2, bias=True).op == Scale(True)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("pointwise", {"kernel": 3}, "a kernel other than 1"),
        ("pointwise", {"stride": 2}, "stride or pad"),
        ("depthwise", {"groups": 4}, "groups other than its channels"),
        ("depthwise", {"out_channels": 20}, "groups don't divide 20 output channels"),
        ("grouped", {}, "needs its number of groups"),
        ("fc", {}, "needs its output features"),
        ("fc", {"out_channels": 4, "kernel": 3}, "takes no kernel"),
        ("batchnorm", {"out_channels": 9}, "other output than input channels"),
        ("scale", {"groups": 2}, "takes no groups"),
        ("conv", {"size": 0}, "every extent must be at least 1"),
        ("conv", {"in_channels": -1}, "every extent must be at least 1"),
        ("conv", {"kernel": 9, "pad": 0, "size": 5}, "larger than the padded input"),
    ],
)
def test_contradictions(kind, options, message):
    with pytest.raises(ShapeError, match=message):
        single_layer(kind, **{"in_channels": 8, "size": 8} | options)


def test_unknown_kind():
    with pytest.raises(UnknownNameError, match="did you mean depthwise or pointwise"):
        single_layer("pointwize", in_channels=8)
