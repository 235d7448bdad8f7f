from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import damage
import ncurep_builder as build

import kernprof
from kernprof.errors import UsageError
from kernprof.profile import (
    Collector,
    Dim3,
    Gpu,
    InstanceTable,
    KernelProfile,
    MachineCode,
    RuleResult,
    SharedMemory,
    Source,
)
from kernprof.reports.ncurep import writer
from kernprof.reports.ncurep.schema import messages
from kernprof.reports.ncurep.writer import write_report

WORD = st.from_regex(r"[a-z_]{1,12}(\.[a-z]{1,6})?", fullmatch=True)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20).filter(
    lambda t: t.strip() == t
)
NUMBER = st.floats() | st.integers(0, 2**64 - 1)
VALUE = NUMBER | TEXT
KEY = st.none() | TEXT | st.integers(0, 2**64 - 1)
TABLE = st.lists(st.tuples(KEY, VALUE), min_size=1, max_size=4).map(
    lambda pairs: InstanceTable(tuple(k for k, _ in pairs), tuple(v for _, v in pairs))
)
EXTENT = st.builds(Dim3, st.integers(1, 2**31), st.integers(1, 9), st.integers(1, 9))
RULE = st.one_of(
    st.builds(
        RuleResult,
        identifier=WORD,
        name=TEXT,
        kind=st.sampled_from(["ok", "warning", "error", "optimization"]),
        message=TEXT,
        section=st.none() | WORD,
    ),
    st.builds(
        RuleResult,
        identifier=WORD,
        name=TEXT,
        kind=st.just("optimization"),
        message=TEXT,
        speedup_pct=st.floats(0, 100),
        speedup_scope=st.sampled_from(["local", "global"]),
    ),
    st.builds(RuleResult, WORD, TEXT, st.just("none"), st.just("")),
)
PROFILE = st.builds(
    KernelProfile,
    kernel=WORD,
    demangled=st.none() | TEXT,
    mangled=WORD,
    source=st.just(Source.IMPORTED),
    origin=st.just("a#0"),
    gpu=st.builds(Gpu, st.none() | TEXT, st.sampled_from(["7.5", "8.0", "12.0"]), st.just(40)),
    grid=EXTENT,
    block=EXTENT,
    registers=st.integers(0, 255),
    shared_mem=st.builds(SharedMemory, st.integers(0, 9999), st.integers(0, 9999)),
    metrics=st.dictionaries(WORD.map("x__".__add__), VALUE, max_size=8),
    instances=st.dictionaries(WORD.map("y__".__add__), TABLE, max_size=3),
    unset=st.lists(WORD.map("z__".__add__), unique=True, max_size=2).map(tuple),
    nvtx=st.lists(TEXT, max_size=3).map(tuple),
    rules=st.lists(RULE, max_size=3).map(tuple),
)
KEPT = ("kernel", "demangled", "mangled", "source", "grid", "block", "registers", "shared_mem")


def read(content: bytes, folder: Path) -> tuple[KernelProfile, ...]:
    path = folder / "written.ncu-rep"
    path.write_bytes(content)
    return kernprof.load(path).profiles


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


def assert_kept(before: KernelProfile, after: KernelProfile) -> None:
    for field in (*KEPT, "unset", "nvtx", "rules"):
        assert getattr(after, field) == getattr(before, field), field
    assert (after.gpu.name, after.gpu.cc, after.gpu.sm_count) == (
        before.gpu.name,
        before.gpu.cc,
        before.gpu.sm_count,
    )
    for name, value in before.metrics.items():
        assert same(after.metrics[name], value), name
    for name, table in before.instances.items():
        found = after.instances[name]
        assert list(found.keys) == list(table.keys), name
        assert all(map(same, found.values, table.values)), name
    added = set(after.metrics) - set(before.metrics)
    assert all(name.startswith(("launch__", "device__attribute_")) for name in added)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PROFILE, min_size=1, max_size=3))
def test_what_is_written_is_read_value_for_value(
    tmp_path: Path, profiles: list[KernelProfile]
) -> None:
    found = read(write_report(profiles), tmp_path)
    assert len(found) == len(profiles)
    for before, after in zip(profiles, found, strict=True):
        assert_kept(before, after)


