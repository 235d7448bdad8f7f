"""Kernel arguments as text: ``A=float32[1024,1024]:random``, ``n=int32:1024``, ``B=@A``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from kernprof.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from kernprof.sim.execute import Argument

DTYPES = (
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
)  # fmt: skip
FILLS = ("random", "zeros", "ones", "arange", "undefined")
FORMS = (
    "NAME=DTYPE[SHAPE]:random|zeros|ones|arange|undefined|FILE.npy, NAME=DTYPE:VALUE, "
    "NAME=NUMBER, NAME=@ARRAY or NAME=bytes:HEX"
)
MAX_BYTES = 1 << 36
"""Of all arrays together: more is taken for a slip."""

_RANDOM_INTEGERS = 100
_SPEC = re.compile(r"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]{1,16}|\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,2})?)")
_UNTYPED = "number"
_TYPED = re.compile(r"([a-z]+\d*)(?:\[([^\]]*)\])?:(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spec:
    """One argument as it was asked for.

    Parameters
    ----------
    name
        Its name, for messages and for saving results.
    dtype
        Element type, ``bytes``, ``number`` for one that takes the parameter's type, or None for
        another name of an array.
    shape
        Extents of an array, or None for a scalar.
    content
        The fill, file, value, hexadecimal digits or name of the array.
    """

    name: str
    dtype: str | None
    shape: tuple[int, ...] | None
    content: str

    @property
    def made_up(self) -> bool:
        """Whether the content is a fill, and not the user's own data or value."""
        return self.shape is not None and self.content in FILLS

    def record(self, seed: int) -> dict[str, str | int | list[int] | None]:
        """Return it as plain data; ``seed`` is told where the content depends on it."""
        made: dict[str, str | int | list[int] | None] = {
            "name": self.name,
            "dtype": self.dtype,
            "shape": None if self.shape is None else list(self.shape),
            "content": self.content,
        }
        return made | ({"seed": seed} if self.shape and self.content == "random" else {})


def parse(text: str) -> Spec:
    """Read one ``--arg``.

    Raises
    ------
    UsageError
        The text has none of the forms.
    """
    named = _SPEC.fullmatch(text)
    if named is None:
        raise UsageError(f"argument {text!r} has no name; expected {FORMS}")
    name, rest = named.groups()
    if rest.startswith("@"):
        return Spec(name, None, None, rest[1:])
    if _NUMBER.fullmatch(rest):
        return Spec(name, _UNTYPED, None, rest)
    typed = _TYPED.fullmatch(rest)
    if typed is None:
        raise UsageError(f"argument {text!r} can't be read; expected {FORMS}")
    dtype, extents, content = typed.groups()
    if dtype == "bytes" and extents is None:
        return Spec(name, dtype, None, content)
    if dtype not in DTYPES:
        raise UsageError(f"argument {name}: no type {dtype!r}; known: {', '.join(DTYPES)}, bytes")
    return Spec(name, dtype, None if extents is None else _shape(name, extents), content)


def _shape(name: str, text: str) -> tuple[int, ...]:
    parts = [p.strip() for p in text.split(",")]
    # Sizes with hundreds of digits would take long before they are refused.
    if not all(re.fullmatch(r"\d{1,12}", p) and int(p) for p in parts):
        raise UsageError(f"argument {name}: shape [{text}], expected positive integers")
    return tuple(int(p) for p in parts)


