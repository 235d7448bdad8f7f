"""Occupancy against NVIDIA's own calculator, against real reports and against its own laws."""

from __future__ import annotations

import random
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from host_compiler import MISSING, host_compiler
from hypothesis import given
from hypothesis import strategies as st

from kernprof import devices
from kernprof.devices import Limiter, occupancy
from kernprof.errors import ShapeError

REPORTS = Path(__file__).parents[3] / "shared" / "reports"
HEADER_BITS = {
    Limiter.WARPS: 1,
    Limiter.REGISTERS: 2,
    Limiter.SHARED_MEMORY: 4,
    Limiter.BLOCKS: 8,
    Limiter.BARRIERS: 16,
}
# cuda_occupancy.h 12.1 has no case for compute capability 11.0, which came with CUDA 13.
HEADER_ARCHITECTURES = (
    "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "12.0",
)  # fmt: skip


@pytest.mark.parametrize(
    ("gpu", "threads", "registers", "shared", "blocks", "pct", "limiter"),
    [
        # Launches in public reports of LakshyaSingh354/CudaCode, suhithr/speedymatmul,
        # Swagatam1812/hpca-gpu-memory-profiling and AlpriElse/cs599k.
        ("t4", 1024, 51, 0, 1, 100.0, {Limiter.REGISTERS, Limiter.WARPS}),
        ("a100", 256, 32, 0, 8, 100.0, {Limiter.REGISTERS, Limiter.WARPS}),
        ("rtx4090", 1024, 38, 8192, 1, 200 / 3, {Limiter.REGISTERS, Limiter.WARPS}),
        ("h100", 256, 42, 0, 5, 62.5, {Limiter.REGISTERS}),
        ("rtx3090", 128, 16, 0, 12, 100.0, {Limiter.WARPS}),
        # One block of 128 threads on a P100 with all shared memory taken: 4 of 64 warps.
        ("p100", 128, 32, 48 * 1024, 1, 6.25, {Limiter.SHARED_MEMORY}),
        ("v100", 32, 32, 0, 32, 50.0, {Limiter.BLOCKS}),
    ],
)
def test_known_launches(
    gpu: str,
    threads: int,
    registers: int,
    shared: int,
    blocks: int,
    pct: float,
    limiter: set[Limiter],
) -> None:
    found = occupancy(
        devices.find(gpu),
        threads_per_block=threads,
        registers=registers,
        static_shared_bytes=shared,
    )
    assert found.blocks_per_sm == blocks
    assert found.occupancy_pct == pytest.approx(pct)
    assert set(found.limiters) == limiter


def _header() -> Path | None:
    spec = find_spec("nvidia.cuda_runtime")
    for place in spec.submodule_search_locations or () if spec else ():
        header = Path(place) / "include" / "cuda_occupancy.h"
        if header.exists():
            return header
    return None


