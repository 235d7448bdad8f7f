"""Nsight Compute's binary reports (.ncu-rep, .ncu-repz, 2019's .nsight-cuprof-report)."""

from kernprof.reports.ncurep.reader import NcuRepReader

__all__ = ["NcuRepReader"]
