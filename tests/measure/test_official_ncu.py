"""What we ask of ncu, put to NVIDIA's own program where a user has installed it; needs no GPU."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from importlib import resources

import pytest

from kernprof.errors import InputError, UnavailableError
from kernprof.measure.collect import CollectOptions, collect

CHIPS = ("gv100", "tu104", "ga100", "ga102", "ad102", "gh100")


@pytest.fixture(scope="module")
def ncu() -> str:
    found = shutil.which("ncu")
    if found is None:
        pytest.skip("NVIDIA's Nsight Compute (ncu) is not on PATH; it is the user's to install")
    return found


def _document() -> dict:
    text = resources.files("kernprof.measure").joinpath("data", "collect.toml").read_text("utf-8")
    return tomllib.loads(text)


def _printed(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


@pytest.mark.parametrize("chip", CHIPS)
def test_every_metric_is_one_of_the_chip(ncu: str, chip: str) -> None:
    if chip not in _printed(ncu, "--list-chips"):
        pytest.skip(f"this ncu is older than {chip}")
    known = {
        line.split()[0]
        for line in _printed(ncu, "--query-metrics", "--chips", chip).split("\n")
        if line
    }
    extra = _document()["extra"]
    for metric in (*extra["ncu"], *extra["dram"]):
        assert metric.partition(".")[0] in known, metric


def test_every_section_is_known(ncu: str) -> None:
    known = {line.split()[0] for line in _printed(ncu, "--list-sections").splitlines() if line}
    for name, row in _document()["sets"].items():
        assert set(row.get("ncu", ())) <= known, name


@pytest.mark.parametrize("set_name", sorted(_document()["sets"]))
def test_the_command_line_is_accepted(ncu: str, set_name: str) -> None:
    """Without a GPU ncu gets as far as the driver, with one it finds no kernels; a wrong option
    ends it earlier, as a usage error."""
    options = CollectOptions(
        set_name=set_name,
        kernel="regex:^(a|b)$",
        launch_skip=1,
        launch_count=2,
        nvtx="layer/",
        clock_control="none",
    )
    with pytest.raises((UnavailableError, InputError), match=r"driver|no kernels|GPU"):
        collect(["true"], options)
