"""What we write, opened by NVIDIA's own programs, where a user has installed them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kernprof
from kernprof.profile import Dim3, Gpu, KernelProfile, Source
from kernprof.reports.ncurep.writer import write_report

TRACES = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*.ncu-rep"))
READER = Path(__file__).with_name("official_reader.py")
KERNEL = """\
extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}
"""


def _ncu() -> str:
    found = shutil.which("ncu")
    if found is None:
        pytest.skip("NVIDIA's Nsight Compute (ncu) is not on PATH; it is the user's to install")
    return found


def _reader_folder() -> Path:
    """Where ncu_report lies: beside ncu in NVIDIA's packages, in dist-packages in Debian's."""
    near = Path(_ncu()).resolve().parent
    places = [near / "extras" / "python", near.parent / "extras" / "python"]
    places += [*near.parent.glob("nsight-compute*/extras/python")]
    places.append(Path("/usr/lib/python3/dist-packages"))
    for place in places:
        if (place / "ncu_report.py").exists():
            return place
    pytest.skip("no ncu_report.py beside ncu; NVIDIA's packages have it in extras/python")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction for an A100 of code with lines, its source text embedded."""
    folder = tmp_path_factory.mktemp("official")
    source = folder / "saxpy.cu"
    source.write_text(KERNEL)
    out = folder / "saxpy.ncu-rep"
    command = ["predict", str(source), "--gpu", "a100", "--grid", "8", "--block", "128"]
    arguments = ["n=int32:1000", "a=float32:2", "x=float32[1000]:random", "y=float32[1000]:zeros"]
    for argument in arguments:
        command += ["--arg", argument]
    assert kernprof.main([*command, "--embed-source", "-o", str(out)]) == 0
    return out


def _official(report: Path) -> list[dict[str, Any]]:
    folder = _reader_folder()
    names = [[*p.metrics, *p.instances] for p in kernprof.load(report).profiles]
    done = subprocess.run(
        [sys.executable, str(READER), str(folder), str(report)],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=300,
    )
    if "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr:
        pytest.skip(f"this Python can't load ncu_report: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, f"{report.name}: {done.returncode} {done.stderr[-500:]}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _assert_same(report: Path) -> list[dict[str, Any]]:
    ours = kernprof.load(report).profiles
    official = _official(report)
    assert [a["name"] for a in official] == [p.kernel for p in ours]
    for action, profile in zip(official, ours, strict=True):
        for name, value in profile.metrics.items():
            assert action["metrics"][name] == pytest.approx(value, nan_ok=True), name
        for name, table in profile.instances.items():
            numbers = {str(k): v for k, v in zip(table.keys, table.values, strict=True)}
            if all(isinstance(key, int) for key in table.keys):
                assert action["instances"][name] == pytest.approx(numbers, nan_ok=True), name
    return official


@pytest.mark.parametrize("page", ["details", "raw", "source"])
def test_the_program_prints_every_launch(page: str, predicted: Path) -> None:
    ncu = _ncu()
    for report in (*TRACES, predicted):
        done = subprocess.run(
            [ncu, "--import", str(report), "--page", page],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{report.name}: {done.stderr[-500:]}"
        profiles = kernprof.load(report).profiles
        for profile in profiles:
            assert profile.kernel in done.stdout
        if page == "details":
            assert "Predicted by kernprof" in " ".join(done.stdout.split())


@pytest.mark.parametrize("report", TRACES, ids=lambda path: path.stem)
def test_the_reader_finds_every_value_of_a_trace(report: Path) -> None:
    _assert_same(report)


def test_the_reader_finds_machine_code_and_lines(predicted: Path) -> None:
    (action,) = _assert_same(predicted)
    code = action["code"].values()
    assert any("FFMA" in sass for sass, _ in code)
    lines = {tuple(line) for _, line in code if line}
    assert {number for _, number in lines} >= {2, 3}
    assert all(name.endswith("saxpy.cu") for name, _ in lines)


def test_each_launch_has_the_machine_code_of_its_own_module(tmp_path: Path) -> None:
    # im2col and the GEMV kernels come from different sources, so from different modules.
    report = tmp_path / "layer.ncu-rep"
    command = ["layer", "--type", "depthwise", "--gpu", "a100", "--pass", "both"]
    assert kernprof.main([*command, "-o", str(report)]) == 0
    files = {}
    for action in _assert_same(report):
        names = {line[0].rpartition("/")[2] for _, line in action["code"].values() if line}
        files[action["name"]] = names
        assert all(sass.strip() for sass, _ in action["code"].values())
    assert files["im2col"] == {"im2col.cu"}
    assert files["gemv2N"] >= {"gemv.cu"}
    assert "gemv.cu" not in files["im2col"]


def test_modules_from_several_reports_do_not_mix(predicted: Path, tmp_path: Path) -> None:
    """Both were written with the same first address."""
    other = tmp_path / "other.cu"
    other.write_text(KERNEL.replace("saxpy", "sdiv").replace("a * x[i]", "a / x[i]"))
    single = tmp_path / "other.ncu-rep"
    command = ["predict", str(other), "--gpu", "a100", "--grid", "8", "--block", "128"]
    for argument in ("n=int32:1000", "a=float32:2", "x=float32[1000]:random", "y=float32[1000]"):
        command += ["--arg", argument if ":" in argument else f"{argument}:zeros"]
    assert kernprof.main([*command, "-o", str(single)]) == 0
    both = tmp_path / "both.ncu-rep"
    assert kernprof.main(["convert", str(predicted), str(single), "-o", str(both)]) == 0
    first, second = _assert_same(both)
    assert not any("MUFU" in sass for sass, _ in first["code"].values())
    assert any("MUFU" in sass for sass, _ in second["code"].values())


def test_real_reports_written_again_open_alike(shared_reports: Path, tmp_path: Path) -> None:
    checked = 0
    for original in sorted(shared_reports.glob("*.ncu-rep")):
        before = _official(original) if original.stat().st_size < 1e6 else []
        if not before or not all(action["name"] for action in before):
            continue  # newer than the installed reader
        again = tmp_path / "again.ncu-rep"
        again.write_bytes(write_report(kernprof.load(original).profiles))
        after = _assert_same(again)
        for old, new in zip(before, after, strict=True):
            same = {n: new["metrics"].get(n) for n in old["metrics"]}
            assert same == pytest.approx(old["metrics"], nan_ok=True)
        checked += len(before)
    assert checked >= 3


def test_several_kinds_of_value(tmp_path: Path) -> None:
    path = tmp_path / "written.ncu-rep"
    metrics = {"gpu__time_duration.sum": 1234.5, "launch__registers_per_thread": 32, "a__b": "text"}
    gpu = Gpu("Tesla T4", "7.5", 40)
    one = KernelProfile(
        kernel="one",
        source=Source.PREDICTED,
        origin="k.cu",
        gpu=gpu,
        grid=Dim3(4),
        block=Dim3(256),
        metrics=metrics,
    )
    path.write_bytes(write_report([one, one]))
    _assert_same(path)
