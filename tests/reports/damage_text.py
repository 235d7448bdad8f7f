"""Damaged text and SQLite reports: (label, content), always the same for a seed.

``samples()`` are the sound files; every case is one of them, damaged, or hostile from the start.
"""

from __future__ import annotations

import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import csv_builder as build

DURATION = "gpu__time_duration.sum"
_STALLS = (
    ("stall_memory_dependency", "40.00%"),
    ("stall_exec_dependency", "35.00%"),
    ("stall_sync", "25.00%"),
)


def samples() -> dict[str, bytes]:
    """Return one sound file of every form that is read."""
    units = {
        DURATION: "ns",
        "dram__bytes_read.sum": "byte",
        "smsp__inst_executed.avg": "inst",
        "launch__func_cache_config": "",
        "sm__warps_active.avg.pct_of_peak_sustained_active": "%",
    }
    values = ("211,936", "2,560,000", "1,234.56", "CachePreferNone", "61.30")
    raw = build.raw(units, [(build.keys(number), values) for number in range(3)])
    rows = [
        row
        for number in range(2)
        for row in (
            build.detail("Duration", "us", "211.94", "Speed", launch=number),
            build.detail("Achieved Occupancy", "%", "61.30", "Occupancy", launch=number),
            build.detail("SOL FB", "%", "12.00", "Speed", launch=number),
            (*build.keys(number), "Speed", "", "", "", "Rule", "OPT", "Say, so", "global", "12.5"),
        )
    ]
    metrics = [
        ("2", "achieved_occupancy", "Achieved Occupancy", "0.500000", "0.700000", "0.600000"),
        (
            "2",
            "dram_read_throughput",
            "Device Memory Read",
            "1.0000GB/s",
            "2.0000GB/s",
            "1.5000GB/s",
        ),
        ("2", "inst_executed", "Instructions Executed", "1000", "3000", "2000"),
        *[("2", name, "Issue Stall Reasons", share, share, share) for name, share in _STALLS],
    ]
    kernels = {"void gemv2T<int=128>(int, float*)": metrics, "plain(int)": metrics}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        build.database(path)
        export = path.read_bytes()
    return {
        "ncu raw": raw.encode(),
        "ncu raw utf-16": b"\xff\xfe" + raw.encode("utf-16-le"),
        "ncu details": build.details(rows, rules=True).encode(),
        "nvprof text": build.nvprof_metrics_text(kernels).encode(),
        "nvprof csv": build.nvprof_metrics_csv(
            [("P100 (0)", kernel, *row) for kernel, listed in kernels.items() for row in listed]
        ).encode(),
        "nvprof summary": build.SUMMARY_CSV.encode(),
        "nvprof summary text": build.SUMMARY_TEXT.encode(),
        "nvprof trace": build.TRACE_CSV.encode(),
        "nvprof trace text": build.TRACE_TEXT.encode(),
        "nvprof sqlite": export,
    }


