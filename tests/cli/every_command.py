"""The cheapest call of every command that writes a file, for tests that hold for all of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import typer

from kernprof.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
NVPROF = ROOT / "traces" / "paper-table5-p100.nvprof.csv"
NCU_REP = ROOT / "traces" / "depthwise-caffe-p100.ncu-rep"
STANDIN = ROOT / "tests" / "measure" / "standin" / "ncu"

SOURCE = """extern "C" __global__ void fill(float *A, int n) {
    if (threadIdx.x < n) A[threadIdx.x] = 1.0f;
}
"""
PROTOTXT = """name: "little"
input: "data" input_dim: 1 input_dim: 4 input_dim: 7 input_dim: 7
layer { name: "pw" type: "Convolution" bottom: "data" top: "pw"
  convolution_param { num_output: 4 kernel_size: 1 } }
"""

PREDICT = ("--grid", "1", "--block", "32", "--arg", "A=float32[32]:zeros", "--arg", "n=int32:32")

Command = tuple[str, list[str], Path | None]
"""Name, arguments without -o, and the file among them that the command reads."""


def _file(folder: Path, name: str, content: str | Path) -> str:
    path = folder / name
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_text(content, encoding="utf-8")
    return str(path)


def _layer(folder: Path) -> list[str]:
    network = _file(folder, "net.prototxt", PROTOTXT)
    return ["--network", network, "--name", "pw", "--source", "static"]


def _profile(folder: Path) -> list[str]:
    data = _file(folder, "input.txt", "data")
    application = ["--", sys.executable, "-c", "pass", data]
    return ["--program", str(STANDIN), "--kernel", "im2col", *application]


MAKERS: Mapping[str, Callable[[Path], list[str]]] = {
    "stalls": lambda folder: [_file(folder, "in.csv", NVPROF)],
    "layer": _layer,
    "network": lambda folder: [_file(folder, "net.prototxt", PROTOTXT)],
    "predict": lambda folder: [_file(folder, "k.cu", SOURCE), *PREDICT, "--gpu", "a100"],
    "profile": _profile,
    "compare": lambda folder: [_file(folder, "in.csv", NVPROF)] * 2,
    "convert": lambda folder: [_file(folder, "in.ncu-rep", NCU_REP)],
    "paper": lambda folder: ["table5", "--with", _file(folder, "in.csv", NVPROF)],
    "report": lambda folder: [_file(folder, "in.csv", NVPROF)],
    "roofline": lambda folder: [_file(folder, "in.csv", NVPROF)],
    "doctor": lambda folder: [],
}

SUFFIX = {"convert": ".ncu-rep"}
"""What a name must end with, where the command asks for it."""

NEEDS_A_FILE = ("convert", "report")


def commands() -> dict[str, list[str]]:
    """Every command of the program with the names of its parameters."""
    group = typer.main.get_command(app)
    found: dict[str, list[str]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found[name] = [str(parameter.name) for parameter in command.params]
    return found


def writers() -> list[str]:
    """The commands with an option -o."""
    return [name for name, parameters in commands().items() if "output" in parameters]


def arguments(name: str, folder: Path) -> list[str]:
    """A cheap call of a command, without -o; its inputs are made in the folder."""
    return [name, *MAKERS[name](folder)]


def call(name: str, folder: Path, *more: str) -> list[str]:
    """The call with further options: behind the name, since ``profile`` takes all after ``--``."""
    first, *rest = arguments(name, folder)
    return [first, *more, *rest]


def input_of(name: str, folder: Path) -> Path | None:
    """The file that the call reads."""
    inputs = sorted(path for path in folder.iterdir() if path.is_file())
    return inputs[0] if inputs else None
