"""Numbers in sentences."""

from __future__ import annotations


def short(value: float | None) -> str:
    """Return a number with three digits and a factor of thousand: 1.23 M."""
    if value is None:
        return "n/a"
    for factor, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return (
                f"{value / factor:.3g}{letter}"
                if abs(value) < 999.5 * factor
                else f"{value / factor:.0f}{letter}"
            )
    return f"{value:.3g}"
