"""GoogLeNet (arXiv:1409.4842) and Inception-V2, the BN-Inception (arXiv:1502.03167), for Caffe."""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Network, PoolMethod, Shape

_GOOGLENET_SOURCE = "BVLC/caffe models/bvlc_googlenet/deploy.prototxt"
_INCEPTION_V2_SOURCE = "soeaver/caffe-model cls/inception/deploy_inception-v2.prototxt"

# (1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection of the pool) channels
_GOOGLENET = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_GOOGLENET_POOLED = {"3b": "pool3/3x3_s2", "4e": "pool4/3x3_s2"}

# (1x1, 3x3 reduce, 3x3, double 3x3 reduce, each of the double 3x3, projection of the pool)
# channels. A reduction has neither a 1x1 nor a projection, and stride 2 in its last convolutions
# and its pool.
_INCEPTION_V2 = {
    "inception_a1": (64, 64, 64, 64, 96, 32),
    "inception_a2": (64, 64, 96, 64, 96, 64),
    "reduction_a": (0, 128, 160, 64, 96, 0),
    "inception_b1": (224, 64, 96, 96, 128, 128),
    "inception_b2": (192, 96, 128, 96, 128, 128),
    "inception_b3": (160, 128, 160, 128, 160, 96),
    "inception_b4": (96, 128, 192, 160, 192, 96),
    "reduction_b": (0, 128, 192, 192, 256, 0),
    "inception_c1": (352, 192, 320, 160, 224, 128),
    "inception_c2": (352, 192, 320, 192, 224, 128),
}


def googlenet() -> Network:
    """Build GoogLeNet without the auxiliary heads, for 224x224 images."""
    net = NetworkBuilder("GoogLeNet", Shape(3, 224, 224), _GOOGLENET_SOURCE)

    def conv(
        room: str,
        tail: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        after: int | None = None,
    ) -> int:
        net.conv(f"{room}/{tail}", channels, kernel, stride=stride, pad=kernel // 2, after=after)
        return net.act(f"{room}/relu_{tail.removesuffix('_s2')}")

    conv("conv1", "7x7_s2", 64, 7, stride=2)
    net.pool("pool1/3x3_s2", PoolMethod.MAX, 3, 2)
    net.lrn("pool1/norm1")
    conv("conv2", "3x3_reduce", 64, 1)
    conv("conv2", "3x3", 192, 3)
    net.lrn("conv2/norm2")
    net.pool("pool2/3x3_s2", PoolMethod.MAX, 3, 2)
    for module, (one, reduce3, three, reduce5, five, projected) in _GOOGLENET.items():
        room = f"inception_{module}"
        source = net.last
        parts = [conv(room, "1x1", one, 1)]
        for tail, kernel, reduced, channels in (
            ("3x3", 3, reduce3, three),
            ("5x5", 5, reduce5, five),
        ):
            conv(room, f"{tail}_reduce", reduced, 1, after=source)
            parts.append(conv(room, tail, channels, kernel))
        net.pool(f"{room}/pool", PoolMethod.MAX, 3, 1, pad=1, after=source)
        parts.append(conv(room, "pool_proj", projected, 1))
        net.concat(f"{room}/output", parts)
        if module in _GOOGLENET_POOLED:
            net.pool(_GOOGLENET_POOLED[module], PoolMethod.MAX, 3, 2)
    net.pool("pool5/7x7_s1", PoolMethod.AVE, 7, 1)
    net.dropout("pool5/drop_7x7_s1")
    net.fc("loss3/classifier", 1000)
    net.softmax("prob")
    return net.build()


def inception_v2() -> Network:
    """Build Inception-V2 for 231x231 images. It factorises no kernel into 1x3 and 3x1."""
    net = NetworkBuilder("Inception-V2", Shape(3, 231, 231), _INCEPTION_V2_SOURCE)

    def conv(
        name: str, channels: int, kernel: int, *, stride: int = 1, after: int | None = None
    ) -> int:
        net.conv(name, channels, kernel, stride=stride, pad=kernel // 2, bias=False, after=after)
        net.batch_norm(f"{name}_bn", global_stats=True)
        net.scale(f"{name}_scale")
        return net.act(f"{name}_relu")

    net.conv("conv1_7x7", 24, 7, stride=2, pad=3, groups=3, bias=False)
    net.conv("conv1_7x7_increase", 64, 1)
    net.act("conv1_7x7_increase_relu")
    net.pool("pool1_3x3_s2", PoolMethod.MAX, 3, 2)
    conv("conv2_3x3_reduce", 64, 1)
    conv("conv2_3x3", 192, 3)
    net.pool("pool2_3x3_s2", PoolMethod.MAX, 3, 2)
    for module, (one, reduce_a, three_a, reduce_b, three_b, projected) in _INCEPTION_V2.items():
        source = net.last
        reduction = not one
        stride = 2 if reduction else 1
        parts = [] if reduction else [conv(f"{module}_1x1", one, 1)]
        conv(f"{module}_3x3_a_reduce", reduce_a, 1, after=source)
        parts.append(conv(f"{module}_3x3_a", three_a, 3, stride=stride))
        conv(f"{module}_3x3_b_reduce", reduce_b, 1, after=source)
        conv(f"{module}_3x3_b1", three_b, 3)
        parts.append(conv(f"{module}_3x3_b2", three_b, 3, stride=stride))
        method = PoolMethod.MAX if reduction else PoolMethod.AVE
        pooled = net.pool(f"{module}_pool", method, 3, stride, pad=1, after=source)
        parts.append(pooled if reduction else conv(f"{module}_pool_proj", projected, 1))
        net.concat(f"{module}_{'concat' if reduction else 'output'}", parts)
    net.global_pool("pool_7x7_s1")
    net.dropout("pool_7x7_s1_drop")
    net.fc("classifier", 1000)
    net.softmax("prob")
    return net.build()