def test_a_second_writing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "first.ncu-rep"
    path.write_bytes(damage.sound())
    profiles = [*kernprof.load(path).profiles, launch()]
    once = read(write_report(profiles, embed_source=True), tmp_path)
    twice = read(write_report(once, embed_source=True), tmp_path)
    assert twice == once


def launch(**overrides: Any) -> KernelProfile:
    fields: dict[str, Any] = {
        "kernel": "saxpy",
        "source": Source.PREDICTED,
        "origin": "k.cu",
        "gpu": Gpu("Tesla T4", "7.5", 40),
        "grid": Dim3(4),
        "block": Dim3(256),
        "metrics": {"smsp__inst_executed.sum": 12},
    }
    return KernelProfile(**{**fields, **overrides})


def test_a_prediction_says_so_wherever_it_is_opened(tmp_path: Path) -> None:
    content = write_report([launch()])
    (found,) = read(content, tmp_path)
    assert found.source is Source.PREDICTED
    assert str(found.metrics["kernprof__provenance"]).startswith("predicted")
    assert [(r.kind, r.identifier) for r in found.rules] == [("warning", "KernprofPredicted")]
    assert any("predicted by kernprof" in note for note in found.notes)
    assert "predicted" in kernprof.load(tmp_path / "written.ncu-rep").session["comment"]
    # What the official programs find units by.
    assert found.gpu.attributes["implementation"] == 356


def test_addresses_from_0_are_moved_and_point_into_the_machine_code(tmp_path: Path) -> None:
    counts = InstanceTable((0, 16, 32), (7, 8, 9))
    code = MachineCode(b"\x7fELF no more", 3, 0, {"/a.cu": "text\n"})
    profiles = [
        launch(kernel=k, instances={"inst_executed": counts}, code=code) for k in ("one", "two")
    ]
    found = read(write_report(profiles), tmp_path)
    bases = []
    for profile in found:
        assert profile.code is not None
        assert profile.code.cubin == code.cubin
        assert profile.code.symbol_index == 3
        assert profile.code.sources == {}
        base = profile.code.base_address
        assert base
        table = profile.instances["inst_executed"]
        assert [k - base for k in table.keys if isinstance(k, int)] == [0, 16, 32]
        assert list(table.values) == [7, 8, 9]
        bases.append(base)
    assert len(set(bases)) == 2
    (embedded, _) = read(write_report(profiles, embed_source=True), tmp_path)
    assert embedded.code is not None
    assert embedded.code.sources == {"/a.cu": "text\n"}


def test_a_record_of_several_launches_stays_one(tmp_path: Path) -> None:
    (once,) = read(write_report([launch(launches=512)]), tmp_path)
    assert once.launches == 512
    assert sum("stands for 512 launches" in note for note in once.notes) == 1
    (twice,) = read(write_report([once]), tmp_path)
    assert (twice.launches, twice.notes) == (512, once.notes)
    (fewer,) = read(write_report([replace(once, launches=1)]), tmp_path)
    assert fewer.launches == 1
    (odd,) = read(write_report([launch(metrics={"kernprof__launches": 5})]), tmp_path)
    assert odd.launches == 1


def test_clock_and_cache_control_survive(tmp_path: Path) -> None:
    how = Collector("ncu", "2024.1.0.0", "locked to base", "none")
    (found,) = read(write_report([launch(collector=how, source=Source.MEASURED)]), tmp_path)
    assert found.collector == how
    assert str(found.metrics["kernprof__provenance"]).startswith("measured")


def test_the_same_profiles_give_the_same_bytes_unless_a_time_is_given() -> None:
    assert write_report([launch()]) == write_report([launch()])
    dated = write_report([launch()], created_s=1_700_000_000)
    assert dated != write_report([launch()])
    stamp = build.integer(14, 1_700_000_000)
    assert stamp in dated


