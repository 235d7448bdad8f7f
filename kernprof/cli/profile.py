"""``kernprof profile``: run a program under the profiler and show what its kernels wait for."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kernprof.cli.convert import REPORT_SUFFIX
from kernprof.cli.output import (
    ForceOption,
    Format,
    FormatOption,
    OutputOption,
    check_outputs,
    emit,
    notice,
    say,
)
from kernprof.cli.stalls import render
from kernprof.cli.stopping import INTERRUPTED
from kernprof.errors import InputError, UsageError
from kernprof.measure.collect import Collected, CollectOptions, Tool
from kernprof.writing import copy_file


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("profile")(profile)


def profile(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND [ARGUMENTS]...", help="The program to measure.", show_default=False
        ),
    ],
    set_name: Annotated[
        str,
        typer.Option(
            "--set",
            help="tablev: Table V and stalls; stalls; memory: with sectors, hit rates and "
            "conflicts; full: everything.",
        ),
    ] = "tablev",
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="More metrics, separated by commas; may be given again."),
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(help="Only this kernel; regex:EXPRESSION for several.")
    ] = None,
    launch_skip: Annotated[int, typer.Option(min=0, help="Matching launches to pass over.")] = 0,
    launch_count: Annotated[
        int | None, typer.Option(min=1, help="Launches to measure at most.", show_default=False)
    ] = None,
    nvtx: Annotated[
        list[str] | None,
        typer.Option(help="Only launches in this NVTX range, as ncu spells it; may be repeated."),
    ] = None,
    replay_mode: Annotated[
        str, typer.Option(help="kernel, application or range: what is run again for each pass.")
    ] = "kernel",
    cache_control: Annotated[
        str, typer.Option(help="all: caches flushed before each pass; none: left as they are.")
    ] = "all",
    clock_control: Annotated[
        str, typer.Option(help="base: clocks locked to base; none: left as they are.")
    ] = "base",
    target_processes: Annotated[
        str, typer.Option(help="all: children too; application-only.")
    ] = "all",
    import_source: Annotated[
        bool, typer.Option("--import-source", help="Put source text into the report.")
    ] = False,
    time_limit: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many seconds.", show_default=False)
    ] = None,
    tool: Annotated[Tool, typer.Option(help="ncu; nvprof for Pascal and older GPUs.")] = Tool.NCU,
    program: Annotated[
        Path | None,
        typer.Option(help="Path of the profiler, where it is not found.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the profiler's command line, run nothing.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Stall reasons and lines to show.")] = 5,
    lines: Annotated[bool, typer.Option("--lines", help="Stalls by instruction and line.")] = False,
    fmt: FormatOption = Format.TABLE,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Run a program under ncu (or nvprof) and show the result; -o FILE.ncu-rep keeps the report."""
    options = CollectOptions(
        set_name=set_name,
        metrics=tuple(m for text in metrics or () for m in text.split(",") if m),
        kernel=kernel,
        launch_skip=launch_skip,
        launch_count=launch_count,
        nvtx=tuple(nvtx or ()),
        replay_mode=replay_mode,
        cache_control=cache_control,
        clock_control=clock_control,
        target_processes=target_processes,
        import_source=import_source,
        time_limit_s=time_limit,
    )
    keep = output if output is not None and output.suffix == REPORT_SUFFIX else None
    if keep is not None and tool is Tool.NVPROF:
        raise UsageError(f"-o {keep}: nvprof writes no such report; -o FILE.json or .csv")
    if dry_run:
        emit(shlex.join(_command(tool, program, options, keep, command)) + "\n", None)
        return
    check_outputs({"-o": output}, command, force=force)
    with tempfile.TemporaryDirectory(prefix="kernprof-") as folder:
        done = collect_into(folder, keep, command, options, tool=tool, program=program)
        _show(done, fmt, None if keep else output, top=top, lines=lines)
    if any(note.startswith("interrupted") for note in done.notes):
        raise typer.Exit(INTERRUPTED)


def notice_line(line: str) -> None:
    """Pass a line of the profiler or of the application on, to stderr."""
    say(line, keep_spaces=True)


def collect_into(
    folder: str,
    keep: Path | None,
    command: Sequence[str],
    options: CollectOptions,
    *,
    tool: Tool = Tool.NCU,
    program: Path | None = None,
) -> Collected:
    """Measure into a temporary folder, and put the report where it is to be kept.

    Only a report that can be read takes the place of an old one. One that can't be is kept where
    nothing was before: long measuring may be in it, and another program may read it.

    Raises
    ------
    KernprofError
        As ``kernprof.measure.collect.collect``, or the report can't be written.
    """
    from kernprof.measure.collect import collect

    name = "measured.csv" if tool is Tool.NVPROF else "measured.ncu-rep"
    # ncu puts process numbers and the like in the place of %p, %h, %q{...}, %i.
    report = Path(folder) / (name if keep is None or "%" in keep.name else keep.name)
    try:
        done = collect(
            command, options, tool=tool, program=program, keep=report, progress=notice_line
        )
    except InputError:
        if keep is not None and report.is_file() and not keep.exists():
            copy_file(report, keep)
            notice(f"the report as it is is in {keep}")
        raise
    if keep is not None:
        copy_file(report, keep)
        notice(f"the report is in {keep}")
    return done


def _command(
    tool: Tool,
    program: Path | None,
    options: CollectOptions,
    keep: Path | None,
    command: list[str],
) -> tuple[str, ...]:
    from kernprof.errors import UnavailableError
    from kernprof.measure.collect import find_tool, ncu_command, nvprof_command

    try:
        path = program or find_tool(tool)
    except UnavailableError:
        # What would be run is told on machines without the profiler too.
        path = Path(str(tool))
    if tool is Tool.NCU:
        return ncu_command(path, options, keep or Path("measured.ncu-rep"), command)
    return nvprof_command(path, options, Path("measured.csv"), command)


def _show(done: Collected, fmt: Format, output: Path | None, *, top: int, lines: bool) -> None:
    from kernprof.stalls.analysis import analyse_together
    from kernprof.stalls.group import alike

    for note in done.notes:
        notice(note)
    together = fmt is Format.TABLE and not lines
    shown = alike(done.profiles) if together else [[p] for p in done.profiles]
    emit(render([analyse_together(m) for m in shown], fmt, output, top=top, lines=lines), output)
