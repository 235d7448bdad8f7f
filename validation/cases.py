"""Kernels of public reports that can be replayed: where they are, and with which arguments.

The reports belong to other people and are not part of the project. A case is recognised by its
machine code and launch, whatever the file is called.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernprof.errors import InputError
from kernprof.prediction.arguments import Spec, parse
from kernprof.profile import KernelProfile
from kernprof.reports import load

CASES = Path(__file__).with_name("cases.toml")
SUFFIXES = (".ncu-rep", ".ncu-repz")


@dataclass(frozen=True, slots=True)
class Case:
    """One launch of a public report.

    Parameters
    ----------
    digest
        SHA-256 of the machine code that the report embeds.
    kernel, grid
        Function name and blocks of the launch.
    repository, path, commit
        Where the report was found on GitHub.
    gpu
        As the report names it.
    arguments
        In the form of ``kernprof predict --arg``.
    data
        What the arguments' content decides, or an empty string where counts don't depend on it.
    calibrates
        Whether the launch was looked at while the timing model was made, and can't judge it.
    """

    digest: str
    kernel: str
    grid: tuple[int, ...]
    repository: str
    path: str
    commit: str
    gpu: str
    arguments: tuple[Spec, ...]
    data: str
    calibrates: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A case and the launch that it describes, which is the report's number ``launch``."""

    case: Case
    launch: int
    profile: KernelProfile


def cases(file: Path = CASES) -> tuple[Case, ...]:
    """Read the list of cases."""
    with file.open("rb") as stream:
        rows: list[dict[str, Any]] = tomllib.load(stream)["case"]
    return tuple(
        Case(
            digest=row["cubin_sha256"],
            kernel=row["kernel"],
            grid=tuple(row["grid"]),
            repository=row["repository"],
            path=row["path"],
            commit=row["commit"],
            gpu=row["gpu"],
            arguments=tuple(parse(text) for text in row["arguments"]),
            data=row.get("data", ""),
            calibrates=row.get("calibrates", False),
        )
        for row in rows
    )


def find(folder: Path, wanted: tuple[Case, ...]) -> Iterator[Found]:
    """Find the cases among the reports of a folder, each once, in the order of the list.

    Files that can't be read as a report are passed over.
    """
    by_key = {(c.digest, c.kernel, c.grid): c for c in wanted}
    found: dict[Case, Found] = {}
    for file in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
        try:
            profiles = load(file).profiles
        except InputError:
            continue
        for launch, profile in enumerate(profiles):
            if profile.code is None or profile.grid is None:
                continue
            digest = hashlib.sha256(profile.code.cubin).hexdigest()
            case = by_key.get((digest, profile.kernel, tuple(profile.grid)))
            if case is not None and case not in found:
                found[case] = Found(case, launch, profile)
    yield from (found[c] for c in wanted if c in found)
