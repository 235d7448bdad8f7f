"""``python -m validation.damage [--reports FOLDER] [--count N] [--seed N] [-o PAGE.md]``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from validation.damage.measure import measure, tables

MARK = "<!-- figures: python -m validation.damage -->"
"""Where the figures begin in a page; all that follows is written anew."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print, or write, the tables."""
    parser = argparse.ArgumentParser(prog="python -m validation.damage", description=__doc__)
    parser.add_argument("--reports", type=Path, help="a folder of reports to damage as well")
    parser.add_argument("--count", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="a page to write the figures into")
    parser.add_argument("--details", type=Path, help="write one line of JSON per report")
    options = parser.parse_args(argv)
    folder = None if options.reports is None else options.reports.resolve()
    results = measure(options.count, seed=options.seed, folder=folder, workers=options.workers)
    if options.details is not None:
        lines = (json.dumps(asdict(result)) + "\n" for result in results)
        options.details.write_text("".join(lines), "utf-8")
    text = "\n".join(tables(results, seed=options.seed)) + "\n"
    if options.output is None:
        print(text, end="")
    else:
        page = options.output.read_text("utf-8").partition(MARK)[0]
        options.output.write_text(f"{page}{MARK}\n\n{text}", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
