from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import ncurep_builder as build
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
    UnsupportedVersionError,
)
from kernprof.profile import Dim3, Report, Source
from kernprof.reports import Limits, load
from kernprof.reports.ncurep.frame import FileBuffer, blocks


@pytest.fixture
def read(tmp_path: Path):
    def read(content: bytes, **limits: int) -> Report:
        path = tmp_path / "report"
        path.write_bytes(content)
        return load(path, limits=Limits(**limits) if limits else None)

    return read


def one(**fields) -> bytes:
    fields.setdefault("metrics", {"gpu__time_duration.sum": 2048.0})
    return build.report([build.Launch(**fields)])


def test_a_launch_is_read_whole(read) -> None:
    report = read(
        one(
            kernel="gemv2T",
            mangled="_Z6gemv2TPf",
            demangled="gemv2T(float*)",
            grid=(4, 2, 1),
            block=(128, 1, 1),
            metrics={
                "gpu__time_duration.sum": 2048.0,
                "launch__registers_per_thread": 32,
                "launch__shared_mem_per_block_static": 1024.0,
                "launch__shared_mem_per_block_dynamic": 0,
                "device__attribute_display_name": "A100",
                "device__attribute_compute_capability_major": 8,
                "device__attribute_compute_capability_minor": 0.0,
                "device__attribute_multiprocessor_count": 108,
            },
            nvtx=("epoch", "conv1"),
            rules=(("CPIStall", (4, "long\nscoreboard"), (1, "second")), ("Silent",)),
            clock_locked=True,
        )
    )
    (launch,) = report.profiles
    assert report.format == "ncu-rep 7"
    assert report.session == {"profiler": "Nsight Compute 2024.1.0.0", "cuda": "12.4"}
    assert (launch.kernel, launch.mangled, launch.demangled) == (
        "gemv2T",
        "_Z6gemv2TPf",
        "gemv2T(float*)",
    )
    assert launch.source is Source.IMPORTED
    assert launch.origin.endswith("report#0")
    assert (launch.grid, launch.block) == (Dim3(4, 2, 1), Dim3(128))
    assert launch.registers == 32
    assert (launch.shared_mem.static_bytes, launch.shared_mem.dynamic_bytes) == (1024, 0)
    assert (launch.gpu.name, launch.gpu.cc, launch.gpu.sm_count) == ("A100", "8.0", 108)
    assert launch.duration_ns == 2048
    assert launch.nvtx == ("epoch", "conv1")
    assert launch.collector is not None
    assert launch.collector.version == "2024.1.0.0"
    assert launch.collector.clock_control == "locked to base"
    assert [
        (r.identifier, r.kind, r.message, r.speedup_pct, r.speedup_scope) for r in launch.rules
    ] == [
        ("CPIStall", "optimization", "long scoreboard", 12.5, "local"),
        ("CPIStall", "ok", "second", 25.0, "local"),
        ("Silent", "none", "", None, None),
    ]


def test_a_session_tells_options_and_comments_and_nobody_s_name(read) -> None:
    launch = build.Launch(metrics={"x": 1.0}, comment="before\nthe fix")
    report = read(
        build.report([launch], comment="run 3", command="--cache-control none ./secretapp")
    )
    assert report.session["comment"] == "run 3"
    (profile,) = report.profiles
    assert profile.notes == ("comment in the report: before the fix",)
    assert profile.collector is not None
    assert profile.collector.cache_control == "none"
    assert "secret" not in repr(report)


@pytest.mark.parametrize("command", ["", "--cache-control", "--cache-control nonesuch"])
def test_an_option_that_is_not_given_is_unknown(read, command: str) -> None:
    (profile,) = read(build.report([build.Launch(metrics={"x": 1.0})], command=command)).profiles
    assert profile.collector is not None
    assert profile.collector.cache_control is None


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("predicted: simulator 0.1", Source.PREDICTED),
        ("predicted", Source.PREDICTED),
        ("predictedly", Source.IMPORTED),
        (1, Source.IMPORTED),
    ],
)
def test_a_report_that_says_it_is_predicted_is_labelled_so(
    read, value: build.Scalar, source: Source
) -> None:
    (profile,) = read(one(metrics={"x": 1.0, "kernprof__provenance": value})).profiles
    assert profile.source is source


OLD, NEW = "2020.2.1.0 (build 1)", "2020.3.0.0 (build 1)"


