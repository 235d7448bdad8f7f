"""Tables I to V and the data of Figures 2 to 4, as rows.

A printed figure stands in a column named ``<column>_published`` beside the recomputed one; a column
that only exists with that suffix can't be recomputed without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from kernprof.layers import NetworkPrediction, rank_correlation
from kernprof.networks.counters import count_network, paper_figures
from kernprof.networks.factorisation import filter_factorisation
from kernprof.networks.ir import Concat, Convolution, Eltwise, InnerProduct, Rounding
from kernprof.networks.paper_tables import published
from kernprof.networks.zoo.densenet import densenet121
from kernprof.paper.claims import Claim, Outcome, claims
from kernprof.paper.conditions import Condition
from kernprof.paper.exhibit import PUBLISHED, Exhibit, Value
from kernprof.paper.quantities import FAMILIES, correlation, facts
from kernprof.paper.table5 import table5
from kernprof.profile import KernelProfile

_COUNTS = (
    ("macs_m", "MACs M"),
    ("params_m", "Params M"),
    ("activations_m", "Acts M"),
    ("activations_per_param", "Acts/params"),
    ("macs_per_param", "MACs/params"),
    ("macs_per_activation", "MACs/acts"),
)

_PAIRS = (
    ("params", "memory"),
    ("activations", "memory"),
    ("sum", "memory"),
    ("activations_per_param", "memory_per_model"),
    ("macs_per_param", "energy"),
    ("macs_per_activation", "energy"),
)

_NAMES = MappingProxyType(
    {
        "params": "parameters",
        "activations": "activations",
        "sum": "parameters + activations",
        "memory": "memory footprint",
        "activations_per_param": "activations/parameters",
        "memory_per_model": "memory/model size",
        "macs_per_param": "MACs/parameters",
        "macs_per_activation": "MACs/activations",
        "energy": "energy efficiency",
    }
)

_FROM_THE_TABLES = "Drawn from the tables that the printed figure rests on."


def exhibit(
    key: str,
    profiles: Sequence[KernelProfile] = (),
    predictions: Mapping[str, NetworkPrediction] | None = None,
    predicted: Condition | None = None,
    unpredicted: str = "",
) -> Exhibit:
    """Compute a table or figure.

    Parameters
    ----------
    key
        A key of ``KEYS``.
    profiles
        Launches of the paper's kernels to show in Table V.
    predictions
        Networks whose shares of time Table III shows.
    predicted, unpredicted
        What Table V shows as predicted, or why it shows nothing.

    Raises
    ------
    KeyError
        There is no such exhibit.
    """
    if key == "table5":
        return table5(profiles, predicted, unpredicted)
    return table3(predictions) if key == "table3" else _MAKERS[key]()


def table1() -> Exhibit:
    """Count what the twelve networks are made of."""
    rows = []
    for name, row in facts().items():
        layers = row.network.layers
        convolutions = [layer.op for layer in layers if isinstance(layer.op, Convolution)]
        rows.append(
            (
                name,
                len(convolutions),
                sum(op.kernel == (1, 1) for op in convolutions),
                sum(op.kernel in ((1, 3), (3, 1)) for op in convolutions),
                sum(op.groups > 1 for op in convolutions),
                sum(isinstance(layer.op, InnerProduct) for layer in layers),
                sum(isinstance(layer.op, Concat) for layer in layers),
                sum(isinstance(layer.op, Eltwise) for layer in layers),
            )
        )
    columns = (
        ("network", "Network"),
        ("convolutions", "Convolutions"),
        ("pointwise", "1x1"),
        ("asymmetric", "1x3, 3x1"),
        ("grouped", "Grouped"),
        ("fully_connected", "Fully connected"),
        ("concatenations", "Concatenations"),
        ("shortcuts", "Shortcuts"),
    )
    notes = (
        "The building blocks that make the networks compact, counted from their layers (source: "
        "static).",
    )
    return Exhibit("table1", "Table I: what the networks are made of", columns, tuple(rows), notes)


def table2() -> Exhibit:
    """MACs, parameters, activations and their ratios."""
    rows: list[tuple[Value, ...]] = []
    same = total = 0
    for name, row in facts().items():
        computed = paper_figures(count_network(row.network))
        printed = published()[name].figures
        cells: list[Value] = [name]
        for key, _ in _COUNTS:
            here, there = getattr(computed, key), getattr(printed, key)
            same += here == there
            total += 1
            cells += [float(here), float(there)]
        rows.append(tuple(cells))
    columns = (("network", "Network"), *_pairs(_COUNTS))
    intended = count_network(densenet121(Rounding.FLOOR))
    notes = (
        f"Recomputed by the netscope counter (source: static); {same} of {total} equal the printed "
        "digits. In brackets: published.",
        "DenseNet-121's printed counts rest on pooling that rounds up, as Netscope and Caffe do; "
        f"its files mean rounding down: {intended.macs / 1e6:.0f} M MACs, "
        f"{intended.activations / 1e6:.2f} M activations.",
    )
    return Exhibit("table2", "Table II: counts", columns, tuple(rows), notes)


def table3(predictions: Mapping[str, NetworkPrediction] | None = None) -> Exhibit:
    """Measurements of the networks; the launches behind the kernels' shares, and predicted shares.

    Parameters
    ----------
    predictions
        Forward and backward of each network by name; networks without one have no shares.
    """
    predicted = predictions or {}
    ours: list[float] = []
    theirs: list[float] = []
    rows: list[tuple[Value, ...]] = []
    for name, row in facts().items():
        run = published()[name].run
        cells: list[Value] = [name]
        cells += [float(run.latency_ms), float(run.memory_mb), float(run.gmacs_per_joule)]
        cells += [float(run.images_per_s)]
        for family in FAMILIES:
            made = predicted.get(name)
            share = None if made is None else made.shares_pct.get(family, 0.0)
            printed = float(run.shares_pct[family])
            cells += [row.launches.get(family, 0), share, printed]
            if share is not None:
                ours.append(share)
                theirs.append(printed)
        rows.append(tuple(cells))
    columns = [
        ("network", "Network"),
        ("latency_ms" + PUBLISHED, "Latency ms"),
        ("memory_mb" + PUBLISHED, "Memory MB"),
        ("gmacs_per_joule" + PUBLISHED, "GMACs/J"),
        ("images_per_s" + PUBLISHED, "Images/s"),
    ]
    for family in FAMILIES:
        columns += [
            (f"{family}_launches", f"{family} launches"),
            (f"{family}_pct", f"{family} %"),
            (f"{family}_pct{PUBLISHED}", f"{family} %"),
        ]
    notes = (
        "Latency, memory, energy and throughput: published (P100); measuring them needs a GPU.",
        _energy_note(),
        _batch_note(),
        "Launches: source static, forward and backward of one `caffe time` iteration, batch 1.",
        *_share_notes(predicted, rank_correlation(ours, theirs), len(ours)),
        "The shares are of forward and backward together, though the text calls them shares of "
        "the inference time: AlexNet has no gemmk1 launch in its forward pass.",
        "GoogLeNet's printed shares do not follow from its one fully connected layer, whose "
        "weight update (gemmk1) moves the most bytes; they are shown as printed.",
    )
    return Exhibit("table3", "Table III: measurements", tuple(columns), tuple(rows), notes)


def _energy_note() -> str:
    """Tell what the printed energy efficiencies say of one image."""
    joules = [row.values["macs"] / 1e9 / row.values["energy"] for row in facts().values()]
    return (
        f"With Table II's MACs, GMACs/J make {min(joules):.4f} to {max(joules):.2f} J an image; "
        "the paper does not say whether the power at rest is in it."
    )


def _batch_note() -> str:
    """Tell that throughput and latency are of different batches."""
    at_once = [r.values["images_per_s"] * r.values["latency"] / 1000 for r in facts().values()]
    return (
        f"Images/s times latency is {min(at_once):.1f} to {max(at_once):.1f}: latency is of batch "
        "1, throughput of each network's best batch."
    )


def _share_notes(
    predicted: Mapping[str, NetworkPrediction], correlation: float | None, pairs: int
) -> list[str]:
    if not predicted:
        return [
            "Shares of time: published in brackets, not recomputed (n/a): `--gpu p100` predicts "
            "every launch, which takes minutes."
        ]
    device = next(iter(predicted.values())).device
    notes = [
        f"Shares of time: predicted for {device.name}; published in brackets. Own kernels stand in "
        "for cuDNN's, which makes the shares of the others too small.",
    ]
    if correlation is not None:
        notes.append(f"Spearman's rank correlation of the {pairs} shares: {correlation:.3f}.")
    return notes


def table4() -> Exhibit:
    """Correlations, and how robust they are."""
    printed = {claim.key: claim.published for claim in claims()}
    keys = list(printed)[: len(_PAIRS)]
    rows = []
    for (x, y), key in zip(_PAIRS, keys, strict=True):
        found = correlation(x, y)
        rows.append(
            (
                f"{_NAMES[x]} : {_NAMES[y]}",
                found.pearson,
                float(printed[key]),
                found.spearman,
                found.lowest,
                found.without_lowest,
                found.highest,
                found.without_highest,
            )
        )
    columns = (
        ("pair", "Pair"),
        ("pearson", "Pearson r"),
        ("pearson" + PUBLISHED, "Pearson r"),
        ("spearman", "Spearman rho"),
        ("lowest", "r, one left out: lowest"),
        ("without_lowest", "without"),
        ("highest", "highest"),
        ("without_highest", "without"),
    )
    notes = (
        "Counts recomputed, memory and energy published; 12 networks. Model size: 4 bytes a "
        "parameter. In brackets: published.",
        "The coefficient of energy efficiency with MACs/parameters is negative; the paper prints "
        "it without its sign.",
        "Twelve points, with AlexNet and DenseNet-121 far out: read r beside rho and its range.",
    )
    return Exhibit("table4", "Table IV: correlations", columns, tuple(rows), notes)


def fig2() -> Exhibit:
    """One 5x5 filter against two 3x3 ones."""
    found = filter_factorisation()
    by_key = {claim.key: claim for claim in claims()}
    rows = []
    for key, label in (
        ("params", "Parameters"),
        ("macs", "MACs"),
        ("activations", "Activations"),
        ("macs_per_param", "MACs/parameters"),
        ("macs_per_activation", "MACs/activations"),
    ):
        claim = by_key[f"factorisation_{key}"]
        before, after = getattr(found, key)
        rows.append((label, before, after, claim.computed, float(claim.published)))
    columns = (
        ("quantity", "Quantity"),
        ("before", "5x5"),
        ("after", "3x3 + 3x3"),
        ("change_pct", "Change %"),
        ("change_pct" + PUBLISHED, "Change %"),
    )
    notes = (
        "One filter over a three-channel 224x224 image; the paper does not give the size.",
        "With as many output channels as the image has, the parameters change by "
        f"{filter_factorisation(width=3).params_pct:.0f} % only.",
        "The printed change of activations counts outputs only, that of MACs/activations the "
        "image too: two definitions.",
        _FROM_THE_TABLES,
    )
    return Exhibit("fig2", "Figure 2: splitting a filter", columns, tuple(rows), notes)


def fig3() -> Exhibit:
    """Activations per parameter against memory per model size."""
    return _scatter(
        "fig3",
        "Figure 3: activations/parameters and memory/model size",
        "activations_per_param",
        ("memory_per_model",),
    )


def fig4() -> Exhibit:
    """Energy efficiency against arithmetic intensity."""
    return _scatter(
        "fig4",
        "Figure 4: energy efficiency and MACs per activation or parameter",
        "energy",
        ("macs_per_activation", "macs_per_param"),
    )


def claims_table() -> Exhibit:
    """All numeric claims with their outcome."""
    found = claims()
    rows = [(c.text, c.published, _shown(c), str(c.outcome), c.reason or "") for c in found]
    columns = (
        ("claim", "Claim"),
        ("claimed", "Published"),
        ("computed", "Recomputed"),
        ("outcome", "Outcome"),
        ("reason", "Reason"),
    )
    counts = ", ".join(f"{sum(c.outcome is o for c in found)} {o}" for o in Outcome)
    notes = (
        f"{counts}. Reproduced: the recomputed number rounds to the printed digits.",
        "The measured columns of Table III (12 networks x 7 numbers) are published only: they "
        "need the paper's GPU.",
    )
    return Exhibit("claims", "Numeric claims", columns, tuple(rows), notes)


def _scatter(key: str, title: str, first: str, others: Sequence[str]) -> Exhibit:
    names = (first, *others)
    rows: list[tuple[Value, ...]] = [
        (name, *(row.values[value] for value in names)) for name, row in facts().items()
    ]
    columns = (("network", "Network"), *((name, _NAMES[name]) for name in names))
    notes = []
    for other in others:
        found = correlation(first, other)
        notes.append(
            f"{_NAMES[first]} and {_NAMES[other]}: Pearson {found.pearson:.2f}, Spearman "
            f"{found.spearman:.2f}."
        )
    notes.append("Counts recomputed; memory and energy published (P100).")
    notes.append(_FROM_THE_TABLES)
    return Exhibit(key, title, columns, tuple(rows), tuple(notes))


def _pairs(columns: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        pair for key, label in columns for pair in ((key, label), (key + PUBLISHED, label))
    )


def _shown(claim: Claim) -> str | None:
    if claim.computed is None:
        return None
    whole = claim.computed == int(claim.computed)
    return f"{claim.computed:,.0f}" if whole else f"{claim.computed:.4g}"


_MAKERS: Mapping[str, Callable[[], Exhibit]] = MappingProxyType(
    {
        "table1": table1,
        "table2": table2,
        "table3": table3,
        "table4": table4,
        "table5": table5,
        "fig2": fig2,
        "fig3": fig3,
        "fig4": fig4,
        "claims": claims_table,
    }
)

KEYS: tuple[str, ...] = tuple(_MAKERS)
"""Names of all exhibits, in the paper's order."""
