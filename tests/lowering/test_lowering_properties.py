"""Properties of the lowerings, for any convolution."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernprof.errors import ShapeError
from kernprof.lowering import Direction, Lowering, LoweringOptions, Purpose, lower_layer
from kernprof.networks import Counter, Engine, count_layer
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Convolution, InnerProduct, Shape


@st.composite
def convolutions(draw):
    """Any layer that the shape rules allow, dilation left out (only two lowerings take it)."""
    groups = draw(st.integers(1, 6))
    op = Convolution(
        groups * draw(st.integers(1, 5)),
        (draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        (draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        groups=groups,
        bias=draw(st.booleans()),
    )
    shape = Shape(
        groups * draw(st.integers(1, 5)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    )
    net = NetworkBuilder("n", shape, "test")
    try:
        net.add("x", op, [0])
    except ShapeError:
        assume(False)
    return net.build().layers[-1]


options = st.builds(
    LoweringOptions,
    lowering=st.sampled_from(Lowering),
    batch=st.integers(1, 4),
    engine=st.sampled_from([Engine.CUDNN, Engine.CAFFE]),
    data_gradients=st.just(True),
)


def macs_of(launches, purpose):
    return sum(launch.macs for launch in launches if launch.purpose is purpose)


@given(convolutions(), options)
@settings(max_examples=300)
def test_work_of_a_convolution(layer, options):
    """Forward, weight and data gradient each do the layer's MACs, in every lowering."""
    expected = options.batch * count_layer(layer, Counter.EQ2).macs
    launches = lower_layer(layer, options)
    for purpose in (Purpose.PRODUCT, Purpose.WEIGHT_GRADIENT, Purpose.DATA_GRADIENT):
        assert macs_of(launches, purpose) == expected


@given(convolutions(), options)
def test_bias_launches_exist_exactly_with_a_bias(layer, options):
    launches = lower_layer(layer, options)
    fused = any(
        launch.shape.get("bias") for launch in launches if launch.purpose is Purpose.PRODUCT
    )
    added = any(launch.purpose is Purpose.BIAS for launch in launches)
    gradient = any(launch.purpose is Purpose.BIAS_GRADIENT for launch in launches)
    assert (fused or added) == layer.op.bias == gradient
    assert not (fused and added)


@given(convolutions(), st.integers(1, 4))
def test_caffes_own_engine_launches_grow_with_images_and_groups(layer, batch):
    def launches(images):
        found = lower_layer(
            layer, LoweringOptions(batch=images, engine=Engine.CAFFE, data_gradients=True)
        )
        return {(x.kernel, x.sizes, x.purpose, x.direction): x.count for x in found}

    single = launches(1)
    assert launches(batch) == {key: batch * count for key, count in single.items()}


@given(convolutions(), options)
def test_both_passes_are_forward_and_backward(layer, options):
    both, forward, backward = (
        lower_layer(layer, replace(options, direction=direction))
        for direction in (Direction.BOTH, Direction.FORWARD, Direction.BACKWARD)
    )
    assert both == forward + backward


@given(st.integers(1, 50), st.integers(1, 50), st.booleans(), options)
def test_work_of_a_fully_connected_layer(inputs, outputs, bias, options):
    net = NetworkBuilder("n", Shape(inputs), "test")
    net.add("x", InnerProduct(outputs, bias), [0])
    launches = lower_layer(net.build().layers[-1], options)
    for purpose in (Purpose.PRODUCT, Purpose.WEIGHT_GRADIENT, Purpose.DATA_GRADIENT):
        assert macs_of(launches, purpose) == options.batch * inputs * outputs