def test_equals_the_vendors_calculator(tmp_path: Path) -> None:
    """Thousands of random launches on every architecture: blocks, limiters and allocations."""
    header, compiler = _header(), host_compiler()
    if header is None:
        pytest.skip("needs nvidia-cuda-runtime-cu12 (cuda_occupancy.h)")
    if compiler is None:
        pytest.skip(MISSING)
    binary = tmp_path / "calculator"
    source = Path(__file__).with_name("occupancy_header.cpp")
    subprocess.run(
        [*compiler, "-O1", "-w", f"-I{header.parent}", str(source), "-o", str(binary)], check=True
    )
    rng = random.Random(20)
    cases = []
    for cc in HEADER_ARCHITECTURES:
        arch = devices.architecture(cc)
        for _ in range(1500):
            static = rng.choice([0, 0, rng.randrange(49153)])
            # What exceeds the opt-in limit is left to the next test: the header asks there for a
            # declared maximum that a caller may set at will.
            room = arch.shared_per_block_optin_bytes - static
            dynamic = rng.choice([0, 0, rng.randrange(max(1, room + 1))])
            launch = {
                "threads_per_block": rng.choice([rng.randint(1, 1024), 32 * rng.randint(1, 33)]),
                "registers": rng.randint(0, 255),
                "static_shared_bytes": static,
                "dynamic_shared_bytes": dynamic,
                "barriers": rng.randint(0, 16),
            }
            cases.append((arch, launch))
    lines = [
        f"{arch.cc.replace('.', ' ')} {arch.max_warps_per_sm} {arch.shared_per_sm_bytes}"
        f" {arch.shared_per_block_bytes} {arch.shared_per_block_optin_bytes}"
        f" {arch.shared_reserved_per_block_bytes} {' '.join(str(v) for v in launch.values())}"
        for arch, launch in cases
    ]
    out = subprocess.run(
        [str(binary)], input="\n".join(lines), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(out) == len(cases)
    for (arch, launch), line in zip(cases, out, strict=True):
        status, blocks, bits, registers, shared = map(int, line.split())
        assert status == 0, (arch.cc, launch)
        ours = occupancy(arch, **launch)
        assert ours.blocks_per_sm == blocks, (arch.cc, launch, ours)
        if ours.limiters == (Limiter.BARRIERS,):
            # The header leaves the bits of what would limit without barriers standing.
            assert bits & HEADER_BITS[Limiter.BARRIERS]
        else:
            assert sum(HEADER_BITS[name] for name in ours.limiters) == bits, (arch.cc, launch)
        assert ours.registers_per_block == registers
        assert ours.shared_per_block_bytes == shared


def test_more_shared_memory_than_a_block_may_have_does_not_run() -> None:
    arch = devices.architecture("8.6")
    limit = arch.shared_per_block_optin_bytes
    fits = occupancy(arch, threads_per_block=32, registers=16, dynamic_shared_bytes=limit)
    over = occupancy(arch, threads_per_block=32, registers=16, dynamic_shared_bytes=limit + 1)
    assert (fits.blocks_per_sm, over.blocks_per_sm) == (1, 0)
    assert over.limiters == (Limiter.SHARED_MEMORY,)


@pytest.mark.parametrize("field", ["registers", "static_shared_bytes", "barriers"])
def test_negative_amounts_are_refused(field: str) -> None:
    launch = {"threads_per_block": 32, "registers": 16} | {field: -1}
    with pytest.raises(ShapeError, match="nothing negative"):
        occupancy(devices.find("a100"), **launch)


@given(
    gpu=st.sampled_from(["p100", "v100", "t4", "a100", "rtx3090", "rtx4090", "h100"]),
    threads=st.integers(1, 1024),
    registers=st.integers(1, 254),
    shared=st.integers(0, 48 * 1024),
)
def test_more_of_anything_never_raises_occupancy(
    gpu: str, threads: int, registers: int, shared: int
) -> None:
    device = devices.find(gpu)

    def blocks(**more: int) -> int:
        launch = {
            "threads_per_block": threads,
            "registers": registers,
            "static_shared_bytes": shared,
        }
        return occupancy(device, **(launch | more)).blocks_per_sm

    base = blocks()
    assert blocks(registers=registers + 1) <= base
    assert blocks(static_shared_bytes=shared + 1) <= base
    if threads < 1024:
        assert blocks(threads_per_block=threads + 1) <= base


def test_carveout_and_waves() -> None:
    a100 = devices.find("a100")
    found = occupancy(a100, threads_per_block=256, registers=32, static_shared_bytes=8192)
    assert found.shared_per_block_bytes == 9216
    size = devices.smallest_carveout_bytes(
        a100.arch, found.blocks_per_sm, found.shared_per_block_bytes
    )
    assert size == 100 * 1024
    small = occupancy(
        a100,
        threads_per_block=256,
        registers=32,
        static_shared_bytes=8192,
        shared_config_bytes=32 * 1024,
    )
    assert small.blocks_per_sm == 3
    # A carve-out below one block is raised to the next that holds it.
    assert occupancy(
        a100,
        threads_per_block=256,
        registers=32,
        static_shared_bytes=8192,
        shared_config_bytes=8192,
    ).shared_config_bytes == (16 * 1024)
    with pytest.raises(ShapeError, match="an SM of sm_80 has"):
        devices.smallest_carveout_bytes(a100.arch, 32, 9216)
    assert devices.waves_per_sm(a100, 8192, 8) == pytest.approx(8192 / 864)
    assert devices.tail_efficiency_pct(1.25) == pytest.approx(62.5)
    with pytest.raises(ShapeError, match="at least one"):
        devices.waves_per_sm(a100, 0, 8)


def _profiles() -> list[object]:
    if not REPORTS.is_dir():
        pytest.skip("the corpus of public reports is not here")
    reports = pytest.importorskip("kernprof.reports")
    if not hasattr(reports, "load"):
        pytest.skip("kernprof.reports has no load yet")
    found: list[object] = []
    for path in sorted(REPORTS.glob("*.ncu-rep")):
        found.extend(reports.load(str(path)).profiles)
    return found


def test_equals_what_real_reports_say() -> None:
    """Every launch of every report: all limits, the occupancy and the waves."""
    checked = 0
    for profile in _profiles():
        value = profile.value  # type: ignore[attr-defined]
        pct = value("sm__maximum_warps_per_active_cycle_pct")
        if pct is None:
            continue
        device = devices.from_attributes(
            {k: v for k, v in profile.metrics.items() if k.startswith("device__attribute_")}  # type: ignore[attr-defined]
            or profile.gpu.attributes  # type: ignore[attr-defined]
        )

        def amount(name: str, value=value) -> int:  # type: ignore[no-untyped-def]
            return int(value(f"launch__{name}") or 0)

        launch = {
            "threads_per_block": amount("block_size"),
            "registers": amount("registers_per_thread"),
            "static_shared_bytes": amount("shared_mem_per_block_static"),
            "dynamic_shared_bytes": amount("shared_mem_per_block_dynamic"),
            "barriers": amount("barrier_count"),
        }
        ours = occupancy(
            device, **launch, shared_config_bytes=amount("shared_mem_config_size") or None
        )
        assert ours.occupancy_pct == pytest.approx(pct)
        assert ours.limits[Limiter.REGISTERS] == amount("occupancy_limit_registers")
        assert ours.limits[Limiter.WARPS] == amount("occupancy_limit_warps")
        assert ours.limits[Limiter.BLOCKS] == amount("occupancy_limit_blocks")
        # Older profilers took the largest carve-out for this limit, newer ones that in force; for a
        # launch without shared memory they print the limit of blocks.
        unlimited = device.arch.max_blocks_per_sm
        largest = occupancy(device, **launch)
        assert amount("occupancy_limit_shared_mem") in {
            ours.limits.get(Limiter.SHARED_MEMORY, unlimited),
            largest.limits.get(Limiter.SHARED_MEMORY, unlimited),
        }
        assert devices.waves_per_sm(
            device, amount("grid_size"), ours.blocks_per_sm
        ) == pytest.approx(value("launch__waves_per_multiprocessor"))
        checked += 1
    assert checked >= 100
