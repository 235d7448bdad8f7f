"""Every kernel, run on the CPU thread by thread, computes what its numpy reference does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import emulator
import numpy as np
import pytest
from emulator_cases import inputs, shapes
from host_compiler import MISSING

from kernprof.library import KernelEntry, Role, entries, entry, source
from kernprof.library.reference import references
from kernprof.lowering.launch import kernel_specs

pytestmark = pytest.mark.skipif(emulator.COMPILER is None, reason=MISSING)

SHAPES = 16
# Their sums are exact for the inputs that are drawn: nothing but equality will do.
EXACT = {
    *("gemv2T", "gemv2N", "gemmk1", "sgemm", "im2col", "col2im", "depthwise", "pointwise", "conv"),
    *("bias", "relu", "eltwise", "concat", "dropout", "reduction", "random", "sync"),
}
TOLERANCE = 2e-6
"""Largest difference from the reference, relative to the largest value of the array."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Test processes share what one of them has compiled.
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "host"


def library_of(item: KernelEntry, folder: Path) -> emulator.HostLibrary:
    names = [e.name for e in entries().values() if e.file == item.file]
    return emulator.build(source(item), item.file, names, folder)


def error(got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> float:
    """Largest difference relative to the largest value; infinite where something is missing."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if got.size == 0:
        return 0.0
    wide = want.astype("float64")
    difference = np.abs(got.astype("float64") - wide)
    if not np.isfinite(difference).all():
        return float("inf")
    return float(difference.max() / (np.abs(wide).max() or 1.0))


@pytest.mark.parametrize("name", sorted(kernel_specs()))
def test_kernel_computes_what_its_reference_does(
    name: str, folder: Path, record_property: pytest.RecordProperty
) -> None:
    item = entry(name)
    library = library_of(item, folder)
    worst = 0.0
    for shape in shapes(item, SHAPES if item.parameters else 1):
        arrays = inputs(item, shape)
        geometry = item.launch_geometry(shape)
        want = references()[name](shape, arrays)
        results = [
            emulator.launch(library, item, shape, geometry, arrays, order)
            for order in emulator.ORDERS
        ]
        for pointer in item.pointers:
            if pointer.role is Role.IN or pointer.elements(shape) == 0:
                continue
            got = [result[pointer.name] for result in results]
            where = f"{name} {shape}: {pointer.name}"
            for order, other in zip(emulator.ORDERS[1:], got[1:], strict=True):
                assert got[0].tobytes() == other.tobytes(), f"{where} depends on order {order}"
            found = error(got[0], np.asarray(want[pointer.name]))
            exact = item.family in EXACT or pointer.dtype != "float32"
            assert found <= (0.0 if exact else TOLERANCE), f"{where}: off by {found:.3g}"
            worst = max(worst, found)
    record_property("relative_error", worst)


@pytest.mark.parametrize("name", sorted(kernel_specs()))
def test_arguments_are_those_of_the_cuda_function(name: str, folder: Path) -> None:
    item = entry(name)
    found = library_of(item, folder).signature(name)
    # The registry has no unsigned scalars; their bits are passed as int32.
    assert ["int" if t == "unsigned" else t for t in found] == emulator.expected_signature(item)
