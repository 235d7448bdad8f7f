"""Which argument belongs to which parameter, and whether it fits: by name, type and size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from kernprof.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from kernprof.sim.execute import Argument

_WORDS = re.compile(
    r"\b(const|volatile|__restrict__|__restrict|restrict|__grid_constant__|struct)\b"
)
# The CUDA C++ types of fixed size (Linux, 64 bits), as the type names of --arg.
_SCALARS = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "__half": "float16",
    "bool": "bool",
    "char": "int8",
    "signed char": "int8",
    "unsigned char": "uint8",
    "uchar": "uint8",
    "short": "int16",
    "unsigned short": "uint16",
    "ushort": "uint16",
    "int": "int32",
    "signed": "int32",
    "unsigned": "uint32",
    "unsigned int": "uint32",
    "uint": "uint32",
    "long": "int64",
    "unsigned long": "uint64",
    "ulong": "uint64",
    "long long": "int64",
    "long long int": "int64",
    "unsigned long long": "uint64",
    "unsigned long long int": "uint64",
    "size_t": "uint64",
    "ptrdiff_t": "int64",
    **{f"{u}int{bits}_t": f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)},
}
_VECTOR = re.compile(r"(u?char|u?short|u?int|u?long|u?longlong|float|double|half)[1-4]")
_BY_SIZE = {
    8: "8 bytes: an array, int64 or float64",
    4: "4 bytes: int32 or float32",
    2: "2 bytes: int16 or float16",
    1: "1 byte: int8 or bool",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel parameter.

    Parameters
    ----------
    name, type
        As the source or the linker symbol has them; empty where not known.
    size_bytes
        Its size in the constant bank.
    """

    name: str
    type: str
    size_bytes: int

    @property
    def pointer(self) -> bool | None:
        """Whether it is a pointer; None where its type is not known."""
        if not self.type:
            return None if self.size_bytes == 8 else False
        return _plain(self.type).endswith("*")

    @property
    def dtype(self) -> str | None:
        """Name of the numbers' type, of a pointer that of what it points to; None: not known."""
        bare = _plain(self.type).rstrip("* ")
        vector = _VECTOR.fullmatch(bare)
        if vector and self.pointer:
            bare = (
                vector.group(1).replace("longlong", "long long").replace("ulong", "unsigned long")
            )
        return _SCALARS.get(bare.removeprefix("std::"))

    def example(self, position: int) -> str:
        """Return how ``--arg`` would give it."""
        name = self.name or f"p{position}"
        if self.pointer:
            return f"{name}={self.dtype or 'float32'}[SHAPE]:random"
        if self.dtype:
            return f"{name}={self.dtype}:VALUE"
        if self.type or self.size_bytes not in _BY_SIZE:
            return f"{name}=bytes:HEX ({self.type or 'a struct'}, {self.size_bytes} bytes)"
        return f"{name}=... ({_BY_SIZE[self.size_bytes]})"


def _plain(text: str) -> str:
    return " ".join(_WORDS.sub(" ", text).replace("*", " * ").split()).replace("* *", "**")


def parameters(
    sizes: Sequence[int], demangled: str | None, source: Sequence[Sequence[tuple[str, str]]] = ()
) -> tuple[Parameter, ...]:
    """Join what is known of a kernel's parameters.

    Parameters
    ----------
    sizes
        Bytes of each, from the machine code.
    demangled
        The whole C++ name, "void f<int>(int*, float)", or None.
    source
        Names and types of each overload that the source has.
    """
    count = len(sizes)
    types = list(_types(demangled)) if demangled and demangled.endswith(")") else []
    fitting = [s for s in source if len(s) == count]
    if len(types) != count:
        types = [""] * count
    names = [""] * count
    if len(fitting) == 1:
        names = [name for name, _ in fitting[0]]
        types = [known or told for known, (_, told) in zip(types, fitting[0], strict=True)]
    return tuple(
        Parameter(name, kind, size) for name, kind, size in zip(names, types, sizes, strict=True)
    )


def _types(demangled: str) -> Iterator[str]:
    """Types between the last parentheses of a name."""
    depth, at = 0, len(demangled)
    while at > 0:
        at -= 1
        depth += {")": 1, "(": -1}.get(demangled[at], 0)
        if depth == 0:
            break
    depth, part = 0, ""
    for mark in demangled[at + 1 : -1] + ",":
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(mark, 0)
        if mark == "," and depth == 0:
            if part.strip() and part.strip() != "void":
                yield part.strip()
            part = ""
        else:
            part += mark


