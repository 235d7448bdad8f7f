"""How a launch finds the caches."""

from __future__ import annotations

from enum import StrEnum


class Caches(StrEnum):
    """How a launch finds the caches.

    ``cold``: empty, as Nsight Compute leaves them by default (it flushes them before each pass).
    ``warm``: as the same launch left them right before: a profiler that replays a kernel without
    flushing, as nvprof does. ``back-to-back``: as the launches before it in the list left them, the
    first one finding them empty; the arrays of each launch are taken as its own.

    What stays is the second-level cache and the kernel's code. First-level caches for data are
    empty at every launch. The kernel's parameters, which come through the constant cache, are there
    only when warm: the same launch has the same ones.
    """

    COLD = "cold"
    WARM = "warm"
    BACK_TO_BACK = "back-to-back"
