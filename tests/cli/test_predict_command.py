from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kernprof import main

SAXPY = """extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "k.cu").write_text(SAXPY)
    given = ["n=int32:1000", "a=float32:2", "x=float32[1000]:arange", "y=float32[1000]:ones"]
    start = ["predict", str(tmp_path / "k.cu"), "--gpu", "a100", "--grid", "4", "--block", "256"]
    return start + [part for text in given for part in ("--arg", text)]


def test_table_and_results(command: list[str], tmp_path: Path, capsys) -> None:
    assert main([*command, "--out", f"y={tmp_path}/y.npy", "--lines"]) == 0
    shown = capsys.readouterr()
    assert (np.load(tmp_path / "y.npy") == 2 * np.arange(1000) + 1).all()
    assert "predicted" in shown.out
    assert "A100" in shown.out
    assert "k.cu:3" in shown.out
    assert "y.npy" in shown.err


def test_json(command: list[str], capsys) -> None:
    assert main([*command, "--format", "json", "--lines"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kernprof/1"
    profile = document["profiles"][0]
    assert (profile["kernel"], profile["source"]) == ("saxpy", "predicted")
    assert profile["cycles"] > 1000
    assert profile["metrics"]["smsp__inst_executed.sum"] > 0
    assert sum(row["Sectors"] for row in document["lines"]) == 375


@pytest.mark.parametrize("fmt", ["csv", "md"])
def test_other_formats(command: list[str], fmt: str, capsys) -> None:
    assert main([*command, "--format", fmt]) == 0
    assert "375" in (text := capsys.readouterr().out) or "250" in text


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--grid", "0"], 2, "every extent"),
        (["--grid", "1,1,1,1"], 2, "expected X"),
        (["--out", "n=x.npy"], 2, "no array argument 'n'"),
        (
            ["--arg", "z=int32:1"],
            2,
            "has no parameter 'z'; it is saxpy(int n, float a, const float * x, float * y)",
        ),
        (["--gpu", "nothing"], 2, "GPU"),
        (["--grid", "5", "--define", "n=1"], 3, "error"),
        (["--launch", "1"], 2, "belongs to reports"),
    ],
)
def test_errors(command: list[str], more: list[str], code: int, says: str, capsys) -> None:
    assert main([*command, *more]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert shown.err.startswith("kernprof: error: ")
    assert shown.err.count("\n") == 1


def test_faults_name_thread_and_line(command: list[str], capsys) -> None:
    wrong = [part.replace("1000]:ones", "10]:ones") for part in command]
    assert main(wrong) == 3
    error = capsys.readouterr().err
    assert "belongs to no allocation" in error
    assert "k.cu:3" in error


def test_a_prediction_can_be_written_as_a_report(command: list[str], tmp_path: Path) -> None:
    import kernprof

    report = tmp_path / "predicted.ncu-rep"
    assert main([*command, "-o", str(report)]) == 0
    (found,) = kernprof.load(report).profiles
    assert (found.kernel, found.source) == ("saxpy", "predicted")
    assert found.code is not None
    base = found.code.base_address
    assert base is not None
    keys = [key for key in found.instances["inst_executed"].keys if isinstance(key, int)]
    assert (keys[0] - base, keys[1] - base) == (0, 16)
    assert found.code.symbol_index is not None


def test_a_report_is_predicted_beside_its_own_counters(
    command: list[str], tmp_path: Path, capsys
) -> None:
    report = str(tmp_path / "made.ncu-rep")
    assert main([*command, "-o", report]) == 0
    again = ["predict", report, "--launch", "0"]
    assert main(again) == 2
    told = capsys.readouterr().err
    assert "a report does not hold the arguments of saxpy" in told
    assert "--arg p0=... (4 bytes: int32 or float32)" in told
    arguments = command[command.index("--arg") :]
    assert main([*again, *arguments]) == 0
    shown = capsys.readouterr().out
    assert "Report (predicted)" in shown
    assert "imported" not in shown
    assert "Sampled here, not the data that was profiled: x (arange), y (ones)." in shown
    assert main([*again, *arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(row["equal"] for row in document["agreement"])
    assert document["arguments"][2] == {
        "name": "x",
        "dtype": "float32",
        "shape": [1000],
        "content": "arange",
    }


HOST = """#include <cstdio>
#include <vector>
{kernel}
int main() {{ std::vector<float> v(3); saxpy<<<1, 1>>>(0, 1.f, nullptr, nullptr); }}
"""


def test_a_file_with_host_code(command: list[str], tmp_path: Path, capsys) -> None:
    (tmp_path / "k.cu").write_text(HOST.format(kernel=SAXPY))
    assert main([*command, "--format", "json", "--lines"]) == 0
    shown = capsys.readouterr()
    assert "k.cu: left out 1 lines of host code: main (line 8)" in shown.err
    assert {row["Line"] for row in json.loads(shown.out)["lines"]} >= {"/kernprof/source/k.cu:5"}


def test_a_time_limit(tmp_path: Path, capsys) -> None:
    (tmp_path / "k.cu").write_text("__global__ void f(volatile int *x) { while (!*x) { } }")
    command = ["predict", str(tmp_path / "k.cu"), "--gpu", "t4", "--grid", "1", "--block", "32"]
    assert main([*command, "--arg", "x=int32[1]:zeros", "--time-limit", "0.2"]) == 3
    assert "still running after" in capsys.readouterr().err


def test_several_gpus_stand_side_by_side(command: list[str], capsys) -> None:
    where = command.index("--gpu")
    several = [*command[: where + 1], "v100,a100", *command[where + 2 :]]
    assert main([*several, "--format", "json"]) == 0
    profiles = json.loads(capsys.readouterr().out)["profiles"]
    assert [p["gpu"]["cc"] for p in profiles] == ["7.0", "8.0"]
    assert all(p["cycles"] for p in profiles)
    assert main(several) == 0
    assert capsys.readouterr().out.count("Predicted for NVIDIA") == 2


def test_what_if_and_clock_change_the_time(command: list[str], capsys) -> None:
    def cycles_and_time(*more: str) -> tuple[float, float]:
        assert main([*command, *more, "--format", "json"]) == 0
        profile = json.loads(capsys.readouterr().out)["profiles"][0]
        return profile["cycles"], profile["duration_ns"]

    plain = cycles_and_time()
    assert cycles_and_time("--what-if", "latency=0.25")[0] < plain[0]
    assert cycles_and_time("--what-if", "caches=off")[0] >= plain[0]
    assert cycles_and_time("--clock", "2000")[1] < plain[1]
    assert cycles_and_time("--caches", "cold") == plain
    assert cycles_and_time("--caches", "warm")[0] < plain[0]
    assert main([*command, "--caches", "back-to-back"]) == 2
    assert "takes several launches" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["cache=off", "bandwidth=0", "latency=nan", "sms=0", "bandwidth=1e9", "caches=maybe", ""],
)
def test_what_if_refuses_what_it_does_not_know(command: list[str], text: str, capsys) -> None:
    assert main([*command, "--what-if", text]) == 2
    assert "expected caches=off" in capsys.readouterr().err


RACY = """
extern "C" __global__ void reverse(const float* x, float* y, int n) {
  __shared__ float s[256];
  int i = blockIdx.x * 256 + threadIdx.x;
  s[threadIdx.x] = x[i];
  y[i] = s[255 - threadIdx.x];
}
"""


def test_check_finds_defects_and_says_so_by_its_exit_code(tmp_path: Path, capsys) -> None:
    path = tmp_path / "racy.cu"
    path.write_text(RACY)
    arrays = ["--arg", "x=float32[1000]:random", "--arg", "y=float32[1024]:zeros"]
    command = ["predict", str(path), "--gpu", "a100", "--grid", "4", "--block", "256", *arrays]
    command += ["--arg", "n=int32:1000", "--check"]
    assert main([*command, "--format", "json"]) == 3
    check = json.loads(capsys.readouterr().out)["check"]
    assert not check["clean"]
    found = {f["kind"]: f for f in check["findings"]}
    assert found["out of bounds"]["instruction"]["line"] == 5
    assert found["out of bounds"]["thread"] == [232, 0, 0]
    assert found["out of bounds"]["block"] == [3, 0, 0]
    assert found["race"]["space"] == "shared"
    assert main(command) == 3
    assert "out of bounds" in capsys.readouterr().out
    unread = [a.replace("x=float32[1000]:random", "x=float32[1024]:undefined") for a in command]
    assert main([*unread, "--format", "json"]) == 3
    kinds = {f["kind"] for f in json.loads(capsys.readouterr().out)["check"]["findings"]}
    assert "uninitialised read" in kinds
    path.write_text(RACY.replace("  y[i]", "  __syncthreads();\n  y[i]"))
    clean = [a.replace("[1000]", "[1024]") for a in command]
    assert main(clean) == 0
    out = capsys.readouterr().out
    assert "No defect found." in out
    assert "not timed" in out
