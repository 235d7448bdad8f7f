"""Measuring under the profilers: command lines, reports, and every known way to fail."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from kernprof.errors import InputError, UnavailableError, UsageError
from kernprof.measure.collect import (
    CollectOptions,
    Tool,
    collect,
    find_tool,
    ncu_command,
    nvprof_command,
    sets,
    version,
)
from kernprof.measure.failures import failures, recognise
from kernprof.metrics.stall_reasons import families
from kernprof.profile import Source

STANDIN = Path(__file__).parent / "standin"
NCU, NVPROF = STANDIN / "ncu", STANDIN / "nvprof"
MESSAGES = tomllib.loads((STANDIN / "messages.toml").read_text("utf-8"))
APP = [sys.executable, "-c", "print('application output')"]
QUICK = CollectOptions()


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-ins run under this Python, which has the package."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, sys.path)]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_run_is_measured_and_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    kept = tmp_path / "kept.ncu-rep"
    done = collect(APP, QUICK, program=NCU, keep=kept, progress=lines.append)
    assert done.report == kept
    assert kept.is_file()
    assert "application output" in lines
    assert any(line.startswith("==PROF== Profiling") for line in lines)
    assert done.profiles
    for profile in done.profiles:
        assert profile.source is Source.MEASURED
        assert profile.collector is not None
        assert profile.collector.tool == "ncu"
        assert profile.collector.version == "2022.3.0.0"
        assert (profile.collector.clock_control, profile.collector.cache_control) == ("base", "all")


def test_filters_reach_the_profiler() -> None:
    every = collect(APP, QUICK, program=NCU).profiles
    one = collect(APP, replace(QUICK, kernel="im2col"), program=NCU).profiles
    assert {p.kernel for p in one} == {"im2col"}
    skipped = collect(APP, replace(QUICK, launch_skip=1, launch_count=1), program=NCU).profiles
    assert [p.kernel for p in skipped] == [every[1].kernel]
    matched = collect(APP, replace(QUICK, kernel="regex:^gemv"), program=NCU).profiles
    assert all(p.kernel.startswith("gemv") for p in matched)


def test_nvprof_is_read_the_same_way() -> None:
    done = collect(APP, QUICK, tool=Tool.NVPROF, program=NVPROF)
    assert all(p.source is Source.MEASURED for p in done.profiles)
    assert done.profiles[0].collector is not None
    assert done.profiles[0].collector.version == "11.8.87"


@pytest.mark.parametrize(
    ("tool", "case", "kind", "text"),
    [
        (Tool.NCU, "permission", UnavailableError, "NVreg_RestrictProfilingToAdminUsers=0"),
        (Tool.NCU, "resource", UnavailableError, "another profiler holds"),
        (Tool.NCU, "injection", UnavailableError, "unset CUDA_INJECTION64_PATH"),
        (Tool.NCU, "unsupported", UnavailableError, "does not support the GPU (device 0)"),
        (Tool.NCU, "old_driver", UnavailableError, "driver is too old"),
        (Tool.NCU, "incompatible", UnavailableError, "don't fit together"),
        (Tool.NCU, "no_driver", UnavailableError, "can't reach the CUDA driver"),
        (Tool.NCU, "lock", UnavailableError, "/tmp/nsight-compute-lock"),
        (Tool.NCU, "mig", UnavailableError, "--clock-control none"),
        (Tool.NCU, "disk", UnavailableError, "free space"),
        (Tool.NCU, "metric", UsageError, "nonsense__x.sum"),
        (Tool.NCU, "prepare", InputError, "--replay-mode application"),
        (Tool.NCU, "unknown", UnavailableError, "Unknown Error on device"),
        (Tool.NCU, "children", InputError, "--target-processes all"),
        (Tool.NCU, "no_kernels", InputError, "no kernels were profiled"),
        (Tool.NCU, "silent", InputError, "ended with code 139 and wrote no report"),
        (Tool.NVPROF, "permission", UnavailableError, "--cap-add=SYS_ADMIN"),
        (Tool.NVPROF, "too_new", UnavailableError, "--tool ncu"),
        (Tool.NVPROF, "metrics_end", UnavailableError, "before compute capability 7.5"),
        (Tool.NVPROF, "no_driver", UnavailableError, "no NVIDIA driver"),
        (Tool.NVPROF, "another", UnavailableError, "another nvprof is running"),
        (Tool.NVPROF, "no_kernels", InputError, "no kernels were profiled"),
    ],
)
def test_every_failure_has_its_message_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, tool: Tool, case: str, kind: type[Exception], text: str
) -> None:
    monkeypatch.setenv("KERNPROF_STANDIN", case)
    with pytest.raises(kind) as raised:
        collect(APP, QUICK, tool=tool, program=STANDIN / str(tool))
    assert type(raised.value) is kind
    assert text in str(raised.value)


def test_each_message_of_the_stand_ins_is_covered() -> None:
    for tool, cases in MESSAGES.items():
        for name, case in cases.items():
            assert case["source"]
            if name != "silent":
                lines = [line.format(pid=1, app="a", report="r") for line in case["lines"]]
                assert recognise(tool, lines) is not None, name


def test_every_known_failure_names_its_source_and_is_reached_by_its_own_text() -> None:
    for failure in failures():
        assert failure.source
        assert failure.remedy
        prefix = "==ERROR== " if failure.tool == "ncu" else "======== Error: "
        if failure.text.startswith("unrecognised"):
            prefix = ""
        line = prefix + failure.text.replace("{}", "word", 1)
        assert failure.matches(line) is not None
        assert recognise(failure.tool, [line]) is not None


def test_what_an_application_prints_is_no_failure() -> None:
    lines = ["ERR_NVGPUCTRPERM", "No kernels were profiled.", "Unknown Error on device 0."]
    assert recognise("ncu", lines) is None
    assert recognise("nvprof", lines) is None


def test_an_application_that_fails() -> None:
    with pytest.raises(InputError, match=r"ended with error code 3; run it without"):
        collect([sys.executable, "-c", "raise SystemExit(3)"], QUICK, program=NCU)
    with pytest.raises(InputError, match="error code 3"):
        collect(
            [sys.executable, "-c", "raise SystemExit(3)"],
            QUICK,
            tool=Tool.NVPROF,
            program=NVPROF,
        )


def test_a_command_that_is_none() -> None:
    with pytest.raises(UsageError, match="the command is no program"):
        collect(["/no/such/program"], QUICK, program=NCU)
    with pytest.raises(UsageError, match="no command"):
        collect([], QUICK, program=NCU)


def test_a_regular_expression_that_is_none() -> None:
    with pytest.raises(UsageError, match="regular expression"):
        collect(APP, replace(QUICK, kernel="regex:["), program=NCU)


def test_a_filter_that_lets_nothing_pass() -> None:
    with pytest.raises(InputError, match="no kernels were profiled"):
        collect(APP, replace(QUICK, kernel="nothing"), program=NCU)


def test_an_option_that_an_old_profiler_does_not_know(tmp_path: Path) -> None:
    old = tmp_path / "ncu"
    old.write_text(NCU.read_text().replace('"--clock-control": 1,', ""))
    (tmp_path / "messages.toml").symlink_to(STANDIN / "messages.toml")
    old.chmod(0o755)
    with pytest.raises(UsageError, match="does not know the option --clock-control"):
        collect(APP, QUICK, program=old)


def test_a_time_limit_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNPROF_STANDIN", "hang")
    done = collect(APP, replace(QUICK, time_limit_s=1.5), program=NCU)
    assert len(done.profiles) == 1
    assert done.notes == (
        "stopped after 1.5 s: launches after the last one shown were not measured",
    )
    assert done.notes[0] in done.profiles[0].notes


def test_ctrl_c_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNPROF_STANDIN", "hang")
    seen = threading.Event()

    def watch(line: str) -> None:
        if "Profiling" in line:
            seen.set()

    def interrupt() -> None:
        seen.wait(30)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    # Who runs the tests may ignore the signal (nohup, a shell's background).
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        done = collect(APP, QUICK, program=NCU, progress=watch)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done.profiles) == 1
    assert done.notes[0].startswith("interrupted: ")


def test_arguments_are_never_seen_by_a_shell(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    hostile = [sys.executable, "-c", "import sys; print(sys.argv[1])", f"; touch {trap} $(id) `id`"]
    lines: list[str] = []
    collect(hostile, QUICK, program=NCU, progress=lines.append)
    assert hostile[-1] in lines
    assert not trap.exists()


def test_the_command_line_says_all_that_decides_the_figures(tmp_path: Path) -> None:
    options = CollectOptions(
        set_name="memory",
        kernel="regex:gemv",
        launch_skip=3,
        launch_count=2,
        nvtx=("layer/",),
        import_source=True,
        metrics=("lts__t_bytes.sum",),
        cache_control="none",
        clock_control="none",
        replay_mode="application",
    )
    words = ncu_command(Path("/opt/ncu"), options, tmp_path / "r.ncu-rep", ["app", "--set", "x"])
    text = " ".join(words)
    for part in (
        "/opt/ncu --export",
        "--target-processes all",
        "--replay-mode application",
        "--cache-control none --clock-control none",
        "--section MemoryWorkloadAnalysis_Tables",
        "lts__t_bytes.sum",
        "--kernel-name regex:gemv --launch-skip 3 --launch-count 2",
        "--nvtx --nvtx-include layer/",
        "--import-source yes app --set x",
    ):
        assert part in text, part
    assert set(sets()) == {"tablev", "stalls", "memory", "full"}
    full = ncu_command(Path("ncu"), CollectOptions(set_name="full"), tmp_path / "r", ["app"])
    assert "--set full" in " ".join(full)


def test_nvprof_collects_the_stall_reasons_of_table_five(tmp_path: Path) -> None:
    words = nvprof_command(Path("nvprof"), CollectOptions(kernel="k"), tmp_path / "r.csv", ["app"])
    metrics = words[words.index("--metrics") + 1].split(",")
    (family,) = [f for f in families() if f.name == "nvprof"]
    assert {m for m in metrics if m.startswith("stall_")} >= {
        f"stall_{r}" for r in ("memory_dependency", "exec_dependency", "sync", "inst_fetch")
    }
    assert family
    with pytest.raises(UsageError, match="by kernel only"):
        nvprof_command(Path("n"), CollectOptions(launch_count=1), tmp_path / "r", ["app"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"set_name": "everything"}, "--set everything: expected tablev"),
        ({"replay_mode": "no"}, "--replay-mode"),
        ({"cache_control": "no"}, "--cache-control"),
        ({"clock_control": "no"}, "--clock-control"),
        ({"target_processes": "no"}, "--target-processes"),
        ({"metrics": ("a b",)}, "no metric's name"),
    ],
)
def test_wrong_values_are_refused_before_anything_runs(
    change: dict[str, object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=text):
        ncu_command(Path("ncu"), replace(QUICK, **change), tmp_path / "r", ["app"])


def test_the_newest_program_at_the_usual_places_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernprof.measure import collect as module

    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    table = {"places": {"ncu": [str(tmp_path / "nsight" / "*" / "ncu")]}}
    monkeypatch.setattr(module, "_table", lambda: table)
    with pytest.raises(UnavailableError, match="not on PATH and at none of its usual places"):
        find_tool(Tool.NCU)
    for name in ("2024.3.2", "2024.10.0", "2023.1.0"):
        folder = tmp_path / "nsight" / name
        folder.mkdir(parents=True)
        (folder / "ncu").write_text("")
        (folder / "ncu").chmod(0o755)
    assert find_tool(Tool.NCU).parent.name == "2024.10.0"
    home = tmp_path / "cuda" / "bin"
    home.mkdir(parents=True)
    (home / "ncu").write_text("")
    (home / "ncu").chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(home.parent))
    assert find_tool(Tool.NCU) == home / "ncu"


def test_a_program_that_can_not_be_run(tmp_path: Path) -> None:
    broken = tmp_path / "ncu"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    with pytest.raises(UnavailableError, match="can't be run"):
        collect(APP, QUICK, program=broken)
    assert version(broken) is None
