"""Machine code out of a file runs in a child process: the same results, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from kernprof import main
from kernprof.compile import compile_source
from kernprof.errors import CompileError, CubinError, InputError, UnavailableError, UsageError
from kernprof.isolation.walls import standing
from kernprof.prediction.run import Prediction, predict
from kernprof.sim.faults import LaunchFaultError
from kernprof.sim.layout import FaultKind
from kernprof.sim.site import Site

SOURCE = """
extern "C" __global__ void k(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}
extern "C" __global__ void spin(volatile int *x) { while (x[threadIdx.x] == 0) { } }
extern "C" __global__ void race(int *y) {
  __shared__ int s[1];
  s[0] = threadIdx.x;
  __syncthreads();
  y[threadIdx.x] = s[0];
}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "k.cu").write_text(SOURCE)
    image = compile_source(SOURCE, arch="sm_80", name="/kernprof/source/k.cu").image
    (folder / "k.cubin").write_bytes(image)
    return {"source": folder / "k.cu", "cubin": folder / "k.cubin"}


def launch(file: Path, x: np.ndarray, y: np.ndarray, n: int = 1000, **more: object) -> Prediction:
    args = {"x": x, "y": y, "n": np.int32(n)}
    try:
        return predict(file, args, kernel="k", grid=8, block=128, gpu="a100", **more)
    except UnavailableError as error:
        pytest.skip(str(error))


def test_results_counts_and_times_are_those_of_the_process_itself(
    files: Mapping[str, Path],
) -> None:
    x = np.arange(1024, dtype=np.float32)
    found = {}
    for kind, file in files.items():
        y = np.zeros(1024, np.float32)
        found[kind] = launch(file, x, y)
        assert (y[:1000] == 2 * x[:1000]).all()
        assert not y[1000:].any()
    own, foreign = found["source"], found["cubin"]
    assert foreign.timing is not None
    assert foreign.profile.metrics == own.profile.metrics
    assert foreign.profile.instances == own.profile.instances
    assert dict(foreign.timing.counters) == dict(own.timing.counters)
    assert foreign.timing.occupancy == own.timing.occupancy
    # The second time the compiled code comes out of the cache.
    again = launch(files["cubin"], x, np.zeros(1024, np.float32))
    assert again.profile.metrics == own.profile.metrics


def test_one_array_can_be_two_arguments(files: Mapping[str, Path]) -> None:
    x = np.ones(1024, np.float32)
    launch(files["cubin"], x, x)
    assert x[:1000].sum() == 2000


def test_read_only_arrays_stay_so(files: Mapping[str, Path]) -> None:
    x, y = np.ones(1024, np.float32), np.zeros(1024, np.float32)
    y.flags.writeable = False
    with pytest.raises(LaunchFaultError, match="read-only") as caught:
        launch(files["cubin"], x, y)
    assert caught.value.kind is FaultKind.READ_ONLY
    assert not y.any()


def test_faults_are_told_as_in_the_process_itself(files: Mapping[str, Path]) -> None:
    told = []
    for file in files.values():
        with pytest.raises(LaunchFaultError) as caught:
            launch(file, np.ones(1024, np.float32), np.ones(100, np.float32))
        told.append((str(caught.value), caught.value.thread, caught.value.kind))
    assert told[0] == told[1]


def test_the_time_limit_holds(files: Mapping[str, Path]) -> None:
    with pytest.raises(LaunchFaultError, match=r"after 0\.3 s, the time limit"):
        predict(
            files["cubin"],
            {"x": np.zeros(32, np.int32)},
            kernel="spin",
            grid=1,
            block=32,
            time_limit_s=0.3,
        )


def test_the_memory_limit_holds(files: Mapping[str, Path]) -> None:
    with pytest.raises(InputError, match=r"memory limit|was stopped by"):
        launch(
            files["cubin"],
            np.ones(1024, np.float32),
            np.ones(1024, np.float32),
            memory_limit_bytes=8 << 20,
        )


