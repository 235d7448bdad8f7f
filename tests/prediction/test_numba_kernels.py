"""Numba's kernels, compiled by its own compiler and executed as machine code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernprof
from kernprof import main
from kernprof.compile.numba_kernels import link_ptx
from kernprof.errors import CompileError, UnavailableError, UsageError

FILE = Path(__file__).with_name("numba_examples.py")


@pytest.fixture(scope="module", autouse=True)
def numba() -> None:
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    pytest.importorskip("nvidia.cuda_nvcc", reason="NVIDIA's compiler for Numba is not installed")


def predict(kernel: str, args: dict[str, object], **more: object) -> kernprof.Prediction:
    try:
        return kernprof.predict(FILE, args, kernel=kernel, **{"gpu": "a100", **more})
    except UnavailableError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("gpu", ["p100", "v100", "t4", "a100", "rtx3090", "rtx4090", "h100"])
def test_every_architecture_gives_what_numpy_gives(gpu: str) -> None:
    x = np.random.default_rng(1).random(1000, np.float32)
    y = np.ones_like(x)
    args = {"n": np.int32(1000), "a": np.float32(2), "x": x, "y": y}
    done = predict("saxpy", args, grid=8, block=128, gpu=gpu)
    assert np.array_equal(done.arrays["y"], np.float32(2) * x + np.float32(1))
    assert set(done.arrays) == {"x", "y"}
    assert done.profile.kernel == "saxpy"
    assert done.profile.value("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum") == 1000
    lines = {i.source.line for i in done.execution.kernel.instructions if i.source}
    assert max(lines) == FILE.read_text().splitlines().index("        y[i] = a * x[i] + y[i]") + 1


def test_shared_memory_loops_and_atomics() -> None:
    x = np.random.default_rng(2).random(256, np.float32)
    out = np.zeros(1, np.float32)
    done = predict("block_sums", {"x": x, "out": out}, grid=2, block=128)
    assert out[0] == pytest.approx(np.sqrt(x).sum(), rel=1e-6)
    assert done.timing is not None


@pytest.mark.parametrize("flip", [False, True])
def test_arrays_of_two_axes_and_flags(flip: bool) -> None:
    x = np.arange(12.0).reshape(3, 4)
    y = np.zeros((4, 3))
    predict("transpose", {"x": x, "y": y, "flip": flip}, grid=(1, 1), block=(4, 4))
    assert np.array_equal(y, -x.T if flip else x.T)


def test_a_function_can_be_given_itself() -> None:
    sys.path.insert(0, str(FILE.parent))
    try:
        from numba_examples import plain, saxpy
    finally:
        sys.path.pop(0)
    x, y = np.ones(4), np.ones(4)
    done = kernprof.predict(saxpy, [4, 3.0, x, y], grid=1, block=32, gpu="h100")
    assert y.tolist() == [4.0] * 4
    assert done.profile.gpu.cc == "9.0"
    with pytest.raises(UsageError, match="no kernel"):
        kernprof.predict(plain, [x], grid=1, block=32, gpu="h100")


def test_the_command_runs_a_python_file(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(FILE), "--kernel", "saxpy", "--gpu", "a100", "--grid", "1"]
    command += ["--block", "32", "--arg", "n=int32:32", "--arg", "a=float32:2"]
    command += ["--arg", "x=float32[32]:ones", "--arg", "y=float32[32]:ones"]
    assert main([*command, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["profiles"][0]["kernel"] == "saxpy"


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["--kernel", "nothing", "--gpu", "a100"], 2, "there are: saxpy, block_sums"),
        (["--gpu", "a100"], 2, "choose a kernel"),
        (["--kernel", "saxpy"], 2, "--gpu"),
        (["--kernel", "helper", "--gpu", "a100", "--arg", "x=int32:1"], 2, "device function"),
        (["--kernel", "saxpy", "--gpu", "a100", "--arg", "x=int32:1"], 2, "(n, a, x, y), 1 are"),
        (
            [
                "--kernel",
                "block_sums",
                "--gpu",
                "a100",
                "--arg",
                "x=int32:1",
                "--arg",
                "out=int32:1",
            ],
            3,
            "can't compile block_sums",
        ),
        (["--kernel", "saxpy", "--gpu", "a100", "-D", "N=1"], 2, "no compiler options"),
    ],
)
def test_what_can_not_be_is_said(
    command: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(FILE), "--grid", "1", "--block", "32", *command]) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("import no_such_package_at_all", 4, "no_such_package_at_all, which is not installed"),
        ("1 / 0", 3, "ZeroDivisionError"),
        ("x = 1", 2, "choose a kernel with --kernel: none"),
    ],
)
def test_a_file_that_fails_gives_one_line(
    tmp_path: Path, source: str, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    assert main(["predict", str(path), "--gpu", "a100", "--grid", "1", "--block", "1"]) == code
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error


def test_strided_arrays_are_refused() -> None:
    x = np.ones(64, np.float32)[::2]
    with pytest.raises(UsageError, match="ascontiguousarray"):
        predict("block_sums", {"x": x, "out": x}, grid=1, block=32)


def test_ptx_of_a_newer_compiler_is_told() -> None:
    text = ".version 99.0\n.target sm_80\n.address_size 64\n"
    with pytest.raises(CompileError, match=r"Unsupported \.version 99"):
        link_ptx(text, arch="sm_80", name="later")


def test_without_numba_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from kernprof import main\n"
        f"sys.exit(main(['predict', {str(FILE)!r}, '--kernel', 'saxpy', '--gpu', 'a100']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 4
    assert "pip install 'gpu-kernprof[numba]'" in done.stderr
