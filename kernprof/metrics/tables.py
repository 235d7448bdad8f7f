"""Access to the tables of facts in ``kernprof/metrics/data``; each is read once, on first use."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """Return the parsed ``data/NAME.toml``; callers must not change it."""
    text = resources.files("kernprof.metrics").joinpath("data", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
