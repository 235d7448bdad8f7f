"""Function names out of what profilers print."""

from __future__ import annotations

import time

import pytest

from kernprof.reports import names


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("red_sor(float*, float*, int)", "red_sor"),
        (
            "void at::native::fill<4, at::native::Functor<float>, std::array<char*, 1ul> >(int)",
            "fill",
        ),
        (
            "void (anonymous namespace)::softmax_warp_forward<float, (int)4>(float*)",
            "softmax_warp_forward",
        ),
        ("void scope::<unnamed>::saxpy(float)", "saxpy"),
        ("unnamed>::saxpyKernel(float, const float *)", "saxpyKernel"),
        ("void foo<(lambda at x.cu:3:5)>(int)", "foo"),
        ("void cutlass::Kernel<cutlass::gemm<(1>2)> >(P)", "Kernel"),
        ("std::enable_if<true, void>::type bar<int>(int)", "bar"),
        ("void A<B>::operator()<C>(int) const", "operator()"),
        ("void {lambda(int)#1}::run(int)", "run"),
        ("unsigned long foo(int)", "foo"),
        ("k [clone .isra.0]", "k"),
        ("void gen_sequenced<curandStateXORWOW, float, int, __operator_&__", "gen_sequenced"),
        ("mm$_omp_fn$0", "mm$_omp_fn$0"),
        ("triton_poi_fused_0", "triton_poi_fused_0"),
        ("void gemv2T_kernel_val<float, int=128, bool=0>(X, float)", "gemv2T_kernel_val"),
        ("(", "("),
        ("", ""),
    ],
)
def test_function_name(signature: str, expected: str) -> None:
    assert names.function_name(signature) == expected


def test_parse_keeps_the_whole_name_where_there_is_more() -> None:
    assert names.parse("plain", 100) == names.KernelName("plain")
    found = names.parse("void f<int>(float*)\x1b[31m", 100)
    assert (found.kernel, found.demangled) == ("f", "void f<int>(float*)[31m")


def test_a_symbol_is_demangled() -> None:
    found = names.parse("_Z6gemv2TIfLi4EEvPKT_PS0_", 200)
    assert found.kernel == "gemv2T"
    assert found.mangled == "_Z6gemv2TIfLi4EEvPKT_PS0_"
    assert found.demangled is not None
    assert found.demangled.startswith("void gemv2T<float, 4>(")


def test_a_symbol_that_would_unfold_without_bound_is_left_folded() -> None:
    # Each class holds its predecessor twice: 2^40 names when written out.
    symbol = "_ZN2at4fill" + "".join(f"I1{chr(65 + n % 26)}S{n}_S{n}_" for n in range(10)) + "Ev"
    started = time.monotonic()
    found = names.parse(symbol, 10_000)
    assert time.monotonic() - started < 1
    assert found == names.KernelName("fill", None, symbol)


@pytest.mark.parametrize("unit", ["a ", "<", "a<", "(", "::", "operator", "{", "_Z1"])
def test_hostile_names_take_linear_time(unit: str) -> None:
    started = time.monotonic()
    names.parse(unit * 30_000, 64 * 1024)
    assert time.monotonic() - started < 2
