"""Names and types of kernels' parameters, as the source has them.

Machine code keeps neither names nor, of ``extern "C"`` kernels, types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kernprof.compile.declarations import UnbalancedError, declarations, macros
from kernprof.compile.device_part import read_files
from kernprof.compile.tokens import structural

Parameters = tuple[tuple[str, str], ...]
"""Name and type of each parameter, in order; an empty name where the source gives none."""


def kernel_parameters(
    path: Path, text: str, include_dirs: Sequence[Path]
) -> Mapping[str, tuple[Parameters, ...]]:
    """Return the parameters of each kernel by function name, one entry an overload.

    Headers that are included in quotes are read too. Of a file whose brackets don't match nothing
    is returned: names are a convenience.

    Raises
    ------
    InputError
        A header can't be read.
    """
    files, _ = read_files(path, text, "", include_dirs, ())
    known = macros([token for file in files for token in file.tokens])
    found: dict[str, dict[Parameters, None]] = {}
    for file in files:
        try:
            for each in declarations(structural(file.tokens), known):
                if each.kernel:
                    for name in each.names:
                        found.setdefault(name, {})[each.parameters] = None
        except UnbalancedError:
            continue
    return {name: tuple(overloads) for name, overloads in found.items()}
