"""What the paper's claims are about, computed by name.

A name is ``kind:argument:...``: ``r:x:y`` a correlation over the twelve networks, ``ratio:q:a:b``
network a over network b, ``most:q``, ``least:q`` (AlexNet, which is not compact, left out),
``of:q:n`` one network. Counts are recomputed from the networks; ``memory``, ``energy`` and
``images_per_s`` are the printed measurements, which nothing but a GPU gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType

from kernprof.devices.model import WARP_SIZE
from kernprof.devices.table import find
from kernprof.errors import UsageError
from kernprof.lowering.lower import lower_network
from kernprof.networks.counters import count_layer, count_network, product_macs
from kernprof.networks.factorisation import filter_factorisation
from kernprof.networks.ir import Convolution, Eltwise, Layer, Network, Pooling
from kernprof.networks.paper_tables import published
from kernprof.networks.registry import PAPER_NETWORKS, load_network
from kernprof.paper.kernels import STALL_CELLS, published_kernels
from kernprof.paper.statistics import Correlation, correlate
from kernprof.paper.weight_file import auxiliary_heads, weight_file_bytes
from kernprof.stalls.verdict import LATENCY_BELOW_PCT

FAMILIES = tuple(published_kernels())
"""The kernels that the paper looks at."""

BYTES_PER_PARAM = 4
"""Parameters are float32 in the paper."""

PAPER_GPU = "p100-pcie-12gb"
"""The board that the paper measured on."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One of the twelve networks: recomputed counts and printed measurements.

    ``values`` holds ``macs``, ``params``, ``activations``, ``sum`` and their ratios (recomputed,
    exact), ``memory`` (MB), ``energy`` (10^9 MACs per joule), ``images_per_s``, ``latency`` (ms;
    all four printed), ``memory_per_model`` and ``memory_per_file`` (both): memory over 4 bytes a
    parameter, and over the weight file in MB to one decimal, as file lists show sizes.
    """

    network: Network
    values: Mapping[str, float]
    launches: Mapping[str, int]


@lru_cache(maxsize=1)
def facts() -> Mapping[str, NetworkFacts]:
    """Return the twelve networks by name, in the paper's order."""
    return MappingProxyType({name: _facts(name) for name in PAPER_NETWORKS})


def correlation(x: str, y: str) -> Correlation:
    """Correlate two values over the twelve networks.

    Raises
    ------
    UsageError
        A value of this name doesn't exist.
    """
    rows = list(facts().values())
    names = [row.network.name for row in rows]
    return correlate(names, [_value(row, x) for row in rows], [_value(row, y) for row in rows])


def quantity(name: str) -> float:
    """Compute a quantity by its name.

    Raises
    ------
    UsageError
        There is no such quantity.
    """
    kind, *arguments = name.split(":")
    compute = _KINDS.get(kind)
    if compute is None:
        raise UsageError(f"no quantity {name!r}; known kinds: {', '.join(_KINDS)}")
    return compute(*arguments)


def one_block_occupancy_pct(family: str) -> float:
    """Occupancy when every busy SM of the paper's GPU holds one block of the kernel, in percent."""
    warps = published_kernels()[family].block_threads / WARP_SIZE
    return 100.0 * warps / find(PAPER_GPU).arch.max_warps_per_sm


def _facts(name: str) -> NetworkFacts:
    network = load_network(name)
    counts = count_network(network)
    run = published()[name].run
    memory_mb = float(run.memory_mb)
    values = {
        "macs": counts.macs,
        "params": counts.params,
        "activations": counts.activations,
        "sum": counts.params + counts.activations,
        "activations_per_param": counts.activations / counts.params,
        "macs_per_param": counts.macs / counts.params,
        "macs_per_activation": counts.macs / counts.activations,
        "memory": memory_mb,
        "memory_per_model": memory_mb * 1e6 / (BYTES_PER_PARAM * counts.params),
        "memory_per_file": memory_mb / round(_weight_file_mb(network), 1),
        "energy": float(run.gmacs_per_joule),
        "images_per_s": float(run.images_per_s),
        "latency": float(run.latency_ms),
    }
    launches = lower_network(network).by_family()
    return NetworkFacts(network, MappingProxyType(values), MappingProxyType(launches))


def _weight_file_mb(network: Network) -> float:
    # GoogLeNet's public file is the trained network's, with the heads that it is trained with.
    heads = auxiliary_heads() if network.name == "GoogLeNet" else ()
    return sum(weight_file_bytes(part) for part in (network, *heads)) / 1e6


def _value(row: NetworkFacts, name: str) -> float:
    if name not in row.values:
        raise UsageError(f"no value {name!r} of a network; known: {', '.join(row.values)}")
    return row.values[name]


def _of(value: str, name: str) -> float:
    return _value(facts()[name], value)


