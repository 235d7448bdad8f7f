"""The device code of a source file that also holds host code.

NVRTC compiles device code only, and nvcc's way of splitting a file needs a host compiler and the
host's headers. Here kernels and what they reach by name stay, everything else is blanked out:

- ``__global__`` functions, and, as far as these name them, ``__device__`` functions and variables,
  types, constants, ``constexpr`` functions and macros. Names are not resolved, so more may stay
  than is needed. Member functions for the host only are taken out of classes that stay.
- Headers that the source includes in quotes are treated in the same way, and standard headers of
  the host are replaced by short ones (:mod:`kernprof.compile.host_headers`).

Lines stay where they are, so messages and line tables fit the original. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kernprof.compile.declarations import (
    Declaration,
    Macros,
    Sort,
    UnbalancedError,
    declarations,
    macros,
)
from kernprof.compile.host_headers import host_headers
from kernprof.compile.tokens import Kind, Token, included, structural, tokenize
from kernprof.errors import CompileError, InputError
from kernprof.isolation.files import read_text

_OF_NVIDIA = frozenset({"std", "cuda", "nvcuda", "cooperative_groups"})
_MAX_FILES = 1000
_REMEDIES = {"curand_kernel.h": "curand_kernel.h: pip install nvidia-curand-cu12"}
# Mostly for the host, and not to be had from NVRTC: they stay where a kernel names what is in them.
_HOST_LIBRARIES = {"thrust/": "thrust", "cub/": "cub"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A declaration of host code: its file, its lines and the name that it declares, if any."""

    file: str
    first_line: int
    last_line: int
    name: str


