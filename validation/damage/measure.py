"""The measurement: workers for all numbers, and a page of tables."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from validation.damage.inputs import FORMS, ROOT
from validation.damage.judge import SILENT, Outcome
from validation.damage.kinds import UNNOTICEABLE
from validation.damage.worker import Result


def measure(count: int, *, seed: int, folder: Path | None = None, workers: int = 2) -> list[Result]:
    """Damage and read ``count`` reports; the same seed and files give the same results."""
    with (
        tempfile.TemporaryDirectory(prefix="kernprof-damage-") as scratch,
        ThreadPoolExecutor(workers) as pool,
    ):
        shares = [
            (worker, workers, count, seed, folder, Path(scratch)) for worker in range(workers)
        ]
        results = [result for share in pool.map(_share, shares) for result in share]
    return sorted(results, key=lambda result: result.index)


def _share(share: tuple[int, int, int, int, Path | None, Path]) -> list[Result]:
    """Run one worker's share; a worker that dies is started again behind the report it died of."""
    first, step, count, seed, folder, scratch = share
    place = scratch / str(first)
    place.mkdir()
    results: list[Result] = []
    while first < count:
        arguments = [first, step, count, seed, place, *([folder] if folder is not None else [])]
        done = subprocess.run(
            [sys.executable, "-m", "validation.damage.worker", *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [Result(**json.loads(line)) for line in done.stdout.splitlines()]
        results += lines
        first = (lines[-1].index if lines else first - step) + step
        if first < count:
            late = done.returncode == -signal.SIGXCPU
            outcome = Outcome.HANG if late else Outcome.CRASH
            detail = f"exit status {done.returncode}: {done.stderr[-150:]}"
            results.append(Result(first, "?", "?", "?", outcome, detail, 0.0))
            first += step
    return results


_COLUMNS = tuple(Outcome)


def tables(results: Sequence[Result], *, seed: int) -> Iterator[str]:
    """Yield the lines of the page: outcomes by format, and what was lost in silence by kind."""
    yield f"{len(results):,} damaged reports, seed {seed}."
    yield ""
    yield "| Format | Reports | " + " | ".join(_COLUMNS) + " |"
    yield "|---|" + "---:|" * (len(_COLUMNS) + 1)
    for form in (*FORMS, "?", ""):
        chosen = [r for r in results if r.form == form or not form]
        if not chosen:
            continue
        counts = Counter(r.outcome for r in chosen)
        cells = " | ".join(f"{counts[column]:,}" for column in _COLUMNS)
        yield f"| {form or 'all'} | {len(chosen):,} | {cells} |"
    yield ""
    yield "| Format | Damage | Reports | Launches lost in silence | Metrics lost in silence | Why |"
    yield "|---|---|---:|---:|---:|---|"
    damaged = Counter((r.form, r.kind) for r in results)
    silent = Counter((r.form, r.kind, r.outcome) for r in results if r.outcome in SILENT)
    for form, kind in sorted(damaged, key=lambda key: (_order(key[0]), key[1])):
        found = [silent[form, kind, outcome] for outcome in SILENT]
        if any(found):
            cells = f"{damaged[form, kind]:,} | {found[0]:,} | {found[1]:,}"
            yield f"| {form} | {kind} | {cells} | {UNNOTICEABLE.get(kind, '?')} |"
    # Rounded up to whole seconds: the page should not change with the machine's mood.
    slowest = math.ceil(max(result.seconds for result in results))
    yield ""
    yield f"None took more than {slowest} s of processor time."


def _order(form: str) -> int:
    return FORMS.index(form) if form in FORMS else len(FORMS)
