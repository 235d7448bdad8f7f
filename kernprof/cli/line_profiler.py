"""Living with line_profiler, which installs a script and a module of the same name.

Its script ``kernprof`` imports ``main`` from the module ``kernprof``; with this package installed
that import finds us. When the arguments are line_profiler's, its own module is loaded by path and
gets them; its users lose nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from kernprof.cli.output import say
from kernprof.errors import UnavailableError

# Options that only line_profiler's program has; -h, --help and --version are ours.
_OPTIONS = {
    "-l",
    "--line-by-line",
    "-b",
    "--builtin",
    "-v",
    "--view",
    "-m",
    "-c",
    "-s",
    "--setup",
    "-p",
    "--prof-mod",
    "-i",
    "--output-interval",
    "-u",
    "--unit",
    "-z",
    "--skip-zero",
    "-r",
    "--rich",
    "--prof-imports",
}


def wants(arguments: Sequence[str]) -> bool:
    """Tell whether a command line was meant for line_profiler's program."""
    if not arguments:
        return False
    first = arguments[0]
    combined = first[:1] == "-" and first[:2] != "--" and set(first[1:]) <= set("lbvzr") and first
    return first.partition("=")[0] in _OPTIONS or bool(combined) or first.endswith(".py")


def installed_module() -> Path | None:
    """Return the path of line_profiler's ``kernprof.py``, or None where it is not installed."""
    try:
        distribution = metadata.distribution("line_profiler")
    except metadata.PackageNotFoundError:
        return None
    candidate = Path(str(distribution.locate_file("kernprof.py")))
    return candidate if candidate.is_file() else None


def hand_over(arguments: Sequence[str]) -> int:
    """Run line_profiler's program with these arguments; returns its exit code.

    Raises
    ------
    UnavailableError
        Never to a caller: printed as one line, exit code 4, where line_profiler is not installed.
    """
    path = installed_module()
    if path is None:
        error = UnavailableError(
            f"{arguments[0]} is an option of line_profiler's program of the same name, and "
            "line_profiler is not installed (this is the GPU kernel profiler)",
            "pip install line_profiler",
        )
        say(f"kernprof: error: {error}")
        return error.exit_code
    module = _load(path)
    try:
        code = module.main(list(arguments))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) or stop.code is None else 1
    return int(code or 0)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("line_profiler_kernprof", path)
    if spec is None or spec.loader is None:
        raise UnavailableError(
            f"{path} can't be loaded", "pip install --force-reinstall line_profiler"
        )
    module = importlib.util.module_from_spec(spec)
    # Its own helpers look themselves up by module name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
