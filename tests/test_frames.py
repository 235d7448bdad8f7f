"""Results as pandas frames and in notebooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernprof
from kernprof._frames import html_table
from kernprof.errors import UnavailableError

TRACES = Path(__file__).parents[1] / "traces"
SOURCE = """
extern "C" __global__ void halves(const float* x, float* y) {
  if (threadIdx.x & 1) y[threadIdx.x] = x[threadIdx.x] / 2;
}
"""


def test_a_report_is_a_row_a_launch() -> None:
    report = kernprof.load(TRACES / "depthwise-direct-p100.ncu-rep")
    frame = report.to_frame()
    assert len(frame) == len(report.profiles)
    assert frame["smsp__inst_executed.sum"].tolist() == [
        p.metrics["smsp__inst_executed.sum"] for p in report.profiles
    ]
    assert set(frame["source"]) == {"predicted"}
    assert report._repr_html_().count("<tr>") == len(report.profiles) + 1


def test_an_analysis_is_a_row_a_figure() -> None:
    (profile, *_) = kernprof.load(TRACES / "depthwise-direct-p100.ncu-rep").profiles
    result = kernprof.analyse(profile)
    frame = result.to_frame().set_index("figure")
    assert result.stalls is not None
    assert frame.loc["occupancy_pct", "value"] == result.figures["occupancy_pct"].value
    stalls = frame[frame.index.str.startswith("stall.")]["value"]
    assert stalls.sum() == pytest.approx(100)
    assert frame[frame.index.str.startswith("class.")]["value"].sum() == pytest.approx(100)
    assert "<table>" in result._repr_html_()


def test_a_prediction_is_a_row_an_instruction(tmp_path: Path) -> None:
    path = tmp_path / "halves.cu"
    path.write_text(SOURCE)
    x, y = np.ones(64, np.float32), np.zeros(64, np.float32)
    try:
        done = kernprof.predict(path, [x, y], grid=1, block=64, gpu="a100")
    except UnavailableError as missing:
        pytest.skip(str(missing))
    frame = done.to_frame()
    assert frame["executed"].sum() == done.profile.metrics["smsp__inst_executed.sum"]
    assert frame["predicated_on"].max() == 64
    store = frame[frame["instruction"].str.contains("STG")].iloc[0]
    assert store["line"] == 3
    assert store["sectors"] == 8
    if done.timing is not None:
        reasons = frame.filter(like="stalled_").sum().sum()
        assert reasons == pytest.approx(done.timing.warp_cycles)
    assert "smsp__inst_executed.sum" in done._repr_html_()


def test_text_stays_text_and_missing_is_told() -> None:
    page = html_table([{"<b>": "<script>x</script>", "n": None}, {"n": 1234.5}])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<td>n/a</td>") == 2
    assert "1,234" in page or "1,235" in page


def test_without_pandas_the_remedy_is_named() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import kernprof\n"
        f"report = kernprof.load({str(TRACES / 'depthwise-direct-p100.ncu-rep')!r})\n"
        "assert '<table>' in report._repr_html_()\n"
        "try: report.to_frame()\n"
        "except kernprof.errors.UnavailableError as e: print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "gpu-kernprof[frames]" in done.stdout