@pytest.mark.parametrize(
    ("stored", "blocks", "version", "expected", "noted"),
    [
        ((512, 128, 1), 64, OLD, Dim3(16, 4, 1), False),
        ((512, 128, 1), 64, NEW, Dim3(16, 4, 1), False),
        ((512, 128, 1), 65536, OLD, Dim3(512, 128, 1), False),
        ((512, 128, 1), 65536.0, NEW, Dim3(512, 128, 1), False),
        ((512, 128, 1), 7, NEW, Dim3(512, 128, 1), True),
        ((512, 128, 1), None, OLD, Dim3(16, 4, 1), False),
        ((512, 128, 1), None, NEW, Dim3(512, 128, 1), False),
        ((512, 128, 1), None, None, None, True),
        ((512, 127, 1), None, None, Dim3(512, 127, 1), False),
    ],
)
def test_a_grid_is_in_blocks_whatever_the_release_stored(
    read, stored, blocks, version, expected, noted
) -> None:
    metrics: dict[str, build.Scalar | None] = {"x": 1.0}
    if blocks is not None:
        metrics["launch__grid_size"] = blocks
    launch = build.Launch(metrics=metrics, grid=stored, block=(32, 32, 1))
    ids = build.names_of([launch])
    session = build.session(version) if version else b""
    content = build.head() + build.block(
        session=session, strings=ids, results=[build.result(launch, ids)]
    )
    (profile,) = read(content).profiles
    assert profile.grid == expected
    assert bool(profile.notes) is noted


def test_values_of_every_kind_keep_their_value(read) -> None:
    metrics = {"a": 1.5, "b": 7, "c": 2**63, "d": "text", "e": -0.0, "f": 300, "g": float("inf")}
    (launch,) = read(one(metrics=metrics)).profiles
    assert dict(launch.metrics) == metrics
    assert launch.value("g") is None


def test_nan_is_kept_and_answered_as_missing(read) -> None:
    (launch,) = read(one(metrics={"x": math.nan})).profiles
    assert math.isnan(launch.metrics["x"])
    assert launch.value("x") is None


def test_a_metric_without_a_value_is_unset(read) -> None:
    (launch,) = read(one(metrics={"x": 1.0, "y": None})).profiles
    assert "y" not in launch.metrics
    assert launch.unset == ("y",)


def test_instances_by_address_opcode_and_order(read) -> None:
    (launch,) = read(
        one(
            instances={
                "inst_executed": {0x7F0000000010: 12, 0x7F0000000020: 300},
                "opcodes": {"FFMA": 5, "LDG": 2},
                "pipes": {None: 1.5},
            }
        )
    ).profiles
    table = launch.instances["inst_executed"]
    assert table.keys == (0x7F0000000010, 0x7F0000000020)
    assert table.values == (12, 300)
    assert launch.instances["opcodes"].keys == ("FFMA", "LDG")
    assert launch.instances["pipes"].keys == (None,)
    assert launch.instances["pipes"].values == (1.5,)


def test_names_may_stand_in_a_later_block(read) -> None:
    launch = build.Launch(metrics={"late": 1.0})
    content = (
        build.head()
        + build.block(results=[build.result(launch, {"late": 1})])
        + build.block(strings=["early", "late"])
    )
    assert dict(read(content).profiles[0].metrics) == {"late": 1.0}


def test_an_empty_demangled_name_is_made(read) -> None:
    (launch,) = read(one(kernel="f", mangled="_Z1fPfi", demangled="")).profiles
    assert launch.demangled == "f(float*, int)"


def test_unknown_fields_are_skipped(read) -> None:
    extra = build.integer(31, 5) + build.text(36, b"\x00" * 100) + build.text(900, b"new")
    assert read(one(extra=extra)).profiles[0].kernel == "gemv2T"


def test_control_characters_never_leave_a_name(read) -> None:
    (launch,) = read(one(kernel="a\x1b[31mb\nc\u202e", demangled="\x07x")).profiles
    assert launch.kernel == "a[31mb c"
    assert launch.demangled == "x"


def with_code(*entries: bytes, address: int | None, mangled: str = "") -> bytes:
    ids = {"x": 0, "launch__function_pcs": 1}
    metrics: dict[str, build.Scalar | None] = {"x": 1.0}
    if address is not None:
        metrics["launch__function_pcs"] = address
    launch = build.Launch(metrics=metrics, mangled=mangled, source=5)
    return build.head() + build.block(
        strings=ids, sources=entries, results=[build.result(launch, ids)]
    )


