"""What the command line shows of layers and networks: pure functions from networks to records."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kernprof.lowering.launch import Launch
from kernprof.lowering.lower import DEFAULTS, lower_layer, lower_network
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.counters import (
    Counter,
    NetworkCounts,
    PaperFigures,
    bytes_of,
    count_layer,
    count_network,
    has_paper_figures,
    layer_intensity,
    layer_traffic_bytes,
    network_intensity,
    paper_figures,
    stored_params,
)
from kernprof.networks.ir import (
    Convolution,
    InnerProduct,
    Layer,
    Network,
    Pair,
    Pooling,
    Shape,
    Unsupported,
)
from kernprof.networks.paper_tables import Published, published_for
from kernprof.networks.registry import is_known


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """Totals of a network with what the reference paper prints beside them.

    Parameters
    ----------
    counts
        Exact counts by layer and in all.
    figures
        The counts rounded as the paper's Table II rounds; None where a ratio would divide by 0.
    published
        The paper's figures, None for a network that isn't in it, or that has the name of one but
        other layers. They hold for the ``netscope`` counter.
    intensity_flop_per_byte
        Arithmetic intensity of the forward pass, layer by layer, batch size 1, float32.
    weights_bytes, activations_bytes
        Stored parameters, and the activations that the counter counts, in ``dtype``.
    dtype
        The data type of the sizes.
    launches
        Number of launches by kernel family, most frequent first; None where they weren't asked for.
    unsupported
        What isn't in the numbers.
    """

    network: str
    source: str
    counter: Counter
    counts: NetworkCounts
    figures: PaperFigures | None
    published: Published | None
    intensity_flop_per_byte: float
    weights_bytes: int
    activations_bytes: int
    dtype: str
    launches: dict[str, int] | None
    unsupported: tuple[Unsupported, ...]

    @property
    def published_shares_pct(self) -> dict[str, Decimal] | None:
        """Printed shares of GPU time by family, None for a network that isn't in the paper."""
        return self.published.run.shares_pct if self.published else None


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer: its shape, its counts and its launches.

    Parameters
    ----------
    network
        Name of the network, None for a layer given by shape.
    name, kind
        The layer and its type.
    in_shape, out_shape
        Per image.
    kernel, stride, pad, groups
        Of a window; None for layers without one.
    batch
        Images.
    params
        Parameters by the counter, in elements.
    activations, macs
        By the counter, for all images of the batch, in elements and multiply-accumulates.
    intensity_flop_per_byte
        Arithmetic intensity of the forward pass: ``2 MACs / compulsory traffic``.
    traffic_bytes, weights_bytes
        Compulsory traffic, and stored parameters.
    options
        How the layer was lowered.
    launches
        Its launches in order, identical ones merged.
    """

    network: str | None
    name: str
    kind: str
    in_shape: Shape
    out_shape: Shape
    kernel: Pair | None
    stride: Pair | None
    pad: Pair | None
    groups: int | None
    batch: int
    counter: Counter
    params: int
    activations: int
    macs: int
    intensity_flop_per_byte: float
    traffic_bytes: int
    weights_bytes: int
    dtype: str
    options: LoweringOptions
    launches: tuple[Launch, ...]


def network_report(
    network: Network,
    *,
    counter: Counter = Counter.NETSCOPE,
    lowering: LoweringOptions | None = None,
    dtype: str = "float32",
) -> NetworkReport:
    """Count a network, and its launches if ``lowering`` says how.

    Raises
    ------
    UnknownNameError
        ``dtype`` isn't known.
    ShapeError
        A layer can't be lowered.
    """
    counts = count_network(network, counter)
    lowered = None if lowering is None else lower_network(network, lowering)
    return NetworkReport(
        network=network.name,
        source=network.source,
        counter=counter,
        counts=counts,
        figures=paper_figures(counts) if has_paper_figures(counts) else None,
        published=published_for(network.name) if is_known(network) else None,
        intensity_flop_per_byte=network_intensity(network, dtype=dtype),
        weights_bytes=bytes_of(sum(stored_params(layer) for layer in network.layers), dtype),
        activations_bytes=bytes_of(counts.activations, dtype),
        dtype=dtype,
        launches=None if lowered is None else lowered.by_family(),
        unsupported=network.unsupported if lowered is None else lowered.unsupported,
    )


def layer_report(
    layer: Layer,
    options: LoweringOptions = DEFAULTS,
    *,
    network: str | None = None,
    counter: Counter = Counter.NETSCOPE,
    dtype: str = "float32",
) -> LayerReport:
    """Describe one layer, with its launches.

    Raises
    ------
    UnknownNameError
        ``dtype`` isn't known.
    ShapeError, UsageError
        The layer can't be lowered.
    """
    counts = count_layer(layer, counter)
    batch = options.batch
    kernel, stride, pad, groups = _window(layer)
    return LayerReport(
        network=network,
        name=layer.name,
        kind=layer.kind,
        in_shape=layer.in_shape,
        out_shape=layer.out_shape,
        kernel=kernel,
        stride=stride,
        pad=pad,
        groups=groups,
        batch=batch,
        counter=counter,
        params=counts.params,
        activations=batch * counts.activations,
        macs=batch * counts.macs,
        intensity_flop_per_byte=layer_intensity(layer, batch=batch, dtype=dtype),
        traffic_bytes=layer_traffic_bytes(layer, batch=batch, dtype=dtype),
        weights_bytes=bytes_of(stored_params(layer), dtype),
        dtype=dtype,
        options=options,
        launches=lower_layer(layer, options),
    )


def _window(layer: Layer) -> tuple[Pair | None, Pair | None, Pair | None, int | None]:
    match layer.op:
        case Convolution(kernel=kernel, stride=stride, pad=pad, groups=groups):
            return kernel, stride, pad, groups
        case Pooling(global_pooling=True):
            return (layer.in_shape.height, layer.in_shape.width), (1, 1), (0, 0), None
        case Pooling(kernel=kernel, stride=stride, pad=pad):
            return kernel, stride, pad, None
        case InnerProduct():
            return None, None, None, 1
        case _:
            return None, None, None, None
