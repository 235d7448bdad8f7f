"""AlexNet as Caffe ships it (groups in conv2, conv4 and conv5)."""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Network, PoolMethod, Shape

_SOURCE = "BVLC/caffe models/bvlc_alexnet/deploy.prototxt, input 224x224"


def alexnet() -> Network:
    """Build AlexNet for 224x224 images (the file says 227, the published counts are at 224)."""
    net = NetworkBuilder("AlexNet", Shape(3, 224, 224), _SOURCE)

    def conv(number: int, channels: int, kernel: int, stride: int, pad: int, groups: int) -> None:
        net.conv(f"conv{number}", channels, kernel, stride=stride, pad=pad, groups=groups)
        net.act(f"relu{number}")

    for number, channels, kernel, stride, pad, groups in (
        (1, 96, 11, 4, 0, 1),
        (2, 256, 5, 1, 2, 2),
    ):
        conv(number, channels, kernel, stride, pad, groups)
        net.lrn(f"norm{number}")
        net.pool(f"pool{number}", PoolMethod.MAX, 3, 2)
    conv(3, 384, 3, 1, 1, 1)
    conv(4, 384, 3, 1, 1, 2)
    conv(5, 256, 3, 1, 1, 2)
    net.pool("pool5", PoolMethod.MAX, 3, 2)
    for number in (6, 7):
        net.fc(f"fc{number}", 4096)
        net.act(f"relu{number}")
        net.dropout(f"drop{number}")
    net.fc("fc8", 1000)
    net.softmax("prob")
    return net.build()
