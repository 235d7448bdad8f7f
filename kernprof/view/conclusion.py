"""The conclusion of a layer as sentences and as plain data."""

from __future__ import annotations

from typing import Any

from kernprof.layers.conclusion import Conclusion, Lowered
from kernprof.stalls.analysis import analyse
from kernprof.view.stalls import duration


def sentences(found: Conclusion) -> list[str]:
    """Return what takes the time and bounds it, what the best other lowering takes, and why."""
    return [_what(found), _instead(found), _why(found)]


def conclusion_record(found: Conclusion) -> dict[str, Any]:
    """Return the conclusion as the JSON contract has it; times in ns."""
    analysis = analyse(found.longest.profile)
    best = found.best
    return {
        "sentences": sentences(found),
        "kernel": found.kernel,
        "launches": found.launches,
        "time_ns": found.time_ns,
        "share_pct": found.share_pct,
        "bound": str(analysis.verdict.bound),
        "busy_sms": found.busy_sms,
        "total_ns": found.total_ns,
        "least_ns": found.first.least_ns,
        "alternatives": [_alternative(other) for other in found.others],
        "best": None if best is None else best.name,
    }


def _alternative(other: Lowered) -> dict[str, Any]:
    return {
        "lowering": other.name,
        "time_ns": other.time_ns,
        "launches": other.launches,
        "kernels": list(dict.fromkeys(static.kernel.name for static in other.statics)),
    }


def counted(launches: int) -> str:
    """Return a number of launches in words."""
    return f"{launches:,} launch{'' if launches == 1 else 'es'}"


def _what(found: Conclusion) -> str:
    launch, device = found.longest, found.first.device
    analysis = analyse(launch.profile)
    blocks = launch.static.geometry.grid.total
    subject = "it" if found.launches == 1 else "each"
    if blocks <= device.sm_count:
        has = "one block on each" if blocks > 1 else "one block"
    else:
        has = f"{blocks:,} blocks"
    top = analysis.stalls.top(2) if analysis.stalls is not None else []
    waits = " and ".join(f"{share:.0f} % {name}" for name, share in top)
    verb = "takes" if found.launches == 1 else "take"
    return (
        f"{counted(found.launches)} of {found.kernel} {verb} {found.share_pct:.1f} % of "
        f"{duration(found.total_ns)}; {subject} keeps {found.busy_sms} of {device.sm_count} SMs "
        f"busy for {duration(launch.profile.duration_ns)} with {has}, bound by "
        f"{analysis.verdict.bound}" + (f" (stalls: {waits})." if waits else ".")
    )


def _instead(found: Conclusion) -> str:
    if not found.others:
        return "No other lowering was tried."
    best = found.best
    if best is None:
        other = found.others[0]
        return (
            f"No other lowering that was tried is faster: {other.name} takes "
            f"{duration(other.time_ns)}, {(other.time_ns or 0) / found.total_ns:.1f} times as long."
        )
    kernels = list(dict.fromkeys(static.kernel.name for static in best.statics))
    with_what = f"{counted(best.launches)} of {', '.join(kernels)}"
    ratio = found.total_ns / (best.time_ns or found.total_ns)
    return (
        f"The same work takes {duration(best.time_ns)} with {with_what}, {ratio:.1f} times less: "
        f"--lowering {best.name} (gaps between launches are left out of both)."
    )


def _why(found: Conclusion) -> str:
    first = found.first
    ratio = found.total_ns / first.least_ns if first.least_ns else None
    if ratio is None:
        return "Its launches neither compute nor move anything that could be counted."
    launch = found.longest.static
    why = ""
    if found.busy_sms < first.device.sm_count:
        why = f": a launch of {found.kernel} has too few blocks for the GPU"
    elif launch.waves < 1:
        why = f": a launch of {found.kernel} does not fill the GPU once"
    return (
        f"The operations or the traffic of these launches need {duration(first.least_ns)} on this "
        f"GPU; they take {ratio:,.1f} times that{why}."
    )
