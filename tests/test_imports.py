"""Imports run one way, and importing costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kernprof

PACKAGE = Path(kernprof.__file__).parent

# Rooms from the bottom up; a room may import from rooms below it and from its own row.
ROWS = [
    {"errors", "_version", "_lazy", "_frames", "collector", "text", "writing"},
    {"isolation", "metrics", "profile", "devices"},
    {"networks"},
    {"lowering"},
    {"compile", "library"},
    {"measure", "sim", "reports"},
    {"timing"},
    {"comparison", "advice", "stalls", "paper", "sweep", "store", "layers", "health"},
    {"prediction"},
    {"view"},
    {"cli"},
]
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}

HEAVY = (
    "numpy",
    "pandas",
    "matplotlib",
    "google.protobuf",
    "onnx",
    "rich",
    "cuda",
    "llvmlite",
    "numba",
    "typer",
)


def modules() -> list[Path]:
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE or path.stem not in ("__init__", "__main__")
    )


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "kernprof":
                names = [f"kernprof.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("kernprof.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{room} is in no row of the architecture"
    upwards = {r for r in imported_rooms(path) if r in LEVEL and LEVEL[r] > LEVEL[room]}
    assert not upwards, f"{room} imports from above: {upwards}"


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import kernprof", HEAVY),
        ("import kernprof.cli.app", tuple(name for name in HEAVY if name != "typer")),
        ("import kernprof.profile, kernprof.networks, kernprof.devices, kernprof.compile", HEAVY),
        # What makes code is needed only where the cache has none.
        (
            "import kernprof.sim.execute, kernprof.sim.recording",
            ("kernprof.sim.translate", "kernprof.sim.irkit"),
        ),
    ],
)
def test_nothing_heavy_is_imported(statement: str, forbidden: tuple[str, ...]) -> None:
    # Some packages load modules at interpreter start; only what the statement adds counts.
    code = f"import sys; old = set(sys.modules); {statement}; print(*(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & set(forbidden)


def test_public_names_are_there() -> None:
    for name in kernprof.__all__:
        assert getattr(kernprof, name) is not None
    assert set(kernprof.__all__) <= set(dir(kernprof))
    with pytest.raises(AttributeError, match="nonsense"):
        kernprof.nonsense  # noqa: B018
