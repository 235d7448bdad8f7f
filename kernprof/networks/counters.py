"""Parameters, activations and multiply-accumulates, by three counting rules.

``netscope``
    The rule behind the reference paper's Table II: the Netscope CNN Analyzer
    (dgschwend/netscope, ``src/analyzer.coffee``). Every layer's output counts as activations, also
    an in-place layer's and a concatenation's; BatchNorm has 2 C parameters and no MACs, Scale has
    C H W MACs and no parameters, LRN has ``local_size`` C H W MACs and 2 parameters.
``eq2``
    The paper's equations 1 to 3, which know convolutions and fully connected layers only.
``blobs``
    What Caffe stores: activations are the distinct buffers (an in-place layer adds none),
    parameters the floats in the weight file (BatchNorm 2 C + 1, Scale C and its bias, LRN none),
    MACs those of convolutions and fully connected layers.

A MAC is one multiplication with its addition: two floating-point operations. In all three rules

- convolution: kernel_h kernel_w out_h out_w C M / groups MACs, kernel_h kernel_w C M / groups
  parameters, plus M with a bias (C input, M output channels);
- fully connected: C H W M MACs, C H W M parameters, plus M with a bias.

All counts are exact integers for one image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from kernprof.errors import UnknownNameError
from kernprof.networks.ir import (
    LRN,
    Accuracy,
    BatchNorm,
    Convolution,
    InnerProduct,
    Layer,
    Network,
    Reshape,
    Scale,
    Unsupported,
)

DTYPE_BITS: Mapping[str, int] = MappingProxyType(
    {"float64": 64, "float32": 32, "tf32": 32, "float16": 16, "bfloat16": 16, "fp8": 8, "int8": 8}
)
"""Storage of one element in bits (TF32 is stored as float32)."""

_MILLION = 10**6
_BILLION = 10**9


class Counter(StrEnum):
    """A counting rule; see the module's text."""

    NETSCOPE = "netscope"
    EQ2 = "eq2"
    BLOBS = "blobs"


@dataclass(frozen=True, slots=True)
class LayerCount:
    """Counts of one layer, for one image.

    Parameters
    ----------
    name, kind
        The layer and its type.
    macs
        Multiply-accumulates.
    params
        Parameters, in elements.
    activations
        Activations, in elements.
    """

    name: str
    kind: str
    macs: int
    params: int
    activations: int


