"""Damaged reports through the whole program: a reason and exit 3, or a whole table."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import damage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernprof.errors import ReportError
from kernprof.profile import KernelProfile
from kernprof.reports import load

WORKER = Path(__file__).with_name("under_limits.py")


def run_all(folder: Path, inputs: Iterable[tuple[str, bytes]]) -> dict[str, dict]:
    """Run the program on every input in one worker; label -> what came of it."""
    labels: dict[str, str] = {}
    for index, (label, content) in enumerate(inputs):
        name = f"{index:04d}"
        (folder / name).write_bytes(content)
        labels[name] = label
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder)],
        input="\n".join(labels),
        capture_output=True,
        text=True,
        timeout=900,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    seen = {labels[row["name"]]: row for row in rows}
    lost = [label for label in labels.values() if label not in seen]
    assert not lost, f"the program died at {lost[0]!r}: {done.returncode} {done.stderr[-500:]}"
    assert len(seen) == len(labels), "two inputs share a label"
    return seen


def judge(outcomes: dict[str, dict], launches: int) -> Counter[str]:
    """Check every outcome; returns how many ended how."""
    tally: Counter[str] = Counter()
    for label, row in outcomes.items():
        told = f"{label}: {row}"
        assert row["code"] in (0, 3), told
        assert "Traceback" not in row["stderr"], told
        if row["code"] == 3:
            lines = row["stderr"].splitlines()
            assert lines, told
            assert lines[-1].startswith("kernprof: error: "), told
            assert row["stdout_bytes"] == 0, told
            tally["a reason"] += 1
        else:
            assert row["launches"] == launches, told
            tally["a whole table"] += 1
    return tally


def test_the_sound_report_is_sound(tmp_path: Path) -> None:
    (outcome,) = run_all(tmp_path, [("sound", damage.sound())]).values()
    assert (outcome["code"], outcome["launches"]) == (0, damage.LAUNCHES)


def test_damaged_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = list(damage.cases())
    assert len(inputs) >= 300
    outcomes = run_all(tmp_path, inputs)
    tally = judge(outcomes, damage.LAUNCHES)
    slowest = max(outcomes.items(), key=lambda item: item[1]["seconds"])
    with capsys.disabled():
        print(
            f"\n{len(inputs)} damaged reports: {dict(tally)}; slowest {slowest[1]['seconds']} s "
            f"({slowest[0]}); limits 10 s and 1 GiB each"
        )
    assert tally["a reason"] > len(inputs) / 2


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_damage_is_a_report_error_or_a_whole_report(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(damage.sound())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["set", "drop", "insert", "length"]))
        if kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del content[at : at + data.draw(st.integers(1, 16))]
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            length = data.draw(st.integers(0, 2**32 - 1))
            content[at : at + 4] = length.to_bytes(4, "little")
        if not content:
            break
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(content)
    try:
        report = load(path)
    except ReportError as error:
        assert error.reason
    else:
        assert len(report.profiles) == damage.LAUNCHES
        for profile in report.profiles:
            assert profile.kernel
            assert profile.metrics
            decode_all(profile)


def decode_all(profile: KernelProfile) -> None:
    """Decode what is decoded when it is asked for; a key or value that can't be is an error."""
    for table in profile.instances.values():
        assert len(table.keys) == len(table.values)
        assert all(key is None or isinstance(key, (int, str)) for key in table.keys)


MUTATIONS = 600


def test_damaged_real_reports(
    shared_reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real reports hold shapes that the builder does not write."""
    by_size = sorted(shared_reports.glob("*.ncu-rep"), key=lambda path: path.stat().st_size)
    chosen = [(path.read_bytes(), len(load(path).profiles)) for path in by_size[::3][:12]]
    rng = random.Random(7)
    tally: Counter[str] = Counter()
    path = tmp_path / "mutated"
    for _ in range(MUTATIONS):
        whole, launches = rng.choice(chosen)
        content = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0:
                content[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                content[at] = rng.randrange(256)
            elif kind == 2:
                del content[at : at + rng.randrange(1, 20)]
            else:
                content[at:at] = rng.randbytes(rng.randrange(1, 9))
        path.write_bytes(content)
        try:
            report = load(path)
        except ReportError:
            tally["a reason"] += 1
            continue
        assert len(report.profiles) == launches
        for profile in report.profiles:
            decode_all(profile)
        tally["a whole table"] += 1
    with capsys.disabled():
        print(f"\n{MUTATIONS} mutations of {len(chosen)} real reports: {dict(tally)}")
    assert min(tally["a reason"], tally["a whole table"]) > MUTATIONS / 20
