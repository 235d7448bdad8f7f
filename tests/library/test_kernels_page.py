"""The page of kernels says what the compiler says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernprof.compile import compiler_version
from kernprof.devices import find, occupancy
from kernprof.library import entries, entry
from kernprof.library.document import DEVICES, example_shape, page

COMMITTED = Path(__file__).parents[2] / "docs" / "kernels.md"


def rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [c.strip() for c in cells[1:]] for cells in lines}


def test_the_committed_page_is_up_to_date() -> None:
    text = COMMITTED.read_text("utf-8")
    compiler = compiler_version().partition(";")[0]
    if compiler not in text:
        pytest.skip(f"docs/kernels.md is of another compiler than {compiler}")
    assert text == page(), "run: python -m kernprof.library.document > docs/kernels.md"


def test_every_kernel_is_there_once() -> None:
    text = COMMITTED.read_text("utf-8")
    assert sorted(rows(text)) == sorted(entries())
    assert text.count("| `") == len(entries())


@pytest.mark.parametrize(
    "name", ["gemv2T", "sgemm_vector", "depthwise_tiled", "pointwise_register", "sync_empty"]
)
def test_occupancy_follows_from_the_registers_on_the_page(name: str) -> None:
    cells = rows(COMMITTED.read_text("utf-8"))[name]
    threads = entry(name).geometry(example_shape(entry(name))).block.total
    shared = sum(map(int, cells[3].split("+")))
    for gpu, cell in zip(DEVICES, cells[4:], strict=True):
        registers, share = cell.split(", ")
        expected = occupancy(
            find(gpu),
            threads_per_block=threads,
            registers=int(registers),
            static_shared_bytes=shared,
        )
        assert float(share.split()[0]) == pytest.approx(expected.occupancy_pct, rel=5e-3)
        assert (share == "100") == (expected.occupancy_pct == 100)
