"""Python's collector of cyclic garbage, where looking for garbage costs more than it can bring."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

RARE = 50_000
"""New objects until the collector of a command looks at them; Python's own number is 700."""


@contextmanager
def resting() -> Iterator[None]:
    """Let the collector rest for work that makes many objects and keeps them till its end.

    Where it was off it stays off. Objects that nothing refers to go at once all the same: only
    those in a cycle wait.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def at_end_none() -> None:
    """Leave out the last collection when the interpreter ends: the process gives all back anyway.

    What is registered with ``atexit`` and what nothing refers to any more is still cleaned up.
    """
    # Registered once, however often a program calls the command line.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


@contextmanager
def rarely() -> Iterator[None]:
    """Let the collector look less often, as it suits a command that ends within seconds."""
    before = gc.get_threshold()
    gc.set_threshold(max(RARE, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
