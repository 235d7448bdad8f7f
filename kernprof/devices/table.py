"""The table of known GPUs, and the devices that reports describe by their attributes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from kernprof.devices.bounds import ARCHITECTURE, CLOCK_MHZ, DEVICE, Range, shown
from kernprof.devices.model import WARP_SIZE, Architecture, Device, FunctionalUnits
from kernprof.errors import ReportError, UnknownNameError

KIB = 1024
_KHZ = Range(1, CLOCK_MHZ.high * 1e3, "kHz")
_MEMORY_KHZ = Range(1, 1e8, "kHz")  # GDDR6X and newer tell more than 10 GHz
_THREADS = Range(WARP_SIZE, ARCHITECTURE["max_warps_per_sm"].high * WARP_SIZE)
_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "max_warps_per_multiprocessor": "max_warps_per_sm",
        "max_blocks_per_multiprocessor": "max_blocks_per_sm",
        "max_threads_per_block": "max_threads_per_block",
        "max_registers_per_multiprocessor": "registers_per_sm",
        "max_registers_per_block": "registers_per_block",
        "max_shared_memory_per_multiprocessor": "shared_per_sm_bytes",
        "max_shared_memory_per_block": "shared_per_block_bytes",
        "max_shared_memory_per_block_optin": "shared_per_block_optin_bytes",
        "reserved_shared_memory_per_block": "shared_reserved_per_block_bytes",
    }
)
"""Limits of an architecture by the device attribute that tells them."""


@cache
def _document() -> Mapping[str, Any]:
    text = (resources.files("kernprof.devices") / "data" / "gpus.toml").read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))


def _units(row: Mapping[str, Any]) -> FunctionalUnits:
    return FunctionalUnits(
        fp32_lanes=row["fp32_lanes_per_sm"],
        int32_lanes=row["int32_lanes_per_sm"],
        fp64_lanes=row["fp64_lanes_per_sm"],
        special_lanes=row["special_lanes_per_sm"],
        load_store_lanes=row["load_store_lanes_per_sm"],
        tensor_cores=row["tensor_cores_per_sm"],
        l1_bytes=row["l1_kib"] * KIB,
    )


@cache
def _architectures() -> Mapping[str, Architecture]:
    found: dict[str, Architecture] = {}
    for name, row in _document()["architectures"].items():
        allocation = row["allocation"]
        throughput = row.get("results_per_cycle_per_sm", {})
        found[name] = Architecture(
            name=name,
            cc=row["cc"],
            max_warps_per_sm=row["max_warps_per_sm"],
            max_blocks_per_sm=allocation["max_blocks_per_sm"],
            max_threads_per_block=row["max_threads_per_block"],
            barriers_per_sm=allocation["barriers_per_sm"],
            registers_per_sm=row["registers_per_sm"],
            registers_per_block=row["registers_per_block"],
            max_registers_per_thread=row["max_registers_per_thread"],
            register_unit=allocation["register_unit"],
            sub_partitions=allocation["sub_partitions"],
            issue_per_scheduler=row["issue_per_scheduler"],
            shared_per_sm_bytes=row["shared_per_sm_kib"] * KIB,
            shared_per_block_bytes=row["shared_per_block_kib"] * KIB,
            shared_per_block_optin_bytes=row["shared_per_block_optin_kib"] * KIB,
            shared_unit_bytes=allocation["shared_unit_bytes"],
            shared_reserved_per_block_bytes=row["shared_reserved_per_block_bytes"],
            shared_carveouts_bytes=tuple(k * KIB for k in allocation["shared_carveouts_kib"]),
            units=_units(row["units"]) if "units" in row else None,
            results_per_cycle_per_sm=MappingProxyType(
                {k: v for k, v in throughput.items() if k not in ("source", "confidence")}
            ),
        )
    return MappingProxyType(found)


@cache
def _boards() -> Mapping[str, Device]:
    return MappingProxyType(
        {
            key: Device(
                key=key,
                name=row["name"],
                arch=_architectures()[row["arch"]],
                sm_count=row["sm_count"],
                base_clock_mhz=row.get("base_clock_mhz"),
                boost_clock_mhz=row["boost_clock_mhz"],
                dram_bandwidth_bytes_per_s=row["dram_bandwidth_gb_per_s"] * 1e9,
                dram_bytes=row["dram_gb"] * KIB**3,
                l2_bytes=row["l2_kib"] * KIB,
                dram_kind=row["dram_kind"],
                power_limit_w=row["power_limit_w"],
            )
            for key, row in _document()["boards"].items()
        }
    )


def _plain(name: str) -> str:
    """Spelling without case, blanks, dashes and the vendor's name."""
    bare = name.lower().replace("nvidia", "")
    return "".join(c for c in bare if c.isalnum() or c == "_")


