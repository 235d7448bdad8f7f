"""MobileNet's launches of the three kernels, predicted under conditions that Table V may be of.

The paper does not say which launch a column of Table V is of, nor how a profiler's many launches
were averaged, nor in which state a launch found the caches. Each combination is a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from kernprof.devices.model import Device
from kernprof.errors import UsageError
from kernprof.layers import can_predict, predict_launches, static_launches
from kernprof.lowering.launch import Launch
from kernprof.lowering.lower import lower_network
from kernprof.networks.registry import load_network
from kernprof.paper.kernels import CELLS, STALL_CELLS, published_kernels
from kernprof.paper.rows import table_rows, values
from kernprof.stalls.analysis import analyse
from kernprof.timing import Caches

_NETWORK = "1.0-MobileNet-224"
_TAPS = 9
Columns = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Condition:
    """What was predicted, and how.

    Parameters
    ----------
    text
        Which launches, and how they were averaged.
    caches
        How each launch found the caches.
    columns
        Values in percent by kernel and row; a kernel without such launches has no column.
    device
        The GPU, in words.
    """

    text: str
    caches: Caches
    columns: Columns
    device: str


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a predicted column is from the printed one, in percentage points.

    Parameters
    ----------
    rows
        Predicted less printed, by the row's words.
    same_order
        Whether the four classes of stalls are in the printed order of size.
    """

    rows: Mapping[str, float]
    same_order: bool

    @property
    def mean(self) -> float:
        """Mean of the absolute differences."""
        return sum(map(abs, self.rows.values())) / len(self.rows)

    @property
    def largest_row(self) -> str:
        """The row that is furthest off."""
        return max(self.rows, key=lambda row: abs(self.rows[row]))

    @property
    def largest(self) -> float:
        """The furthest row's difference."""
        return self.rows[self.largest_row]


@dataclass(frozen=True, slots=True)
class _Sample:
    """A distinct launch of the network: its rows, how often it is launched, and its time."""

    launch: Launch
    rows: Mapping[str, float | None]
    time_ns: float


def distances(condition: Condition) -> dict[str, Distance]:
    """Compare a condition's columns with the printed ones, by kernel."""
    found = {}
    for name, kernel in published_kernels().items():
        column = condition.columns.get(name)
        if column is None:
            continue
        # A kernel without a branch has no divergence to tell; in print that is 0.
        off = {
            label: (column[key] or 0.0) - float(kernel.cells[key]) for key, label in CELLS.items()
        }
        ours = sorted(STALL_CELLS, key=lambda key: -(column[key] or 0.0))
        theirs = sorted(STALL_CELLS, key=lambda key: -kernel.cells[key])
        found[name] = Distance(MappingProxyType(off), ours == theirs)
    return found


def usual_condition(device: Device) -> Condition:
    """Predict what a profile of MobileNet's forward and backward pass shows, replayed warm.

    nvprof, with which the paper measured, replays a kernel without flushing the caches, and prints
    the mean over a kernel's launches.

    Raises
    ------
    UsageError, UnavailableError
        As :func:`conditions`.
    """
    return _of_network(_samples(device, Caches.WARM), Caches.WARM, device)[0]


def conditions(device: Device) -> tuple[Condition, ...]:
    """Predict MobileNet's launches of the three kernels under every condition.

    Raises
    ------
    UsageError
        Time can't be predicted for this GPU; says why.
    UnavailableError
        The disassembler or the compiler is missing.
    """
    found: list[Condition] = []
    for caches in Caches:
        samples = _samples(device, caches)
        found += _of_network(samples, caches, device)
        for pixels in sorted({_pixels(s.launch) for s in samples} - {1}, reverse=True):
            for what, chosen in _KINDS.items():
                members = [s for s in samples if _pixels(s.launch) == pixels and chosen(s.launch)]
                if members:
                    text = f"{what} at {round(pixels**0.5)} x {round(pixels**0.5)}"
                    found.append(_condition(text, caches, members, _alike, device))
    return tuple(found)


def _of_network(samples: Sequence[_Sample], caches: Caches, device: Device) -> list[Condition]:
    return [
        _condition("all launches of MobileNet, each alike", caches, samples, _alike, device),
        _condition(
            "all launches of MobileNet, weighted by time", caches, samples, _by_time, device
        ),
    ]


def _alike(sample: _Sample) -> float:
    return sample.launch.count


def _by_time(sample: _Sample) -> float:
    return sample.launch.count * sample.time_ns


def _is_product(launch: Launch) -> bool:
    """Whether a launch is a part of a depthwise convolution with 3 x 3 windows."""
    return launch.shape["n"] == _TAPS


_KINDS: Mapping[str, Callable[[Launch], bool]] = MappingProxyType(
    {
        "depthwise convolution": _is_product,
        "normalisation, sums stored": lambda x: not _is_product(x) and not x.shape["beta"],
        "normalisation, sums added": lambda x: not _is_product(x) and x.shape["beta"] == 1,
    }
)
"""What launches are of, and which are: beta says whether a product is added to what is there."""


def _pixels(launch: Launch) -> int:
    """Pixels of the layer's maps; 1 for a launch over channels alone."""
    return 1 if launch.shape["n"] == 1 else launch.shape["m"]


def _condition(
    text: str,
    caches: Caches,
    samples: Sequence[_Sample],
    weight: Callable[[_Sample], float],
    device: Device,
) -> Condition:
    columns = {}
    for name in published_kernels():
        members = [s for s in samples if s.launch.family == name]
        if members:
            columns[name] = MappingProxyType(
                {key: _mean((s.rows[key], weight(s)) for s in members) for key in table_rows()}
            )
    clock = device.base_clock_mhz or device.boost_clock_mhz
    told = device.name if clock is None else f"{device.name} at {clock:.0f} MHz"
    return Condition(text, caches, MappingProxyType(columns), told)


def _mean(weighted: Iterable[tuple[float | None, float]]) -> float | None:
    """Average over the launches that have a value; None where none has."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


@cache
def _launches() -> tuple[Launch, ...]:
    families = published_kernels()
    lowered = lower_network(load_network(_NETWORK)).launches
    return tuple(launch for launch in lowered if launch.family in families)


def _samples(device: Device, caches: Caches) -> tuple[_Sample, ...]:
    reason = can_predict(device)
    if reason:
        raise UsageError(f"can't predict Table V: {reason}; take another --gpu")
    done = predict_launches(static_launches(_launches(), device), device, caches=caches)
    return tuple(
        _Sample(p.static.launch, values(analyse(p.profile)), p.profile.duration_ns or 0.0)
        for p in done
    )
