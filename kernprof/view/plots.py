"""Drawings with one look: bars, scatters, rooflines.

Colors are those of Okabe and Ito, which people with any colour vision can tell apart. matplotlib
(the extra ``[report]``) is imported when a drawing is made.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernprof.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito, "Color Universal Design", 2008; grey last."""

_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    # Names come from reports: a dollar sign in one is no formula.
    "text.parse_math": False,
    # The same input gives the same file.
    "svg.hashsalt": "kernprof",
    "svg.fonttype": "none",
}
_NAME_CHARS = 40
_ROW_INCHES = 0.28
_MOST_INCHES = 60.0


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """A launch under the roofline.

    Parameters
    ----------
    label
        Kernel and source.
    intensity_flops_per_byte, flops_per_s
        Its place.
    """

    label: str
    intensity_flops_per_byte: float
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class Roof:
    """The ceilings of one GPU; operations per second, bytes per second."""

    gpu: str
    peak_flops_per_s: float
    bandwidth_bytes_per_s: float


def image(figure: Figure, kind: str) -> bytes:
    """Encode a drawing as ``png``, ``svg`` or ``pdf``."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {}
    if kind == "svg":
        metadata = {"Date": None}
    elif kind == "pdf":
        metadata = {"CreationDate": None}
    with _style(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no news for stderr.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()


def grouped_bars(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str
) -> Figure:
    """Draw bars side by side, a group for each label."""
    with _style():
        figure, axes = _figure(title, 7.0, 4.0)
        width = 0.8 / len(series)
        for at, (name, values) in enumerate(series.items()):
            places = [i + (at - (len(series) - 1) / 2) * width for i in range(len(labels))]
            bars = axes.bar(places, values, width, label=name, color=COLORS[at])
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
        axes.set_xticks(range(len(labels)), [_short(label) for label in labels])
        axes.axhline(0, color="black", linewidth=0.8)
        axes.margins(y=0.12)
        axes.set_ylabel(unit)
        axes.legend()
        return figure


def stacked_bars(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str
) -> Figure:
    """Draw one horizontal bar a label, its parts behind each other."""
    with _style():
        height = min(_MOST_INCHES, 1.4 + _ROW_INCHES * len(labels))
        figure, axes = _figure(title, 8.0, height)
        left = [0.0] * len(labels)
        for at, (name, values) in enumerate(series.items()):
            color = COLORS[at % len(COLORS)]
            hatch = "//" if at >= len(COLORS) else None
            axes.barh(range(len(labels)), values, left=left, label=name, color=color, hatch=hatch)
            left = [a + b for a, b in zip(left, values, strict=True)]
        axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure


def scatters(
    title: str,
    names: Sequence[str],
    panels: Sequence[tuple[str, Sequence[float], str, Sequence[float]]],
) -> Figure:
    """Draw named points, a panel for each (x label, x, y label, y); both axes logarithmic."""
    from_matplotlib = _matplotlib()
    with _style():
        figure: Figure = from_matplotlib.figure.Figure(
            figsize=(6.5 * len(panels), 5), layout="constrained"
        )
        figure.suptitle(title)
        for at, (x_label, x, y_label, y) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), at + 1)
            _logarithmic(axes)
            for index, name in enumerate(names):
                axes.plot(
                    x[index],
                    y[index],
                    "ovs^D"[index // len(COLORS)],
                    color=COLORS[index % len(COLORS)],
                    label=name,
                )
                axes.annotate(
                    name, (x[index], y[index]), (4, 4), textcoords="offset points", fontsize=6
                )
            axes.set_xlabel(x_label)
            axes.set_ylabel(y_label)
        return figure


def roofline(title: str, roofs: Sequence[Roof], points: Sequence[RooflinePoint]) -> Figure:
    """Draw launches under the FP32 and DRAM ceilings of their GPUs."""
    with _style():
        figure, axes = _figure(title, 8.0, 5.5)
        _logarithmic(axes)
        places = [p.intensity_flops_per_byte for p in points]
        places += [roof.peak_flops_per_s / roof.bandwidth_bytes_per_s for roof in roofs]
        low, high = min(places) / 4, max(places) * 8
        for at, roof in enumerate(roofs):
            ridge = roof.peak_flops_per_s / roof.bandwidth_bytes_per_s
            xs = [low, ridge, max(high, 2 * ridge)]
            ys = [min(roof.peak_flops_per_s, x * roof.bandwidth_bytes_per_s) for x in xs]
            axes.plot(xs, ys, color="#333333", linestyle=("-", "--", ":")[at % 3], label=roof.gpu)
        for at, point in enumerate(points):
            axes.plot(
                point.intensity_flops_per_byte,
                point.flops_per_s,
                "ovs^D"[(at // len(COLORS)) % 5],
                color=COLORS[at % len(COLORS)],
                label=_short(point.label),
                linestyle="none",
            )
        axes.set_xlabel("FP32 operations per byte of DRAM traffic")
        axes.set_ylabel("FP32 operations per second")
        if len(points) <= 16:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7
            )
        return figure


def _logarithmic(axes: Axes) -> None:
    """Make both axes logarithmic, with plain numbers at 1, 2 and 5 of each decade.

    The library's own labels are formulas, which the style doesn't interpret.
    """
    ticker = _matplotlib().ticker
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(ticker.NullFormatter())


def _short(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 3] + "..."


def _figure(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    figure = _matplotlib().figure.Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


@contextmanager
def _style() -> Iterator[None]:
    with _matplotlib().rc_context(_STYLE):
        yield


def _matplotlib() -> Any:
    try:
        import matplotlib
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError:
        raise UnavailableError(
            "drawings need matplotlib", 'pip install "gpu-kernprof[report]"'
        ) from None
    return matplotlib
