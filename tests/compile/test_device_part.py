"""Device code out of files with host code: what stays, what goes, and that it compiles."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import kernprof
from kernprof.compile import compile_file, compile_source
from kernprof.compile.cache import DiskCache
from kernprof.compile.device_part import DevicePart, device_part
from kernprof.compile.tokens import Kind, tokenize
from kernprof.errors import CompileError, InputError
from kernprof.sim.program import load

# Lines that end in "//H" are host code and must go, all others must stay as they are.
MIXED = r"""
#include <vector>
#include <string>
#include <cmath>
#include <limits>
#include "cuda_runtime.h"
#include "lib/tools.cuh"
using namespace std;
#define HD __host__ __device__
#define KERNEL(name, T) __global__ void name(T *x, int n)
#define MAKE(name, op) __device__ float name(float v) { return v op 1; }
#define CHECK(call)                                                       \
  do {                                                                    \
    cudaError_t e = (call);                                               \
    if (e) { fprintf(stderr, "{ %s\n", cudaGetErrorString(e)); exit(1); } \
  } while (0)
MAKE(plus1, +)
namespace a { namespace b {
struct Box {
  int w, h;
  std::vector<int> *unused() { return new std::vector<int>(); } //H
  Box(std::string s) : w(s.size()), h{2} { } //H
  Box() = default;
  HD int area() const { return w * h; }
  friend std::ostream &operator<<(std::ostream &o, const Box &b) { return o << b.w; } //H
};
HD inline Box operator+(Box a, Box b) { a.w += b.w; return a; }
enum class Mode : int { One = 1, Two };
} }
struct Timer { std::string name; double t[2]; }; //H
template <typename T, int N = 4> struct Vec {
  T v[N];
  HD T &operator[](int i) { return v[i]; }
  HD T sum() const { T s = 0; for (int i = 0; i < N; ++i) s += v[i]; return s; }
};
const int SIZE = 3;
static const float table[] = {1.f, 2.f, 3.f};
constexpr int twice(int v) { return 2 * v; }
constexpr int thrice(int v) { return 3 * v; } //H
int host_global = 7; std::vector<float> data = {1, 2, 3}; //H
const char *raw = R"x(__global__ void no() { )x"; //H
extern "C" {
__constant__ float c[4] = {1, 2, 3, 4};
}
#if 0
__global__ void broken( { {
#else
static float host(float n) { return n; } //H
#endif
#ifdef BIG
__global__ void big(int *x) {
#else
__global__ void small(int *x) {
#endif
  x[threadIdx.x] = '{' + SIZE;
}
KERNEL(made, float) { if (threadIdx.x < n) x[threadIdx.x] = plus1(table[threadIdx.x % 3]) * c[0]; }
template <class T, int N = 4>
__global__ __launch_bounds__(twice(64)) void tmpl(T *__restrict__ x, Vec<T, N> v, a::b::Box box) {
  a::b::Box t = box + box;
  x[threadIdx.x] = v.sum() + t.area() + std::sqrt(T(4)) + std::numeric_limits<T>::epsilon() +
                   from_tools(1) + (int)a::b::Mode::Two;
}
template __global__ void tmpl<float, 2>(float *, Vec<float, 2>, a::b::Box);
void launch(float *d) { //H
  tmpl<float, 4><<<1, 32>>>(d, {}, {}); //H
  auto f = [&](int i) { return data[i]; }; //H
} //H
int main(int argc, char **argv) { CHECK(cudaMalloc(0, 0)); launch(nullptr); } //H
"""
TOOLS = """#pragma once
#include <iostream>
#include "deeper.h"
__device__ inline int from_tools(int v) { return v + DEEP; }
inline void print() { std::cout << DEEP; }
"""
DEEPER = "#define DEEP 5\nstruct Never { std::string s; };\n"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "tools.cuh").write_text(TOOLS)
    (tmp_path / "lib" / "deeper.h").write_text(DEEPER)
    path = tmp_path / "mixed.cu"
    path.write_text(MIXED)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache", 1 << 28)


def part(path: Path, text: str | None = None) -> DevicePart:
    return device_part(
        path,
        path.read_text() if text is None else text,
        root="/src",
        include_dirs=[path.parent],
        header_dirs=[],
    )


def test_host_code_goes_and_nothing_else(mixed: Path) -> None:
    made = part(mixed).source.split("\n")
    given = MIXED.split("\n")
    assert len(made) == len(given)
    for before, after in zip(given, made, strict=True):
        if before.endswith("//H"):
            assert not after.removesuffix("//H").strip(), after
        elif "lib/tools" in before:
            assert after == '#include "/src/lib/tools.cuh"'
        elif "cuda_runtime" not in before:  # nowhere, for this call
            assert after == before


def test_headers_in_quotes_are_treated_alike(mixed: Path) -> None:
    headers = part(mixed).headers
    assert headers["/src/lib/tools.cuh"].splitlines()[2] == '#include "/src/lib/deeper.h"'
    assert "from_tools" in headers["/src/lib/tools.cuh"]
    assert "cout" not in headers["/src/lib/tools.cuh"]
    assert headers["/src/lib/deeper.h"].split() == ["#define", "DEEP", "5"]


def test_it_compiles_and_runs(mixed: Path) -> None:
    x = np.zeros(32, np.float32)
    done = kernprof.predict(
        mixed, {"x": x, "n": np.int32(30)}, kernel="made", grid=1, block=32, gpu="a100"
    )
    expected = np.array([1, 2, 3], np.float32)[np.arange(32) % 3] + 1
    assert np.array_equal(x[:30], expected[:30])
    assert not x[30:].any()
    assert "left out" in done.notice
    assert "host_global (line " in done.notice
    own = 1 + MIXED[: MIXED.index("KERNEL(made")].count("\n")
    lines = {i.source.line for i in done.execution.kernel.instructions if i.source}
    assert own in lines


def test_templates_and_classes_compile(mixed: Path, cache: DiskCache) -> None:
    made = compile_file(mixed, arch="sm_80", instantiate=["tmpl<double, 3>"], cache=cache)
    assert len(made.kernels) == 4
    assert "host code" in made.notice


PLAIN = """
__device__ float sq(float v) { return v * v; }
__global__ void square(float *x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = sq(x[i]);
}
"""
HOST = """
#include <iostream>
#include <vector>
#include <chrono>
float sq(std::vector<float> v) { return v[0]; }
int main() { float *x; cudaMalloc(&x, 400); square<<<1, 128>>>(x, 100); std::cout << 1; }
"""


def test_machine_code_is_that_of_the_device_code_alone(tmp_path: Path, cache: DiskCache) -> None:
    path = tmp_path / "both.cu"
    path.write_text(PLAIN + HOST)
    made = compile_file(path, arch="sm_86", cache=cache)
    alone = compile_source(PLAIN, arch="sm_86", cache=cache)
    codes = [load(c.image).kernel("_Z6squarePfi").image.code for c in (made, alone)]
    assert codes[0] == codes[1]
    again = compile_file(path, arch="sm_86", cache=cache)
    assert again == made


STANDARD = """
#include <cstdint>
#include <climits>
#include <cfloat>
#include <cmath>
#include <algorithm>
#include <limits>
#include <type_traits>
static_assert(sizeof(std::uint64_t) == 8 && sizeof(int16_t) == 2, "");
static_assert(INT_MAX == 2147483647 && UINT64_MAX + 1 == 0, "");
static_assert(std::is_same<std::remove_const<const int>::type, int>::value, "");
__global__ void k(float *x, uint32_t n) {
  x[0] = std::sqrt(x[0]);
  x[1] = FLT_MAX == std::numeric_limits<float>::max();
  x[2] = INFINITY;
  x[3] = isnan(NAN);
  x[4] = std::max(x[4], 3.f) + std::min<int>(n, 2);
  x[5] = float(M_PI);
  x[6] = DBL_EPSILON * (1 << 26) * (1 << 26);
}
int main() {}
"""


def test_standard_headers_have_what_kernels_use(tmp_path: Path) -> None:
    path = tmp_path / "std.cu"
    path.write_text(STANDARD)
    x = np.array([9, 0, 0, 0, 1, 0, 0], np.float32)
    kernprof.predict(path, {"x": x, "n": np.uint32(7)}, grid=1, block=1, gpu="t4")
    assert x.tolist() == [3, 1, np.inf, 1, 5, np.float32(np.pi), 1]


def test_cooperative_groups_are_found_without_a_toolkit(tmp_path: Path) -> None:
    path = tmp_path / "cg.cu"
    path.write_text(
        "#include <cooperative_groups.h>\n#include <cstdio>\nnamespace cg = cooperative_groups;\n"
        "__global__ void k(int *x) { auto b = cg::this_thread_block(); b.sync();\n"
        "  x[b.thread_rank()] = b.size(); }\nint main() { puts(0); }\n"
    )
    x = np.zeros(64, np.int32)
    kernprof.predict(path, {"x": x}, grid=1, block=64, gpu="a100")
    assert (x == 64).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#include <iostream>\nint main() {}\n", "holds no kernel"),
        ("#include <map>\n__global__ void k() { }\nint main() { ) }\n", "')' of line 3"),
        ("#include <map>\n__global__ void k(int *x) { *x = y; }\n", "(2): error"),
        (
            "#include <map>\nint f() { return 1; }\n__global__ void k(int *x) { *x = f(); }",
            "f of line 2 was taken for host code",
        ),
        (
            "#include <curand_kernel.h>\n__global__ void k(curandState *x) { }\n",
            "not found: curand_kernel.h",
        ),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, cache: DiskCache, text: str, says: str) -> None:
    path = tmp_path / "bad.cu"
    path.write_text(text)
    if "curand" in text and not part(path).missing:
        pytest.skip("cuRAND's headers are installed")
    with pytest.raises(CompileError, match=r".") as caught:
        compile_file(path, arch="sm_80", cache=cache)
    assert says in str(caught.value)


def test_a_file_of_device_code_is_compiled_as_it_is(tmp_path: Path, cache: DiskCache) -> None:
    path = tmp_path / "plain.cu"
    path.write_text(PLAIN)
    assert not compile_file(path, arch="sm_80", cache=cache).notice
    assert not part(path).changed
    path.write_text("__global__ void k(int *x) { x = 1.5; }")
    with pytest.raises(CompileError, match=r"plain\.cu\(1\): error"):
        compile_file(path, arch="sm_80", cache=cache)


def test_damaged_text_is_refused_or_keeps_its_lines(mixed: Path) -> None:
    rng = random.Random(3)
    refused = 0
    for _ in range(300):
        text = list(MIXED)
        for _ in range(rng.choice((1, 2, 5, 20))):
            place = rng.randrange(len(text))
            text[place] = rng.choice(["", "{", "}", "(", ")", "<", ">", "#", '"', ";", "\n", "/*"])
        damaged = "".join(text)
        try:
            made = part(mixed, damaged)
        except InputError:
            refused += 1
            continue
        assert made.source.count("\n") == damaged.count("\n")
    assert 0 < refused < 300


def test_deep_nesting_ends() -> None:
    for text in ("(" * 50_000, "{" * 50_000, "#if 1\n" * 20_000, "namespace a {" * 20_000):
        with pytest.raises(InputError):
            part(Path("/nowhere/deep.cu"), text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a->b<<<1,2>>>", ["a", "->", "b", "<<<", "1", ",", "2", ">>>"]),
        ("x /* { */ = 1'000.5e-3f; // }", ["x", "=", "1'000.5e-3f", ";"]),
        ('u8"a\\"{" R"q()" } )q" \'\\\'\'', ['u8"a\\"{"', 'R"q()" } )q"', "'\\''"]),
        (" # define A \\\n  { /* \n */ 1\nb", ["# define A    {   1", "b"]),
        ("a # b", ["a", "#", "b"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    found = list(tokenize(text))
    assert [t.text for t in found] == tokens
    for token in found:
        if token.kind is not Kind.DIRECTIVE:
            assert text[token.start : token.end] == token.text
