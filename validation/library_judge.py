"""``python -m validation.library_judge REPORT --run FILE.json``: the library's kernels, replayed.

REPORT is what ncu made of ``validation.library_run``, FILE what that wrote. Every launch of the
report is executed by the simulator, its own machine code with the same arguments, and timed; page
and exit code tell whether results are the GPU's bit for bit, counters equal, and how far cycles
and stall reasons are off.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernprof.errors import KernprofError
from kernprof.library import entry
from kernprof.library.content import sample_arguments
from kernprof.lowering.launch import Launch
from kernprof.prediction.agreement import Compared
from kernprof.prediction.run import execute
from kernprof.prediction.subject import from_profile
from kernprof.profile import KernelProfile
from kernprof.reports import load
from validation.cases import Case, Found
from validation.cycles import Timed, mape, rank_correlation, timed
from validation.library_run import digests, selection


@dataclass(frozen=True, slots=True)
class Judged:
    """One launch of the library on a GPU and in the simulator.

    Parameters
    ----------
    kernel, sizes
        Which.
    same_bits
        Whether every array that it wrote is the GPU's; None where no digests are known.
    compared
        Counters that both have.
    timed
        Cycles and stalls, where both are known.
    failure
        Why it was not replayed, or an empty string.
    """

    kernel: str
    sizes: str
    same_bits: bool | None = None
    compared: tuple[Compared, ...] = ()
    timed: Timed | None = None
    failure: str = ""


def pair(
    rows: Sequence[dict[str, Any]], profiles: Sequence[KernelProfile]
) -> list[tuple[dict[str, Any], KernelProfile | None]]:
    """Give each row that ran the report's next launch of its kernel.

    Both are in the order of launching; a report may end early or leave launches out.
    """
    left: dict[str, list[KernelProfile]] = {}
    for profile in profiles:
        left.setdefault(profile.kernel, []).append(profile)
    return [(row, left[row["kernel"]].pop(0) if left.get(row["kernel"]) else None) for row in rows]


def judge(
    rows: Sequence[dict[str, Any]],
    profiles: Sequence[KernelProfile],
    launches: Iterable[Launch] | None = None,
) -> Iterable[Judged]:
    """Replay every launch of a run that a report has.

    Parameters
    ----------
    rows
        What ``library_run`` wrote.
    profiles
        Launches of the report.
    launches
        Where the rows' kernels and sizes come from; by default the selection of ``library_run``.
    """
    known = {(x.kernel, str(x.sizes)): x for x in launches or selection()}
    for row, profile in pair(rows, profiles):
        kernel, sizes = row["kernel"], row["sizes"]
        launch = known.get((kernel, sizes))
        if profile is None or launch is None or "failure" in row:
            why = row.get("failure") or ("not in the report" if profile is None else "unknown")
            yield Judged(kernel, sizes, failure=why)
            continue
        item = entry(kernel)
        values = sample_arguments(item, launch.shape)
        arguments = dict(zip((a.name for a in item.arguments), values, strict=True))
        try:
            done = execute(from_profile(profile), arguments)
        except KernprofError as error:
            yield Judged(kernel, sizes, failure=str(error))
            continue
        arrays = {n: a for n, a in arguments.items() if isinstance(a, np.ndarray) and a.ndim}
        case = Case(
            "", kernel, tuple(profile.grid or ()), "", "", "", profile.gpu.name or "", (), ""
        )
        # Blocks that share a sum add to it in any order: its last bits differ from run to run.
        wanted = None if launch.shape.get("splits", 1) > 1 else row.get("digests")
        yield Judged(
            kernel,
            sizes,
            None if wanted is None else digests(launch, arrays) == wanted,
            done.agreement,
            timed(Found(case, 0, profile), done),
        )


def page(gpu: str, judged: Sequence[Judged]) -> str:
    """Write the results as Markdown."""
    ran = [j for j in judged if not j.failure]
    known = [j for j in ran if j.same_bits is not None]
    rows = [j.timed for j in ran if j.timed is not None]
    equal = [j for j in ran if j.compared and all(c.equal for c in j.compared)]
    lines = [
        f"## The library's kernels on {gpu}",
        "",
        f"{len(ran)} of {len(judged)} launches replayed. Results equal to the GPU's bit for bit: "
        f"{sum(bool(j.same_bits) for j in known)} of {len(known)}. Every compared counter equal: "
        f"{len(equal)}.",
    ]
    if len(rows) > 1:
        right = sum(r.top[0] == r.top[1] for r in rows if r.shares)
        lines.append(
            f"Cycles: mean absolute error {mape(rows):.1f} %, rank correlation "
            f"{rank_correlation(rows):.3f}; largest stall reason right in {right} of "
            f"{sum(bool(r.shares) for r in rows)}."
        )
    lines += [
        "",
        "| Kernel | Same bits | Counters equal | Hardware: cycles | Predicted | Error | "
        "Top stall: hardware | Predicted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for j in judged:
        if j.failure:
            lines.append(f"| `{j.kernel}` | not replayed: {j.failure} | | | | | | |")
            continue
        same = {True: "yes", False: "NO", None: "n/a"}[j.same_bits]
        counts = f"{sum(c.equal for c in j.compared)} of {len(j.compared)}"
        t = j.timed
        shown = (
            "n/a | n/a | n/a | | |"
            if t is None
            else f"{t.cycles:,.0f} | {t.predicted:,.0f} | {t.error_pct:+.1f} % | "
            f"{t.top[0]} | {t.top[1]} |"
        )
        lines.append(f"| `{j.kernel}` | {same} | {counts} | {shown}")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Judge; returns 1 where a result differs or a launch could not be replayed."""
    parser = argparse.ArgumentParser(prog="python -m validation.library_judge", description=__doc__)
    parser.add_argument("report", type=Path, help="what ncu made of library_run")
    parser.add_argument("--run", type=Path, required=True, help="what library_run wrote")
    parser.add_argument("-o", "--output", type=Path, help="write the page to this file")
    options = parser.parse_args(argv)
    document = json.loads(options.run.read_text("utf-8"))
    judged = list(judge(document["launches"], load(options.report).profiles))
    text = page(document["gpu"], judged)
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, "utf-8")
    wrong = [j for j in judged if j.same_bits is False or (j.failure and j.failure[:3] != "not")]
    print(f"{len(judged)} launches, {len(wrong)} wrong or not replayed", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