def test_pages_list_metrics_and_the_groups_of_samples() -> None:
    samples = InstanceTable((16, 32), (3, 4))
    names = ("smsp__pcsamp_warps_issue_stalled_wait", "smsp__inst_executed.sum")
    content = write_report([launch(instances={names[0]: samples}, metrics={names[1]: 5.0})])
    labels = {"smsp__inst_executed.sum": "Executed Instructions", "launch__grid_size": "Grid Size"}
    for name in (*names, "group:smsp__pcsamp_warp_stall_reasons", "launch__grid_size"):
        listed = build.text(1, name) + build.text(2, labels.get(name, name))
        assert listed in content, name
    assert b"stall_reasons_not_issued" not in content


def test_large_reports_go_into_several_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_BLOCK_BYTES", 2000)
    profiles = [launch(metrics={"x__y.sum": n}) for n in range(20)]
    found = read(write_report(profiles), tmp_path)
    assert [p.metrics["x__y.sum"] for p in found] == list(range(20))


def test_pages_call_metrics_as_the_profiler_does() -> None:
    stalls = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"
    names = {
        "gpu__time_duration.sum": "Duration",
        stalls.format("long_scoreboard"): "Stall Long Scoreboard",
        stalls.format("mio_throttle"): "Stall MIO Throttle",
        stalls.format("imc_miss_not_issued"): "Stall IMC Miss (Not Issued)",
        "dram__bytes_read.sum": "dram__bytes_read.sum",
    }
    content = write_report([launch(metrics=dict.fromkeys(names, 1.0))])
    for name, label in names.items():
        entry = messages()["SectionMetric"](Name=name, Label=label).SerializeToString()
        assert entry in content, name


def test_every_block_tells_the_process() -> None:
    # Without it `ncu --import` of 2025.3 crashes as soon as a report has several launches.
    content = write_report([launch(), launch(kernel="two")])
    kinds = messages()
    told = []
    at = 4 + 4 + int.from_bytes(content[4:8], "little")
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "little")
        header = kinds["BlockHeader"].FromString(content[at + 4 : at + 4 + size])
        at += 4 + size + header.PayloadSize
        told.append(kinds["Process"].FromString(header.Process))
    assert len(told) >= 3
    assert {(p.ProcessID, p.ProcessName) for p in told} == {(1, b"kernprof")}
    assert all(p.HasField("Hostname") for p in told)


def test_a_profile_of_another_tool_says_so(tmp_path: Path) -> None:
    (found,) = read(
        write_report([launch(source=Source.IMPORTED, collector=Collector("nvprof"))]), tmp_path
    )
    assert found.metrics["kernprof__provenance"] == "imported: collected by nvprof"
    assert found.source is Source.IMPORTED


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (launch(grid=None), "grid and block"),
        (launch(source=Source.PUBLISHED), "published figures are no profile"),
        (launch(source=Source.STATIC), "static figures are no profile"),
    ],
)
def test_what_no_report_can_hold_is_refused(profile: KernelProfile, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        write_report([profile])
    with pytest.raises(UsageError, match="no launch"):
        write_report([])


def test_the_command_writes_and_leaves_source_text_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "in.ncu-rep"
    report.write_bytes(build.report([build.Launch(metrics={"x__y.sum": 1.0})] * 3))
    out = tmp_path / "out.ncu-rep"
    assert kernprof.main(["convert", str(report), "--launch", "1", "-o", str(out)]) == 0
    assert "1 launch(es) are in" in capsys.readouterr().err
    assert len(kernprof.load(out).profiles) == 1
    assert kernprof.main(["convert", str(report), "-o", str(tmp_path / "out.txt")]) == 2


def test_real_reports_come_back_value_for_value(shared_reports: Path, tmp_path: Path) -> None:
    # Oldest and newest profiler, Volta to Blackwell, and instruction tables.
    wanted = ("skycs97", "iamcoleman", "chia7", "josiahls", "thor_hbm", "suhithr", "AlpriElse")
    files = [f for f in sorted(shared_reports.iterdir()) if any(w in f.name for w in wanted)]
    assert len(files) > 8
    for file in files:
        before = kernprof.load(file).profiles
        after = read(write_report(before, embed_source=True), tmp_path)
        for a, b in zip(before, after, strict=True):
            assert_kept(a if a.mangled else replace(a, mangled=b.mangled), b)
            assert a.code == b.code
            assert a.collector == b.collector
