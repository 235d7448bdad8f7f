"""SqueezeNext (Gholami et al., arXiv:1803.10615): separable 3x1 and 1x3 convolutions.

The "23" counts the first and the last convolution: there are 21 blocks. No layer has a bias, and
every convolution is followed by BatchNorm, Scale and ReLU in place. Layer names follow the
published files, except for the ReLUs, which those name irregularly.
"""

from __future__ import annotations

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Network, PoolMethod, Shape

_SOURCE = (
    "amirgholami/SqueezeNext {name}/train_val.prototxt, input 224x224, "
    "data and loss replaced by an input and a softmax"
)
_WIDTHS = (32, 64, 128, 256)
_BLOCKS = (6, 6, 8, 1)
_BLOCKS_V5 = (2, 4, 14, 1)


class _Body:
    """The running numbers of a SqueezeNext under construction."""

    def __init__(self, net: NetworkBuilder) -> None:
        self.net = net
        self.convs = 0
        self.blocks = 0

    def conv(
        self,
        channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        pad: int | tuple[int, int] = 0,
        groups: int = 1,
        after: int | None = None,
    ) -> int:
        """Add a convolution with its BatchNorm, Scale and ReLU."""
        self.convs += 1
        n = self.convs
        self.net.conv(
            f"Convolution{n}",
            channels,
            kernel,
            stride=stride,
            pad=pad,
            groups=groups,
            bias=False,
            after=after,
        )
        self.net.batch_norm(f"BatchNorm{n}")
        self.net.scale(f"Scale{n}")
        return self.net.act(f"ReLU{n}")

    def block(
        self, width: int, *, stride: int, first: bool, v5: bool, groups: int, odd: bool
    ) -> None:
        """Add a block: 1x1 to c/2, 1x1 to c/4, 3x1 and 1x3 to c/2, 1x1 to c, plus the shortcut."""
        source = shortcut = self.net.last
        if first:
            shortcut = self.conv(width, 1, stride=stride)
        if first and v5:
            # v5 reduces the resolution once, in the shortcut, and goes on from its output.
            source, stride = shortcut, 1
        self.conv(width // 2, 1, stride=stride, groups=groups, after=source)
        self.conv(width // 4, 1)
        vertical, horizontal = ((3, 1), (1, 0)), ((1, 3), (0, 1))
        for kernel, pad in (horizontal, vertical) if odd else (vertical, horizontal):
            self.conv(width // 2, kernel, pad=pad, groups=groups)
        last = self.conv(width, 1)
        self.blocks += 1
        self.net.eltwise(f"Eltwise{self.blocks}", [shortcut, last])
        self.net.act(f"EltwiseReLU{self.blocks}")


def squeezenext(name: str, *, width: int = 1, v5: bool = False, groups: int = 1) -> Network:
    """Build a SqueezeNext.

    Parameters
    ----------
    name
        Name in the published repository ("1.0-SqNxt-23").
    width
        Multiplier of all widths but conv1's and the last convolution's.
    v5
        Smaller first kernel, blocks moved to the third group, main branch after the shortcut.
    groups
        Groups of the first 1x1, the 3x1 and the 1x3 convolution of each block (2 in "G").
    """
    net = NetworkBuilder(name, Shape(3, 224, 224), _SOURCE.format(name=name))
    body = _Body(net)
    body.conv(64, 5 if v5 else 7, stride=2)
    net.pool("pool1", PoolMethod.MAX, 3, 2)
    for group, (base, count) in enumerate(zip(_WIDTHS, _BLOCKS_V5 if v5 else _BLOCKS, strict=True)):
        for index in range(count):
            first = index == 0
            body.block(
                base * width,
                stride=2 if first and group else 1,
                first=first,
                v5=v5,
                groups=groups,
                odd=bool(index % 2),
            )
    body.conv(128, 1)
    net.global_pool("pool5")
    net.fc("fc1000", 1000, bias=False)
    net.softmax("prob")
    return net.build()
