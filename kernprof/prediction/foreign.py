"""Running other people's machine code: the simulator and the timing model in a child process.

The child has the parsed program, the arguments and nothing else: no files, no network, limits of
memory and time (:mod:`kernprof.isolation`). Arrays are shared with it; counts, timing and findings
come back as data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kernprof import sim
from kernprof.compile import open_cache
from kernprof.errors import (
    CubinError,
    InputError,
    KernprofError,
    ShapeError,
    UnavailableError,
    UsageError,
)
from kernprof.isolation import Limits
from kernprof.isolation.child import ChildError, Ending, call
from kernprof.isolation.packing import rebuild
from kernprof.isolation.shared import Region, open_region, region_of, shared_zeros
from kernprof.sim.engine import object_key, prepare
from kernprof.sim.execute import Execution
from kernprof.sim.faults import LaunchFaultError, StateDamagedError
from kernprof.sim.layout import FaultKind

if TYPE_CHECKING:
    from kernprof.devices import Device
    from kernprof.sim.execute import Argument
    from kernprof.sim.program import Program
    from kernprof.timing import Timing, WhatIf

_GRACE_S = 60.0
"""What translating and timing may take beside twice the launch's own limit."""
_CACHE = "simulator-foreign"
_MAX_OBJECT_BYTES = 256 << 20
_KNOWN = ("program", "kernel", "trace")
_KNOWN_TIMING = ("execution", "device", "what_if")
_ERRORS: Mapping[str, type[KernprofError]] = {
    kind.__name__: kind for kind in (CubinError, InputError, ShapeError, UsageError)
}


class _Handed:
    """A store that holds what the parent gave, and keeps what the child made for it."""

    def __init__(self, entry: bytes | None) -> None:
        self.entry = entry
        self.made: bytes | None = None

    def get(self, key: str) -> bytes | None:
        """Return the entry, whatever the key: a launch asks for one kernel."""
        del key
        return self.entry

    def put(self, key: str, content: bytes) -> None:
        """Keep what was made."""
        del key
        self.made = content


def run_apart(
    program: Program,
    symbol: str,
    args: Sequence[Argument],
    launch: Mapping[str, Any],
    timing: Callable[[Execution], tuple[Timing | None, str]],
    *,
    device: Device | None,
    what_if: WhatIf,
    time_limit_s: float,
    memory_limit_bytes: int,
) -> tuple[Execution, Timing | None, str]:
    """Execute a launch, and time it where it is traced, in a child process.

    Parameters
    ----------
    program, symbol, args
        As :func:`kernprof.sim.run` takes them; arrays hold what the kernel wrote afterwards.
    launch
        Its other arguments.
    timing
        Times an execution in the child, or says why it can't be.
    device, what_if
        The GPU and the changes to it that ``timing`` stands for.
    time_limit_s, memory_limit_bytes
        Limits; the time is that of the launch itself.

    Returns
    -------
    tuple
        The execution, without its trace; its timing or None, and why there is none.

    Raises
    ------
    LaunchFaultError, CubinError, UsageError
        As :func:`kernprof.sim.run` raises them.
    InputError
        The child ran into a limit, or the machine code broke out of the simulator.
    """
    kernel = program.kernel(symbol)
    checked = bool(launch.get("check"))
    load_all()
    cache, key = open_cache(_CACHE), object_key(program, symbol, checked=checked)
    store = _Handed(cache.get(key))
    shared = _share(args)
    workers = launch.get("workers") or os.cpu_count() or 1
    settings = {**launch, "workers": workers, "time_limit_s": time_limit_s}

    def work() -> object:
        return _work(program, symbol, shared.passed, settings, store, timing)

    wall_s = 2 * time_limit_s + _GRACE_S
    limits = Limits(memory_limit_bytes, wall_s, wall_s * (workers + 1))
    try:
        found = call(work, limits=limits, keep=shared.handles)
        if not isinstance(found, dict):
            raise ChildError(Ending.ANSWER, type(found).__name__)
        shared.give_back()
        made = found.get("object")
        if isinstance(made, bytes) and len(made) <= _MAX_OBJECT_BYTES:
            cache.put(key, made)
        _raise(found, kernel.name)
        return _results(found, program, symbol, device, what_if)
    except ChildError as error:
        raise _told(error, kernel.name, time_limit_s, memory_limit_bytes) from None
    except (ValueError, TypeError, LookupError) as error:
        raise _broke_out(kernel.name, f"gave a result that makes no sense ({error})") from None


def load_all() -> None:
    """Load what the child will need: it can't open files."""
    from importlib import import_module

    for name in ("checking", "counters", "flow", "memory", "schedule", "stack", "translate"):
        import_module(f"kernprof.sim.{name}")
    prepare()
    from kernprof.timing.machine import names
    from kernprof.timing.native import core
    from kernprof.timing.opcodes import known_opcodes

    names()
    known_opcodes()
    try:
        core()
    except UnavailableError:
        return


