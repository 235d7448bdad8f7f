from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reports"))
import ncurep_builder as build
from profiles import issue_ratios

from kernprof import main

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, *cycles: float, kernel: str = "gemv<2>|T") -> Path:
        launches = [
            build.Launch(
                kernel=kernel,
                metrics={
                    "gpc__cycles_elapsed.max": c,
                    "gpu__time_duration.sum": c,
                    "smsp__cycles_active.avg.pct_of_peak_sustained_elapsed": 80.0,
                    "smsp__issue_active.avg.pct_of_peak_sustained_active": 20.0,
                    **issue_ratios(selected=1.0, long_scoreboard=c / 100, wait=2.0),
                },
            )
            for c in cycles
        ]
        path = tmp_path / f"{name}.ncu-rep"
        path.write_bytes(build.report(launches))
        return path

    return make


def run(*arguments: object) -> int:
    return main(["compare", *(str(a) for a in arguments)])


def test_the_table_tells_the_story(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write("a", 1000.0), write("b", 1500.0)) == 0
    out = capsys.readouterr().out
    assert "1.50x slower (1,000 -> 1,500 cycles, +50.0 %)" in out
    assert "[long_scoreboard]" in out
    assert "Occupancy (achieved)" not in out.split("Missing")[0]
    assert "occupancy_pct: collect it with ncu --section Occupancy" in out


