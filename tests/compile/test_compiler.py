from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernprof.compile import DiskCache, compile_source, compiler_version, targets
from kernprof.errors import CompileError, CubinError, UnknownNameError, UsageError

SAXPY = """extern "C" __global__ void saxpy(float *y, const float *x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}
"""
TILE = """extern "C" __global__ void tile(float *y) {
  __shared__ float s[256];
  s[threadIdx.x] = y[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[255 - threadIdx.x];
}
"""
ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache")


@pytest.mark.parametrize("arch", ARCHES)
def test_every_architecture_of_the_table_is_a_target(arch: str, cache: DiskCache) -> None:
    assert arch in targets()
    cubin = compile_source(SAXPY, arch=arch, cache=cache)
    assert cubin.image[:4] == b"\x7fELF"
    assert 2 <= cubin.kernel("saxpy").registers <= 32
    assert cubin.arch == arch


def test_static_shared_memory_is_told(cache: DiskCache) -> None:
    assert (
        compile_source(TILE, arch="sm_80", cache=cache).kernel("tile").static_shared_bytes == 1024
    )


def test_spills_are_told(cache: DiskCache) -> None:
    body = "".join(f"  float v{i} = x[{i} * n];\n" for i in range(64))
    uses = "".join(f"  x[{i} * n + 1] = v{i} * v{63 - i};\n" for i in range(64))
    source = (
        f'extern "C" __global__ void fat(float *x, int n) {{\n{body}  __syncthreads();\n{uses}}}\n'
    )
    tight = compile_source(source, arch="sm_80", options=["--maxrregcount=32"], cache=cache)
    assert tight.spills["fat"].store_bytes > 0
    roomy = compile_source(source, arch="sm_80", cache=cache)
    assert roomy.spills["fat"].store_bytes == 0


def test_templates_are_instantiated_by_name(cache: DiskCache) -> None:
    source = "template <int N> __global__ void fill(float *y) { y[threadIdx.x] = N; }"
    cubin = compile_source(source, arch="sm_80", instantiate=["fill<7>"], cache=cache)
    assert cubin.kernel("fill<7>").registers > 0
    with pytest.raises(UnknownNameError):
        cubin.kernel("fill<8>")


def test_an_error_carries_the_log_and_its_line(cache: DiskCache) -> None:
    with pytest.raises(CompileError, match=r"kernel.cu\(1\): error") as caught:
        compile_source("__global__ void broken( {", arch="sm_80", cache=cache)
    assert "error" in caught.value.log
    assert caught.value.exit_code == 3


def test_an_unknown_architecture_is_a_usage_error(cache: DiskCache) -> None:
    with pytest.raises(UsageError, match="did you mean sm_86"):
        compile_source(SAXPY, arch="sm_81x", cache=cache)


def test_headers_and_macros_of_the_user(tmp_path: Path, cache: DiskCache) -> None:
    header = tmp_path / "factor.h"
    source = '#include "factor.h"\nextern "C" __global__ void f(float *y) { *y = FACTOR * SCALE; }'

    def build(factor: int) -> str:
        header.write_text(f"#define FACTOR {factor}.0f\n")
        return compile_source(
            source, arch="sm_80", include_dirs=[tmp_path], defines={"SCALE": "2"}, cache=cache
        ).key

    assert build(3) != build(4)
    assert build(3) == build(3)


def test_cuda_headers_are_found_without_a_toolkit(cache: DiskCache) -> None:
    kernel = 'extern "C" __global__ void h(__half *y) { *y = __float2half(1.f); }'
    source = f"#include <cuda_fp16.h>\n{kernel}"
    assert compile_source(source, arch="sm_80", cache=cache).kernel("h").registers > 0


def test_a_second_compilation_comes_from_the_cache(cache: DiskCache) -> None:
    first = compile_source(SAXPY, arch="sm_80", cache=cache)
    content = cache.get(first.key)
    assert content is not None
    assert compile_source(SAXPY, arch="sm_80", cache=cache) == first
    assert compile_source(SAXPY + "\n", arch="sm_80", cache=cache).key != first.key


def test_a_damaged_entry_is_compiled_again(cache: DiskCache) -> None:
    first = compile_source(SAXPY, arch="sm_80", cache=cache)
    (entry,) = cache.directory.glob("??/*")
    for damaged in (b"", entry.read_bytes()[:-1], bytes(200)):
        entry.write_bytes(damaged)
        assert compile_source(SAXPY, arch="sm_80", cache=cache).image == first.image


def test_concurrent_processes_share_one_cache(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from kernprof.compile import DiskCache, compile_source\n"
        f"cache = DiskCache(Path({str(tmp_path / 'cache')!r}))\n"
        f"for n in range(6):\n"
        f"    c = compile_source({SAXPY!r} + '\\n' * n, arch='sm_80', cache=cache)\n"
        "    assert c.image[:4] == b'\\x7fELF'\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    names = [p.name for p in (tmp_path / "cache").glob("??/*")]
    assert len(names) == 6
    assert not [n for n in names if n.startswith(".new-")]


def test_the_cache_stays_within_its_bound(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit_bytes=5000)
    for index in range(20):
        cache.put(f"key{index:02d}", bytes(1000))
    held = sum(p.stat().st_size for p in tmp_path.glob("??/*"))
    assert held <= 5000
    assert cache.get("key19") == bytes(1000)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + b"\xff" * 500, b"text" * 100])
def test_damaged_machine_code_is_refused(content: bytes) -> None:
    from kernprof.compile import cubin

    with pytest.raises(CubinError):
        cubin.kernels(content)


def test_flipped_bytes_never_crash_the_cubin_reader(cache: DiskCache) -> None:
    import random

    from kernprof.compile import cubin

    image = compile_source(TILE, arch="sm_80", cache=cache).image
    rng = random.Random(5)
    for _ in range(300):
        damaged = bytearray(image)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            cubin.kernels(bytes(damaged[: rng.randrange(64, len(damaged) + 1)]))
        except CubinError:
            continue


def test_the_compiler_names_its_version() -> None:
    assert compiler_version().startswith(("nvrtc 12.9", "12.9"))
