from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kernprof
from kernprof.compile import compile_source
from kernprof.errors import InputError, ShapeError, UsageError
from kernprof.prediction.agreement import compare
from kernprof.prediction.subject import Subject, choose, load_subject
from kernprof.profile import InstanceTable, Source
from kernprof.sim.program import load

SOURCE = """
#include <cuda_fp16.h>
#include "more.cuh"
template <typename T, int N> __global__ void scale(T *x, T a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = x[i] * a + N + MORE;
}
extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
namespace other { __global__ void saxpy(float *y) { y[threadIdx.x] = EXTRA; } }
__global__ void reverse(float *y) {
  extern __shared__ float s[];
  s[threadIdx.x] = y[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "more.cuh").write_text("#define MORE 10\n")
    path = tmp_path / "kernels.cu"
    path.write_text(SOURCE)
    return path


def run(source: Path, args: object, **more: object) -> kernprof.Prediction:
    options = {"include_dirs": [source.parent / "headers"], "defines": {"EXTRA": "4"}, **more}
    return kernprof.predict(source, args, **options)


def test_results_and_counts(source: Path) -> None:
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    args = {"n": np.int32(1000), "a": np.float32(2), "x": x, "y": y}
    done = run(source, args, kernel="saxpy", grid=4, block=256, gpu="a100")
    assert (done.arrays["y"] == 2 * x + 1).all()
    assert done.arrays["y"] is y
    profile = done.profile
    assert profile.source is Source.PREDICTED
    assert (profile.kernel, profile.gpu.cc, profile.gpu.sm_count) == ("saxpy", "8.0", 108)
    assert profile.value("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum") == 1000
    # 125 sectors of 32 bytes hold 1000 floats; x and y are read, y is written.
    assert profile.value("l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum") == 250
    assert profile.value("l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum") == 125
    assert done.agreement == ()


def test_templates_headers_and_macros(source: Path) -> None:
    x = np.arange(64, dtype=np.float64)
    args = [x, np.float64(3), 64]
    done = run(source, args, kernel="scale<double, 2>", grid=1, block=64, gpu="sm_90")
    assert (x == np.arange(64) * 3 + 12).all()
    assert done.profile.kernel == "scale"
    y = np.zeros(32, np.float32)
    run(source, [y], kernel="other::saxpy(float*)", grid=1, block=32, gpu="t4")
    assert (y == 4).all()


def test_dynamic_shared_memory(source: Path) -> None:
    y = np.arange(64, dtype=np.float32)
    run(source, [y], kernel="reverse", grid=1, block=64, gpu="a100", dynamic_shared=256)
    assert (y == np.arange(64)[::-1]).all()
    with pytest.raises(InputError, match=r"thread \(0, 0, 0\).*shared memory at 0x0, beyond"):
        run(source, [y], kernel="reverse", grid=1, block=64, gpu="a100")


def test_what_is_missing_is_told(source: Path) -> None:
    y = np.zeros(32, np.float32)
    with pytest.raises(UsageError, match="tell which with --gpu"):
        run(source, [y], kernel="reverse", grid=1, block=32)
    with pytest.raises(UsageError, match="--grid X,Y,Z"):
        run(source, [y], kernel="reverse", block=32, gpu="a100")
    with pytest.raises(UsageError, match=r"has 1 parameter, got 2.*--arg y=float32"):
        run(source, [y, y], kernel="reverse", grid=1, block=32, gpu="a100")
    with pytest.raises(UsageError, match=r"no kernel 'nothing'; there are: .*reverse"):
        run(source, [y], kernel="nothing", grid=1, block=32, gpu="a100")
    with pytest.raises(UsageError, match="choose a kernel"):
        run(source, [y], grid=1, block=32, gpu="a100")
    with pytest.raises(ShapeError, match="threads a block"):
        run(source, [y], kernel="reverse", grid=1, block=2048, gpu="a100")


def test_names(source: Path) -> None:
    code = """__global__ void first_one(int *x) {} __global__ void first_two(int *x) {}
    namespace a { __global__ void second(int *x) {} }
    namespace b { __global__ void second(int *x, int y) {} }"""
    program = load(compile_source(code, arch="sm_80").image)
    assert choose(program, "first_one") == "_Z9first_onePi"
    assert choose(program, "_Z9first_twoPi") == "_Z9first_twoPi"
    assert choose(program, "two") == "_Z9first_twoPi"
    assert choose(program, "b::second") == "_ZN1b6secondEPii"
    for wanted in ("first", "second"):
        with pytest.raises(UsageError, match=f"several kernels are named '{wanted}'"):
            choose(program, wanted)


def test_cubins(source: Path, tmp_path: Path) -> None:
    made = compile_source("__global__ void one(int *x) { *x = 1; }", arch="sm_80")
    path = tmp_path / "one.cubin"
    path.write_bytes(made.image)
    x = np.zeros(1, np.int32)
    done = kernprof.predict(path, [x], grid=1, block=1)
    assert x[0] == 1
    assert done.profile.gpu.cc == "8.0"
    with pytest.raises(UsageError, match=r"for sm_80, .* is sm_90"):
        load_subject(path, device=kernprof_device("h100"))
    path.write_bytes(made.image[: len(made.image) // 2])
    with pytest.raises(InputError):
        kernprof.predict(path, [x], grid=1, block=1)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("pipe", "pipe or socket"), (".", "a directory"), ("none", "no such file")):
        with pytest.raises(InputError, match=says):
            load_subject(tmp_path / name)


def kernprof_device(name: str) -> object:
    from kernprof.devices import find

    return find(name)


def test_agreement_finds_what_differs() -> None:
    code = "__global__ void one(int *x) { x[threadIdx.x] = 1; }"
    program = load(compile_source(code, arch="sm_80").image)
    from kernprof.prediction.run import execute

    done = execute(
        Subject(program, "_Z3onePi", None), {"x": np.zeros(32, np.int32)}, grid=1, block=32
    )
    ours = done.profile
    assert all(c.equal for c in compare(ours, ours))
    table = ours.instances["inst_executed"]
    keys = [k + 0x7F00 for k in table.keys]
    moved = {"inst_executed": InstanceTable(keys, [2, *table.values[1:]])}
    metrics = {**ours.metrics, "smsp__inst_executed.sum": 100}
    code = replace(ours.code, base_address=0x7F00)
    theirs = replace(ours, metrics=metrics, instances=moved, code=code)
    found = {c.metric: c for c in compare(theirs, ours)}
    total = found["smsp__inst_executed.sum"]
    assert not total.equal
    assert total.difference_pct == pytest.approx(total.predicted - 100)
    row = found["inst_executed (per instruction)"]
    assert (row.report, row.predicted, row.equal) == (len(keys), len(keys) - 1, False)
    assert not any(name.startswith("launch__") for name in found)
