"""The range of every number that describes a GPU, wherever it comes from.

A report, an option or a caller may say anything; what is outside is refused before it is computed
with. The ranges are wide around every GPU that there is: they keep out what is no number or no GPU,
and bound the memory and time of what is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kernprof.devices.model import Architecture, Device
from kernprof.errors import UsageError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers that can be believed, both ends included.

    Parameters
    ----------
    low, high
        The ends.
    unit
        Their unit, for messages; empty for counts.
    """

    low: float
    high: float
    unit: str = ""

    def holds(self, value: float) -> bool:
        """Whether a value is a number inside; NaN is none."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        ends = f"from {self.low:.15g} to {self.high:.15g}"
        return f"{ends} {self.unit}" if self.unit else ends


CLOCK_MHZ = Range(1, 10_000, "MHz")
_MEMORY = Range(1, 1 << 24, "bytes")
_REGISTERS = Range(1, 1 << 24)

DEVICE: Mapping[str, Range] = MappingProxyType(
    {
        "sm_count": Range(1, 1024),
        "base_clock_mhz": CLOCK_MHZ,
        "boost_clock_mhz": CLOCK_MHZ,
        "dram_bandwidth_bytes_per_s": Range(1e6, 1e15, "bytes per second"),
        "dram_bytes": Range(1, 1 << 50, "bytes"),
        "l2_bytes": Range(0, 1 << 30, "bytes"),
        "power_limit_w": Range(0, 1e5, "watts"),
    }
)
"""Of the numbers of a :class:`~kernprof.devices.model.Device`."""

ARCHITECTURE: Mapping[str, Range] = MappingProxyType(
    {
        "max_warps_per_sm": Range(1, 128),
        "max_blocks_per_sm": Range(1, 64),
        "max_threads_per_block": Range(1, 2048),
        "barriers_per_sm": Range(1, 1024),
        "registers_per_sm": _REGISTERS,
        "registers_per_block": _REGISTERS,
        "max_registers_per_thread": Range(1, 1024),
        "register_unit": Range(1, 1 << 16),
        "sub_partitions": Range(1, 8),
        "issue_per_scheduler": Range(1, 2),
        "shared_per_sm_bytes": _MEMORY,
        "shared_per_block_bytes": _MEMORY,
        "shared_per_block_optin_bytes": _MEMORY,
        "shared_unit_bytes": Range(1, 1 << 20, "bytes"),
        "shared_reserved_per_block_bytes": Range(0, 1 << 24, "bytes"),
    }
)
"""Of the numbers of an :class:`~kernprof.devices.model.Architecture`."""


def check_device(device: Device) -> None:
    """Refuse a GPU that can't be.

    Raises
    ------
    UsageError
        One of its numbers is outside of its range; the message names it.
    """
    owners: tuple[tuple[Device | Architecture, Mapping[str, Range]], ...] = (
        (device, DEVICE),
        (device.arch, ARCHITECTURE),
    )
    for owner, ranges in owners:
        for name, allowed in ranges.items():
            value = getattr(owner, name)
            if value is not None:
                check_number(f"{name} of {device.name}", value, allowed)


def check_number(what: str, value: float, allowed: Range) -> None:
    """Refuse a number outside of its range.

    Raises
    ------
    UsageError
        It is outside, or not a number.
    """
    if not allowed.holds(value):
        raise UsageError(f"{what} is {shown(value)}; expected a number {allowed}")


def shown(value: float) -> str:
    """Return a number as text; an integer too long for a float by its size."""
    try:
        return f"{value:.15g}"
    except OverflowError:
        return "an integer beyond 1e308"
