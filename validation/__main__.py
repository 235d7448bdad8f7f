"""``python -m validation FOLDER [-o PAGE.md]``: replay the public reports in a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from validation.cases import cases, find
from validation.checkups import section as check_ups
from validation.cycles import record
from validation.micro import micro
from validation.own import own
from validation.own import section as own_kernels
from validation.silicon import page, replay


def main(argv: list[str] | None = None) -> int:
    """Run; returns 4 when the folder holds none of the reports."""
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("folder", type=Path, help="reports, in any sub-folder")
    parser.add_argument("-o", "--output", type=Path, help="write the page to this file")
    parser.add_argument(
        "--record", type=Path, help="write the model's error on the judging launches to this file"
    )
    parser.add_argument(
        "--check-up",
        type=Path,
        action="append",
        default=[],
        help="what `kernprof doctor --gpu -o FILE.json` wrote on a GPU; may be given again",
    )
    options = parser.parse_args(argv)
    wanted = cases()
    replays, seen = [], set()
    for found in find(options.folder, wanted):
        result = replay(found)
        replays.append(result)
        seen.add(found.case)
        equal = sum(c.equal for c in result.compared)
        told = result.failure or f"{equal} of {len(result.compared)} equal"
        print(f"{found.case.kernel}: {told} ({result.seconds:.1f} s)", file=sys.stderr, flush=True)
    if not replays:
        where = ", ".join(sorted({f"https://github.com/{c.repository}" for c in wanted}))
        print(f"{options.folder} holds none of the reports; they are in {where}", file=sys.stderr)
        return 4
    rows = [r.timed for r in replays if r.timed is not None]
    if options.record is not None:
        options.record.write_text(record(rows), "utf-8")
    text = page(replays, [c for c in wanted if c not in seen], list(micro()))
    text += "\n".join([*own_kernels(own()), *check_ups(options.check_up)])
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
