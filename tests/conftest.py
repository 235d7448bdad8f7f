"""Helpers for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_REPORTS = Path(__file__).resolve().parents[2] / "shared" / "reports"


@pytest.fixture(scope="session")
def shared_reports() -> Path:
    """Folder of real public reports; tests that want it are skipped where it is not there."""
    if not SHARED_REPORTS.is_dir():
        pytest.skip(f"no collection of real reports at {SHARED_REPORTS}")
    return SHARED_REPORTS
