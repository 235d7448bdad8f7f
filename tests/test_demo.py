"""`make demo` is a page that tells a story."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.layers import can_predict
from kernprof.sim.disasm import find_disassembler

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES, MOST_COLUMNS = 60, 100


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    """The demo's output by the environment that runs the tests; nothing is installed."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    if reason := can_predict(find("p100")):
        pytest.skip(reason)
    try:
        find_disassembler(60)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    command = [make, "-s", "-o", "here", "demo", "RUN=here", f"BIN={Path(sys.executable).parent}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_fits_a_page(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, "")
    # The commands to try next are shown with the folder they are in, .venv/bin for users.
    bin_folder = str(Path(sys.executable).parent)
    lines = demo.stdout.replace(bin_folder, ".venv/bin").splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_COLUMNS


def test_it_tells_the_paper_the_layer_the_direct_kernel_and_what_is_gained(
    demo: subprocess.CompletedProcess[str],
) -> None:
    places = [
        " ".join(demo.stdout.split()).index(words)
        for words in (
            "Table V",
            "published",
            "caffe on NVIDIA Tesla P100",
            "direct on NVIDIA Tesla P100",
            "times less: --lowering direct",
            "To try next",
        )
    ]
    assert places == sorted(places)


def test_it_names_three_commands_that_work(demo: subprocess.CompletedProcess[str]) -> None:
    after = demo.stdout.partition("To try next")[2].splitlines()[1:]
    commands = [line.split() for line in after]
    assert len(commands) == 3
    for command in commands:
        # --help reads every name of command and option before it.
        done = subprocess.run([*command, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
