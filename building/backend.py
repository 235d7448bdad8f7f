"""The build backend: setuptools', and a compiler from a wheel where this machine has none."""

from __future__ import annotations

from collections.abc import Mapping

import core_compiler
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_Settings = Mapping[str, str | list[str] | None] | None


def get_requires_for_build_wheel(config_settings: _Settings = None) -> list[str]:
    """Return what setuptools needs to build a wheel, and ziglang where it is the compiler."""
    return [
        *build_meta.get_requires_for_build_wheel(config_settings),
        *core_compiler.requirements(core_compiler.asked_platform(config_settings)),
    ]


def get_requires_for_build_editable(config_settings: _Settings = None) -> list[str]:
    """Return what setuptools needs for an editable install, and ziglang likewise."""
    return [
        *build_meta.get_requires_for_build_editable(config_settings),
        *core_compiler.requirements(),
    ]
