"""Being asked to end: SIGTERM and SIGHUP go the way of Ctrl-C, so that all is cleaned up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number."""

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Another signal than Ctrl-C's asked the program to end."""


@dataclass(slots=True)
class Stop:
    """The signal that has arrived, if one has."""

    number: int | None = None

    def exit_code(self, code: int) -> int:
        """Return the exit code of a run: after a signal, 128 and its number."""
        return code if self.number is None or code != INTERRUPTED else 128 + self.number


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Raise ``Stopped`` at SIGTERM and SIGHUP inside the block.

    A signal that somebody else handles or ignores (``nohup``) is left alone, and so are all of them
    outside the main thread, where Python allows no handlers.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def arrived(number: int, _: FrameType | None) -> None:
        stop.number = number
        # `timeout` and shells send to the program and to its group: the second one must not
        # disturb the cleaning up after the first.
        for other in taken:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped

    taken = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, arrived)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
