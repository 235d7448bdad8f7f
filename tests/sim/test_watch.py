"""Launches that run too long are stopped: by a limit, by Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.sim.faults import LaunchFaultError
from kernprof.sim.layout import FaultKind
from kernprof.sim.recording import TraceBudget

SOURCE = """
extern "C" __global__ void spin(volatile int *x) { while (x[threadIdx.x] == 0) { } }
extern "C" __global__ void loops(int *x) {
  for (int i = 0; i < 1000; ++i) x[threadIdx.x] = x[threadIdx.x] * 3 + 1;
}
"""


def program() -> sim.Program:
    return sim.load(compile_source(SOURCE, arch="sm_80", name="/watch.cu").image)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("traced", [False, True])
def test_a_time_limit_stops_an_endless_loop(workers: int, traced: bool) -> None:
    budget = TraceBudget(1000, 4) if traced else None
    started = time.monotonic()
    with pytest.raises(LaunchFaultError, match=r"still running.*watch\.cu:2") as caught:
        sim.run(
            program(),
            "spin",
            256,
            64,
            [np.zeros(64, np.int32)],
            workers=workers,
            trace=budget,
            time_limit_s=0.2,
        )
    assert caught.value.kind is FaultKind.STOPPED
    assert time.monotonic() - started < 60  # an endless wait is told after minutes only


def test_a_time_limit_stops_between_blocks() -> None:
    with pytest.raises(LaunchFaultError, match="still running"):
        sim.run(program(), "loops", 1 << 30, 32, [np.zeros(32, np.int32)], time_limit_s=0.2)


def test_what_ends_in_time_is_not_touched() -> None:
    x = np.zeros(32, np.int32)
    sim.run(program(), "loops", 1, 32, [x], time_limit_s=600)
    expected = 0
    for _ in range(1000):
        expected = (expected * 3 + 1) & 0xFFFFFFFF
    assert (x.view(np.uint32) == expected).all()


def test_ctrl_c_stops_a_launch() -> None:
    loaded = program()
    sim.run(loaded, "spin", 1, 32, [np.ones(32, np.int32)])  # translated before the signal
    # Where the tests run in the background, Python has left the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            sim.run(loaded, "spin", 1, 32, [np.zeros(32, np.int32)], time_limit_s=120)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
