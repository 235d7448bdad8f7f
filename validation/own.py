"""Own kernels on real GPUs: times that were measured, beside predictions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernprof.devices import find
from kernprof.layers import predict_launches, static_launches
from kernprof.lowering.launch import Direction
from kernprof.lowering.lower import lower_layer
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.files import resolve_network

_DATA = Path(__file__).parent / "own.toml"


@dataclass(frozen=True, slots=True)
class Own:
    """One launch of a kernel of this project.

    Parameters
    ----------
    kernel, direction, layer, gpu, how
        What ran where, and how it was measured.
    ncu_ns, events_ns
        Time that the profiler told, and the median between two events.
    predicted_ns
        Time that the model tells at the GPU's clock.
    """

    kernel: str
    direction: str
    layer: str
    gpu: str
    how: str
    ncu_ns: float
    events_ns: float
    predicted_ns: float

    @property
    def error_pct(self) -> float:
        """Signed error of the prediction against the profiler."""
        return 100 * (self.predicted_ns - self.ncu_ns) / self.ncu_ns


def own() -> Iterable[Own]:
    """Predict every launch of ``own.toml``.

    Raises
    ------
    ValueError
        A launch of the file is not one of its layer.
    """
    for run in tomllib.loads(_DATA.read_text("utf-8"))["run"]:
        device = find(run["gpu"])
        network = resolve_network(run["network"])
        options = LoweringOptions(direction=Direction(run["direction"]))
        launches = lower_layer(network.layer(run["layer"]), options)
        predicted = predict_launches(static_launches(launches, device), device)
        by_name = {(p.static.kernel.name, str(p.static.launch.direction)): p for p in predicted}
        for row in run["launches"]:
            found = by_name.get((row["kernel"], row["direction"]))
            if found is None or found.profile.duration_ns is None:
                raise ValueError(f"{run['layer']} has no {row['kernel']}, {row['direction']}")
            yield Own(
                kernel=row["kernel"],
                direction=row["direction"],
                layer=f"{run['layer']} of {run['network']}",
                gpu=device.name,
                how=run["how"],
                ncu_ns=row["ncu_ns"],
                events_ns=row["events_ns"],
                predicted_ns=found.profile.duration_ns,
            )


def section(rows: Iterable[Own]) -> list[str]:
    """Write the part of the page about the project's own kernels."""
    every = list(rows)
    mean = sum(abs(r.error_pct) for r in every) / len(every) if every else 0.0
    lines = [
        "## This project's kernels, measured",
        "",
        "Launches of `kernprof layer` that ran on a GPU, beside their predictions: time under the",
        "profiler, time between two events (which contain the events' own cost), time predicted.",
        "That the launch overhead of sm_90 was too small showed on these launches; its number is",
        "that of empty kernels timed by events, less what events cost by the difference of the",
        "two columns. No other number was set with them.",
        f"Mean absolute error of these {len(every)}: {mean:.1f} %.",
        "",
        "| Kernel | Pass | Layer | GPU | ncu, us | Events, us | Predicted, us | Error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r.kernel}` | {r.direction} | {r.layer} | {r.gpu} | {r.ncu_ns / 1e3:.2f} | "
        f"{r.events_ns / 1e3:.2f} | {r.predicted_ns / 1e3:.2f} | {r.error_pct:+.1f} % |"
        for r in every
    ]
    lines += ["", *(f"Measured on: {how}." for how in dict.fromkeys(r.how for r in every)), ""]
    return lines
