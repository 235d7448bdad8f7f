"""The check of kernels on the CPU finds what it is there to find."""

from __future__ import annotations

import emulator
import numpy as np
import pytest
from host_compiler import MISSING

from kernprof.library import Geometry, KernelEntry, Pointer, Role, Scalar
from kernprof.profile import Dim3

pytestmark = pytest.mark.skipif(emulator.COMPILER is None, reason=MISSING)

_PARAMETERS = "(const float *__restrict__ x, float *__restrict__ y, int n, float factor)"
_BODIES = {
    "reverse_sum": """
  extern __shared__ float copies[];
  copies[threadIdx.x] = 1.0f;
  float v = reversed<64>(x[threadIdx.x]);
  for (int offset = 16; offset; offset >>= 1)
    v += __shfl_xor_sync(0xffffffff, v, offset);
  y[threadIdx.x] = v * factor * copies[n - 1 - threadIdx.x];""",
    "no_barrier": """
  __shared__ float t[64];
  t[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = t[63 - threadIdx.x];""",
    "uninitialised": "__shared__ float t[64]; y[threadIdx.x] = t[threadIdx.x];",
    "unwritten": "if (threadIdx.x != 5) y[threadIdx.x] = 0.0f;",
    "read_behind": "y[threadIdx.x] = x[threadIdx.x + 1];",
    "write_behind": "y[threadIdx.x + 1] = 0.0f;",
    "write_before": "y[(int)threadIdx.x - 1] = 0.0f;",
    "copy_before": "y[threadIdx.x] = 0.0f; y[-1] = 2.0f * x[-1];",
    "write_input": "y[threadIdx.x] = 0.0f; const_cast<float *>(x)[threadIdx.x] = 0.25f;",
    "shared_bounds": "__shared__ float t[64]; t[threadIdx.x + n - 63] = y[threadIdx.x] = 0.0f;",
    "dynamic_bounds": "extern __shared__ float t[]; t[threadIdx.x + 1] = y[threadIdx.x] = 0.0f;",
    "early_leaver": "if (threadIdx.x > 3) return; __syncthreads(); y[threadIdx.x] = 0.0f;",
    "two_barriers": """
  if (threadIdx.x > 3)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 0.0f;""",
    "half_warp": "y[threadIdx.x] = threadIdx.x & 16 ? 0 : __shfl_down_sync(~0u, x[0], 1);",
    "misaligned": "y[threadIdx.x] = reinterpret_cast<const float4 *>(x + 1)->x;",
    "overflow": "y[threadIdx.x] = n * 1000000000;",
    "by_zero": "y[threadIdx.x] = n / (n - 64);",
}
SOURCE = """
template <int N> __device__ float reversed(float v) {
  __shared__ float t[N];
  t[threadIdx.x] = v;
  __syncthreads();
  return t[N - 1 - threadIdx.x];
}
""" + "".join(
    f'extern "C" __global__ void __launch_bounds__(64) {name}{_PARAMETERS} {{ {body} }}\n'
    for name, body in _BODIES.items()
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> emulator.HostLibrary:
    return emulator.build(SOURCE, "faults.cu", list(_BODIES), tmp_path_factory.mktemp("faults"))


def entry(name: str) -> KernelEntry:
    return KernelEntry(
        name=name,
        family="faults",
        file="faults.cu",
        parameters=("n",),
        arguments=(
            Pointer("x", Role.IN, lambda s: s["n"]),
            Pointer("y", Role.OUT, lambda s: s["n"]),
            Scalar("n"),
            Scalar("factor", 2.0, "float32"),
        ),
        geometry=lambda s: Geometry(Dim3(2), Dim3(64), 256),
        flops=lambda s: 0,
        bytes_moved=lambda s: 0,
    )


def run(library: emulator.HostLibrary, name: str, order: int = 0) -> np.ndarray:
    item = entry(name)
    x = np.arange(64, dtype="float32")
    shape = {"n": 64}
    return emulator.launch(library, item, shape, item.geometry(shape), {"x": x}, order)["y"]


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_a_sound_kernel_passes(library: emulator.HostLibrary, order: int) -> None:
    assert library.signature("reverse_sum") == emulator.expected_signature(entry("reverse_sum"))
    sums = [2.0 * sum(range(32, 64)), 2.0 * sum(range(32))]
    assert run(library, "reverse_sum", order).tolist() == np.repeat(sums, 32).tolist()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("read_behind", "outside an array"),
        ("write_behind", "outside an array"),
        ("write_before", "written around y"),
        ("copy_before", "written around y"),
        ("write_input", "x itself, an input"),
        ("shared_bounds", "array index"),
        ("dynamic_bounds", "outside an array"),
        ("early_leaver", "threads that have ended"),
        ("two_barriers", "different barriers"),
        ("half_warp", "threads that have ended"),
        ("misaligned", "alignment"),
        ("overflow", "integer overflow"),
        ("by_zero", "array index, alignment or integer|division by zero"),
    ],
)
def test_a_fault_is_an_error(library: emulator.HostLibrary, name: str, message: str) -> None:
    with pytest.raises(emulator.HostError, match=message):
        run(library, name)
    # The next launch finds everything in order again.
    assert np.isfinite(run(library, "reverse_sum")).all()


def test_memory_in_front_of_an_array_is_inaccessible_in_one_order(
    library: emulator.HostLibrary,
) -> None:
    with pytest.raises(emulator.HostError, match="outside an array"):
        run(library, "write_before", order=1)


@pytest.mark.parametrize("name", ["uninitialised", "unwritten"])
def test_what_was_never_written_is_no_number(library: emulator.HostLibrary, name: str) -> None:
    assert np.isnan(run(library, name)).any()


def test_a_missing_barrier_shows_in_the_order(library: emulator.HostLibrary) -> None:
    results = {run(library, "no_barrier", order).tobytes() for order in emulator.ORDERS}
    assert len(results) == len(emulator.ORDERS)


def test_a_wrong_argument_list_shows(library: emulator.HostLibrary) -> None:
    assert library.signature("overflow") == ["const float*", "float*", "int", "float"]
