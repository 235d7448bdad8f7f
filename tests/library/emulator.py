"""Kernels on the CPU: CUDA source, compiled for the host with a header that stands for the GPU.

``emulator.h`` says what is emulated and what is made to show.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from host_compiler import host_compiler, is_clang

from kernprof.library import Geometry, KernelEntry, Pointer, Role

SHIM = Path(__file__).with_name("emulator.h")
COMPILER = host_compiler()
ORDERS = (0, 1, 2)
"""Threads in rising order, in falling order, shuffled."""

_OPTIONS = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-shared",
    "-fPIC",
    "-w",
    "-fno-strict-aliasing",
    "-fsanitize=bounds,alignment,signed-integer-overflow,integer-divide-by-zero,shift",
    # GNU_UNIQUE, which Clang has not, would tie the libraries of several sources together.
    *(
        ("-fsanitize-trap=all",)
        if is_clang()
        else ("-fsanitize-undefined-trap-on-error", "-fno-gnu-unique")
    ),
)
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w\s]+?)\s*\b(\w+)\s*\[\s*\]\s*;"
)
_C_TYPES = {"float32": "float", "int32": "int", "uint32": "unsigned"}


class HostError(AssertionError):
    """A kernel did on the CPU what must not be done on a GPU."""


@dataclass(frozen=True)
class HostLibrary:
    """The kernels of one source as a shared library."""

    path: Path
    handle: ctypes.CDLL

    def signature(self, name: str) -> list[str]:
        """Return the C types of a kernel's parameters."""
        text = ctypes.create_string_buffer(4096)
        self.handle.kp_signature(name.encode(), text, ctypes.c_size_t(len(text)))
        return [part for part in text.value.decode().split(",") if part]

    def place(self, failure: str) -> str:
        """Return the source line that a failure's code offset belongs to, where it can be told."""
        found = re.search(r"code 0x([0-9a-f]+)", failure)
        addr2line = shutil.which("addr2line")
        if found is None or addr2line is None:
            return ""
        done = subprocess.run(
            [addr2line, "-e", str(self.path), "0x" + found.group(1)], capture_output=True, text=True
        )
        return f" at {done.stdout.strip()}"


def build(source: str, file: str, kernels: Sequence[str], folder: Path) -> HostLibrary:
    """Compile a CUDA source for the CPU.

    Parameters
    ----------
    source, file
        Text, and the name that messages give it.
    kernels
        Names of its ``extern "C"`` kernels.
    folder
        Where libraries are kept; shared by concurrent processes.
    """
    assert COMPILER is not None
    rewritten = _DYNAMIC.sub(r"\1 *\2 = static_cast<\1 *>(kp::dynamic_shared());", source)
    table = "".join(
        f'  {{"{name}", kp::Call<&{name}>::run, kp::Call<&{name}>::signature}},\n'
        for name in kernels
    )
    # In a namespace without a name, templates have internal linkage: their shared arrays may then
    # go to a section of their own.
    text = (
        f'#include "{SHIM}"\nnamespace {{\n#line 1 "{file}"\n{rewritten}\n}}\n'
        f"const kp::Kernel kp_kernels[] = {{\n{table}  {{nullptr, nullptr, nullptr}}}};\n"
    )
    content = text + SHIM.read_text() + repr(_OPTIONS)
    target = folder / f"{Path(file).stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unit = folder / f"{target.stem}.{os.getpid()}.cpp"
        made = unit.with_suffix(".so")
        unit.write_text(text)
        done = subprocess.run(
            [*COMPILER, *_OPTIONS, "-o", str(made), str(unit), "-ldl"],
            capture_output=True,
            text=True,
            timeout=240,
        )
        if done.returncode:
            raise HostError(f"{file} does not compile for the CPU:\n{done.stderr[-4000:]}")
        made.replace(target)
    handle = ctypes.CDLL(str(target))
    handle.kp_allocate.restype = ctypes.c_void_p
    handle.kp_allocate.argtypes = [ctypes.c_size_t, ctypes.c_int]
    handle.kp_release.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return HostLibrary(target, handle)


def expected_signature(entry: KernelEntry) -> list[str]:
    """Return the C types that a registry entry's arguments stand for; inputs are const."""
    types = []
    for argument in entry.arguments:
        name = _C_TYPES[argument.dtype]
        if isinstance(argument, Pointer):
            name = f"{'const ' if argument.role is Role.IN else ''}{name}*"
        types.append(name)
    return types


def launch(
    library: HostLibrary,
    entry: KernelEntry,
    shape: Mapping[str, int],
    geometry: Geometry,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    order: int = 0,
) -> dict[str, np.ndarray[Any, Any]]:
    """Run a kernel and return all its arrays as they are afterwards.

    Parameters
    ----------
    arrays
        Flat IN and INOUT arrays by name; OUT arrays start as NaN (integers: as -1).
    order
        In which order threads run, see ``ORDERS``.

    Raises
    ------
    HostError
        The kernel failed, or wrote around an array or into an input.
    """
    # In one of the orders, inaccessible memory lies in front of the arrays, else behind them.
    at_start = int(order == 1)
    values: list[Any] = []
    memory: dict[str, tuple[int, int]] = {}
    for argument in entry.arguments:
        if not isinstance(argument, Pointer):
            value = argument.of(shape)
            kind = ctypes.c_float if argument.dtype == "float32" else ctypes.c_int
            values.append(kind(value))
            continue
        count = argument.elements(shape)
        if count == 0:
            values.append(ctypes.c_void_p(None))
            continue
        address = library.handle.kp_allocate(count * 4, at_start)
        assert address, "no memory"
        memory[argument.name] = (address, count)
        if argument.role is not Role.OUT:
            given = arrays[argument.name]
            assert given.shape == (count,), argument.name
            assert given.dtype == argument.dtype, argument.name
            ctypes.memmove(address, np.ascontiguousarray(given).ctypes.data, count * 4)
        values.append(ctypes.c_void_p(address))
    pointers = (ctypes.c_void_p * len(values))(
        *(ctypes.cast(ctypes.pointer(v), ctypes.c_void_p).value for v in values)
    )
    grid, block = geometry.grid, geometry.block
    message = ctypes.create_string_buffer(1024)
    failed = library.handle.kp_launch(
        entry.name.encode(),
        (ctypes.c_uint * 3)(*grid),
        (ctypes.c_uint * 3)(*block),
        ctypes.c_size_t(geometry.dynamic_shared_bytes),
        pointers,
        ctypes.c_int(order),
        message,
        ctypes.c_size_t(len(message)),
    )
    after: dict[str, np.ndarray[Any, Any]] = {}
    overwritten = []
    for argument in entry.pointers:
        if argument.name not in memory:
            continue
        address, count = memory[argument.name]
        raw = ctypes.string_at(address, count * 4)
        after[argument.name] = np.frombuffer(raw, argument.dtype).copy()
        if not library.handle.kp_release(address, count * 4, at_start):
            overwritten.append(argument.name)
        if argument.role is Role.IN and raw != arrays[argument.name].tobytes():
            overwritten.append(f"{argument.name} itself, an input")
    where = f"{entry.name} {dict(shape)}, order {order}"
    if failed:
        text = message.value.decode()
        raise HostError(f"{where}: {text}{library.place(text)}")
    if overwritten:
        raise HostError(f"{where}: written around {', '.join(overwritten)}")
    return after
