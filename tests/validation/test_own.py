"""The project's own kernels on real GPUs: every row is a launch, and the table adds up."""

from __future__ import annotations

import pytest

from validation.own import Own, own, section


def test_every_row_is_a_launch_of_its_layer() -> None:
    rows = list(own())
    assert {(r.kernel, r.direction) for r in rows} >= {("im2col", "forward")}
    for row in rows:
        assert row.predicted_ns > 0
        # Between events lies more than the kernel.
        assert row.events_ns > row.ncu_ns


def test_the_error_is_signed_and_the_mean_is_not() -> None:
    rows = [
        Own("a", "forward", "l", "GPU", "so", ncu_ns=1000, events_ns=2000, predicted_ns=n)
        for n in (900, 1200)
    ]
    assert [r.error_pct for r in rows] == [pytest.approx(-10), pytest.approx(20)]
    text = "\n".join(section(rows))
    assert "Mean absolute error of these 2: 15.0 %" in text
    assert "| `a` | forward | l | GPU | 1.00 | 2.00 | 0.90 | -10.0 % |" in text
    assert text.count("Measured on: so.") == 1