LOW, HIGH = 0x7F0000000000, 0x7F0000010000
BOTH = ["_Z1av", "_Z1bv"]


@pytest.mark.parametrize(
    ("symbols", "address", "mangled", "expected"),
    [
        (BOTH, HIGH, "", (4, HIGH)),
        (BOTH, HIGH, "_Z1av", (4, HIGH)),
        (BOTH, None, "_Z1av", (3, LOW)),
        (BOTH, None, "", (None, None)),
        (BOTH, 16, "_Z1cv", (None, None)),
        (BOTH[:1], None, "", (3, LOW)),
        (["_Z1av", "_Z1av"], None, "_Z1av", (None, None)),
        (["", ""], HIGH, "_Z1bv", (4, HIGH)),
    ],
)
def test_machine_code_is_joined_by_reference_then_address_then_symbol(
    read, symbols, address, mangled, expected
) -> None:
    functions = [(LOW, 3), (HIGH, 4)][: len(symbols)]
    entry = build.source(b"\x7fELF", 5, functions, symbols, **{"k.cu": "a\nb"})
    other = build.source(b"other", 6, functions, symbols)
    (found,) = read(with_code(entry, other, address=address, mangled=mangled)).profiles
    assert found.code is not None
    assert found.code.cubin == b"\x7fELF"
    assert (found.code.symbol_index, found.code.base_address) == expected
    assert found.code.sources == {"k.cu": "a\nb"}


def test_a_module_whose_functions_come_in_several_entries_is_one_module(read) -> None:
    first = build.source(b"\x7fELF", 5, [(LOW, 3)], BOTH[:1])
    later = build.source(b"", 5, [(HIGH, 4)], BOTH[1:], **{"k.cu": "text"})
    for address, index in ((LOW, 3), (HIGH, 4)):
        (found,) = read(with_code(first, later, address=address)).profiles
        assert found.code is not None
        assert (found.code.cubin, found.code.symbol_index) == (b"\x7fELF", index)
        assert found.code.sources == {"k.cu": "text"}


def test_a_report_without_machine_code_has_none(read) -> None:
    (found,) = read(with_code(build.source(b"", 5, [(LOW, 3)]), address=LOW)).profiles
    assert found.code is None


def test_a_compressed_report_reads_the_same_under_any_name(read) -> None:
    packed = zstandard.ZstdCompressor().compress(one())
    assert read(packed).profiles[0].duration_ns == 2048


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"NVR\x00", "ends where a length is expected"),
        (build.head(), "at least one block"),
        (build.head(8) + build.block(), "format version 8"),
        (build.head() + build.framed(b""), "empty block header"),
        (build.head() + build.block(), "no kernel launch"),
        (one() + b"\x00" * 64, "empty block header"),
        (one()[:-1], "are left"),
        (build.head() + build.block(payload_size=10_000), "a payload of 10000 bytes"),
        (build.head() + build.block(results=[b"x" * 40], counts={2: 4_000_000_000}), "can't fit"),
        (build.head() + build.block(results=[b"x" * 40], counts={2: 0}), "belong to no entry"),
        (build.head() + build.block(results=[b"\xff" * 40]), "no ProfileResult message"),
        (one(metrics={}), "a launch without metrics"),
        (one(kernel="", mangled="", demangled=""), "without a kernel name"),
        (one(grid=(0, 1, 1)), r"a grid of \(0, 1, 1\)"),
        (one(block=(1 << 40, 1, 1)), "a block of"),
    ],
)
def test_what_is_wrong_is_said(read, content: bytes, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        read(content)


def test_a_version_that_is_not_ours_is_no_damage(read) -> None:
    with pytest.raises(UnsupportedVersionError):
        read(build.head(99) + build.block())


def test_names_out_of_range_are_damage(read) -> None:
    launch = build.Launch(metrics={"x": 1.0})
    content = build.head() + build.block(strings=["x"], results=[build.result(launch, {"x": 1})])
    with pytest.raises(DamagedReportError, match="refers to name 1; the file holds 1"):
        read(content)


def test_metric_names_must_be_text(read) -> None:
    launch = build.Launch(metrics={"x": 1.0})
    content = build.head() + build.block(
        strings=[b"\xff\xfe"], results=[build.result(launch, {"x": 0})]
    )
    with pytest.raises(DamagedReportError, match="not UTF-8"):
        read(content)


def repeated(*values: bytes) -> bytes:
    """A launch with the metric x once for each value (an encoded Metric without its name)."""
    ids = {"x": 0, "y": 1}
    extra = b"".join(build.text(13, build.integer(1, 0) + value) for value in values)
    launch = build.Launch(metrics={"y": 1.0}, extra=extra)
    return build.head() + build.block(strings=ids, results=[build.result(launch, ids)])


def value(content: build.Scalar) -> bytes:
    return build.text(2, build.scalar(content))


INSTANCE = build.text(3, build.text(2, build.scalar(5)))


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ((value(1.0), value(2.0)), 2.0),
        ((value(2.0), value(1.0)), 1.0),
        ((value(1.0), value(300)), 300),
        ((value(300), value(1.0)), 1.0),
        ((value(1.0), value("text")), "text"),
        ((value("text"), value(7)), 7),
        ((value(1.0) + INSTANCE, value(2.0)), 2.0),
        ((value(2.0), value(1.0) + INSTANCE), 1.0),
    ],
)
def test_of_two_values_the_later_one_counts_and_a_note_tells(read, values, last) -> None:
    (profile,) = read(repeated(*values)).profiles
    assert profile.metrics == {"y": 1.0, "x": last}
    (note,) = profile.notes
    assert "holds x twice" in note


