"""Every kernel of the library, as machine code, computes what its numpy reference does."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError
from kernprof.library import KernelEntry, Pointer, Role, entries, entry, source
from kernprof.library.reference import references

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
from emulator_cases import inputs, shapes

SHAPES = 2
# Sums of the drawn inputs are exact in float32: nothing but equality will do.
EXACT = {
    *("gemv2T", "gemv2N", "gemmk1", "sgemm", "im2col", "col2im", "depthwise", "pointwise", "conv"),
    *("bias", "relu", "eltwise", "concat", "dropout", "reduction", "random", "sync"),
}
TOLERANCE = 2e-6
Array = np.ndarray[Any, Any]


@lru_cache(maxsize=64)
def program(file: str, arch: str) -> sim.Program:
    item = next(e for e in entries().values() if e.file == file)
    try:
        return sim.load(compile_source(source(item), arch=arch, name=f"/kernprof/{file}").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def launch(item: KernelEntry, arch: str, shape: dict[str, int]) -> tuple[dict[str, Array], Any]:
    drawn = inputs(item, shape)
    arrays: dict[str, Array] = {}
    arguments: list[Any] = []
    for argument in item.arguments:
        if not isinstance(argument, Pointer):
            value = argument.of(shape)
            bits = int(value) & 0xFFFFFFFF if argument.dtype == "int32" else value
            arguments.append(bits if argument.dtype == "int32" else np.float32(value))
            continue
        count = argument.elements(shape)
        if count == 0:
            arguments.append(0)
            continue
        if argument.role is Role.OUT:
            array = np.full(count, np.nan) if argument.dtype == "float32" else np.full(count, -7)
            array = array.astype(argument.dtype)
        else:
            array = np.array(drawn[argument.name]).ravel().copy()
            array.flags.writeable = argument.role is Role.INOUT
        arrays[argument.name] = array
        arguments.append(array)
    geometry = item.launch_geometry(shape)
    done = sim.run(
        program(item.file, arch),
        item.name,
        tuple(geometry.grid),
        tuple(geometry.block),
        arguments,
        dynamic_shared=geometry.dynamic_shared_bytes,
    )
    return arrays, done


def compare(item: KernelEntry, arch: str, count: int) -> None:
    for shape in shapes(item, count if item.parameters else 1):
        arrays, done = launch(item, arch, shape)
        want = references()[item.name](shape, inputs(item, shape))
        assert done.threads.sum() <= 32 * done.executed.sum()
        for pointer in item.pointers:
            if pointer.role is Role.IN or pointer.elements(shape) == 0:
                continue
            expected = np.asarray(want[pointer.name]).ravel()
            got = arrays[pointer.name]
            where = f"{item.name} {shape}: {pointer.name}"
            if item.family in EXACT or pointer.dtype != "float32":
                assert np.array_equal(got, expected), where
                continue
            largest = np.abs(expected).max() or 1.0
            assert np.abs(got - expected).max() / largest <= TOLERANCE, where


def cases() -> list[tuple[str, str]]:
    """Every kernel on every architecture; but the tiles of 128 on one each, in turn.

    Their unrolled loops take many seconds to translate, and 32 x 32 is the same source.
    """
    arches = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
    names = sorted(entries())
    large = [name for name in names if name.startswith("conv_tiled_128")]
    return [
        (name, arch)
        for name in names
        for at, arch in enumerate(arches)
        if name not in large or large.index(name) % len(arches) == at
    ]


@pytest.mark.parametrize(("name", "arch"), cases())
def test_kernel_computes_what_its_reference_does(name: str, arch: str) -> None:
    compare(entry(name), arch, SHAPES if arch == "sm_80" else 1)
