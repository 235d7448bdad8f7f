"""DenseNet-121 for Caffe (Huang et al., arXiv:1608.06993)."""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Network, PoolMethod, Rounding, Shape

_SOURCE = (
    "shicai/DenseNet-Caffe DenseNet_121.prototxt, with use_global_stats as in "
    "soeaver/caffe-model cls/densenet/deploy_densenet121.prototxt"
)
_BLOCKS = (6, 12, 24, 16)
_GROWTH = 32
_BOTTLENECK = 128


def densenet121(rounding: Rounding = Rounding.CEIL) -> Network:
    """Build DenseNet-121 for 224x224 images.

    Parameters
    ----------
    rounding
        Of the pooling layers. Both files say ``ceil_mode: false`` in pool1, a field that stock
        Caffe doesn't have: it and Netscope round up, which gives maps of 57, 29, 15 and 8. FLOOR
        gives the intended 56, 28, 14 and 7.
    """
    net = NetworkBuilder("DenseNet-121", Shape(3, 224, 224), _SOURCE)

    def normalise(layer: str, relu: str) -> int:
        # The concatenated map is read again by the next concatenation: not in place.
        net.batch_norm(f"{layer}/bn", global_stats=True, in_place=False)
        net.scale(f"{layer}/scale")
        return net.act(relu)

    net.conv("conv1", 2 * _GROWTH, 7, stride=2, pad=3, bias=False)
    normalise("conv1", "relu1")
    features = net.pool("pool1", PoolMethod.MAX, 3, 2, pad=1, rounding=rounding)
    for block, count in enumerate(_BLOCKS, start=2):
        for unit in range(1, count + 1):
            name = f"{block}_{unit}"
            normalise(f"conv{name}/x1", f"relu{name}/x1")
            net.conv(f"conv{name}/x1", _BOTTLENECK, 1, bias=False)
            normalise(f"conv{name}/x2", f"relu{name}/x2")
            grown = net.conv(f"conv{name}/x2", _GROWTH, 3, pad=1, bias=False)
            features = net.concat(f"concat_{name}", [features, grown])
        normalise(f"conv{block}_blk", f"relu{block}_blk")
        if block - 1 < len(_BLOCKS):
            net.conv(f"conv{block}_blk", net.shape().channels // 2, 1, bias=False)
            features = net.pool(f"pool{block}", PoolMethod.AVE, 2, 2, rounding=rounding)
    net.global_pool(f"pool{len(_BLOCKS) + 1}")
    net.conv("fc6", 1000, 1)
    return net.build()
