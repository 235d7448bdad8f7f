"""Caffe's launches of single layers, written out from its sources."""

import pytest

from kernprof.errors import ShapeError, UsageError
from kernprof.lowering import Api, Direction, LoweringOptions, Phase, lower_layer, lower_network
from kernprof.networks import Engine, load_network
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import (
    Accuracy,
    Activation,
    ActivationKind,
    Convolution,
    Eltwise,
    EltwiseKind,
    Opaque,
    Pad,
    Shape,
    Softmax,
)

F, B = Direction.FORWARD, Direction.BACKWARD


IMAGE = Shape(4, 6, 5)


def one_layer(op, shape=IMAGE, *, in_place=False, inputs=1):
    net = NetworkBuilder("n", shape, "test")
    net.add("x", op, [0] * inputs, in_place=in_place)
    return net.build().layers[-1]


def listed(layer, direction, **options):
    """Launches as "count x kernel sizes", marked as copies and fills where they are."""
    rows = []
    for launch in lower_layer(layer, LoweringOptions(direction=direction, **options)):
        sizes = " ".join(str(value) for value in launch.shape.values())
        api = "" if launch.api is Api.KERNEL else f" ({launch.api})"
        times = "" if launch.count == 1 else f"{launch.count} x "
        rows.append(f"{times}{launch.kernel} {sizes}{api}".strip())
    return rows


def conv(**options):
    return one_layer(
        Convolution(6, (3, 3), (1, 1), (1, 1), **({"groups": 2, "bias": True} | options))
    )


class TestConvolution:
    def test_cudnn(self):
        layer = conv()
        # batch, channels in, height, width, channels out, kernel, stride, pad; then splits
        assert listed(layer, F) == [
            "2 x conv_tiled_32x32 1 2 6 5 3 3 3 1 1 1 1",
            "2 x bias_add 1 3 30",
            "sync_empty",
        ]
        assert listed(layer, B, batch=4) == [
            "2 x bias_backward 4 3 30",
            "2 x conv_tiled_32x32_backward_weight 4 2 6 5 3 3 3 1 1 1 1 2",
            "sync_empty",
        ]
        assert listed(layer, B, data_gradients=True)[2] == (
            "2 x conv_tiled_32x32_backward_data 1 2 6 5 3 3 3 1 1 1 1"
        )
        launches = lower_layer(layer, LoweringOptions())
        assert [launch.stand_in for launch in launches if launch.family == "conv"] == [True, True]

    def test_own_engine_loops_over_images_and_groups(self):
        layer = conv()
        assert listed(layer, F, engine=Engine.CAFFE, batch=3) == [
            "3 x im2col 4 6 5 3 3 1 1 1 1 1 1",
            "6 x sgemm_register 30 3 18 0 0 0",
            "3 x gemmk1 30 6 1",
        ]
        assert listed(layer, B, engine=Engine.CAFFE, batch=3, data_gradients=True) == [
            "3 x gemv2T 30 6 1",
            "3 x im2col 4 6 5 3 3 1 1 1 1 1 1",
            "6 x sgemm_register 18 3 30 1 0 1",
            "6 x sgemm_register 30 18 3 0 1 0",
            "3 x col2im 4 6 5 3 3 1 1 1 1 1 1",
        ]

    def test_pointwise_needs_no_im2col(self):
        layer = one_layer(Convolution(6, (1, 1), bias=False))
        assert listed(layer, F, engine=Engine.CAFFE) == ["sgemm_register 30 6 4 0 0 0"]
        strided = one_layer(Convolution(6, (1, 1), (2, 2), bias=False))
        assert listed(strided, F, engine=Engine.CAFFE)[0].startswith("im2col")

    def test_depthwise_becomes_matrix_vector_products(self):
        layer = load_network("mobilenet").layer("conv5_1/dw")
        assert listed(layer, F) == ["im2col 512 14 14 3 3 1 1 1 1 1 1", "512 x gemv2N 196 9 0"]
        assert listed(layer, B) == ["im2col 512 14 14 3 3 1 1 1 1 1 1", "512 x gemv2T 196 9 1"]
        assert listed(layer, B, data_gradients=True)[2:] == [
            "512 x gemmk1 196 9 0",
            "col2im 512 14 14 3 3 1 1 1 1 1 1",
        ]

    def test_dilation_rules_cudnn_out(self):
        dilated = Convolution(4, (3, 3), (1, 1), (2, 2), (2, 2), bias=False)
        assert listed(one_layer(dilated), F)[0] == "im2col 4 6 5 3 3 1 1 2 2 2 2"
        named = Convolution(4, (3, 3), (1, 1), (2, 2), (2, 2), engine=Engine.CUDNN)
        with pytest.raises(ShapeError, match="names the cuDNN engine and a dilation"):
            lower_layer(one_layer(named))

    def test_too_large_im2col_buffer(self):
        op = Convolution(1, (64, 64), pad=(32, 32))
        with pytest.raises(ShapeError, match="the im2col buffer would have"):
            lower_layer(one_layer(op, Shape(1, 1000, 1000)), LoweringOptions(engine=Engine.CAFFE))


