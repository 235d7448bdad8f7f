"""Which roof a kernel lies under, and the least time it can take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernprof import devices
from kernprof.errors import ShapeError, UnavailableError

A100 = devices.find("a100")


def test_large_gemm_is_compute_bound() -> None:
    n = 4096
    found = devices.bound(2 * n**3, 3 * 4 * n**2, A100)
    assert found.kind == "compute"
    assert found.attainable_flops_per_s == A100.peak_fp32_flops_per_s
    # 137 GFLOP at 19.5 TFLOP/s.
    assert found.time_ns == pytest.approx(7.05e6, rel=0.01)


def test_copy_is_bandwidth_bound() -> None:
    found = devices.bound(0, 1_555_000_000, A100)
    assert found.kind == "bandwidth"
    assert found.time_ns == pytest.approx(1e6)
    assert found.attainable_flops_per_s == 0


def test_no_traffic_has_infinite_intensity() -> None:
    found = devices.bound(1, 0, A100)
    assert (found.kind, found.intensity_flops_per_byte) == ("compute", float("inf"))


@given(st.floats(1, 1e15), st.floats(1, 1e12))
def test_time_is_flops_over_the_roof(flops: float, traffic: float) -> None:
    found = devices.bound(flops, traffic, A100)
    assert found.time_ns == pytest.approx(flops / found.attainable_flops_per_s * 1e9)
    right_of_ridge = found.intensity_flops_per_byte > found.ridge_flops_per_byte * (1 + 1e-12)
    assert not right_of_ridge or found.kind == "compute"


@pytest.mark.parametrize(("flops", "traffic"), [(-1, 1), (1, -1), (0, 0)])
def test_senseless_numbers_are_refused(flops: float, traffic: float) -> None:
    with pytest.raises(ShapeError, match="roofline"):
        devices.bound(flops, traffic, A100)


def test_unknown_rates_are_said_not_guessed() -> None:
    with pytest.raises(UnavailableError, match="--gpu"):
        devices.bound(1, 1, replace(A100, dram_bandwidth_bytes_per_s=None))
