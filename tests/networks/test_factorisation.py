"""The paper's Fig. 2: one 5x5 filter against two 3x3 ones."""

import pytest

from kernprof.errors import ShapeError
from kernprof.networks.factorisation import filter_factorisation


def test_exact_counts_at_224():
    found = filter_factorisation()
    assert found.params == (75, 36)
    assert found.macs == (3_630_000, 1_766_268)
    assert found.activations == (48_400, 97_684)


def test_printed_changes():
    found = filter_factorisation()
    assert found.params_pct == pytest.approx(-52)
    assert round(found.macs_pct, 1) == -51.3
    assert round(found.activations_pct) == 102
    assert round(found.macs_per_activation_pct) == -61


def test_macs_per_parameter_depends_on_the_size():
    """Printed +1.34 %: that is an image of 228 or 229, not of 224."""
    assert round(filter_factorisation().macs_per_param_pct, 2) == 1.37
    near = [round(filter_factorisation(size).macs_per_param_pct, 3) for size in (228, 229)]
    assert near == [1.345, 1.339]


def test_equal_widths_gain_less():
    assert filter_factorisation(channels=3, width=3).params_pct == pytest.approx(-28)


def test_too_small_image():
    with pytest.raises(ShapeError, match="larger than the padded input"):
        filter_factorisation(4)
