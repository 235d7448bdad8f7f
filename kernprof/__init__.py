"""kernprof: which GPU kernel eats the time of a convolution layer, and why.

>>> import kernprof
>>> report = kernprof.load("report.ncu-rep")        # doctest: +SKIP
>>> [profile.kernel for profile in report.profiles]  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernprof._lazy import exports
from kernprof._version import __version__

if TYPE_CHECKING:
    from kernprof.advice.advise import advise
    from kernprof.advice.model import Advice
    from kernprof.comparison.compare import compare
    from kernprof.comparison.result import Comparison
    from kernprof.prediction.run import Prediction, predict
    from kernprof.profile import KernelProfile, Report
    from kernprof.reports import load
    from kernprof.reports.ncurep.writer import write_report
    from kernprof.stalls.analysis import LaunchAnalysis, StallOptions, analyse

__all__ = [
    "Advice",
    "Comparison",
    "KernelProfile",
    "LaunchAnalysis",
    "Prediction",
    "Report",
    "StallOptions",
    "__version__",
    "advise",
    "analyse",
    "compare",
    "load",
    "main",
    "predict",
    "write_report",
]

# Public names and where they live: loaded on first use, so that `import kernprof` costs nothing.
_HOMES = {
    "Advice": "kernprof.advice.model",
    "advise": "kernprof.advice.advise",
    "Comparison": "kernprof.comparison.result",
    "compare": "kernprof.comparison.compare",
    "KernelProfile": "kernprof.profile",
    "Prediction": "kernprof.prediction.run",
    "Report": "kernprof.profile",
    "load": "kernprof.reports",
    "predict": "kernprof.prediction.run",
    "write_report": "kernprof.reports.ncurep.writer",
    "LaunchAnalysis": "kernprof.stalls.analysis",
    "StallOptions": "kernprof.stalls.analysis",
    "analyse": "kernprof.stalls.analysis",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Exported here because another project's script of the same name calls ``kernprof.main``.
    """
    from kernprof.collector import at_end_none, rarely

    at_end_none()
    with rarely():
        from kernprof.cli.app import main as run
    return run(argv)


_lookup, _names = exports(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _lookup(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_names()})
