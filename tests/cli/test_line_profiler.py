from __future__ import annotations

import pytest

from kernprof.cli import line_profiler


@pytest.mark.parametrize(
    "arguments",
    [
        ["-l", "x.py"],
        ["-lv", "x.py"],
        ["--line-by-line", "x"],
        ["script.py"],
        ["-p", "m", "x"],
        ["--prof-mod=m", "x.py"],
        ["-b", "x.py"],
        ["-m", "package"],
    ],
)
def test_arguments_of_line_profiler_are_known(arguments: list[str]) -> None:
    assert line_profiler.wants(arguments)


@pytest.mark.parametrize(
    "arguments",
    [[], ["stalls", "x.py"], ["--help"], ["-h"], ["--version"], ["doctor"], ["--debug", "stalls"]],
)
def test_our_own_arguments_stay_ours(arguments: list[str]) -> None:
    assert not line_profiler.wants(arguments)
