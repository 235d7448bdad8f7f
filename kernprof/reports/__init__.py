"""Readers of profiler reports: one interface, chosen by content (``load``)."""

from kernprof.reports.base import Limits
from kernprof.reports.select import load

__all__ = ["Limits", "load"]
