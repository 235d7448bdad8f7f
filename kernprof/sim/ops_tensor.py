"""Tensor cores: HMMA, IMMA, DMMA, and the instructions that lay out their operands (LDSM, MOVM).

Which lane holds which element is that of the PTX ISA's ``mma`` (m16n8k16, m16n8k8, m8n8k4, ...),
whose registers the machine instructions take in the same order. Integers are exact. The hardware
does not round after each product: it aligns the products of an instruction (or of parts of it) and
the accumulator to the largest, cuts bits off and adds (Fasi et al., "Numerical behavior of NVIDIA
tensor cores", PeerJ CS 7:e330, 2021). How many bits it keeps differs between architectures. Here
products and sums are made in double precision, in the order of k, and rounded once, to nearest;
the hardware's results differ by about one unit in the last place of the largest addend for each
addition. Launches that execute such instructions say so in their notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from llvmlite import ir

from kernprof.sim.access import access
from kernprof.sim.irkit import F32, F64, I32, I64, PTR, Kit, Value
from kernprof.sim.layout import WARP_SIZE
from kernprof.sim.memory import LANES32, SHARED
from kernprof.sim.operands import Register
from kernprof.sim.ops_half import BRAIN, HALF, Format, narrow_double, widen
from kernprof.sim.ops_integer import Semantics
from kernprof.sim.ops_memory import address32, data_slot
from kernprof.sim.refusal import Refused
from kernprof.sim.site import NAN32, NAN64, Site

_LANES = range(WARP_SIZE)
_ROW_BYTES = 4 * WARP_SIZE
_MATRIX_ROWS = 8

Place = tuple[int, int]
"""Number of an element among those of a lane, and the lane."""
_Body = Callable[[Sequence[Value]], Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Shape:
    """Product of two matrices by a warp: sizes and how elements lie in registers.

    Parameters
    ----------
    rows, depth
        Size of the left matrix; the right one has 8 columns.
    packed
        Elements of the left and right matrix in a 32-bit register; 0 for doubles, which take two.
    """

    rows: int
    depth: int
    packed: int

    @property
    def step(self) -> int:
        """Columns of the left matrix that a group of four lanes holds in one register each."""
        return 4 * max(1, self.packed)

    @property
    def halves(self) -> int:
        """Groups of 8 rows."""
        return self.rows // _MATRIX_ROWS

    @property
    def left_count(self) -> int:
        """Elements of the left matrix a lane holds."""
        return self.rows * self.depth // WARP_SIZE

    @property
    def right_count(self) -> int:
        """Elements of the right matrix a lane holds."""
        return self.depth * _MATRIX_ROWS // WARP_SIZE

    def left(self, half: int, k: int) -> list[Place]:
        """Where each lane finds the elements of its row (in one group of 8 rows) in column k."""
        block, inside = divmod(k, self.step)
        per = max(1, self.packed)
        element = (block * self.halves + half) * per + inside % per
        return [(element, lane & ~3 | inside // per) for lane in _LANES]

    def right(self, j: int, k: int) -> list[Place]:
        """Where each lane finds row k of its j-th column."""
        block, inside = divmod(k, self.step)
        per = max(1, self.packed)
        column = [2 * (lane & 3) + j for lane in _LANES]
        return [(block * per + inside % per, 4 * c + inside // per) for c in column]


def take(values: Sequence[Value], places: Sequence[Place]) -> Value:
    """Gather one element for each lane from registers of any lanes."""
    lanes = [lane for _, lane in places]
    found: Value | None = None
    for element in sorted({element for element, _ in places}):
        moved = values[element].shuffle(lanes)
        if found is None:
            found = moved
            continue
        here = moved.kit.sequence([int(e == element) for e, _ in places]).ne(0)
        found = here.where(moved, found)
    assert found is not None
    return found


def _registers(site: Site, count: int) -> tuple[list[Value], str]:
    """Read consecutive registers of the next operand, and its layout mark."""
    operand = site.next()
    if not isinstance(operand, Register) or operand.uniform or operand.negate or operand.absolute:
        raise Refused(f"operand {operand} is no plain register")
    marks = operand.modifiers
    if marks not in ((), ("ROW",), ("COL",)):
        raise Refused(f"operand {operand} has an unknown layout")
    words = [site.register(operand, word) for word in range(count)]
    return words, marks[0] if marks else ""


def _plain(site: Site, count: int) -> list[Value]:
    words, mark = _registers(site, count)
    if mark:
        raise Refused(f"a layout {mark} where none is expected")
    return words


def _halves(words: Sequence[Value], kind: Format) -> list[Value]:
    """Singles of packed 16-bit floats."""
    return [widen(word >> shift & 0xFFFF, kind) for word in words for shift in (0, 16)]


def _doubles(words: Sequence[Value]) -> list[Value]:
    pairs = zip(words[::2], words[1::2], strict=True)
    return [(low.zext(I64) | high.zext(I64) << 32).as_float(F64) for low, high in pairs]


def _bytes(words: Sequence[Value], *, signed: bool) -> list[Value]:
    found = []
    for word in words:
        for shift in (24, 16, 8, 0):
            moved = word << shift
            found.append(moved.sar(24) if signed else moved >> 24)
    return found


def _in_function(
    site: Site, name: str, words: Sequence[Value], results: int, body: _Body
) -> list[Value]:
    """Run a computation on 32-bit words in a function of its own, made once for a kernel."""
    made, fresh = site.helpers.function(name, ir.VoidType(), [PTR, PTR])
    if fresh:
        kit = Kit(site.helpers.module, made)
        source, target = (Value(kit, a) for a in made.args)
        given = [kit.load(LANES32, source, _ROW_BYTES * n, align=64) for n in range(len(words))]
        for number, value in enumerate(body(given)):
            kit.store(value, target, _ROW_BYTES * number, align=64)
        kit.ir.ret_void()
    kit = site.kit
    source = kit.slot(ir.ArrayType(LANES32, len(words)), align=64)
    target = kit.slot(ir.ArrayType(LANES32, results), align=64)
    for number, word in enumerate(words):
        kit.store(word, source, _ROW_BYTES * number, align=64)
    site.helpers.call(kit, made, source, target)
    return [kit.load(LANES32, target, _ROW_BYTES * n, align=64) for n in range(results)]


def _dot(
    shape: Shape, left: Sequence[Value], right: Sequence[Value], start: Value, half: int, j: int
) -> Value:
    """Sum over k in double precision (or in integers)."""
    total = start
    for k in range(shape.depth):
        a, b = take(left, shape.left(half, k)), take(right, shape.right(j, k))
        if start.element == I32:
            total = total + a * b
        else:
            total = start.kit.intrinsic("fma", a.fpext(F64), b.fpext(F64), total)
    return total


def _single_bits(value: Value) -> Value:
    """Bits of doubles rounded to singles; NaN is canonical."""
    near = value.fptrunc(F32)
    nan = value.kit.const(LANES32, NAN32)
    return near.fcmp("uno", near).where(nan, near.as_float(I32))


def _accumulate(
    shape: Shape,
    left: Sequence[Value],
    right: Sequence[Value],
    words: Sequence[Value],
    kind: str,
) -> list[Value]:
    """Products plus the accumulators in ``words``; results in the same registers."""
    results = []
    if kind in ("F32", "S32"):
        for number, word in enumerate(words):
            start = word if kind == "S32" else word.as_float(F32).fpext(F64)
            total = _dot(shape, left, right, start, number // 2, number % 2)
            results.append(total if kind == "S32" else _single_bits(total))
    elif kind == "F16":
        for half, word in enumerate(words):
            pair = [
                narrow_double(_dot(shape, left, right, c.fpext(F64), half, j), HALF)
                for j, c in enumerate(_halves([word], HALF))
            ]
            results.append(pair[0] | pair[1] << 16)
    else:
        for j, start in enumerate(_doubles(words)):
            total = _dot(shape, left, right, start, 0, j)
            nan = total.kit.const(ir.VectorType(I64, WARP_SIZE), NAN64)
            bits = total.fcmp("uno", total).where(nan, total.as_float(I64))
            results += [bits.trunc(I32), (bits >> 32).trunc(I32)]
    return results


def _multiply(
    site: Site,
    name: str,
    shape: Shape,
    words: tuple[list[Value], list[Value], list[Value]],
    read: tuple[Callable[[Sequence[Value]], list[Value]], Callable[[Sequence[Value]], list[Value]]],
    kind: str,
    target: Register,
) -> None:
    left, right, start = words
    first, second = len(left), len(left) + len(right)

    def body(given: Sequence[Value]) -> list[Value]:
        a, b = read[0](given[:first]), read[1](given[first:second])
        return _accumulate(shape, a, b, given[second:], kind)

    for number, value in enumerate(
        _in_function(site, name, [*left, *right, *start], len(start), body)
    ):
        site.write(target, value, number)


_HALF_SHAPES = MappingProxyType({"1688": Shape(16, 8, 2), "16816": Shape(16, 16, 2)})
_TF32_SHAPES = MappingProxyType({"1684": Shape(16, 4, 1), "1688": Shape(16, 8, 1)})
_INTEGER_SHAPES = MappingProxyType(
    {"8816": Shape(8, 16, 4), "16816": Shape(16, 16, 4), "16832": Shape(16, 32, 4)}
)


def half_product(site: Site) -> None:
    """HMMA: halves, bfloat16 or tf32, added up in singles or halves."""
    mods = site.modifiers
    if mods.take("884"):
        _volta_product(site)
        return
    size = mods.one_of(("1684", "1688", "16816"))
    kind = mods.one_of(("F32", "F16"))
    tf32, brain = mods.take("TF32"), mods.take("BF16")
    if (tf32 or brain) and kind != "F32":
        raise Refused("this form of HMMA is not known")
    shapes = _TF32_SHAPES if tf32 else _HALF_SHAPES
    if size not in shapes:
        raise Refused(f"HMMA.{size} of this element type is not known")
    shape = shapes[size]
    target = site.next_register()
    left = _plain(site, shape.left_count // shape.packed)
    right = _plain(site, shape.right_count // shape.packed)
    start = _plain(site, 4 if kind == "F32" else 2)

    def read(words: Sequence[Value]) -> list[Value]:
        if tf32:
            # The lower 13 bits of a word are not part of the number.
            return [(word & ~0x1FFF).as_float(F32) for word in words]
        return _halves(words, BRAIN if brain else HALF)

    element = "tf32" if tf32 else "bf16" if brain else "f16"
    name = f"hmma_{size}_{element}_{kind.lower()}"
    _multiply(site, name, shape, (left, right, start), (read, read), kind, target)


def integer_product(site: Site) -> None:
    """IMMA: bytes, added up in 32 bits that wrap."""
    mods = site.modifiers
    size = mods.one_of(tuple(_INTEGER_SHAPES))
    kinds = [m for m in mods.left if m in ("S8", "U8")]
    if len(kinds) != 2:
        raise Refused("IMMA of elements other than bytes")
    mods.drop(("S8", "U8"))
    shape = _INTEGER_SHAPES[size]
    target = site.next_register()
    left, row = _registers(site, shape.left_count // 4)
    right, column = _registers(site, shape.right_count // 4)
    if (row, column) != ("ROW", "COL"):
        raise Refused("this layout of IMMA is not known")
    start = _plain(site, 2 * shape.halves)

    def reader(kind: str) -> Callable[[Sequence[Value]], list[Value]]:
        return lambda words: _bytes(words, signed=kind == "S8")

    name = f"imma_{size}_{kinds[0]}_{kinds[1]}".lower()
    readers = (reader(kinds[0]), reader(kinds[1]))
    _multiply(site, name, shape, (left, right, start), readers, "S32", target)


def double_product(site: Site) -> None:
    """DMMA: doubles, as a chain of fused multiply-adds in the order of k."""
    site.modifiers.one_of(("8x8x4", "884"))
    target = site.next_register()
    left, right, start = _plain(site, 2), _plain(site, 2), _plain(site, 4)
    readers = (_doubles, _doubles)
    _multiply(site, "dmma_884", Shape(8, 4, 0), (left, right, start), readers, "F64", target)


# Volta: four products of 8x8x4, each by a quad and the quad 16 lanes on (PTX ISA, mma.m8n8k4).


def _volta_left(rows: Sequence[int], k: int, *, by_row: bool) -> list[Place]:
    """Where lanes find column k of the rows that they want."""
    quads = [4 * (lane // 4 % 4) for lane in _LANES]
    pairs = zip(rows, quads, strict=True)
    if by_row:
        return [(k, quad + r % 4 + 16 * (r // 4)) for r, quad in pairs]
    return [(r % 4, quad + k + 16 * (r // 4)) for r, quad in pairs]


def _volta_right(columns: Sequence[int], k: int, *, by_row: bool) -> list[Place]:
    quads = [4 * (lane // 4 % 4) for lane in _LANES]
    pairs = zip(columns, quads, strict=True)
    if by_row:
        return [(c % 4, quad + k + 16 * (c // 4)) for c, quad in pairs]
    return [(k, quad + c % 4 + 16 * (c // 4)) for c, quad in pairs]


def _volta_places(kind: str, number: int) -> tuple[list[int], list[int]]:
    """Row and column of each lane's accumulator of this number (0 to 7)."""
    high = [4 * (lane // 16) for lane in _LANES]
    if kind == "F16":
        return [lane % 4 + high[lane] for lane in _LANES], [number] * WARP_SIZE
    rows = [(lane & 1) + (number & 2) + high[lane] for lane in _LANES]
    return rows, [(number & 4) + (lane & 2) + (number & 1) for lane in _LANES]


def _volta_product(site: Site) -> None:
    """HMMA.884: each step makes two singles, or four halves, of the eight of a lane."""
    mods = site.modifiers
    kinds = [m for m in mods.left if m in ("F32", "F16")]
    if kinds not in (["F32", "F32"], ["F16", "F16"]):
        raise Refused("HMMA.884 with different types of accumulator and result")
    kind = kinds[0]
    mods.drop(("F32", "F16"))
    steps = 4 if kind == "F32" else 2
    step = int(mods.one_of([f"STEP{n}" for n in range(steps)])[-1])
    target = site.next_register()
    left, first = _registers(site, 2)
    right, second = _registers(site, 2)
    start = _plain(site, 2)
    if not first or not second:
        raise Refused("HMMA.884 without layouts")

    def body(given: Sequence[Value]) -> list[Value]:
        a, b = _halves(given[:2], HALF), _halves(given[2:4], HALF)
        if kind == "F32":
            accumulators = [word.as_float(F32) for word in given[4:]]
        else:
            accumulators = _halves(given[4:], HALF)
        totals = []
        for number, value in enumerate(accumulators):
            rows, columns = _volta_places(kind, len(accumulators) * step + number)
            total = value.fpext(F64)
            for k in range(4):
                one = take(a, _volta_left(rows, k, by_row=first == "ROW")).fpext(F64)
                two = take(b, _volta_right(columns, k, by_row=second == "ROW")).fpext(F64)
                total = total.kit.intrinsic("fma", one, two, total)
            totals.append(total)
        if kind == "F32":
            return [_single_bits(total) for total in totals]
        bits = [narrow_double(total, HALF) for total in totals]
        return [bits[0] | bits[1] << 16, bits[2] | bits[3] << 16]

    name = f"hmma_884_{kind}_{step}_{first}_{second}".lower()
    for number, value in enumerate(_in_function(site, name, [*left, *right, *start], 2, body)):
        site.write(target, value, number)


# Operands -----------------------------------------------------------------------------------------


def load_matrix(site: Site) -> None:
    """LDSM: 8x8 matrices of 16-bit elements; lane 8m + r has the address of row r of matrix m."""
    mods = site.modifiers
    if not mods.take("16"):
        raise Refused("this form of LDSM is not known")
    transposed = mods.one_of(("M88", "MT88")) == "MT88"
    count = int(mods.one_of(("2", "4"), "1"))
    target = site.next_register()
    address = address32(site, site.next_address())
    kit = site.kit
    data = data_slot(site)
    for word in range(4):
        kit.store(kit.const(LANES32, 0), data, _ROW_BYTES * word, align=64)
    rows = site.on & ((1 << _MATRIX_ROWS * count) - 1)
    helper = access(site.helpers, SHARED, 16, store=False, rows=True)
    index = kit.i32(site.instruction.index)
    site.helpers.call(kit, helper, site.context, index, address, rows, data)
    words = [kit.load(LANES32, data, _ROW_BYTES * word, align=64) for word in range(4)]
    for matrix in range(count):
        first = _MATRIX_ROWS * matrix
        if transposed:
            found = _transpose(words, first)
        else:
            found = take(words, [(lane % 4, first + lane // 4) for lane in _LANES])
        site.write(target, found, matrix)


def _transpose(words: Sequence[Value], first: int) -> Value:
    """Return each lane's two elements of a transposed 8x8 matrix, in one word.

    Row r of the matrix is in the four words of lane ``first`` + r; of one word a lane, a row is in
    four lanes.
    """
    kit = words[0].kit
    parts = []
    for element in (0, 1):
        # Row lane / 4 and column 2 (lane % 4) + element: the other way round in the source.
        wanted = [(2 * (lane % 4) + element, lane // 4) for lane in _LANES]
        if len(words) == 1:
            places = [(0, 4 * row + column // 2) for row, column in wanted]
        else:
            places = [(column // 2, first + row) for row, column in wanted]
        word = take(words, places)
        shift = kit.sequence([16 * (column % 2) for _, column in wanted])
        parts.append(word >> shift & 0xFFFF)
    return parts[0] | parts[1] << 16


def transpose_matrix(site: Site) -> None:
    """MOVM: an 8x8 matrix of 16-bit elements in the registers of the warp, transposed."""
    mods = site.modifiers
    if not (mods.take("16") and mods.take("MT88")):
        raise Refused("this form of MOVM is not known")
    target = site.next_register()
    source = site.int32(site.next_register())
    site.write(target, _transpose([source], 0))


TENSOR: Mapping[str, Semantics] = MappingProxyType(
    {
        "HMMA": half_product,
        "IMMA": integer_product,
        "DMMA": double_product,
        "LDSM": load_matrix,
        "MOVM": transpose_matrix,
    }
)