@cache
def _spellings() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for key, row in _document()["boards"].items():
        for name in (key, row["name"], *row["aliases"]):
            names[_plain(name)] = key
    for arch, row in _document()["architectures"].items():
        if "usual_board" in row:
            names[arch] = row["usual_board"]
    return MappingProxyType(names)


def names() -> tuple[str, ...]:
    """Return the names that ``--gpu`` takes, boards before architectures."""
    architectures = (a for a, row in _document()["architectures"].items() if "usual_board" in row)
    return (*_boards(), *architectures)


def find(name: str) -> Device:
    """Return the board with this name, or the usual board of this architecture.

    Parameters
    ----------
    name
        "a100", a product name ("Tesla T4") or an architecture ("sm_86"); case, blanks and dashes
        don't matter.

    Raises
    ------
    UnknownNameError
        If no board and no architecture has this name.
    """
    key = _spellings().get(_plain(name))
    if key is None:
        raise UnknownNameError("GPU", name, names())
    return _boards()[key]


def architecture(name: str) -> Architecture:
    """Return an architecture's limits by name ("sm_86") or compute capability ("8.6").

    Raises
    ------
    UnknownNameError
        If the table has no such architecture.
    """
    known = _architectures()
    spelled = name.lower() if name.lower().startswith("sm_") else "sm_" + name.replace(".", "")
    if spelled not in known:
        raise UnknownNameError("GPU architecture", name, tuple(known))
    return known[spelled]


def from_attributes(attributes: Mapping[str, Any]) -> Device:
    """Make a device from the attributes that a report carries.

    What the report states is taken from it; allocation units and lanes, which it does not state,
    come from the table of architectures.

    Parameters
    ----------
    attributes
        Values by name, with or without the prefix ``device__attribute_``.

    Raises
    ------
    ReportError
        If an attribute that can't be done without is missing or is no positive number, or one is
        larger than that of any GPU.
    UnknownNameError
        If the table doesn't have the compute capability.
    """
    bare = {k.removeprefix("device__attribute_"): v for k, v in attributes.items()}

    def refused(key: str, allowed: Range) -> ReportError:
        value = bare.get(key, "missing")
        told = shown(value) if isinstance(value, int | float) else str(value)[:40]
        return ReportError(
            f"device attribute {key} is {told}, expected a number {allowed}; name the GPU instead"
        )

    def number(key: str, allowed: Range) -> int | None:
        value: object = bare.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        # Reports write 0, -1 or NaN for what the driver didn't tell.
        if value != value or value < allowed.low:
            return None
        if not allowed.holds(value):
            raise refused(key, allowed)
        return int(value)

    def needed(key: str, allowed: Range) -> int:
        value = number(key, allowed)
        if value is None:
            raise refused(key, allowed)
        return value

    major = needed("compute_capability_major", Range(1, 99))
    known = architecture(f"{major}.{needed('compute_capability_minor', Range(0, 99))}")

    threads = number("max_threads_per_multiprocessor", _THREADS)
    told: dict[str, Any] = {}
    for key, field in _LIMITS.items():
        value = number(key, ARCHITECTURE[field])
        if value is not None:
            told[field] = value
    if threads is not None:
        told.setdefault("max_warps_per_sm", threads // WARP_SIZE)
    arch = replace(known, **told)
    clock_khz = number("clock_rate", _KHZ)
    memory_khz = number("memory_clock_rate", _MEMORY_KHZ)
    bus_bits = number("global_memory_bus_width", Range(1, 1 << 20))
    bandwidth = None
    if memory_khz is not None and bus_bits is not None:
        # The attribute is the clock of a double-data-rate bus: two transfers per cycle.
        bandwidth = 2.0 * memory_khz * 1e3 * bus_bits / 8
    return Device(
        key=None,
        name=str(bare.get("display_name") or f"GPU of compute capability {arch.cc}"),
        arch=arch,
        sm_count=needed("multiprocessor_count", DEVICE["sm_count"]),
        boost_clock_mhz=None if clock_khz is None else clock_khz / 1e3,
        dram_bandwidth_bytes_per_s=bandwidth,
        dram_bytes=number("total_memory", DEVICE["dram_bytes"]),
        l2_bytes=number("l2_cache_size", Range(1, DEVICE["l2_bytes"].high, "bytes")),
    )
