"""The paper's numeric claims, each beside what comes out when it is computed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from kernprof.paper.kernels import CELLS, published_kernels
from kernprof.paper.quantities import quantity


class Outcome(StrEnum):
    """How a claim fares."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    NOT_COMPUTED = "not computed"


@dataclass(frozen=True, slots=True)
class Claim:
    """One numeric claim.

    Parameters
    ----------
    key, text
        Short name, and what is claimed.
    published
        The number as printed, with its digits.
    computed
        The recomputed number; None where it can't be computed here.
    outcome
        ``reproduced`` when the computed number rounds to the printed digits, or lies within the
        ``tolerance`` that the data file allows where the paper cuts digits off.
    reason
        Why it differs or isn't computed.
    """

    key: str
    text: str
    published: str
    computed: float | None
    outcome: Outcome
    reason: str | None


def claims() -> tuple[Claim, ...]:
    """Recompute every claim of the data file, in its order, then every cell of Table V."""
    return (*(_claim(row) for row in _rows()), *_table5_cells())


def agrees(printed: str, computed: float, tolerance: float = 0.0) -> bool:
    """Whether a number rounds to the printed digits, or is within ``tolerance`` of them."""
    try:
        shown = Decimal(printed)
    except InvalidOperation:
        # A claim in words ("present") holds when there is any.
        return computed > 0
    step = Decimal(1).scaleb(min(0, int(shown.as_tuple().exponent)))
    rounded = Decimal(repr(computed)).quantize(step, ROUND_HALF_UP)
    return rounded == shown or abs(Decimal(repr(computed)) - shown) <= Decimal(repr(tolerance))


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    text = files("kernprof.paper").joinpath("data/claims.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["claim"])


def _claim(row: Mapping[str, Any]) -> Claim:
    computed, outcome = None, Outcome.NOT_COMPUTED
    if "quantity" in row:
        computed = float(quantity(row["quantity"]))
        good = agrees(row["published"], computed, row.get("tolerance", 0.0))
        outcome = Outcome.REPRODUCED if good else Outcome.DIFFERS
    return Claim(row["key"], row["text"], row["published"], computed, outcome, row.get("reason"))


_MEASURED = (
    "a measurement on a P100; `kernprof paper table5` shows what a simulated one gives, "
    "--with FILE your own"
)
_ONE_BLOCK_TOLERANCE = 0.1
"""The paper cuts off 6.25 as 6.2."""


def _table5_cells() -> list[Claim]:
    found = []
    for name, kernel in published_kernels().items():
        for cell, label in CELLS.items():
            key, text = f"table5_{name}_{cell.removesuffix('_pct')}", f"Table V: {label} of {name}"
            printed = str(kernel.cells[cell])
            if cell == "occupancy_pct":
                found.append(_occupancy(key, text, name, printed))
                continue
            found.append(Claim(key, f"{text}, %", printed, None, Outcome.NOT_COMPUTED, _MEASURED))
        word = kernel.sm_utilization.lower()
        found.append(
            Claim(
                f"table5_{name}_sm_utilization",
                f"Table V: SM utilization of {name}",
                word,
                None,
                Outcome.NOT_COMPUTED,
                "the paper has a word and says nothing of how it was measured",
            )
        )
    return found


def _occupancy(key: str, text: str, name: str, printed: str) -> Claim:
    computed = float(quantity(f"one_block:{name}"))
    good = agrees(printed, computed, _ONE_BLOCK_TOLERANCE)
    return Claim(
        key,
        f"{text}, %; recomputed: one block a multiprocessor",
        printed,
        computed,
        Outcome.REPRODUCED if good else Outcome.DIFFERS,
        None
        if good
        else "one block a multiprocessor is an upper bound: warps that start late or end early "
        "take the rest",
    )
