"""NVRTC, NVIDIA's compiler as a library: source to machine code, without a driver or a GPU.

The wheel ``nvidia-cuda-nvrtc-cu12`` brings 12.9, the last that knows sm_60 and sm_70; where it is
not installed, the library of CUDA 13 or of a CUDA toolkit does for the newer architectures.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from kernprof.compile.nvrtc_library import REMEDY, Nvrtc, library
from kernprof.errors import CompileError, UnavailableError, UnknownNameError
from kernprof.isolation import TIME_LIMIT_S, Limits, memory_limit

if TYPE_CHECKING:
    from kernprof.isolation.child import ChildError

_TENSOR = "pip install 'gpu-kernprof[tensor]'"
_WITHOUT_PASCAL = 13
_DROPPED = ("sm_50", "sm_52", "sm_53", "sm_60", "sm_61", "sm_62", "sm_70", "sm_72")
"""What CUDA 13 no longer compiles for (its release notes: Maxwell, Pascal, Volta)."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler gives back.

    Parameters
    ----------
    image
        Cubin, an ELF image.
    log
        Its messages, with the assembler's resource lines if they were asked for.
    lowered
        Linker symbol of each name expression.
    """

    image: bytes
    log: str
    lowered: dict[str, str]


def _distribution_version(*names: str) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "none"


@cache
def compiler_version() -> str:
    """Return what identifies the compiler and its headers in cache keys.

    Raises
    ------
    UnavailableError
        If NVRTC can't be loaded.
    """
    major, minor = library().version
    kind = f"cu{major}" if major < 13 else ""
    wheels = ("cuda-nvrtc", "cuda-runtime", "cuda-cccl", "cuda-nvcc", "curand")
    build, *headers = (
        _distribution_version(f"nvidia-{name}-{kind}".rstrip("-")) for name in wheels
    )
    return f"nvrtc {major}.{minor} (wheel {build}); headers {', '.join(headers)}"


@cache
def targets() -> tuple[str, ...]:
    """Return the architectures that NVRTC makes machine code for ("sm_60", ...).

    Raises
    ------
    UnavailableError
        If NVRTC can't be loaded.
    """
    return tuple(f"sm_{number}" for number in library().targets)


def check_target(arch: str) -> None:
    """Raise UnknownNameError unless the compiler has this target; "sm_90a" counts as sm_90."""
    if arch.rstrip("af") in targets():
        return
    major, minor = library().version
    if major >= _WITHOUT_PASCAL and arch in _DROPPED:
        raise UnavailableError(
            f"NVRTC {major}.{minor} makes no machine code for {arch}; 12.9 is the last that does",
            REMEDY,
        )
    raise UnknownNameError("compiler target", arch, targets())


@cache
def header_dirs() -> tuple[Path, ...]:
    """Return the directories of NVIDIA's headers: the CUDA runtime's, and what is beside them.

    Beside them are, in separate wheels, the C++ core libraries (``cuda/std``, which
    ``cooperative_groups.h`` needs), the compiler's own (``mma.h``) and cuRAND's device functions.
    """
    runtime = library().place.headers
    if runtime is None:
        return ()
    wheels = runtime.parent.parent
    beside = [wheels / name / "include" for name in ("cuda_cccl", "cuda_nvcc", "curand")]
    if runtime.parent.name != "cuda_runtime":
        beside = [runtime / "cccl"]
    return (runtime, *(folder for folder in beside if folder.is_dir()))


def _text(nvrtc: Nvrtc, program: ctypes.c_void_p, size: str, fetch: str) -> bytes:
    """Fetch one of the program's byte strings: NVRTC fills a buffer of the size that it tells."""
    length = ctypes.c_size_t()
    status = nvrtc.call(size, program, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value)
    if status == 0:
        status = nvrtc.call(fetch, program, buffer)
    if status != 0:
        raise CompileError(f"{fetch} failed ({nvrtc.status_text(status)})")
    return buffer.raw


def compile_program(
    source: str,
    name: str,
    arch: str,
    options: Sequence[str],
    instantiate: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    *,
    limits: Limits | None = None,
) -> Compiled:
    """Compile one source text for one architecture, in a child process.

    The compiler reads files and does nothing else there; a source that keeps it busy without end,
    or takes memory without end, ends at the limits.

    Parameters
    ----------
    source, name
        Source text and the name that messages and line tables give it.
    arch
        Real architecture, "sm_80".
    options
        Further options as NVRTC takes them.
    instantiate
        Name expressions of template kernels to instantiate ("gemm<32, true>").
    headers
        Text of further headers by the name that an ``#include`` gives them.
    limits
        Of memory and time; the usual ones by default.

    Raises
    ------
    CompileError
        If the compiler refuses the source or an option; carries its log. If it runs into a limit.
    UnknownNameError
        If the compiler has no such target.
    UnavailableError
        If NVRTC can't be loaded.
    """
    from kernprof.isolation.child import ChildError, call
    from kernprof.isolation.walls import Scope

    check_target(arch)
    nvrtc = library()
    bounds = limits or Limits(memory_limit(), TIME_LIMIT_S, 2 * TIME_LIMIT_S)

    def work() -> object:
        try:
            made = _compile(nvrtc, source, name, arch, options, instantiate, headers or {})
        except CompileError as error:
            return {"error": str(error), "log": error.log}
        return {"image": made.image, "log": made.log, "lowered": made.lowered}

    try:
        found = call(work, limits=bounds, scope=Scope.READ, readable=_readable())
    except ChildError as error:
        raise _ended(name, error, bounds) from None
    if not isinstance(found, dict):
        raise CompileError(f"{name}: the compiler's process gave no valid result")
    if "error" in found:
        raise CompileError(str(found["error"]), str(found["log"]))
    return Compiled(bytes(found["image"]), str(found["log"]), dict(found["lowered"]))


