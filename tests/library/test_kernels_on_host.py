"""Every kernel computes what its numpy reference computes, run thread by thread on the host."""

from __future__ import annotations

import host_run
import numpy as np
import pytest
import shapes

from kernprof.library import entries
from kernprof.library.reference import references

# Relative to the largest value of the array: float32 sums of some hundred terms.
TOLERANCE = 2e-5


@pytest.mark.parametrize("name", list(entries()))
def test_kernel_equals_its_reference(name: str) -> None:
    item = entries()[name]
    for seed, shape in enumerate(shapes.shapes(name)):
        given = host_run.inputs(item, shape, seed)
        expected = references()[name](shape, given)
        found = host_run.run(item, shape, given)
        assert set(found) == set(expected), shape
        for array, values in expected.items():
            told = f"{name} {shape}: {array}"
            assert found[array].shape == values.shape, told
            if values.dtype != np.float32:
                assert np.array_equal(found[array], values), told
                continue
            scale = float(np.abs(values).max()) if values.size else 1.0
            error = float(np.abs(found[array] - values).max()) if values.size else 0.0
            assert not np.isnan(found[array]).any(), f"{told} has elements never written"
            assert error <= TOLERANCE * max(scale, 1.0), f"{told}: error {error}, scale {scale}"
