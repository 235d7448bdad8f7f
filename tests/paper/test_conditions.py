from __future__ import annotations

from types import MappingProxyType

import pytest

from kernprof.devices import find
from kernprof.errors import UnavailableError
from kernprof.layers import can_predict
from kernprof.paper.conditions import Condition, conditions, distances
from kernprof.paper.kernels import published_kernels
from kernprof.paper.table5 import conditions_table, nearest, table5
from kernprof.timing import Caches


def condition(text: str, shift: float, *names: str) -> Condition:
    """Make a condition whose columns are the printed ones with `shift` on the compute row."""
    columns = {}
    for name in names:
        cells = {key: float(value) for key, value in published_kernels()[name].cells.items()}
        cells["compute_utilization_pct"] += shift
        columns[name] = MappingProxyType(cells)
    return Condition(text, Caches.COLD, columns, "a GPU")


def test_distance_is_the_mean_over_the_nine_numbers() -> None:
    far = distances(condition("one", 18.0, "gemv2T", "gemmk1"))
    assert set(far) == {"gemv2T", "gemmk1"}
    assert far["gemv2T"].mean == pytest.approx(2.0)
    assert (far["gemv2T"].largest, far["gemv2T"].largest_row) == (18.0, "compute utilization")
    assert far["gemv2T"].same_order


def test_another_order_of_the_stalls_is_told() -> None:
    made = condition("one", 0.0, "gemv2N")
    cells = dict(made.columns["gemv2N"])
    cells["memory_dependency_pct"] = 15.0
    swapped = Condition("swapped", Caches.WARM, {"gemv2N": cells}, "a GPU")
    assert not distances(swapped)["gemv2N"].same_order
    rows = conditions_table([made, swapped])
    assert rows.column("gemv2N_order") == ["as printed", "differs"]
    assert rows.column("gemv2T_distance") == [None, None]


def test_the_nearest_condition_is_named_with_the_rows_that_are_off() -> None:
    found = [condition("far", 30.0, "gemv2T"), condition("near", -12.0, "gemv2T")]
    best = nearest(found, "gemv2T")
    assert best is not None
    assert best[0].text == "near"
    assert nearest(found, "gemmk1") is None
    notes = " ".join(conditions_table(found).notes)
    assert "gemv2T: nearest is near, caches cold (1.3 points)" in notes
    assert "compute utilization -12.0" in notes


def test_without_a_prediction_the_reason_stands_in_its_place() -> None:
    shown = table5(unpredicted="no disassembler")
    assert shown.column("gemv2T") == [None] * 11
    assert any("n/a: no disassembler" in note for note in shown.notes)


def test_mobilenets_conditions_name_launches_and_caches() -> None:
    gpu = find("p100-pcie-12gb")
    if reason := can_predict(gpu):
        pytest.skip(reason)
    try:
        found = conditions(gpu)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    texts = {(c.text, c.caches) for c in found}
    assert len(texts) == len(found) == 3 * (2 + 3 * 5)
    assert ("depthwise convolution at 14 x 14", Caches.WARM) in texts
    by = {(c.text, c.caches): c for c in found}
    # Warm launches read nothing from DRAM where their data fit the cache; cold ones must.
    for caches, read in ((Caches.WARM, False), (Caches.COLD, True), (Caches.BACK_TO_BACK, True)):
        column = by["depthwise convolution at 14 x 14", caches].columns["gemv2T"]
        assert (column["bandwidth_utilization_pct"] > 0) is read  # type: ignore[operator]
    # Each column of the printed table has a condition within 6 points, the usual one for gemv2N.
    for name in published_kernels():
        best = nearest(found, name)
        assert best is not None
        assert best[1].mean < 6
    assert distances(by["all launches of MobileNet, each alike", Caches.WARM])["gemv2N"].mean < 4
