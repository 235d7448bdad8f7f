"""Tensor cores against numpy: every element in its place, sums within the stated error."""

from __future__ import annotations

import numpy as np
import pytest

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.errors import UnavailableError

Array = np.ndarray

# A generic kernel: each lane's registers of a, b and c come from rows of 32 words.
MMA = """
extern "C" __global__ void @NAME@(const unsigned* a, const unsigned* b, unsigned* c) {
  int t = threadIdx.x;
  unsigned d[@C@];
  asm volatile("@CODE@" : @OUT@ : @IN@);
  for (int i = 0; i < @C@; i++) c[32 * i + t] = d[i];
}
"""


def one(name: str, code: str, a: int, b: int, c: int, *, wide: bool = False) -> str:
    """Kernel around one mma of so many registers; ``wide`` ones are doubles."""
    count = 0

    def block(n: int) -> str:
        nonlocal count
        made = "{" + ", ".join(f"%{count + k}" for k in range(n)) + "}"
        count += n
        return made

    operands = ", ".join(block(n) for n in (c, a, b, c))
    text = f"{code} {operands};"
    kind, mark = ("double", "d") if wide else ("unsigned", "r")
    outs = ", ".join(f'"={mark}"(d[{k}])' for k in range(c))
    ins = ", ".join(
        f'"{mark}"({array}[32 * {k} + t])'
        for array, n in (("a", a), ("b", b), ("c", c))
        for k in range(n)
    )
    made = MMA.replace("@NAME@", name).replace("@CODE@", text).replace("@C@", str(c))
    return made.replace("@OUT@", outs).replace("@IN@", ins).replace("unsigned", kind)


FORMS = {
    # name: (first architecture, PTX, registers, rows, depth, element, accumulator)
    "h8s": (75, "m16n8k8.row.col.f32.f16.f16.f32", (2, 1, 4), 16, 8, "f16", "f32"),
    "h8h": (75, "m16n8k8.row.col.f16.f16.f16.f16", (2, 1, 2), 16, 8, "f16", "f16"),
    "h16s": (80, "m16n8k16.row.col.f32.f16.f16.f32", (4, 2, 4), 16, 16, "f16", "f32"),
    "h16h": (80, "m16n8k16.row.col.f16.f16.f16.f16", (4, 2, 2), 16, 16, "f16", "f16"),
    "b16s": (80, "m16n8k16.row.col.f32.bf16.bf16.f32", (4, 2, 4), 16, 16, "bf16", "f32"),
    "b8s": (80, "m16n8k8.row.col.f32.bf16.bf16.f32", (2, 1, 4), 16, 8, "bf16", "f32"),
    "t8s": (80, "m16n8k8.row.col.f32.tf32.tf32.f32", (4, 2, 4), 16, 8, "tf32", "f32"),
    "t4s": (80, "m16n8k4.row.col.f32.tf32.tf32.f32", (2, 1, 4), 16, 4, "tf32", "f32"),
    "i16": (75, "m8n8k16.row.col.s32.s8.s8.s32", (1, 1, 2), 8, 16, "s8", "s32"),
    "u16": (75, "m8n8k16.row.col.s32.u8.s8.s32", (1, 1, 2), 8, 16, "u8", "s32"),
    "i16m": (80, "m16n8k16.row.col.s32.s8.s8.s32", (2, 1, 4), 16, 16, "s8", "s32"),
    "i32m": (80, "m16n8k32.row.col.s32.s8.s8.s32", (4, 2, 4), 16, 32, "s8", "s32"),
    "d4": (80, "m8n8k4.row.col.f64.f64.f64.f64", (1, 1, 2), 8, 4, "f64", "f64"),
}
SOURCE = (
    "".join(
        f"#if __CUDA_ARCH__ >= {10 * first}\n"
        + one(name, f"mma.sync.aligned.{code}", *registers, wide=element == "f64")
        + "#endif\n"
        for name, (first, code, registers, _, _, element, _) in FORMS.items()
    )
    + """
#if __CUDA_ARCH__ == 700
"""
    + "".join(
        one(
            f"v{x}{y}{acc[1]}",
            f"mma.sync.aligned.m8n8k4.{x}.{y}.{acc}.f16.f16.{acc}",
            2,
            2,
            8 if acc == "f32" else 4,
        )
        for x in ("row", "col")
        for y in ("row", "col")
        for acc in ("f32", "f16")
    )
    + """
#endif
#if __CUDA_ARCH__ >= 750
extern "C" __global__ void matrices(const unsigned short* a, unsigned* c, int stride) {
  extern __shared__ unsigned short s[];
  int t = threadIdx.x;
  for (int r = t; r < 32; r += 32)
    for (int k = 0; k < 8; k++) s[r * stride + k] = a[8 * r + k];
  __syncwarp();
  unsigned p = (unsigned)__cvta_generic_to_shared(s + t * stride);
  unsigned d[10];
#define LOAD(count, trans, regs) \\
  asm volatile("ldmatrix.sync.aligned.m8n8." count trans ".shared.b16 " regs
  LOAD("x4", "", "{%0,%1,%2,%3}, [%4];")
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p));
  LOAD("x4", ".trans", "{%0,%1,%2,%3}, [%4];")
      : "=r"(d[4]), "=r"(d[5]), "=r"(d[6]), "=r"(d[7]) : "r"(p));
  LOAD("x1", "", "{%0}, [%1];") : "=r"(d[8]) : "r"(p));
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(d[9]) : "r"(d[0]));
  for (int i = 0; i < 10; i++) c[32 * i + t] = d[i];
}
#endif
"""
)


