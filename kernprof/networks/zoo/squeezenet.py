"""SqueezeNet 1.0 and 1.1 (Iandola et al., arXiv:1602.07360)."""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Network, PoolMethod, Shape

_SOURCE = "forresti/SqueezeNet SqueezeNet_v{version}/deploy.prototxt, input 224x224"

# (squeeze, expand) channels of fire2 to fire9; both expand branches are equally wide.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet_v1_0() -> Network:
    """Build SqueezeNet 1.0; conv10 pads its 1x1 kernel by 1, so its map is 15x15."""
    return _squeezenet("1.0", conv1=(96, 7), pool_after=(1, 4, 8), conv10_pad=1)


def squeezenet_v1_1() -> Network:
    """Build SqueezeNet 1.1: a smaller conv1 and earlier pooling."""
    return _squeezenet("1.1", conv1=(64, 3), pool_after=(1, 3, 5), conv10_pad=0)


def _squeezenet(
    version: str, *, conv1: tuple[int, int], pool_after: tuple[int, ...], conv10_pad: int
) -> Network:
    net = NetworkBuilder(
        f"SqueezeNet-V{version}", Shape(3, 224, 224), _SOURCE.format(version=version)
    )

    def conv(name: str, channels: int, kernel: int, *, after: int | None = None) -> int:
        net.conv(name, channels, kernel, pad=kernel // 2, after=after)
        prefix, _, tail = name.rpartition("/")
        return net.act(f"{prefix}/relu_{tail}")

    net.conv("conv1", conv1[0], conv1[1], stride=2)
    net.act("relu_conv1")
    net.pool("pool1", PoolMethod.MAX, 3, 2)
    for number, (squeeze, expand) in enumerate(_FIRES, start=2):
        fire = f"fire{number}"
        squeezed = conv(f"{fire}/squeeze1x1", squeeze, 1)
        parts = [
            conv(f"{fire}/expand{kernel}x{kernel}", expand, kernel, after=squeezed)
            for kernel in (1, 3)
        ]
        net.concat(f"{fire}/concat", parts)
        if number in pool_after:
            net.pool(f"pool{number}", PoolMethod.MAX, 3, 2)
    net.dropout("drop9")
    net.conv("conv10", 1000, 1, pad=conv10_pad)
    net.act("relu_conv10")
    net.global_pool("pool10")
    net.softmax("prob")
    return net.build()
