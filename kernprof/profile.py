"""The one record that everything turns on: a kernel launch and its metrics.

A profile is the same whether it was measured, imported from a report, predicted by the simulator
or printed in a paper; ``source`` says which, and every output repeats it. Metrics are kept under
Nsight Compute's own names and in its base units (ns, byte, inst, percent 0-100): see
``kernprof.metrics``.

A value that a source could not know is absent from ``metrics``; readers never write 0 for it. NaN
and infinities, which the profiler stores where a unit can't be observed, are kept as they were read
and answered as missing by ``KernelProfile.value``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from kernprof._frames import frame, html_table
from kernprof.metrics import aliases
from kernprof.metrics.units import unit_of

if TYPE_CHECKING:
    import pandas as pd

MetricValue = int | float | str

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Source(StrEnum):
    """Where a figure comes from; printed with every table."""

    MEASURED = "measured"
    IMPORTED = "imported"
    PREDICTED = "predicted"
    PUBLISHED = "published"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a launch ran: process, CUDA context, index of the device; None where it is not told.

    Launches that ran in different places are not one and the same, whatever their names.
    """

    process: int | None = None
    context: int | None = None
    device: int | None = None

    def __str__(self) -> str:
        parts = (("process", self.process), ("context", self.context), ("device", self.device))
        return ", ".join(f"{what} {number}" for what, number in parts if number is not None)


@dataclass(frozen=True, slots=True)
class Dim3:
    """Extent of a grid (in blocks) or of a block (in threads)."""

    x: int
    y: int = 1
    z: int = 1

    @property
    def total(self) -> int:
        """Number of blocks in the grid, or of threads in the block."""
        return self.x * self.y * self.z

    def __iter__(self) -> Iterator[int]:
        return iter((self.x, self.y, self.z))

    def __str__(self) -> str:
        return f"{self.x}x{self.y}x{self.z}"


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """Shared memory of one block in bytes; None where the source doesn't tell."""

    static_bytes: int | None = None
    dynamic_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device a launch ran on, as far as the source tells.

    Parameters
    ----------
    name
        Marketing name ("Tesla P100-PCIE-16GB").
    cc
        Compute capability ("8.0").
    sm_count
        Number of streaming multiprocessors.
    attributes
        Device attributes by their name without the ``device__attribute_`` prefix.
    """

    name: str | None = None
    cc: str | None = None
    sm_count: int | None = None
    attributes: Mapping[str, MetricValue] = field(default_factory=lambda: _EMPTY)

    @property
    def arch(self) -> str | None:
        """Architecture name as compilers take it ("sm_80"), or None."""
        return "sm_" + self.cc.replace(".", "") if self.cc else None


class Instances(Protocol):
    """The values of one metric per instance (per instruction, per opcode, per unit).

    ``keys[i]`` belongs to ``values[i]``. A key is the address of an instruction (int), the name of
    an opcode (str) or None where the source numbers instances only by their order.
    """

    @property
    def keys(self) -> Sequence[int | str | None]:
        """What each value belongs to."""

    @property
    def values(self) -> Sequence[MetricValue]:
        """The values, in base units."""


@dataclass(frozen=True, slots=True)
class InstanceTable:
    """Instances held in memory; readers with many of them bring a lazy form."""

    keys: Sequence[int | str | None]
    values: Sequence[MetricValue]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One machine instruction of the kernel.

    Parameters
    ----------
    offset
        Byte offset from the start of the function.
    text
        Disassembly ("LDG.E R2, [R4.64]"), or None where it can't be had here.
    file, line
        Source position from the line table, or None.
    """

    offset: int
    text: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class MachineCode:
    """The machine code a report carries.

    Parameters
    ----------
    cubin
        The whole ELF image.
    symbol_index
        Index of the kernel's function in the ELF symbol table, or None when it is not told.
    base_address
        Load address of the function: instance keys are this plus an instruction's offset.
    sources
        Source text by file name, where the report embeds it.
    """

    cubin: bytes
    symbol_index: int | None
    base_address: int | None
    sources: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one of the profiler's own rules said about the launch.

    ``kind`` is ``ok``, ``warning``, ``error``, ``optimization`` or ``none``; ``speedup_pct`` is the
    profiler's own estimate, ``speedup_scope`` ``local`` or ``global``.
    """

    identifier: str
    name: str
    kind: str
    message: str
    section: str | None = None
    speedup_pct: float | None = None
    speedup_scope: str | None = None


@dataclass(frozen=True, slots=True)
class Collector:
    """The program that took the profile, and how.

    ``clock_control`` and ``cache_control`` are the profiler's settings where they are known: they
    decide whether durations can be compared with a free-running benchmark.
    """

    tool: str
    version: str | None = None
    clock_control: str | None = None
    cache_control: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that is not there, and what would bring it."""

    metric: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelProfile:
    """A kernel launch (or several like ones) and its metrics.

    Parameters
    ----------
    kernel
        Function name without template arguments' noise and signature ("gemv2T_kernel_val").
    demangled, mangled
        Whole C++ name and linker symbol where the source has them.
    source, origin
        Kind of source, and which one ("report.ncu-rep#3": the fourth launch).
    grid, block
        Launch extents, None where the source doesn't tell (nvprof's metric tables).
    registers
        Registers per thread.
    launches
        How many launches this record stands for.
    metrics
        Values by Nsight Compute's name, base units.
    spread
        (minimum, maximum) by metric where the source gives them for several launches (nvprof).
    instances
        Per-instruction and other instanced values by metric name.
    unset
        Metrics that the source lists without any value.
    nvtx
        NVTX ranges that enclose the launch, outermost first.
    placement
        Process, context and device of the launch.
    notes
        Things a reader of the table must know ("memory metrics are NaN: MIG instance").
    """

    kernel: str
    source: Source
    origin: str
    gpu: Gpu = Gpu()
    demangled: str | None = None
    mangled: str | None = None
    family: str | None = None
    grid: Dim3 | None = None
    block: Dim3 | None = None
    registers: int | None = None
    shared_mem: SharedMemory = SharedMemory()
    launches: int = 1
    metrics: Mapping[str, MetricValue] = field(default_factory=lambda: _EMPTY)
    spread: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _EMPTY)
    instances: Mapping[str, Instances] = field(default_factory=lambda: _EMPTY)
    unset: tuple[str, ...] = ()
    code: MachineCode | None = None
    nvtx: tuple[str, ...] = ()
    placement: Placement = Placement()
    rules: tuple[RuleResult, ...] = ()
    collector: Collector | None = None
    notes: tuple[str, ...] = ()

    def value(self, metric: str) -> float | None:
        """Return a number by its canonical name, or None where it is missing.

        Renamed metrics are found under the name that this GPU uses (``kernprof.metrics.aliases``);
        NaN, infinities and text are missing.
        """
        for name in aliases.spellings(metric):
            found = self.metrics.get(name)
            if isinstance(found, (int, float)) and math.isfinite(found):
                return float(found)
        return None

    def not_a_number(self, metric: str) -> str | None:
        """Return the spelling under which the source holds NaN or an infinity, else None.

        The profiler collected such a metric and got no value: collecting it again brings nothing.
        """
        for name in aliases.spellings(metric):
            found = self.metrics.get(name)
            if isinstance(found, float) and not math.isfinite(found):
                return name
        return None

    def unit(self, metric: str) -> str | None:
        """Return the base unit of a metric's values, None where no rule knows the name."""
        return unit_of(metric)

    @property
    def duration_ns(self) -> float | None:
        """GPU time of one launch in ns."""
        return self.value("gpu__time_duration.sum")

    @property
    def cycles(self) -> float | None:
        """Elapsed GPC clock cycles of one launch."""
        return self.value("gpc__cycles_elapsed.max")


