"""Checked runs: seeded defects are found where they are, correct idioms are clean."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import CubinError, UnavailableError, UsageError
from kernprof.library import KernelEntry, Pointer, Role, entries, source
from kernprof.sim import Finding, FindingKind

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
from emulator_cases import inputs, shapes

SOURCE = r"""
#define K extern "C" __global__ void
K behind(float* x) {
  x[threadIdx.x + 40] = 1.f;                                          // behind:1
}
K odd(char* x) {
  *(int*)(x + 1 + 4 * threadIdx.x) = 1;                               // odd:1
}
K constant_array(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x == 7) ((float*)x)[3] = 0.f;                         // constant_array:1
}
K behind_shared(float* x) {
  extern __shared__ float s[];
  s[threadIdx.x] = 1.f;                                               // behind_shared:1
  __syncthreads();
  x[threadIdx.x] = s[0];
}
K undefined_global(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];                                    // undefined_global:1
}
K undefined_shared(float* x) {
  __shared__ float s[64];
  if (threadIdx.x != 5) s[threadIdx.x] = 1.f;
  __syncthreads();
  x[threadIdx.x] = s[63 - threadIdx.x];                               // undefined_shared:1
}
K undefined_local(float* x, int n) {
  float a[8];
  for (int i = 0; i < n; i++) a[(i * 3) & 7] = x[i];
  x[threadIdx.x] = a[threadIdx.x & 7];                                // undefined_local:1
}
K no_barrier(float* x) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];                                    // no_barrier:1
  x[threadIdx.x] = s[threadIdx.x ^ 32];                               // no_barrier:2
}
K no_second_barrier(float* x) {
  __shared__ float s[64];
  for (int i = 0; i < 2; i++) {
    s[threadIdx.x] = x[threadIdx.x];                                  // no_second_barrier:1
    __syncthreads();
    x[threadIdx.x] = s[threadIdx.x ^ 32] + 1;                         // no_second_barrier:2
  }
}
K no_warp_barrier(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];                                    // no_warp_barrier:1
  x[threadIdx.x] = s[threadIdx.x ^ 1];                                // no_warp_barrier:2
}
K same_place(int* x) {
  __shared__ int s[1];
  s[0] = threadIdx.x;                                                 // same_place:1
  __syncthreads();
  x[threadIdx.x] = s[0];
}
K bytes_race(unsigned char* x) {
  __shared__ unsigned char s[68];
  s[threadIdx.x] = x[threadIdx.x];                                    // bytes_race:1
  if (threadIdx.x == 40) s[3] = 77;                                   // bytes_race:2
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x];
}
K plain_beside_atomic(int* x) {
  __shared__ int s[1];
  if (threadIdx.x == 0) s[0] = 0;                                     // plain_beside_atomic:1
  atomicAdd(s, x[threadIdx.x]);                                       // plain_beside_atomic:2
  __syncthreads();
  x[threadIdx.x] = s[0];
}
K two_barriers(float* x, int n) {
  if (threadIdx.x < 32) {
#pragma unroll 1
    for (int i = 0; i < n; i++) {
      x[i] = 1;
      __syncthreads();                                                // two_barriers:1
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < n; i++) {
      x[i + 32] = 2;
      __syncthreads();                                                // two_barriers:2
    }
  }
}
K waits_apart(float* x, unsigned lanes) {
  if (threadIdx.x < 16) {
    __syncwarp(lanes);                                                // waits_apart:1
    x[threadIdx.x] = 1;
  } else {
    __syncthreads();                                                  // waits_apart:2
    x[threadIdx.x] = 2;
  }
}
K spins_behind(volatile int* x) {
  if (threadIdx.x > 50) x[threadIdx.x] = 1;                           // spins_behind:1
  while (x[0] == 0) {}                                                // spins_behind:2
}
K spins(volatile int* x) {
  while (x[0] == 0) {}                                                // spins:1
}

