"""The library against the lowerings and the compiler."""

from __future__ import annotations

import pytest
import shapes

from kernprof.compile import compile_source
from kernprof.errors import ShapeError, UnknownNameError
from kernprof.library import Pointer, entries, entry, source
from kernprof.library.reference import references
from kernprof.lowering import LoweringOptions, kernel_specs, lower_network
from kernprof.lowering.launch import Direction, Lowering
from kernprof.networks import load_network

ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
FILES = sorted({item.file for item in entries().values()})


def test_the_library_has_every_kernel_that_lowerings_name() -> None:
    specs = kernel_specs()
    assert set(entries()) == set(specs)
    for name, item in entries().items():
        assert item.parameters == specs[name].parameters, name
        assert item.family == specs[name].family, name
    assert set(references()) == set(entries())


@pytest.mark.parametrize("network", ["alexnet", "mobilenet", "1.0-sqnxt-23", "googlenet"])
@pytest.mark.parametrize("lowering", list(Lowering))
def test_every_launch_of_a_network_has_a_kernel_and_a_geometry(
    network: str, lowering: Lowering
) -> None:
    options = LoweringOptions(lowering=lowering, direction=Direction.BOTH)
    for launch in lower_network(load_network(network), options).launches:
        geometry = entry(launch.kernel).launch_geometry(launch.shape)
        assert 1 <= geometry.block.total <= 1024
        assert geometry.dynamic_shared_bytes <= 48 * 1024


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("arch", ARCHES)
def test_every_kernel_compiles_without_spills(arch: str, file: str) -> None:
    items = [item for item in entries().values() if item.file == file]
    cubin = compile_source(source(items[0]), arch=arch, name=f"/kernprof/{file}")
    assert set(cubin.kernels) == {item.name for item in items}
    for item in items:
        spilled = cubin.spills[item.name]
        if item.spills is None:
            assert (spilled.store_bytes, spilled.load_bytes) == (0, 0), item.name
        threads = item.geometry(shapes.shapes(item.name)[0]).block.total
        assert cubin.kernels[item.name].registers * threads <= 65536


@pytest.mark.parametrize("name", list(entries()))
def test_work_and_traffic_are_plausible(name: str) -> None:
    item = entries()[name]
    for shape in shapes.shapes(name):
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
    (shape, *_) = shapes.shapes("conv_implicit_gemm")
    with pytest.raises(ShapeError, match="groups must divide"):
        entry("conv_implicit_gemm").check({**shape, "groups": 5})
    with pytest.raises(ShapeError, match="fit into the padded input"):
        entry("conv_implicit_gemm").check({**shape, "kernel_h": 99})


def test_an_unknown_kernel_suggests_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="gemv2"):
        entry("gemv2t_")
