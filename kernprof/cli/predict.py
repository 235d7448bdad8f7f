"""``kernprof predict``: what a kernel does, from its machine code, without a GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.cli.convert import REPORT_SUFFIX, EmbedSource, write
from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    notice,
    terminal_width,
    use_color,
)
from kernprof.cli.what_if import CachesOption, parse_what_if
from kernprof.errors import UsageError
from kernprof.isolation import TIME_LIMIT_S
from kernprof.timing.caches import Caches
from kernprof.writing import open_result

if TYPE_CHECKING:
    from kernprof.prediction.arguments import Spec
    from kernprof.prediction.run import Prediction

_MAX_EXTENT = 2**31 - 1
_FOUND = 3
_MIN_MEMORY_BYTES, _MAX_MEMORY_BYTES = 64 << 20, 1 << 50


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("predict")(predict)


def predict(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CUDA source (.cu), a cubin, a .ncu-rep, or "
            "Python (.py, which is run) with Numba's @cuda.jit functions.",
        ),
    ],
    kernel: Annotated[
        str | None,
        typer.Option(help="Kernel: name, symbol, part of one, or a template 'gemm<float, 16>'."),
    ] = None,
    grid: Annotated[str | None, typer.Option(help="Blocks: X[,Y[,Z]].")] = None,
    block: Annotated[str | None, typer.Option(help="Threads of a block: X[,Y[,Z]].")] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option(
            help="Kernel argument, by the parameter's name or in the kernel's order: "
            "A=float32[64,64]:random (or zeros, ones, arange, FILE.npy), n=64 (of the parameter's "
            "type) or n=int32:64, B=@A (the same array), s=bytes:HEX."
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="GPU or architecture: a100, sm_86. Needed for source; several (v100,a100) are "
            "shown side by side."
        ),
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option(min=1, help="SM clock in MHz; default: the report's, or the base clock."),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Predict time for another GPU: caches=off, bandwidth=4, latency=0.5, sms=200."
        ),
    ] = None,
    caches: CachesOption = None,
    dynamic_shared: Annotated[
        int | None, typer.Option(min=0, help="Dynamic shared memory in bytes.")
    ] = None,
    launch: Annotated[
        int | None, typer.Option(help="Of a report: the launch at this position, from 0.")
    ] = None,
    include: Annotated[
        list[Path] | None, typer.Option("--include", "-I", help="Directory of headers.")
    ] = None,
    define: Annotated[
        list[str] | None, typer.Option("--define", "-D", help="Macro: NAME or NAME=VALUE.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Language: c++11 to c++20.")] = None,
    out: Annotated[
        list[str] | None, typer.Option(help="Save an array afterwards: A=FILE.npy.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Start of the random numbers.")] = 0,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Look for accesses out of bounds, uninitialised reads, races and bad barriers; "
            "exit code 3 when something is found. Not timed.",
        ),
    ] = False,
    time_limit: Annotated[
        float,
        typer.Option(
            min=0.001,
            help="Stop a launch, or compiling it, after so many seconds.",
            show_default=True,
        ),
    ] = TIME_LIMIT_S,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="BYTES",
            help="What compiling, and running a file's machine code, may take: 512M, 4G; "
            "default: 8G or half of the machine.",
        ),
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Also counts per source line.")] = False,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
    embed_source: EmbedSource = False,
) -> None:
    """Execute a kernel's machine code without a GPU: exact counts, predicted cycles and stalls."""
    from kernprof.prediction.arguments import build, parse
    from kernprof.prediction.run import predict as run
    from kernprof.prediction.subject import holds_machine_code

    specs = [parse(text) for text in arg or ()]
    targets = _targets(out or (), [s.name for s in specs if s.dtype is None or s.shape])
    check_outputs(
        {**{f"--out {name}": path for name, path in targets.items()}, "-o": output},
        [file, *(s.content for s in specs if s.shape)],
        force=force,
    )
    names = [name.strip() for name in gpu.split(",")] if gpu is not None else [None]
    changed = parse_what_if(what_if or ())
    if caches is Caches.BACK_TO_BACK:
        raise UsageError("--caches back-to-back takes several launches; predict runs one: warm")
    done = [
        run(
            file,
            build(specs, seed=seed, shared=holds_machine_code(file)),
            kernel=kernel,
            grid=_extent(grid, "grid"),
            block=_extent(block, "block"),
            gpu=name,
            dynamic_shared=dynamic_shared,
            launch=launch,
            include_dirs=include or (),
            defines=_defines(define or ()),
            options=[f"--std={std}"] if std else (),
            clock_mhz=clock,
            what_if=changed,
            caches=caches,
            check=check,
            undefined=[s.name for s in specs if check and s.content == "undefined"],
            time_limit_s=time_limit,
            memory_limit_bytes=_bytes(memory_limit),
        )
        for name in names
    ]
    if done[0].notice:
        notice(done[0].notice)
    _save(done[0], targets)
    if output is not None and output.suffix == REPORT_SUFFIX:
        write([one.profile for one in done], output, embed_source=embed_source)
        return
    emit(_render(done, specs, seed, fmt, output, lines=lines), output)
    if any(one.check is not None and one.check.findings for one in done):
        raise typer.Exit(_FOUND)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE)
    size = int(found[1]) << 10 * " kmgt".index(found[2].lower() or " ") if found else 0
    if not _MIN_MEMORY_BYTES <= size <= _MAX_MEMORY_BYTES:
        raise UsageError(
            f"--memory-limit {text}: expected 64M to 1024T, as a number and K, M, G, T"
        )
    return size