class TestBatchNorm:
    """Channels 4, pixels 30."""

    def layer(self, *, stored=None, in_place=True):
        net = NetworkBuilder("n", Shape(4, 6, 5), "test")
        net.batch_norm("x", global_stats=stored, in_place=in_place)
        return net.build().layers[-1]

    def test_forward_from_the_batch(self):
        assert listed(self.layer(), F) == [
            "2 x gemv2T 30 4 0",
            "2 x gemv2N 4 1 0",
            "2 x gemmk1 4 1 0",
            "gemmk1 30 4 1",
            "ew_mul 120",
            "2 x ew_scale 4",
            "2 x ew_axpy 4",
            "ew_add_scalar 4",
            "ew_sqrt 4",
            "gemmk1 30 4 0",
            "ew_div 120",
            "ew_copy 120 (memcpy)",
        ]

    def test_forward_from_stored_statistics(self):
        expected = [
            "2 x ew_copy 4",
            "2 x ew_scale 4",
            "2 x gemmk1 4 1 0",
            "gemmk1 30 4 1",
            "ew_add_scalar 4",
            "ew_sqrt 4",
            "gemmk1 30 4 0",
            "ew_div 120",
            "ew_copy 120 (memcpy)",
        ]
        assert listed(self.layer(stored=True), F) == expected
        assert listed(self.layer(), F, phase=Phase.TEST) == expected
        assert listed(self.layer(), F, batch_statistics=False) == expected
        # The layer's own word goes before the phase, the option before both.
        assert "ew_mul 120" in listed(self.layer(stored=False), F, phase=Phase.TEST)
        assert "ew_mul 120" in listed(self.layer(stored=True), F, batch_statistics=True)

    def test_not_in_place_copies_first(self):
        assert listed(self.layer(in_place=False), F, batch=2)[0] == "2 x ew_copy 240 (memcpy)"

    def test_backward(self):
        assert listed(self.layer(), B, batch=2) == [
            "ew_copy 240 (memcpy)",
            "2 x ew_mul 240",
            "2 x gemv2T 30 8 0",
            "2 x gemv2N 4 2 0",
            "2 x gemmk1 4 2 0",
            "gemmk1 30 8 0",
            "gemmk1 30 8 1",
            "ew_scale 240",
            "ew_axpy 240",
            "ew_div 240",
        ]
        assert listed(self.layer(stored=True), B) == ["ew_copy 120 (memcpy)", "ew_div 120"]
        assert listed(self.layer(stored=True, in_place=False), B) == ["ew_div 120"]


