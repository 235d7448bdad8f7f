"""The table of GPUs: its form, its provenance, its look-up, and devices made from attributes."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from kernprof import devices
from kernprof.errors import ReportError, UnknownNameError

TABLE: dict[str, Any] = tomllib.loads(
    (resources.files("kernprof.devices") / "data" / "gpus.toml").read_text("utf-8")
)


def _groups(node: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if any(isinstance(v, (int, float, list)) for v in node.values()):
        found.append((path, node))
    for key, value in node.items():
        if isinstance(value, dict):
            found.extend(_groups(value, f"{path}.{key}"))
    return found


GROUPS = _groups(TABLE["architectures"], "architectures") + _groups(TABLE["boards"], "boards")


@pytest.mark.parametrize(("path", "group"), GROUPS, ids=[p for p, _ in GROUPS])
def test_every_number_has_a_source_and_a_degree_of_trust(path: str, group: dict[str, Any]) -> None:
    assert group["source"] in TABLE["sources"], path
    assert group["confidence"] in {"read", "observed", "vendor"}, path


def test_every_source_is_used() -> None:
    assert {group["source"] for _, group in GROUPS} == set(TABLE["sources"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a100", "a100"),
        ("A100", "a100"),
        ("sm_86", "rtx3090"),
        ("sm_60", "p100"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("rtx-3090", "rtx3090"),
        ("H100-SXM5", "h100"),
        ("p100-pcie-12gb", "p100-pcie-12gb"),
    ],
)
def test_find(name: str, key: str) -> None:
    assert devices.find(name).key == key


def test_every_printed_name_is_found() -> None:
    for name in devices.names():
        assert devices.find(name).name


@pytest.mark.parametrize("name", ["", "a10000", "sm_35", "sm_61", "gtx"])
def test_unknown_names_list_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean|known:"):
        devices.find(name)


@pytest.mark.parametrize("name", ["8.6", "sm_86", "SM_86"])
def test_architecture_by_either_spelling(name: str) -> None:
    assert devices.architecture(name).name == "sm_86"


def test_laws_of_the_table() -> None:
    for name in TABLE["architectures"]:
        arch = devices.architecture(name)
        assert arch.name == "sm_" + arch.cc.replace(".", "")
        assert arch.shared_carveouts_bytes == tuple(sorted(arch.shared_carveouts_bytes))
        assert arch.shared_carveouts_bytes[-1] == arch.shared_per_sm_bytes
        assert arch.shared_per_block_optin_bytes <= arch.shared_per_sm_bytes
        assert arch.registers_per_sm % arch.sub_partitions == 0
        if arch.units:
            throughput = arch.results_per_cycle_per_sm
            assert throughput["fp32_add_mul_fma"] == arch.units.fp32_lanes
            assert throughput["fp64"] == arch.units.fp64_lanes
            assert throughput["special"] == arch.units.special_lanes


@pytest.mark.parametrize(
    ("gpu", "tflops"),
    # Peak FP32 rates as the vendor's data sheets print them.
    [("p100", 10.6), ("v100", 15.7), ("t4", 8.1), ("a100", 19.5), ("rtx3090", 35.6),
     ("rtx4090", 82.6), ("h100", 66.9)],
)  # fmt: skip
def test_peak_rate_is_the_data_sheets(gpu: str, tflops: float) -> None:
    peak = devices.find(gpu).peak_fp32_flops_per_s
    assert peak is not None
    assert peak / 1e12 == pytest.approx(tflops, abs=0.06)


A100 = {
    "device__attribute_display_name": "NVIDIA A100-SXM4-40GB",
    "device__attribute_compute_capability_major": 8,
    "device__attribute_compute_capability_minor": 0,
    "device__attribute_multiprocessor_count": 108,
    "device__attribute_clock_rate": 1410000,
    "device__attribute_memory_clock_rate": 1215000,
    "device__attribute_global_memory_bus_width": 5120,
    "device__attribute_l2_cache_size": 41943040,
    "device__attribute_max_warps_per_multiprocessor": 64.0,
}


def test_attributes_of_a_known_board_give_that_board() -> None:
    made, listed = devices.from_attributes(A100), devices.find("a100")
    assert made.arch == listed.arch
    assert made.sm_count == listed.sm_count
    assert made.boost_clock_mhz == listed.boost_clock_mhz
    assert made.l2_bytes == listed.l2_bytes
    assert made.dram_bandwidth_bytes_per_s == pytest.approx(
        listed.dram_bandwidth_bytes_per_s, rel=1e-3
    )


def test_attributes_override_the_table() -> None:
    mig = A100 | {"device__attribute_multiprocessor_count": 14, "max_blocks_per_multiprocessor": 8}
    made = devices.from_attributes(mig)
    assert (made.sm_count, made.arch.max_blocks_per_sm) == (14, 8)


def test_unknown_memory_clock_is_not_zero_bandwidth() -> None:
    made = devices.from_attributes(A100 | {"device__attribute_memory_clock_rate": 0})
    assert made.dram_bandwidth_bytes_per_s is None


@pytest.mark.parametrize("value", [None, 0, -3, float("nan"), "many", True])
def test_bad_attributes_are_named(value: object) -> None:
    with pytest.raises(ReportError, match="multiprocessor_count is"):
        devices.from_attributes(A100 | {"device__attribute_multiprocessor_count": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("multiprocessor_count", 2**63),
        ("clock_rate", 1e300),
        ("l2_cache_size", 2**62),
        ("memory_clock_rate", float("inf")),
        ("global_memory_bus_width", 10**400),
        ("max_warps_per_multiprocessor", 1 << 20),
        ("max_threads_per_multiprocessor", 1 << 40),
        ("max_shared_memory_per_multiprocessor", 1e12),
        ("total_memory", 1e300),
    ],
)
def test_attributes_beyond_any_gpu_are_refused(name: str, value: float) -> None:
    with pytest.raises(ReportError, match=rf"{name} is .*, expected a number from .* to "):
        devices.from_attributes(A100 | {f"device__attribute_{name}": value})


@pytest.mark.parametrize("key", [k for k in devices.names() if not k.startswith("sm_")])
def test_every_board_of_the_table_is_within_the_ranges(key: str) -> None:
    devices.check_device(devices.find(key))


def test_unknown_compute_capability() -> None:
    with pytest.raises(UnknownNameError, match="GPU architecture"):
        devices.from_attributes(A100 | {"device__attribute_compute_capability_major": 3})
