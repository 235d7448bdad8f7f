"""The CMake build and the launcher: everything that can be seen of them without a GPU."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kernprof.compile.cubin import kernels, target
from kernprof.library import entries

ROOT = Path(__file__).parents[2]


def _has_gpu() -> bool:
    try:
        return bool(ctypes.CDLL("libcuda.so.1").cuInit(0) == 0)
    except OSError:
        return False


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [tool for tool in ("cmake", "nvcc", "c++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("cuda")
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder), "-DKERNPROF_ARCHITECTURES=80"],
        ["cmake", "--build", str(folder), "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()
    return folder


def launch(built: Path, *words: str, python: str = sys.executable) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(built / "kernprof-launch"), *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"KERNPROF_PYTHON": python},
    )
    return done.returncode, done.stdout, done.stderr


def test_list_is_the_registry(built: Path) -> None:
    status, out, err = launch(built, "--list")
    assert (status, err) == (0, "")
    listed = {tuple(line.split("\t")) for line in out.splitlines()}
    assert listed == {(item.name, item.file) for item in entries().values()}


def test_cubins_hold_the_kernels_of_their_file(built: Path) -> None:
    for file in {item.file for item in entries().values()}:
        image = (built / "kernels" / f"{Path(file).stem}.sm_80.cubin").read_bytes()
        assert target(image) == "sm_80"
        assert set(kernels(image)) == {e.name for e in entries().values() if e.file == file}
        fatbin = (built / "kernels" / f"{Path(file).stem}.fatbin").read_bytes()
        assert len(fatbin) > 1000


GEOMETRY = ("--grid", "3", "--block", "128")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no --kernel"),
        (("--kernel",), "--kernel needs a value"),
        (("--kernal", "gemv2T"), "no option '--kernal'"),
        (("--kernel", "gemv2Q", *GEOMETRY), "no kernel named 'gemv2Q'"),
        (("--kernel", "gemv2T"), "neither --shape nor both"),
        (("--kernel", "gemv2T", "--grid", "3"), "neither --shape nor both"),
        (("--kernel", "gemv2T", "--grid", "0", "--block", "1"), "--grid is '0'"),
        (("--kernel", "gemv2T", "--grid", "1,65536", "--block", "1"), "to 65535"),
        (("--kernel", "gemv2T", "--grid", "1", "--block", "1,1,65"), "to 64"),
        (("--kernel", "gemv2T", "--grid", "1,1,1,1", "--block", "1"), "at most three"),
        (("--kernel", "gemv2T", *GEOMETRY, "--repeat", "0"), "--repeat is '0'"),
        (("--kernel", "gemv2T", *GEOMETRY, "--repeat", "2x"), "--repeat is '2x'"),
        (("--kernel", "gemv2T", *GEOMETRY, "--arg", "int:3"), "no known kind"),
        (("--kernel", "gemv2T", *GEOMETRY, "--arg", "buf:9:ones"), "'ones'"),
        (("--kernel", "gemv2T", *GEOMETRY, "--arg", "buf:-1"), "element count"),
        (("--kernel", "gemv2T", *GEOMETRY, "--arg", "i32:2147483648"), "to 2147483647"),
        (("--kernel", "gemv2T", *GEOMETRY, "--arg", "f32:nan"), "no finite number"),
        (("--kernel", "gemv2T", "--shape", "m=3,n=4", *GEOMETRY), "leave those out"),
        (("--kernel", "gemv2T", "--shape", "m=3,n=0"), "doesn't fit gemv2T"),
        (("--kernel", "gemv2T", "--shape", "m=3,q=9"), "doesn't fit gemv2T"),
    ],
)
def test_wrong_usage_is_one_line_and_2(built: Path, words: Sequence[str], message: str) -> None:
    status, out, err = launch(built, *words)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    # A bad shape is explained by the registry, in one line of its own.
    assert len(err.splitlines()) == (2 if "doesn't fit" in message else 1)


def test_help(built: Path) -> None:
    status, out, err = launch(built, "--help")
    assert (status, err) == (0, "")
    assert "--shape" in out


def test_without_a_python_that_has_the_package(built: Path) -> None:
    words = ("--kernel", "gemv2T", "--shape", "m=3,n=4")
    status, out, err = launch(built, *words, python="/nowhere/python")
    assert (status, out) == (4, "")
    assert "set KERNPROF_PYTHON" in err


@pytest.mark.skipif(_has_gpu(), reason="this machine has a GPU")
@pytest.mark.parametrize("words", [GEOMETRY, ("--shape", "m=300,n=7,beta=1")])
def test_without_a_gpu_it_says_so(built: Path, words: Sequence[str]) -> None:
    status, out, err = launch(built, "--kernel", "gemv2T", *words)
    assert (status, out) == (4, "")
    assert len(err.splitlines()) == 1
    assert "no usable NVIDIA GPU here" in err


@pytest.mark.gpu
@pytest.mark.skipif(not _has_gpu(), reason="needs an NVIDIA GPU and its driver")
def test_launches_on_a_gpu(built: Path) -> None:
    status, out, err = launch(built, "--kernel", "gemv2T", "--shape", "m=300,n=7", "--repeat", "3")
    assert (status, err) == (0, "")
    assert out.startswith("gemv2T grid=1,1,1 block=128,1,1 launches=3 mean_us=")


def test_an_architecture_that_nvcc_lacks_is_refused(built: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(tmp_path), "-DKERNPROF_ARCHITECTURES=35"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "has no sm_35" in done.stderr
