"""Drawings with one look: bars, scatters, rooflines.

Colors are those of Okabe and Ito, which people with any colour vision can tell apart. matplotlib
(the extra ``[report]``) is imported when a drawing is made.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernprof.errors import UnavailableError
from kernprof.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito, "Color Universal Design", 2008; grey last."""

_STYLE = {
    "font.size": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "axes.edgecolor": "#8a949e",
    "axes.labelcolor": "#3c4650",
    "xtick.color": "#5a6572",
    "ytick.color": "#5a6572",
    "text.color": "#1b2129",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e7ec",
    "legend.frameon": False,
    # Names come from reports: a dollar sign in one is no formula.
    "text.parse_math": False,
    # The same input gives the same file.
    "svg.hashsalt": "kernprof",
    "svg.fonttype": "none",
}
_MARKERS = "ovs^D"
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
            bars = axes.bar(places, values, width, label=_short(name), color=COLORS[at])
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
            axes.barh(
                range(len(labels)), values, left=left, label=_short(name), color=color, hatch=hatch
            )
            left = [a + b for a, b in zip(left, values, strict=True)]
        axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        if len(series) > 1:
            handles = axes.get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=4)
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
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left", fontsize=11)
        made = []
        for at, (x_label, x, y_label, y) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), at + 1)
            _logarithmic(axes)
            axes.margins(0.12)
            for index, name in enumerate(names):
                axes.plot(
                    x[index],
                    y[index],
                    _MARKERS[index // len(COLORS)],
                    color=COLORS[index % len(COLORS)],
                    label=name,
                )
            axes.set_xlabel(x_label)
            axes.set_ylabel(y_label)
            made.append((axes, list(zip(x, y, strict=True))))
        # Where a label goes depends on the layout, which is known once all panels are there.
        figure.draw_without_rendering()
        for axes, points in made:
            _name(axes, points, names)
        return figure


def roofline(title: str, roofs: Sequence[Roof], points: Sequence[RooflinePoint]) -> Figure:
    """Draw launches under the ceilings of their GPUs: DRAM, FP32, FP32 without multiply-adds."""
    with _style():
        figure, axes = _figure(title, 8.5, 5.6)
        axes.set_xscale("log")
        axes.set_yscale("log")
        places = [p.intensity_flops_per_byte for p in points]
        ridges = [roof.peak_flops_per_s / roof.bandwidth_bytes_per_s for roof in roofs]
        low, high = min((*places, *ridges)) / 4, max((*places, *ridges)) * 8
        for roof, ridge in zip(roofs, ridges, strict=True):
            ys = [low * roof.bandwidth_bytes_per_s, roof.peak_flops_per_s, roof.peak_flops_per_s]
            axes.plot([low, ridge, high], ys, color="#1b2129", linewidth=1.6, zorder=1)
            half = [ridge / 2, high], [roof.peak_flops_per_s / 2] * 2
            axes.plot(*half, color="#1b2129", linewidth=0.9, linestyle=(0, (5, 4)), zorder=1)
        for at, point in enumerate(points):
            axes.plot(
                point.intensity_flops_per_byte,
                point.flops_per_s,
                _MARKERS[(at // len(COLORS)) % len(_MARKERS)],
                color=COLORS[at % len(COLORS)],
                markeredgecolor="white",
                markersize=7,
                label=_short(point.label),
                linestyle="none",
            )
        axes.set_xlim(low, high)
        axes.margins(y=0.08)
        formatter = _matplotlib().ticker.FuncFormatter(lambda value, _: _prefixed(value))
        axes.yaxis.set_major_formatter(formatter)
        axes.xaxis.set_major_formatter(formatter)
        axes.set_xlabel("FP32 operations per byte of DRAM traffic")
        axes.set_ylabel("FP32 operations per second")
        figure.draw_without_rendering()
        for roof in roofs:
            _name_roof(axes, roof, low, high, alone=len(roofs) == 1)
        at_points = [(p.intensity_flops_per_byte, p.flops_per_s) for p in points]
        _name(axes, at_points, [_short(p.label) for p in points])
        return figure


def _name_roof(axes: Axes, roof: Roof, low: float, high: float, *, alone: bool) -> None:
    """Write each ceiling's rate along its line."""
    name = "" if alone else f"{_short(roof.gpu)}: "
    peak, width = roof.peak_flops_per_s, roof.bandwidth_bytes_per_s
    above: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
    label = f"{name}{_prefixed(peak)}FLOP/s FP32"
    axes.annotate(label, (high, peak), (-4, 4), ha="right", **above)
    if alone:
        label = "without fused multiply-adds"
        axes.annotate(label, (high, peak / 2), (-4, -11), ha="right", color="#5a6572", **above)
    x = low * (peak / width / low) ** 0.06
    start, end = (axes.transData.transform((at, at * width)) for at in (x, 2 * x))
    angle = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
    label = f"{name}{_prefixed(width)}B/s DRAM"
    along: dict[str, Any] = {"rotation": angle, "rotation_mode": "anchor", "ha": "left"}
    axes.annotate(label, (x, x * width), (0, 4), **above, **along)


def _name(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Write names beside points where they fit, without one over the other; leave out the rest.

    Widths are estimated: a letter takes six tenths of the font's size.
    """
    size, dots = 7.0, axes.figure.dpi / 72
    spots = [axes.transData.transform(point) for point in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    frame = axes.bbox
    for (x, y), name, point in zip(spots, names, points, strict=True):
        wide, high = 0.6 * size * len(name) * dots, 1.1 * size * dots
        for side, rise in ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 3), (-1, 3), (1, -3), (-1, -3)):
            dx, dy = 6.0 * side, 4.0 * rise - (size if rise < 0 else 0.0)
            left = x + dx * dots - (wide if side < 0 else 0.0)
            box = (left, y + dy * dots, left + wide, y + dy * dots + high)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1
            if inside and frame.y0 <= box[1] and box[3] <= frame.y1 and not _over(box, taken):
                where = "left" if side > 0 else "right"
                axes.annotate(
                    name, point, (dx, dy), textcoords="offset points", fontsize=size, ha=where
                )
                taken.append(box)
                break


def _over(box: tuple[float, ...], taken: Sequence[tuple[float, ...]]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    )


def _prefixed(value: float) -> str:
    """Return a number with its decimal prefix: 13.3 T."""
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{prefix}"
    return f"{value:g}"


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
    name = clean(name)
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
