"""Names and types of kernels' parameters, as the source has them.

Machine code keeps neither names nor, of ``extern "C"`` kernels, types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kernprof.compile.declarations import UnbalancedError, declarations, macros
from kernprof.compile.device_part import read_files
from kernprof.compile.tokens import Kind, structural, tokenize

Parameters = tuple[tuple[str, str], ...]
"""Name and type of each parameter, in order; an empty name where the source gives none."""


def launched_templates(text: str, name: str) -> tuple[str, ...]:
    """Return how a source launches a kernel template: "scale<float, 2>" of ``scale<float, 2><<<``.

    Whatever stands between the angle brackets is given as it is, without blanks at line ends.
    """
    code = [t for t in tokenize(text) if t.kind is not Kind.DIRECTIVE]
    found: dict[str, None] = {}
    for at, token in enumerate(code):
        if token.text != "<<<" or code[at - 1].text != ">":
            continue
        depth, inside, begin = 0, 0, at
        while begin > 0:
            begin -= 1
            inside += {")": 1, "(": -1}.get(code[begin].text, 0)
            depth += {">": 1, "<": -1}.get(code[begin].text, 0) if inside == 0 else 0
            if depth == 0:
                break
        if begin and code[begin - 1].text == name:
            found[" ".join(text[code[begin - 1].start : token.start].split())] = None
    return tuple(found)


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
