from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from kernprof.compile import compile_source  # noqa: E402
from kernprof.prediction.arguments import build, parse  # noqa: E402
from kernprof.prediction.run import predict  # noqa: E402
from kernprof.profile import Dim3, MachineCode, Report  # noqa: E402
from validation import cases as listed  # noqa: E402
from validation.__main__ import main  # noqa: E402
from validation.cases import Case, cases, find  # noqa: E402
from validation.silicon import Replay, page  # noqa: E402

ARGUMENTS = (parse("x=int32[32]:zeros"),)


@pytest.fixture
def case_and_profile(tmp_path: Path):
    made = compile_source("__global__ void one(int *x) { x[threadIdx.x] = 1; }", arch="sm_80")
    path = tmp_path / "one.cubin"
    path.write_bytes(made.image)
    done = predict(path, build(ARGUMENTS), grid=1, block=32)
    profile = replace(done.profile, code=MachineCode(made.image, None, 0), grid=Dim3(1))
    digest = hashlib.sha256(made.image).hexdigest()
    case = Case(digest, "one", (1, 1, 1), "someone/some", "one.ncu-rep", "0", "GPU", ARGUMENTS, "")
    return case, profile


def test_the_list_can_be_read_and_has_no_doubles() -> None:
    wanted = cases()
    assert len(wanted) >= 8
    assert len({(c.digest, c.kernel, c.grid) for c in wanted}) == len(wanted)
    for case in wanted:
        assert len(case.digest) == 64
        assert len(case.commit) == 40
        assert case.arguments


def test_a_case_is_known_by_its_machine_code(
    case_and_profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, profile = case_and_profile
    (tmp_path / "any-name.ncu-rep").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no report")
    other = replace(profile, grid=Dim3(2))
    monkeypatch.setattr(
        listed, "load", lambda path: Report(str(path), "test", (other, profile, profile))
    )
    found = list(find(tmp_path, (case,)))
    assert [(f.case, f.launch) for f in found] == [(case, 1)]
    assert list(find(tmp_path, (replace(case, digest="0" * 64),))) == []


def test_the_page_counts_what_is_equal(case_and_profile) -> None:
    from kernprof.prediction.agreement import compare

    case, profile = case_and_profile
    metrics = {**profile.metrics, "smsp__inst_executed.sum": 10}
    exact = Replay(case, compare(profile, profile), None, 0.0)
    wrong = Replay(case, compare(replace(profile, metrics=metrics), profile), None, 0.0)
    failed = Replay(case, (), "it can't be read", 0.0)
    text = page([exact, wrong, failed], [replace(case, kernel="missing")])
    assert "3 launches: 1 execute exactly" in text
    assert "in 1 of them every" in text
    assert "`smsp__inst_executed.sum`: hardware 10" in text
    assert "not replayed: it can't be read" in text
    assert "`missing` (someone/some)" in text
    assert sum("| n/a |" in line for line in text.splitlines()) == 1


def test_a_folder_without_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 4
    assert "https://github.com/" in capsys.readouterr().err


def test_cycles_are_scored_apart_from_the_launches_that_made_the_model(case_and_profile) -> None:
    from validation.cycles import Timed, mape, rank_correlation, section

    case, _ = case_and_profile
    stalls = {"wait": 60.0, "barrier": 40.0}

    def row(name: str, cycles: float, predicted: float, **more: object) -> Timed:
        made = replace(case, kernel=name, calibrates=bool(more.get("calibrates")))
        theirs = {"wait": 30.0, "barrier": 70.0} if more.get("wrong") else stalls
        same = not more.get("other")
        return Timed(made, cycles, predicted, predicted, predicted, stalls, theirs, same)

    rows = [
        row("a", 100, 110),
        row("b", 200, 180, wrong=True),
        row("c", 300, 300, calibrates=True),
        row("d", 400, 440, calibrates=True),
        row("e", 500, 50, other=True),
    ]
    assert mape(rows[:2]) == pytest.approx(10)
    assert rank_correlation(rows[:4]) == pytest.approx(1)
    assert rows[1].top == ("wait", "barrier")
    assert rows[1].distance_pct == pytest.approx(30)
    text = "\n".join(section(rows))
    assert "| judging | 2 | 10.0 % |" in text
    assert "| 1 of 2 | 15.0 % |" in text
    assert "| the model was made with | 2 | 5.0 % |" in text
    assert "not scored: other work" in text
