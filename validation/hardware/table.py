"""The list of micro-benchmarks: sources of their kernels and arguments, without any GPU library."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
TABLE = HERE / "experiments.toml"
OPTIONS = ("-std=c++17",)
CLOCKED = "-DCLOCKED"
_SEED = 1
_TYPED = re.compile(r"(\w+)=(\w+?)(?:\[(\d+)\])?:(\S+)")
_STRUCT = re.compile(r"(\w+)=struct,(\d+)")

Value = np.ndarray | np.generic


@dataclass(frozen=True, slots=True)
class Experiment:
    """One kernel and its one launch.

    Parameters
    ----------
    name
        The kernel's name, which no other experiment has.
    family, template, source, parameters, clocked
        The device function, its template arguments (or an empty string), the file it is in, its
        parameters as C++ declares them, and whether it takes the array of clock readings.
    grid, block
        Blocks, and threads of each.
    arguments
        As text, in the form of ``kernprof predict --arg`` and those of ``experiments.toml``.
    ticks
        Clock readings that the clocked build leaves; 0 where there are none.
    steps, passed
        What the span from reading ``passed`` to the last is divided by; 0 where it means nothing.
    identifies
        Numbers of the timing model that it tells.
    under_ncu
        Whether it is among those that one session of the profiler measures.
    """

    name: str
    family: str
    template: str
    source: str
    parameters: tuple[str, ...]
    clocked: bool
    grid: int
    block: int
    arguments: tuple[str, ...]
    ticks: int
    steps: int
    passed: int
    identifies: str
    under_ncu: bool

    @property
    def code(self) -> str:
        """CUDA source: the common part, the family's file and the kernel that wraps it."""
        names = [p.split()[-1].lstrip("*") for p in self.parameters]
        given = ", ".join([*names, *(["t"] if self.clocked else [])])
        # A kernel may have its family's name, hence the namespace.
        instance = f"micro::{self.family}" + (f"<{self.template}>" if self.template else "")
        declared = ", ".join([*self.parameters, "long long* t"])
        return "\n".join(
            [
                (HERE / "common.cuh").read_text("utf-8"),
                "namespace micro {",
                (HERE / self.source).read_text("utf-8"),
                "}",
                "using namespace micro;",
                f'extern "C" __global__ void __launch_bounds__({self.block})',
                f"{self.name}({declared}) {{ {instance}({given}); }}",
                "",
            ]
        )

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        shapes = (m for m in map(_TYPED.fullmatch, self.arguments) if m and m.group(3))
        return sum(np.dtype(m.group(2)).itemsize * int(m.group(3)) for m in shapes)


def experiments(file: Path = TABLE) -> Iterator[Experiment]:
    """Read the list, in its order."""
    with file.open("rb") as stream:
        families: dict[str, dict[str, Any]] = tomllib.load(stream)["family"]
    for name, family in families.items():
        for row in family["experiments"]:
            yield Experiment(
                name=row["name"],
                family=name,
                template=row.get("template", ""),
                source=family["source"],
                parameters=tuple(family["parameters"]),
                clocked=family.get("clocked", False),
                grid=row["grid"],
                block=row["block"],
                arguments=tuple(row.get("arguments", ())),
                ticks=row.get("ticks", 0),
                steps=row.get("steps", 0),
                passed=row.get("passed", family.get("passed", 0)),
                identifies=family["identifies"],
                under_ncu=row.get("under_ncu", True),
            )


def file_name(one: Experiment, clocked: bool) -> str:
    """Name of an experiment's machine code in a folder of machine code."""
    return f"{one.name}{'.clocked' if clocked else ''}.cubin"


def arguments(experiment: Experiment) -> dict[str, Value]:
    """Make the values by name, in the kernel's order; ``t`` is the last.

    A structure is a numpy array of uint8, marked by having no writable content.
    """
    made: dict[str, Value] = {}
    for text in experiment.arguments:
        struct = _STRUCT.fullmatch(text)
        if struct is not None:
            block = np.zeros(int(struct.group(2)), np.uint8)
            block.flags.writeable = False
            made[struct.group(1)] = block
            continue
        typed = _TYPED.fullmatch(text)
        if typed is None:
            raise ValueError(f"{experiment.name}: argument {text!r} can't be read")
        name, kind, count, content = typed.groups()
        dtype = np.dtype(kind)
        made[name] = (
            dtype.type(float(content) if dtype.kind == "f" else int(content))
            if count is None
            else _array(dtype, int(count), content)
        )
    made["t"] = np.zeros(max(1, experiment.ticks), np.int64)
    return made


def is_struct(value: Value) -> bool:
    """Whether a value is passed by its bytes, though it is an array here."""
    return isinstance(value, np.ndarray) and not value.flags.writeable


def _array(dtype: np.dtype[Any], count: int, content: str) -> np.ndarray:
    if content == "zeros":
        return np.zeros(count, dtype)
    if content == "ones":
        return np.ones(count, dtype)
    fill, _, stride = content.partition(",")
    made = np.zeros(count, dtype)
    places = np.arange(0, count, int(stride), dtype=dtype)
    if fill == "ring":
        made[places] = (places + int(stride)) % count
    elif fill == "shuffled":
        inner = np.random.default_rng(_SEED).permutation(places[1:])
        order = np.concatenate([places[:1], inner])
        made[order] = np.roll(order, -1)
    else:
        raise ValueError(f"no fill {content!r}; expected zeros, ones, ring,S or shuffled,S")
    return made
