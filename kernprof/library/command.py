"""The command line that launches one kernel of the library on a GPU.

``python -m kernprof.library.command gemv2T m=784,n=64,beta=0`` prints a call of ``kernprof-launch``
(built by CMake), ready to be put behind ``ncu`` or ``compute-sanitizer``. With ``--plan`` it prints
the options alone, one word a line: this is how ``kernprof-launch --shape`` asks for them, so that
grids and argument lists are written down once, in the registry.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from kernprof.errors import KernprofError, UsageError
from kernprof.library.model import Argument, KernelEntry, Pointer, Role, Shape
from kernprof.library.registry import entry
from kernprof.profile import Dim3
from kernprof.text import clean
from kernprof.writing import write_standard_output

_OPTIONAL = {"beta": 0, "bias": 0, "trans_a": 0, "trans_b": 0, "dilation_h": 1, "dilation_w": 1}
"""Shape parameters that need not be given, and what they are then."""


def parse_shape(kernel: KernelEntry, text: str) -> dict[str, int]:
    """Read a shape as users write it.

    Parameters
    ----------
    kernel
        The kernel whose parameters are named.
    text
        ``m=784,n=64``; flags may be left out and are 0 then, dilations 1.

    Raises
    ------
    UsageError
        If the text isn't of this form, or names a parameter twice.
    """
    given: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, value = (word.strip() for word in part.partition("="))
        if name in given:
            raise UsageError(f"{name} is given twice in {text!r}")
        try:
            given[name] = int(value)
        except ValueError:
            raise UsageError(
                f"{part!r} is no shape parameter; expected NAME=INTEGER, with the names"
                f" {', '.join(kernel.parameters)}"
            ) from None
    defaults = {n: v for n, v in _OPTIONAL.items() if n in kernel.parameters}
    return defaults | given


def options(kernel: KernelEntry, shape: Shape) -> tuple[str, ...]:
    """Return the options of ``kernprof-launch`` for a shape: geometry and arguments.

    Floating-point arrays that the kernel reads are random and positive, so that none of them is a
    bad divisor or variance; integer arrays (labels, masks) are 0, which is valid in all of them.

    Raises
    ------
    ShapeError
        If the shape breaks one of the kernel's rules.
    """
    geometry = kernel.launch_geometry(shape)
    words = ["--grid", _extent(geometry.grid), "--block", _extent(geometry.block)]
    if geometry.dynamic_shared_bytes:
        words += ["--shared", str(geometry.dynamic_shared_bytes)]
    for argument in kernel.arguments:
        words += ["--arg", _argument(argument, shape)]
    return tuple(words)


def command(name: str, shape: Shape) -> str:
    """Return the whole command line for a kernel and shape, quoted for a shell.

    Raises
    ------
    UnknownNameError
        If there is no such kernel.
    ShapeError
        If the shape breaks one of its rules.
    """
    return shlex.join(["kernprof-launch", "--kernel", name, *options(entry(name), shape)])


def _extent(extent: Dim3) -> str:
    return f"{extent.x},{extent.y},{extent.z}"


def _argument(argument: Argument, shape: Shape) -> str:
    if isinstance(argument, Pointer):
        count = argument.elements(shape)
        if count == 0:
            return "null"
        random = argument.dtype == "float32" and argument.role is not Role.OUT
        return f"buf:{count}:{'random' if random else 'zero'}"
    value = argument.of(shape)
    return f"f32:{value!r}" if argument.dtype == "float32" else f"i32:{_signed(int(value))}"


def _signed(value: int) -> int:
    """Return the signed number with the same 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a launch; return the exit status (2 and one line on stderr for wrong usage)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    plan = "--plan" in words
    words = [word for word in words if word != "--plan"]
    try:
        if len(words) not in (1, 2) or words[0].startswith("-"):
            raise UsageError(
                "usage: python -m kernprof.library.command KERNEL [NAME=VALUE,...] [--plan]"
            )
        kernel = entry(words[0])
        shape = parse_shape(kernel, words[1] if len(words) == 2 else "")
        if plan:
            write_standard_output("".join(f"{word}\n" for word in options(kernel, shape)))
        else:
            write_standard_output(command(kernel.name, shape) + "\n")
    except KernprofError as error:
        sys.stderr.write(f"{clean(str(error))}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
