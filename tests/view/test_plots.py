from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from kernprof.text import printable
from kernprof.view import plots

pytest.importorskip("matplotlib")


def texts(image: bytes) -> list[str]:
    root = ElementTree.fromstring(image)
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]


def test_a_roofline_names_its_ceilings_and_points() -> None:
    roof = plots.Roof("P100", 10.6e12, 732e9)
    points = [plots.RooflinePoint("#0 gemv", 0.5, 3e10), plots.RooflinePoint("#1 gemm", 40.0, 4e12)]
    shown = texts(plots.image(plots.roofline("Roofline", [roof], points), "svg"))
    for label in (
        "10.6 TFLOP/s FP32",
        "732 GB/s DRAM",
        "without fused multiply-adds",
        "#0 gemv",
        "#1 gemm",
    ):
        assert label in shown


def test_two_gpus_are_told_apart_by_name() -> None:
    roofs = [plots.Roof("one", 1e13, 5e11), plots.Roof("two", 7e13, 1e12)]
    figure = plots.roofline("Roofline", roofs, [plots.RooflinePoint("k", 3.0, 1e11)])
    shown = texts(plots.image(figure, "svg"))
    assert "one: 10 TFLOP/s FP32" in shown
    assert "two: 1 TB/s DRAM" in shown


def test_names_do_not_lie_over_each_other() -> None:
    # Thirty points in one place: names that find no room are left out.
    points = [plots.RooflinePoint(f"kernel {i}", 3.0 + i / 100, 1e11 + i * 1e9) for i in range(30)]
    figure = plots.roofline("Roofline", [plots.Roof("g", 1e13, 5e11)], points)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [
        text.get_window_extent() for text in axes.texts if text.get_text().startswith("kernel")
    ]
    assert 2 <= len(boxes) < 30
    for one, other in itertools.combinations(boxes, 2):
        overlap_x = min(one.x1, other.x1) - max(one.x0, other.x0)
        overlap_y = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(overlap_x, overlap_y) <= 2.0


def test_names_of_a_drawing_are_text() -> None:
    evil = "a\x1b[31m\x07\x9b\u202e\nb$x$"
    for figure in (
        plots.stacked_bars("", [evil], {f"1{evil}": [1.0], f"2{evil}": [2.0]}, "%"),
        plots.grouped_bars("", [evil], {evil: [1.0]}, "%"),
        plots.roofline("", [plots.Roof("GPU", 1e12, 1e11)], [plots.RooflinePoint(evil, 1.0, 1e9)]),
    ):
        drawing = plots.image(figure, "svg").decode()
        assert printable(drawing) == drawing
        assert "a[31m b$x$" in "".join(ElementTree.fromstring(drawing).itertext())
