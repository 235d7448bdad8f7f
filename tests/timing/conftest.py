"""Lets ``make sanitize`` run these tests with a core of its own build."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kernprof.timing import native


@pytest.fixture(autouse=True, scope="session")
def core_under_test() -> Iterator[None]:
    place = os.environ.get("KERNPROF_TEST_CORE")
    with pytest.MonkeyPatch.context() as patch:
        if place:
            patch.setattr(native, "_place", lambda: place)
            native.core.cache_clear()
            native.core()
        yield
