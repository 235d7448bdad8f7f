"""Arrays to run a kernel of the library with: random, and valid where values are indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kernprof.library.model import KernelEntry, Pointer, Role, Shape

if TYPE_CHECKING:
    import numpy as np

_PERIOD = 1 << 20
"""Random numbers drawn at most; larger arrays repeat them."""

Arguments = list[Any]


def sample_arguments(entry: KernelEntry, shape: Shape, *, seed: int = 0) -> Arguments:
    """Return arguments in the order of the CUDA function: arrays for pointers, numbers.

    What a kernel executes hardly depends on the values: only rectifiers and the like branch on
    them, and these get values of both signs. Labels and the places of maxima are valid indices.
    An array that the shape does without is a null pointer.

    Parameters
    ----------
    entry
        A kernel of the library.
    shape
        Its shape parameters.
    seed
        Start of the random numbers.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    arguments: Arguments = []
    for argument in entry.arguments:
        if not isinstance(argument, Pointer):
            value = argument.of(shape)
            wide = np.float32(value) if argument.dtype == "float32" else int(value) & 0xFFFFFFFF
            arguments.append(wide)
            continue
        count = argument.elements(shape)
        arguments.append(_array(entry, argument, shape, count, rng) if count else 0)
    return arguments


def _array(
    entry: KernelEntry, argument: Pointer, shape: Mapping[str, int], count: int, rng: Any
) -> np.ndarray[Any, Any]:
    import numpy as np

    if argument.role is Role.OUT:
        return np.zeros(count, argument.dtype)
    drawn = min(count, _PERIOD)
    if argument.name == "label":
        values = rng.integers(0, shape["channels"], drawn)
    elif argument.name == "mask" and entry.name.startswith("maxpool"):
        values = rng.integers(0, shape["in_h"] * shape["in_w"], drawn)
    elif argument.dtype == "uint32":
        values = rng.integers(0, 1 << 32, drawn)
    elif argument.dtype == "int32":
        values = rng.integers(0, 4, drawn)
    elif _is_positive(entry.name, argument.name):
        values = rng.uniform(0.25, 2.0, drawn)
    else:
        values = rng.standard_normal(drawn, np.float32)
    return np.resize(values.astype(argument.dtype), count)


def _is_positive(kernel: str, array: str) -> bool:
    """Whether values must be above zero: variances, divisors, roots."""
    return (
        array in ("var", "scale", "p")
        or (kernel, array) in {("ew_div", "b"), ("softmax_divide", "s")}
        or kernel in ("ew_sqrt", "ew_powx")
    )
