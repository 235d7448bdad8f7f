"""The program ``kernprof``: commands, error lines and exit codes.

Exit codes: 0 fine; 1 a gate failed; 2 wrong usage; 3 an input can't be read; 4 something needed is
missing here; 70 a defect of kernprof itself; 128 and its number after a signal.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

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
from kernprof.cli.output import emit, say
from kernprof.cli.stopping import INTERRUPTED, stopped_by_signals
from kernprof.collector import rarely
from kernprof.errors import KernprofError
from kernprof.writing import flush_standard_output, forget, standard_output_error

_NOT_WRITTEN, _DEFECT = 2, 70
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Click's own base of errors: of the package click with older versions of Typer, of the copy inside
# Typer with newer ones.
_WRONG_USAGE: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

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
        emit(f"kernprof {__version__}\n", None)
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
    with rarely(), stopped_by_signals() as stop:
        code = _finish(_run(arguments, debug))
    return stop.exit_code(code)


def _run(arguments: list[str], debug: bool) -> int:
    """Run a command; every error becomes one line and an exit code."""
    try:
        # The code of typer.Exit, or nothing.
        done = app(args=arguments, prog_name="kernprof", standalone_mode=False)
    except SystemExit as stop:
        return _exit_code(stop)
    except KernprofError as error:
        if debug:
            raise
        _complain(str(error))
        return error.exit_code
    except _WRONG_USAGE as error:
        return _explain_usage(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        if debug:
            raise
        _complain("not enough memory to finish")
        return 3
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _FULL:
            _complain(_what_is_full(error, arguments))
            return _NOT_WRITTEN
        _complain(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return _DEFECT
    return done if isinstance(done, int) else 0


def _what_is_full(error: OSError, arguments: Sequence[str]) -> str:
    """Name the disk that an error is about; results and tables have named it before."""
    if {"-h", "--help"} & set(arguments) and sys.stdout is not None:
        forget(sys.stdout)
        return str(standard_output_error(error.strerror or str(error)))
    place = f"can't write {error.filename}" if error.filename else "can't write a temporary file"
    return f"{place}: {error.strerror}; make room on its disk"


def _finish(code: int) -> int:
    """Write what standard output still holds; the interpreter would fail on it without a word."""
    try:
        flush_standard_output()
    except KernprofError as error:
        _complain(str(error))
        return error.exit_code
    return code


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    return stop.code if isinstance(stop.code, int) else 1


def _explain_usage(error: Any) -> int:
    """Print what Typer has to say about wrong usage, which quotes arguments as they are."""
    shown = io.StringIO()
    error.show(file=shown)
    # Without arguments the help is shown, which is long; nothing of it is anybody's data.
    for line in shown.getvalue().splitlines() or [""]:
        say(line, keep_spaces=True)
    return int(error.exit_code)


def _complain(message: str) -> None:
    say(f"kernprof: error: {message}")
