"""The compiled kernels: no spills, the registered arguments, blocks within the launch bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from kernprof.compile import SOURCE_ROOT, Cubin, compile_source
from kernprof.errors import ShapeError
from kernprof.library import Pointer, Role, entries, entry, source
from kernprof.lowering import Direction, Lowering, LoweringOptions, lower_network
from kernprof.lowering.launch import kernel_specs
from kernprof.networks import load_network
from kernprof.networks.ir import Engine

ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
FILES = sorted({item.file for item in entries().values()})


@cache
def cubins(file: str) -> tuple[Cubin, ...]:
    """Compile a file for every architecture, two at a time."""
    text = source(next(item for item in entries().values() if item.file == file))
    with ThreadPoolExecutor(2) as pool:
        return tuple(
            pool.map(
                lambda arch: compile_source(text, arch=arch, name=f"{SOURCE_ROOT}/{file}"), ARCHES
            )
        )


@pytest.mark.parametrize("file", FILES)
def test_no_kernel_spills(file: str) -> None:
    for cubin in cubins(file):
        for item in (e for e in entries().values() if e.file == file):
            resources, spills = cubin.kernel(item.name), cubin.spills[item.name]
            if item.spills is None:
                moved = (spills.store_bytes, spills.load_bytes, resources.frame_bytes)
                assert moved == (0, 0, 0), f"{item.name} on {cubin.arch}"
        assert not cubin.log


@pytest.mark.parametrize("file", FILES)
def test_sources_hold_the_registered_kernels_with_their_arguments(file: str) -> None:
    items = {e.name: e for e in entries().values() if e.file == file}
    for cubin in cubins(file):
        assert set(cubin.kernels) == set(items)
        for name, item in items.items():
            size = 0
            for argument in item.arguments:
                width = 8 if isinstance(argument, Pointer) else 4
                size = -(-size // width) * width + width
            assert cubin.kernel(name).parameter_bytes == size, f"{name} on {cubin.arch}"


def _options() -> list[LoweringOptions]:
    variants = [name for name, spec in kernel_specs().items() if spec.family == "sgemm"]
    return [
        *(
            LoweringOptions(
                lowering=lowering, direction=Direction.BOTH, batch=batch, data_gradients=True
            )
            for lowering in Lowering
            for batch in (1, 32)
        ),
        LoweringOptions(engine=Engine.CAFFE, data_gradients=True),
        *(LoweringOptions(lowering=Lowering.IM2COL, sgemm=name) for name in variants),
    ]


@pytest.mark.parametrize("name", ["alexnet", "mobilenet", "squeezenet", "googlenet", "sqnxt-23v5"])
def test_what_networks_launch_can_be_launched(name: str) -> None:
    net = load_network(name)
    limits = {
        n: min(c.kernel(n).max_threads or 1024 for c in cubins(item.file))
        for n, item in entries().items()
    }
    seen = {
        (launch.kernel, launch.sizes)
        for options in _options()
        for launch in lower_network(net, options).launches
    }
    assert len(seen) > 50
    for kernel, sizes in seen:
        item, shape = entry(kernel), dict(sizes)
        geometry = item.launch_geometry(shape)
        assert 1 <= geometry.block.total <= limits[kernel], f"{kernel} {shape}"
        assert geometry.dynamic_shared_bytes <= 48 * 1024
        assert item.flops(shape) >= 0
        # An OUT array is written whole, an IN array may be read in part (strides leave gaps).
        written = sum(p.elements(shape) for p in item.pointers if p.role is Role.OUT)
        assert item.bytes_moved(shape) >= 4 * written, f"{kernel} {shape}"


@pytest.mark.parametrize("name", sorted(entries()))
def test_bad_shapes_are_refused_with_the_rule(name: str) -> None:
    item = entry(name)
    if not item.parameters:
        with pytest.raises(ShapeError, match="takes no parameters"):
            item.check({"count": 1})
        return
    with pytest.raises(ShapeError, match=f"{name} takes {item.parameters[0]}"):
        item.check({})
    for value in (0, -1):
        with pytest.raises(ShapeError, match=name):
            item.check(dict.fromkeys(item.parameters, value))
    with pytest.raises(ShapeError, match=name):
        item.check(dict.fromkeys(item.parameters, 2**31))