@pytest.mark.parametrize("same", [1.0, 300, "text", math.nan])
def test_a_repeat_of_the_same_value_is_no_matter(read, same: build.Scalar) -> None:
    (profile,) = read(repeated(value(same), value(same))).profiles
    assert repr(profile.metrics["x"]) == repr(same)
    assert profile.notes == ()


def test_a_value_after_an_empty_metric_is_the_value(read) -> None:
    (profile,) = read(repeated(b"", value(3.0))).profiles
    assert profile.metrics["x"] == 3.0
    assert profile.unset == ()


BAD_VALUE = build.double(3, 1.0) + build.integer(5, 1)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (b"\x0a\x7f", "no MetricInstances message"),
        (b"", "without a required field in one of its parts"),
        (build.text(1, build.scalar(16)), "without a required field"),
        (build.text(2, b""), "an instance without a value"),
        (build.text(1, build.scalar(0.5)) + build.text(2, build.scalar(1)), "belongs to 0.5"),
        (build.text(1, build.scalar(math.nan)) + build.text(2, build.scalar(1)), "belongs to nan"),
        (
            build.text(1, b"\x15" + bytes(4)) + build.text(2, build.scalar(1)),
            "belongs to 0.0",
        ),
    ],
)
def test_a_damaged_instance_is_found_when_the_report_is_read(
    read, instance: bytes, message: str
) -> None:
    with pytest.raises(DamagedReportError, match=message):
        read(repeated(INSTANCE + build.text(3, instance)))


def test_instances_that_only_look_damaged_are_sound(read) -> None:
    suspicious = struct.unpack("<d", b"\x12\x00\x0a\x09\x19\x12\x00\x40")[0]
    element = build.text(3, build.text(2, build.scalar(suspicious)))
    (profile,) = read(repeated(element)).profiles
    assert profile.instances["x"].values == (suspicious,)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (value(1.0), "a Metric message without NameId"),
        (build.integer(1, 0) + build.text(2, BAD_VALUE), "several kinds: Double, Uint64"),
        (build.integer(1, 0) + b"\x12\x7f\x28", "no Metric message"),
    ],
)
def test_a_damaged_metric_is_no_metric(read, metric: bytes, message: str) -> None:
    launch = build.Launch(metrics={"x": 1.0}, extra=build.text(13, metric))
    with pytest.raises(DamagedReportError, match=message):
        read(build.report([launch]))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15])
def test_a_launch_without_a_required_field_is_damage(read, number: int) -> None:
    ids = {"x": 0}
    fields = split(build.result(build.Launch(metrics={"x": 1.0}), ids))
    kept = b"".join(content for found, content in fields if found != number)
    assert len(kept) < sum(len(content) for _, content in fields)
    with pytest.raises(DamagedReportError, match="a ProfileResult message without"):
        read(build.head() + build.block(strings=ids, results=[kept]))


def split(message: bytes) -> list[tuple[int, bytes]]:
    """Take a message of varints and short length-delimited fields apart."""
    found = []
    position = 0
    while position < len(message):
        tag, start = message[position], position
        position += 1
        if tag & 7 == 2:
            position += 1 + message[position]
        else:
            while message[position] > 0x7F:
                position += 1
            position += 1
        found.append((tag >> 3, message[start:position]))
    return found


