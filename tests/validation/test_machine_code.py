"""A slice of the fuzzer of machine code: refused or run, never anything else."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from validation import machine_code as fuzzer

SLICE = 504


@pytest.mark.parametrize("arch", fuzzer.ARCHES)
def test_damaged_machine_code_is_refused_or_runs(arch: str) -> None:
    try:
        tally, bad = fuzzer.fuzz(arch, SLICE // len(fuzzer.ARCHES), seed=3)
    except UnavailableError as error:
        pytest.skip(str(error))
    assert not bad
    assert sum(tally.values()) == SLICE // len(fuzzer.ARCHES)
    # Changed code must get to the simulator, and changed behaviour must show.
    assert tally["ran"] + tally["fault"] + tally["refused"] >= 30
    assert tally["refused"] + tally["fault"] >= 3


@pytest.mark.parametrize("sm", [60, 80])
def test_fields_of_instructions_are_changed_and_nothing_else(sm: int) -> None:
    rng = random.Random(1)
    code = bytes(range(256)) * 2
    step = 16 if sm >= 70 else 8
    for _ in range(200):
        made, told = fuzzer.damage_code(rng, code, sm)
        assert len(made) == len(code)
        places = {int(part.split()[0][1:], 16) for part in told.split("; ")}
        changed = {at // step * step for at in range(len(code)) if made[at] != code[at]}
        assert changed <= places


def test_variants_hold_their_own_change() -> None:
    """Copies of one kernel have the same code: each change must go to its own copy."""
    try:
        found = list(fuzzer.variants(random.Random(2), "sm_80", 40))
    except UnavailableError as error:
        pytest.skip(str(error))
    told = [v for v in found if isinstance(v, fuzzer.Variant) and v.change.startswith("sm_80 ")]
    assert len(told) > 10
    whole = fuzzer.sim.load(compile_source(fuzzer.source(fuzzer.COPIES), arch="sm_80").image)
    different = [
        v
        for v in told
        if v.program.image.kernels[v.kernel].code != whole.image.kernels[v.kernel].code
    ]
    # A field's new value can be its old one.
    assert len(different) > len(told) // 2


def test_what_must_not_happen_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a translator that lets an index through, the fuzzer reports crashes."""
    from kernprof.sim.site import Site

    monkeypatch.setattr(Site, "place", lambda *_: 1 << 46)
    try:
        tally, bad = fuzzer.fuzz("sm_80", 8, seed=4, batch=2)
    except UnavailableError as error:
        pytest.skip(str(error))
    assert tally["CRASH"] > 0
    assert any("SIGSEGV" in line for line in bad)
