"""Which stand-ins cuDNN's convolutions get: right for every shape, and sensible for the GPU."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernprof.errors import ShapeError
from kernprof.library import entry
from kernprof.lowering import Direction, LoweringOptions, Purpose, lower_layer
from kernprof.lowering.cudnn import TILES, choose, choose_split, winograd_cost
from kernprof.lowering.launch import Launch
from kernprof.networks.single import single_layer


def launches(direction: Direction, *, batch: int = 1, sm_count: int = 56, **layer) -> list[Launch]:
    options = LoweringOptions(
        direction=direction, batch=batch, sm_count=sm_count, data_gradients=True
    )
    found = lower_layer(single_layer("conv", **layer), options)
    return [launch for launch in found if launch.family == "conv"]


def kernels(direction: Direction, **layer) -> list[str]:
    return [launch.kernel for launch in launches(direction, **layer)]


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_tiles_are_those_of_the_kernels(tile) -> None:
    for suffix in ("", "_backward_data", "_backward_weight"):
        item = entry(f"conv_tiled_{tile.name}{suffix}")
        names = dict.fromkeys(item.parameters, 1) | {"pad_h": 0, "pad_w": 0}
        sizes = names | {"in_channels": tile.columns + 1, "out_channels": tile.rows + 1}
        sizes |= {"in_channels": tile.rows + 1} if suffix == "_backward_data" else {}
        sizes |= {"in_w": tile.columns + 1} if suffix != "_backward_weight" else {}
        assert tuple(item.launch_geometry(sizes).grid) == (2, 2, 1)
        assert item.launch_geometry(sizes).block.x == 32 * tile.warps


def test_large_products_take_large_tiles_and_few_pixels_small_ones() -> None:
    assert choose(100_000, 512, 4608, 56).name == "128x128"
    assert choose(100_000, 64, 576, 56).name == "128x64"
    assert choose(169, 256, 1024, 56).name == "32x32"


def test_more_multiprocessors_take_smaller_tiles() -> None:
    sizes = (128 * 28, 256, 2304)
    assert choose(*sizes, 28).name == "128x128"
    assert choose(*sizes, 5000).name == "32x32"
    # And share the depth among more blocks.
    few, many = (choose_split(576, 64, 100_000, count)[1] for count in (10, 500))
    assert few < many


def test_a_short_depth_is_not_split() -> None:
    assert choose_split(512, 1000, 64, 56)[1] == 1
    _, parts = choose_split(147, 96, 11881, 56)
    assert 16 < parts <= 11881 / 64 + 1


def test_winograd_takes_three_by_three_of_stride_one() -> None:
    layer = {"in_channels": 256, "out_channels": 256, "size": 28}
    both = ["winograd_filters", "conv_winograd"]
    assert kernels(Direction.FORWARD, **layer, kernel=3, pad=1) == both
    # The gradient of the input: the same, turned; the filters' goes in tiles.
    backward = launches(Direction.BACKWARD, **layer | {"out_channels": 128}, kernel=3, pad=1)
    assert [x.kernel for x in backward][1:] == both
    assert [x.purpose for x in backward][1:] == [Purpose.DATA_GRADIENT] * 2
    assert backward[1].shape == {"in_channels": 256, "out_channels": 128, "turned": 1}
    assert backward[2].shape["in_channels"] == 128
    assert backward[2].shape["out_channels"] == 256
    for other in ({"kernel": 3, "stride": 2}, {"kernel": 5}, {"kernel": 1}, {"kernel": (1, 3)}):
        assert all("winograd" not in k for k in kernels(Direction.FORWARD, **layer, **other))
    assert all("winograd" not in k for k in kernels(Direction.BACKWARD, **layer, kernel=3, pad=0))
    assert kernels(Direction.FORWARD, **layer, kernel=3, pad=0) == both
    assert "winograd" not in str(kernels(Direction.FORWARD, **layer, kernel=3, pad=3))


def test_few_channels_do_not_pay_for_the_filters() -> None:
    assert winograd_cost(10_000, 64, 64, 56) < winograd_cost(10_000, 64, 512, 56)
    (one,) = kernels(
        Direction.FORWARD, in_channels=2048, out_channels=2048, size=3, kernel=3, pad=1
    )
    assert one.startswith("conv_tiled")


def test_what_no_tile_covers_takes_the_plain_kernel() -> None:
    wide = {"in_channels": 2, "out_channels": 4, "size": 40, "kernel": 16, "pad": 0}
    assert kernels(Direction.FORWARD, **wide) == ["conv_implicit_gemm"]
    assert kernels(Direction.FORWARD, **wide | {"kernel": 15}) == ["conv_tiled_32x32"]
    large = {"in_channels": 64, "out_channels": 64, "size": 512, "kernel": 5, "batch": 40}
    assert kernels(Direction.FORWARD, **large) == ["conv_implicit_gemm"]
    assert kernels(Direction.FORWARD, **large | {"batch": 30}) != ["conv_implicit_gemm"]


def test_the_count_of_multiprocessors_is_checked() -> None:
    with pytest.raises(ShapeError, match="sm_count is 0"):
        LoweringOptions(sm_count=0)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(1, 60),
    st.integers(1, 11),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 40),
    st.sampled_from([10, 56, 132]),
)
def test_every_stand_in_can_be_launched(
    inputs: int, outputs: int, size: int, kernel: int, stride: int, pad: int, batch: int, sms: int
) -> None:
    layer = {"in_channels": inputs, "out_channels": outputs, "size": max(size, kernel)}
    layer |= {"kernel": kernel, "stride": stride, "pad": min(pad, kernel - 1)}
    for direction in (Direction.FORWARD, Direction.BACKWARD):
        for launch in launches(direction, batch=batch, sm_count=sms, **layer):
            entry(launch.kernel).check(launch.shape)
