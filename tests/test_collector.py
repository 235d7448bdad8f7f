"""The collector of cyclic garbage rests where it can bring nothing, and works as before behind."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

import kernprof
from kernprof.collector import RARE, rarely, resting


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold, enabled = gc.get_threshold(), gc.isenabled()
    yield
    gc.set_threshold(*threshold)
    if enabled:
        gc.enable()


def test_it_rests_inside_the_block_only() -> None:
    with suppress(ZeroDivisionError), resting():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_where_it_was_off_it_stays_off() -> None:
    gc.disable()
    with resting():
        pass
    assert not gc.isenabled()


def test_it_looks_rarely_inside_the_block_only() -> None:
    gc.set_threshold(600, 11, 12)
    with suppress(ZeroDivisionError), rarely():
        assert gc.get_threshold() == (RARE, 11, 12)
        raise ZeroDivisionError
    assert gc.get_threshold() == (600, 11, 12)


@pytest.mark.parametrize("own", [0, 2 * RARE])
def test_whoever_looks_more_rarely_goes_on_so(own: int) -> None:
    gc.set_threshold(own, 10, 10)
    with rarely():
        assert gc.get_threshold()[0] == own


def test_a_command_leaves_the_collector_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    gc.set_threshold(650, 10, 10)
    assert kernprof.main(["--version"]) == 0
    assert capsys.readouterr().out
    assert gc.get_threshold() == (650, 10, 10)
    assert gc.isenabled()


def test_nothing_is_collected_when_a_command_ends() -> None:
    script = (
        "import atexit, gc, kernprof\n"
        "kernprof.main(['--version'])\n"
        "assert gc.get_freeze_count() == 0\n"
        "atexit._run_exitfuncs()\n"
        "print(gc.get_freeze_count() > 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True"


def test_a_command_looks_for_garbage_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernprof.cli import app

    seen = []

    def run(*_: object) -> int:
        seen.append(gc.get_threshold()[0])
        return 0

    monkeypatch.setattr(app, "_run", run)
    assert kernprof.main(["gpus"]) == 0
    assert seen == [RARE]
