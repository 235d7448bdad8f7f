"""Predicted cycles and stall reasons against those that hardware counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernprof.prediction.run import Prediction
from kernprof.profile import KernelProfile
from kernprof.stalls.breakdown import breakdown
from kernprof.timing import estimate
from validation.cases import Case, Found

_FAMILY = "per_issue_active"
_SAME_WORK = 1e-3
"""Relative difference of instructions up to which two launches count as the same work."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One launch: hardware and prediction.

    Parameters
    ----------
    case
        Which.
    cycles, predicted
        SM cycles.
    low, high
        Bounds that extrapolation leaves.
    shares, predicted_shares
        Stall reasons in percent; empty where the report has none.
    same_work
        Whether both executed the same number of instructions, within 0.1 %.
    """

    case: Case
    cycles: float
    predicted: float
    low: float
    high: float
    shares: dict[str, float]
    predicted_shares: dict[str, float]
    same_work: bool

    @property
    def error_pct(self) -> float:
        """Signed error of the cycles."""
        return 100 * (self.predicted - self.cycles) / self.cycles

    @property
    def top(self) -> tuple[str, str]:
        """Largest reason of the hardware and of the prediction."""
        return _largest(self.shares), _largest(self.predicted_shares)

    @property
    def distance_pct(self) -> float:
        """Half the sum of the differences of shares: what part of stalled time is misplaced."""
        names = self.shares.keys() | self.predicted_shares.keys()
        return sum(abs(self.shares.get(n, 0) - self.predicted_shares.get(n, 0)) for n in names) / 2


def _largest(shares: dict[str, float]) -> str:
    return max(shares, key=lambda name: shares[name]) if shares else "n/a"


def timed(found: Found, done: Prediction) -> Timed | None:
    """Compare a replay; None where the report or the prediction has no cycles."""
    theirs = found.profile
    cycles = theirs.value("sm__cycles_elapsed.max") or theirs.value("gpc__cycles_elapsed.max")
    if done.timing is None or not cycles:
        return None
    whole = estimate(done.timing)
    measured = theirs.value("smsp__inst_executed.sum") or 0
    executed = int(done.execution.executed.sum())
    return Timed(
        found.case,
        cycles,
        whole.cycles,
        whole.low,
        whole.high,
        _shares(theirs),
        _shares(done.profile),
        abs(measured - executed) <= _SAME_WORK * executed,
    )


def _shares(profile: KernelProfile) -> dict[str, float]:
    found = breakdown(profile, family=_FAMILY)
    return dict(found.shares_pct) if found is not None else {}


def mape(rows: Sequence[Timed]) -> float:
    """Mean absolute percentage error of the cycles."""
    return sum(abs(r.error_pct) for r in rows) / len(rows)


def rank_correlation(rows: Sequence[Timed]) -> float:
    """Spearman's rank correlation of predicted and measured cycles."""
    import numpy as np

    def ranks(values: list[float]) -> np.ndarray:
        order = np.argsort(values, kind="stable")
        place = np.empty(len(values))
        place[order] = np.arange(len(values))
        return place

    a, b = ranks([r.cycles for r in rows]), ranks([r.predicted for r in rows])
    return float(np.corrcoef(a, b)[0, 1])


def record(rows: Sequence[Timed]) -> str:
    """Write the error on the judging launches as TOML, for the program to show.

    Raises
    ------
    ValueError
        Fewer than two launches judge the model.
    """
    scored = [r for r in rows if r.same_work and not r.case.calibrates]
    if len(scored) < 2:
        raise ValueError(f"{len(scored)} launches are too few to judge the model")
    errors = [r.error_pct for r in scored]
    stalled = [r for r in scored if r.shares]
    lines = [
        "# Made by `make validate`; docs/accuracy.md has the launches.",
        "[judging]",
        f"launches = {len(scored)}",
        f"gpus = {len({r.case.gpu for r in scored})}",
        f"mean_pct = {mape(scored):.2f}",
        f"lowest_pct = {min(errors):.2f}",
        f"highest_pct = {max(errors):.2f}",
        f"rank_correlation = {rank_correlation(scored):.4f}",
        f"top_stall_right = {sum(r.top[0] == r.top[1] for r in stalled)}",
        f"stalled = {len(stalled)}",
    ]
    return "\n".join(lines) + "\n"


def section(rows: Iterable[Timed]) -> list[str]:
    """Write the part of the page about time."""
    every = list(rows)
    scored = [r for r in every if r.same_work]
    groups = (
        ("judging", [r for r in scored if not r.case.calibrates]),
        ("the model was made with", [r for r in scored if r.case.calibrates]),
        ("all", scored),
    )
    lines = [
        "## Cycles and stall reasons",
        "",
        "The same replays, timed: cycles of the whole launch at the report's own clock, and the",
        "shares of stall reasons (`smsp__average_warps_issue_stalled_*_per_issue_active`). The",
        "sampling bounds are what extrapolating from the simulated part leaves open. The distance",
        "is the part of stalled time that is put on another reason. Rules and numbers of the model",
        "were chosen with the launches marked *, and from the public tables that",
        "`kernprof/timing/data/machines.toml` names; from the others no number was set, though",
        "some of them were run as the model grew, and two rules (second copies in the L2 of A100",
        "and H100, write-backs of long launches) were added with `rms_norm_matrix_kernel` in view.",
        "",
        "| Launches | Number | Mean absolute error of cycles | Largest | Rank correlation | "
        "Top reason right | Mean distance of stalls |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in groups:
        if len(group) < 2:
            continue
        stalled = [r for r in group if r.shares]
        right = sum(r.top[0] == r.top[1] for r in stalled)
        apart = sum(r.distance_pct for r in stalled) / max(1, len(stalled))
        worst = max(group, key=lambda r: abs(r.error_pct))
        lines.append(
            f"| {name} | {len(group)} | {mape(group):.1f} % | {worst.error_pct:+.1f} % "
            f"(`{worst.case.kernel}`) | {rank_correlation(group):.3f} | "
            f"{right} of {len(stalled)} | {apart:.1f} % |"
        )
    lines += [
        "",
        "| Kernel | Grid | GPU | Hardware: cycles | Predicted | Sampling bounds | Error | "
        "Top stall: hardware | Predicted | Distance |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in every:
        bounds = "" if r.low == r.high else f"{r.low:,.0f} to {r.high:,.0f}"
        mark = "\\*" if r.case.calibrates else ""
        grid = "x".join(str(n) for n in r.case.grid)
        stalls = f"{r.top[0]} | {r.top[1]} | {r.distance_pct:.0f} % |" if r.shares else "| | |"
        error = f"{r.error_pct:+.1f} %" if r.same_work else "not scored: other work"
        lines.append(
            f"| `{r.case.kernel}`{mark} | {grid} | {r.case.gpu} | {r.cycles:,.0f} | "
            f"{r.predicted:,.0f} | {bounds} | {error} | {stalls}"
        )
    return [*lines, ""]
