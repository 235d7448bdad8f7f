"""The compiled core: its structures and its one function.

``core/model.h`` is the other side of every definition here; sizes are compared when it is loaded.
The core looks at all it is given before it works with it, and says by a status what is wrong.
"""

from __future__ import annotations

import ctypes
import importlib.util
import weakref
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from types import MappingProxyType

import numpy as np

from kernprof.devices.bounds import Range, check_number, shown
from kernprof.errors import UnavailableError, UsageError

BOARDS = 6
PIPES = 16
BANKS = 4
_MODULE = "kernprof.timing._core"


class Kind(IntEnum):
    """How the core treats an instruction."""

    PLAIN = 0
    GLOBAL_LOAD = 1
    GLOBAL_STORE = 2
    LOCAL_LOAD = 3
    LOCAL_STORE = 4
    SHARED_LOAD = 5
    SHARED_STORE = 6
    GLOBAL_ATOMIC = 7
    SHARED_ATOMIC = 8
    BARRIER = 9
    BRANCH = 10
    EXIT = 11
    WAIT_COUNT = 12
    FENCE = 13
    SLEEP = 14
    ASYNC_COPY = 15
    COPY_GROUP = 16


class Queue(IntEnum):
    """Which queue of its scheduler an instruction goes through."""

    NONE = 0
    LOCAL_GLOBAL = 1
    MIO = 2


class Status(IntEnum):
    """What the core's function returns."""

    FINE = 0
    NO_MEMORY = 1
    BAD_FIELD = 2
    BAD_SIZE = 3
    BAD_INSTRUCTION = 4
    BAD_BLOCK = 5
    BAD_WARP = 6
    BAD_WORD = 7
    TOO_LARGE = 8
    TOO_MANY_STEPS = 9


REASONS = (
    "selected",
    "not_selected",
    "wait",
    "long_scoreboard",
    "short_scoreboard",
    "math_pipe_throttle",
    "lg_throttle",
    "mio_throttle",
    "barrier",
    "branch_resolving",
    "no_instruction",
    "imc_miss",
    "drain",
    "membar",
    "sleeping",
    "dispatch_stall",
)
"""Stall reasons in the core's order, in Nsight Compute's spelling."""

INSTRUCTION = np.dtype(
    [
        ("stall", "u1"),
        ("keep", "u1"),
        ("write_board", "u1"),
        ("read_board", "u1"),
        ("wait_mask", "u1"),
        ("kind", "u1"),
        ("pipe", "u1"),
        ("queue", "u1"),
        ("bytes", "u1"),
        ("long_latency", "u1"),
        ("count_board", "u1"),
        ("count_left", "u1"),
        ("bypass_l1", "u1"),
        ("pad0", "u1"),
        ("latency", "u2"),
        ("interval", "u2"),
        ("constant", "u2"),
        ("reads", "u1", (BANKS,)),
    ],
    align=True,
)


_Number = type[ctypes.c_int64] | type[ctypes.c_double]


def _fields(kind: _Number, names: str) -> list[tuple[str, _Number]]:
    return [(name, kind) for name in names.split()]


class Config(ctypes.Structure):
    """What the core is told; names carry their unit or count things."""

    _fields_ = [
        *_fields(
            ctypes.c_int64,
            "sm_count schedulers issue_width blocks_per_sm warps_per_block blocks_traced "
            "blocks_total l1_bytes l1_ways l2_bytes l2_ways l1_loads fetch_sectors icache_lines "
            "insn_bytes insn_count block_count local_words lg_queue mio_queue max_cycles "
            "max_steps caches register_banks code_there constants_there own_data "
            "launch_latency block_latency round_cycles warp_interval shared_latency l1_latency "
            "l2_latency dram_latency atomic_latency store_read_latency barrier_latency "
            "barrier_interval "
            "branch_latency fetch_latency fetch_cold_latency constant_latency drain_latency "
            "fence_latency sleep_cycles write_buffer_cycles fetch_interval",
        ),
        *_fields(
            ctypes.c_double,
            "write_through lsu_interval tag_lines fill_sectors store_sectors l2_sectors "
            "dram_sectors atomic_interval block_interval",
        ),
    ]


class Lengths(ctypes.Structure):
    """How many elements the arrays have that the core is given."""

    _fields_ = _fields(ctypes.c_int64, "insns blocks words warps samples")


class Result(ctypes.Structure):
    """What the core gives back besides the stall table."""

    _fields_ = [
        *_fields(
            ctypes.c_int64,
            "cycles finished issued issue_cycles warp_cycles sm_active_cycles blocks_done "
            "l1_sectors l1_hits l2_sectors l2_hits dram_read_sectors dram_write_sectors "
            "l2_read_sectors l2_write_sectors lsu_busy_cycles "
            "atomic_work atomic_lanes forced_barriers bad_words samples steps problem",
        ),
        ("pipe_busy", ctypes.c_int64 * PIPES),
    ]


