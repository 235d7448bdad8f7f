"""Runs the library's kernels on the host: g++ with ``host_shim.h``, called through ctypes."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from kernprof.library import KernelEntry, Pointer, Role, entries, source

SHIM = Path(__file__).with_name("host_shim.h")
GUARD = 64
"""Elements before and after each array that must stay as they were."""


def wrapper(item: KernelEntry) -> str:
    """C++ function that takes pointers and scalars as arrays and launches one kernel."""
    passed = []
    for index, argument in enumerate(item.arguments):
        if isinstance(argument, Pointer):
            kind = {"float32": "float", "int32": "int", "uint32": "unsigned"}[argument.dtype]
            passed.append(f"({kind} *)p[{index}]")
        elif argument.dtype == "float32":
            passed.append(f"*(float *)p[{index}]")
        else:
            passed.append(f"*(int *)p[{index}]")
    call = f"{item.name}({', '.join(passed)})"
    return (
        f'extern "C" void host_{item.name}(const unsigned *g, void **p) '
        f"{{ launch_host(g, [=] {{ {call}; }}); }}\n"
    )


@cache
def library(file: str) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++) here to run the kernels on the host")
    items = [item for item in entries().values() if item.file == file]
    text = source(items[0])
    text = re.sub(r"extern __shared__ float (\w+)\[\];", r"float *\1 = host::dynamic_shared;", text)
    folder = Path(mkdtemp(prefix="kernprof-host-"))
    path = folder / f"{Path(file).stem}.cpp"
    path.write_text(f'#include "{SHIM}"\n{text}\n' + "".join(wrapper(item) for item in items))
    target = path.with_suffix(".so")
    done = subprocess.run(
        [compiler, "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-o", str(target), str(path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[:3000]
    return ctypes.CDLL(str(target))


def inputs(item: KernelEntry, shape: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random arrays by argument name; positive where the kernel needs it, valid indices."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for pointer in item.pointers:
        count = pointer.elements(shape)
        if pointer.dtype == "uint32":
            array = rng.integers(0, 2**32, count, dtype=np.uint32)
        elif pointer.dtype == "int32":
            # Labels, places of maxima and input indices: all below these extents.
            limit = shape.get("channels", 3)
            if "in_h" in shape:
                limit = shape["in_h"] * shape["in_w"]
            array = rng.integers(0, limit, count, dtype=np.int32)
        else:
            array = rng.uniform(-2, 2, count).astype(np.float32)
            positive = pointer.name in ("var", "scale", "s", "p") or item.name == "ew_sqrt"
            if positive or (item.name, pointer.name) == ("ew_div", "b"):
                array = np.abs(array) + np.float32(0.5)
        arrays[pointer.name] = array
    return arrays


def run(item: KernelEntry, shape: dict[str, int], given: dict[str, np.ndarray]):
    """Run a kernel on the host; returns OUT and INOUT arrays."""
    geometry = item.launch_geometry(shape)
    numbers = (ctypes.c_uint * 6)(*geometry.grid, *geometry.block)
    keep, addresses, outputs = [], [], {}
    for argument in item.arguments:
        if isinstance(argument, Pointer):
            count = argument.elements(shape)
            if count == 0:
                addresses.append(None)
                if argument.role is not Role.IN:
                    outputs[argument.name] = np.zeros(0, argument.dtype)
                continue
            guarded = np.full(count + 2 * GUARD, 77, argument.dtype)
            inside = guarded[GUARD : GUARD + count]
            if argument.role is Role.OUT:
                # What the kernel fails to write stays visible.
                inside[:] = np.nan if argument.dtype == "float32" else 123456789
            else:
                inside[:] = given[argument.name]
            keep.append((argument, guarded))
            addresses.append(inside.ctypes.data)
            if argument.role is not Role.IN:
                outputs[argument.name] = inside
        else:
            kind = ctypes.c_float if argument.dtype == "float32" else ctypes.c_int
            value = kind(argument.of(shape))
            keep.append((argument, value))
            addresses.append(ctypes.addressof(value))
    pointers = (ctypes.c_void_p * max(len(addresses), 1))(*addresses)
    getattr(library(item.file), f"host_{item.name}")(numbers, pointers)
    for argument, array in keep:
        if isinstance(argument, Pointer):
            told = f"{item.name} wrote outside of {argument.name}"
            assert (array[:GUARD] == 77).all(), told
            assert (array[-GUARD:] == 77).all(), told
            if argument.role is Role.IN:
                assert np.array_equal(array[GUARD:-GUARD], given[argument.name]), told
    return outputs
