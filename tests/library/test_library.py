"""The registry: complete, plausible, and strict about shapes."""

from __future__ import annotations

import pytest
from emulator_cases import shapes

from kernprof.errors import ShapeError, UnknownNameError
from kernprof.library import Pointer, entries, entry
from kernprof.library.families.gemm import gemv2n_lanes
from kernprof.library.reference import references
from kernprof.lowering import kernel_specs


def test_the_library_has_every_kernel_that_lowerings_name() -> None:
    specs = kernel_specs()
    assert set(entries()) == set(specs)
    for name, item in entries().items():
        assert item.parameters == specs[name].parameters, name
        assert item.family == specs[name].family, name
    assert set(references()) == set(entries())


@pytest.mark.parametrize("name", list(entries()))
def test_work_and_traffic_are_plausible(name: str) -> None:
    item = entries()[name]
    for shape in shapes(item, 5):
        touched = 4 * sum(p.elements(shape) for p in item.pointers)
        assert 0 <= item.bytes_moved(shape) <= 2 * touched
        assert item.flops(shape) >= 0
        arrays = [a for a in item.arguments if isinstance(a, Pointer)]
        assert len({a.name for a in arrays}) == len(arrays)


@pytest.mark.parametrize(
    ("name", "shape", "rule"),
    [
        ("gemv2T", {"m": 0, "n": 1, "beta": 0}, "must be at least 1"),
        ("gemv2T", {"m": 1, "n": 1, "beta": 2}, "must be 0 or 1"),
        ("gemv2T", {"m": 1, "n": 1}, "takes m, n, beta"),
        ("gemv2T", {"m": 65536, "n": 65536, "beta": 0}, "32-bit indices"),
        ("relu_forward", {"count": 2**31}, "32-bit indices"),
        (
            "lrn_output",
            dict.fromkeys(("batch", "channels", "in_h", "in_w"), 4) | {"local_size": 4},
            "odd",
        ),
    ],
)
def test_bad_shapes_are_refused_with_the_rule(name: str, shape: dict[str, int], rule: str) -> None:
    with pytest.raises(ShapeError, match=rule):
        entry(name).check(shape)


def test_groups_must_divide_the_channels() -> None:
    shape = next(iter(shapes(entry("conv_implicit_gemm"), 1)))
    with pytest.raises(ShapeError, match="groups must divide"):
        entry("conv_implicit_gemm").check({**shape, "groups": 5})
    with pytest.raises(ShapeError, match="fit into the padded input"):
        entry("conv_implicit_gemm").check({**shape, "kernel_h": 99})


def test_an_unknown_kernel_suggests_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="gemv2"):
        entry("gemv2t_")


def test_the_more_outputs_the_fewer_threads_make_one() -> None:
    lanes = [gemv2n_lanes({"m": m}) for m in (1, 1024, 1025, 2048, 2049, 4096, 4097, 1 << 20)]
    assert lanes == [32, 32, 16, 16, 8, 8, 4, 4]
    for m in (1, 49, 1024, 1025, 12544):
        shape = {"m": m, "n": 9, "beta": 0}
        grid = entry("gemv2N").geometry(shape).grid.x
        assert grid * 128 // gemv2n_lanes(shape) >= m > (grid - 1) * 128 // gemv2n_lanes(shape)
