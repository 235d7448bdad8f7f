"""ResNet-50, MobileNetV2, MobileNetV3 and EfficientNet-B0 as torchvision defines them.

Layer names are torchvision's module paths. A torch batch normalisation becomes the two layers
``<path>`` (BatchNorm) and ``<path>.affine`` (Scale).
"""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import (
    ActivationKind,
    EltwiseKind,
    Network,
    PoolMethod,
    Rounding,
    Shape,
)

_RELU = ActivationKind.RELU
_RELU6 = ActivationKind.RELU6
_HSWISH = ActivationKind.HSWISH
_SWISH = ActivationKind.SWISH
_IMAGE = Shape(3, 224, 224)
_CLASSES = 1000

# (bottleneck channels, blocks, stride of the first block)
_RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
_RESNET_EXPANSION = 4

# (expansion, channels, blocks, stride of the first block)
_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

# (kernel, expanded channels, channels, squeeze and excitation, non-linearity, stride)
_MOBILENET_V3_LARGE = (
    (3, 16, 16, False, _RELU, 1),
    (3, 64, 24, False, _RELU, 2),
    (3, 72, 24, False, _RELU, 1),
    (5, 72, 40, True, _RELU, 2),
    (5, 120, 40, True, _RELU, 1),
    (5, 120, 40, True, _RELU, 1),
    (3, 240, 80, False, _HSWISH, 2),
    (3, 200, 80, False, _HSWISH, 1),
    (3, 184, 80, False, _HSWISH, 1),
    (3, 184, 80, False, _HSWISH, 1),
    (3, 480, 112, True, _HSWISH, 1),
    (3, 672, 112, True, _HSWISH, 1),
    (5, 672, 160, True, _HSWISH, 2),
    (5, 960, 160, True, _HSWISH, 1),
    (5, 960, 160, True, _HSWISH, 1),
)

# (expansion, kernel, stride of the first block, channels, blocks)
_EFFICIENTNET_B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def resnet50() -> Network:
    """Build ResNet-50 (arXiv:1512.03385; the stride sits in the 3x3 convolutions)."""
    net = NetworkBuilder("ResNet-50", _IMAGE, "pytorch/vision torchvision.models.resnet50")
    _conv_bn(net, "conv1", "bn1", 64, 7, stride=2)
    net.act("relu")
    net.pool("maxpool", PoolMethod.MAX, 3, 2, pad=1, rounding=Rounding.FLOOR)
    for stage, (width, blocks, first_stride) in enumerate(_RESNET50, start=1):
        for block in range(blocks):
            path = f"layer{stage}.{block}"
            stride = first_stride if block == 0 else 1
            source = net.last
            _conv_bn(net, f"{path}.conv1", f"{path}.bn1", width, 1)
            net.act(f"{path}.relu1")
            _conv_bn(net, f"{path}.conv2", f"{path}.bn2", width, 3, stride=stride)
            net.act(f"{path}.relu2")
            main = _conv_bn(net, f"{path}.conv3", f"{path}.bn3", width * _RESNET_EXPANSION, 1)
            shortcut = source
            if block == 0:
                shortcut = _conv_bn(
                    net,
                    f"{path}.downsample.0",
                    f"{path}.downsample.1",
                    width * _RESNET_EXPANSION,
                    1,
                    stride=stride,
                    after=source,
                )
            net.eltwise(f"{path}.add", [main, shortcut])
            net.act(f"{path}.relu3")
    net.global_pool("avgpool")
    net.fc("fc", _CLASSES)
    return net.build()


def mobilenet_v2() -> Network:
    """Build MobileNetV2 (arXiv:1801.04381)."""
    net = NetworkBuilder("MobileNetV2", _IMAGE, "pytorch/vision torchvision.models.mobilenet_v2")
    _unit(net, "features.0", 32, 3, _RELU6, stride=2)
    index = 1
    for expansion, channels, blocks, first_stride in _MOBILENET_V2:
        for block in range(blocks):
            path = f"features.{index}"
            source, width = net.last, net.shape().channels
            stride = first_stride if block == 0 else 1
            step = 0
            if expansion != 1:
                _unit(net, f"{path}.conv.{step}", width * expansion, 1, _RELU6)
                step += 1
            hidden = width * expansion
            _unit(net, f"{path}.conv.{step}", hidden, 3, _RELU6, stride=stride, groups=hidden)
            step += 1
            main = _conv_bn(net, f"{path}.conv.{step}", f"{path}.conv.{step + 1}", channels, 1)
            if stride == 1 and width == channels:
                net.eltwise(f"{path}.add", [source, main])
            index += 1
    _unit(net, f"features.{index}", 1280, 1, _RELU6)
    net.global_pool("avgpool")
    net.dropout("classifier.0")
    net.fc("classifier.1", _CLASSES)
    return net.build()