class TestScale:
    def layer(self, shape=IMAGE, *, bias=True):
        net = NetworkBuilder("n", shape, "test")
        net.scale("x", bias=bias)
        return net.build().layers[-1]

    def test_forward(self):
        assert listed(self.layer(), F) == ["ew_copy 120 (memcpy)", "scale_forward 1 4 30 1"]

    def test_backward(self):
        assert listed(self.layer(), B) == ["gemv2T 30 4 1", "ew_mul 120", "gemv2T 30 4 0"]
        assert listed(self.layer(bias=False), B) == ["ew_mul 120", "gemv2T 30 4 0"]
        assert listed(self.layer(), B, batch=3, data_gradients=True) == [
            "3 x gemv2T 30 4 1",
            "ew_mul 360",
            "gemv2T 30 12 0",
            "gemv2N 4 3 1",
            "scale_forward 3 4 30 0",
        ]

    def test_backward_without_pixels_or_channels(self):
        assert listed(self.layer(Shape(4)), B) == ["gemv2T 1 4 1", "ew_mul 4"]
        assert listed(self.layer(Shape(4)), B, batch=2) == [
            "2 x gemv2T 1 4 1",
            "ew_mul 8",
            "gemv2N 4 2 1",
        ]
        assert listed(self.layer(Shape(1, 6, 5), bias=False), B) == ["ew_mul 30", "dot_reduce 30"]


class TestInnerProduct:
    def layer(self, bias=True):
        net = NetworkBuilder("n", Shape(4, 6, 5), "test")
        net.fc("x", 7, bias=bias)
        return net.build().layers[-1]

    def test_one_image(self):
        assert listed(self.layer(), F) == ["gemv2T 120 7 0", "ew_axpy 7"]
        assert listed(self.layer(), B) == ["gemmk1 120 7 1", "gemv2N 7 1 1"]
        assert listed(self.layer(), B, data_gradients=True)[2] == "gemv2N 120 7 0"

    def test_several_images(self):
        assert listed(self.layer(), F, batch=3) == ["sgemm_register 7 3 120 1 0 0", "gemmk1 7 3 1"]
        assert listed(self.layer(bias=False), B, batch=3, data_gradients=True) == [
            "sgemm_register 120 7 3 0 1 1",
            "sgemm_register 120 3 7 0 0 0",
        ]


def test_elementwise_layers_follow_the_engine():
    relu = one_layer(Activation(), in_place=True)
    launches = {
        engine: lower_layer(relu, LoweringOptions(direction=F, engine=engine))[0]
        for engine in (Engine.CUDNN, Engine.CAFFE)
    }
    assert {engine: launch.library for engine, launch in launches.items()} == {
        Engine.CUDNN: "cudnn",
        Engine.CAFFE: "caffe",
    }
    assert [launch.stand_in for launch in launches.values()] == [True, False]
    leaky = one_layer(Activation(leaky=True))
    assert lower_layer(leaky, LoweringOptions(direction=F))[0].library == "caffe"
    assert listed(relu, B) == []
    assert listed(relu, B, data_gradients=True) == ["relu_backward 120"]


def test_swish_is_built_from_a_sigmoid():
    swish = one_layer(Activation(ActivationKind.SWISH))
    assert listed(swish, F) == [
        "ew_copy 120 (memcpy)",
        "ew_scale 120",
        "activation_forward 120 0",
        "ew_mul 120",
    ]
    assert listed(swish, B, data_gradients=True) == ["activation_backward 120 5"]


def test_pooling():
    net = load_network("alexnet")
    pool = net.layer("pool1")
    assert listed(pool, F) == ["maxpool_forward 1 96 54 54 27 27 3 3 2 2 0 0"]
    assert lower_layer(pool, LoweringOptions(direction=F))[0].library == "caffe"
    assert listed(pool, B) == []
    assert listed(pool, B, data_gradients=True) == [
        "ew_set 279936 (memset)",
        "maxpool_backward 1 96 54 54 27 27 3 3 2 2 0 0",
    ]
    average = load_network("mobilenet").layer("pool6")
    launch = lower_layer(average, LoweringOptions(direction=F))[0]
    assert (launch.kernel, launch.library) == ("avepool_forward", "cudnn")
    assert launch.shape["kernel_h"] == 7
    assert listed(average, B, data_gradients=True) == [
        "avepool_backward 1 1024 7 7 1 1 7 7 1 1 0 0"
    ]


