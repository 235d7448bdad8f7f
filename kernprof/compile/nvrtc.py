"""NVRTC, NVIDIA's compiler as a library: source to machine code, without a driver or a GPU.

The library comes from the wheel ``nvidia-cuda-nvrtc-cu12``: its 12.9 is the last that knows sm_60
and sm_70. It is found and loaded by ``cuda.bindings`` on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kernprof.errors import CompileError, UnavailableError, UnknownNameError

_REMEDY = "pip install 'cuda-bindings>=12.9,<12.10' 'nvidia-cuda-nvrtc-cu12>=12.9,<12.10'"


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


@cache
def _library() -> Any:
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, OSError, RuntimeError) as error:
        raise UnavailableError(f"NVRTC can't be loaded ({error})", _REMEDY) from error
    return nvrtc


def _distribution_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


@cache
def compiler_version() -> str:
    """Return what identifies the compiler and its headers in cache keys.

    Raises
    ------
    UnavailableError
        If NVRTC can't be loaded.
    """
    _, major, minor = _library().nvrtcVersion()
    build = _distribution_version("nvidia-cuda-nvrtc-cu12")
    headers = _distribution_version("nvidia-cuda-runtime-cu12")
    return f"nvrtc {major}.{minor} (wheel {build}); headers {headers}"


@cache
def targets() -> tuple[str, ...]:
    """Return the architectures that NVRTC makes machine code for ("sm_60", ...).

    Raises
    ------
    UnavailableError
        If NVRTC can't be loaded.
    """
    status, numbers = _library().nvrtcGetSupportedArchs()
    if int(status) != 0:
        raise UnavailableError(f"NVRTC doesn't list its targets (status {int(status)})", _REMEDY)
    return tuple(f"sm_{number}" for number in numbers)


def check_target(arch: str) -> None:
    """Raise UnknownNameError unless the compiler has this target; "sm_90a" counts as sm_90."""
    if arch.rstrip("af") not in targets():
        raise UnknownNameError("compiler target", arch, targets())


@cache
def cuda_headers() -> Path | None:
    """Return the directory of the CUDA runtime's headers (``cuda_fp16.h``), or None."""
    spec = find_spec("nvidia")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(place) / "cuda_runtime" / "include"
        if directory.is_dir():
            return directory
    return None


def _text(library: Any, program: Any, size: str, fetch: str) -> bytes:
    """Fetch one of the program's byte strings: NVRTC fills a buffer of the size that it tells."""
    status, length = getattr(library, size)(program)
    if int(status) != 0:
        raise CompileError(f"{size} failed with status {int(status)}")
    buffer: bytes = b"\0" * length
    (status,) = getattr(library, fetch)(program, buffer)
    if int(status) != 0:
        raise CompileError(f"{fetch} failed with status {int(status)}")
    return buffer


def compile_program(
    source: str, name: str, arch: str, options: Sequence[str], instantiate: Sequence[str] = ()
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
    library = _library()
    status, program = library.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], [])
    if int(status) != 0:
        raise CompileError(f"{name}: NVRTC makes no program of it (status {int(status)})")
    try:
        for expression in instantiate:
            (status,) = library.nvrtcAddNameExpression(program, expression.encode())
            if int(status) != 0:
                raise CompileError(f"{name}: {expression!r} is no kernel name")
        arguments = [f"--gpu-architecture={arch}".encode(), *(o.encode() for o in options)]
        (status,) = library.nvrtcCompileProgram(program, len(arguments), arguments)
        log = _text(library, program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog")
        message = log.rstrip(b"\0").decode("utf-8", "replace").strip()
        if int(status) != 0:
            raise CompileError(f"{name}: {_first_error(message)}", message)
        image = _text(library, program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
        lowered = {}
        for expression in instantiate:
            status, symbol = library.nvrtcGetLoweredName(program, expression.encode())
            if int(status) != 0:
                raise CompileError(f"{name}: {expression!r} was not instantiated", message)
            lowered[expression] = symbol.decode()
        return Compiled(image, message, lowered)
    finally:
        library.nvrtcDestroyProgram(program)


def _first_error(log: str) -> str:
    lines = log.splitlines()
    for line in lines:
        if "error" in line:
            missing_host = "cannot open source file" in line or "could not open source file" in line
            hint = (
                "; only device code is compiled here: keep kernels apart from host code, or name"
                " the directory with -I"
                if missing_host
                else ""
            )
            return line.strip() + hint
    return lines[0].strip() if lines else "the compiler gives no reason"
