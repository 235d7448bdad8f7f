"""Cycles and stall reasons without a GPU: a model of the SMs and their memory, driven by traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernprof._lazy import exports

if TYPE_CHECKING:
    from kernprof.timing.caches import Caches
    from kernprof.timing.counters import timed
    from kernprof.timing.energy import Energy, launch_energy
    from kernprof.timing.extrapolate import Estimate, estimate
    from kernprof.timing.model import Timing, WhatIf, launch_occupancy, simulate
    from kernprof.timing.native import KeptCaches

__all__ = [
    "Caches",
    "Energy",
    "Estimate",
    "KeptCaches",
    "Timing",
    "WhatIf",
    "estimate",
    "launch_energy",
    "launch_occupancy",
    "simulate",
    "timed",
]

_HOMES = {
    "Caches": "kernprof.timing.caches",
    "KeptCaches": "kernprof.timing.native",
    "Energy": "kernprof.timing.energy",
    "launch_energy": "kernprof.timing.energy",
    "Estimate": "kernprof.timing.extrapolate",
    "estimate": "kernprof.timing.extrapolate",
    "launch_occupancy": "kernprof.timing.model",
    "timed": "kernprof.timing.counters",
    "Timing": "kernprof.timing.model",
    "WhatIf": "kernprof.timing.model",
    "simulate": "kernprof.timing.model",
}

_lookup, _names = exports(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _lookup(name)


def __dir__() -> list[str]:
    return _names()
