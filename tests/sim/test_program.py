"""Machine code read whole: every instruction, its operands, control bits and source line."""

from __future__ import annotations

import random

import pytest

from kernprof.compile import compile_source
from kernprof.errors import CubinError, UnavailableError
from kernprof.sim.cubin import read_cubin
from kernprof.sim.program import Program, load

SOURCE = """
__device__ float table[4] = {1.f, 2.f, 3.f, 4.f};
extern "C" __global__ void mixed(float *y, const float *x, int n, double scale) {
  __shared__ float tile[128];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0.f;
  for (int k = threadIdx.x; k < n; k += 32) {
    if (x[k] > 0.f) sum += __expf(x[k]) * table[k & 3];
    else sum -= sqrtf(-x[k]) / (float)(k + 1);
  }
  tile[threadIdx.x & 127] = sum;
  __syncthreads();
  for (int offset = 16; offset; offset >>= 1) sum += __shfl_down_sync(~0u, sum, offset);
  if (threadIdx.x == 0) atomicAdd(y, sum + tile[127 - (threadIdx.x & 127)]);
  if (i < n) y[i + 1] = (float)(x[i] * scale);
}
extern "C" __global__ void plain(int *y) { y[threadIdx.x] = threadIdx.x * 3 + 1; }
"""
ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")


def program(arch: str) -> Program:
    image = compile_source(SOURCE, arch=arch, name="/kernprof/mixed.cu").image
    try:
        return load(image)
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", ARCHES)
def test_every_instruction_has_operands_and_a_line(arch: str) -> None:
    found = program(arch)
    assert set(found.kernels) == {"mixed", "plain"}
    for kernel in found.kernels.values():
        assert kernel.instructions
        assert kernel.instructions[-1].offset > 0
        assert any(i.opcode == "EXIT" for i in kernel.instructions)
        assert all(i.source is not None for i in kernel.instructions if i.opcode != "NOP")
    lines = {i.source.line for i in found.kernel("plain").instructions if i.source}
    assert lines == {17}


@pytest.mark.parametrize("arch", ARCHES)
def test_parameters_and_resources_are_those_of_the_source(arch: str) -> None:
    image = program(arch).image
    mixed = image.kernels["mixed"]
    assert [p.size_bytes for p in mixed.parameters] == [8, 8, 4, 8]
    assert [p.offset_bytes for p in mixed.parameters] == [0, 8, 16, 24]
    assert mixed.shared_bytes == (512 + 1024 if arch == "sm_90" else 512)
    assert image.kernels["plain"].registers >= 2
    assert any(s.name == "table" and s.size_bytes == 16 for s in image.global_symbols)


@pytest.mark.parametrize("arch", ARCHES)
def test_no_result_is_used_before_its_barrier_is_waited_for(arch: str) -> None:
    """The compiler guards late results by barriers: a slip in decoding shows as a use too early.

    Straight-line check: a register written under barrier b must not be read before an instruction
    waits for b. Loops are entered only once, and a partial wait (DEPBAR) frees its barrier.
    """
    from kernprof.sim.operands import Address, Register

    checked = 0
    for kernel in program(arch).kernels.values():
        pending: dict[int, int] = {}
        for instruction in kernel.instructions:
            control = instruction.control
            if instruction.opcode == "DEPBAR":
                pending.clear()
            pending = {r: b for r, b in pending.items() if not control.wait_mask >> b & 1}
            bases = [o.base if isinstance(o, Address) else o for o in instruction.operands]
            registers = [o for o in bases if isinstance(o, Register) and not o.uniform]
            for register in registers:
                checked += 1
                told = f"{arch}: {instruction.text} uses R{register.index} early"
                assert register.index not in pending, told
            first = instruction.operands[0] if instruction.operands else None
            stores = instruction.opcode[:2] in ("ST", "RE", "BA") or instruction.opcode == "FCHK"
            written = isinstance(first, Register) and not first.uniform and first.index != 255
            if control.write_barrier is not None and written and not stores:
                pending[first.index] = control.write_barrier
            if instruction.opcode in ("BRA", "EXIT", "RET", "CALL", "SYNC", "BRK", "BSYNC"):
                pending.clear()
    assert checked > 100


def test_damaged_cubins_are_refused_or_read() -> None:
    image = compile_source(SOURCE, arch="sm_80").image
    rng = random.Random(11)
    for _ in range(300):
        damaged = bytearray(image)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            read_cubin(bytes(damaged[: rng.randrange(1, len(damaged) + 1)]))
        except CubinError:
            continue


def test_register_counts_are_in_the_section_header_too() -> None:
    """As in kernels that were not made by ptxas, whose table of attributes has none."""
    image = bytearray(compile_source(SOURCE, arch="sm_80").image)
    whole = read_cubin(bytes(image)).kernels
    # EIATTR_REGCOUNT, format 4, 8 bytes: given a code that nobody knows.
    record = bytes([4, 0x2F, 8, 0])
    assert image.count(record) == len(whole)
    made = read_cubin(bytes(image).replace(record, bytes([4, 0x7E, 8, 0]))).kernels
    assert {n: k.registers for n, k in made.items()} == {n: k.registers for n, k in whole.items()}


def test_damaged_tables_of_the_file_are_refused() -> None:
    image = compile_source(SOURCE, arch="sm_80").image
    rng = random.Random(5)
    refused = 0
    start = int.from_bytes(image[40:48], "little")  # e_shoff: the table of sections
    for _ in range(400):
        damaged = bytearray(image)
        place = rng.choice((rng.randrange(64), rng.randrange(start, len(image))))
        damaged[place] ^= 1 << rng.randrange(8)
        try:
            read_cubin(bytes(damaged))
        except CubinError:
            refused += 1
    assert refused > 40