def cuts(content: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield the content cut after evenly spread lengths, and after each of its last bytes."""
    size = len(content)
    lengths = {1 + index * (size - 1) // count for index in range(count)}
    lengths |= set(range(max(1, size - 40), size))
    for length in sorted(lengths):
        yield length, content[:length]


def cases(seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield every damaged input."""
    draw = random.Random(seed)
    for name, content in samples().items():
        for length, cut in cuts(content, 12):
            yield f"{name}: cut after {length}", cut
        yield from _changes(name, content, draw)
    yield from _hostile_text()
    yield from _hostile_database(draw)


def _changes(name: str, content: bytes, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    edits: list[tuple[str, Callable[[bytearray, int], None]]] = [
        ("flip", lambda text, at: text.__setitem__(at, text[at] ^ (1 << draw.randrange(8)))),
        ("drop", lambda text, at: text.__delitem__(slice(at, at + draw.randrange(1, 30)))),
        ("quote", lambda text, at: text.__setitem__(slice(at, at), b'"')),
        ("comma", lambda text, at: text.__setitem__(slice(at, at), b",")),
        ("break", lambda text, at: text.__setitem__(slice(at, at), b"\n")),
        ("digit", lambda text, at: text.__setitem__(slice(at, at), b"9,9")),
        ("NUL", lambda text, at: text.__setitem__(slice(at, at), b"\x00")),
    ]
    for label, edit in edits:
        for at in sorted(draw.sample(range(len(content)), 3)):
            changed = bytearray(content)
            edit(changed, at)
            yield f"{name}: {label} at {at}", bytes(changed)
    lines = content.split(b"\n")
    for at in sorted(draw.sample(range(len(lines)), min(4, len(lines)))):
        yield f"{name}: without line {at}", b"\n".join(lines[:at] + lines[at + 1 :])
        yield f"{name}: line {at} twice", b"\n".join(lines[: at + 1] + lines[at:])


def _hostile_text() -> Iterator[tuple[str, bytes]]:
    raw = samples()["ncu raw"]
    header, units, row = raw.split(b"\n")[:3]
    many = b",".join(b'"a__m%d.sum"' % index for index in range(120_000))
    yield "hostile: 120000 columns", header + b"," + many + b"\n"
    yield "hostile: a line of 20 MB", header + b"\n" + units + b"\n" + b'"' + b"x" * 20_000_000
    yield "hostile: a cell of 1 MB", raw.replace(b"CachePreferNone", b"x" * 1_000_000)
    yield "hostile: a quote opened for 5000 lines", header + b'\n"' + b"x\n" * 5000
    yield "hostile: a number of 100000 digits", raw.replace(b"2,560,000", b"9" * 100_000)
    yield "hostile: an exponent", raw.replace(b"1,234.56", b"1e9999")
    yield "hostile: a large exponent", raw.replace(b"1,234.56", b"1.5e999999999")
    yield "hostile: 100000 headers", (header + b"\n") * 3000
    yield "hostile: only quotes", header + b"\n" + b'"' * 100_001
    yield "hostile: commas", header + b"\n" + b"," * 100_000
    yield "hostile: a name of 1 MB", raw.replace(b"saxpy(", b"s" * 100_000 + b"(")
    yield "hostile: brackets", raw.replace(b"saxpy(", b"<" * 60_000)
    yield (
        "hostile: back references",
        raw.replace(
            b"saxpy(int, float, const float *, float *)",
            b"_Z1f" + b"".join(b"I1%cS%d_S%d_" % (65 + n % 26, n, n) for n in range(30)) + b"Ev",
        ),
    )
    yield "hostile: dots for a grid", raw.replace(b"(16, 1, 1)", b"(1.6, 1, 1)")
    yield "hostile: a large grid", raw.replace(b"(16, 1, 1)", b"(" + b"9" * 400 + b", 1, 1)")
    yield (
        "hostile: 200000 rows of one launch",
        header.replace(
            b'"gpu__time_duration.sum"',
            b'"Section Name","Metric Name","Metric Unit","Metric Value"',
        )
        + b"\n"
        + (row + b"\n") * 50_000,
    )
    text = samples()["nvprof text"]
    yield "hostile: nvprof exponent", text.replace(b"2000\n", b"1e999\n")
    yield "hostile: nvprof instances", text.replace(b"inst_executed", b"i (999999 instances)")
    yield "hostile: nvprof digits", text.replace(b"2000\n", b"9" * 100_000 + b"\n")
    yield "hostile: nvprof invocations", text.replace(b"          2  ", b"9" * 5000 + b"  ")
    yield "hostile: nvprof blanks", text + b" " * 5_000_000 + b"x"
    trace = samples()["nvprof trace"]
    yield "hostile: trace of grids", trace.replace(b",8,2,1,", b"," + b"9" * 5000 + b",2,1,")
    yield "hostile: trace memory", trace.replace(b"4.500000", b"4.5e300")
    yield "hostile: only line breaks", b"\n" * 2_000_000 + raw
    yield "hostile: binary", bytes(range(256)) * 100
    yield "hostile: UTF-16 with half a character", samples()["ncu raw utf-16"] + b"\x00"
    yield "hostile: UTF-16 lone surrogates", b"\xff\xfe" + b"\x00\xd8" * 1000
    yield "hostile: UTF-16 shifted", b"\xff\xfe\x00" + samples()["ncu raw utf-16"][2:]


def _hostile_database(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    export = samples()["nvprof sqlite"]
    for page in range(len(export) // 4096):
        changed = bytearray(export)
        changed[page * 4096 + (100 if page == 0 else 0)] = draw.randrange(256)
        yield f"sqlite: type of page {page}", bytes(changed)
    for offset in range(16, 100, 6):
        changed = bytearray(export)
        changed[offset : offset + 4] = struct.pack(">I", draw.randrange(2**32))
        yield f"sqlite: header at {offset}", bytes(changed)
    for number in range(60):
        changed = bytearray(export)
        for _ in range(10):
            changed[draw.randrange(100, len(changed))] = draw.randrange(256)
        yield f"sqlite: ten bytes, {number}", bytes(changed)
    yield "sqlite: zeros behind the header", export[:100] + bytes(len(export) - 100)
    yield "sqlite: empty database", export[:4096]
    yield "sqlite: longer than told", export + b"x" * 5000
