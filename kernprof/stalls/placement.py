"""Where a launch lies under the roofline of its GPU: FP32 operations against DRAM traffic.

The metrics are those of Nsight Compute's own FP32 roofline (section SpeedOfLight_RooflineChart) or
of nvprof (flop_count_sp, dram_read_bytes, dram_write_bytes). A fused multiply-add is two
operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from kernprof.devices.model import Device
from kernprof.devices.table import find, from_attributes
from kernprof.errors import KernprofError
from kernprof.profile import KernelProfile

_OPERATIONS = {"fadd": 1.0, "fmul": 1.0, "ffma": 2.0}
_PER_CYCLE = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum.per_cycle_elapsed"
_COUNT = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"
_COLLECT = (
    "collect ncu --section SpeedOfLight_RooflineChart --section MemoryWorkloadAnalysis, "
    "or nvprof --metrics flop_count_sp,dram_read_bytes,dram_write_bytes"
)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The roofs of one GPU.

    Parameters
    ----------
    gpu
        Its name.
    flops_per_s, bytes_per_s
        Peak FP32 rate and peak DRAM rate.
    source
        Where they are from: the report's own peaks, or the table of GPUs at boost clock.
    """

    gpu: str
    flops_per_s: float
    bytes_per_s: float
    source: str

    @property
    def ridge_flops_per_byte(self) -> float:
        """Intensity at which both roofs meet."""
        return self.flops_per_s / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Placement:
    """A launch's place, as far as its profile tells.

    Parameters
    ----------
    flops_per_s, bytes_per_s
        What it reached; None where the metrics are missing.
    ceilings
        The roofs of its GPU, None where they aren't known.
    hint
        What would bring what is missing, or None.
    """

    flops_per_s: float | None
    bytes_per_s: float | None
    ceilings: Ceilings | None
    hint: str | None

    @property
    def intensity_flops_per_byte(self) -> float | None:
        """FP32 operations per byte of DRAM traffic; None without both, or without traffic."""
        if self.flops_per_s is None or not self.bytes_per_s:
            return None
        return self.flops_per_s / self.bytes_per_s


def place(profile: KernelProfile) -> Placement:
    """Place a launch under the roofline of its GPU."""
    flops, moved = _flops_per_s(profile), _bytes_per_s(profile)
    ceilings = _ceilings(profile)
    hint = None
    if flops is None or moved is None:
        hint = _COLLECT
    elif not flops or not moved:
        hint = "the launch does no FP32 operation or moves no byte of DRAM: it has no place"
    elif ceilings is None:
        hint = "the peak rates of its GPU are not known"
    return Placement(flops, moved, ceilings, hint)


def _flops_per_s(profile: KernelProfile) -> float | None:
    clock = profile.value("smsp__cycles_elapsed.avg.per_second")
    per_cycle = _operations(profile, _PER_CYCLE)
    if clock is not None and per_cycle is not None:
        return per_cycle * clock
    count = _operations(profile, _COUNT)
    if count is None:
        count = profile.value("flop_count_sp")
    return _rate(count, profile)


def _operations(profile: KernelProfile, metric: str) -> float | None:
    total = 0.0
    for name, weight in _OPERATIONS.items():
        value = profile.value(metric.format(name))
        if value is None:
            return None
        total += weight * value
    return total


def _bytes_per_s(profile: KernelProfile) -> float | None:
    rate = profile.value("dram__bytes.sum.per_second")
    if rate is not None:
        return rate
    for read, write in (
        ("dram__bytes_read.sum", "dram__bytes_write.sum"),
        ("dram_read_bytes", "dram_write_bytes"),
    ):
        parts = profile.value(read), profile.value(write)
        if parts[0] is not None and parts[1] is not None:
            return _rate(parts[0] + parts[1], profile)
    return _rate(profile.value("dram__bytes.sum"), profile)


def _rate(amount: float | None, profile: KernelProfile) -> float | None:
    time_ns = profile.duration_ns
    return None if amount is None or not time_ns else amount / time_ns * 1e9


def _ceilings(profile: KernelProfile) -> Ceilings | None:
    name = profile.gpu.name or profile.gpu.arch or "unknown GPU"
    lanes = profile.value("sm__sass_thread_inst_executed_op_ffma_pred_on.sum.peak_sustained")
    clock = profile.value("sm__cycles_elapsed.avg.per_second")
    width = profile.value("dram__bytes.sum.peak_sustained")
    memory_clock = profile.value("dram__cycles_elapsed.avg.per_second")
    if lanes and clock and width and memory_clock:
        return Ceilings(name, 2 * lanes * clock, width * memory_clock, "the report's own peaks")
    for device in _devices(profile):
        peak, bandwidth = device.peak_fp32_flops_per_s, device.dram_bandwidth_bytes_per_s
        if peak and bandwidth:
            told = f"{device.name} at boost clock, from the table of GPUs"
            return Ceilings(name, peak, bandwidth, told)
    return None


def _devices(profile: KernelProfile) -> Iterator[Device]:
    """Yield the GPU that the report describes, then the one that the table knows by name."""
    # A report may tell the shape of a GPU and not its clocks.
    with suppress(KernprofError):
        yield from_attributes(profile.gpu.attributes)
    with suppress(KernprofError):
        yield find(profile.gpu.name or "")
