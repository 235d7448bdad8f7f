"""The options of a prediction: ``--what-if``, another GPU; ``--caches``, how they are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernprof.errors import UsageError
from kernprof.timing.caches import Caches

if TYPE_CHECKING:
    from kernprof.timing import WhatIf

CachesOption = Annotated[
    Caches | None,
    typer.Option(
        help="How a predicted launch finds the caches: cold, as under ncu (the default); warm, as "
        "the same launch left them, as under nvprof; back-to-back, as the launches before it did.",
        show_default=False,
    ),
]

_MAX_SMS = 1024
_MIN_FACTOR, _MAX_FACTOR = 0.01, 1000.0


def parse_what_if(texts: Sequence[str]) -> WhatIf:
    """Read changes to the GPU: "caches=off", "bandwidth=4,latency=0.5", "sms=200".

    Raises
    ------
    UsageError
        Something else, or a number out of range.
    """
    from kernprof.timing import WhatIf

    found: dict[str, Any] = {}
    for text in (part for item in texts for part in item.split(",")):
        name, _, value = text.partition("=")
        if name == "caches" and value in ("on", "off"):
            found["caches"] = value == "on"
        elif name in ("bandwidth", "latency") and _is_factor(value):
            found[name] = float(value)
        elif name == "sms" and value.isdecimal() and 1 <= int(value) <= _MAX_SMS:
            found["sm_count"] = int(value)
        else:
            raise UsageError(
                f"--what-if {text}: expected caches=off, bandwidth=FACTOR, latency=FACTOR or "
                f"sms=NUMBER (factors from {_MIN_FACTOR:g} to {_MAX_FACTOR:g}, at most "
                f"{_MAX_SMS} SMs)"
            )
    return WhatIf(**found)


def _is_factor(text: str) -> bool:
    try:
        return _MIN_FACTOR <= float(text) <= _MAX_FACTOR
    except ValueError:
        return False
