"""What is to be predicted: a kernel out of CUDA source, a cubin or a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kernprof.errors import InputError, ReportError, UsageError
from kernprof.isolation import TIME_LIMIT_S, Limits, memory_limit
from kernprof.profile import Gpu, KernelProfile
from kernprof.reports.names import demangle, function_name
from kernprof.reports.select import open_regular

if TYPE_CHECKING:
    from kernprof.devices.model import Device
    from kernprof.sim.program import Program

SOURCE_SUFFIXES = (".cu", ".cuh", ".cpp", ".cc", ".cxx")
PYTHON_SUFFIX = ".py"
_ELF = b"\x7fELF"
_MAX_CUBIN_BYTES = 1 << 30


def holds_machine_code(path: str | os.PathLike[str]) -> bool:
    """Whether a file is taken for a cubin or a report, by its name: its code runs in a child."""
    return Path(path).suffix not in (*SOURCE_SUFFIXES, PYTHON_SUFFIX)


@dataclass(frozen=True, slots=True)
class Subject:
    """A kernel, and what its file tells of the launch.

    Parameters
    ----------
    program, symbol
        Machine code and linker symbol.
    gpu
        The device it stands for, as far as known.
    device
        The same with what time depends on; None where it is not known.
    clock_mhz
        SM clock of the report's launch, or None.
    grid, block
        Extents out of a report, or None.
    dynamic_shared_bytes
        Out of a report, or None.
    reference
        The report's own profile of the launch, or None.
    name
        What people call the kernel, where the symbol doesn't tell.
    notice
        What the user must know of how the subject was made; empty where nothing.
    parameters
        Names and types of the kernel's parameters as the source has them, one entry an overload.
    foreign
        Whether the machine code came out of a file as such; it runs in a child process.
    """

    program: Program
    symbol: str
    gpu: Gpu | None
    device: Device | None = None
    clock_mhz: float | None = None
    grid: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    dynamic_shared_bytes: int | None = None
    reference: KernelProfile | None = None
    name: str | None = None
    notice: str = ""
    parameters: tuple[tuple[tuple[str, str], ...], ...] = ()
    foreign: bool = False


def load_subject(
    path: str | os.PathLike[str],
    *,
    kernel: str | None = None,
    device: Device | None = None,
    launch: int | None = None,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | None] | None = None,
    options: Sequence[str] = (),
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int | None = None,
) -> Subject:
    """Find the kernel that a file and a name mean.

    Parameters
    ----------
    path
        ``.cu`` source, a cubin or a report with machine code.
    kernel
        Function name, linker symbol, demangled name, part of one, or a template's name expression
        ("gemm<float, 16>"). Not needed where there is one kernel only.
    device
        The GPU; needed for source, checked against a cubin's architecture.
    launch
        Position in a report.
    include_dirs, defines, options
        For the compiler.
    time_limit_s, memory_limit_bytes
        For the compiler, and for reading machine code.

    Raises
    ------
    InputError
        The file can't be read, compiled or holds no machine code.
    UsageError
        No kernel, or several, have the name; the GPU is missing or another one.
    UnavailableError
        Compiler or disassembler are not installed.
    """
    file = Path(path)
    if file.suffix in SOURCE_SUFFIXES:
        if launch is not None:
            raise UsageError("--launch belongs to reports; source has no launches")
        return _source(
            file,
            kernel,
            device,
            include_dirs,
            defines,
            options,
            Limits(memory_limit_bytes or memory_limit(), time_limit_s, 2 * time_limit_s),
        )
    if include_dirs or defines or options:
        raise UsageError(f"{file.name}: options of the compiler belong to {SOURCE_SUFFIXES[0]}")
    try:
        with open_regular(str(file)) as stream:
            head = stream.read(len(_ELF))
            image = head + stream.read(_MAX_CUBIN_BYTES) if head == _ELF else b""
    except ReportError as error:
        raise error.at(path=str(file)) from None
    if head == _ELF:
        return _cubin(image, kernel, device, memory_limit_bytes)
    return _report(file, kernel, device, launch, memory_limit_bytes)


def _source(
    file: Path,
    kernel: str | None,
    device: Device | None,
    include_dirs: Sequence[str | os.PathLike[str]],
    defines: Mapping[str, str | None] | None,
    options: Sequence[str],
    limits: Limits,
) -> Subject:
    from kernprof.compile import compile_file
    from kernprof.compile.signatures import kernel_parameters, launched_templates
    from kernprof.sim.program import load

    if device is None:
        raise UsageError("machine code is for one GPU: tell which with --gpu (a100, sm_86, ...)")
    template = kernel is not None and "<" in kernel
    made = compile_file(
        file,
        arch=device.arch.name,
        include_dirs=include_dirs,
        defines=defines,
        options=options,
        instantiate=[kernel] if template and kernel else [],
        limits=limits,
    )
    program = load(made.image)
    text = file.read_text("utf-8")
    try:
        symbol = made.lowered[kernel] if template and kernel else choose(program, kernel)
    except UsageError as error:
        launches = launched_templates(text, kernel) if kernel else ()
        if not launches:
            raise
        raise UsageError(f"{error}; the file launches {', '.join(launches)}") from None
    notice = f"{file.name}: {made.notice}" if made.notice else ""
    full = demangle(symbol)
    known = kernel_parameters(file, text, [file.parent, *(Path(d) for d in include_dirs)])
    overloads = known.get(function_name(full) if full else symbol, ())
    return Subject(program, symbol, device.gpu, device, notice=notice, parameters=overloads)


def _cubin(
    image: bytes, kernel: str | None, device: Device | None, memory_limit_bytes: int | None
) -> Subject:
    from kernprof.sim.program import load

    program = load(image, memory_limit_bytes=memory_limit_bytes)
    if device is not None and device.arch.name != program.arch:
        raise UsageError(
            f"the machine code is for {program.arch}, {device.name} is {device.arch.name}; "
            "compile it for that GPU, or leave --gpu out"
        )
    gpu = device.gpu if device else None
    return Subject(program, choose(program, kernel), gpu, device, foreign=True)


def _report(
    file: Path,
    kernel: str | None,
    device: Device | None,
    launch: int | None,
    memory_limit_bytes: int | None,
) -> Subject:
    from kernprof.reports import load
    from kernprof.stalls.group import select

    if device is not None:
        raise UsageError("the report tells the GPU; leave --gpu out")
    chosen = select(load(file).profiles, kernel=kernel, launch=launch)
    if len(chosen) > 1:
        shown = "; ".join(f"{p.origin}: {p.kernel}" for p in chosen[:6])
        raise UsageError(f"{len(chosen)} launches, choose one with --launch: {shown}")
    return from_profile(chosen[0], memory_limit_bytes=memory_limit_bytes)


def from_profile(profile: KernelProfile, *, memory_limit_bytes: int | None = None) -> Subject:
    """Take the machine code and launch of a profile, which becomes the reference.

    Raises
    ------
    InputError
        It holds no machine code, or does not tell grid and block.
    UsageError
        Several kernels of the machine code have its name.
    UnavailableError
        No disassembler is installed.
    """
    from kernprof.sim.program import load

    if profile.code is None:
        raise InputError(
            f"{profile.origin}: the report holds no machine code; collect it with ncu "
            "--section SourceCounters, or give the cubin"
        )
    if profile.grid is None or profile.block is None:
        raise InputError(f"{profile.origin}: the report does not tell grid and block")
    program = load(profile.code.cubin, memory_limit_bytes=memory_limit_bytes)
    symbol = profile.mangled or ""
    if symbol not in program.kernels:
        symbol = choose(program, profile.kernel)
    device, ignored = _device(profile.gpu)
    return Subject(
        program=program,
        symbol=symbol,
        gpu=profile.gpu,
        device=device,
        notice=f"{profile.origin}: {ignored}" if ignored else "",
        clock_mhz=_clock_mhz(profile),
        grid=tuple(profile.grid),
        block=tuple(profile.block),
        dynamic_shared_bytes=profile.shared_mem.dynamic_bytes or 0,
        reference=profile,
        foreign=True,
    )


def _device(gpu: Gpu) -> tuple[Device | None, str]:
    """Return the GPU that a report tells, and why its attributes were left aside, if they were."""
    from kernprof.devices import find, from_attributes
    from kernprof.errors import UnknownNameError

    try:
        named = find(gpu.name or "")
    except UnknownNameError:
        named = None
    if not gpu.attributes:
        return named, ""
    try:
        told = from_attributes(gpu.attributes)
    except UnknownNameError:
        return named, ""
    except ReportError as error:
        instead = f"the numbers of {named.name} are taken" if named else "time is not predicted"
        return named, f"{error}; {instead}"
    if named is None or (named.arch.name, named.sm_count) != (told.arch.name, told.sm_count):
        return told, ""
    # Clocks, bandwidth and the like that a report leaves out are those of the board it names.
    missing = {
        field.name: getattr(named, field.name)
        for field in fields(told)
        if getattr(told, field.name) is None
    }
    return replace(told, **missing), ""


def _clock_mhz(profile: KernelProfile) -> float | None:
    """SM clock while the launch was measured: its cycles over its time."""
    cycles = profile.value("sm__cycles_elapsed.max") or profile.value("gpc__cycles_elapsed.max")
    time_ns = profile.value("gpu__time_duration.sum")
    return 1e3 * cycles / time_ns if cycles and time_ns else None


def choose(program: Program, wanted: str | None) -> str:
    """Return the linker symbol of the kernel that a name means.

    A whole match (symbol, demangled name, function name) goes before a part of one.

    Raises
    ------
    UsageError
        No kernel or several match; the message lists them.
    """
    names = {s: demangle(s) or s for s in program.kernels}
    if wanted is None:
        if len(names) == 1:
            return next(iter(names))
        raise UsageError(f"choose a kernel with --kernel: {_listed(names)}")
    if wanted in names:
        return wanted
    rules = (
        lambda full: full == wanted,
        lambda full: function_name(full) == wanted,
        lambda full: wanted in full,
    )
    for rule in rules:
        found = [s for s, full in names.items() if rule(full)]
        if len(found) == 1:
            return found[0]
        if found:
            several = {s: names[s] for s in found}
            raise UsageError(f"several kernels are named {wanted!r}: {_listed(several)}")
    raise UsageError(
        f"no kernel {wanted!r}; there are: {_listed(names)} (a template is compiled when its "
        "arguments are given: 'name<int, 16>')"
    )


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(list(names.values())[:12]) or "none"
