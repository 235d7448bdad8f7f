"""Cycles and stall reasons without a GPU: a model of the SMs and their memory, driven by traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernprof._lazy import exports

if TYPE_CHECKING:
    from kernprof.timing.counters import timed
    from kernprof.timing.estimate import Estimate, estimate
    from kernprof.timing.simulate import Timing, WhatIf, launch_occupancy, simulate

__all__ = ["Estimate", "Timing", "WhatIf", "estimate", "launch_occupancy", "simulate", "timed"]

_HOMES = {
    "Estimate": "kernprof.timing.estimate",
    "estimate": "kernprof.timing.estimate",
    "launch_occupancy": "kernprof.timing.simulate",
    "timed": "kernprof.timing.counters",
    "Timing": "kernprof.timing.simulate",
    "WhatIf": "kernprof.timing.simulate",
    "simulate": "kernprof.timing.simulate",
}

_lookup, _names = exports(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _lookup(name)


def __dir__() -> list[str]:
    return _names()
