"""Other people's code in a child process with limits, without file system and network.

The simulator is the first wall around machine code: it bounds every index and every access. This
room is the second one, for a defect in the first: what runs here can use processor and memory up to
a limit and can give back a result, and nothing else. Results are data that is checked when it is
read (:mod:`kernprof.isolation.packing`), never objects.
"""

from __future__ import annotations

from kernprof.isolation.budget import TIME_LIMIT_S, Limits, memory_limit

__all__ = ["TIME_LIMIT_S", "Limits", "memory_limit"]
