"""NVRTC, NVIDIA's compiler as a library: source to machine code, without a driver or a GPU.

The wheel ``nvidia-cuda-nvrtc-cu12`` brings 12.9, the last that knows sm_60 and sm_70; where it is
not installed, the library of CUDA 13 or of a CUDA toolkit does for the newer architectures.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from kernprof.compile.nvrtc_library import REMEDY, Nvrtc, library
from kernprof.errors import CompileError, UnavailableError, UnknownNameError

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
) -> Compiled:
    """Compile one source text for one architecture.

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

    Raises
    ------
    CompileError
        If the compiler refuses the source or an option; carries its log.
    UnknownNameError
        If the compiler has no such target.
    UnavailableError
        If NVRTC can't be loaded.
    """
    check_target(arch)
    nvrtc = library()
    program = ctypes.c_void_p()
    given = headers or {}
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
            missing = "cannot open source file" in line or "could not open source file" in line
            return line.strip() + ("; name its directory with -I" if missing else "")
    return lines[0].strip() if lines else "the compiler gives no reason"
