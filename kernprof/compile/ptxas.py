"""The assembler's resource lines (``ptxas -v``): what tells spills from local arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

VERBOSE_OPTION = "--ptxas-options=-v"

_FUNCTION = re.compile(r"Function properties for (\S+)")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_NOISE = re.compile(r"^ptxas (info    :|        \.)|Architectures prior to .* are deprecated")


@dataclass(frozen=True, slots=True)
class Spills:
    """Registers that did not fit: bytes that the spilling instructions move, per thread."""

    store_bytes: int
    load_bytes: int


def spills(log: str) -> Mapping[str, Spills]:
    """Return the spills by linker symbol that a verbose log states."""
    found: dict[str, Spills] = {}
    function: str | None = None
    for line in log.splitlines():
        if named := _FUNCTION.search(line):
            function = named.group(1)
        elif function is not None and (frame := _FRAME.search(line)):
            found[function] = Spills(int(frame.group(2)), int(frame.group(3)))
            function = None
    return MappingProxyType(found)


def messages(log: str) -> str:
    """Return a log without resource lines and without the notice that a target is an old one."""
    return "\n".join(line for line in log.splitlines() if not _NOISE.search(line)).strip()
