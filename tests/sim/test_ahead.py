"""Kernels that are compiled in processes of their own are those that are compiled here."""

from __future__ import annotations

import os

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError
from kernprof.sim import ahead, engine
from kernprof.sim.ahead import compile_ahead
from kernprof.sim.program import Kernel, Program

SOURCE = (
    'extern "C" __global__ void twice(int* y) { y[threadIdx.x] *= 2; }\n'
    'extern "C" __global__ void thrice(int* y) { y[threadIdx.x] *= 3; }\n'
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")


class Kept(dict[str, bytes]):
    def put(self, key: str, content: bytes) -> None:
        self[key] = content


@pytest.fixture
def program() -> Program:
    try:
        return sim.load(compile_source(SOURCE, arch="sm_80", name="/kernprof/ahead.cu").image)
    except UnavailableError as missing:
        pytest.skip(str(missing))


def both(program: Program) -> list[tuple[Program, str]]:
    return [(program, "twice"), (program, "thrice"), (program, "twice")]


def run(program: Program, name: str) -> list[int]:
    values = np.arange(32, dtype=np.int32)
    sim.run(program, name, 1, 32, [values])
    return [int(v) for v in values]


def test_they_are_the_same_and_run(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Kept()
    assert compile_ahead(both(program), processes=2, store=store) == 2
    for name in ("twice", "thrice"):
        assert store[engine.object_key(program, name)] == engine.build(program.kernel(name))
    monkeypatch.setattr(engine, "build", lambda *_, **__: pytest.fail("compiled once more"))
    assert run(program, "twice") == [2 * v for v in range(32)]
    assert run(program, "thrice") == [3 * v for v in range(32)]


def test_what_is_there_is_not_made_again(program: Program) -> None:
    store = Kept()
    assert compile_ahead(both(program), processes=2, store=store) == 2
    assert compile_ahead(both(program), processes=2, store=store) == 0
    again = sim.load(program.cubin)
    assert compile_ahead(both(again), processes=2, store=store) == 0
    del store[engine.object_key(program, "twice")]
    # One alone is as soon made where it is needed.
    assert compile_ahead(both(again), processes=2, store=store) == 0


def test_one_process_has_nothing_to_gain(program: Program) -> None:
    assert compile_ahead(both(program), processes=1, store=Kept()) == 0


def test_where_a_process_ends_the_kernel_is_made_later(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(kernel: Kernel) -> bytes:
        if kernel.name == "twice":
            os._exit(1)
        return engine.build(kernel)

    monkeypatch.setattr(ahead, "build", build)
    assert compile_ahead(both(program), processes=2, store=Kept()) == 1
    assert run(program, "twice") == [2 * v for v in range(32)]