def _r(x: str, y: str) -> float:
    return correlation(x, y).pearson


def _ratio(value: str, over: str, under: str) -> float:
    return _of(value, over) / _of(value, under)


def _compact(value: str) -> list[float]:
    return [_value(row, value) for name, row in facts().items() if name != "AlexNet"]


def _most(value: str) -> float:
    return max(_compact(value))


def _least(value: str) -> float:
    return min(_compact(value))


def _gemv_share(name: str) -> float:
    shares = published()[name].run.shares_pct
    return float(shares["gemv2T"] + shares["gemv2N"])


def _factorisation(change: str) -> float:
    return float(getattr(filter_factorisation(), change))


def _conv1(value: str) -> float:
    before, after = (
        getattr(count_layer(_convolutions(facts()[name].network)[0]), value)
        for name in ("SqueezeNet-V1.0", "SqueezeNet-V1.1")
    )
    return 100.0 * (float(after) / float(before) - 1)


def _pointwise_macs(name: str) -> float:
    layers = _convolutions(facts()[name].network)
    # The classifier is a 1x1 convolution by form only: it works on one pixel.
    pointwise = sum(
        product_macs(x) for x in layers if _kernel(x) == (1, 1) and x.out_shape.pixels > 1
    )
    return 100.0 * pointwise / sum(product_macs(x) for x in layers)


def _blocks(name: str) -> float:
    return sum(isinstance(layer.op, Eltwise) for layer in facts()[name].network.layers)


def _map(name: str, group: str) -> float:
    """Width of the maps of a group of blocks, 0 for the map that the first group reads."""
    layers = facts()[name].network.layers
    first = next(layer.out_shape for layer in layers if isinstance(layer.op, Pooling))
    # The groups of SqueezeNext differ in their channels; a block ends with its shortcut's sum.
    widths = {
        layer.out_shape.channels: layer.out_shape.width
        for layer in layers
        if isinstance(layer.op, Eltwise)
    }
    return [first.width, *widths.values()][int(group)]


def _gpu_memory() -> float:
    size = find(PAPER_GPU).dram_bytes
    if size is None:
        raise UsageError(f"the memory of {PAPER_GPU} is not known")
    return size / 2**20


def _separable_filter() -> float:
    return (3 * 3) / (3 * 1 + 1 * 3)


def _asymmetric(name: str) -> float:
    layers = _convolutions(facts()[name].network)
    return sum(_kernel(layer) in ((1, 3), (3, 1)) for layer in layers)


def _per_second(milliseconds: str) -> float:
    return 1000.0 / float(milliseconds)


def _squeezenet_launches() -> float:
    return sum(_paper_launches(name) for name in ("SqueezeNet-V1.0", "SqueezeNet-V1.1"))


def _networks_with_launches() -> float:
    return sum(_paper_launches(name) > 0 for name in facts())


def _paper_launches(name: str) -> int:
    return sum(facts()[name].launches.get(family, 0) for family in FAMILIES)


def _table5(family: str, cell: str) -> float:
    return float(published_kernels()[family].cells[cell])


def _table5_stalls(family: str) -> float:
    return sum(_table5(family, cell) for cell in STALL_CELLS)


def _table5_latency_bound() -> float:
    return sum(
        max(_table5(name, "compute_utilization_pct"), _table5(name, "bandwidth_utilization_pct"))
        < LATENCY_BELOW_PCT
        for name in FAMILIES
    )


def _table5_led_by(cell: str) -> float:
    return sum(max(STALL_CELLS, key=partial(_table5, name)) == cell for name in FAMILIES)


def _convolutions(network: Network) -> list[Layer]:
    return [layer for layer in network.layers if isinstance(layer.op, Convolution)]


def _kernel(layer: Layer) -> tuple[int, int] | None:
    return layer.op.kernel if isinstance(layer.op, Convolution) else None


_KINDS: Mapping[str, Callable[..., float]] = MappingProxyType(
    {
        "r": _r,
        "ratio": _ratio,
        "of": _of,
        "most": _most,
        "least": _least,
        "gemv_share": _gemv_share,
        "factorisation": _factorisation,
        "conv1": _conv1,
        "pointwise_macs": _pointwise_macs,
        "blocks": _blocks,
        "map": _map,
        "gpu_memory": _gpu_memory,
        "separable_filter": _separable_filter,
        "asymmetric": _asymmetric,
        "per_second": _per_second,
        "one_block": one_block_occupancy_pct,
        "table5": _table5,
        "table5_latency_bound": _table5_latency_bound,
        "table5_led_by": _table5_led_by,
        "table5_stalls": _table5_stalls,
        "squeezenet_launches": _squeezenet_launches,
        "networks_with_launches": _networks_with_launches,
    }
)
