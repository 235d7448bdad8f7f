"""Where a command's result goes, and how wide it may be."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernprof.errors import UsageError

if TYPE_CHECKING:
    from kernprof.view.table import Table


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


def emit(content: str, path: Path | None) -> None:
    """Write a result to standard output, or whole to a file.

    Raises
    ------
    UsageError
        When the file can't be written.
    """
    if path is None or str(path) == "-":
        sys.stdout.write(content)
        sys.stdout.flush()
        return
    emit_bytes(content.encode("utf-8"), path)


def emit_bytes(content: bytes, path: Path) -> None:
    """Write a binary result whole to a file.

    Raises
    ------
    UsageError
        When the file can't be written.
    """
    try:
        # Written beside and renamed, so that a reader never sees half a result.
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as scratch:
            scratch.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(scratch.name).chmod(0o666 & ~umask)
        Path(scratch.name).replace(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None


def notice(message: str) -> None:
    """Print one line for a person to standard error."""
    print(f"kernprof: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def terminal_width(path: Path | None) -> int | None:
    """Return the width to fit into, or None when the result does not go to a terminal."""
    if path is not None or not sys.stdout.isatty():
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