def _readable() -> list[str]:
    """Folders that sources may include from: all but those of devices and of the kernel."""
    return [f"/{name}" for name in os.listdir("/") if name not in ("dev", "proc", "sys", "run")]


def _ended(name: str, error: ChildError, limits: Limits) -> CompileError:
    """Say how a compilation ended that gave no result."""
    from kernprof.isolation.child import Ending

    if error.ending is Ending.TIME:
        return CompileError(
            f"{name}: the compiler had not ended after {limits.wall_s:g} s, the time limit "
            "(--time-limit); macros or templates may expand without end"
        )
    # The library ends the process where it gets no more memory.
    if error.ending is Ending.MEMORY or error.detail in ("SIGABRT", "SIGSEGV", "SIGKILL"):
        return CompileError(
            f"{name}: the compiler broke off ({error}); it may take {limits.memory_bytes:,} bytes "
            "(--memory-limit), and macros or templates may expand without end"
        )
    return CompileError(f"{name}: the compiler's process gave no result ({error})")


def _compile(
    nvrtc: Nvrtc,
    source: str,
    name: str,
    arch: str,
    options: Sequence[str],
    instantiate: Sequence[str],
    given: Mapping[str, str],
) -> Compiled:
    program = ctypes.c_void_p()
    texts = (ctypes.c_char_p * len(given))(*(_c_text("a header", t) for t in given.values()))
    named = (ctypes.c_char_p * len(given))(*(_c_text("a header's name", n) for n in given))
    status = nvrtc.call(
        "nvrtcCreateProgram",
        ctypes.byref(program),
        _c_text("the source", source),
        _c_text("the source's name", name),
        len(given),
        texts,
        named,
    )
    if status != 0:
        raise CompileError(f"{name}: NVRTC makes no program of it ({nvrtc.status_text(status)})")
    try:
        for expression in instantiate:
            wanted = _c_text("a name expression", expression)
            if nvrtc.call("nvrtcAddNameExpression", program, wanted) != 0:
                raise CompileError(f"{name}: {expression!r} is no kernel name")
        words = [f"--gpu-architecture={arch}", *options]
        arguments = (ctypes.c_char_p * len(words))(*(_c_text("an option", w) for w in words))
        status = nvrtc.call("nvrtcCompileProgram", program, len(words), arguments)
        log = _text(nvrtc, program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog")
        message = log.rstrip(b"\0").decode("utf-8", "replace").strip()
        if status != 0:
            first = _first_error(message)
            told = first if first.startswith(name) else f"{name}: {first}"
            raise CompileError(told, message)
        image = _text(nvrtc, program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
        lowered = {}
        for expression in instantiate:
            symbol = ctypes.c_char_p()
            status = nvrtc.call(
                "nvrtcGetLoweredName", program, _c_text("a name", expression), ctypes.byref(symbol)
            )
            if status != 0 or symbol.value is None:
                raise CompileError(f"{name}: {expression!r} was not instantiated", message)
            lowered[expression] = symbol.value.decode()
        return Compiled(image, message, lowered)
    finally:
        nvrtc.call("nvrtcDestroyProgram", ctypes.byref(program))


def _c_text(what: str, text: str) -> bytes:
    """Encode for C, which would silently end a text at its first zero."""
    # Names of files may hold bytes that are no UTF-8 (PEP 383).
    encoded = text.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise CompileError(f"{what} holds a zero byte; the compiler takes text only")
    return encoded


def _first_error(log: str) -> str:
    lines = log.splitlines()
    for line in lines:
        if "error" in line:
            return line.strip() + _header_remedy(line)
    return lines[0].strip() if lines else "the compiler gives no reason"


def _header_remedy(line: str) -> str:
    """Say what brings a header that an error misses; nothing where it misses none."""
    if "cannot open source file" not in line and "could not open source file" not in line:
        return ""
    # mma.h and its like are in the runtime's wheel, what they include in the compiler's.
    if "crt/" in line:
        return f"; it comes with: {_TENSOR}"
    return "; name its directory with -I"
