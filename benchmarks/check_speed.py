"""What a checked run costs: ``check=True`` beside the plain run, processor time of one core."""

from __future__ import annotations

import time
from collections.abc import Mapping

BAR_SLOWDOWN = 100

_POINTWISE = {"batch": 1, "in_channels": 128, "out_channels": 128, "pixels": 784}
_CASES: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("gemv2N", {"m": 2048, "n": 1024}),
    ("gemv2T", {"m": 2048, "n": 1024}),
    ("pointwise_coalesced", _POINTWISE),
    ("pointwise_tiled", _POINTWISE),
    ("pointwise_register", _POINTWISE),
    ("collatz", {"n": 1 << 17}),
)


def main() -> bool:
    """Print the figures; returns whether no kernel is slowed down beyond the bar."""
    from benchmarks._launches import launch, seconds
    from kernprof.sim.engine import compile_kernel

    worst = 0.0
    print(
        f"{'kernel':<22}{'M inst':>9}{'plain s':>9}{'checked s':>11}{'slower':>8}"
        f"{'translate s':>13}{'checked':>9}"
    )
    for name, sizes in _CASES:
        made = launch(name, sizes)
        executed = made.run().executed.sum()
        spent, translating = {}, {}
        for check in (False, True):
            started = time.perf_counter()
            compile_kernel(made.program, name, checked=check)
            translating[check] = time.perf_counter() - started
            spent[check] = seconds(made, workers=1, check=check)
        factor = spent[True] / spent[False]
        worst = max(worst, factor)
        print(
            f"{name:<22}{executed / 1e6:>9.2f}{spent[False]:>9.3f}{spent[True]:>11.3f}"
            f"{factor:>7.1f}x{translating[False]:>13.2f}{translating[True]:>9.2f}"
        )
    print(f"at most {worst:.1f} times slower; bar {BAR_SLOWDOWN}")
    return worst <= BAR_SLOWDOWN