@pytest.fixture(scope="module", params=["sm_70", "sm_75", "sm_80", "sm_90"])
def program(request: pytest.FixtureRequest) -> sim.Program:
    try:
        return sim.load(compile_source(SOURCE, arch=request.param, name="/kernprof/m.cu").image)
    except UnavailableError as error:
        pytest.skip(str(error))


LANE = np.arange(32)
GROUP, QUAD = LANE // 4, LANE % 4


def bits_of(values: Array, kind: str) -> Array:
    """Encode numbers as their element type, one integer each."""
    if kind == "f16":
        return values.astype(np.float16).view(np.uint16)
    if kind == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if kind == "tf32":
        return values.astype(np.float32).view(np.uint32)
    if kind == "f64":
        return values.astype(np.float64).view(np.uint64)
    return values.astype(np.int8).view(np.uint8)


PER_WORD = {"f16": 2, "bf16": 2, "tf32": 1, "s8": 4, "u8": 4, "f64": 1}


def fragment(matrix: Array, kind: str, *, left: bool) -> Array:
    """Registers of a matrix as the PTX ISA lays it out: (register, lane)."""
    per = PER_WORD[kind]
    encoded = bits_of(matrix, kind)
    if not left:
        encoded = encoded.T  # like the left one: rows are the columns that groups hold
    step = 4 * per
    words = []
    for block in range(encoded.shape[1] // step):
        for half in range(encoded.shape[0] // 8):
            row = GROUP + 8 * half
            parts = [encoded[row, step * block + per * QUAD + e] for e in range(per)]
            if kind == "f64":
                words.append(parts[0])
                continue
            word = sum(p.astype(np.uint32) << (32 // per * e) for e, p in enumerate(parts))
            words.append(word.astype(np.uint32))
    return np.array(words)


def spread(matrix: Array, kind: str) -> Array:
    """Registers of an accumulator."""
    words = []
    for half in range(matrix.shape[0] // 8):
        pair = [matrix[GROUP + 8 * half, 2 * QUAD + j] for j in (0, 1)]
        if kind == "f16":
            low, high = (p.astype(np.float16).view(np.uint16).astype(np.uint32) for p in pair)
            words.append(low | high << 16)
        else:
            dtype = {"f32": np.float32, "s32": np.int32, "f64": np.float64}[kind]
            unsigned = np.uint64 if kind == "f64" else np.uint32
            words += [p.astype(dtype).view(unsigned) for p in pair]
    return np.array(words)


def collected(words: Array, kind: str, rows: int) -> Array:
    """Undo spread."""
    matrix = np.zeros((rows, 8))
    for half in range(rows // 8):
        for j in (0, 1):
            if kind == "f16":
                values = (words[half] >> 16 * j & 0xFFFF).astype(np.uint16).view(np.float16)
            else:
                dtype = {"f32": np.float32, "s32": np.int32, "f64": np.float64}[kind]
                values = words[2 * half + j].view(dtype)
            matrix[GROUP + 8 * half, 2 * QUAD + j] = values
    return matrix


def rounded(values: Array, kind: str) -> Array:
    """Numbers that the element type holds exactly."""
    if kind == "f16":
        return values.astype(np.float16).astype(np.float64)
    if kind in ("bf16", "tf32"):
        keep = 16 if kind == "bf16" else 13
        cut = values.astype(np.float32).view(np.uint32) >> keep << keep
        return cut.view(np.float32).astype(np.float64)
    return values.astype(np.float64)


@pytest.mark.parametrize("name", list(FORMS))
def test_products_of_matrices(program: sim.Program, name: str) -> None:
    _, _, (_, _, _), rows, depth, kind, total = FORMS[name]
    if name not in program.kernels:
        pytest.skip("not on this architecture")
    rng = np.random.default_rng(len(name) + depth)
    if kind in ("s8", "u8"):
        low = 0 if kind == "u8" else -128
        a = rng.integers(low, low + 256, (rows, depth)).astype(np.float64)
        b = rng.integers(-128, 128, (depth, 8)).astype(np.float64)
        c = rng.integers(-(2**20), 2**20, (rows, 8)).astype(np.float64)
    else:
        a, b = (rounded(rng.standard_normal(s), kind) for s in ((rows, depth), (depth, 8)))
        c = rounded(rng.standard_normal((rows, 8)), "f16")
    left, right = fragment(a, kind, left=True), fragment(b, kind, left=False)
    words = spread(c, total)
    if kind == "tf32":
        left = left | rng.integers(0, 1 << 13, left.shape).astype(np.uint32)
    done = sim.run(program, name, 1, 32, [left, right, words])
    found, exact = collected(words, total, rows), a @ b + c
    if total == "s32":
        assert np.array_equal(found, exact)
    else:
        size = np.abs(a) @ np.abs(b) + np.abs(c)
        unit = {"f32": 2.0**-24, "f16": 2.0**-11, "f64": 2.0**-52 * depth}[total]
        assert (np.abs(found - exact) <= unit * size).all()
    products = [i for i in done.kernel.instructions if i.opcode in ("HMMA", "IMMA", "DMMA")]
    assert [int(done.executed[i.index]) for i in products] == [1] * len(products)
    assert bool(done.notes) == (total != "s32")


def volta(number: int, kind: str, columns: int) -> tuple[Array, Array, Array]:
    """Quad pair, row and column of each lane's element of a matrix (PTX ISA, mma.m8n8k4)."""
    quads, high = LANE // 4 % 4, 4 * (LANE // 16)
    if kind == "row" and columns == 4:  # a by rows
        return quads, LANE % 4 + high, np.full(32, number)
    if kind == "col" and columns == 4:  # a by columns
        return quads, number + high, LANE % 4
    if kind == "row":  # b by rows
        return quads, LANE % 4, number + high
    return quads, np.full(32, number), LANE % 4 + high


@pytest.mark.parametrize("by", ["rowrow", "rowcol", "colrow", "colcol"])
@pytest.mark.parametrize("total", ["f32", "f16"])
def test_products_of_volta(program: sim.Program, by: str, total: str) -> None:
    name = f"v{by}{total[1]}"
    if name not in program.kernels:
        pytest.skip("only Volta has these as instructions of their own")
    rng = np.random.default_rng(9)
    a = rounded(rng.standard_normal((4, 8, 4)), "f16")
    b = rounded(rng.standard_normal((4, 4, 8)), "f16")
    c = rounded(rng.standard_normal((4, 8, 8)), "f16")

    def packed(matrix: Array, how: str, columns: int) -> Array:
        parts = [bits_of(matrix[volta(i, how, columns)], "f16").astype(np.uint32) for i in range(4)]
        return np.array([parts[0] | parts[1] << 16, parts[2] | parts[3] << 16])

    quads, high = LANE // 4 % 4, 4 * (LANE // 16)
    places = []
    for i in range(8):
        if total == "f32":
            places.append((quads, (LANE & 1) + (i & 2) + high, (i & 4) + (LANE & 2) + (i & 1)))
        else:
            places.append((quads, LANE % 4 + high, np.full(32, i)))
    if total == "f32":
        words = np.array([c[p].astype(np.float32).view(np.uint32) for p in places])
    else:
        halves = [bits_of(c[p], "f16").astype(np.uint32) for p in places]
        words = np.array([halves[2 * i] | halves[2 * i + 1] << 16 for i in range(4)])
    sim.run(program, name, 1, 32, [packed(a, by[:3], 4), packed(b, by[3:], 8), words])
    exact = a @ b + c
    size = np.abs(a) @ np.abs(b) + np.abs(c)
    for i, place in enumerate(places):
        if total == "f32":
            found = words[i].view(np.float32)
        else:
            found = (words[i // 2] >> 16 * (i % 2) & 0xFFFF).astype(np.uint16).view(np.float16)
        unit = 2.0**-24 if total == "f32" else 2.0**-11
        assert (np.abs(found - exact[place]) <= unit * size[place]).all()


@pytest.mark.parametrize(("stride", "passes"), [(8, 1), (64, 8), (72, 1), (16, 2)])
def test_matrices_from_shared_memory(program: sim.Program, stride: int, passes: int) -> None:
    if "matrices" not in program.kernels:
        pytest.skip("ldmatrix comes with sm_75")
    a = np.random.default_rng(3).integers(0, 1 << 16, (4, 8, 8)).astype(np.uint16)
    c = np.zeros((10, 32), np.uint32)
    done = sim.run(program, "matrices", 1, 32, [a, c, stride], dynamic_shared=64 * stride)

    def words(matrix: Array) -> Array:
        pairs = matrix.astype(np.uint32)
        return (pairs[GROUP, 2 * QUAD] | pairs[GROUP, 2 * QUAD + 1] << 16).astype(np.uint32)

    for m in range(4):
        assert np.array_equal(c[m], words(a[m]))
        assert np.array_equal(c[4 + m], words(a[m].T))
    assert np.array_equal(c[8], words(a[0]))
    assert np.array_equal(c[9], words(a[0].T))
    loads = [i.index for i in done.kernel.instructions if i.opcode == "LDSM"]
    # Eight rows of 16 bytes are one pass without conflicts.
    assert done.wavefronts[loads].tolist() == [4 * passes, 4 * passes, passes]
    assert done.requests[loads].tolist() == [1, 1, 1]
