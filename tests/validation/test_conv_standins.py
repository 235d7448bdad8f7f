"""The stand-ins for cuDNN's convolutions beside rows that cuDNN ran."""

from __future__ import annotations

import gzip
import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kernprof.devices import find
from kernprof.errors import InputError
from kernprof.lowering.launch import Direction
from validation.conv_standins import (
    Compared,
    Row,
    launches,
    main,
    main_kernel,
    page,
    read,
    same_grids,
)

HEADER = "gpu,op,shape,latency_ms,kernels,grid_x,grid_y,grid_z\n"
WINOGRAD = (
    '"void cudnn::winograd::generatewinogradtileskernel<1>(params);'
    'cudnn_infer_maxwell_scudnn_winograd_128x128_ldg1_relu_tile148t_nt_v0"'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = HEADER + (
        f"p100,conv,2x8x8x3x8x1x1,0.002,{WINOGRAD},1,1,1\n"
        "v100,conv,1x4x4x3x5x1x1,0.5,implicit_convolve_sgemm,1,1,1\n"
        "p100,conv,1x4x4x3x5x2x1,0.5,implicit_convolve_sgemm,1,1,1\n"
    )
    with gzip.open(tmp_path / "pytorch-conv.csv.gz", "wt") as stream:
        stream.write(text)
    return tmp_path


def test_rows_of_one_gpu_are_read(folder: Path) -> None:
    rows = read(folder, "p100")
    assert [r.shape for r in rows] == ["2x8x8x3x8x1x1", "1x4x4x3x5x2x1"]
    assert rows[0].time_us == pytest.approx(2)
    assert rows[0].kernel == "scudnn_winograd_128x128"


def test_what_cannot_be_read_says_what_was_expected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row of the GPU 'a100'"):
        read(folder, "a100")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"has no pytorch-conv\.csv\.gz"):
        read(empty, "p100")
    (empty / "pytorch-conv.csv").write_text("gpu,shape\np100,1\n")
    with pytest.raises(InputError, match=r"lacks the column\(s\) grid_x"):
        read(empty, "p100")
    with pytest.raises(InputError, match="expected BxCxMxKxHxSxP"):
        launches("1x2x3", find("p100"))
    assert main(["--data", str(empty)]) == 2


def test_the_method_is_told_by_the_main_kernel() -> None:
    assert main_kernel("computeoffsets<1>(a);maxwell_scudnn_128x64_relu_v1") == "scudnn_128x64"
    assert main_kernel("winograd_nonfused::data4x4();maxwell_sgemm_32x128") == "winograd_nonfused"
    assert main_kernel("something_else(int)") == "something_else"


def test_a_shape_becomes_the_launches_of_a_forward_convolution() -> None:
    found = launches("5x119x758x3x24x1x1", find("p100"))
    assert [x.kernel for x in found] == ["winograd_filters", "conv_winograd"]
    assert {x.direction for x in found} == {Direction.FORWARD}
    assert found[1].shape["batch"] == 5
    assert found[1].shape["out_channels"] == 758
    (one,) = launches("3x16x40x5x24x2x1", find("p100"))
    assert one.shape["stride_h"] == 2
    assert one.shape["pad_w"] == 1


def test_the_page_has_every_row_and_the_median_speed() -> None:
    ratios = (0.4, 1.0, 2.0)
    made = [Compared(Row(f"s{r}", 100 * r, "k", (1, 1, 1)), ("a", "b"), 100.0) for r in ratios]
    text = page(made, "GPU", 9, 7)
    assert text.count("| a + b |") == 3
    assert "| s0.4 | 40 | k | 100 | a + b | 0.40 |" in text
    assert f"median {statistics.median(ratios):.2f}, from 0.40 to 2.00" in text
    assert "3 of 9 rows of GPU, seed 7" in text
    assert "in 2 of 3" in text


def test_the_command_predicts_a_sample(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(folder), "--sample", "1", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "1 of 2 rows" in out
    assert "1 of 1" in err
    again = main(["--data", str(folder), "--sample", "1", "--seed", "3"])
    assert again == 0
    assert capsys.readouterr().out == out


def test_cudnns_blocks_are_those_of_our_tiles() -> None:
    """Grids that profilers showed of cuDNN 8 on a P100, and the tiles' of the same shapes."""
    seen = (
        ("scudnn_128x64", "29x43x1081x3x5x1x1", (6, 17, 1)),
        ("scudnn_128x32", "24x1832x918x3x5x1x1", (5, 29, 1)),
        ("scudnn_128x128", "1x9x1060x3x36x1x1", (11, 9, 1)),
        ("implicit_convolve_sgemm", "26x6x42x3x9x1x1", (66, 2, 1)),
        ("fft2d", "26x6x42x3x9x1x1", (1, 1, 1)),
    )
    rows = [Row(shape, 1.0, kernel, grid) for kernel, shape, grid in seen]
    assert same_grids(rows) == (4, 4)
    assert same_grids([Row("29x43x1081x3x5x1x1", 1.0, "scudnn_128x64", (17, 6, 1))]) == (0, 1)