def test_json_follows_the_contract(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write("a", 1000.0), write("b", 1500.0), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "kernprof/1"
    assert found["failed"] == found["unjudged"] == []
    (pair,) = found["pairs"]
    changes = {c["key"]: c for c in pair["changes"]}
    assert changes["cycles"]["relative_pct"] == pytest.approx(50)
    assert changes["occupancy_pct"]["base"] is None
    assert {m["metric"] for m in pair["missing"]} >= {"occupancy_pct", "instructions"}
    assert sum(p["delta"] for p in pair["cycles_by_cause"]) == pytest.approx(500)
    assert pair["base"]["origin"] == "a.ncu-rep#0" or pair["base"]["origin"].endswith("a.ncu-rep#0")


def test_gates_end_with_1_and_write_junit(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "out.xml"
    gates = ["--fail-if", "cycles > +5%", "--fail-if", "cycles > +90%", "--junit", junit]
    assert run(write("a", 1000.0), write("b", 1500.0), *gates, "-f", "json") == 1
    captured = capsys.readouterr()
    assert [f["gate"] for f in json.loads(captured.out)["failed"]] == ["cycles > +5%"]
    assert "cycles > +5%: cycles 1,000 -> 1,500 (+50.00 %)" in captured.err
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [
        "cycles > +5%"
    ]
    assert run(write("a", 1000.0), write("b", 900.0), *gates) == 0


def test_gates_tell_kernels_of_one_name_apart(write: Write, tmp_path: Path) -> None:
    def two(name: str, first: float, second: float) -> Path:
        launches = [
            build.Launch(grid=(grid, 1, 1), metrics={"gpc__cycles_elapsed.max": cycles})
            for grid, cycles in ((4, first), (8, second))
        ]
        path = tmp_path / f"{name}.ncu-rep"
        path.write_bytes(build.report(launches))
        return path

    junit, table = tmp_path / "out.xml", tmp_path / "out.json"
    options = ["--fail-if", "cycles > +5%", "--junit", junit, "-f", "json", "-o", table]
    assert run(two("a", 100.0, 100.0), two("b", 100.0, 200.0), *options) == 1
    document = json.loads(table.read_text())
    # What explains most of the difference comes first.
    assert [pair["base"]["grid"][0] for pair in document["pairs"]] == [8, 4]
    assert [f["pair"] for f in document["failed"]] == [0]
    assert document["together"] == {
        "measure": "cycles",
        "base": 200.0,
        "new": 300.0,
        "launches_as_in_base": False,
    }
    assert [pair["share_of_difference_pct"] for pair in document["pairs"]] == [100.0, 0.0]
    cases = list(ElementTree.parse(junit).getroot()[0])
    assert [case.get("classname") for case in cases] == ["gemv2T #1", "gemv2T #0"]
    assert [case.find("failure") is not None for case in cases] == [True, False]


def test_launches_of_unlike_length_fail_a_gate(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    base = write("base", 17_952.0, 713_952.0)
    gate = ["--fail-if", "duration_ns > +5%", "-f", "json"]
    assert run(base, write("same", 18_101.0, 709_800.0), *gate) == 0
    capsys.readouterr()
    assert run(base, write("slow", 117_568.0, 7_134_624.0), *gate) == 1
    captured = capsys.readouterr()
    changes = {c["key"]: c for c in json.loads(captured.out)["pairs"][0]["changes"]}
    told = changes["duration_ns"]["launch_by_launch"]
    assert told["launches"] == 2
    assert (told["least_pct"], told["median_pct"], told["largest_pct"]) == pytest.approx(
        (554.9, 727.1, 899.3), abs=0.05
    )
    assert changes["duration_ns"]["noise"] == "significant"
    assert "launch by launch +554.90 to +899.31 %" in captured.err


def test_doubtful_changes_are_marked_and_the_mark_is_explained(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write("a", 1000.0, 1100.0), write("b", 1200.0, 1050.0)) == 0
    out = capsys.readouterr().out
    assert "~+75 " in out
    assert "~+7.1 %" in out
    assert "~: too few launches to tell." in out
    assert "too few launches to tell this from noise" in out
    many = write("c", 1000.0, 1100.0, 1050.0, 1060.0), write("d", 1100.0, 1000.0, 1070.0, 1040.0)
    assert run(*many) == 0
    assert "~: within the spread of the launches" in capsys.readouterr().out


def test_gates_of_kernels_of_one_side_are_told_by_side(tmp_path: Path) -> None:
    def report(name: str, *kernels: str) -> Path:
        (tmp_path / name).mkdir()
        path = tmp_path / name / "same.ncu-rep"
        launches = [
            build.Launch(kernel=k, grid=(i + 1, 1, 1), metrics={"gpc__cycles_elapsed.max": 9.0})
            for i, k in enumerate(kernels)
        ]
        path.write_bytes(build.report(launches))
        return path

    xml = tmp_path / "out.xml"
    gates = ["--fail-if", "cycles > +5% for ^a$|gone", "--junit", xml, "--match", "name"]
    assert run(report("base", "a", "gone"), report("new", "a", "added"), *gates) == 1
    cases = {
        (case.get("classname"), case.get("name")): next(iter(case)).tag
        for case in ElementTree.parse(xml).getroot()[0]
    }
    assert cases == {
        ("a", "cycles > +5% for ^a$|gone"): "system-out",
        ("gone", "cycles > +5% for ^a$|gone"): "error",
        ("added", "is in the base report"): "skipped",
    }


def _unjudged(write: Write, tmp_path: Path) -> dict[str, tuple[Path, Path, str, str]]:
    """Reports whose gate can't be judged, and what the reason says."""

    def of(name: str, *kernels: str) -> Path:
        launches = [
            build.Launch(kernel=kernel, metrics={"gpc__cycles_elapsed.max": 100.0})
            for kernel in kernels
        ]
        path = tmp_path / f"{name}.ncu-rep"
        path.write_bytes(build.report(launches))
        return path

    one, two = write("one", 1000.0), write("two", 1000.0, 900.0)
    return {
        "missing": (one, one, "occupancy_pct < -5%", "occupancy_pct is n/a in base and new"),
        "too few": (two, write("three", 1300.0, 850.0, 1200.0), "cycles > +5%", "2 and 3 launches"),
        "gone": (of("ab", "a", "b"), of("a", "a"), "cycles > +5%", "only the base has"),
        "added": (of("a", "a"), of("ab", "a", "b"), "cycles > +5%", "only the new has"),
    }


@pytest.mark.parametrize("case", ["missing", "too few", "gone", "added"])
def test_a_gate_that_is_not_judged_does_not_pass(
    case: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, new, gate, reason = _unjudged(write, tmp_path)[case]
    xml = tmp_path / "out.xml"
    options = ["--fail-if", gate, "--junit", xml, "-f", "json", "--force"]
    assert run(base, new, *options) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["failed"] == []
    (unjudged,) = document["unjudged"]
    assert unjudged["gate"] == gate
    assert reason in unjudged["reason"]
    assert unjudged["only_in"] == {"gone": "base", "added": "new"}.get(case)
    assert (unjudged["pair"] is None) is (case in ("gone", "added"))
    assert "not judged: " in captured.err
    assert reason in captured.err
    suite = ElementTree.parse(xml).getroot()[0]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "1", "0")
    (error,) = suite.iter("error")
    assert reason in (error.get("message") or "")
    assert suite.get("tests") == str(len(list(suite)))

    assert run(base, new, *options, "--allow-unjudged") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["unjudged"] == [unjudged]
    assert reason in captured.err
    suite = ElementTree.parse(xml).getroot()[0]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "1")
    (skipped,) = suite.iter("skipped")
    assert reason in (skipped.get("message") or "")

    assert run(base, new, "--fail-if", gate, "-f", "md") == 1
    page = capsys.readouterr().out
    assert page.startswith("**1 gate(s) not judged**")
    assert ": not judged: " in page


def test_what_is_not_judged_does_not_hide_what_fails(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = ["--fail-if", "occupancy_pct < -5%", "--fail-if", "cycles > +5%", "--allow-unjudged"]
    assert run(write("a", 1000.0), write("b", 1500.0), *gates) == 1
    err = capsys.readouterr().err
    assert "failed: " in err
    assert "not judged: " in err


def test_the_table_of_kernels_says_which_gates_were_not_judged(tmp_path: Path) -> None:
    def report(name: str, *cycles: tuple[str, float | None]) -> Path:
        launches = [
            build.Launch(
                kernel=kernel,
                metrics={"launch__waves": 1.0} if c is None else {"gpc__cycles_elapsed.max": c},
            )
            for kernel, c in cycles
        ]
        path = tmp_path / f"{name}.ncu-rep"
        path.write_bytes(build.report(launches))
        return path

    base = report("a", ("same", 100.0), ("unknown", 100.0), ("slow", 100.0))
    new = report("b", ("same", 100.0), ("unknown", None), ("slow", 200.0))
    page = tmp_path / "pr.md"
    assert run(base, new, "--fail-if", "cycles > +5%", "-f", "md", "-o", page) == 1
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| ")][2:5]
    assert [row.split("|")[1].strip() for row in rows] == ["slow", "unknown", "same"]
    assert [row.split("|")[-2].strip() for row in rows] == ["failed", "not judged", "passed"]


def test_renamed_kernels_are_told(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    base = [build.Launch(kernel=k, metrics={"gpc__cycles_elapsed.max": 9.0}) for k in ("a", "b")]
    new = [build.Launch(kernel=k, metrics={"gpc__cycles_elapsed.max": 9.0}) for k in ("a", "c")]
    files = [write(name, 1.0) for name in ("base", "new")]
    for path, launches in zip(files, (base, new), strict=True):
        path.write_bytes(build.report(launches))
    assert run(*files, "--fail-if", "cycles > +5%") == 0
    out = capsys.readouterr().out
    assert "b -> c" in out
    assert "matched by order: renamed, with equal geometry and number of launches" in out
    assert "Note: the names differ: taken for one kernel" in out
    assert run(*files, "--fail-if", "cycles > +5%", "--match", "name") == 1
    assert "Only in the base: b" in capsys.readouterr().out


def test_markdown_escapes_names_of_strangers(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = ["--fail-if", "cycles > +5%"]
    assert run(write("a", 1000.0), write("b", 1500.0), *gates, "--format", "md") == 1
    out = capsys.readouterr().out
    assert out.startswith("**1 gate(s) failed**")
    # A summary is HTML: a backslash there would be shown.
    summary = next(line for line in out.splitlines() if line.startswith("<details><summary>"))
    assert "gemv&lt;2&gt;|T" in summary
    assert "\\" not in summary
    table = next(line for line in out.splitlines() if line.startswith("| gemv"))
    assert "gemv&lt;2&gt;\\|T" in table


def test_a_name_of_several_lines_stays_on_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A blank line would end the HTML of a summary, and a line of its own could be a heading.
    name = "k\n\n# owned\n[x](javascript:alert)"
    files = []
    for cycles in (100.0, 200.0):
        files.append(tmp_path / f"{cycles}.ncu-rep")
        launch = build.Launch(kernel=name, metrics={"gpc__cycles_elapsed.max": cycles})
        files[-1].write_bytes(build.report([launch]))
    assert run(*files, "--format", "md") == 0
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith(("# owned", "[x]")) for line in lines)
    assert sum("owned" in line for line in lines) == 2


def test_a_summary_of_many_kernels_fits_a_comment_and_shows_failures_first(tmp_path: Path) -> None:
    def report(name: str, last: float) -> Path:
        cycles = [*(1000.0 + i for i in range(299)), last]
        launches = [
            build.Launch(kernel=f"k{i}", metrics={"gpc__cycles_elapsed.max": c})
            for i, c in enumerate(cycles)
        ]
        path = tmp_path / f"{name}.ncu-rep"
        path.write_bytes(build.report(launches))
        return path

    page = tmp_path / "pr.md"
    files = report("base", 10.0), report("new", 11.0)
    assert run(*files, "--fail-if", "cycles > +5%", "--format", "md", "-o", page) == 1
    text = page.read_text("utf-8")
    assert len(text) < 65_536
    table = [line for line in text.splitlines() if line.startswith("| k")]
    assert len(table) == 50
    assert table[0].startswith("| k299 |")
    assert text.index("<details><summary>k299:") < text.index("<details><summary>k0:")
    assert "250 kernel(s) of the table" in text


def test_csv_has_one_row_a_figure(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write("a", 1000.0, 1001.0), write("b", 1500.0, 1501.0), "--format", "csv") == 0
    rows = {row["key"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert float(rows["cycles"]["delta"]) == 500
    assert rows["cycles"]["noise"] == "significant"
    assert float(rows["stall.wait"]["base"]) > 0


def test_launches_of_one_report_can_be_compared(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    report = write("a", 1000.0, 2000.0)
    assert run(report, report, "--base-launch", 0, "--new-launch", 1) == 0
    assert "2.00x slower" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-if", "cycles > 5%"], 2),
        (["--fail-if", "nonsense > 5"], 2),
        (["--match", "luck"], 2),
        (["--base-launch", "7"], 2),
    ],
)
def test_wrong_usage_is_one_line(
    write: Write, capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    assert run(write("a", 1000.0), write("b", 1500.0), *options) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unreadable_report_ends_with_3(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write("a", 1000.0), tmp_path / "none.ncu-rep") == 3
    assert "no such file" in capsys.readouterr().err
