from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kernprof.advice.advise import advise
from kernprof.comparison.compare import compare
from kernprof.compile import compile_source, elf
from kernprof.devices import find, occupancy
from kernprof.errors import UsageError
from kernprof.profile import Dim3, Gpu, KernelProfile, MachineCode, SharedMemory
from kernprof.view.html import page
from kernprof.view.html_data import MAX_INSTRUCTIONS, MAX_LAUNCHES, devices, report_document

sys.path.insert(0, str(Path(__file__).parents[1] / "stalls"))
sys.path.insert(0, str(Path(__file__).parent))
from browser import chromium
from profiles import instances, issue_ratios, profile

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
)
SOURCE = """extern "C" __global__ void scale(float *y, const float *x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = a * x[i];
}
"""
SOURCE += f"// {HOSTILE}\n"
FILE = "/kernprof/scale.cu"
STALLED = "smsp__pcsamp_warps_issue_stalled_long_scoreboard"


def launch(index: int, **overrides: Any) -> KernelProfile:
    metrics = {
        **issue_ratios(long_scoreboard=1.0 + index, wait=2.0, barrier=0.5),
        "gpu__time_duration.sum": 1000.0 * (index + 1),
        "gpc__cycles_elapsed.max": 1500.0 * (index + 1),
        "sm__warps_active.avg.pct_of_peak_sustained_active": 100.0 / (index + 1),
    }
    fields = {
        "kernel": f"kernel_{index}",
        "origin": f"r.ncu-rep#{index}",
        "registers": 40,
        "shared_mem": SharedMemory(1024, 0),
        **overrides,
    }
    return profile(metrics, **fields)


def with_code(index: int) -> KernelProfile:
    cubin = compile_source(SOURCE, arch="sm_80", name=FILE).image
    symbol = next(s.index for s in elf.parse(cubin).symbols if s.name == "scale" and s.type == 2)
    code = MachineCode(cubin, symbol, 0, {FILE: SOURCE})
    values = instances({0: 1.0, 0x20: 3.0})
    return launch(index, kernel="scale", code=code, instances={STALLED: values})


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    document: dict[str, Any] = json.loads(found.group(1))
    return document


def test_data_come_back_as_they_went_in() -> None:
    document = report_document([launch(0, kernel=HOSTILE), launch(1, demangled="@SCRIPT@@DATA@")])
    text = page(document)
    assert data_of(text) == json.loads(json.dumps(document))
    # One data block and one program, whatever a name holds.
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert "unsafe" not in text


def test_what_is_missing_is_null_with_its_hint() -> None:
    document = report_document([profile({})])
    (record,) = document["launches"]
    assert set(record["table_v"].values()) == {None}
    assert record["roofline"]["intensity_flops_per_byte"] is None
    assert record["roofline"]["hint"]
    assert record["missing"]
    assert record["code"] is None
    assert "SourceCounters" in record["code_hint"]


def test_instructions_are_bounded_and_the_longest_launch_comes_first() -> None:
    rows = MAX_INSTRUCTIONS * 2 // 3
    table = instances({16 * i: 1.0 for i in range(rows)})
    launches = [launch(i, instances={STALLED: table}) for i in range(2)]
    document = report_document(launches)
    assert len(document["code"]) == 1
    assert [x["code"] for x in document["launches"]] == [None, 0]
    assert "left out" in document["launches"][0]["code_hint"]


def test_counts_that_are_no_numbers_are_missing_and_others_exact() -> None:
    counts = instances({0: float("nan"), 16: 2_097_153.0})
    table = {STALLED: instances({0: 1.0, 16: 3.0}), "inst_executed": counts}
    document = report_document([launch(0, instances=table)])
    assert [row[5] for row in document["code"][0]["lines"]] == [None, 2_097_153]
    assert "NaN" not in page(document)


def test_too_many_launches_are_refused_and_not_cut() -> None:
    with pytest.raises(UsageError, match="--kernel"):
        report_document([profile({})] * (MAX_LAUNCHES + 1))


