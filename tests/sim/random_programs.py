"""Seeded generator of small C++ programs that mean the same to CUDA and to a host compiler.

A program is a function of two 32-bit words, two 64-bit words, two floats and two doubles that
returns 64 bits. Everything in it is defined behaviour in both languages: arithmetic wraps in
unsigned types, shift amounts are masked, divisors are neither zero nor minus one, loops end after
at most some dozen rounds, conversions to integers use CUDA's saturating functions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# Text of each operation by the type of its result; digits stand for operands, named by type.
# u: unsigned, w: 64 bits unsigned, f: float, d: double.
OPERATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "u": (
        ("uu", "({0} + {1})"),
        ("uu", "({0} - {1})"),
        ("uu", "({0} * {1})"),
        ("uuu", "({0} * {1} + {2})"),
        ("uuu", "(({0} & {1}) ^ ({2} | ~{0}))"),
        ("uuu", "(({0} | {1}) & ({1} ^ ~{2}))"),
        ("uuu", "(~({0} & {1}) | (~{2} ^ {0}))"),
        ("uuu", "({0} + {1} + {2})"),
        ("uuu", "({0} - {1} - {2})"),
        ("uu", "({0} << ({1} & 31u))"),
        ("uu", "({0} >> ({1} & 31u))"),
        ("uu", "(unsigned)((int){0} >> ({1} & 31u))"),
        ("uu", "({0} / ({1} | 1u))"),
        ("uu", "({0} % ({1} | 1u))"),
        ("uu", "(unsigned)((int){0} / (int)(({1} | 2u) & ~1u))"),
        ("uu", "(unsigned)((int){0} % (int)(({1} | 2u) & ~1u))"),
        ("u", "({0} / 10u)"),
        ("u", "(unsigned)((int){0} % 1000003)"),
        ("uuu", "__funnelshift_l({0}, {1}, {2})"),
        ("uuu", "__funnelshift_r({0}, {1}, {2})"),
        ("uuu", "__funnelshift_lc({0}, {1}, {2} & 63u)"),
        ("uuu", "__funnelshift_rc({0}, {1}, {2} & 63u)"),
        ("uu", "__byte_perm({0}, {1}, 0x2761u)"),
        ("uuu", "__byte_perm({0}, {1}, {2} & 0x7777u)"),
        ("u", "(unsigned)__popc({0})"),
        ("u", "(unsigned)__clz((int){0})"),
        ("u", "(unsigned)__ffs((int){0})"),
        ("u", "__brev({0})"),
        ("uu", "__umulhi({0}, {1})"),
        ("uu", "(unsigned)__mulhi((int){0}, (int){1})"),
        ("uuu", "__sad((int){0}, (int){1}, {2})"),
        ("uuu", "__usad({0}, {1}, {2})"),
        ("uuu", "__dp4a({0}, {1}, {2})"),
        ("uuu", "(unsigned)__dp4a((int){0}, (int){1}, (int){2})"),
        ("uu", "min({0}, {1})"),
        ("uu", "(unsigned)max((int){0}, (int){1})"),
        ("uuu", "min(max({0}, {1}), {2})"),
        ("u", "(unsigned)(int)(short){0}"),
        ("u", "(unsigned)(int)(signed char)({0} >> 8)"),
        ("u", "({0} >> 7 & 0x1ffu)"),
        ("uu", "({0} & 0xffffu | {1} << 16)"),
        ("w", "(unsigned){0}"),
        ("w", "(unsigned)({0} >> 32)"),
        ("w", "(unsigned)__popcll({0})"),
        ("w", "(unsigned)__clzll((i64){0})"),
        ("uuww", "({2} < {3} ? {0} : {1})"),
        ("uuww", "((i64){2} >= (i64){3} ? {0} : {1})"),
        ("uuww", "({2} == {3} ? {0} : {1} ^ {0})"),
        ("uuuu", "({0} < {1} ? {2} : {3})"),
        ("uuuu", "((int){0} <= (int){1} && {2} != {3} ? {0} : {3})"),
        ("uuff", "({2} < {3} ? {0} : {1})"),
        ("uuff", "(!({2} >= {3}) ? {0} : {1})"),
        ("uudd", "({2} > {3} || {2} != {2} ? {0} : {1})"),
        ("f", "bits({0})"),
        ("f", "(unsigned)__float2int_rz({0})"),
        ("f", "(unsigned)__float2int_rn({0})"),
        ("f", "(unsigned)__float2int_rd({0})"),
        ("f", "__float2uint_ru({0})"),
        ("d", "__double2uint_rz({0})"),
        ("d", "(unsigned)__double2int_ru({0})"),
    ),
    "w": (
        ("ww", "({0} + {1})"),
        ("ww", "({0} - {1})"),
        ("ww", "({0} * {1})"),
        ("www", "({0} + {1} - {2})"),
        ("www", "(({0} ^ {1}) & ~{2})"),
        ("uu", "((u64){0} << 32 | {1})"),
        ("uu", "((u64){0} * {1})"),
        ("uu", "(u64)((i64)(int){0} * (int){1})"),
        ("uuw", "((u64){0} * {1} + {2})"),
        ("uuw", "(u64)((i64)(int){0} * (int){1} + (i64)({2} >> 2))"),
        ("wu", "({0} << ({1} & 63u))"),
        ("wu", "({0} >> ({1} & 63u))"),
        ("wu", "(u64)((i64){0} >> ({1} & 63u))"),
        ("w", "({0} << 13 | {0} >> 51)"),
        ("ww", "({0} / ({1} | 1ull))"),
        ("ww", "({0} % ({1} >> 40 | 3ull))"),
        ("ww", "(u64)((i64){0} / (i64)(({1} | 2ull) & ~1ull))"),
        ("u", "(u64)(i64)(int){0}"),
        ("u", "(u64){0}"),
        ("ww", "__umul64hi({0}, {1})"),
        ("w", "__brevll({0})"),
        ("ww", "(u64)min((i64){0}, (i64){1})"),
        ("ww", "max({0}, {1})"),
        ("wwww", "({0} < {1} ? {2} : {3})"),
        ("wwuu", "((int){2} < (int){3} ? {0} : {1})"),
        ("d", "bits({0})"),
        ("d", "(u64)__double2ll_rz({0})"),
        ("d", "__double2ull_rd({0})"),
        ("f", "(u64)__float2ll_rn({0})"),
    ),
    "f": (
        ("ff", "({0} + {1})"),
        ("ff", "({0} - {1})"),
        ("ff", "({0} * {1})"),
        ("ff", "({0} / {1})"),
        ("fff", "fmaf({0}, {1}, {2})"),
        ("fff", "fmaf(-{0}, {1}, -{2})"),
        ("f", "sqrtf({0})"),
        ("f", "fabsf({0})"),
        ("f", "floorf({0})"),
        ("f", "ceilf({0})"),
        ("f", "truncf({0})"),
        ("f", "rintf({0})"),
        ("f", "__saturatef({0})"),
        ("ff", "fminf({0}, {1})"),
        ("ff", "fmaxf({0}, {1})"),
        ("ff", "copysignf({0}, {1})"),
        ("ff", "__fadd_rz({0}, {1})"),
        ("ff", "__fadd_ru({0}, {1})"),
        ("ff", "__fmul_rd({0}, {1})"),
        ("ff", "__fdiv_rz({0}, {1})"),
        ("ff", "__fdiv_ru({0}, {1})"),
        ("fff", "__fmaf_rd({0}, {1}, {2})"),
        ("ffff", "({0} <= {1} ? {2} : {3})"),
        ("u", "(float){0}"),
        ("u", "(float)(int){0}"),
        ("u", "__uint2float_rz({0})"),
        ("w", "(float){0}"),
        ("w", "(float)(i64){0}"),
        ("w", "__ull2float_ru(({0} ^ w1))"),
        ("w", "__ll2float_rd((i64)({0} ^ w1))"),
        ("d", "(float){0}"),
        ("d", "__double2float_rz({0})"),
        ("u", "__uint_as_float({0})"),
    ),
    "d": (
        ("dd", "({0} + {1})"),
        ("dd", "({0} - {1})"),
        ("dd", "({0} * {1})"),
        ("dd", "({0} / {1})"),
        ("ddd", "fma({0}, {1}, {2})"),
        ("d", "sqrt({0})"),
        ("d", "fabs({0})"),
        ("d", "floor({0})"),
        ("d", "ceil({0})"),
        ("d", "trunc({0})"),
        ("d", "rint({0})"),
        ("dd", "fmin({0}, {1})"),
        ("dd", "fmax({0}, {1})"),
        ("dd", "__dadd_ru({0}, {1})"),
        ("dd", "__dmul_rz({0}, {1})"),
        ("ddd", "__fma_rd({0}, {1}, {2})"),
        ("dddd", "({0} < {1} ? {2} : {3})"),
        ("f", "(double){0}"),
        ("u", "(double)(int){0}"),
        ("u", "(double){0}"),
        ("w", "(double){0}"),
        ("w", "(double)(i64){0}"),
        ("w", "__ll2double_rz((i64)({0} ^ w1))"),
    ),
}
CONDITIONS: tuple[tuple[str, str], ...] = (
    ("uu", "{0} < {1}"),
    ("uu", "(int){0} > (int){1}"),
    ("u", "({0} & 5u) == 1u"),
    ("ww", "{0} <= {1}"),
    ("ww", "(i64){0} < (i64){1}"),
    ("ff", "{0} < {1}"),
    ("ff", "!({0} <= {1})"),
    ("dd", "{0} >= {1}"),
    ("uuu", "({0} < {1}) != (({2} & 3u) == 0u)"),
)
TYPES = {"u": "unsigned", "w": "u64", "f": "float", "d": "double"}
CONSTANTS = {
    "u": ("0u", "1u", "31u", "0x80000000u", "0xffffffffu", "0x7fffffffu", "65537u"),
    "w": ("0ull", "1ull", "0x8000000000000000ull", "0xffffffffffffffffull", "0x100000000ull"),
    "f": ("0.f", "-0.f", "1.f", "0.5f", "-2.5f", "1e-40f", "3e38f", "16777215.f"),
    "d": ("0.0", "1.0", "-0.5", "1e-310", "1e300", "4503599627370497.5"),
}
PRELUDE = """
HD unsigned bits(float v) { return v != v ? 0x7fffffffu : __float_as_uint(v); }
HD u64 bits(double v) { return v != v ? 0x7ff8000000000000ull : (u64)__double_as_longlong(v); }
"""
SIGNATURE = "unsigned u0, unsigned u1, u64 w0, u64 w1, float f0, float f1, double d0, double d1"
ARGUMENTS = "U[t], U[n + t], W[t], W[n + t], F[t], F[n + t], D[t], D[n + t]"


@dataclass
class Generator:
    """Makes programs; the same seed makes the same ones."""

    random: random.Random
    loops: int = field(default=0)

    def expression(self, kind: str, depth: int) -> str:
        """One expression of a type."""
        if depth == 0 or self.random.random() < 0.12:
            if self.random.random() < 0.2:
                return self.random.choice(CONSTANTS[kind])
            return kind + self.random.choice("01")
        operands, text = self.random.choice(OPERATIONS[kind])
        return text.format(*(self.expression(o, depth - 1) for o in operands))

    def condition(self) -> str:
        """One condition."""
        operands, text = self.random.choice(CONDITIONS)
        return text.format(*(self.expression(o, 1) for o in operands))

    def assignment(self, depth: int = 2) -> str:
        """One assignment to a variable."""
        kind = self.random.choice("uuuwwfd")
        return f"{kind}{self.random.choice('01')} = {self.expression(kind, depth)};"

    def statements(self, depth: int, in_loop: bool = False) -> str:
        """Some statements: assignments, branches, loops, a switch, early exits."""
        return " ".join(self.statement(depth, in_loop) for _ in range(self.random.randint(1, 3)))

    def statement(self, depth: int, in_loop: bool) -> str:
        """One statement."""
        choice = self.random.random()
        if depth == 0 or choice < 0.4:
            return self.assignment()
        inner = depth - 1
        if choice < 0.6:
            text = f"if ({self.condition()}) {{ {self.statements(inner, in_loop)} }}"
            if self.random.random() < 0.6:
                text += f" else {{ {self.statements(inner, in_loop)} }}"
            return text
        if choice < 0.75:
            self.loops += 1
            name = f"i{self.loops}"
            bound = f"(u{self.random.choice('01')} & {self.random.choice((3, 7))}u)"
            body = self.statements(inner, in_loop=True)
            return f"for (unsigned {name} = 0, e = {bound}; {name} < e; ++{name}) {{ {body} }}"
        if choice < 0.87:
            count = self.random.randint(3, 7)
            cases = " ".join(
                f"case {k}: {self.assignment(1)}{' break;' if self.random.random() < 0.8 else ''}"
                for k in range(count)
            )
            return f"switch (u0 & 7u) {{ {cases} default: {self.assignment(1)} }}"
        if choice < 0.94:
            return f"if ({self.condition()}) return w0 + u1;"
        if in_loop:
            return f"if ({self.condition()}) {self.random.choice(('break', 'continue'))};"
        return self.assignment(3)

    def function(self, name: str, *, control: bool) -> str:
        """A program."""
        if control:
            body = " ".join(self.statement(3, in_loop=False) for _ in range(4))
        else:
            kind = self.random.choice("uwfd")
            text = self.expression(kind, 4)
            body = f"return {'bits(' + text + ')' if kind in 'fd' else text};"
        tail = "return w0 ^ w1 * 3 ^ (u64)u0 << 9 ^ u1 ^ bits(f0) ^ bits(f1) ^ bits(d0) ^ bits(d1);"
        return f"HD u64 {name}({SIGNATURE}) {{ {body} {tail if control else ''} }}"


def programs(seed: int, expressions: int, controls: int) -> list[str]:
    """Text of that many programs, functions named ``p0``, ``p1``, ..."""
    made = Generator(random.Random(seed))
    flags = [False] * expressions + [True] * controls
    return [made.function(f"p{k}", control=flag) for k, flag in enumerate(flags)]


def device_source(functions: list[str]) -> str:
    """One kernel that runs all programs for each thread."""
    calls = "\n".join(f"  O[{k}ull * n + t] = p{k}({ARGUMENTS});" for k in range(len(functions)))
    return (
        "typedef unsigned long long u64; typedef long long i64;\n"
        "#define HD static __device__ __forceinline__\n"
        + PRELUDE
        + "\n".join(functions)
        + '\nextern "C" __global__ void all(u64* O, const unsigned* U, const u64* W, '
        "const float* F, const double* D, int n) {\n"
        "  int t = blockIdx.x * blockDim.x + threadIdx.x;\n  if (t >= n) return;\n"
        + calls
        + "\n}\n"
    )


def host_source(functions: list[str]) -> str:
    """The same programs as a C++ file with one exported function."""
    calls = "\n".join(f"    O[{k}ull * n + t] = p{k}({ARGUMENTS});" for k in range(len(functions)))
    return (
        '#include "host_shim.h"\n'
        + PRELUDE
        + "\n".join(functions)
        + '\nextern "C" void all(u64* O, const unsigned* U, const u64* W, '
        "const float* F, const double* D, int n) {\n  for (int t = 0; t < n; ++t) {\n"
        + calls
        + "\n  }\n}\n"
    )
