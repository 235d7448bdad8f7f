"""Reads damaged reports under limits of time and memory; one line of JSON for each.

``python -m validation.damage.worker FIRST STEP COUNT SEED SCRATCH [FOLDER]``: a process of its own,
so that a crash of any kind is seen as a missing line and not as the end of the measurement.
"""

from __future__ import annotations

import importlib
import json
import random
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from kernprof.errors import LimitExceededError, ReportError
from kernprof.reports import load
from validation.damage.inputs import FORMS, Sound, collect
from validation.damage.judge import Content, Outcome, content_of, judge
from validation.damage.kinds import kinds

MEMORY_BYTES = 1 << 30
SECONDS = 10


class TookTooLong(BaseException):
    """Not an Exception, so that no handler in the library can swallow it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one damaged report ended.

    Parameters
    ----------
    index
        Its number.
    form, source, kind
        Its format, the sound report it was made of, how it was damaged.
    outcome
        One of ``Outcome``.
    detail
        What was lost, or what went wrong.
    seconds
        Processor time of reading it.
    """

    index: int
    form: str
    source: str
    kind: str
    outcome: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Damaged:
    """A damaged report, made from its number and the seed alone."""

    sound: Sound
    kind: str
    content: bytes


def damage(index: int, seed: int, inputs: tuple[Sound, ...], scratch: Path) -> Damaged:
    """Make the damaged report of a number: formats take turns, all else is drawn."""
    draw = random.Random(f"{seed}:{index}")
    forms = [form for form in FORMS if any(sound.form == form for sound in inputs)]
    form = forms[index % len(forms)]
    sound = draw.choice([sound for sound in inputs if sound.form == form])
    name, change = draw.choice(list(kinds(form).items()))
    return Damaged(sound, name, change(sound.content, draw, scratch))


def run(index: int, seed: int, folder: Path | None, scratch: Path) -> Result:
    """Damage, read and judge one report."""
    made = damage(index, seed, collect(folder, scratch), scratch)
    sound = _sound(made.sound, scratch)
    path = scratch / "damaged"
    path.write_bytes(made.content)
    started = time.process_time()
    # Of the processor's time: a busy machine must not fail an input that costs little.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        outcome, detail = judge(content_of(load(path)), sound)
    except LimitExceededError as error:
        out = "not enough memory" in error.reason
        outcome, detail = (Outcome.MEMORY if out else Outcome.REFUSED), error.reason
    except ReportError as error:
        outcome, detail = Outcome.REFUSED, error.reason
    except MemoryError:
        outcome, detail = Outcome.MEMORY, "MemoryError"
    except TookTooLong:
        outcome, detail = Outcome.HANG, ""
    except Exception as error:
        outcome, detail = Outcome.CRASH, f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = round(time.process_time() - started, 3)
    return Result(
        index, made.sound.form, made.sound.name, made.kind, outcome, detail[:200], seconds
    )


@cache
def _sound(sound: Sound, scratch: Path) -> Content:
    path = scratch / "sound"
    path.write_bytes(sound.content)
    return content_of(load(path))


def _alarm(*_: object) -> None:
    raise TookTooLong


def serve(indices: range, seed: int, scratch: Path, folder: Path | None) -> None:
    """Run the reports of some numbers and print their results."""
    # Loaded on first use otherwise: mapping a library late fails where an earlier input has left
    # the allocator's address space full, which says nothing about the input at hand.
    for name in ("zstandard", "google.protobuf", "cxxfilt"):
        importlib.import_module(name)
    collect(folder, scratch)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _alarm)
    for index in indices:
        # The kernel ends what the alarm can't: a loop in a library.
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + 3 * SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        print(json.dumps(asdict(run(index, seed, folder, scratch))), flush=True)


if __name__ == "__main__":
    first, step, count, seed = map(int, sys.argv[1:5])
    serve(
        range(first, count, step),
        seed,
        Path(sys.argv[5]),
        Path(sys.argv[6]) if len(sys.argv) > 6 else None,
    )
