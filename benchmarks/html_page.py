"""The HTML report: size for 50 kernels, and first paint in headless Chromium with 500.

Launches are those of ``traces/``, with machine code, source positions and stalls, under names of
their own. First paint is the browser's own "first-contentful-paint", counted from the start of the
navigation, each time with a fresh browser profile.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import kernprof
from benchmarks.read_report import ROOT
from kernprof.profile import KernelProfile
from kernprof.view.html import page
from kernprof.view.html_data import report_document

REPEATS = 5
BAR_PAINT_S = 1.0
BAR_BYTES = 3 * 2**20
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"


def kernels(count: int) -> list[KernelProfile]:
    """Return launches of the sample profiles, each as a kernel of its own."""
    files = sorted((ROOT / "traces").glob("*.ncu-rep"))
    found = [launch for path in files for launch in kernprof.load(path).profiles]
    return [
        replace(
            (launch := found[index % len(found)]),
            kernel=f"{launch.kernel}_{index}",
            demangled=f"void {launch.kernel}_{index}<float, {index}>(float const*, float*, int)",
        )
        for index in range(count)
    ]


def paints(path: Path) -> tuple[float, float] | None:
    """Return first paint and end of loading in seconds (medians); None without a browser."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        return None
    from selenium import webdriver

    os.environ["NO_PROXY"] = "localhost,127.0.0.1"
    first, loaded = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            options = webdriver.ChromeOptions()
            options.binary_location = browser
            for flag in (*FLAGS, f"--user-data-dir={folder}"):
                options.add_argument(flag)
            opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
            try:
                opened.get(path.as_uri())
                first.append(opened.execute_script(PAINT) / 1000)
                loaded.append(opened.execute_script(LOADED) / 1000)
            finally:
                opened.quit()
    return median(first), median(loaded)


def main() -> bool:
    """Print sizes and times; returns whether both bars were met."""
    met = True
    for count in (50, 500):
        launches = kernels(count)
        started = time.perf_counter()
        text = page(report_document(launches))
        took = time.perf_counter() - started
        size = len(text.encode())
        line = f"{count} kernels: {size / 2**20:.2f} MiB, made in {took:.2f} s"
        if count == 50:
            met &= size < BAR_BYTES
            line += f" (bar {BAR_BYTES / 2**20:.0f} MiB)"
        print(line)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        times = paints(path)
    if times is None:
        print("first paint: not measured, no chromium and chromedriver here")
        return met
    print(
        f"500 kernels: first paint {times[0]:.2f} s (bar {BAR_PAINT_S} s), loaded {times[1]:.2f} s"
    )
    return met and times[0] < BAR_PAINT_S
