"""Keys of compiled code: one for everything that can change the result, and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kernprof.isolation.files import read_regular

SCHEMA = "cubin/1"
"""Changes when what is stored under a key changes its form."""

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>|(\S+))', re.MULTILINE)


def digest(parts: Iterable[str | bytes]) -> str:
    """Return a hexadecimal SHA-256 over parts with their lengths: no two lists collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def header_digests(source: str, include_dirs: Sequence[Path]) -> Mapping[str, str] | None:
    """Digest every header that the source can pull in from the user's include directories.

    Conditional inclusion is not evaluated: a header behind an ``#if`` counts as well, which can
    only make the key change more often than needed. Headers that are in none of the directories
    are the compiler's own and stand in the key by their package's version.

    Parameters
    ----------
    source
        Source text.
    include_dirs
        Directories in search order.

    Returns
    -------
    mapping of path to digest, or None if a name is computed by a macro and so can't be known.
    """
    found: dict[str, str] = {}
    pending = [(source, include_dirs)]
    while pending:
        text, directories = pending.pop()
        for match in _INCLUDE.finditer(text):
            quoted, angled, computed = match.groups()
            if computed:
                return None
            for directory in directories:
                path = directory / (quoted or angled)
                if not path.is_file():
                    continue
                if str(path) not in found:
                    data = read_regular(path, "a header")
                    found[str(path)] = hashlib.sha256(data).hexdigest()
                    pending.append((data.decode("utf-8", "replace"), (path.parent, *include_dirs)))
                break
    return found


def cubin_key(
    *,
    source: str,
    name: str,
    arch: str,
    options: Sequence[str],
    instantiate: Sequence[str],
    headers: Mapping[str, str],
    compiler: str,
) -> str:
    """Return the key of a compilation.

    Parameters
    ----------
    source, name
        Source text and the name it has in line tables.
    arch, options, instantiate
        Target, compiler options in order, and name expressions to instantiate.
    headers
        Digests of the user's headers by path.
    compiler
        Version of the compiler and of its headers.
    """
    parts: list[str] = [SCHEMA, compiler, arch, name, source]
    for group in (options, instantiate, [f"{k}={v}" for k, v in sorted(headers.items())]):
        parts += [str(len(group)), *group]
    return digest(parts)
