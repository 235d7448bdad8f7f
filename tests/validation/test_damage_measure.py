"""A slice of the measurement of damaged reports, and its judge."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kernprof.errors import ReportError
from kernprof.reports import load
from validation.damage import messages
from validation.damage.inputs import FORMS, collect
from validation.damage.judge import SILENT, Content, Outcome, judge
from validation.damage.kinds import UNNOTICEABLE, kinds
from validation.damage.measure import measure, tables
from validation.damage.worker import damage

COUNT = 300


def content(*launches: dict[str, int], said: tuple[str, ...] = ()) -> Content:
    return Content(launches, Counter(said))


SOUND = content({"x": 0, "y": 4}, {"x": 0, "y": 4}, said=("usual",))


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (SOUND, Outcome.WHOLE),
        (content({"x": 0, "y": 4}), Outcome.SILENT_LAUNCHES),
        (content({"x": 0, "y": 4}, said=("usual",)), Outcome.SILENT_LAUNCHES),
        (content({"x": 0, "y": 4}, said=("1 row is gone",)), Outcome.TOLD),
        (content({"x": 0, "y": 4}, said=("comment in the report: hm",)), Outcome.SILENT_LAUNCHES),
        (content({"x": 0}, {"x": 0, "y": 4}), Outcome.SILENT_METRICS),
        (content({"x": 0, "y": 3}, {"x": 0, "y": 4}), Outcome.SILENT_METRICS),
        (content({"x": 0, "z": 4}, {"x": 0, "y": 4}), Outcome.RENAMED),
        (content({"x": 0, "z": 4}, {"x": 0, "y": 4}, said=("odd",)), Outcome.TOLD),
        (content({"x": 0}, *SOUND.launches), Outcome.WHOLE),
    ],
)
def test_the_judge(found: Content, outcome: Outcome) -> None:
    assert judge(found, SOUND)[0] is outcome


def test_the_order_of_launches_does_not_matter() -> None:
    sound = content({"x": 0}, {"y": 0})
    assert judge(content({"y": 0}, {"x": 0}), sound)[0] is Outcome.WHOLE


def test_reports_are_taken_apart_and_put_together_the_same(tmp_path: Path) -> None:
    for sound in collect(None, tmp_path):
        if sound.form == "ncu-rep":
            head, blocks = messages._apart(sound.content)
            assert head + b"".join(map(messages._joined, blocks)) == sound.content


def test_damage_is_made_of_number_and_seed_alone(tmp_path: Path) -> None:
    inputs = collect(None, tmp_path)
    assert {sound.form for sound in inputs} == set(FORMS)
    for index in range(24):
        one, two = (damage(index, 5, inputs, tmp_path) for _ in range(2))
        assert one == two
    changed = [damage(index, 5, inputs, tmp_path) for index in range(60)]
    assert sum(made.content != made.sound.content for made in changed) > 50


def test_every_kind_of_damage_is_refused_or_read(tmp_path: Path) -> None:
    seen = set()
    inputs = collect(None, tmp_path)
    for index in range(600):
        made = damage(index, 2, inputs, tmp_path)
        if (made.sound.form, made.kind) in seen:
            continue
        seen.add((made.sound.form, made.kind))
        path = tmp_path / "damaged"
        path.write_bytes(made.content)
        try:
            assert load(path).profiles
        except ReportError as error:
            assert error.reason
    assert seen == {(form, kind) for form in FORMS for kind in kinds(form)}


def test_a_slice_of_the_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    results = measure(COUNT, seed=11)
    assert [result.index for result in results] == list(range(COUNT))
    outcomes = Counter(result.outcome for result in results)
    for never in (Outcome.HANG, Outcome.MEMORY, Outcome.CRASH):
        assert not outcomes[never], [r for r in results if r.outcome == never]
    assert outcomes[Outcome.REFUSED] > COUNT / 4
    assert outcomes[Outcome.TOLD] > COUNT / 50
    silent = [result for result in results if result.outcome in SILENT]
    assert [r for r in silent if r.kind not in UNNOTICEABLE] == []
    # Whole rows at an end leave a sound table; nearly all silence is that.
    assert len(silent) < COUNT / 15
    page = "\n".join(tables(results, seed=11))
    assert f"| all | {COUNT} |" in page
    with capsys.disabled():
        print(f"\n{COUNT} damaged reports: {dict(outcomes)}")
