"""Where a command's result goes, and how wide it may be."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.errors import UsageError
from kernprof.text import clean, printable
from kernprof.writing import check_target, forget, identity, write_file, write_standard_output

if TYPE_CHECKING:
    from rich.progress import Progress

    from kernprof.view.table import Table


_STDOUT = 1


class Format(StrEnum):
    """Output formats of every command that prints a table."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the result.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the result to this file.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Write an output even where it is one of the inputs.")
]


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | Path] = (),
    *,
    force: bool = False,
) -> None:
    """Refuse outputs that can't be written or would destroy something, before any work is done.

    Every command that writes a file calls it first.

    Parameters
    ----------
    outputs
        Option to path, in the order in which they are written. None is standard output for ``-o``,
        and nothing for other options.
    inputs
        Files that the command reads; ``-`` is standard input, names of no file are passed over.
    force
        Whether an output may take the place of an input.

    Raises
    ------
    UsageError
        A path can't be written, two outputs are one file, or an output is one of the inputs.
    """
    read: dict[Hashable | None, str] = {}
    for name in inputs:
        file = Path("/dev/stdin" if str(name) == "-" else name)
        if os.path.isfile(file):
            read[identity(file)] = str(file)
    written: dict[Hashable, str] = {}
    for option, path in outputs.items():
        if path is None and option != "-o":
            continue
        to_stdout = is_standard_output(path)
        if path is not None and not to_stdout:
            check_target(path)
        where = "standard output" if to_stdout else f"{option} {path}"
        found = identity(_STDOUT if path is None or to_stdout else path)
        if found is None:
            continue
        if found in read and not force:
            raise UsageError(
                f"{where} is the input {read[found]}, which would be overwritten; give another "
                "file, or --force to overwrite it"
            )
        if found in written:
            raise UsageError(f"{where} is what {written[found]} is; two results need two files")
        written[found] = where


def is_standard_output(path: Path | None) -> bool:
    """Tell whether a result goes to standard output: no path, or ``-``."""
    return path is None or str(path) == "-"


def emit(content: str, path: Path | None) -> None:
    """Write a result to standard output, or whole to a file.

    Characters that would steer a terminal are dropped (``kernprof.text.printable``).

    Raises
    ------
    UsageError
        When it can't be written.
    """
    content = printable(content, colors=use_color(path))
    if path is None or is_standard_output(path):
        write_standard_output(content)
    else:
        write_file(path, content.encode("utf-8"))


def emit_bytes(content: bytes, path: Path) -> None:
    """Write a binary result whole to a file.

    Raises
    ------
    UsageError
        When the file can't be written.
    """
    write_file(path, content)


def notice(message: str) -> None:
    """Print one line for a person to standard error."""
    say(f"kernprof: {message}")


def say(message: str, *, keep_spaces: bool = False) -> None:
    """Print a message on one line of standard error, without control characters.

    Parameters
    ----------
    message
        What to say.
    keep_spaces
        Whether runs of spaces mean something: indented text.
    """
    # print() would take None for standard output.
    if sys.stderr is None:
        return
    line = clean(message) if keep_spaces else " ".join(clean(message).split())
    try:
        print(line, file=sys.stderr)  # noqa: T201
    except (OSError, ValueError):
        # Full or closed: there is nobody to be told.
        forget(sys.stderr)


def terminal_width(path: Path | None) -> int | None:
    """Return the width to fit into, or None when the result does not go to a terminal."""
    if not is_standard_output(path) or sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def use_color(path: Path | None) -> bool:
    """Tell whether escape sequences may be written (https://no-color.org)."""
    return terminal_width(path) is not None and not os.environ.get("NO_COLOR")


def emit_tables(tables: Sequence[Table], fmt: Format, path: Path | None, *, head: str = "") -> None:
    """Write tables one under the other, as Markdown or for the terminal.

    Parameters
    ----------
    tables
        What to write.
    fmt
        ``md``, or anything else for the terminal's form.
    path
        Where to; None is standard output.
    head
        Text above them.
    """
    from kernprof.view.table import to_markdown, to_terminal

    if fmt is Format.MD:
        shown = [to_markdown(table) for table in tables]
    else:
        width, color = terminal_width(path), use_color(path)
        shown = [to_terminal(table, width=width, color=color) for table in tables]
    emit(head + "\n".join(shown), path)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show progress on standard error where someone looks; descriptions are text, no markup."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, Remaining(), console=Console(stderr=True), transient=True) as bar:
        yield bar
