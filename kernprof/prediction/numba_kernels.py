"""Kernels written in Python with Numba as subjects of a prediction."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernprof.compile.numba_kernels import compile_kernel, is_kernel
from kernprof.errors import InputError, KernprofError, UnavailableError, UsageError
from kernprof.prediction.subject import Subject

if TYPE_CHECKING:
    from kernprof.devices.model import Device
    from kernprof.sim.execute import Argument


def load_kernel(path: Path, name: str | None) -> Any:
    """Import a Python file and return its ``@cuda.jit`` function of a name.

    The file is run, as Python does with every import.

    Raises
    ------
    InputError
        The file can't be read, or fails.
    UsageError
        It has no kernel of this name, or several and none was named.
    UnavailableError
        A package that it imports is missing.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    # Numba looks functions up by their module's name.
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"{path} imports {missing.name}, which is not installed",
            "pip install 'gpu-kernprof[numba]'"
            if missing.name == "numba"
            else f"pip install {missing.name}",
        ) from None
    except KernprofError:
        raise
    except Exception as failed:
        raise InputError(
            f"{path}: importing it failed: {type(failed).__name__}: {failed}"
        ) from None
    kernels = {key: value for key, value in vars(module).items() if is_kernel(value)}
    if name is None and len(kernels) == 1:
        return next(iter(kernels.values()))
    listed = ", ".join(kernels) or "none"
    if name is None:
        raise UsageError(f"choose a kernel with --kernel: {listed}")
    if name not in kernels:
        raise UsageError(f"{path.name}: no @cuda.jit function {name!r}; there are: {listed}")
    return kernels[name]


def numba_subject(
    function: Any, args: Mapping[str, Argument], device: Device | None
) -> tuple[Subject, dict[str, Argument]]:
    """Compile a ``@cuda.jit`` function for its arguments, and lay these out as Numba passes them.

    Returns
    -------
    tuple of Subject and dict
        The subject, and the kernel's own parameters: an array becomes seven and more (owner,
        parent, items, bytes an item, data, extents, strides); the data keep the array's name.

    Raises
    ------
    UsageError
        The GPU is missing, or an argument is of a kind that is not passed.
    UnavailableError, CompileError
        As :func:`kernprof.compile.numba_kernels.compile_kernel` does.
    """
    from kernprof.sim.program import load

    if device is None:
        raise UsageError("machine code is for one GPU: tell which with --gpu (a100, sm_86, ...)")
    flat: dict[str, Argument] = {}
    args = _ordered(function, args)
    for name, value in args.items():
        flat.update(_parameters(name, value))
    image, symbol = compile_kernel(function, list(args.values()), arch=device.arch.name)
    name = function.py_func.__name__
    return Subject(load(image), symbol, device.gpu, device, name=name), flat


def _ordered(function: Any, args: Mapping[str, Argument]) -> Mapping[str, Argument]:
    """Put arguments into the function's order where they bear its parameters' names."""
    code = function.py_func.__code__
    names = code.co_varnames[: code.co_argcount]
    unknown = [name for name in args if name not in names]
    if len(args) != len(names) or len(unknown) == len(args):
        return args
    if unknown:
        shown = f"{function.py_func.__name__}({', '.join(names)})"
        raise UsageError(f"no parameter {unknown[0]!r}; the kernel is {shown}")
    return {name: args[name] for name in names}


def _parameters(name: str, value: Argument) -> dict[str, Argument]:
    """One argument as the parameters that Numba's calling convention makes of it."""
    import numpy as np

    if isinstance(value, np.ndarray) and value.ndim:
        if not value.flags.c_contiguous:
            raise UsageError(f"argument {name}: not contiguous; pass np.ascontiguousarray of it")
        made: dict[str, Argument] = {
            f"{name}.meminfo": np.uint64(0),
            f"{name}.parent": np.uint64(0),
            f"{name}.nitems": np.int64(value.size),
            f"{name}.itemsize": np.int64(value.itemsize),
            name: value,
        }
        for axis, extent in enumerate(value.shape):
            made[f"{name}.shape{axis}"] = np.int64(extent)
        for axis, stride in enumerate(value.strides):
            made[f"{name}.strides{axis}"] = np.int64(stride)
        return made
    if isinstance(value, bool | np.bool_):
        return {name: np.uint8(value)}
    if isinstance(value, int):
        return {name: np.int64(value)}
    if isinstance(value, float):
        return {name: np.float64(value)}
    if isinstance(value, np.integer | np.floating):
        return {name: value}
    raise UsageError(f"argument {name}: {type(value).__name__} can't be passed to a Numba kernel")