def _extent(text: str | None, what: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(p.strip().isdecimal() and len(p) < 12 for p in parts) or len(parts) > 3:
        raise UsageError(f"--{what} {text}: expected X, X,Y or X,Y,Z")
    found = tuple(int(p) for p in parts)
    if not all(1 <= n <= _MAX_EXTENT for n in found):
        raise UsageError(f"--{what} {text}: every extent is 1 to {_MAX_EXTENT}")
    return found


def _defines(texts: Sequence[str]) -> Mapping[str, str | None]:
    pairs = (text.partition("=") for text in texts)
    return {name: value if sign else None for name, sign, value in pairs}


def _targets(texts: Sequence[str], arrays: Sequence[str]) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise UsageError(f"--out {text}: expected NAME=FILE.npy")
        if name not in arrays:
            known = ", ".join(arrays) or "none"
            raise UsageError(f"--out {text}: no array argument {name!r}; there are: {known}")
        if name in found:
            raise UsageError(f"--out {text}: {name} is saved already; one file an array")
        found[name] = Path(path)
    return found


def _save(done: Prediction, targets: Mapping[str, Path]) -> None:
    import numpy as np

    for name, path in targets.items():
        with open_result(path) as stream:
            np.save(stream, done.arrays[name], allow_pickle=False)
        notice(f"{name} is in {path}")


def _render(
    every: Sequence[Prediction],
    specs: Sequence[Spec],
    seed: int,
    fmt: Format,
    output: Path | None,
    *,
    lines: bool,
) -> str:
    from kernprof.stalls.analysis import analyse
    from kernprof.timing.accuracy import model_error
    from kernprof.view import predict as view
    from kernprof.view.document import dump, profiles_document
    from kernprof.view.stalls import launch_table
    from kernprof.view.table import to_csv, to_markdown, to_terminal

    done = every[0]
    analyses = [analyse(one.profile) for one in every]
    by_line = view.line_table(done.execution, done.profile.kernel) if lines else None
    if fmt is Format.JSON:
        document = profiles_document(analyses)
        document["arguments"] = [spec.record(seed) for spec in specs]
        if done.timing is not None:
            document["model_error"] = model_error().record()
        if done.check is not None:
            document["check"] = view.check_record(done.check)
        if done.agreement:
            document["agreement"] = view.agreement_record(done.agreement)
        if by_line is not None:
            document["lines"] = [
                dict(zip(by_line.columns, row, strict=True)) for row in by_line.rows
            ]
        return dump(document)
    tables = [view.count_table([one.profile for one in every])]
    if done.agreement:
        made_up = {s.name: s.content for s in specs if s.made_up}
        source = str(done.reference.source) if done.reference is not None else ""
        tables = [view.agreement_table(done.agreement, source, made_up, seed)]
        if done.timing is not None and done.reference is not None:
            tables.insert(0, view.beside_table(done.profile, done.reference))
    if by_line is not None:
        tables.append(by_line)
    if done.check is not None:
        tables = [view.check_table(one.check) for one in every if one.check is not None]
    if fmt is Format.CSV:
        return to_csv(tables[-1])
    if fmt is Format.MD:
        return "\n".join(to_markdown(t) for t in tables)
    width, color = terminal_width(output), use_color(output)
    parts = [to_terminal(launch_table(analyses, top=5), width=width, color=color)]
    parts.append("".join(view.timing_line(one) + "\n" for one in every))
    parts += [to_terminal(t, width=width, color=color) for t in tables]
    return "\n".join(parts)
