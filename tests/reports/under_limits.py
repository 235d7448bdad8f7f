"""Runs the program on files under a limit of time and memory; one line of JSON per file.

Used as ``python under_limits.py FOLDER < list of names``, in a process of its own, so that a crash
of any kind is seen as a missing line and not as the end of the tests.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import resource
import signal
import sys
import time
from pathlib import Path

MEMORY_BYTES = 1 << 30
SECONDS = 10


class TookTooLong(BaseException):
    """Not an Exception, so that no handler in the program can swallow it."""


def _alarm(*_: object) -> None:
    raise TookTooLong


def run(path: Path) -> dict[str, object]:
    from kernprof import main

    out, err = io.StringIO(), io.StringIO()
    started = time.process_time()
    # Of the processor's time: a busy machine must not fail an input that costs little.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: object = main(["stalls", str(path), "--format", "json"])
    except BaseException as error:
        code = f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    launches = None
    if code == 0:
        profiles = json.loads(out.getvalue())["profiles"]
        launches = sum(bool(p["kernel"]) for p in profiles)
    return {
        "code": code,
        "launches": launches,
        "stdout_bytes": len(out.getvalue()),
        "stderr": err.getvalue()[-2000:],
        "seconds": round(time.process_time() - started, 3),
    }


def serve(folder: Path) -> None:
    # Loaded on first use otherwise: mapping a library late fails where an earlier input has left
    # the allocator's address space full, which says nothing about the input at hand.
    for name in ("zstandard", "google.protobuf"):
        importlib.import_module(name)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _alarm)
    for name in sys.stdin.read().splitlines():
        print(json.dumps({"name": name, **run(folder / name)}), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