@dataclass(frozen=True, slots=True)
class _Shared:
    """Arguments as the child takes them, and (own array, shared copy) of those that were copied."""

    passed: tuple[Region | Argument, ...]
    copies: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def handles(self) -> list[int]:
        """Descriptors that the child needs."""
        return [p.handle for p in self.passed if isinstance(p, Region)]

    def give_back(self) -> None:
        """Bring what the kernel wrote to copies into the caller's arrays."""
        for own, copy in self.copies:
            if own.flags.writeable:
                own[...] = copy


def _share(args: Sequence[Argument]) -> _Shared:
    """Put arrays where the child sees them; those that are there already are not copied."""
    known: dict[tuple[int, int], Region] = {}
    copies: list[tuple[np.ndarray, np.ndarray]] = []
    passed: list[Region | Argument] = []
    for arg in args:
        if not isinstance(arg, np.ndarray) or not arg.ndim or not arg.flags.c_contiguous:
            passed.append(arg)
            continue
        key = (arg.ctypes.data, arg.nbytes)
        region = known.get(key) or region_of(arg)
        if region is None:
            copy = shared_zeros(arg.shape, arg.dtype)
            copy[...] = arg
            copies.append((arg, copy))
            region = region_of(copy)
            assert region is not None
            region = replace(region, writable=bool(arg.flags.writeable))
        known[key] = region
        passed.append(region)
    return _Shared(tuple(passed), tuple(copies))


def _work(
    program: Program,
    symbol: str,
    args: Sequence[Region | Argument],
    settings: Mapping[str, Any],
    store: _Handed,
    timing: Callable[[Execution], tuple[Timing | None, str]],
) -> object:
    """Be the child: run, time, and return plain data."""
    opened: dict[Region, np.ndarray] = {}
    for arg in args:
        if isinstance(arg, Region) and arg not in opened:
            opened[arg] = open_region(arg)
    values = [opened[a] if isinstance(a, Region) else a for a in args]
    try:
        done = sim.run(program, symbol, args=values, store=store, **settings)
        timed, untimed = timing(done)
    except LaunchFaultError as fault:
        told = [int(fault.kind), list(fault.thread), list(fault.block), fault.address]
        return {"fault": [str(fault), *told], "object": store.made}
    except UnavailableError as error:
        return {"missing": [error.what, error.remedy]}
    except StateDamagedError as error:
        return {"damaged": str(error)}
    except KernprofError as error:
        return {"error": [type(error).__name__, str(error)], "object": store.made}
    return {
        "execution": _fields(done, _KNOWN),
        "timing": None if timed is None else _fields(timed, _KNOWN_TIMING),
        "untimed": untimed,
        "object": store.made,
    }


def _fields(record: Any, left_out: Collection[str]) -> dict[str, object]:
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name not in left_out}


def _raise(found: Mapping[str, Any], name: str) -> None:
    """Raise what stopped the launch in the child."""
    if "fault" in found:
        message, kind, thread, block, address = found["fault"]
        raise LaunchFaultError(
            str(message), FaultKind(kind), _index(thread), _index(block), int(address)
        )
    if "missing" in found:
        what, remedy = found["missing"]
        raise UnavailableError(str(what), str(remedy))
    if "damaged" in found:
        raise _broke_out(name, "wrote where nothing belongs")
    if "error" in found:
        kind, message = found["error"]
        raise _ERRORS.get(str(kind), InputError)(str(message))


def _index(value: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (int(v) for v in value)
    return x, y, z


def _results(
    found: Mapping[str, Any], program: Program, symbol: str, device: Device | None, what_if: WhatIf
) -> tuple[Execution, Timing | None, str]:
    kernel = program.kernel(symbol)
    done = rebuild(Execution, found["execution"], program=program, kernel=kernel, trace=None)
    count = len(kernel.instructions)
    arrays = [v for f in fields(done) if isinstance(v := getattr(done, f.name), np.ndarray)]
    if any(array.shape != (count,) for array in arrays):
        raise ValueError("counts of another number of instructions")
    timed = None
    if found["timing"] is not None and device is not None:
        from kernprof.timing import Timing

        timed = rebuild(
            Timing, found["timing"], execution=done, device=what_if.of(device), what_if=what_if
        )
        if timed.stalls.shape[0] != count:
            raise ValueError("stalls of another number of instructions")
    return done, timed, str(found["untimed"])


def _told(error: ChildError, name: str, time_limit_s: float, memory_bytes: int) -> Exception:
    """Say in the user's words how the child ended."""
    if error.ending is Ending.TIME:
        return InputError(
            f"{name}: translating, running and timing it had not ended long after the time limit "
            f"of {time_limit_s:g} s (--time-limit sets it)"
        )
    if error.ending is Ending.MEMORY:
        return InputError(
            f"{name}: needs more than the {memory_bytes:,} bytes of the memory limit "
            "(--memory-limit sets it)"
        )
    if error.ending is Ending.SIGNAL:
        return _broke_out(name, f"was stopped by {error.detail}")
    if error.ending is Ending.ANSWER:
        return _broke_out(name, f"answered with {error.detail}")
    return RuntimeError(f"{name}, in its child process:\n{error.detail}")


def _broke_out(name: str, how: str) -> InputError:
    return InputError(
        f"{name}: the child process that ran its machine code {how}. Nothing outside of that "
        "process was touched, and there is no result. The simulator should have refused this code "
        "or run it: please report it"
    )