@dataclass(frozen=True, slots=True)
class Report:
    """What a reader makes of one file.

    Parameters
    ----------
    path
        The file as the user named it.
    format
        Name of the format ("ncu-rep 7", "ncu csv (details)", "nvprof text (metrics)").
    profiles
        The launches in file order; never empty unless ``summary_only``.
    notices
        Non-fatal findings, for stderr.
    session
        Facts about the session that are safe to show (profiler, versions), no user or host names.
    """

    path: str
    format: str
    profiles: tuple[KernelProfile, ...]
    notices: tuple[str, ...] = ()
    session: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a launch: what identifies it, then every metric under its name.

        Raises
        ------
        UnavailableError
            pandas is not installed.
        """
        return frame({**_identity(p), **p.metrics} for p in self.profiles)

    def _repr_html_(self) -> str:
        """Show the launches in a notebook."""
        return html_table(
            {**_identity(p), "duration_ns": p.duration_ns, "cycles": p.cycles}
            for p in self.profiles
        )


def _identity(profile: KernelProfile) -> dict[str, str | int | None]:
    return {
        "kernel": profile.kernel,
        "source": str(profile.source),
        "origin": profile.origin,
        "gpu": profile.gpu.name or profile.gpu.arch,
        "grid": None if profile.grid is None else str(profile.grid),
        "block": None if profile.block is None else str(profile.block),
        "launches": profile.launches,
    }
