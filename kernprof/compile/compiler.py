"""CUDA source to a cubin, through the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kernprof.compile import cubin, keys, nvrtc, ptxas
from kernprof.compile.cache import DiskCache, open_cache
from kernprof.compile.cubin import KernelResources
from kernprof.compile.device_part import device_part
from kernprof.compile.host_headers import FIRST
from kernprof.errors import CompileError, CubinError, InputError, UnknownNameError, UsageError
from kernprof.isolation import Limits
from kernprof.isolation.files import read_text
from kernprof.text import clean

SOURCE_ROOT = "/kernprof/source"
"""Directory that line tables give user's files, so that no machine's path gets into a report."""

# Constants and constexpr functions that kernels use need no annotation for nvcc.
_AS_NVCC = ("--device-as-default-execution-space", f"--pre-include={FIRST}")
_RESERVED = ("-arch", "--gpu-architecture", "--ptxas-options=-v", "-Xptxas")


@dataclass(frozen=True, slots=True)
class Cubin:
    """Machine code of one source for one architecture.

    Parameters
    ----------
    image
        ELF image.
    arch
        "sm_80".
    source_name
        Name of the source in its line table.
    log
        The compiler's warnings; usually empty.
    kernels
        Resources by linker symbol.
    spills
        What the assembler spilled, by linker symbol.
    lowered
        Linker symbol by name expression, for instantiated templates.
    key
        The cache key; equal keys mean equal images.
    notice
        What of the source was left out as host code; empty where nothing was.
    """

    image: bytes = field(repr=False)
    arch: str
    source_name: str
    log: str
    kernels: Mapping[str, KernelResources]
    spills: Mapping[str, ptxas.Spills]
    lowered: Mapping[str, str]
    key: str
    notice: str = ""

    def kernel(self, name: str) -> KernelResources:
        """Return a kernel by linker symbol or name expression.

        Raises
        ------
        UnknownNameError
            If there is none.
        """
        found = self.kernels.get(self.lowered.get(name, name))
        if found is None:
            raise UnknownNameError("kernel", name, tuple(self.kernels))
        return found


def _options(
    options: Sequence[str],
    include_dirs: Sequence[Path],
    defines: Mapping[str, str | None],
    line_info: bool,
) -> list[str]:
    for option in options:
        if option.startswith(_RESERVED):
            raise UsageError(f"compiler option {option} is set by kernprof itself; leave it out")
    made = [ptxas.VERBOSE_OPTION]
    if line_info:
        made.append("-lineinfo")
    made += [f"-D{name}" if v is None else f"-D{name}={v}" for name, v in defines.items()]
    made += [f"-I{directory}" for directory in include_dirs]
    return [*made, *options]


def _pack(compiled: nvrtc.Compiled) -> bytes:
    head = json.dumps({"log": compiled.log, "lowered": compiled.lowered}).encode()
    return len(head).to_bytes(4, "little") + head + compiled.image


def _unpack(entry: bytes) -> nvrtc.Compiled:
    size = int.from_bytes(entry[:4], "little")
    head = json.loads(entry[4 : 4 + size])
    return nvrtc.Compiled(entry[4 + size :], head["log"], head["lowered"])


def compile_source(
    source: str,
    *,
    arch: str,
    name: str = f"{SOURCE_ROOT}/kernel.cu",
    options: Sequence[str] = (),
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | None] | None = None,
    instantiate: Sequence[str] = (),
    line_info: bool = True,
    headers: Mapping[str, str] | None = None,
    cache: DiskCache | None = None,
    use_cache: bool = True,
    limits: Limits | None = None,
) -> Cubin:
    """Compile CUDA source for one architecture.

    Parameters
    ----------
    source
        Device code: kernels and what they need, no host code.
    arch
        Real architecture ("sm_80").
    name
        Absolute name for messages and line tables. A relative one would get the working directory
        put in front of it.
    options
        Further options of NVRTC ("--use_fast_math", "--maxrregcount=64").
    include_dirs
        The user's include directories in order; the CUDA headers come after them.
    defines
        Macros; None defines one without a value.
    instantiate
        Name expressions of template kernels ("gemm<32, true>").
    line_info
        Whether the cubin maps instructions to source lines.
    headers
        Text of further headers by the name that an ``#include`` gives them.
    cache, use_cache
        Where results are kept (the user's cache directory by default), and whether at all.
    limits
        Of the compiler's memory and time; the usual ones by default.

    Raises
    ------
    CompileError
        If the compiler refuses the source or an option; carries its log.
    UnknownNameError
        If the compiler has no such target.
    UsageError
        If an option is one that kernprof sets itself.
    UnavailableError
        If the compiler isn't installed.
    """
    nvrtc.check_target(arch)
    users_dirs = [Path(d).absolute() for d in include_dirs]
    arguments = _options(options, users_dirs, defines or {}, line_info)
    given = headers or {}
    digests = keys.header_digests("\n".join([source, *given.values()]), users_dirs)
    key = keys.cubin_key(
        source=source,
        name=name,
        arch=arch,
        options=arguments,
        instantiate=instantiate,
        headers={**(digests or {}), **{name: keys.digest([t]) for name, t in given.items()}},
        compiler=nvrtc.compiler_version(),
    )
    store = None
    # A header whose name only the preprocessor knows can't be in the key.
    if use_cache and digests is not None:
        store = open_cache("cubin") if cache is None else cache
        entry = store.get(key)
        if entry is not None:
            try:
                return _cubin(_unpack(entry), arch, name, key)
            except (CubinError, ValueError, KeyError):
                pass  # sound on disk, yet not of this form: compiled again below
    arguments += [f"-I{directory}" for directory in nvrtc.header_dirs()]
    compiled = nvrtc.compile_program(
        source, name, arch, arguments, instantiate, given, limits=limits
    )
    result = _cubin(compiled, arch, name, key)
    if store is not None:
        store.put(key, _pack(compiled))
    return result


def _cubin(compiled: nvrtc.Compiled, arch: str, name: str, key: str) -> Cubin:
    return Cubin(
        image=compiled.image,
        arch=arch,
        source_name=name,
        log=ptxas.messages(compiled.log),
        kernels=MappingProxyType(dict(cubin.kernels(compiled.image))),
        spills=ptxas.spills(compiled.log),
        lowered=MappingProxyType(compiled.lowered),
        key=key,
    )


def compile_file(
    path: str | os.PathLike[str],
    *,
    arch: str,
    options: Sequence[str] = (),
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | None] | None = None,
    instantiate: Sequence[str] = (),
    cache: DiskCache | None = None,
    use_cache: bool = True,
    limits: Limits | None = None,
) -> Cubin:
    """Compile a file; its own directory is searched for headers first.

    Parameters are those of ``compile_source``. Line tables call the file ``/kernprof/source/NAME``.
    Of a file with host code the device code is compiled, and ``notice`` of the result says what was
    left out: see :mod:`kernprof.compile.device_part`.

    Raises
    ------
    InputError
        If the file can't be read or is not UTF-8 text, and what ``compile_source`` raises.
    """
    file = Path(path)
    source = read_text(file, "CUDA source")
    folders = [file.parent, *(Path(d) for d in include_dirs)]

    def compiled(text: str, headers: Mapping[str, str], more: Sequence[str]) -> Cubin:
        return compile_source(
            text,
            arch=arch,
            name=f"{SOURCE_ROOT}/{clean(file.name)}",
            options=[*options, *more],
            include_dirs=folders,
            defines=defines,
            instantiate=instantiate,
            headers=headers,
            cache=cache,
            use_cache=use_cache,
            limits=limits,
        )

    def named(error: CompileError) -> CompileError:
        """Return the error with the user's own path, which editors can open."""
        folder = "" if file.parent == Path() else f"{file.parent}/"
        return CompileError(str(error).replace(f"{SOURCE_ROOT}/", folder), error.log)

    try:
        return compiled(source, {}, ())
    except CompileError as error:
        try:
            part = device_part(
                file,
                source,
                root=SOURCE_ROOT,
                include_dirs=folders,
                header_dirs=nvrtc.header_dirs(),
                defines=defines or (),
            )
        except InputError as reason:
            raise named(CompileError(f"{error}; {reason}", error.log)) from None
        if not part.changed:
            raise named(error) from None
    try:
        made = compiled(part.source, part.headers, _AS_NVCC)
    except CompileError as error:
        raise named(part.explain(error)) from None
    return replace(made, notice=part.notice)
