"""Running compiled code so that it can be stopped: by Ctrl-C, or after a time limit.

Compiled code knows nothing of Python's signals. It runs on a thread of its own while the calling
one waits; to stop, a flag is set that it looks at whenever a warp begins to run, which it does anew
after 65,536 steps that can be part of a loop: backward branches, and ways through its scheduler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from kernprof.sim.layout import Context


def watched(
    work: Callable[[], None], contexts: Sequence[Context], time_limit_s: float | None
) -> None:
    """Do work that runs compiled code on these contexts.

    After the time limit the work ends as it does after a fault, of kind ``STOPPED``.

    Raises
    ------
    KeyboardInterrupt
        The user pressed Ctrl-C; the work has ended by then.
    Exception
        Whatever the work raises.
    """
    raised: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    try:
        thread.join(time_limit_s)
    finally:
        # Also on KeyboardInterrupt: memory that the thread uses must not go away under it.
        if thread.is_alive():
            for context in contexts:
                context.stop = 1
            thread.join()
    if raised:
        raise raised[0]
