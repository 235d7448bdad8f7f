"""The options of a prediction: ``--what-if``, another GPU; ``--caches``, how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
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

_FORM = "expected caches=off, bandwidth=FACTOR, latency=FACTOR or sms=NUMBER"
_NUMBERS: Mapping[str, tuple[str, type[int] | type[float]]] = MappingProxyType(
    {"bandwidth": ("bandwidth", float), "latency": ("latency", float), "sms": ("sm_count", int)}
)


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
        elif name in _NUMBERS:
            field, kind = _NUMBERS[name]
            try:
                found[field] = kind(value)
            except ValueError:
                raise UsageError(f"--what-if {text[:60]}: {_FORM}") from None
        else:
            raise UsageError(f"--what-if {text[:60]}: {_FORM}")
    try:
        return WhatIf(**found)
    except UsageError as error:
        raise UsageError(f"--what-if: {error} ({_FORM})") from None
