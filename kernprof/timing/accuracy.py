"""How far the timing model was off on real GPUs, as the validation run recorded it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class ModelError:
    """Error of predicted cycles over launches of public reports that judge the model.

    Parameters
    ----------
    launches, gpus
        How many.
    mean_pct
        Mean absolute error of the cycles, in percent.
    lowest_pct, highest_pct
        Largest errors downwards and upwards, signed.
    rank_correlation
        Spearman's, of predicted and measured cycles.
    top_stall_right, stalled
        Launches whose largest stall reason was right, of those whose report has reasons.
    """

    launches: int
    gpus: int
    mean_pct: float
    lowest_pct: float
    highest_pct: float
    rank_correlation: float
    top_stall_right: int
    stalled: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"On {self.launches} launches of {self.gpus} real GPUs predicted cycles were off by "
            f"{self.mean_pct:.0f} % on average, {self.lowest_pct:+.0f} to {self.highest_pct:+.0f} "
            f"% at most; the largest stall reason was right in {self.top_stall_right} of "
            f"{self.stalled} (docs/accuracy.md)."
        )

    def record(self) -> dict[str, float]:
        """Return the same as plain data."""
        return {
            "launches": self.launches,
            "mean_pct": self.mean_pct,
            "lowest_pct": self.lowest_pct,
            "highest_pct": self.highest_pct,
        }


@cache
def model_error() -> ModelError:
    """Return what the last validation run found."""
    text = (resources.files("kernprof.timing") / "data" / "accuracy.toml").read_text("utf-8")
    return ModelError(**tomllib.loads(text)["judging"])
