"""`make demo` is a page that tells a story."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pictures
import pytest
from test_pictures import drawn

from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.layers import can_predict
from kernprof.sim.disasm import find_disassembler

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES, MOST_COLUMNS = 60, 100


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    """The demo's output by the environment that runs the tests; nothing is installed."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    if reason := can_predict(find("p100")):
        pytest.skip(reason)
    try:
        find_disassembler(60)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    command = pictures.demo_command(Path(sys.executable).parent)
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


def test_its_picture_shows_it(demo: subprocess.CompletedProcess[str]) -> None:
    picture = (pictures.PICTURES / "demo.svg").read_text("utf-8")
    text = demo.stdout.replace(str(Path(sys.executable).parent), ".venv/bin")
    now = ["$ make demo", *filter(None, map(str.rstrip, text.splitlines()))]
    assert drawn(picture) == now, "docs/pictures/demo.svg is of an older demo: make pictures"


def test_it_names_three_commands_that_work(demo: subprocess.CompletedProcess[str]) -> None:
    after = demo.stdout.partition("To try next")[2].splitlines()[1:]
    commands = [line.split() for line in after]
    assert len(commands) == 3
    for command in commands:
        # --help reads every name of command and option before it.
        done = subprocess.run([*command, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