@dataclass(frozen=True, slots=True)
class NetworkCounts:
    """Counts of a network, for one image.

    ``unsupported`` lists what isn't in the sums.
    """

    network: str
    counter: Counter
    layers: tuple[LayerCount, ...]
    unsupported: tuple[Unsupported, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Parameters of all layers, in elements."""
        return sum(layer.params for layer in self.layers)

    @property
    def activations(self) -> int:
        """Activations of all layers, in elements."""
        return sum(layer.activations for layer in self.layers)


@dataclass(frozen=True, slots=True)
class PaperFigures:
    """The columns of the paper's Table II, rounded as it rounds.

    ``macs_m``, ``params_m`` and ``activations_m`` are in millions.
    """

    macs_m: Decimal
    params_m: Decimal
    activations_m: Decimal
    activations_per_param: Decimal
    macs_per_param: Decimal
    macs_per_activation: Decimal


def count_layer(layer: Layer, counter: Counter = Counter.NETSCOPE) -> LayerCount:
    """Count one layer by one rule.

    An operation of an unknown type counts nothing but its output.
    """
    macs, params, activations = _RULES[counter](layer)
    return LayerCount(layer.name, layer.kind, macs, params, activations)


def count_network(network: Network, counter: Counter = Counter.NETSCOPE) -> NetworkCounts:
    """Count all layers of a network by one rule."""
    counts = tuple(count_layer(layer, counter) for layer in network.layers)
    return NetworkCounts(network.name, counter, counts, network.unsupported)


def product_macs(layer: Layer) -> int:
    """Multiply-accumulates of a convolution or fully connected layer; 0 for any other."""
    match layer.op:
        case Convolution(kernel=(height, width), groups=groups):
            per_output = height * width * (layer.in_shape.channels // groups)
            return per_output * layer.out_shape.count
        case InnerProduct(out_features=features):
            return layer.in_shape.count * features
        case _:
            return 0


def product_params(layer: Layer) -> int:
    """Weights and biases of a convolution or fully connected layer; 0 for any other."""
    match layer.op:
        case Convolution(out_channels=channels, kernel=(height, width), groups=groups, bias=bias):
            weights = height * width * (layer.in_shape.channels // groups) * channels
            return weights + (channels if bias else 0)
        case InnerProduct(out_features=features, bias=bias):
            return layer.in_shape.count * features + (features if bias else 0)
        case _:
            return 0


def stored_params(layer: Layer) -> int:
    """Floats that Caffe stores for a layer: what its weight file holds."""
    channels = layer.in_shape.channels
    match layer.op:
        case BatchNorm():
            # Mean, variance, and the weight of the moving average.
            return 2 * channels + 1
        case Scale(bias=bias):
            return 2 * channels if bias else channels
        case _:
            return product_params(layer)


def bytes_of(elements: int, dtype: str = "float32") -> int:
    """Storage of ``elements`` elements in bytes.

    Raises
    ------
    UnknownNameError
        ``dtype`` is not in ``DTYPE_BITS``.
    """
    if dtype not in DTYPE_BITS:
        raise UnknownNameError("data type", dtype, list(DTYPE_BITS))
    return elements * DTYPE_BITS[dtype] // 8


def layer_traffic_bytes(layer: Layer, *, batch: int = 1, dtype: str = "float32") -> int:
    """Compulsory traffic of one layer in bytes: inputs, output and parameters, each once."""
    moved = sum(shape.count for shape in layer.in_shapes) + layer.out_shape.count
    return bytes_of(batch * moved + stored_params(layer), dtype)


def layer_intensity(layer: Layer, *, batch: int = 1, dtype: str = "float32") -> float:
    """Arithmetic intensity of one layer in floating-point operations per byte.

    ``2 MACs / compulsory traffic`` with the MACs of convolutions and fully connected layers: an
    upper bound, since nothing is read twice in it.
    """
    return 2 * batch * product_macs(layer) / layer_traffic_bytes(layer, batch=batch, dtype=dtype)


def network_intensity(network: Network, *, batch: int = 1, dtype: str = "float32") -> float:
    """Arithmetic intensity of a network run layer by layer, in operations per byte."""
    operations = 2 * batch * sum(product_macs(layer) for layer in network.layers)
    traffic = sum(layer_traffic_bytes(layer, batch=batch, dtype=dtype) for layer in network.layers)
    return operations / traffic


def has_paper_figures(counts: NetworkCounts) -> bool:
    """Whether parameters and activations print as more than 0, so that their ratios exist."""
    params = _rounded(Fraction(counts.params, _MILLION), 3 if counts.params < _MILLION else 2)
    return bool(params and _rounded(Fraction(counts.activations, _MILLION), 2))


def paper_figures(counts: NetworkCounts) -> PaperFigures:
    """Round counts, and form their ratios, as the paper's Table II does.

    MACs are printed as whole millions; from 10^9 on they are first rounded to two decimals of
    10^9. Parameters and activations are printed with two decimals of a million. The ratios are
    formed from MACs with two decimals (of a million, or of 10^9 from there on), activations with
    two decimals and parameters with two, or three below one million.

    Raises
    ------
    ZeroDivisionError
        The network has no parameters or no activations, or so few that they print as 0: then the
        ratios don't exist. :func:`has_paper_figures` tells before.
    """
    if counts.macs >= _BILLION:
        macs = _rounded(Fraction(counts.macs, _BILLION), 2) * 1000
    else:
        macs = _rounded(Fraction(counts.macs, _MILLION), 2)
    params_m = Fraction(counts.params, _MILLION)
    params = _rounded(params_m, 3 if counts.params < _MILLION else 2)
    activations = _rounded(Fraction(counts.activations, _MILLION), 2)
    return PaperFigures(
        macs_m=_rounded(Fraction(macs), 0),
        params_m=_rounded(params_m, 2),
        activations_m=activations,
        activations_per_param=_rounded(Fraction(activations) / Fraction(params), 2),
        macs_per_param=_rounded(Fraction(macs) / Fraction(params), 2),
        macs_per_activation=_rounded(Fraction(macs) / Fraction(activations), 2),
    )


def _netscope(layer: Layer) -> tuple[int, int, int]:
    count = layer.out_shape.count
    match layer.op:
        case Accuracy() | Reshape():
            return 0, 0, 0
        case BatchNorm():
            return 0, 2 * layer.in_shape.channels, count
        case Scale():
            return count, 0, count
        case LRN(local_size=local_size):
            return local_size * count, 2, count
        case _:
            return product_macs(layer), product_params(layer), count


def _eq2(layer: Layer) -> tuple[int, int, int]:
    if isinstance(layer.op, Convolution | InnerProduct):
        return product_macs(layer), product_params(layer), layer.out_shape.count
    return 0, 0, 0


def _blobs(layer: Layer) -> tuple[int, int, int]:
    shares = layer.in_place or isinstance(layer.op, Reshape | Accuracy)
    activations = 0 if shares else layer.out_shape.count
    return product_macs(layer), stored_params(layer), activations


_RULES: Mapping[Counter, Callable[[Layer], tuple[int, int, int]]] = MappingProxyType(
    {Counter.NETSCOPE: _netscope, Counter.EQ2: _eq2, Counter.BLOBS: _blobs}
)


def _rounded(value: Fraction, decimals: int) -> Decimal:
    """Round half up to ``decimals`` decimals, exactly."""
    scaled = value * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole).scaleb(-decimals)