// Correct idioms.
K warp_synchronous(float* x) {
  __shared__ float s[64];
  int t = threadIdx.x;
  s[t] = x[t];
  __syncthreads();
  if (t < 32) {
    float v = s[t] + s[t + 32];
    __syncwarp();
    for (int d = 16; d; d >>= 1) {
      s[t] = v;
      __syncwarp();
      if (t < d) v += s[t + d];
      __syncwarp();
    }
    if (t == 0) x[0] = v;
  }
}
K double_buffer(float* x, int n) {
  __shared__ float s[2][64];
  int t = threadIdx.x;
  float v = 0;
  s[0][t] = x[t];
  for (int i = 0; i < n; i++) {
    __syncthreads();
    s[(i + 1) & 1][t] = x[t] + i;
    v += s[i & 1][t ^ 33];
  }
  x[t] = v;
}
K histogram(const int* x, int* y) {
  __shared__ int s[16];
  int t = threadIdx.x;
  if (t < 16) s[t] = 0;
  __syncthreads();
  atomicAdd(s + (x[t] & 15), x[t]);
  __syncthreads();
  if (t < 16) atomicAdd(y + t, s[t]);
}
K early_return(float* x, int n) {
  __shared__ float s[64];
  int t = threadIdx.x;
  if (t >= n) return;
  s[t] = x[t];
  __syncthreads();
  x[t] = s[n - 1 - t];
}
K flag(const int* x, int* y) {
  __shared__ int any;
  if (threadIdx.x == 0) any = 0;
  __syncthreads();
  if (x[threadIdx.x] > 3) any = 1;
  __syncthreads();
  y[threadIdx.x] = any;
}
K neighbouring_bytes(unsigned char* x) {
  __shared__ unsigned char s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[63 - threadIdx.x];
}
K locked(int* x) {
  __shared__ int lock, sum;
  if (threadIdx.x == 0) lock = sum = 0;
  __syncthreads();
  if ((threadIdx.x & 31) == 0) {
    while (atomicCAS(&lock, 0, 1)) {}
    __threadfence_block();
    sum += threadIdx.x;
    __threadfence_block();
    atomicExch(&lock, 0);
  }
  __syncthreads();
  x[threadIdx.x] = sum;
}
"""


@lru_cache(maxsize=4)
def program(arch: str = "sm_80") -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=arch, name="/seeded.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


def line(name: str, number: int = 1) -> int:
    tag = f"// {name}:{number}"
    return next(n for n, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(tag))


def check(name: str, *args: Any, threads: int = 64, **options: Any) -> sim.CheckReport:
    done = sim.run(program(), name, 2, threads, args, check=True, **options)
    assert done.check is not None
    assert done.check.lost == 0
    return done.check


def only(report: sim.CheckReport, kind: FindingKind) -> Finding:
    assert [f.kind for f in report.findings] == [kind], [f.message for f in report.findings]
    return report.findings[0]


def floats(count: int = 64) -> np.ndarray:
    return np.arange(count, dtype=np.float32)


def at(place: Any) -> int:
    assert place.source is not None
    assert place.source.file.endswith("seeded.cu")
    return int(place.source.line)


def test_store_behind_an_array() -> None:
    x = floats()
    found = only(check("behind", x), FindingKind.OUT_OF_BOUNDS)
    assert (found.thread, found.block, found.occurrences) == ((24, 0, 0), (0, 0, 0), 80)
    assert (found.array, found.offset_bytes, found.size_bytes) == ("argument 0", 256, 4)
    assert at(found.place) == line("behind")
    assert np.all(x[40:] == 1)
    assert np.array_equal(x[:40], floats(40))


def test_misaligned_store() -> None:
    found = only(check("odd", np.zeros(512, np.uint8)), FindingKind.MISALIGNED)
    assert (found.thread, found.offset_bytes, found.occurrences) == ((0, 0, 0), 1, 128)
    assert at(found.place) == line("odd")


def test_write_to_a_read_only_array() -> None:
    x = floats()
    x.flags.writeable = False
    found = only(check("constant_array", x, floats()), FindingKind.READ_ONLY)
    assert (found.thread, found.array, found.offset_bytes) == ((7, 0, 0), "argument 0", 12)
    assert at(found.place) == line("constant_array")


def test_store_behind_shared_memory() -> None:
    report = check("behind_shared", floats(), dynamic_shared=128)
    found = only(report, FindingKind.OUT_OF_BOUNDS)
    assert (found.space, found.address, found.thread) == ("shared", 128, (32, 0, 0))
    assert found.occurrences == 64
    assert at(found.place) == line("behind_shared")


def test_undefined_array() -> None:
    report = check("undefined_global", floats(), floats(), undefined=[0])
    found = only(report, FindingKind.UNINITIALISED)
    assert (found.array, found.offset_bytes, found.occurrences) == ("argument 0", 0, 128)
    assert at(found.place) == line("undefined_global")
    assert check("undefined_global", floats(), floats(), undefined=[1]).clean


def test_undefined_argument_must_be_an_array() -> None:
    with pytest.raises(UsageError, match="argument 1 is no array"):
        check("undefined_local", floats(), np.int32(3), undefined=[1])


def test_shared_memory_that_nobody_wrote() -> None:
    found = only(check("undefined_shared", floats()), FindingKind.UNINITIALISED)
    assert (found.space, found.address, found.thread) == ("shared", 20, (58, 0, 0))
    assert found.occurrences == 2
    assert at(found.place) == line("undefined_shared")


def test_local_memory_that_nobody_wrote() -> None:
    report = check("undefined_local", floats(), np.int32(2), threads=32)
    found = only(report, FindingKind.UNINITIALISED)
    assert (found.space, found.thread, found.occurrences) == ("local", (1, 0, 0), 48)
    assert at(found.place) == line("undefined_local")


def races(report: sim.CheckReport) -> list[Finding]:
    return [f for f in report.findings if f.kind is FindingKind.RACE]


@pytest.mark.parametrize("name", ["no_barrier", "no_second_barrier"])
def test_missing_barrier(name: str) -> None:
    found = races(check(name, floats()))
    pairs = {(at(f.place), at(f.other_place)) for f in found}
    assert (line(name, 1), line(name, 2)) in pairs
    for finding in found:
        assert finding.space == "shared"
        assert finding.other_thread is not None
        assert finding.thread[0] ^ finding.other_thread[0] == 32


def test_missing_warp_barrier() -> None:
    found = only(check("no_warp_barrier", floats(), threads=32), FindingKind.RACE)
    assert (at(found.place), at(found.other_place)) == (
        line("no_warp_barrier", 2),
        line("no_warp_barrier", 1),
    )
    assert (found.thread, found.other_thread, found.address) == ((0, 0, 0), (1, 0, 0), 4)
    assert found.occurrences == 64


def test_lanes_of_one_store_that_write_different_values() -> None:
    found = only(check("same_place", np.zeros(64, np.int32), threads=32), FindingKind.RACE)
    assert (found.thread, found.other_thread, found.occurrences) == ((1, 0, 0), (0, 0, 0), 62)
    assert at(found.place) == at(found.other_place) == line("same_place")


def test_race_on_one_byte_of_a_word() -> None:
    found = only(check("bytes_race", np.zeros(64, np.uint8)), FindingKind.RACE)
    assert (found.thread, found.other_thread, found.address) == ((40, 0, 0), (3, 0, 0), 3)
    assert (at(found.place), at(found.other_place)) == (line("bytes_race", 2), line("bytes_race"))


def test_plain_write_beside_atomics() -> None:
    found = races(check("plain_beside_atomic", np.ones(64, np.int32)))
    assert found
    assert {at(f.place) for f in found} == {line("plain_beside_atomic", 2)}
    assert {at(f.other_place) for f in found} == {line("plain_beside_atomic", 1)}


def test_a_time_limit_keeps_what_was_found() -> None:
    x = np.zeros(40, np.int32)
    report = check("spins_behind", x, time_limit_s=0.3)
    assert [f.kind for f in report.findings] == [FindingKind.OUT_OF_BOUNDS, FindingKind.UNFINISHED]
    assert at(report.findings[1].place) == line("spins_behind", 2)
    assert not report.complete


def test_lanes_that_wait_for_each_other_at_different_barriers() -> None:
    try:
        done = sim.run(
            program("sm_90"), "waits_apart", 1, 32, [floats(), np.uint32(0xFFFFFFFF)], check=True
        )
    except CubinError as refused:
        assert "under a guard" in str(refused)
        pytest.skip(str(refused))
    assert done.check is not None
    found = only(done.check, FindingKind.DEADLOCK)
    assert not done.check.complete
    assert {at(found.place), at(found.other_place)} == {
        line("waits_apart", 1),
        line("waits_apart", 2),
    }
    assert found.thread != found.other_thread


def test_barriers_in_different_places() -> None:
    found = only(check("two_barriers", floats(), np.int32(1)), FindingKind.BARRIER)
    assert found.other_thread is not None
    assert {found.thread[0] // 32, found.other_thread[0] // 32} == {0, 1}
    assert found.occurrences == 64
    assert {at(found.place), at(found.other_place)} == {
        line("two_barriers", 1),
        line("two_barriers", 2),
    }


IDIOMS: dict[str, tuple[Any, ...]] = {
    "warp_synchronous": (floats(),),
    "double_buffer": (floats(), np.int32(5)),
    "histogram": (np.arange(64, dtype=np.int32), np.zeros(16, np.int32)),
    "early_return": (floats(), np.int32(40)),
    "flag": (np.arange(64, dtype=np.int32), np.zeros(64, np.int32)),
    "neighbouring_bytes": (np.arange(64, dtype=np.uint8),),
    "locked": (np.zeros(64, np.int32),),
}


@pytest.mark.parametrize("name", sorted(IDIOMS))
def test_correct_idioms_are_clean_and_counted_alike(name: str) -> None:
    copies = [a.copy() if a.ndim else a for a in IDIOMS[name]]
    plain = sim.run(program(), name, 2, 64, copies)
    checked_args = [a.copy() if a.ndim else a for a in IDIOMS[name]]
    checked = sim.run(program(), name, 2, 64, checked_args, check=True)
    assert checked.check is not None
    assert checked.check.clean, [f.message for f in checked.check.findings]
    for counter in ("executed", "threads", "requests", "sectors", "wavefronts", "conflicts"):
        assert np.array_equal(getattr(plain, counter), getattr(checked, counter)), counter
    for one, two in zip(copies, checked_args, strict=True):
        assert np.array_equal(one, two)


def arguments(item: KernelEntry, shape: dict[str, int]) -> tuple[list[Any], list[int]]:
    drawn = inputs(item, shape)
    made: list[Any] = []
    undefined: list[int] = []
    for position, argument in enumerate(item.arguments):
        if not isinstance(argument, Pointer):
            value = argument.of(shape)
            whole = argument.dtype == "int32"
            made.append(int(value) & 0xFFFFFFFF if whole else np.float32(value))
        elif (count := argument.elements(shape)) == 0:
            made.append(0)
        elif argument.role is Role.OUT:
            undefined.append(position)
            made.append(np.zeros(count, argument.dtype))
        else:
            made.append(np.array(drawn[argument.name]).ravel().copy())
    return made, undefined


FAMILIES = {
    "gemv", "gemv2T", "gemv2N", "gemmk1", "sgemm", "depthwise", "pointwise", "reduction", "softmax",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(n for n, e in entries().items() if e.family in FAMILIES))
def test_kernels_of_the_library_are_clean(name: str) -> None:
    item = entries()[name]
    shape = next(iter(shapes(item, 1)))
    made, undefined = arguments(item, shape)
    geometry = item.launch_geometry(shape)
    image = compile_source(source(item), arch="sm_80", name=f"/kernprof/{item.file}").image
    done = sim.run(
        sim.load(image),
        name,
        tuple(geometry.grid),
        tuple(geometry.block),
        made,
        dynamic_shared=geometry.dynamic_shared_bytes,
        check=True,
        undefined=undefined,
    )
    assert done.check is not None
    assert done.check.clean, [f.message for f in done.check.findings]