def test_more_metrics_than_names_are_damage(read) -> None:
    with pytest.raises(DamagedReportError, match="13 metrics in a launch where the file knows 2"):
        read(repeated(*[value(1.0)] * 12))


def test_a_metric_without_a_name_is_damage(read) -> None:
    launch = build.Launch(metrics={"x": 1.0})
    content = build.head() + build.block(strings=["\x07"], results=[build.result(launch, {"x": 0})])
    with pytest.raises(DamagedReportError, match="name without characters"):
        read(content)


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(one())
    with path.open("rb") as file:
        data = FileBuffer(file.fileno())
        assert data[0:4] == b"NVR\x00"
        path.write_bytes(b"NVR\x00")
        with pytest.raises(DamagedReportError, match="became shorter"):
            list(blocks(data, Limits()))


@pytest.mark.parametrize(
    "limits",
    [
        {"launches": 1},
        {"metrics_per_launch": 1},
        {"instances_per_metric": 1},
        {"names": 1},
        {"blocks": 1},
        {"entry_bytes": 64},
        {"details_per_launch": 0},
        {"details": 1},
        {"entries": 1},
    ],
)
def test_limits_hold(read, limits: dict[str, int]) -> None:
    launch = build.Launch(
        metrics={"x": 1.0, "y": 2.0},
        instances={"z": {1: 1, 2: 2}},
        rules=(("r", (1, "m")),),
    )
    with pytest.raises(LimitExceededError):
        read(build.report([launch, launch]), **limits)


def test_a_report_of_ranges_only_says_how_to_profile(read) -> None:
    content = build.head() + build.block(results=[b"abcd"], counts={2: 0, 7: 1})
    with pytest.raises(ReportError, match="replay-mode kernel"):
        read(content)


NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
VALUE = st.one_of(
    st.floats(allow_nan=False), st.integers(0, 2**64 - 1), st.text("abc %", min_size=1)
)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(NAME, VALUE, min_size=1, max_size=8), min_size=1, max_size=4),
    st.dictionaries(
        NAME, st.dictionaries(st.integers(0, 2**64 - 1), VALUE, min_size=1), max_size=3
    ),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, metrics: list[dict], instances: dict
) -> None:
    path = tmp_path_factory.mktemp("round") / "report.ncu-rep"
    path.write_bytes(build.report([build.Launch(metrics=m, instances=instances) for m in metrics]))
    profiles = load(path).profiles
    assert [dict(p.metrics) for p in profiles] == metrics
    for profile in profiles:
        found = {
            name: dict(zip(table.keys, table.values, strict=True))
            for name, table in profile.instances.items()
        }
        assert found == instances


def test_real_reports_equal_an_independent_decoder(
    shared_reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = json.loads((shared_reports / "expected.json").read_text())
    launches = 0
    for name, rows in expected.items():
        profiles = load(shared_reports / name).profiles
        assert len(profiles) == len(rows), name
        for profile, row in zip(profiles, rows, strict=True):
            launches += 1
            assert profile.kernel == row["kernel"]
            assert [*profile.block] == row["block"]
            if [*profile.grid] != row["grid"]:
                # The collection may tell what is stored: threads, before release 2020.3.
                threads = [g * b for g, b in zip(profile.grid, profile.block, strict=True)]
                assert threads == row["grid"]
                assert profile.grid.total == profile.value("launch__grid_size")
            names = {*profile.metrics, *profile.instances, *profile.unset}
            assert len(names) == row["metric_count"]
            for metric, value in row["metrics"].items():
                if value is None:
                    assert profile.value(metric) is None
                else:
                    assert profile.metrics[metric] == value
            stalls = {
                reason: profile.metrics[
                    f"smsp__average_warps_issue_stalled_{reason}_per_issue_active.ratio"
                ]
                for reason in row["stalls_per_issue_active"]
            }
            assert stalls == row["stalls_per_issue_active"]
            for metric, key in (
                ("inst_executed", "sum_inst_executed"),
                ("thread_inst_executed", "sum_thread_inst_executed"),
            ):
                table = profile.instances.get(metric)
                assert (None if table is None else sum(table.values)) == row[key]
            table = profile.instances.get("inst_executed")
            assert (0 if table is None else len(table.keys)) == row["instructions"]
    assert launches == 207
