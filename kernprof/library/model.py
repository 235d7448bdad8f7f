"""What the registry knows of a kernel.

Every kernel's problem size is a mapping of integer shape parameters (``m``, ``n``, ``batch``, ...),
named as the lowerings name them. Arguments are device pointers to arrays of 4-byte elements and
32-bit scalars, in the order of the CUDA function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernprof.errors import ShapeError
from kernprof.profile import Dim3

Shape = Mapping[str, int]
Formula = Callable[[Shape], int]

MAX_INDEX = 2**31 - 1
"""Kernels index with 32-bit integers; a larger array is refused, not wrapped."""

MAX_GRID = (2**31 - 1, 65535, 65535)
"""CUDA Programming Guide, "Technical Specifications per Compute Capability"."""


class Role(StrEnum):
    """How a kernel uses an array."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


@dataclass(frozen=True, slots=True)
class Pointer:
    """An array argument.

    Parameters
    ----------
    name
        Name of the kernel's parameter.
    role
        How it is used; INOUT arrays keep what the kernel does not overwrite.
    elements
        Number of elements by shape. 0 stands for an array that is not used (no bias): a null
        pointer is passed.
    dtype
        numpy's name of the element type, 4 bytes each.
    needed
        Number of elements that have to be read, by shape, where that is not every one: strides
        may pass over elements of an input.
    """

    name: str
    role: Role
    elements: Formula
    dtype: str = "float32"
    needed: Formula | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar argument: a shape parameter (int32), or a constant of type int32 or float32.

    Parameters
    ----------
    name
        Name of the kernel's parameter; without a value, the shape parameter of that name.
    value
        The constant, or a formula of the shape for a derived int32.
    dtype
        ``int32`` or ``float32``.
    """

    name: str
    value: int | float | Formula | None = None
    dtype: str = "int32"

    def of(self, shape: Shape) -> int | float:
        """Return the value for a shape."""
        if self.value is None:
            return shape[self.name]
        return self.value(shape) if callable(self.value) else self.value


Argument = Pointer | Scalar


@dataclass(frozen=True, slots=True)
class Geometry:
    """Launch geometry: blocks, threads per block, dynamic shared memory in bytes."""

    grid: Dim3
    block: Dim3
    dynamic_shared_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelEntry:
    """One kernel of the library.

    Parameters
    ----------
    name
        Name in the registry and of the CUDA function (``extern "C"``).
    family
        Family under which tables count it.
    file
        File in ``kernels/``.
    parameters
        Shape parameters in a launch's order.
    arguments
        In the CUDA function's order.
    geometry
        Launch geometry by shape.
    flops
        Floating-point operations by shape: additions, multiplications, divisions and comparisons
        of data, an FMA counted as two; 0 for kernels that only move data.
    bytes_moved
        Least global traffic in bytes: each element that must be read or written, once.
    rules
        What a shape must fulfil: (test, the rule in words).
    spills
        Why local-memory spills are accepted, or None.
    summary
        One line on what it does and how.
    """

    name: str
    family: str
    file: str
    parameters: tuple[str, ...]
    arguments: tuple[Argument, ...]
    geometry: Callable[[Shape], Geometry]
    flops: Formula
    bytes_moved: Formula
    rules: tuple[tuple[Callable[[Shape], bool], str], ...] = ()
    spills: str | None = None
    summary: str = ""

    def check(self, shape: Shape) -> None:
        """Check a shape.

        Raises
        ------
        ShapeError
            A parameter is missing or unknown, a rule is broken, an array is too large for 32-bit
            indices, or the grid is too large; the message names the rule.
        """
        if set(shape) != set(self.parameters):
            raise ShapeError(
                f"{self.name} takes {', '.join(self.parameters) or 'no parameters'}; "
                f"got {', '.join(shape) or 'none'}"
            )
        for test, rule in self.rules:
            if not test(shape):
                raise ShapeError(f"{self.name}: {rule}; got {dict(shape)}")
        for argument in self.arguments:
            if isinstance(argument, Pointer) and argument.elements(shape) > MAX_INDEX:
                raise ShapeError(
                    f"{self.name}: array {argument.name} of {argument.elements(shape)} elements; "
                    f"32-bit indices reach {MAX_INDEX}"
                )
        grid = self.geometry(shape).grid
        for extent, limit in zip(grid, MAX_GRID, strict=True):
            if not 1 <= extent <= limit:
                raise ShapeError(f"{self.name}: a grid of {grid}; CUDA allows 1 to {MAX_GRID}")

    def launch_geometry(self, shape: Shape) -> Geometry:
        """Return the geometry of a checked shape (see ``check`` for errors)."""
        self.check(shape)
        return self.geometry(shape)

    @property
    def pointers(self) -> tuple[Pointer, ...]:
        """The array arguments in order."""
        return tuple(a for a in self.arguments if isinstance(a, Pointer))
