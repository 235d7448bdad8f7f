from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernprof import main

ROOT = Path(__file__).resolve().parents[2]
TABLE_V = ROOT / "traces" / "paper-table5-p100.nvprof.csv"

CSV = """"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","k1","gpu__time_duration.sum","nsecond","1000"
"0","k1","dram__bytes_read.sum","byte","100000"
"0","k1","dram__bytes_write.sum","byte","100000"
"0","k1","smsp__sass_thread_inst_executed_op_fadd_pred_on.sum","inst","0"
"0","k1","smsp__sass_thread_inst_executed_op_fmul_pred_on.sum","inst","0"
"0","k1","smsp__sass_thread_inst_executed_op_ffma_pred_on.sum","inst","500000"
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "r.csv"
    file.write_text(CSV, encoding="utf-8")
    return file


def test_a_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(TABLE_V), "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert '"kernel":"gemmk1"' in text


def test_a_file_that_is_no_report_makes_no_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (tmp_path / "x.txt").write_text("nothing", encoding="utf-8")
    assert main(["report", str(tmp_path / "x.txt"), "-o", str(page)]) == 3
    assert not page.exists()


def test_places_under_the_roofline(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roofline", str(report), "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["roofline"]
    assert record["flops_per_s"] == pytest.approx(1e12)
    assert record["intensity_flops_per_byte"] == pytest.approx(5.0)
    assert record["peak_flops_per_s"] is None
    assert "not known" in record["hint"]


def test_what_can_not_be_placed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roofline", str(TABLE_V)]) == 0
    out = capsys.readouterr().out
    assert out.count("n/a") >= 3
    assert "SpeedOfLight_RooflineChart" in out


@pytest.mark.parametrize("chart", ["roofline", "stalls"])
def test_a_drawing_of_nothing_is_refused(
    chart: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing, bare = tmp_path / "x.svg", tmp_path / "bare.csv"
    # The published table without its stalls.
    lines = TABLE_V.read_text("utf-8").splitlines(keepends=True)
    bare.write_text("".join(line for line in lines if '"stall_' not in line), "utf-8")
    assert main(["roofline", str(bare), "--chart", chart, "-o", str(drawing)]) == 2
    assert "collect" in capsys.readouterr().err
    assert not drawing.exists()


def test_shares_of_time_are_drawn(report: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawing = tmp_path / "x.svg"
    assert main(["roofline", str(report), "--chart", "time", "-o", str(drawing)]) == 0
    assert "k1" in drawing.read_text("utf-8")


def test_real_reports_are_drawn(shared_reports: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = [str(f) for f in sorted(shared_reports.glob("InhabitancyCocoon*512_0*.ncu-rep"))]
    if not files:
        pytest.skip("the collection lacks these reports")
    for chart in ("roofline", "stalls", "time"):
        drawing = tmp_path / f"{chart}.png"
        assert main(["roofline", *files, "--chart", chart, "-o", str(drawing)]) == 0
        assert drawing.read_bytes().startswith(b"\x89PNG")


def test_a_file_without_the_kernel_is_passed_over(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(TABLE_V), str(report), "--kernel", "^k1$", "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    assert '"kernel":"k1"' in text
    assert '"kernel":"gemmk1"' not in text
    assert main(["report", str(TABLE_V), "--kernel", "^k1$", "-o", str(page)]) == 2
    assert "gemmk1" in capsys.readouterr().err


def test_launches_left_out_of_a_drawing_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roofline", str(TABLE_V), "--top", "2"]) == 0
    done = capsys.readouterr()
    assert "the 2 longest of 3 launches" in done.err
    assert "the 2 longest" not in done.out


def test_names_that_the_font_lacks_are_drawn_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "r.csv"
    file.write_text(CSV.replace("k1", "\u6838$x^2$"), encoding="utf-8")
    assert main(["roofline", str(file), "--chart", "time", "-o", str(tmp_path / "x.png")]) == 0
    assert capsys.readouterr().err == ""
