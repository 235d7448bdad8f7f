from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from kernprof.devices import find  # noqa: E402
from kernprof.errors import UnavailableError  # noqa: E402
from kernprof.timing.accuracy import model_error  # noqa: E402
from kernprof.timing.native import core  # noqa: E402
from validation.cases import Case  # noqa: E402
from validation.cycles import Timed, record  # noqa: E402
from validation.micro import _KERNELS, Micro, section  # noqa: E402


def timed(gpu: str, cycles: float, predicted: float, *, calibrates: bool = False) -> Timed:
    case = Case("0", "k", (1, 1, 1), "a/b", "c", "0", gpu, (), "", calibrates)
    shares = {"wait": 60.0, "barrier": 40.0}
    mine = {"wait": 45.0, "barrier": 55.0} if predicted > cycles else shares
    return Timed(case, cycles, predicted, predicted, predicted, shares, mine, True)


def test_the_record_is_of_the_judging_launches_alone() -> None:
    rows = [
        timed("A", 100, 110),
        timed("B", 200, 140),
        timed("B", 300, 300),
        timed("C", 100, 900, calibrates=True),
    ]
    found = tomllib.loads(record(rows))["judging"]
    assert found == {
        "launches": 3,
        "gpus": 2,
        "mean_pct": 13.33,
        "lowest_pct": -30.0,
        "highest_pct": 10.0,
        "rank_correlation": 1.0,
        "top_stall_right": 2,
        "stalled": 3,
    }
    with pytest.raises(ValueError, match="too few"):
        record(rows[:1])


def test_the_program_tells_the_error_that_the_page_tells() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text("utf-8")
    line = re.search(
        r"\| judging \| (\d+) \| ([\d.]+) % \| ([-+\d.]+) % .*?\| ([\d.]+) \| (\d+) of (\d+)", page
    )
    assert line is not None
    known = model_error()
    assert int(line[1]) == known.launches
    assert float(line[2]) == pytest.approx(known.mean_pct, abs=0.051)
    worst = max(known.lowest_pct, known.highest_pct, key=abs)
    assert float(line[3]) == pytest.approx(worst, abs=0.051)
    assert float(line[4]) == pytest.approx(known.rank_correlation, abs=0.00051)
    assert (int(line[5]), int(line[6])) == (known.top_stall_right, known.stalled)
    assert f"{known.launches} launches" in known.sentence


@pytest.mark.parametrize(
    ("kernel", "gpu", "cycles"), [("fma_chain", "a100", 4), ("chase_shared", "rtx4090", 30)]
)
def test_micro_kernels_give_the_cost_they_are_known_by(
    kernel: str, gpu: str, cycles: float
) -> None:
    try:
        core()
        found = _KERNELS[kernel](find(gpu))
    except UnavailableError as missing:
        pytest.skip(str(missing))
    assert found == pytest.approx(cycles, rel=0.02)


def test_the_page_tells_inputs_from_judges() -> None:
    rows = [Micro("a", "G", "s", 10, 11, True), Micro("b", "G", "s", 20, 15, False)]
    text = "\n".join(section(rows))
    assert "rows (1, mean absolute error 10.0 %)" in text
    assert "(1, 25.0 %)" in text
    assert "| 10 † | 11.0 | +10.0 % |" in text


def test_a_check_up_of_a_gpu_extends_the_page(tmp_path: Path) -> None:
    import json

    from validation.checkups import section as check_ups

    path = tmp_path / "check.json"
    kernel = {
        "family": "gemv2N", "kernel": "gemv2N", "right": True, "measured_cycles": 1095.0,
        "predicted_cycles": 1200.0, "difference_pct": 9.589,
    }  # fmt: skip
    path.write_text(json.dumps({"gpu": "A", "healthy": True, "kernels": [kernel]}))
    text = "\n".join(check_ups([path]))
    assert "| A | gemv2N | `gemv2N` | right | 1,095 | 1,200 | +9.6 % |" in text
    assert check_ups([]) == []
    path.write_text("{}")
    with pytest.raises(ValueError, match="no check-up"):
        check_ups([path])
