"""Launches of layers in the simulator: every kernel of the library can be run and timed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kernprof.devices import architecture, find
from kernprof.errors import UnavailableError, UsageError
from kernprof.layers import can_predict, predict_launches, static_launches, too_large
from kernprof.library import Role, entries, entry
from kernprof.library.content import sample_arguments
from kernprof.lowering.launch import Direction, Launch, Library, Purpose
from kernprof.lowering.lower import lower_layer
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.single import single_layer
from kernprof.profile import Source
from kernprof.timing import Caches

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
from emulator_cases import shapes

A100 = find("a100")


def launch(kernel: str, shape: dict[str, int], count: int = 1) -> Launch:
    return Launch(
        kernel=kernel,
        sizes=tuple(shape.items()),
        layer="one",
        direction=Direction.FORWARD,
        purpose=Purpose.PRODUCT,
        library=Library.KERNPROF,
        count=count,
    )


@pytest.fixture(autouse=True)
def _possible() -> None:
    reason = can_predict(A100)
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("kernel", sorted(entries()))
def test_every_kernel_is_predicted_from_sample_arguments(kernel: str) -> None:
    item = entry(kernel)
    shape = next(shapes(item, 1))
    try:
        (done,) = predict_launches(static_launches([launch(kernel, shape, 3)], A100), A100)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    timing = done.timing
    assert timing.finished
    assert timing.issued == timing.execution.executed.sum() > 0
    assert sum(timing.reasons.values()) == timing.warp_cycles
    assert not timing.counters["forced_barriers"]
    assert done.profile.source is Source.PREDICTED
    assert done.profile.launches == 3
    assert done.time_ns == pytest.approx(3 * done.profile.duration_ns)


def test_sample_arguments_fit_the_kernel() -> None:
    for item in entries().values():
        shape = next(shapes(item, 1))
        made = sample_arguments(item, shape)
        assert len(made) == len(item.arguments)
        for argument, value in zip(item.arguments, made, strict=True):
            role = getattr(argument, "role", None)
            if role is not None and argument.elements(shape):
                assert value.shape == (argument.elements(shape),)
                assert str(value.dtype) == argument.dtype
                assert value.flags.writeable
                assert role is not Role.OUT or not value.any()


def test_equal_launches_are_simulated_once_and_counted_apart() -> None:
    item = entry("relu_forward") if "relu_forward" in entries() else next(iter(entries().values()))
    shape = next(shapes(item, 1))
    steps: list[tuple[int, int]] = []
    statics = static_launches([launch(item.name, shape, 2)], A100) * 2
    done = predict_launches(statics, A100, progress=lambda a, b: steps.append((a, b)))
    assert done[0].timing is done[1].timing
    assert steps == [(1, 2), (2, 2)]
    assert [d.profile.origin for d in done] == ["#0", "#1"]


def test_what_cannot_be_predicted_says_why() -> None:
    assert can_predict(find("p100")) == ""
    assert "no numbers for sm_61" in can_predict(
        replace(find("p100"), arch=architecture("sm_61"), name="GTX 1080")
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"in_channels": 2048, "size": 200, "kernel": 7}, "operations"),
        ({"in_channels": 1, "size": 30_000, "kernel": 1}, "bytes of arrays"),
    ],
)
def test_launches_that_would_take_hours_are_refused(options: dict[str, int], what: str) -> None:
    layer = single_layer("conv", **options)
    statics = static_launches(
        lower_layer(layer, LoweringOptions(direction=Direction.FORWARD)), find("p100")
    )
    assert what in too_large(statics)
    with pytest.raises(UsageError, match=f"{what}, at most .*; take a smaller batch or size"):
        predict_launches(statics, find("p100"))


def test_launches_back_to_back_find_their_code_and_each_is_simulated_anew() -> None:
    shape = {"m": 64, "n": 9, "beta": 0}
    # A launch with another beta is another launch of the same kernel.
    wanted = [launch("gemv2N", shape, 8), launch("gemv2N", {**shape, "beta": 1})]
    statics = static_launches(wanted, A100)
    cold, _ = predict_launches(statics, A100)
    many, other = predict_launches(statics, A100, caches=Caches.BACK_TO_BACK)
    # Of eight in a row the second stands for all.
    assert cold.timing.reasons["no_instruction"] > 0
    assert many.timing.reasons["no_instruction"] == 0
    assert other.timing.reasons["no_instruction"] == 0
    assert many.cycles.cycles < cold.cycles.cycles
    (once,) = predict_launches(
        static_launches([launch("gemv2N", shape)], A100), A100, caches=Caches.BACK_TO_BACK
    )
    assert once.cycles.cycles == cold.cycles.cycles
    warm, _ = predict_launches(statics, A100, caches=Caches.WARM)
    assert warm.cycles.cycles < many.cycles.cycles
    assert any("caches warm" in note for note in warm.profile.notes)