def build(
    specs: Sequence[Spec], *, seed: int = 0, shared: bool = False
) -> Mapping[str, Argument | Decimal]:
    """Make the values, by name in the given order; numbers without a type are Decimals.

    ``random`` gives floating-point numbers uniform in [0, 1) and integers uniform in [0, 100), from
    one generator that ``seed`` starts; ``undefined`` zeros that a checked run takes as not written.
    ``shared`` arrays need not be copied for a child process (:mod:`kernprof.isolation.shared`).

    Raises
    ------
    UsageError
        A name comes twice, a value does not fit its type, arrays are too large.
    InputError
        A file can't be read, or holds another type or shape than told.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    made: dict[str, Argument | Decimal] = {}
    total = 0
    for spec in specs:
        if spec.name in made:
            raise UsageError(f"two arguments are named {spec.name}")
        if spec.dtype is None:
            source = made.get(spec.content)
            if not isinstance(source, np.ndarray):
                raise UsageError(f"argument {spec.name}: no array {spec.content!r} before it")
            made[spec.name] = source
        elif spec.dtype == _UNTYPED:
            hexadecimal = "x" in spec.content.lower()
            made[spec.name] = Decimal(int(spec.content, 16) if hexadecimal else spec.content)
        elif spec.shape is None:
            made[spec.name] = _scalar(spec)
        else:
            size = np.dtype(spec.dtype).itemsize
            for extent in spec.shape:
                size *= extent
            total += size
            if total > MAX_BYTES:
                raise UsageError(
                    f"argument {spec.name}: arrays of {total:,} bytes in all, the limit is "
                    f"{MAX_BYTES:,}"
                )
            made[spec.name] = _array(spec, spec.shape, generator, shared=shared)
    return made


def _scalar(spec: Spec) -> Argument:
    import numpy as np

    if spec.dtype == "bytes":
        try:
            return bytes.fromhex(spec.content)
        except ValueError:
            raise UsageError(f"argument {spec.name}: {spec.content!r} is not hexadecimal") from None
    kind = np.dtype(spec.dtype)
    try:
        if kind.kind == "f":
            with np.errstate(over="ignore"):
                return kind.type(float(spec.content))
        value = int(spec.content, 0)
        low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    except ValueError:
        raise UsageError(
            f"argument {spec.name}: {spec.content!r} is no {spec.dtype}; an array needs its shape: "
            f"{spec.name}={spec.dtype}[SHAPE]:..."
        ) from None
    if not low <= value <= high:
        raise UsageError(f"argument {spec.name}: {value} does not fit into {spec.dtype}")
    return kind.type(value)


def _array(
    spec: Spec, shape: tuple[int, ...], generator: np.random.Generator, *, shared: bool
) -> np.ndarray:
    import numpy as np

    kind = np.dtype(spec.dtype)
    if spec.content not in FILLS and not spec.content.endswith(".npy"):
        raise UsageError(
            f"argument {spec.name}: fill {spec.content!r}, expected {', '.join(FILLS)} or FILE.npy"
        )
    content = None if spec.content in FILLS else _file(spec, shape, kind)
    made = _shared_zeros(spec, shape, kind) if shared else np.zeros(shape, kind)
    if content is not None:
        made[...] = content
    elif spec.content == "ones":
        made[...] = 1
    elif spec.content == "arange":
        made[...] = np.arange(made.size).reshape(shape)
    elif spec.content == "random" and kind in (np.float32, np.float64):
        generator.random(dtype=kind.type, out=made)
    elif spec.content == "random" and kind.kind == "f":
        made[...] = generator.random(shape, dtype=np.float32)
    elif spec.content == "random":
        made[...] = generator.integers(0, 2 if kind.kind == "b" else _RANDOM_INTEGERS, shape)
    return made


def _shared_zeros(spec: Spec, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    from kernprof.isolation.shared import shared_zeros

    try:
        return shared_zeros(shape, kind)
    except OSError as error:
        raise UsageError(f"argument {spec.name}: no memory for it ({error.strerror})") from None


def _file(spec: Spec, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Map an array's file; what is in it is read when it is copied."""
    import numpy as np

    path = Path(spec.content)
    try:
        # Mapped first, so that a false header can't ask for more memory than the file has bytes.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{path}: can't be read as a .npy file ({error})") from None
    if not isinstance(found, np.ndarray) or found.dtype != kind or found.shape != shape:
        what = "an archive"
        if isinstance(found, np.ndarray):
            what = f"{found.dtype}{list(found.shape)}"
        raise InputError(f"{path}: holds {what}, argument {spec.name} says {kind}{list(shape)}")
    return found
