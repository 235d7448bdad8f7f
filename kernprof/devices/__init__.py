"""GPUs: their limits, theoretical occupancy and rooflines."""

from kernprof.devices.bounds import Range, check_device, check_number
from kernprof.devices.model import WARP_SIZE, Architecture, Device, FunctionalUnits
from kernprof.devices.occupancy import (
    Limiter,
    Occupancy,
    occupancy,
    smallest_carveout_bytes,
    tail_efficiency_pct,
    waves_per_sm,
)
from kernprof.devices.roofline import Bound, bound
from kernprof.devices.table import architecture, find, from_attributes, names

__all__ = [
    "WARP_SIZE",
    "Architecture",
    "Bound",
    "Device",
    "FunctionalUnits",
    "Limiter",
    "Occupancy",
    "Range",
    "architecture",
    "bound",
    "check_device",
    "check_number",
    "find",
    "from_attributes",
    "names",
    "occupancy",
    "smallest_carveout_bytes",
    "tail_efficiency_pct",
    "waves_per_sm",
]
