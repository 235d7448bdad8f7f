"""The same generated programs by the simulator and by the host's C++ compiler: equal bits."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_compiler import MISSING, host_compiler
from random_programs import device_source, host_source, programs

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

ARCHES = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]
THREADS = 64
HERE = Path(__file__).parent
Array = np.ndarray[Any, Any]


def inputs(seed: int) -> list[Array]:
    """Random numbers, a third of them special ones."""
    rng = np.random.default_rng(seed)
    n = 2 * THREADS
    words = rng.integers(0, 2**32, n, dtype=np.uint32)
    longs = rng.integers(0, 2**64, n, dtype=np.uint64)
    doubles = np.exp(rng.normal(0, 20, n)) * rng.choice([-1.0, 1.0], n)
    with np.errstate(over="ignore"):
        singles = doubles.astype(np.float32)
    odd = [0, 1, 2, 31, 32, 2**31 - 1, 2**31, 2**32 - 1]
    special = {
        id(words): np.array(odd, np.uint32),
        id(longs): np.array([*odd, 2**32, 2**63 - 1, 2**63, 2**64 - 1], np.uint64),
        id(singles): np.array(
            [0, -0.0, 1, -1, 0.5, 1.5, 2.5, 1e-41, 1.2e-38, 3e38, 2**31, np.inf, -np.inf, np.nan],
            np.float32,
        ),
        id(doubles): np.array(
            [0, -0.0, 1, -1, 0.5, 2.5, 5e-324, 1e-310, 1e308, 2**63, 2**31, np.inf, -np.inf, np.nan]
        ),
    }
    made: list[Array] = [words, longs, singles, doubles]
    for column in made:
        chosen = rng.random(n) < 0.35
        column[chosen] = rng.choice(special[id(column)], int(chosen.sum()))
    return made


@cache
def by_host(
    folder: Path, seed: int, expressions: int, controls: int, first: int = 0
) -> tuple[list[str], Array]:
    """Programs and what the host's compiler makes of them."""
    compiler = host_compiler()
    if compiler is None:
        pytest.skip(MISSING)
    functions = [
        text.replace(f" p{first + k}(", f" p{k}(", 1)
        for k, text in enumerate(programs(seed, expressions, controls)[first:])
    ]
    source, library = folder / f"p{seed}.cpp", folder / f"p{seed}.so"
    source.write_text(host_source(functions))
    flags = ["-O1", "-w", "-std=c++17", "-fwrapv", "-ffp-contract=off", "-frounding-math"]
    subprocess.run(
        [*compiler, *flags, "-shared", "-fPIC", f"-I{HERE}", str(source), "-o", str(library)],
        check=True,
    )
    out = np.zeros((len(functions), THREADS), np.uint64)
    columns = inputs(seed)
    ctypes.CDLL(str(library)).all(
        *(c.ctypes.data_as(ctypes.c_void_p) for c in (out, *columns)), THREADS
    )
    return functions, out


def differences(
    folder: Path, arch: str, seed: int, expressions: int, controls: int, first: int = 0
) -> int:
    """Run the programs on an architecture, compare; returns how many there were."""
    functions, expected = by_host(folder, seed, expressions, controls, first)
    source = device_source(functions)
    try:
        image = compile_source(
            source, arch=arch, name="/kernprof/d.cu", options=("-fmad=false",)
        ).image
    except UnavailableError as error:
        pytest.skip(str(error))
    out = np.zeros_like(expected)
    sim.run(sim.load(image), "all", 1, THREADS, [out, *inputs(seed), THREADS])
    wrong = np.flatnonzero((out != expected).any(axis=1))
    assert not wrong.size, "\n".join(
        f"{functions[k]}\n  thread {t}: {out[k, t]:#x}, expected {expected[k, t]:#x}"
        for k in wrong[:4]
        for t in np.flatnonzero(out[k] != expected[k])[:1]
    )
    return len(functions)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("differential")


@pytest.mark.parametrize("arch", ARCHES)
def test_programs_agree_with_the_host(folder: Path, arch: str) -> None:
    assert differences(folder, arch, 1, 24, 4) == 28


@pytest.mark.parametrize("arch", ["sm_70", "sm_80", "sm_90"])
def test_both_sides_of_a_branch_use_the_same_barrier(folder: Path, arch: str) -> None:
    """A program in which lanes wait in a barrier while others of their warp begin it anew."""
    assert differences(folder, arch, 4, 45, 4, first=48) == 1


@pytest.mark.validate
@pytest.mark.parametrize("seed", range(100, 112))
@pytest.mark.parametrize("arch", ARCHES)
def test_many_programs_agree_with_the_host(folder: Path, arch: str, seed: int) -> None:
    assert differences(folder, arch, seed, 160, 40) == 200
