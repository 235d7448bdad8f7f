"""The roofline of a GPU: the time below which no kernel with these operations and bytes can get.

After Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kernprof.devices.model import Device
from kernprof.errors import ShapeError, UnavailableError


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a kernel lies under the roofline.

    Parameters
    ----------
    kind
        "compute" right of the ridge, "bandwidth" left of it.
    intensity_flops_per_byte
        Operations per byte of DRAM traffic; infinite without traffic.
    ridge_flops_per_byte
        Intensity at which both roofs meet.
    attainable_flops_per_s
        The roof at this intensity.
    compute_time_ns, memory_time_ns, time_ns
        Least time for the operations, for the bytes, and the larger of the two.
    """

    kind: str
    intensity_flops_per_byte: float
    ridge_flops_per_byte: float
    attainable_flops_per_s: float
    compute_time_ns: float
    memory_time_ns: float
    time_ns: float


def bound(flops: float, bytes_moved: float, device: Device) -> Bound:
    """Place a kernel under the FP32 and DRAM roofs of a GPU.

    Parameters
    ----------
    flops
        FP32 operations, a multiply-add counted as two.
    bytes_moved
        Least DRAM traffic in bytes.
    device
        The GPU, at boost clock.

    Raises
    ------
    ShapeError
        If a number is negative or both are 0.
    UnavailableError
        If the peak rates of the GPU aren't known.
    """
    if flops < 0 or bytes_moved < 0 or flops + bytes_moved == 0:
        raise ShapeError(
            f"{flops} operations and {bytes_moved} bytes have no place on a roofline; expected"
            " numbers above 0"
        )
    peak = device.peak_fp32_flops_per_s
    bandwidth = device.dram_bandwidth_bytes_per_s
    if peak is None or bandwidth is None:
        raise UnavailableError(
            f"the peak rates of {device.name} are not known", "choose a board by name with --gpu"
        )
    compute_time_ns = flops / peak * 1e9
    memory_time_ns = bytes_moved / bandwidth * 1e9
    intensity = flops / bytes_moved if bytes_moved else math.inf
    return Bound(
        kind="compute" if compute_time_ns >= memory_time_ns else "bandwidth",
        intensity_flops_per_byte=intensity,
        ridge_flops_per_byte=peak / bandwidth,
        attainable_flops_per_s=min(peak, intensity * bandwidth),
        compute_time_ns=compute_time_ns,
        memory_time_ns=memory_time_ns,
        time_ns=max(compute_time_ns, memory_time_ns),
    )