@cache
def ranges() -> Mapping[str, Range]:
    """Return the range of every field of :class:`Config`; the core has the table.

    Raises
    ------
    UnavailableError
        The core was not built.
    """
    library = core()
    found = {}
    for number, name in enumerate(field[0] for field in Config._fields_):
        low, high = ctypes.c_double(), ctypes.c_double()
        if library.kernprof_range(number, ctypes.byref(low), ctypes.byref(high)):
            raise AssertionError(f"the core has no range of {name}")
        found[name] = Range(low.value, high.value)
    return MappingProxyType(found)


def config(values: Mapping[str, float]) -> Config:
    """Return the core's configuration; a field that isn't told is 0.

    Raises
    ------
    UsageError
        A value is outside of its range: ctypes would cut it down to 64 bits in silence.
    """
    made = Config()
    for name, value in values.items():
        check_number(f"{name}, for the timing model,", value, ranges()[name])
        setattr(made, name, type(getattr(made, name))(value))
    return made


def refusal(status: int, told: Config, problem: int) -> Exception:
    """Return the error for a status other than ``FINE``.

    Parameters
    ----------
    status
        What the core returned.
    told
        What it was given.
    problem
        ``Result.problem``.
    """
    match status:
        case Status.NO_MEMORY:
            return MemoryError("the timing core ran out of memory")
        case Status.BAD_FIELD:
            name = Config._fields_[problem][0]
            return UsageError(
                f"the timing core refuses {name} = {shown(getattr(told, name))}; expected a number "
                f"{ranges()[name]} that goes with the other numbers of this GPU and launch"
            )
        case Status.TOO_LARGE:
            return UsageError(
                f"the caches and code of {told.sm_count} SMs ({told.l1_bytes} bytes of L1 each, "
                f"{told.l2_bytes} of L2, {told.insn_count} instructions) take more memory than the "
                "timing core uses; time a GPU with fewer SMs"
            )
        case Status.TOO_MANY_STEPS:
            return UsageError(
                f"the timing core gave up after {told.max_steps} steps; time a smaller launch, or "
                "a GPU whose rates and latencies are nearer to real ones"
            )
    what = {
        Status.BAD_SIZE: f"arrays of another length ({Lengths._fields_[problem][0]})"
        if problem < len(Lengths._fields_)
        else "arrays of another length",
        Status.BAD_INSTRUCTION: f"instruction {problem} with an unknown kind, unit or queue",
        Status.BAD_BLOCK: f"basic block {problem} outside of the code",
        Status.BAD_WARP: f"warp {problem} outside of the trace",
        Status.BAD_WORD: f"word {problem}, which names no basic block",
    }.get(Status(status), f"something (status {status})")
    return UsageError(f"the timing core refuses the trace: it found {what}; record it again")


@cache
def core() -> ctypes.CDLL:
    """Load the core.

    Raises
    ------
    UnavailableError
        It was not built, or not from this source.
    """
    place = _place()
    if place is None:
        raise UnavailableError(
            "the timing model's compiled core is not here",
            "install kernprof again: pip install --force-reinstall --no-deps gpu-kernprof, or "
            "pip install -e . in a source tree, which take a compiler from PyPI where none is here",
        )
    library = ctypes.CDLL(place)
    told = [library.kernprof_sizes(k) for k in range(5)]
    known = [
        ctypes.sizeof(Config),
        INSTRUCTION.itemsize,
        ctypes.sizeof(Result),
        ctypes.sizeof(Lengths),
        len(REASONS),
    ]
    if told != known:
        raise UnavailableError(
            f"the timing model's compiled core is of another version (sizes {told}, expected "
            f"{known})",
            "install kernprof again: pip install -e . in a source tree",
        )
    library.kernprof_simulate.restype = ctypes.c_int
    library.kernprof_range.restype = ctypes.c_int
    library.kernprof_keep.restype = ctypes.c_void_p
    library.kernprof_forget.argtypes = [ctypes.c_void_p]
    library.kernprof_forget.restype = None
    return library


class KeptCaches:
    """What one launch leaves to the next: the second-level cache, and which code the SMs hold.

    Hand the same object to :func:`kernprof.timing.simulate` for launches that follow each other on
    one GPU. A launch of which only a part was simulated leaves nothing.

    Raises
    ------
    UnavailableError
        The core was not built.
    """

    def __init__(self) -> None:
        library = core()
        self.handle = library.kernprof_keep()
        if not self.handle:
            raise MemoryError("the timing core ran out of memory")
        self.kernels: set[tuple[str, str]] = set()
        self._gpu: str | None = None
        weakref.finalize(self, library.kernprof_forget, self.handle)

    def take_up(self, gpu: str) -> None:
        """Note which GPU a launch runs on.

        Raises
        ------
        UsageError
            Launches before it ran on another one, whose caches these are.
        """
        if self._gpu not in (None, gpu):
            raise UsageError(f"these caches are those of {self._gpu}, not of {gpu}")
        self._gpu = gpu


def _place() -> str | None:
    found = importlib.util.find_spec(_MODULE)
    return None if found is None else found.origin
