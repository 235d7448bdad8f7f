"""The functional simulator against hardware: same machine code, same launch, both counts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from kernprof.errors import KernprofError
from kernprof.prediction.agreement import Compared
from kernprof.prediction.arguments import build
from kernprof.prediction.run import execute
from kernprof.prediction.subject import from_profile
from validation.cases import Case, Found
from validation.cycles import Timed, section, timed
from validation.micro import Micro
from validation.micro import section as micro_section

TOTAL = "smsp__inst_executed.sum"


@dataclass(frozen=True, slots=True)
class Replay:
    """What replaying a case gave.

    Parameters
    ----------
    case
        What was replayed.
    compared
        Every counter that both have; empty after a failure.
    failure
        Why it could not be replayed, or None.
    seconds
        Wall time, for the progress line only.
    timed
        Cycles and stalls, where both are known.
    """

    case: Case
    compared: tuple[Compared, ...]
    failure: str | None
    seconds: float
    timed: Timed | None = None

    @property
    def total(self) -> Compared | None:
        """Warp instructions executed."""
        return next((c for c in self.compared if c.metric == TOTAL), None)

    @property
    def counters(self) -> tuple[Compared, ...]:
        """Whole-launch counters."""
        return tuple(c for c in self.compared if not c.per_instruction)

    @property
    def tables(self) -> tuple[Compared, ...]:
        """Per-instruction tables."""
        return tuple(c for c in self.compared if c.per_instruction)


def replay(found: Found) -> Replay:
    """Execute the machine code of a report's launch and compare."""
    started = time.monotonic()
    try:
        done = execute(from_profile(found.profile), build(found.case.arguments))
    except KernprofError as error:
        return Replay(found.case, (), str(error), time.monotonic() - started)
    spent = time.monotonic() - started
    return Replay(found.case, done.agreement, None, spent, timed(found, done))


def page(replays: Iterable[Replay], absent: Iterable[Case], known: Iterable[Micro] = ()) -> str:
    """Write the page of results as Markdown; ``known`` are micro-kernels of known cost."""
    done = list(replays)
    ran = [r for r in done if r.failure is None]
    exact = [r for r in ran if r.compared and all(c.equal for c in r.compared)]
    same = [r for r in ran if r.total is not None and r.total.equal]
    lines = [
        "# Predictions against hardware",
        "",
        "## Counts",
        "",
        "Made by `make validate REPORTS=FOLDER`. Reports that other people published hold a",
        "kernel's machine code and the counters of a real GPU. The machine code is executed by the",
        "simulator with arguments of the same sizes, and all counters that both have are compared.",
        "The reports are not part of the project: `validation/cases.toml` lists where each was",
        "found, the hash of its machine code and the arguments; content of arrays is random.",
        "Ratios and percentages count as equal within 1e-6, which is how reports round them.",
        "",
        f"{len(done)} launches: {len(same)} execute exactly the hardware's number of warp",
        f"instructions; in {len(exact)} of them every compared counter and every table is equal.",
        "",
        "| Kernel | Grid | GPU | Repository | Hardware: instructions | Simulated | Difference | "
        "Counters equal | Per-instruction values equal |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(r) for r in done),
        "",
        "### What differs",
        "",
    ]
    for r in done:
        lines += [f"- `{r.case.kernel}`, grid {_grid(r.case)}: {text}" for text in _differences(r)]
    lines += ["", *section([r.timed for r in done if r.timed is not None])]
    lines += micro_section(known)
    missing = [f"`{c.kernel}` ({c.repository})" for c in absent]
    if missing:
        lines += [f"Not in the folder of this run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _grid(case: Case) -> str:
    return "x".join(str(n) for n in case.grid)


def _row(r: Replay) -> str:
    case = r.case
    start = f"| `{case.kernel}` | {_grid(case)} | {case.gpu} | {case.repository} |"
    if r.failure is not None or r.total is None:
        return f"{start} n/a | n/a | n/a | n/a | n/a |"
    total = r.total
    counters, tables = r.counters, r.tables
    off = total.predicted - total.report
    return (
        f"{start} {total.report:,.0f} | {total.predicted:,.0f} | {off:+,.0f} | "
        f"{sum(c.equal for c in counters)} of {len(counters)} | "
        f"{sum(int(t.predicted) for t in tables):,} of {sum(int(t.report) for t in tables):,} |"
    )


def _differences(r: Replay) -> list[str]:
    if r.failure is not None:
        return [f"not replayed: {r.failure}"]
    found = []
    for c in r.compared:
        if c.equal:
            continue
        if c.per_instruction:
            found.append(f"`{c.metric}`: {c.predicted:,} of {c.report:,} instructions are equal")
        else:
            share = "" if c.difference_pct is None else f" ({c.difference_pct:+.3f} %)"
            found.append(
                f"`{c.metric}`: hardware {c.report:,.6g}, simulated {c.predicted:,.6g}{share}"
            )
    if found and r.case.data:
        found.append(r.case.data)
    return found