def test_50_kernels_with_their_code_stay_within_three_mebibytes() -> None:
    kernels = [with_code(i) for i in range(50)]
    document = report_document(kernels, compare(kernels, kernels, match_by="order"))
    assert len(document["code"]) == 50
    assert len(page(document).encode()) < 3 * 2**20


def test_500_kernels_stay_within_three_mebibytes() -> None:
    text = page(report_document([launch(i, kernel="k" * 60) for i in range(500)]))
    assert len(text.encode()) < 3 * 2**20


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page of 502 launches, opened."""
    folder = tmp_path_factory.mktemp("page")
    launches = [launch(i) for i in range(500)]
    launches += [launch(500, kernel=HOSTILE, demangled=HOSTILE), with_code(501)]
    launches[499] = launch(499, kernel="strange", gpu=Gpu("Thor", "99.0", 20))
    changed = [replace(p, metrics={**p.metrics, "gpc__cycles_elapsed.max": 9e5}) for p in launches]
    compared = [*launches[:3], launches[500]], [*changed[:3], changed[500]]
    document = report_document(launches, compare(*compared))
    (folder / "report.html").write_text(page(document), encoding="utf-8")
    with chromium(folder / "profile") as opened:
        opened.get((folder / "report.html").as_uri())
        yield opened


def rows(report: Any, grid: str) -> list[list[str]]:
    script = (
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr:not([aria-hidden])`)]"
        ".map(r => [...r.cells].map(c => c.textContent))"
    )
    found: list[list[str]] = report.execute_script(script, grid)
    return found


def click(report: Any, selector: str) -> None:
    report.execute_script("document.querySelector(arguments[0]).click()", selector)


def write(report: Any, field: str, text: str) -> None:
    script = (
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input'))"
    )
    report.execute_script(script, field, text)


def test_it_loads_without_an_error_and_runs_no_name(report: Any) -> None:
    assert report.execute_script("return document.documentElement.dataset.ready") == "yes"
    write(report, "filter", "onerror")
    assert rows(report, "launches")[0][1] == HOSTILE
    click(report, "#launches tbody tr")
    assert HOSTILE in report.find_element("id", "detail").text
    # The same text as source code, and in the comparison.
    write(report, "filter", "scale")
    click(report, "#launches tbody tr")
    assert any(HOSTILE in row[2] for row in rows(report, "source"))
    click(report, "#pairs tbody tr:last-child")
    assert HOSTILE in report.find_element("id", "pair").text
    assert report.title == "kernprof report"
    assert report.execute_script("return document.images.length") == 0
    assert report.get_log("browser") == []
    write(report, "filter", "")


def test_only_rows_in_view_are_in_the_document(report: Any) -> None:
    write(report, "filter", "")
    assert report.find_element("id", "count").text == "502 of 502 launches"
    assert len(rows(report, "launches")) < 80
    report.execute_script("document.querySelector('#launches .grid').scrollTop = 1e6")
    report.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
    assert rows(report, "launches")[-1][0] == "501"


def test_headings_sort_and_words_filter(report: Any) -> None:
    write(report, "filter", "")
    heading = report.find_elements("css selector", "#launches th button")[3]
    assert heading.text.startswith("Time")
    heading.click()
    assert rows(report, "launches")[0][0] == "501"
    heading.click()
    assert rows(report, "launches")[0][0] == "0"
    state = report.find_elements("css selector", "#launches th")[3].get_attribute("aria-sort")
    assert state == "ascending"
    write(report, "filter", "kernel_42 a100")
    assert [row[1] for row in rows(report, "launches")][:2] == ["kernel_42", "kernel_420"]
    assert report.find_element("id", "count").text == "11 of 502 launches"
    write(report, "filter", "")


def test_the_keyboard_walks_the_table(report: Any) -> None:
    write(report, "filter", "kernel_42")
    box = report.find_element("css selector", "#launches .grid")
    box.send_keys("\ue011")  # Home
    first = report.find_element("id", "chosen").text
    box.send_keys("\ue015")  # arrow down
    second = report.find_element("id", "chosen").text
    assert (first, second) == ("#42 kernel_42", "#420 kernel_420")
    write(report, "filter", "")


def test_the_filter_is_a_key_away(report: Any) -> None:
    write(report, "filter", "")
    box = report.find_element("css selector", "#launches .grid")
    box.send_keys("/")
    field = report.switch_to.active_element
    assert field.get_attribute("id") == "filter"
    field.send_keys("kernel_42")
    assert report.find_element("id", "count").text == "11 of 502 launches"
    field.send_keys("\ue00c")  # Escape
    assert report.find_element("id", "count").text == "502 of 502 launches"
    assert report.switch_to.active_element == box


def test_instructions_and_source_lines_stand_side_by_side(report: Any) -> None:
    write(report, "filter", "scale")
    click(report, "#launches tbody tr")
    listing, source = rows(report, "sass"), rows(report, "source")
    assert len(source) == len(SOURCE.splitlines())
    if all(row[2] == "n/a" for row in listing):
        pytest.skip("no disassembler for sm_80 here")
    assert any("EXIT" in row[2] for row in listing)
    # What stalls most comes first, on both sides, until program order is asked for.
    hottest = rows(report, "sass")[0]
    assert hottest[1:4:2] == ["75.0", "long_scoreboard 100 %"]
    assert source[0][1] == "75.0"
    click(report, "#order-program")
    assert [int(row[0], 16) for row in rows(report, "sass")[:3]] == [0, 0x10, 0x20]
    assert [row[0] for row in rows(report, "source")[:2]] == ["1", "2"]
    click(report, "#order-hot")
    assert rows(report, "sass")[0] == hottest
    assert len(report.find_elements("css selector", "#strip rect")) == 2
    click(report, "#sass tbody tr")
    chosen = report.find_element("css selector", "#source tr[aria-selected=true]").text
    assert chosen.startswith(hottest[6])
    # A click into the strip chooses the instruction under it.
    report.execute_script(
        "const s = document.querySelector('#strip svg'), box = s.getBoundingClientRect();"
        "s.dispatchEvent(new MouseEvent('click', {clientX: box.left + 1, clientY: box.top + 2}))"
    )
    chosen = report.find_element("css selector", "#sass tr[aria-selected=true]").text
    assert chosen.startswith("0000")
    write(report, "filter", "")


def test_the_overview_sums_up_what_is_there(report: Any) -> None:
    text = report.find_element("id", "tiles").text
    assert "502\nlaunches" in text
    # 1 + 2 + ... + 502 microseconds.
    assert f"{502 * 503 / 2 / 1000:.2f} ms" in text
    assert "A100" in text
    legend = report.find_element("id", "time-bar").text
    assert "495 others" in legend


def test_likely_causes_are_those_of_the_command(report: Any) -> None:
    write(report, "filter", "kernel_7")
    click(report, "#launches tbody tr")
    shown = report.find_element("id", "detail").text
    first = advise(launch(7))[0]
    assert first.title in shown
    assert f"To do: {first.remedy}." in shown
    assert "gain n/a" in shown
    write(report, "filter", "")


def test_printing_puts_rows_in_and_a_limit_to_instructions(report: Any) -> None:
    report.execute_script("dispatchEvent(new Event('beforeprint'))")
    try:
        assert len(rows(report, "launches")) == 502
    finally:
        report.execute_script("dispatchEvent(new Event('afterprint'))")
    assert len(rows(report, "launches")) < 80


def test_the_calculator_is_that_of_the_library(report: Any) -> None:
    numbers = random.Random(7)
    cases = []
    for index, device in enumerate(devices()):
        for _ in range(60):
            threads, registers = numbers.randint(1, 1100), numbers.randint(0, 260)
            cases.append([index, device["key"], threads, registers, numbers.randint(0, 240_000)])
    script = "return arguments[0].map(c => window.kernprofOccupancy(c[0], c[2], c[3], c[4]))"
    for case, found in zip(cases, report.execute_script(script, cases), strict=True):
        _, key, threads, registers, shared = case
        expected = occupancy(
            find(key),
            threads_per_block=threads,
            registers=registers,
            dynamic_shared_bytes=shared,
        )
        assert found["blocks"] == expected.blocks_per_sm, case
        assert found["pct"] == pytest.approx(expected.occupancy_pct)
        assert set(found["limiters"]) == {str(name) for name in expected.limiters}


def test_the_calculator_follows_its_fields(report: Any) -> None:
    gpu = next(i for i, device in enumerate(devices()) if device["key"] == "a100")
    write(report, "occ-gpu", str(gpu))
    write(report, "occ-threads", "256")
    write(report, "occ-registers", "64")
    write(report, "occ-shared", "0")
    expected = occupancy(find("a100"), threads_per_block=256, registers=64).occupancy_pct
    assert report.find_element("id", "occ-result").text.startswith(f"{expected:.1f} %")
    assert len(report.find_elements("css selector", "#occ-curves svg")) == 3


def test_the_calculator_says_whose_rules_it_shows(report: Any) -> None:
    write(report, "filter", "kernel_7")
    click(report, "#launches tbody tr")
    assert report.find_element("id", "occ-launch").text.startswith("A100: rules of sm_80.")
    write(report, "filter", "strange")
    click(report, "#launches tbody tr")
    assert "is not in the table" in report.find_element("id", "occ-launch").text
    write(report, "filter", "")


def test_the_comparison_shows_cycles(report: Any) -> None:
    pairs = rows(report, "pairs")
    assert [row[0] for row in pairs] == ["kernel_0", "kernel_1", "kernel_2", HOSTILE]
    assert pairs[0][1:3] == ["1,500", "900,000"]
    heads = [x.text for x in report.find_elements("css selector", "#pairs th button")]
    assert heads[:3] == ["Kernel", "Base cycles", "New cycles"]
    click(report, "#pairs tbody tr:not([aria-hidden])")
    shown = report.find_element("id", "pair").text
    assert "kernel_0 [" in shown
    assert "matched by" in shown
    # The figures of `kernprof compare`, the same digits.
    table = report.execute_script(
        "return [...document.querySelectorAll('#pair table.facts')].at(-1).textContent"
    )
    assert "Figure" in table
    assert "900,000" in table


def test_a_figure_that_one_side_lacks_is_not_told_and_not_blank() -> None:
    lacking = {n: v for n, v in launch(0).metrics.items() if not n.startswith("gpc__")}
    pairs = compare(replace(launch(0), metrics=lacking), launch(0))
    document = report_document([launch(0)], pairs)["comparison"]
    assert document["unit"] == "ns"
    (cycles,) = [row for row in document["pairs"][0]["figures"] if row[1] == "Elapsed cycles"]
    assert cycles[:4] == ["Time", "Elapsed cycles", "n/a", "1,500"]


def test_light_and_dark_differ(report: Any) -> None:
    script = "return getComputedStyle(document.body).backgroundColor"
    before = report.execute_script(script)
    report.find_element("id", "theme").click()
    assert report.execute_script(script) != before


def test_grid_extents_are_shown(report: Any) -> None:
    write(report, "filter", "kernel_7")
    click(report, "#launches tbody tr")
    assert f"{Dim3(8)} × {Dim3(256)}".replace("x", "×") in report.find_element("id", "detail").text


def test_no_control_left_an_error_behind(report: Any) -> None:
    for controls in ("nav a", "#roofline-plot circle", "#sass th button", "#pairs th button"):
        report.execute_script(
            "for (const e of document.querySelectorAll(arguments[0]))"
            " e.dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            controls,
        )
    write(report, "filter", "no such launch")
    assert rows(report, "launches") == []
    write(report, "filter", "")
    assert report.get_log("browser") == []
