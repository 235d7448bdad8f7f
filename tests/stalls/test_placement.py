from __future__ import annotations

import pytest
from profiles import profile

from kernprof.devices import bound, find
from kernprof.profile import Gpu
from kernprof.stalls.placement import place

FP32 = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum.per_cycle_elapsed"


def full() -> dict[str, float]:
    return {
        FP32.format("fadd"): 10.0,
        FP32.format("fmul"): 20.0,
        FP32.format("ffma"): 100.0,
        "smsp__cycles_elapsed.avg.per_second": 1e9,
        "dram__bytes.sum.per_second": 5e8,
    }


def test_a_fused_operation_is_two() -> None:
    found = place(profile(full()))
    assert found.flops_per_s == pytest.approx(230e9)
    assert found.intensity_flops_per_byte == pytest.approx(460.0)
    assert found.hint is None


def test_the_reports_own_peaks_come_first() -> None:
    peaks = {
        "sm__sass_thread_inst_executed_op_ffma_pred_on.sum.peak_sustained": 6912.0,
        "sm__cycles_elapsed.avg.per_second": 1e9,
        "dram__bytes.sum.peak_sustained": 1280.0,
        "dram__cycles_elapsed.avg.per_second": 1.2e9,
    }
    found = place(profile({**full(), **peaks})).ceilings
    assert found is not None
    assert (found.flops_per_s, found.bytes_per_s) == (pytest.approx(13.824e12), 1.536e12)
    assert found.source == "the report's own peaks"


def test_else_the_table_of_gpus_has_them() -> None:
    found = place(profile(full(), gpu=Gpu("a100", "8.0", 108))).ceilings
    assert found is not None
    assert found.flops_per_s == find("a100").peak_fp32_flops_per_s
    expected = bound(1.0, 1.0, find("a100")).ridge_flops_per_byte
    assert found.ridge_flops_per_byte == pytest.approx(expected)
    assert "from the table" in found.source


def test_counters_of_nvprof_are_rates_over_the_time() -> None:
    metrics = {
        "flop_count_sp": 2e6,
        "dram_read_bytes": 3e5,
        "dram_write_bytes": 1e5,
        "gpu__time_duration.sum": 1e3,
    }
    found = place(profile(metrics))
    assert found.flops_per_s == pytest.approx(2e12)
    assert found.intensity_flops_per_byte == pytest.approx(5.0)


@pytest.mark.parametrize("lacking", list(full()))
def test_a_missing_part_is_missing_and_never_zero(lacking: str) -> None:
    metrics = {name: value for name, value in full().items() if name != lacking}
    found = place(profile(metrics))
    assert found.intensity_flops_per_byte is None
    assert "collect" in (found.hint or "")


def test_no_traffic_has_no_place() -> None:
    found = place(profile({**full(), "dram__bytes.sum.per_second": 0.0}))
    assert found.intensity_flops_per_byte is None
    assert "no place" in (found.hint or "")