def mobilenet_v3_large() -> Network:
    """Build MobileNetV3-large (arXiv:1905.02244)."""
    net = NetworkBuilder(
        "MobileNetV3-large", _IMAGE, "pytorch/vision torchvision.models.mobilenet_v3_large"
    )
    _unit(net, "features.0", 16, 3, _HSWISH, stride=2)
    for index, (kernel, hidden, channels, excite, kind, stride) in enumerate(
        _MOBILENET_V3_LARGE, start=1
    ):
        path = f"features.{index}"
        source, width = net.last, net.shape().channels
        step = 0
        if hidden != width:
            _unit(net, f"{path}.block.{step}", hidden, 1, kind)
            step += 1
        _unit(net, f"{path}.block.{step}", hidden, kernel, kind, stride=stride, groups=hidden)
        step += 1
        if excite:
            squeezed = _make_divisible(hidden // 4, 8)
            _excite(net, f"{path}.block.{step}", squeezed, _RELU, ActivationKind.HSIGMOID)
            step += 1
        main = _conv_bn(net, f"{path}.block.{step}.0", f"{path}.block.{step}.1", channels, 1)
        if stride == 1 and width == channels:
            net.eltwise(f"{path}.add", [source, main])
    _unit(net, "features.16", 960, 1, _HSWISH)
    net.global_pool("avgpool")
    net.fc("classifier.0", 1280)
    net.act("classifier.1", _HSWISH)
    net.dropout("classifier.2")
    net.fc("classifier.3", _CLASSES)
    return net.build()


def efficientnet_b0() -> Network:
    """Build EfficientNet-B0 (arXiv:1905.11946); stochastic depth is a dropout before each sum."""
    net = NetworkBuilder(
        "EfficientNet-B0", _IMAGE, "pytorch/vision torchvision.models.efficientnet_b0"
    )
    _unit(net, "features.0", 32, 3, _SWISH, stride=2)
    for stage, (expansion, kernel, first_stride, channels, blocks) in enumerate(
        _EFFICIENTNET_B0, start=1
    ):
        for block in range(blocks):
            path = f"features.{stage}.{block}"
            source, width = net.last, net.shape().channels
            stride = first_stride if block == 0 else 1
            hidden = width * expansion
            step = 0
            if expansion != 1:
                _unit(net, f"{path}.block.{step}", hidden, 1, _SWISH)
                step += 1
            _unit(net, f"{path}.block.{step}", hidden, kernel, _SWISH, stride=stride, groups=hidden)
            step += 1
            squeezed = max(1, width // 4)
            _excite(net, f"{path}.block.{step}", squeezed, _SWISH, ActivationKind.SIGMOID)
            step += 1
            main = _conv_bn(net, f"{path}.block.{step}.0", f"{path}.block.{step}.1", channels, 1)
            if stride == 1 and width == channels:
                main = net.dropout(f"{path}.stochastic_depth")
                net.eltwise(f"{path}.add", [main, source])
    _unit(net, "features.8", 1280, 1, _SWISH)
    net.global_pool("avgpool")
    net.dropout("classifier.0")
    net.fc("classifier.1", _CLASSES)
    return net.build()


def _conv_bn(
    net: NetworkBuilder,
    conv: str,
    norm: str,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    after: int | None = None,
) -> int:
    """Add a "same"-padded convolution without bias and its batch normalisation."""
    net.conv(
        conv,
        channels,
        kernel,
        stride=stride,
        pad=kernel // 2,
        groups=groups,
        bias=False,
        after=after,
    )
    net.batch_norm(norm, in_place=False)
    return net.scale(f"{norm}.affine")


def _unit(
    net: NetworkBuilder,
    path: str,
    channels: int,
    kernel: int,
    kind: ActivationKind,
    *,
    stride: int = 1,
    groups: int = 1,
) -> int:
    """Add torchvision's ``Conv2dNormActivation`` (modules 0, 1 and 2 of ``path``)."""
    _conv_bn(net, f"{path}.0", f"{path}.1", channels, kernel, stride=stride, groups=groups)
    return net.act(f"{path}.2", kind)


def _excite(
    net: NetworkBuilder, path: str, squeezed: int, inner: ActivationKind, gate: ActivationKind
) -> int:
    """Add torchvision's ``SqueezeExcitation``: a factor per channel computed from the averages."""
    source = net.last
    channels = net.shape().channels
    net.global_pool(f"{path}.avgpool")
    net.conv(f"{path}.fc1", squeezed, 1)
    net.act(f"{path}.activation", inner)
    net.conv(f"{path}.fc2", channels, 1)
    factors = net.act(f"{path}.scale_activation", gate, in_place=False)
    return net.eltwise(f"{path}.mul", [source, factors], EltwiseKind.PROD)


def _make_divisible(value: int, divisor: int) -> int:
    """Round to a multiple of ``divisor``, never more than 10 % down (torchvision's rule)."""
    rounded = max(divisor, (value + divisor // 2) // divisor * divisor)
    return rounded + divisor if 10 * rounded < 9 * value else rounded
