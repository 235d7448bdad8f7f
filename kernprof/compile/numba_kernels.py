"""Numba's CUDA kernels to machine code: its own compiler to PTX, nvJitLink from there."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Sequence
from typing import Any

from kernprof.errors import CompileError, UnavailableError, UsageError

_REMEDY = "pip install 'gpu-kernprof[numba]'"
_ENTRY = re.compile(r"\.visible\s+\.entry\s+([\w$]+)")


def is_kernel(value: object) -> bool:
    """Say whether a value is a function that ``@cuda.jit`` made."""
    kind = type(value)
    return (
        kind.__module__.startswith("numba")
        and "cuda" in kind.__module__
        and (hasattr(value, "py_func"))
    )


def compile_kernel(function: Any, values: Sequence[object], *, arch: str) -> tuple[bytes, str]:
    """Compile a ``@cuda.jit`` function for the types of some arguments.

    Parameters
    ----------
    function
        What ``@cuda.jit`` returned.
    values
        One example of each argument: numpy arrays, numpy scalars or Python numbers.
    arch
        "sm_80".

    Returns
    -------
    tuple of bytes and str
        The cubin, with line information, and the kernel's linker symbol.

    Raises
    ------
    UnavailableError
        Numba's CUDA target, or NVIDIA's libraries that it compiles with, are not installed.
    UsageError
        The function is one for devices, or links other files.
    CompileError
        Numba or the assembler refuse it.
    """
    try:
        # Numba's own annotations are partial.
        numba: Any = importlib.import_module("numba")
        cuda: Any = importlib.import_module("numba.cuda")
    except ImportError:
        raise UnavailableError("numba-cuda is not installed", _REMEDY) from None
    options = dict(function.targetoptions)
    name = function.py_func.__name__
    if options.get("device"):
        raise UsageError(f"{name} is a device function (device=True); name a kernel")
    if options.get("link"):
        raise UsageError(f"{name} links other files, which can't be compiled without a GPU")
    parameters = list(inspect.signature(function.py_func).parameters)
    if len(parameters) != len(values):
        raise UsageError(
            f"{name} takes {len(parameters)} arguments ({', '.join(parameters)}), {len(values)} "
            "are given"
        )
    major, minor = int(arch.removeprefix("sm_")[:-1]), int(arch[-1])
    try:
        text, _ = cuda.compile_ptx(
            function.py_func,
            tuple(numba.typeof(value) for value in values),
            debug=bool(options.get("debug")),
            lineinfo=True,
            device=False,
            fastmath=bool(options.get("fastmath")),
            cc=(major, minor),
            opt=bool(options.get("opt", True)),
        )
    except numba.core.errors.NumbaError as refused:
        lines = [line for line in str(refused).splitlines() if line.strip()]
        raise CompileError(f"numba can't compile {name}: {lines[0]}", str(refused)) from None
    except (OSError, RuntimeError, ImportError) as missing:
        raise UnavailableError(f"numba can't compile: {_first(missing)}", _REMEDY) from None
    entry = _ENTRY.search(text)
    if entry is None:
        raise CompileError(f"numba made no kernel of {name}", text)
    return link_ptx(text, arch=arch, name=name), entry.group(1)


def link_ptx(text: str, *, arch: str, name: str) -> bytes:
    """Assemble PTX by nvJitLink.

    Raises
    ------
    UnavailableError
        nvJitLink is not installed.
    CompileError
        It refuses the PTX, for instance one that a newer compiler wrote.
    """
    try:
        from cuda.bindings import nvjitlink
    except ImportError:
        raise UnavailableError("cuda-bindings has no nvJitLink", _REMEDY) from None
    # Looking the library up is what fails where it is missing, with an error of its own kind.
    try:
        handle = nvjitlink.create(2, [f"-arch={arch}", "-lineinfo"])
    except (RuntimeError, OSError) as missing:
        raise UnavailableError(f"nvJitLink can't be used: {_first(missing)}", _REMEDY) from None
    image = text.encode() + b"\0"
    try:
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, image, len(image), name)
        nvjitlink.complete(handle)
        made = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, made)
        return bytes(made)
    except nvjitlink.nvJitLinkError as refused:
        log = bytearray(nvjitlink.get_error_log_size(handle))
        nvjitlink.get_error_log(handle, log)
        said = log.decode(errors="replace").strip("\0 \n")
        reason = _first(said) or str(refused)
        raise CompileError(f"the assembler refuses {name} for {arch}: {reason}", said) from None
    finally:
        nvjitlink.destroy(handle)


def _first(text: object) -> str:
    return next((line.strip() for line in str(text).splitlines() if line.strip()), "")
