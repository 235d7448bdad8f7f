"""Damaged machine code, executed and timed: an error or a result, never a crash or a hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernprof.devices import find
from kernprof.layers import can_predict

WORKER = Path(__file__).with_name("fuzzed_worker.py")


def run(tmp_path: Path, seed: int, count: int, kernel: str, limit_s: int) -> dict[str, int]:
    if can_predict(find("a100")):
        pytest.skip(can_predict(find("a100")))
    environment = {**os.environ, "KERNPROF_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(WORKER), str(seed), str(count), kernel],
        capture_output=True,
        text=True,
        timeout=limit_s,
        env=environment,
        check=False,
    )
    if "UnavailableError" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-2000:]
    tally: dict[str, int] = json.loads(done.stdout)
    assert sum(tally.values()) == count
    return tally


@pytest.mark.parametrize(
    ("kernel", "count", "seed"), [("short", 60, 1), ("short", 40, 12), ("long", 12, 1)]
)
def test_damaged_code_is_refused_or_runs(
    tmp_path: Path, kernel: str, count: int, seed: int
) -> None:
    tally = run(tmp_path, seed, count, kernel, 600)
    # Flipped bits must reach the simulator, not end in the file reader.
    assert tally.get("ran", 0) >= count // 8
    assert tally.get("CubinError", 0) >= count // 8
    assert "MemoryError" not in tally


@pytest.mark.validate
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize(("kernel", "count"), [("short", 400), ("long", 100)])
def test_much_damaged_code_is_refused_or_runs(
    tmp_path: Path, kernel: str, count: int, seed: int
) -> None:
    assert run(tmp_path, seed, count, kernel, 1200)
