"""The program ``kernprof``: commands, error lines and exit codes.

Exit codes: 0 fine; 1 a gate failed; 2 wrong usage; 3 an input can't be read; 4 something needed is
missing here; 70 a defect of kernprof itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from kernprof._version import __version__
from kernprof.cli import (
    compare,
    convert,
    doctor,
    layer,
    line_profiler,
    network,
    paper,
    predict,
    profile,
    report,
    roofline,
    stalls,
)
from kernprof.errors import KernprofError

_DEFECT = 70

app = typer.Typer(
    name="kernprof",
    help="Which GPU kernel eats my time, and why? With a GPU or without one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
stalls.register(app)
layer.register(app)
network.register(app)
predict.register(app)
profile.register(app)
compare.register(app)
convert.register(app)
paper.register(app)
report.register(app)
roofline.register(app)
doctor.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kernprof {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks instead of one-line errors.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that hold for every command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if line_profiler.wants(arguments):
        return line_profiler.hand_over(arguments)
    debug = "--debug" in arguments
    # Accepted anywhere: whoever repeats a failed command appends it.
    arguments = [a for a in arguments if a != "--debug"]
    try:
        app(args=arguments, prog_name="kernprof")
    except SystemExit as stop:
        return _exit_code(stop)
    except KernprofError as error:
        if debug:
            raise
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`); leave without a second error at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        if debug:
            raise
        _complain("not enough memory to finish")
        return 3
    except Exception as error:
        if debug:
            raise
        _complain(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return _DEFECT
    return 0


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    return stop.code if isinstance(stop.code, int) else 1


def _complain(message: str) -> None:
    line = " ".join(message.split())
    print(f"kernprof: error: {line}", file=sys.stderr)  # noqa: T201
