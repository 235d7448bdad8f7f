"""Examination of this machine for ``kernprof doctor``; reads only, changes nothing."""

from __future__ import annotations

from kernprof.health.checks import Finding, State, examine

__all__ = ["Finding", "State", "examine"]