def test_lrn():
    layer = load_network("alexnet").layer("norm1")
    assert listed(layer, F) == ["lrn_forward 1 96 54 54 5"]
    assert listed(layer, F, engine=Engine.CAFFE) == [
        "lrn_fill_scale 1 96 54 54 5",
        "lrn_output 1 96 54 54 5",
    ]
    # Its gradient is computed whether it is wanted or not.
    assert listed(layer, B) == ["lrn_backward 1 96 54 54 5"]


def test_softmax():
    layer = load_network("alexnet").layer("prob")
    assert listed(layer, F, batch=2) == ["softmax_forward 2 1000 1"]
    assert listed(layer, F, batch=2, engine=Engine.CAFFE) == [
        "ew_copy 2000 (memcpy)",
        *(f"softmax_{step} 2 1000 1" for step in ("max", "subtract", "exp", "sum", "divide")),
    ]
    assert listed(layer, B) == []
    assert listed(layer, B, engine=Engine.CAFFE) == [
        "ew_copy 1000 (memcpy)",
        "softmax_dot 1 1000 1",
        "softmax_subtract 1 1000 1",
        "ew_mul 1000",
    ]
    loss = one_layer(Softmax(loss=True), Shape(10))
    assert listed(loss, F, batch=4) == [
        "softmax_forward 4 10 1",
        "softmax_loss_forward 4 10 1",
        "dot_reduce 4",
        "ew_set 40 (memset)",
    ]
    assert listed(loss, B, data_gradients=True) == [
        "ew_copy 10 (memcpy)",
        "softmax_loss_backward 1 10 1",
        "ew_scale 10",
    ]


def test_dropout_by_phase():
    layer = load_network("alexnet").layer("drop6")
    assert listed(layer, F) == ["rng_uniform 4096", "dropout_forward 4096"]
    assert listed(layer, F, phase=Phase.TEST) == []
    assert listed(layer, B, data_gradients=True) == ["dropout_backward 4096"]


def test_concat():
    layer = load_network("squeezenet").layer("fire2/concat")
    # copied, images, elements of an image of the result, offset in it, backward
    assert listed(layer, F, batch=2) == [
        "concat_copy 373248 2 373248 0 0",
        "concat_copy 373248 2 373248 186624 0",
    ]
    assert listed(layer, B) == []
    assert listed(layer, B, data_gradients=True) == [
        "concat_copy 186624 1 373248 0 1",
        "concat_copy 186624 1 373248 186624 1",
    ]


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [
        (
            EltwiseKind.SUM,
            ["ew_set 120 (memset)", "3 x ew_axpy 120"],
            ["3 x ew_copy 120 (memcpy)"],
        ),
        (
            EltwiseKind.PROD,
            ["2 x ew_mul 120"],
            ["3 x ew_copy 120 (memcpy)", "6 x ew_mul 120"],
        ),
        (
            EltwiseKind.MAX,
            ["eltwise_max_forward 120 0", "eltwise_max_forward 120 1"],
            [f"eltwise_max_backward 120 {index}" for index in range(3)],
        ),
    ],
)
def test_eltwise(kind, forward, backward):
    layer = one_layer(Eltwise(kind), inputs=3)
    assert listed(layer, F) == forward
    assert listed(layer, B) == []
    assert listed(layer, B, data_gradients=True) == backward


def test_factors_per_channel():
    """Caffe's Scale layer with two inputs."""
    net = NetworkBuilder("n", Shape(4, 6, 5), "test")
    net.global_pool("f")
    net.eltwise("x", [0, 1], EltwiseKind.PROD)
    layer = net.build().layers[-1]
    assert listed(layer, F, batch=2) == ["scale_forward 1 8 30 0"]
    assert listed(layer, B, batch=2, data_gradients=True) == [
        "ew_mul 240",
        "gemv2T 30 8 0",
        "scale_forward 1 8 30 0",
    ]


def test_padding():
    layer = one_layer(Pad(1, 0, 2, 1))
    assert listed(layer, F) == ["ew_set 216 (memset)", "ew_copy 120 (memcpy)"]


