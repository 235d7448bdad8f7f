"""What the entries of several families share: grids, rules, window arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kernprof.library.model import Argument, Formula, Geometry, Pointer, Role, Scalar, Shape
from kernprof.profile import Dim3

Rule = tuple[Callable[[Shape], bool], str]


def ceil_div(value: int, divisor: int) -> int:
    """Return the quotient rounded up."""
    return -(-value // divisor)


def line(elements: Formula, block: int = 256) -> Callable[[Shape], Geometry]:
    """Return the geometry of one thread an element in blocks of ``block``."""
    return lambda s: Geometry(Dim3(ceil_div(elements(s), block)), Dim3(block))


def scalars(names: tuple[str, ...]) -> tuple[Scalar, ...]:
    """Return int32 arguments that are shape parameters."""
    return tuple(Scalar(name) for name in names)


def traffic(arguments: tuple[Argument, ...]) -> Formula:
    """Return the least traffic in bytes: what is needed of each array, once; both ways, twice."""
    return lambda s: (
        4
        * sum(
            (2 if a.role is Role.INOUT else 1) * (a.needed or a.elements)(s)
            for a in arguments
            if isinstance(a, Pointer)
        )
    )


def positive(*names: str) -> Rule:
    """Return the rule that these parameters are at least 1."""
    return lambda s: all(s[name] >= 1 for name in names), f"{', '.join(names)} must be at least 1"


def flag(*names: str) -> Rule:
    """Return the rule that these parameters are 0 or 1."""
    return lambda s: all(s[name] in (0, 1) for name in names), f"{', '.join(names)} must be 0 or 1"


def out_extent(shape: Shape, axis: str) -> int:
    """Return the output extent of a window along ``h`` or ``w``: floor rounding, no dilation."""
    reach = shape[f"in_{axis}"] + 2 * shape[f"pad_{axis}"] - shape[f"kernel_{axis}"]
    return reach // shape[f"stride_{axis}"] + 1


def _inside(shape: Shape, axis: str, windows: int) -> Iterator[tuple[int, int, int]]:
    # For each tap: its place in the first window, and which windows have it inside the image.
    stride, pad, size = shape[f"stride_{axis}"], shape[f"pad_{axis}"], shape[f"in_{axis}"]
    for tap in range(shape[f"kernel_{axis}"]):
        place = tap * shape.get(f"dilation_{axis}", 1) - pad
        first, end = max(0, ceil_div(-place, stride)), min(windows, ceil_div(size - place, stride))
        if first < end:
            yield place, first, end


def taps_inside(shape: Shape, axis: str, windows: int) -> int:
    """Count along ``h`` or ``w`` the taps of all windows that lie in the image, not in padding."""
    return sum(end - first for _, first, end in _inside(shape, axis, windows))


def reached(shape: Shape, axis: str, windows: int) -> int:
    """Count the rows (``h``) or columns (``w``) of the image that some of the windows holds.

    A stride larger than the window, or an image whose end no window meets, leaves some out.
    """
    # Places of the same remainder by the stride form one line, on which each tap is an interval.
    intervals: dict[int, list[tuple[int, int]]] = {}
    for place, first, end in _inside(shape, axis, windows):
        quotient, remainder = divmod(place, shape[f"stride_{axis}"])
        intervals.setdefault(remainder, []).append((quotient + first, quotient + end))
    count = 0
    for line_intervals in intervals.values():
        covered = min(first for first, _ in line_intervals)
        for first, end in sorted(line_intervals):
            count += max(0, end - max(first, covered))
            covered = max(covered, end)
    return count


def fits() -> Rule:
    """Return the rule that the window fits into the padded input."""
    return (
        lambda s: all(
            s[f"kernel_{a}"] <= s[f"in_{a}"] + 2 * s[f"pad_{a}"] and s[f"pad_{a}"] >= 0
            for a in "hw"
        ),
        "the kernel must fit into the padded input and padding must not be negative",
    )


OUT_SIZES = (
    Scalar("out_h", lambda s: out_extent(s, "h")),
    Scalar("out_w", lambda s: out_extent(s, "w")),
)
"""Derived arguments of kernels whose shape gives input size and window."""
