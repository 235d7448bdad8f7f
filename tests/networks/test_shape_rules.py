"""Shape inference: exact values, rules with their messages, and properties."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernprof.errors import ShapeError
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.infer import MAX_INDEX, conv_extent, output_shape, pool_extent
from kernprof.networks.ir import (
    LRN,
    Concat,
    Convolution,
    Eltwise,
    EltwiseKind,
    InnerProduct,
    Pad,
    Pooling,
    PoolMethod,
    Reshape,
    Rounding,
    Shape,
)

IMAGE = Shape(8, 10, 12)


def pool(kernel, stride=(1, 1), pad=(0, 0), rounding=Rounding.CEIL):
    return Pooling(PoolMethod.MAX, kernel, stride, pad, rounding=rounding)


@pytest.mark.parametrize(
    ("op", "inputs", "expected"),
    [
        (Convolution(16, (3, 5), (2, 3), (1, 2)), [IMAGE], Shape(16, 5, 4)),
        (Convolution(16, (3, 3), dilation=(2, 3)), [IMAGE], Shape(16, 6, 6)),
        (Convolution(8, (3, 3), groups=8), [IMAGE], Shape(8, 8, 10)),
        (pool((3, 3), (2, 2)), [IMAGE], Shape(8, 5, 6)),
        (pool((3, 3), (2, 2), rounding=Rounding.FLOOR), [IMAGE], Shape(8, 4, 5)),
        (Pooling(PoolMethod.AVE, global_pooling=True), [IMAGE], Shape(8)),
        (InnerProduct(10), [IMAGE], Shape(10)),
        (Concat(), [IMAGE, Shape(3, 10, 12)], Shape(11, 10, 12)),
        (Eltwise(), [IMAGE, IMAGE, IMAGE], IMAGE),
        (Eltwise(EltwiseKind.PROD), [IMAGE, Shape(8)], IMAGE),
        (Pad(0, 1, 2, 3), [IMAGE], Shape(8, 12, 16)),
        (Reshape(Shape(960)), [IMAGE], Shape(960)),
    ],
)
def test_output_shapes(op, inputs, expected):
    assert output_shape("x", op, inputs) == expected


@pytest.mark.parametrize(
    ("op", "inputs", "rule"),
    [
        (Convolution(16, (11, 1)), [IMAGE], "must not be larger than the padded input"),
        (Convolution(16, (3, 3), dilation=(1, 6)), [IMAGE], "must not be larger"),
        (Convolution(16, (3, 3), groups=3), [IMAGE], "groups don't divide 8 input channels"),
        (Convolution(15, (3, 3), groups=4), [IMAGE], "groups don't divide 15 output channels"),
        (Convolution(0, (3, 3)), [IMAGE], "out_channels is 0; it must be at least 1"),
        (Convolution(4, (0, 3)), [IMAGE], "vertical kernel is 0"),
        (Convolution(4, (3, 3), (1, 0)), [IMAGE], "horizontal stride is 0"),
        (Convolution(4, (3, 3), pad=(-1, 0)), [IMAGE], "must not be negative"),
        (Convolution(4, (3, 3), groups=0), [IMAGE], "groups is 0"),
        (Convolution(4, (3, 3), dilation=(0, 1)), [IMAGE], "dilation is 0"),
        (Convolution(2**20, (1, 1)), [Shape(1, 100, 100)], "signed 32 bits"),
        (Convolution(2**16, (1, 1)), [Shape(2**16)], "the weights would have 4294967296"),
        (InnerProduct(2**20), [Shape(2**12)], "the weight matrix would have"),
        (InnerProduct(0), [IMAGE], "out_features is 0"),
        (pool((3, 3), (2, 2), (3, 0)), [IMAGE], "must be smaller than its window"),
        (pool((11, 1)), [IMAGE], "must not be larger than the padded input"),
        (Pooling(PoolMethod.AVE, pad=(1, 1), global_pooling=True), [IMAGE], "pad must be 0"),
        (LRN(4), [IMAGE], "it must be odd"),
        (Concat(), [IMAGE, Shape(8, 9, 12)], "heights and widths must be equal"),
        (Eltwise(), [IMAGE, Shape(8)], "shapes must be equal"),
        (Eltwise(), [IMAGE], "takes at least 2"),
        (Reshape(Shape(959)), [IMAGE], "keeps the number of elements"),
        (Pad(-1, 0, 0, 0), [IMAGE], "top pad is -1"),
        (Convolution(4, (3, 3)), [IMAGE, IMAGE], "has 2 inputs; it takes 1"),
    ],
)
def test_broken_rules_are_named(op, inputs, rule):
    with pytest.raises(ShapeError, match="layer 'x'") as caught:
        output_shape("x", op, inputs)
    assert rule in str(caught.value)
    assert caught.value.exit_code == 2


def test_largest_tensor_is_allowed():
    assert output_shape("x", Reshape(Shape(MAX_INDEX)), [Shape(MAX_INDEX)]).count == MAX_INDEX


def test_names_are_unique():
    net = NetworkBuilder("n", Shape(3), "test")
    net.fc("fc", 4)
    with pytest.raises(ShapeError, match="two layers 'fc'"):
        net.fc("fc", 4)
    assert net.free_name("fc") == "fc#2"


sizes = st.integers(1, 64)


@given(sizes, st.integers(1, 9), st.integers(1, 5), st.integers(0, 5), st.integers(1, 3))
def test_conv_extent_counts_window_positions(size, kernel, stride, pad, dilation):
    """The formula equals counting the places where the whole window lies in the padded input."""
    reach = dilation * (kernel - 1) + 1
    assume(reach <= size + 2 * pad)
    places = [s for s in range(-pad, size + pad, stride) if s + reach <= size + pad]
    assert conv_extent(size, kernel, stride, pad, dilation) == len(places)


@given(sizes, st.integers(1, 9), st.integers(1, 5), st.integers(0, 8), st.sampled_from(Rounding))
def test_pool_extent_counts_window_positions(size, kernel, stride, pad, rounding):
    """Rounding up adds the first window that reaches over the end, if it starts early enough."""
    assume(pad < kernel <= size + 2 * pad)
    starts = list(range(-pad, size + 2 * pad + stride, stride))
    whole = [start for start in starts if start + kernel <= size + pad]
    expected = len(whole)
    covered = whole[-1] + kernel == size + pad
    if rounding is Rounding.CEIL and not covered:
        expected += 1
    if pad and starts[expected - 1] >= size:
        expected -= 1
    assert pool_extent(size, kernel, stride, pad, rounding) == expected


@given(st.integers(1, 32), st.integers(1, 32), st.integers(1, 4), sizes, st.integers(1, 5))
def test_same_padding_keeps_the_size(in_channels, per_group, groups, size, half):
    kernel = 2 * half - 1
    op = Convolution(per_group * groups, (kernel, kernel), pad=(half - 1, half - 1), groups=groups)
    shape = output_shape("x", op, [Shape(in_channels * groups, size, size)])
    assert shape == Shape(per_group * groups, size, size)
