"""The reference paper's example of splitting a filter (its Fig. 2).

One 5x5 filter over a three-channel image against a 3x3 filter over the same image followed by a 3x3
filter over its one-channel result: the same receptive field, with one output channel, stride 1, no
padding and no bias.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.counters import Counter, count_network
from kernprof.networks.ir import Network, Shape


@dataclass(frozen=True, slots=True)
class Factorisation:
    """Counts before and after splitting, and the relative changes in percent.

    ``activations`` are the outputs of the convolutions; with ``input_activations`` (elements of the
    image) added, the ratio of MACs to activations comes out as printed, and without them the change
    of the activations does. The paper uses one definition for each.
    """

    params: tuple[int, int]
    macs: tuple[int, int]
    activations: tuple[int, int]
    input_activations: int

    @property
    def macs_per_param(self) -> tuple[float, float]:
        """MACs per parameter before and after."""
        before, after = (m / p for m, p in zip(self.macs, self.params, strict=True))
        return before, after

    @property
    def macs_per_activation(self) -> tuple[float, float]:
        """MACs per activation before and after, the image counted as activations too."""
        before, after = (
            macs / (activations + self.input_activations)
            for macs, activations in zip(self.macs, self.activations, strict=True)
        )
        return before, after

    @property
    def params_pct(self) -> float:
        """Change of the parameters."""
        return _change(*self.params)

    @property
    def macs_pct(self) -> float:
        """Change of the MACs."""
        return _change(*self.macs)

    @property
    def activations_pct(self) -> float:
        """Change of the output activations."""
        return _change(*self.activations)

    @property
    def macs_per_param_pct(self) -> float:
        """Change of the MACs per parameter."""
        return _change(*self.macs_per_param)

    @property
    def macs_per_activation_pct(self) -> float:
        """Change of the MACs per activation, the image counted as activations too."""
        return _change(*self.macs_per_activation)


def filter_factorisation(size: int = 224, *, channels: int = 3, width: int = 1) -> Factorisation:
    """Compare a 5x5 convolution with two 3x3 ones.

    Parameters
    ----------
    size
        Height and width of the image.
    channels
        Channels of the image.
    width
        Output channels of every convolution. The gain depends on it: with as many as the image
        has, the parameters shrink by 28 % only.

    Raises
    ------
    ShapeError
        The image is smaller than the 5x5 filter.
    """
    before = _convolutions((5,), size, channels, width)
    after = _convolutions((3, 3), size, channels, width)
    counts = [count_network(network, Counter.EQ2) for network in (before, after)]
    return Factorisation(
        params=(counts[0].params, counts[1].params),
        macs=(counts[0].macs, counts[1].macs),
        activations=(counts[0].activations, counts[1].activations),
        input_activations=before.input_shape.count,
    )


def _convolutions(kernels: tuple[int, ...], size: int, channels: int, width: int) -> Network:
    net = NetworkBuilder("factorisation", Shape(channels, size, size), "Fig. 2 of the paper")
    for number, kernel in enumerate(kernels, start=1):
        net.conv(f"conv{number}", width, kernel, bias=False)
    return net.build()


def _change(before: float, after: float) -> float:
    """Relative change in percent."""
    return 100 * (after / before - 1)