class TestNetworks:
    def network(self):
        """A convolution read by a Scale, a ReLU and a sum, as Caffe's Split layers see it."""
        net = NetworkBuilder("n", Shape(3, 8, 8), "test")
        conv = net.conv("conv", 4, 3, pad=1, bias=False)
        branches = [net.conv(f"branch{i}", 4, 1, bias=False, after=conv) for i in range(2)]
        net.eltwise("sum", [conv, *branches])
        net.act("relu")
        return net.build()

    def test_gradients_of_several_readers_are_added(self):
        options = LoweringOptions(direction=B, data_gradients=True, engine=Engine.CAFFE)
        rows = [
            (launch.layer, launch.kernel, launch.count, launch.purpose)
            for launch in lower_network(self.network(), options).launches
            if "gradient sum" in launch.purpose
        ]
        purpose = "gradient sum of several readers"
        assert rows == [("conv", "ew_add", 1, purpose), ("conv", "ew_axpy", 1, purpose)]
        assert not any(
            "gradient sum" in launch.purpose for launch in lower_network(self.network()).launches
        )

    def test_the_image_needs_no_gradient(self):
        options = LoweringOptions(direction=B, data_gradients=True)
        kernels = {}
        for launch in lower_network(self.network(), options).launches:
            kernels.setdefault(launch.layer, []).append(launch.kernel)
        assert not any(name.endswith("_backward_data") for name in kernels["conv"])
        assert any(name.endswith("_backward_data") for name in kernels["branch0"])
        assert "relu_backward" in kernels["relu"]

    def test_a_loss_brings_data_gradients(self):
        """As Net::Init decides it; the scores beside the loss only lengthen the sum."""
        net = NetworkBuilder("n", Shape(3, 8, 8), "test")
        net.conv("conv", 4, 3, bias=False)
        features = net.act("relu")
        scores = net.fc("fc", 10, bias=False)
        net.add("loss", Softmax(loss=True), [scores])
        net.add("top1", Accuracy(), [scores])
        net.add("top5", Accuracy(), [scores])
        net.add("aside", Activation(), [features])
        backward = {}
        for launch in lower_network(net.build(), LoweringOptions(direction=B)).launches:
            backward.setdefault(launch.layer, []).append(launch.kernel)
        assert backward == {
            # Read by the loss and two scores; then its own weight and data gradients.
            "fc": ["ew_add", "ew_axpy", "gemmk1", "gemv2N"],
            "loss": ["ew_copy", "softmax_loss_backward", "ew_scale"],
            # Read by the fully connected layer and by one that leads to no loss.
            "relu": ["ew_add", "relu_backward"],
            "conv": ["conv_tiled_32x32_backward_weight", "sync_empty"],
        }

    def test_what_is_not_modelled_is_listed(self):
        net = NetworkBuilder("n", Shape(3, 8, 8), "test")
        net.add("mystery", Opaque("Erf", Shape(3, 8, 8)), [0])
        net.act("relu")
        net.add("score", Accuracy(), [2])
        lowered = lower_network(net.build())
        assert [launch.layer for launch in lowered.launches] == ["relu"]
        assert "Accuracy ('score'" in str(lowered.unsupported[0])
        for name in ("mystery", "score"):
            with pytest.raises(UsageError, match="kernels aren't modelled"):
                lower_layer(net.build().layer(name))


def test_options_are_checked():
    for options, message in (
        ({"batch": 0}, "batch is 0"),
        ({"engine": Engine.DEFAULT}, "must be cudnn or caffe"),
        ({"sgemm": "sgemm_fast"}, "no sgemm kernel named 'sgemm_fast'"),
        ({"pointwise": "pointwise_backward_data"}, "no pointwise kernel named"),
    ):
        with pytest.raises(UsageError, match=message):
            LoweringOptions(**options)


def test_batch_too_large_for_indices():
    layer = load_network("alexnet").layer("conv1")
    with pytest.raises(ShapeError, match="the output of 8000 x 96x54x54 would have"):
        lower_layer(layer, LoweringOptions(batch=8000))