def test_findings_of_a_checked_run_come_back(files: Mapping[str, Path]) -> None:
    found = [
        predict(
            file,
            {"y": np.zeros(64, np.int32)},
            kernel="race",
            grid=1,
            block=64,
            gpu="a100",
            check=True,
        ).check
        for file in files.values()
    ]
    assert found[0] is not None
    assert found[0].findings
    assert found[1] == found[0]


def test_wrong_arguments_are_refused(files: Mapping[str, Path]) -> None:
    with pytest.raises(UsageError):
        predict(files["cubin"], {"x": np.ones(3, np.float32)}, kernel="k", grid=1, block=32)


def test_what_breaks_out_of_the_simulator_ends_in_the_child(
    files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a translator that lets an index through, the second wall stands."""
    monkeypatch.setenv("KERNPROF_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Site, "place", lambda *_: 1 << 46)
    x = np.ones(1024, np.float32)
    with pytest.raises(InputError, match=r"stopped by SIGSEGV.*nothing|SIGSEGV. Nothing outside"):
        launch(files["cubin"], x, np.ones(1024, np.float32))


def test_what_is_made_of_foreign_code_is_kept_apart(
    files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERNPROF_CACHE_DIR", str(tmp_path))
    launch(files["cubin"], np.ones(1024, np.float32), np.ones(1024, np.float32))
    assert list((tmp_path / "simulator-foreign").glob("??/*"))
    assert not (tmp_path / "simulator").exists()


def test_indices_beyond_the_architecture_are_refused(tmp_path: Path) -> None:
    """A load of a constant at a register's address, from a bank that there is not."""
    source = (
        '__constant__ float c[64]; extern "C" __global__ void k(float *y, int n) { y[0] = c[n]; }'
    )
    image = bytearray(compile_source(source, arch="sm_80").image)
    from kernprof import sim

    try:
        kernel = sim.load(bytes(image)).kernel("k")
    except UnavailableError as error:
        pytest.skip(str(error))
    load = next(i for i in kernel.instructions if i.opcode == "LDC")
    word = load.code & ~(31 << 54) | 0x12 << 54
    at = image.index(load.code.to_bytes(16, "little"))
    image[at : at + 16] = word.to_bytes(16, "little")
    (tmp_path / "bank.cubin").write_bytes(image)
    with pytest.raises(CubinError, match="no constant bank 0x12"):
        predict(
            tmp_path / "bank.cubin",
            {"y": np.ones(1, np.float32), "n": np.int32(1)},
            grid=1,
            block=1,
        )


BOMB = "#define A0 x,x,x,x,x,x,x,x,x,x\n" + "".join(
    f"#define A{n} {','.join([f'A{n - 1}'] * 10)}\n" for n in range(1, 12)
)


@pytest.mark.skipif(os.name != "posix", reason="needs a child process")
def test_a_macro_bomb_ends_in_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bomb.cu").write_text(BOMB + 'extern "C" __global__ void k() { int x; f(A11); }\n')
    command = ["predict", str(tmp_path / "bomb.cu"), "--gpu", "a100", "--grid", "1", "--block", "1"]
    assert main([*command, "--time-limit", "5", "--memory-limit", "256M"]) == 3
    told = capsys.readouterr().err
    assert "expand without end" in told
    assert told.count("\n") == 1


@pytest.mark.skipif(not standing().landlock, reason="this kernel has no Landlock")
@pytest.mark.parametrize("included", ["/dev/zero", "/proc/self/environ", "/proc/version"])
def test_only_files_are_included(included: str) -> None:
    source = f'#include "{included}"\nextern "C" __global__ void k(int *y) {{ *y = 1; }}\n'
    with pytest.raises(CompileError, match=r"open source file|not open"):
        compile_source(source, arch="sm_80", use_cache=False)


def test_source_that_is_a_pipe_is_refused(tmp_path: Path, capsys) -> None:
    os.mkfifo(tmp_path / "k.cu")
    command = ["predict", str(tmp_path / "k.cu"), "--gpu", "a100", "--grid", "1", "--block", "1"]
    assert main(command) == 3
    assert "device, pipe or socket" in capsys.readouterr().err
