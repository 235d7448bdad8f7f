"""Shapes and inputs to try kernels with: small, odd, around the edges of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernprof.errors import ShapeError
from kernprof.library import KernelEntry, Role, Scalar
from kernprof.library.reference import references

# Around the tile and block extents that kernels use (4, 8, 16, 32, 64, 128, 256).
_EXTENTS = (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 31, 32, 33, 48, 63, 64, 65, 68, 100, 127, 129)
_COUNTS = (1, 2, 31, 32, 33, 255, 256, 257, 511, 1000, 1024, 4099)
_FLAGS = ("bias", "beta", "trans_a", "trans_b", "backward", "turned")
_CHOICES = {
    "batch": (1, 2, 3),
    "channels": (1, 2, 3, 5, 8, 17, 33),
    "stride": (1, 1, 2, 3),
    "pad": (0, 0, 1, 2, 3),
    "dilation": (1, 1, 2),
    "kernel": (1, 2, 3, 3, 5),
    "count": _COUNTS,
    "outer": (1, 2, 3, 9),
    "inner": (1, 2, 7, 33),
    "local_size": (1, 3, 5),
    "groups": (1, 1, 2, 3),
    "splits": (1, 2, 3),
    "inputs": (2,),
    "index": (0, 1, 2),
    "kind": (0, 1, 2, 3, 4, 5),
}
_MOST_OPERATIONS = 3_000_000
_MOST_ELEMENTS = 40_000


def _draw(rng: np.random.Generator, entry: KernelEntry, number: int) -> dict[str, int]:
    shape: dict[str, int] = {}
    flags = [name for name in entry.parameters if name in _FLAGS]
    # The first shapes go through the kinds and the combinations of flags, one after the other.
    for name in entry.parameters:
        if name in flags:
            shape[name] = number >> flags.index(name) & 1
            continue
        base = name.removesuffix("_h").removesuffix("_w")
        choices = _CHOICES.get(name) or _CHOICES.get(base) or _EXTENTS
        shape[name] = int(rng.choice(choices))
        if name in ("kind", "index"):
            shape[name] = choices[number % len(choices)]
    if "groups" in shape:
        for name in ("in_channels", "out_channels"):
            shape[name] = shape["groups"] * int(rng.choice((1, 2, 5, 17)))
    elif "kernel_h" in shape and "in_channels" in shape:
        # Some beyond the largest tile, with a few pixels then.
        for name in ("in_channels", "out_channels"):
            shape[name] = int(rng.choice((1, 2, 5, 17, 33, 65, 130)))
    if "count_copied" in shape:
        chunk = int(rng.choice(_EXTENTS))
        room = int(rng.choice((0, 1, 5)))
        shape["count_copied"] = shape["outer"] * chunk
        shape["concat_size"] = chunk + room
        shape["top_offset"] = int(rng.integers(0, room + 1))
    if "out_h" in shape:
        for axis in "hw":
            shape[f"out_{axis}"] = _pooled(shape, axis)
    return shape


def _pooled(shape: dict[str, int], axis: str) -> int:
    """Output extent of Caffe's pooling: rounded up, no window wholly in the padding."""
    size, window, stride, pad = (
        shape[f"{name}_{axis}"] for name in ("in", "kernel", "stride", "pad")
    )
    out = -(-(size + 2 * pad - window) // stride) + 1
    return out - 1 if pad and (out - 1) * stride >= size + pad else out


def shapes(entry: KernelEntry, wanted: int, seed: int = 7) -> Iterator[dict[str, int]]:
    """Yield ``wanted`` valid shapes of a kernel, the same ones each time."""
    rng = np.random.default_rng([seed, *entry.name.encode()])
    found = tries = 0
    while found < wanted:
        tries += 1
        assert tries < 500 * wanted, f"no shapes for {entry.name}"
        shape = _draw(rng, entry, found)
        try:
            entry.check(shape)
        except ShapeError:
            continue
        if entry.flops(shape) > _MOST_OPERATIONS:
            continue
        if any(p.elements(shape) > _MOST_ELEMENTS for p in entry.pointers):
            continue
        found += 1
        yield shape


def inputs(
    entry: KernelEntry, shape: dict[str, int], seed: int = 3
) -> dict[str, np.ndarray[Any, Any]]:
    """Return random IN and INOUT arrays by argument name.

    Floating-point values are eighths from -2 to 2: sums of their products are exact in float32, so
    that the order of additions makes no difference.
    """
    rng = np.random.default_rng([seed, *entry.name.encode()])
    made: dict[str, np.ndarray[Any, Any]] = {}
    for pointer in entry.pointers:
        count = pointer.elements(shape)
        if pointer.role is Role.OUT or count == 0:
            continue
        name = pointer.name
        if name == "label":
            values = rng.integers(0, shape["channels"], count)
        elif name == "mask" and entry.name.startswith("maxpool"):
            plane = shape["batch"] * shape["channels"] * shape["in_h"] * shape["in_w"]
            x = rng.integers(-16, 17, plane).astype("float32")
            values = references()["maxpool_forward"](shape, {"x": x})["mask"]
        elif name == "mask" and pointer.dtype == "uint32":
            values = rng.integers(0, 2**32, count)
            values[::3] = _threshold(entry, shape)
        elif name == "mask":
            values = rng.integers(0, 4, count)
        elif _positive(entry.name, name):
            values = rng.integers(1, 17, count) / 8
        elif entry.family == "activation":
            # Beyond the kinks at -3, 3 and 6, and on them.
            values = rng.integers(-16, 17, count) / 2
        else:
            values = rng.integers(-16, 17, count) / 8
        made[name] = values.astype(pointer.dtype)
    return made


def _threshold(entry: KernelEntry, shape: dict[str, int]) -> int:
    """Return the mask value at which dropout changes over, as the unsigned number it is."""
    (found,) = (a for a in entry.arguments if a.name == "threshold")
    assert isinstance(found, Scalar)
    return int(found.of(shape)) % 2**32


def _positive(kernel: str, array: str) -> bool:
    """Whether the values of an array must be above zero: variances, divisors, roots."""
    return (
        array in ("var", "scale", "p")
        or (kernel, array) in {("ew_div", "b"), ("softmax_divide", "s")}
        or kernel in ("ew_sqrt", "ew_powx")
    )
