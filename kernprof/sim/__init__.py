"""Machine code as data, and its exact functional execution without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernprof._lazy import exports

if TYPE_CHECKING:
    from kernprof.sim.check import CheckReport, Finding, FindingKind
    from kernprof.sim.counters import profile
    from kernprof.sim.execute import Execution, run
    from kernprof.sim.faults import LaunchFaultError
    from kernprof.sim.program import Program, load

__all__ = [
    "CheckReport",
    "Execution",
    "Finding",
    "FindingKind",
    "LaunchFaultError",
    "Program",
    "load",
    "profile",
    "run",
]

_HOMES = {
    "CheckReport": "kernprof.sim.check",
    "Finding": "kernprof.sim.check",
    "FindingKind": "kernprof.sim.check",
    "Execution": "kernprof.sim.execute",
    "LaunchFaultError": "kernprof.sim.faults",
    "Program": "kernprof.sim.program",
    "load": "kernprof.sim.program",
    "profile": "kernprof.sim.counters",
    "run": "kernprof.sim.execute",
}

_lookup, _names = exports(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _lookup(name)


def __dir__() -> list[str]:
    return _names()
