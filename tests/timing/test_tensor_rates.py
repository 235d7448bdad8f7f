"""How long tensor cores are taken by an instruction: multiply-adds over the published peak rate."""

from __future__ import annotations

import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.timing.opcodes import encode

MMA = """
extern "C" __global__ void one(const unsigned* a, unsigned* c) {
  int t = threadIdx.x;
  unsigned d[4], x = a[t], y = a[32 + t];
  asm volatile("mma.sync.aligned.@CODE@" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(x), "r"(y));
  for (int i = 0; i < 4; i++) c[32 * i + t] = d[i];
}
"""
F16 = "m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%4,%5}, {%4,%5}, {%4,%4,%4,%4};"
F16_8 = "m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%4}, {%4,%4,%4,%4};"
TF32 = "m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%4,%5}, {%4,%5}, {%4,%4,%4,%4};"
S8 = "m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%4,%5}, {%4,%5}, {%4,%4,%4,%4};"


@pytest.mark.parametrize(
    ("gpu", "code", "products", "per_cycle"),
    [
        # Dense peak of the GPU over its SMs, its boost clock and 2, as its whitepaper tells them.
        ("t4", F16_8, 16 * 8 * 8, 65e12 / 40 / 1.59e9 / 2),
        ("a100", F16, 16 * 8 * 16, 312e12 / 108 / 1.41e9 / 2),
        ("a100", F16_8, 16 * 8 * 8, 312e12 / 108 / 1.41e9 / 2),
        ("a100", TF32, 16 * 8 * 8, 156e12 / 108 / 1.41e9 / 2),
        ("a100", S8, 16 * 8 * 32, 624e12 / 108 / 1.41e9 / 2),
        ("h100", F16, 16 * 8 * 16, 989e12 / 132 / 1.83e9 / 2),
    ],
)
def test_products_over_the_published_rate(
    gpu: str, code: str, products: int, per_cycle: float
) -> None:
    device = find(gpu)
    try:
        image = compile_source(MMA.replace("@CODE@", code), arch=device.arch.name).image
    except UnavailableError as error:
        pytest.skip(str(error))
    kernel = sim.load(image).kernel("one")
    rows = encode(kernel, device.arch)
    (at,) = [i.index for i in kernel.instructions if i.opcode in ("HMMA", "IMMA")]
    share = per_cycle / device.arch.sub_partitions
    assert rows[at]["interval"] == pytest.approx(products / share, rel=0.05)


def test_the_steps_of_volta_together_take_the_time_of_their_products() -> None:
    code = (
        "m8n8k4.row.col.f32.f16.f16.f32 {%0,%1,%2,%3,%6,%7,%8,%9}, {%4,%5}, {%4,%5}, "
        "{%4,%4,%4,%4,%4,%4,%4,%4};"
    )
    source = MMA.replace("d[4]", "d[8]").replace("@CODE@", code)
    source = source.replace(
        ': "r"(x), "r"(y)', ', "+r"(x), "+r"(y), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]), "=r"(d[7])'
    )
    device = find("v100")
    try:
        kernel = sim.load(compile_source(source, arch="sm_70").image).kernel("one")
    except UnavailableError as error:
        pytest.skip(str(error))
    rows = encode(kernel, device.arch)
    steps = [i.index for i in kernel.instructions if i.opcode == "HMMA"]
    assert len(steps) == 4
    per_cycle = 125e12 / 80 / 1.53e9 / 2 / device.arch.sub_partitions
    assert sum(int(rows[i]["interval"]) for i in steps) == pytest.approx(
        4 * 8 * 8 * 4 / per_cycle, rel=0.05
    )