def arrange(
    kernel: str, wanted: Sequence[Parameter], given: Mapping[str, Argument | Decimal]
) -> dict[str, Argument]:
    """Put arguments into the kernel's order and check them.

    By name where the parameters' names are known and the arguments bear any of them, else in the
    order given. Numbers of Python take the parameter's type.

    Raises
    ------
    UsageError
        A name is no parameter's, an argument is missing or too many, or one does not fit.
    """
    names = [p.name for p in wanted]
    by_name = all(names) and bool(set(names) & set(given))
    if by_name:
        unknown = [name for name in given if name not in names]
        missing = [(n, p) for n, p in enumerate(wanted) if p.name not in given]
        if unknown:
            raise UsageError(
                f"{kernel} has no parameter {unknown[0]!r}; it is {_shown(kernel, wanted)}"
            )
        if missing:
            raise UsageError(
                f"{kernel}: no argument for {missing[0][1].name}; add "
                + " ".join(f"--arg {p.example(n)}" for n, p in missing)
            )
        given = {name: given[name] for name in names}
    if len(given) != len(wanted):
        examples = " ".join(f"--arg {p.example(n)}" for n, p in enumerate(wanted))
        many = "parameter" if len(wanted) == 1 else "parameters"
        raise UsageError(
            f"{kernel} has {len(wanted)} {many}, got {len(given)}"
            + (f"; give them in their order: {examples}" if wanted else "")
        )
    return {
        name: _fitting(kernel, parameter, name, value)
        for parameter, (name, value) in zip(wanted, given.items(), strict=True)
    }


def _shown(kernel: str, wanted: Sequence[Parameter]) -> str:
    return f"{kernel}({', '.join(f'{p.type} {p.name}'.strip() for p in wanted)})"


def _fitting(kernel: str, parameter: Parameter, name: str, value: Argument | Decimal) -> Argument:
    import numpy as np

    what = f"{kernel}: {name}"
    if isinstance(value, Decimal):
        if not parameter.type or (parameter.dtype is None and not parameter.pointer):
            told = parameter.type or f"of {parameter.size_bytes} bytes, its type is not known here"
            raise UsageError(f"{what} is {told}; say which number it is, such as int32:{value}")
        whole = value == value.to_integral_value() and value.adjusted() < 30
        value = int(value) if whole else float(value)
    array = isinstance(value, np.ndarray) and value.ndim > 0
    if not parameter.type:
        return value
    if array and parameter.pointer is False:
        raise UsageError(f"{what} is {parameter.type}, not an array; {parameter.example(0)}")
    if not array and parameter.pointer:
        if isinstance(value, bytes) or int(value) == 0 or _is_address(value):
            return value
        raise UsageError(
            f"{what} is {parameter.type} and needs an array: "
            f"{name}={parameter.dtype or 'float32'}[SHAPE]:random, or 0 for no array"
        )
    if parameter.dtype is None:
        return value
    kind = np.dtype(parameter.dtype)
    if isinstance(value, np.ndarray) and array:
        if not _same(value.dtype, kind):
            raise UsageError(f"{what} is {parameter.type} ({kind}), got an array of {value.dtype}")
        return value
    if isinstance(value, bool | int | float):
        return _number(what, parameter, value, kind)
    if isinstance(value, np.generic | np.ndarray) and not _same(value.dtype, kind):
        raise UsageError(f"{what} is {parameter.type} ({kind}), got {value.dtype}")
    return value


def _is_address(value: Argument) -> bool:
    import numpy as np

    return isinstance(value, np.uint64 | np.int64)


def _number(what: str, parameter: Parameter, value: int | float, kind: np.dtype) -> np.generic:
    """Give a number of Python the parameter's type."""
    import numpy as np

    if kind.kind != "f":
        if int(value) != value:
            raise UsageError(f"{what} is {parameter.type}, got {value}")
        low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        if not low <= value <= high:
            raise UsageError(f"{what} is {value}, which does not fit into {parameter.type}")
        value = int(value)
    made: np.generic = kind.type(value)
    return made


def _same(given: np.dtype, wanted: np.dtype) -> bool:
    """Whether numbers of one type can stand for those of another: integers of one size do."""
    if given == wanted:
        return True
    halves = {given.kind, wanted.kind} <= set("fiu") and given.itemsize == wanted.itemsize == 2
    integers = {given.kind, wanted.kind} <= set("iub") and given.itemsize == wanted.itemsize
    return halves or integers
