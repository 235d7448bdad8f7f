"""MobileNet version 1 for Caffe (Howard et al., arXiv:1704.04861)."""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Engine, Network, Shape

_SOURCE = "shicai/MobileNet-Caffe mobilenet_deploy.prototxt"

# (name, output channels of the 1x1 convolution, stride of the 3x3 depthwise one)
_BLOCKS = (
    ("2_1", 64, 1),
    ("2_2", 128, 2),
    ("3_1", 128, 1),
    ("3_2", 256, 2),
    ("4_1", 256, 1),
    ("4_2", 512, 2),
    ("5_1", 512, 1),
    ("5_2", 512, 1),
    ("5_3", 512, 1),
    ("5_4", 512, 1),
    ("5_5", 512, 1),
    ("5_6", 1024, 2),
    ("6", 1024, 1),
)


def mobilenet_v1() -> Network:
    """Build MobileNet 1.0 for 224x224 images.

    The file asks for Caffe's own engine in the depthwise layers and for stored statistics in every
    BatchNorm; both decide which kernels run.
    """
    net = NetworkBuilder("1.0-MobileNet-224", Shape(3, 224, 224), _SOURCE)

    def finish(layer: str, relu: str) -> None:
        net.batch_norm(f"{layer}/bn", global_stats=True)
        net.scale(f"{layer}/scale")
        net.act(relu)

    net.conv("conv1", 32, 3, stride=2, pad=1, bias=False)
    finish("conv1", "relu1")
    for block, channels, stride in _BLOCKS:
        depthwise, pointwise = f"conv{block}/dw", f"conv{block}/sep"
        width = net.shape().channels
        net.conv(
            depthwise, width, 3, stride=stride, pad=1, groups=width, bias=False, engine=Engine.CAFFE
        )
        finish(depthwise, f"relu{block}/dw")
        net.conv(pointwise, channels, 1, bias=False)
        finish(pointwise, f"relu{block}/sep")
    net.global_pool("pool6")
    net.conv("fc7", 1000, 1)
    net.softmax("prob")
    return net.build()
