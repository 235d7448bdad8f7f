"""Any kernel's exact counts without a GPU: source, cubin or a report's own machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernprof._lazy import exports

if TYPE_CHECKING:
    from kernprof.prediction.run import Prediction, predict

__all__ = ["Prediction", "predict"]

_lookup, _names = exports(
    __name__, {"Prediction": "kernprof.prediction.run", "predict": "kernprof.prediction.run"}
)


def __getattr__(name: str) -> Any:
    return _lookup(name)


def __dir__() -> list[str]:
    return _names()