@dataclass(frozen=True, slots=True)
class DevicePart:
    """What is to be compiled instead of the file.

    Parameters
    ----------
    source
        The file's text, host code blanked out.
    headers
        Texts of headers by the name that ``#include`` gives them.
    left_out
        What was blanked out, in order.
    missing
        Headers that are nowhere, and were left out.
    changed
        Whether anything differs from compiling the file as it is.
    """

    source: str
    headers: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    missing: tuple[str, ...]
    changed: bool

    @property
    def notice(self) -> str:
        """Say in one line what was left out."""
        parts = []
        if self.left_out:
            lines = sum(part.last_line - part.first_line + 1 for part in self.left_out)
            shown = [f"{p.name} (line {p.first_line})" for p in self.left_out if p.name]
            more = ", ..." if len(shown) > 4 else ""
            parts.append(f"{lines} lines of host code: {', '.join(shown[:4])}{more}")
        if self.missing:
            parts.append(f"headers that are not here: {', '.join(self.missing)}")
        return f"left out {'; '.join(parts)}" if parts else ""

    def explain(self, error: CompileError) -> CompileError:
        """Add to a compiler's error what left-out parts may have to do with it."""
        text = str(error)
        hints = []
        unknown = {word.strip('"') for word in text.split() if word.startswith('"')}
        for part in self.left_out:
            if part.name and part.name in unknown:
                hints.append(
                    f"{part.name} of line {part.first_line} was taken for host code; mark it "
                    "__device__ or constexpr"
                )
        if self.missing:
            hints.append(f"not found: {', '.join(self.missing)} (name their directory with -I)")
        hints += [remedy for header, remedy in _REMEDIES.items() if header in self.missing]
        return CompileError("; ".join([text, *hints]), error.log) if hints else error


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A source file that is analysed; ``name`` is what messages and line tables call it."""

    path: Path
    name: str
    text: str
    tokens: Sequence[Token]


def device_part(
    path: Path,
    text: str,
    *,
    root: str,
    include_dirs: Sequence[Path],
    header_dirs: Sequence[Path],
    defines: Iterable[str] = (),
) -> DevicePart:
    """Find the device code of a file.

    Parameters
    ----------
    path, text
        The file and its content.
    root
        Directory that messages and line tables give the user's files.
    include_dirs
        The user's include directories, the file's own first.
    header_dirs
        Where NVIDIA's headers are.
    defines
        Names of macros that are given as options.

    Raises
    ------
    InputError
        There is no kernel, brackets don't match, or a header can't be read.
    """
    files, missing = read_files(path, text, root, include_dirs, header_dirs)
    tokens = [token for file in files for token in file.tokens]
    known = macros(tokens)
    known = Macros({**dict.fromkeys(defines, frozenset()), **known.bodies}, *_rest(known))
    found = [(file, each) for file in files for each in _declared(file, known)]
    kept = _reached([each for _, each in found], known)
    if not any(_is_root(each, known) for _, each in found):
        raise InputError(f"{path}: holds no kernel (a function marked __global__)")
    spaces = _OF_NVIDIA | {b.text for a, b in pairwise(tokens) if a.text == "namespace"}
    hidden: dict[str, list[tuple[int, int]]] = {file.name: [] for file in files}
    left_out = []
    for file, each in found:
        if each.sort is Sort.USING_NAMESPACE:
            if not each.names <= spaces:
                hidden[file.name].append((each.start, each.end))
        elif id(each) in kept:
            hidden[file.name] += each.members
        else:
            hidden[file.name].append((each.start, each.end))
            if each.sort is not Sort.OTHER and not each.device:
                left_out.append(_left_out(file, each))
    named = frozenset(name for _, each in found if id(each) in kept for name in each.uses)
    unneeded = {
        name
        for token in tokens
        for name, _ in [included(token) or ("", False)]
        for start, space in _HOST_LIBRARIES.items()
        if name.startswith(start) and space not in named
    }
    shims = {
        name: content
        for name, content in host_headers(with_std="std" in named).items()
        if not any((folder / name).is_file() for folder in include_dirs)
    }
    names = {file.path.resolve(): file.name for file in files}
    lookup = _Lookup(names, include_dirs, frozenset(missing) | unneeded)
    texts = {file.name: _blanked(file, hidden[file.name], lookup) for file in files}
    main = texts.pop(files[0].name)
    asked = {name for t in tokens if (name := (included(t) or ("",))[0])}
    return DevicePart(
        source=main,
        headers={**shims, **texts},
        left_out=tuple(left_out),
        missing=missing,
        changed=bool(left_out or missing or asked & shims.keys() or any(hidden.values())),
    )


def _rest(known: Macros) -> tuple[frozenset[str], frozenset[str]]:
    return known.with_arguments, known.whole


def read_files(
    path: Path,
    text: str,
    root: str,
    include_dirs: Sequence[Path],
    header_dirs: Sequence[Path],
) -> tuple[list[SourceFile], tuple[str, ...]]:
    """Read the file and all headers that it includes in quotes; also tell which are nowhere."""
    files = [SourceFile(path, f"{root}/{path.name}", text, tuple(tokenize(text)))]
    seen = {path.resolve()}
    known = host_headers(with_std=False)
    missing: list[str] = []
    for file in files:  # grows on the way
        for token in file.tokens:
            wanted = included(token) if token.kind is Kind.DIRECTIVE else None
            if wanted is None:
                continue
            name, quoted = wanted
            near = [file.path.parent, *include_dirs] if quoted else list(include_dirs)
            header = _find(name, near)
            if header is None:
                if name not in known and _find(name, header_dirs) is None and name not in missing:
                    missing.append(name)
            elif quoted and header.resolve() not in seen:
                seen.add(header.resolve())
                if len(files) >= _MAX_FILES:
                    raise InputError(f"{path}: includes more than {_MAX_FILES} files")
                files.append(_header(path, header, root))
    return files, tuple(missing)


def _find(name: str, folders: Iterable[Path]) -> Path | None:
    return next((f / name for f in folders if (f / name).is_file()), None)


def _header(main: Path, header: Path, root: str) -> SourceFile:
    text = read_text(header, "a header")
    whole, base = header.resolve(), main.parent.resolve()
    # Files elsewhere keep their whole path, which is as telling and as unique as before.
    name = f"{root}/{whole.relative_to(base)}" if whole.is_relative_to(base) else str(whole)
    return SourceFile(header, name, text, tuple(tokenize(text)))


def _declared(file: SourceFile, known: Macros) -> Iterator[Declaration]:
    try:
        yield from declarations(structural(file.tokens), known)
    except UnbalancedError as error:
        line = file.text.count("\n", 0, error.at) + 1
        raise InputError(
            f"{file.path}: {error.text!r} of line {line} has no partner, so host code can't be "
            "told from device code; put the kernels into a file of their own, or compile with "
            "nvcc -cubin"
        ) from None


def _is_root(each: Declaration, known: Macros) -> bool:
    return each.kernel and (each.body or bool(each.uses & known.whole))


def _can_stay(each: Declaration) -> bool:
    return each.device or each.usable or each.sort is Sort.TYPE


def _reached(found: Sequence[Declaration], known: Macros) -> set[int]:
    """Return the identities of the declarations that kernels reach by name."""
    by_name: dict[str, list[Declaration]] = {}
    for each in found:
        if _can_stay(each):
            for name in each.names:
                by_name.setdefault(name, []).append(each)
    types = {name for each in found if each.sort is Sort.TYPE for name in each.names}
    operators = [e for e in found if "operator" in e.names and e.device]
    kept: set[int] = set()
    names: set[str] = set()
    pending = [each for each in found if _is_root(each, known)]
    while pending:
        each = pending.pop()
        if id(each) in kept:
            continue
        kept.add(id(each))
        fresh = (known.expand(each.uses) | each.names) - names
        names |= fresh
        pending += [other for name in fresh for other in by_name.get(name, ())]
        if not pending:
            # Operators are used without being named: those of types that are reached stay.
            pending = [
                o
                for o in operators
                if id(o) not in kept and (not types & o.uses or types & o.uses & names)
            ]
    return kept


def _left_out(file: SourceFile, each: Declaration) -> LeftOut:
    first = file.text.count("\n", 0, each.start) + 1
    last = first + file.text.count("\n", each.start, each.end)
    name = next(iter(each.names)) if len(each.names) == 1 else ""
    return LeftOut(file.name, first, last, name)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Where an ``#include`` leads: analysed files, user's directories, headers to leave out."""

    names: Mapping[Path, str]
    include_dirs: Sequence[Path]
    without: frozenset[str]

    def rewritten(self, file: SourceFile, directive: Token) -> str | None:
        """Return the directive as it must be, or None to leave it as it is."""
        wanted = included(directive)
        if wanted is None:
            return None
        name, quoted = wanted
        if name in self.without:
            return ""
        header = _find(name, [file.path.parent, *self.include_dirs]) if quoted else None
        if header is None:
            return None
        return f'#include "{self.names[header.resolve()]}"'


def _blanked(file: SourceFile, hidden: Sequence[tuple[int, int]], lookup: _Lookup) -> str:
    """Return a file's text with stretches blanked out; directives and line ends stay."""
    out = list(file.text)
    for start, end in hidden:
        out[start:end] = [c if c in "\r\n" else " " for c in file.text[start:end]]
    for token in file.tokens:
        if token.kind is not Kind.DIRECTIVE:
            continue
        new = lookup.rewritten(file, token)
        kept = file.text[token.start : token.end]
        if new is not None:
            kept = new + "\n" * kept.count("\n")
        out[token.start : token.end] = [kept, *[""] * (token.end - token.start - 1)]
    return "".join(out)
