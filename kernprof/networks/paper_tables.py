"""Figures that the reference paper prints for its twelve networks.

They are data (``data/published.toml``), kept apart from everything this package computes, and shown
with the label "published".
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

from kernprof.networks.counters import PaperFigures

PAPER = "The Ramifications of Making Deep Neural Networks Compact"
"""Title of the paper that the figures are from."""


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """A row of the paper's Table III.

    Parameters
    ----------
    latency_ms
        Inference time at batch size 1, in milliseconds.
    memory_mb
        GPU memory at batch size 1, in MB.
    gmacs_per_joule
        Energy efficiency at batch size 4, in 10^9 MACs per joule.
    images_per_s
        Throughput at the best batch size.
    gemv2T_pct, gemv2N_pct, gemmk1_pct
        Shares of GPU time, by kernel family.
    """

    latency_ms: Decimal
    memory_mb: Decimal
    gmacs_per_joule: Decimal
    images_per_s: Decimal
    gemv2T_pct: Decimal
    gemv2N_pct: Decimal
    gemmk1_pct: Decimal

    @property
    def shares_pct(self) -> dict[str, Decimal]:
        """Shares of GPU time in percent, by kernel family."""
        return {
            "gemv2T": self.gemv2T_pct,
            "gemv2N": self.gemv2N_pct,
            "gemmk1": self.gemmk1_pct,
        }


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper prints about one network (Tables II and III)."""

    network: str
    figures: PaperFigures
    run: PublishedRun


@lru_cache(maxsize=1)
def published() -> Mapping[str, Published]:
    """Return the paper's figures by network name, in its order."""
    text = files("kernprof.networks").joinpath("data/published.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text, parse_float=Decimal)["network"]
    return MappingProxyType({row["name"]: _row(row) for row in rows})


def published_for(name: str) -> Published | None:
    """Return the paper's figures for a network's full name; None where it prints none."""
    return published().get(name)


def _row(row: Mapping[str, object]) -> Published:
    return Published(
        str(row["name"]),
        PaperFigures(**_decimals(row["table2"])),
        PublishedRun(**_decimals(row["table3"])),
    )


def _decimals(table: object) -> dict[str, Decimal]:
    assert isinstance(table, dict)
    return {key: Decimal(value) for key, value in table.items()}
