"""Every error that kernprof raises on purpose.

::

    KernprofError
    ├── GateFailed                 exit 1: a ``--fail-if`` condition holds, or can't be judged
    ├── UsageError                 exit 2: the caller asked for something that makes no sense
    │   ├── UnknownNameError       a name that is on no list; carries near ones
    │   └── ShapeError             a layer or launch shape that breaks a rule
    ├── InputError                 exit 3: somebody else's data can't be used
    │   ├── ReportError            a profiler report
    │   │   ├── UnknownFormatError     no reader recognises the content
    │   │   ├── UnsupportedVersionError  a known format in a version we can't read
    │   │   ├── DamagedReportError     the content contradicts its own format
    │   │   └── LimitExceededError     reading on would need more than the limits allow
    │   ├── NetworkFileError       an ONNX or prototxt file
    │   ├── CompileError           CUDA source that the compiler refuses; carries its log
    │   └── CubinError             machine code that can't be decoded
    └── UnavailableError           exit 4: something needed is missing here; carries the remedy

A message says what was found, what was expected and what to do. The command line prints it on one
line and ends with ``exit_code``; nothing else becomes an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class KernprofError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line ends with."""

    exit_code = 3


class GateFailed(KernprofError):
    """A ``--fail-if`` condition holds, or can't be judged."""

    exit_code = 1


class UsageError(KernprofError):
    """The caller asked for something that makes no sense."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name is on no list.

    Parameters
    ----------
    what
        The kind of thing that was looked for ("network", "GPU").
    name
        The name that was given.
    known
        The names that exist; the nearest ones are suggested.
    """

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.5)
        suggestions = [k for k in known if k.lower() in near]
        if suggestions:
            hint = f"did you mean {' or '.join(suggestions)}?"
        else:
            shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            hint = f"known: {shown}"
        super().__init__(f"no {what} named {name!r}; {hint}")
        self.what = what
        self.name = name
        self.suggestions = suggestions


class ShapeError(UsageError):
    """A layer or launch shape breaks a rule; the message names the rule."""


class InputError(KernprofError):
    """Somebody else's data can't be used."""

    exit_code = 3


class ReportError(InputError):
    """A profiler report can't be read.

    Parameters
    ----------
    reason
        What was found and what was expected.
    path
        The file as the user named it.
    where
        The place inside it ("block 3, entry 17, byte 40960"), when there is one.
    """

    def __init__(self, reason: str, *, path: str | None = None, where: str | None = None) -> None:
        self.reason = reason
        self.path = path
        self.where = where
        super().__init__(str(self))

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.where, self.reason) if part)

    def at(self, *, path: str | None = None, where: str | None = None) -> ReportError:
        """Return the same error with the file or the place filled in where they are not known."""
        return type(self)(self.reason, path=self.path or path, where=self.where or where)


class UnknownFormatError(ReportError):
    """No reader recognises the content."""


class UnsupportedVersionError(ReportError):
    """A known format in a version that this reader can't read."""


class DamagedReportError(ReportError):
    """The content contradicts its own format."""


class LimitExceededError(ReportError):
    """Reading on would need more memory or time than the limits allow."""


class NetworkFileError(InputError):
    """A network description (ONNX, prototxt) can't be used."""


class CompileError(InputError):
    """The compiler refuses the source.

    Parameters
    ----------
    message
        One line for the user.
    log
        The compiler's own log, whole.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class CubinError(InputError):
    """Machine code can't be decoded."""


class UnavailableError(KernprofError):
    """Something needed is missing on this machine.

    Parameters
    ----------
    what
        What is missing.
    remedy
        The command or step that adds it.
    """

    exit_code = 4

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; to add it: {remedy}")
        self.what = what
        self.remedy = remedy
