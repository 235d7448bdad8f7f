"""The compiler of programs that tests run on the CPU: the one that builds kernprof itself."""

from __future__ import annotations

import subprocess
from functools import cache

import core_compiler

MISSING = "needs a C++17 compiler: this machine's, or pip install " + core_compiler.ZIG


@cache
def host_compiler() -> tuple[str, ...] | None:
    """Return its command, or None where there is none."""
    found = core_compiler.of_machine() or core_compiler.of_wheel()
    return tuple(found) if found else None


@cache
def is_clang() -> bool:
    """Whether it is Clang, whose options differ from GCC's here and there."""
    command = host_compiler()
    if command is None:
        return False
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return "clang" in done.stdout
