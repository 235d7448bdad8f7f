"""Running the library for a profiler and replaying its report, with the simulator as the GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kernprof import load
from kernprof.devices import find
from kernprof.layers import predict_launches, static_launches
from kernprof.measure.simulated import SimulatedLauncher
from kernprof.reports.ncurep.writer import write_report
from validation.library_judge import judge, main, page
from validation.library_run import few, run_all, selection

A100 = find("a100")
WANTED = ("gemv2N", "relu_forward", "bias_add")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], Path]:
    launches = [launch for launch in few(selection()) if launch.kernel in WANTED]
    assert len(launches) == len(WANTED)
    rows = run_all(SimulatedLauncher(A100), launches)
    predicted = predict_launches(static_launches(launches, A100), A100)
    path = tmp_path_factory.mktemp("library") / "library.ncu-rep"
    path.write_bytes(write_report([p.profile for p in predicted]))
    return rows, path


def test_the_selection_is_the_same_each_time_and_has_every_kernel_once() -> None:
    chosen = selection()
    assert [(x.kernel, x.sizes) for x in chosen] == [(x.kernel, x.sizes) for x in selection()]
    names = [x.kernel for x in few(chosen)]
    assert len(names) == len(set(names)) == len({x.kernel for x in chosen}) > 40


def test_a_replay_of_the_simulators_own_report_is_equal(ran: tuple[list[dict], Path]) -> None:
    rows, path = ran
    judged = list(judge(rows, load(path).profiles))
    assert [j.kernel for j in judged] == [row["kernel"] for row in rows]
    for j in judged:
        assert not j.failure
        assert j.same_bits is True
        assert j.compared
        assert all(c.equal for c in j.compared)
        assert j.timed is not None
        assert j.timed.error_pct == pytest.approx(0, abs=1)
    assert "bit for bit: 3 of 3" in page(A100.name, judged)


def test_differences_are_found_and_told(
    ran: tuple[list[dict], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, path = ran
    spoiled = [dict(row) for row in rows]
    name = next(iter(spoiled[0]["digests"]))
    spoiled[0]["digests"] = {**spoiled[0]["digests"], name: "0" * 64}
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"gpu": A100.name, "launches": spoiled}))
    assert main([str(path), "--run", str(run)]) == 1
    out = capsys.readouterr().out
    assert "bit for bit: 2 of 3" in out
    assert "| NO |" in out
    (profile, *others) = load(path).profiles
    changed = replace(profile, metrics={**profile.metrics, "smsp__inst_executed.sum": 1})
    judged = list(judge(rows, [changed, *others]))
    assert not all(c.equal for c in judged[0].compared)
    missing = list(judge(rows, others))
    assert [j.failure for j in missing if j.failure] == ["not in the report"]


def test_sums_that_blocks_share_are_not_compared_bit_for_bit(
    ran: tuple[list[dict], Path],
) -> None:
    rows, path = ran
    known = {x.kernel: x for x in few(selection())}
    for splits, same in ((1, True), (2, None)):
        launches, shared = [], []
        for row in rows:
            launch = known[row["kernel"]]
            sizes = (*launch.sizes, ("splits", splits))
            launches.append(replace(launch, sizes=sizes))
            shared.append(row | {"sizes": str(sizes)})
        judged = list(judge(shared, load(path).profiles, launches))
        assert {j.same_bits for j in judged} == {same}
