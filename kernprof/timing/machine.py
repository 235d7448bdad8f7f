"""The table of architectures as the timing model sees them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from kernprof.errors import UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Latencies (SM cycles), rates (bytes or lines per SM cycle) and sizes of one architecture.

    Sources of every number are in ``data/machines.toml``.
    """

    shared_latency: int
    l1_latency: int
    l2_latency: int
    dram_latency: int
    l1_loads: bool
    l1_in_shared: bool
    fetch_sectors: int
    l2_bytes_per_cycle_per_sm: float
    l2_copies: float
    fill_bytes_per_cycle: float
    dram_efficiency: float
    tag_lines_per_cycle: float
    code_cache_bytes: int
    register_banks: int
    branch_latency: int
    l1_ways: int
    l2_ways: int
    lg_queue: int
    mio_queue: int
    store_bytes_per_cycle: float
    store_read_latency: int
    barrier_latency: int
    barrier_interval: int
    fetch_latency: int
    fetch_cold_latency: int
    constant_latency: int
    drain_latency: int
    fence_latency: int
    sleep_cycles: int
    write_buffer_cycles: int
    fetch_interval: int
    atomic_extra: int
    atomic_interval: float
    launch_latency: int
    block_latency: int
    block_interval: float
    round_cycles: int
    warp_interval: int


@cache
def _document() -> dict[str, Any]:
    text = (resources.files("kernprof.timing") / "data" / "machines.toml").read_text("utf-8")
    return tomllib.loads(text)


def names() -> tuple[str, ...]:
    """Return the architectures that the model has numbers for."""
    return tuple(n for n in _document() if n.startswith("sm_"))


@cache
def machine(arch: str) -> Machine:
    """Return the numbers of an architecture ("sm_80").

    Raises
    ------
    UnknownNameError
        The model has none for it.
    """
    document = _document()
    if arch not in names():
        raise UnknownNameError("architecture of the timing model", arch, names())
    return Machine(**{**document["common"], **document[arch]})
