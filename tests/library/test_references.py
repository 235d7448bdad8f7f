"""The numpy references themselves: forward against plain loops, backward against the forward.

The emulated kernels are compared with these references, so an error shared by both would pass
there. A gradient of a linear map must be its adjoint, <dy, F x> = <F* dy, x>; that of any other map
must agree with finite differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernprof.errors import ShapeError
from kernprof.library import Pointer, entry
from kernprof.library.reference import references

Array = np.ndarray[Any, Any]
WINDOW = ("in_h", "in_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w")


def run(name: str, shape: Mapping[str, int], **arrays: Array) -> Mapping[str, Array]:
    return references()[name](shape, arrays)


def random(name: str, shape: Mapping[str, int], array: str, seed: int = 0) -> Array:
    pointer = next(p for p in entry(name).pointers if p.name == array)
    assert isinstance(pointer, Pointer)
    rng = np.random.default_rng([seed, *array.encode()])
    return rng.standard_normal(pointer.elements(shape)).astype("float32")


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    size = {name: draw(st.integers(1, 6)) for name in ("in_h", "in_w")}
    size |= {name: draw(st.integers(1, 4)) for name in ("kernel_h", "kernel_w")}
    size |= {name: draw(st.integers(1, 3)) for name in ("stride_h", "stride_w")}
    size |= {name: draw(st.integers(0, 2)) for name in ("pad_h", "pad_w")}
    for axis in "hw":
        size[f"in_{axis}"] = max(
            size[f"in_{axis}"], size[f"kernel_{axis}"] - 2 * size[f"pad_{axis}"]
        )
    return size


def conv_loops(s: Mapping[str, int], x: Array, w: Array, b: Array | None) -> Array:
    """Convolution with groups, one multiplication after the other."""
    inputs, outputs = s["in_channels"] // s["groups"], s["out_channels"] // s["groups"]
    out_h = (s["in_h"] + 2 * s["pad_h"] - s["kernel_h"]) // s["stride_h"] + 1
    out_w = (s["in_w"] + 2 * s["pad_w"] - s["kernel_w"]) // s["stride_w"] + 1
    images = x.reshape(s["batch"], s["in_channels"], s["in_h"], s["in_w"])
    filters = w.reshape(s["out_channels"], inputs, s["kernel_h"], s["kernel_w"])
    y = np.zeros((s["batch"], s["out_channels"], out_h, out_w))
    for n, o, r, c in np.ndindex(*y.shape):
        total = float(b[o]) if b is not None else 0.0
        for i, u, v in np.ndindex(inputs, s["kernel_h"], s["kernel_w"]):
            row, column = r * s["stride_h"] - s["pad_h"] + u, c * s["stride_w"] - s["pad_w"] + v
            if 0 <= row < s["in_h"] and 0 <= column < s["in_w"]:
                channel = o // outputs * inputs + i
                total += float(images[n, channel, row, column]) * float(filters[o, i, u, v])
        y[n, o, r, c] = total
    return y.ravel()


@settings(max_examples=25, deadline=None)
@given(windows(), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 1))
def test_convolution_and_depthwise(
    window: dict[str, int], groups: int, inputs: int, outputs: int, bias: int
) -> None:
    s = {"batch": 2, "in_channels": groups * inputs, "out_channels": groups * outputs}
    s |= window | {"groups": groups, "bias": bias}
    name = "conv_implicit_gemm"
    x, w, b = (random(name, s, array) for array in "xwb")
    want = conv_loops(s, x, w, b if bias else None)
    np.testing.assert_allclose(run(name, s, x=x, w=w, b=b)["y"], want, rtol=1e-5, atol=1e-5)

    d = {"batch": 2, "channels": 3} | window | {"bias": bias}
    x, w, b = (random("depthwise_naive", d, array) for array in "xwb")
    grouped = d | {"in_channels": 3, "out_channels": 3, "groups": 3}
    want = conv_loops(grouped, x, w, b if bias else None)
    for kernel in ("depthwise_naive", "depthwise_tiled", "depthwise_multi"):
        np.testing.assert_allclose(run(kernel, d, x=x, w=w, b=b)["y"], want, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(windows(), st.integers(1, 2))
def test_gradients_of_convolutions_are_adjoints(window: dict[str, int], groups: int) -> None:
    conv = {"batch": 2, "in_channels": 2 * groups, "out_channels": 3 * groups} | window
    depthwise = {"batch": 2, "channels": 3} | window | {"bias": 0}
    for forward, backward, s in (
        ("conv_implicit_gemm", "conv_implicit_gemm_backward", conv | {"groups": groups, "bias": 0}),
        ("depthwise_naive", "depthwise_backward", depthwise),
    ):
        x, w = random(forward, s, "x"), random(forward, s, "w")
        dy = random(forward, s, "y", seed=1)
        product = np.dot(dy, run(forward, s, x=x, w=w)["y"])
        dx = run(f"{backward}_data", s, dy=dy, w=w)["dx"]
        dw = run(f"{backward}_weight", s, x=x, dy=dy)["dw"]
        assert np.dot(dx, x) == pytest.approx(product, rel=1e-3, abs=1e-3)
        assert np.dot(dw, w) == pytest.approx(product, rel=1e-3, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(windows(), st.integers(1, 2), st.integers(1, 2))
def test_unrolling(window: dict[str, int], dilation_h: int, dilation_w: int) -> None:
    s = {"channels": 2} | window | {"dilation_h": dilation_h, "dilation_w": dilation_w}
    try:
        entry("im2col").check(s)
    except ShapeError:
        return  # the dilated window is larger than the image
    im = random("im2col", s, "im")
    got = run("im2col", s, im=im)["col"]
    image = im.reshape(2, s["in_h"], s["in_w"])
    reach = {a: s[f"dilation_{a}"] * (s[f"kernel_{a}"] - 1) + 1 for a in "hw"}
    out = {a: (s[f"in_{a}"] + 2 * s[f"pad_{a}"] - reach[a]) // s[f"stride_{a}"] + 1 for a in "hw"}
    want = np.zeros((2, s["kernel_h"], s["kernel_w"], out["h"], out["w"]))
    for c, u, v, r, q in np.ndindex(*want.shape):
        row = r * s["stride_h"] - s["pad_h"] + u * dilation_h
        column = q * s["stride_w"] - s["pad_w"] + v * dilation_w
        if 0 <= row < s["in_h"] and 0 <= column < s["in_w"]:
            want[c, u, v, r, q] = image[c, row, column]
    np.testing.assert_array_equal(got, want.ravel())
    col = random("col2im", s, "col")
    back = run("col2im", s, col=col)["im"]
    assert np.dot(back, im) == pytest.approx(np.dot(col, got), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("beta", [0, 1])
def test_products_are_column_major(beta: int) -> None:
    m, n = 5, 3
    s = {"m": m, "n": n, "beta": beta}
    A, short, long = (random("gemv2N", s, name) for name in "Axy")
    for kernel, x, y in (("gemv2N", short, long), ("gemv2T", long, short)):
        got = run(kernel, s, A=A, x=x, y=y)["y"]
        for at in range(len(y)):
            terms = (
                [A[at + j * m] * x[j] for j in range(n)]
                if kernel == "gemv2N"
                else [A[i + at * m] * x[i] for i in range(m)]
            )
            assert got[at] == pytest.approx(sum(map(float, terms)) + beta * y[at], rel=1e-5)
    C = random("gemmk1", s, "C")
    got = run("gemmk1", s, a=long, b=short, C=C)["C"]
    for i, j in np.ndindex(m, n):
        want = long[i] * short[j] + beta * C[i + j * m]
        assert got[i + j * m] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_matrix_product(trans_a: int, trans_b: int) -> None:
    m, n, k = 4, 3, 5
    s = {"m": m, "n": n, "k": k, "trans_a": trans_a, "trans_b": trans_b, "beta": 1}
    A, B, C = (random("sgemm_naive", s, name) for name in "ABC")
    got = run("sgemm_naive", s, A=A, B=B, C=C)["C"]
    for i, j in np.ndindex(m, n):
        want = float(C[i + j * m])
        for p in range(k):
            left = A[p + i * k] if trans_a else A[i + p * m]
            right = B[j + p * n] if trans_b else B[p + j * k]
            want += float(left) * float(right)
        assert got[i + j * m] == pytest.approx(want, rel=1e-5)


def test_pointwise_is_a_convolution_of_one_pixel() -> None:
    s = {"batch": 2, "in_channels": 3, "out_channels": 4, "pixels": 5, "bias": 1}
    one = dict.fromkeys(WINDOW, 1) | {"pad_h": 0, "pad_w": 0, "in_w": 5, "groups": 1}
    x, w, b = (random("pointwise_naive", s, array) for array in "xwb")
    want = conv_loops(s | one, x, w, b)
    for step in ("naive", "coalesced", "tiled", "register", "vector"):
        got = run(f"pointwise_{step}", s, x=x, w=w, b=b)["y"]
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    dy = random("pointwise_naive", s, "y", seed=1)
    product = np.dot(dy, run("pointwise_naive", s | {"bias": 0}, x=x, w=w, b=b)["y"])
    dx = run("pointwise_backward_data", s, dy=dy, w=w)["dx"]
    gradients = run("pointwise_backward_weight", s, x=x, dy=dy)
    assert np.dot(dx, x) == pytest.approx(product, rel=1e-4)
    assert np.dot(gradients["dw"], w) == pytest.approx(product, rel=1e-4)
    np.testing.assert_allclose(gradients["db"], dy.reshape(2, 4, 5).sum(axis=(0, 2)), rtol=1e-5)


POOL = dict(zip(WINDOW, (6, 5, 3, 2, 2, 2, 1, 0), strict=True)) | {
    "batch": 2, "channels": 2, "out_h": 4, "out_w": 3,
}  # fmt: skip


def test_pooling() -> None:
    """Caffe's rules: rounding up, padding counts in an average but an overhang doesn't."""
    s = POOL
    x = random("maxpool_forward", s, "x")
    best = run("maxpool_forward", s, x=x)
    average = run("avepool_forward", s, x=x)["y"]
    planes = x.reshape(4, s["in_h"], s["in_w"])
    places = np.ndindex(4, s["out_h"], s["out_w"])
    for at, (plane, row, column) in enumerate(places):
        top, left = row * s["stride_h"] - s["pad_h"], column * s["stride_w"] - s["pad_w"]
        values = {
            r * s["in_w"] + c: planes[plane, r, c]
            for r in range(top, top + s["kernel_h"])
            for c in range(left, left + s["kernel_w"])
            if 0 <= r < s["in_h"] and 0 <= c < s["in_w"]
        }
        rows = min(top + s["kernel_h"], s["in_h"] + s["pad_h"]) - top
        columns = min(left + s["kernel_w"], s["in_w"] + s["pad_w"]) - left
        assert best["y"][at] == max(values.values())
        assert best["mask"][at] == max(values, key=lambda key: values[key])
        want = sum(map(float, values.values())) / (rows * columns)
        assert average[at] == pytest.approx(want, rel=1e-5, abs=1e-6)
    dy = random("avepool_backward", s, "dy")
    dx = run("avepool_backward", s, dy=dy)["dx"]
    assert np.dot(dx, x) == pytest.approx(np.dot(dy, average), rel=1e-4)
    back = run("maxpool_backward", s, dy=dy, mask=best["mask"])["dx"]
    assert np.dot(back, x) == pytest.approx(np.dot(dy, best["y"]), rel=1e-4)


def finite_differences(forward: Any, x: Array, dy: Array, step: float = 1e-2) -> Array:
    """Gradient of <dy, forward(x)> by central differences."""
    found = np.empty(len(x))
    for at in range(len(x)):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        change = forward(up).astype(float) - forward(down).astype(float)
        found[at] = np.dot(dy, change) / (2 * step)
    return found


def test_softmax_and_its_gradient() -> None:
    s = {"outer": 2, "channels": 4, "inner": 3}
    x, dy = random("softmax_forward", s, "x"), random("softmax_backward", s, "dy")

    def forward(values: Array) -> Array:
        return run("softmax_forward", s, x=values)["y"]

    y = forward(x)
    np.testing.assert_allclose(y.reshape(2, 4, 3).sum(axis=1), 1.0, rtol=1e-6)
    stepwise = x
    m = run("softmax_max", s, x=x)["m"]
    stepwise = run("softmax_subtract", s, y=stepwise, m=m)["y"]
    stepwise = run("softmax_exp", s, y=stepwise)["y"]
    total = run("softmax_sum", s, y=stepwise)["s"]
    np.testing.assert_allclose(run("softmax_divide", s, y=stepwise, s=total)["y"], y, rtol=1e-5)
    dx = run("softmax_backward", s, dy=dy, y=y)["dx"]
    np.testing.assert_allclose(dx, finite_differences(forward, x, dy), atol=2e-4)


def test_batch_normalisation_gradient() -> None:
    s = {"batch": 2, "channels": 3, "pixels": 4}
    x, dy = random("bn_stats", s, "x"), random("bn_backward_apply", s, "dy")

    def forward(values: Array) -> Array:
        return run("bn_normalize", s, x=values, **run("bn_stats", s, x=values))["y"]

    y = forward(x)
    plane = y.reshape(2, 3, 4)
    np.testing.assert_allclose(plane.mean(axis=(0, 2)), 0.0, atol=1e-6)
    np.testing.assert_allclose(plane.std(axis=(0, 2)), 1.0, rtol=1e-4)
    sums = run("bn_backward_reduce", s, dy=dy, y=y)
    var = run("bn_stats", s, x=x)["var"]
    dx = run("bn_backward_apply", s, dy=dy, y=y, var=var, **sums)["dx"]
    np.testing.assert_allclose(dx, finite_differences(forward, x, dy), atol=2e-3)


def test_local_response_normalisation_gradient() -> None:
    s = {"batch": 1, "channels": 6, "in_h": 2, "in_w": 1, "local_size": 3}
    # Large values, or the normalisation would hardly be seen beside its constant term of 1.
    x, dy = 80 * random("lrn_forward", s, "x"), random("lrn_backward", s, "dy")

    def forward(values: Array) -> Array:
        return run("lrn_forward", s, x=values)["y"]

    made = run("lrn_forward", s, x=x)
    image = x.reshape(6, 2).astype(float)
    for c, p in np.ndindex(6, 2):
        around = [image[j, p] ** 2 for j in range(max(0, c - 1), min(6, c + 2))]
        scale = 1 + 1e-4 / 3 * sum(around)
        assert made["scale"][2 * c + p] == pytest.approx(scale, rel=1e-6)
        assert made["y"][2 * c + p] == pytest.approx(image[c, p] * scale**-0.75, rel=1e-5)
    dx = run("lrn_backward", s, x=x, dy=dy, **made)["dx"]
    np.testing.assert_allclose(
        dx, finite_differences(forward, x, dy, step=0.5), rtol=5e-3, atol=1e-3
    )
