"""Damaged Nsight Compute reports: (label, content, launches that must survive).

The launch count is what a reader may report if the damage only changed a value.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Iterator

import ncurep_builder as build
import zstandard

LAUNCHES = 3

CORE = (
    "long_scoreboard",
    "short_scoreboard",
    "wait",
    "barrier",
    "membar",
    "math_pipe_throttle",
    "mio_throttle",
    "lg_throttle",
    "no_instruction",
    "dispatch_stall",
    "drain",
    "sleeping",
    "misc",
    "not_selected",
    "selected",
)


def sound() -> bytes:
    """A report with everything a reader looks at."""
    stalls: dict[str, build.Scalar | None] = {
        f"smsp__average_warps_issue_stalled_{name}_per_issue_active.ratio": 0.5 + index
        for index, name in enumerate(CORE)
    }
    launches = [
        build.Launch(
            kernel=f"kernel_{index}",
            demangled=f"kernel_{index}(float*)",
            metrics={
                **stalls,
                "gpu__time_duration.sum": 1000.0 + index,
                "launch__registers_per_thread": 32,
                "device__attribute_display_name": "A100",
            },
            instances={
                "inst_executed": {0x7F0000000000 + 16 * n: 10 + n for n in range(8)},
                "smsp__pcsamp_warps_issue_stalled_wait": {0x7F0000000010: 4},
            },
            nvtx=("range",),
            rules=(("CPIStall", (4, "message")),),
            clock_locked=True,
            source=1,
        )
        for index in range(LAUNCHES)
    ]
    ids = build.names_of(launches)
    return (
        build.head()
        + build.block(session=build.session())
        + build.block(sources=[build.source(b"\x7fELF" + b"\x00" * 60, 1, [(0x7F0000000000, 1)])])
        + build.block(strings=ids, results=[build.result(launch, ids) for launch in launches])
    )


def cases(seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield every damaged input; always the same ones for a seed."""
    whole = sound()
    yield from _cuts(whole)
    yield from _flips(whole, random.Random(seed))
    yield from _lengths(whole)
    yield from _foreign(whole)
    yield from _floods()
    yield from _compressed(whole)


def _cuts(whole: bytes) -> Iterator[tuple[str, bytes]]:
    for index in range(60):
        at = len(whole) * index // 60
        yield f"cut at {at}", whole[:at]
    for back in range(1, 21):
        yield f"cut {back} from the end", whole[:-back]


def _flips(whole: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    for index in range(160):
        damaged = bytearray(whole)
        for _ in range(1 + index % 3):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        yield f"flip {index}", bytes(damaged)
    for index in range(40):
        damaged = bytearray(whole)
        at = rng.randrange(len(damaged))
        damaged[at : at + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(1, 64))
        yield f"overwritten run {index}", bytes(damaged)
    for index in range(20):
        at = rng.randrange(len(whole))
        yield (
            f"inserted bytes {index}",
            whole[:at] + rng.randbytes(rng.randrange(1, 9)) + whole[at:],
        )


def _lengths(whole: bytes) -> Iterator[tuple[str, bytes]]:
    for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        for place in (4, 10):
            damaged = bytearray(whole)
            damaged[place : place + 4] = struct.pack("<I", value)
            yield f"length {value:#x} at byte {place}", bytes(damaged)
        yield (
            f"entry of {value:#x}",
            build.head() + build.block(results=[b"x"])[:-5] + struct.pack("<I", value) + b"x",
        )
    for number in (1, 2, 7, 8, 9):
        yield (
            f"4e9 entries in field {number}",
            build.head() + build.block(counts={number: 4_000_000_000}),
        )
    yield "payload too small", build.head() + build.block(results=[b"abcd"], payload_size=7)
    yield "payload too large", build.head() + build.block(results=[b"abcd"], payload_size=4096)


def _foreign(whole: bytes) -> Iterator[tuple[str, bytes]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("report.ncu-rep", whole)
    yield "empty", b""
    yield "text", b"this is no report\n" * 50
    yield "zip", archive.getvalue()
    yield "gzip", gzip.compress(whole)
    yield "ELF", b"\x7fELF" + b"\x02" * 100
    yield "wrong magic", b"NVS\x00" + whole[4:]
    yield "magic only", b"NVR\x00"
    yield "magic of another case", b"nvr\x00" + whole[4:]
    yield "zeros", bytes(4096)
    yield "ones", b"\xff" * 4096
    yield "random", random.Random(2).randbytes(65536)
    yield "magic and random", b"NVR\x00" + random.Random(3).randbytes(65536)
    yield "garbage behind the end", whole + b"\xa5" * 64
    yield "zeros behind the end", whole + bytes(64)
    yield "two reports in one", whole + whole
    for version in (0, 1, 5, 6, 8, 99):
        yield f"version {version}", build.head(version) + whole[len(build.head()) :]


def _floods() -> Iterator[tuple[str, bytes]]:
    head = build.head()
    yield "1e6 empty blocks", head + bytes(4_000_000)
    yield "3e5 blocks", head + build.block() * 300_000
    yield "1e7 entries of no bytes", head + _block_of_zero_entries(10_000_000)
    yield "5e6 empty metrics", head + build.block(results=[b"\x6a\x00" * 5_000_000])
    ids = {"x": 0}
    many = build.text(13, build.integer(1, 0) + b"\x1a\x00" * 3_000_000)
    launch = build.Launch(extra=many)
    yield (
        "3e6 empty instances",
        head + build.block(strings=ids, results=[build.result(launch, ids)]),
    )
    rules = build.Launch(metrics={"x": 1.0}, extra=b"\x9a\x01\x00" * 2_000_000)
    yield "2e6 empty rules", head + build.block(strings=ids, results=[build.result(rules, ids)])
    yield "2e6 empty names", head + build.block(strings=[b""] * 2_000_000)
    deep = b"\x0a\x00"
    for _ in range(2000):
        deep = build.text(3, deep)
    yield "nesting", head + build.block(results=[deep])
    yield from _small_parts(head)
    yield "50 MB of name", build.report([build.Launch(kernel="k" * 50_000_000)])


def _small_parts(head: bytes) -> Iterator[tuple[str, bytes]]:
    """Floods of parts that are sound, or nearly so, and as short as they can be."""
    ids = {"x": 0}

    def launches(extra: bytes, count: int = 1, name: str = "x") -> bytes:
        launch = build.Launch(mangled="", metrics={"x": 1}, extra=extra)
        return head + build.block(strings=[name], results=[build.result(launch, ids)] * count)

    metric = [build.text(13, build.integer(1, 0) + build.text(2, build.scalar(n))) for n in (0, 1)]
    yield "5e5 repeated metrics", launches(metric[0] * 99_000, 5)
    yield "1e5 contradictions of a long name", launches(b"".join(metric) * 49_000, 2, "x" * 60_000)
    yield "3e5 launches", launches(b"", 300_000)
    empty = build.integer(1, 0) + b"\x1a\x00" * 1_900_000
    yield "2e6 instances of nothing", launches(build.text(13, empty))
    bare = build.integer(1, 0) + build.text(3, build.text(2, b"")) * 1_900_000
    yield "2e6 instances without a value", launches(build.text(13, bare))
    items = build.text(1, "") + build.text(2, "") + build.text(3, b"\x0a\x00" * 9_900)
    yield "5e6 items of rules", launches(build.text(19, items), 500)
    named = build.text(1, build.integer(1, 1) + build.text(2, "d" * 60_000))
    stack = build.text(2, build.integer(1, 1) + build.text(3, build.text(1, "")) * 9_900)
    ranges = build.text(21, named + build.text(2, build.integer(1, 7) + stack))
    yield "3e6 ranges of a domain with a long name", launches(ranges, 300)
    functions = build.integer(1, 1) + build.text(9, b"\x0a\x00" * 3_000_000)
    yield "3e6 functions", head + build.block(strings=["x"], sources=[functions])
    files = build.integer(1, 1) + build.text(8, build.text(1, build.text(1, "")) * 3_000_000)
    yield "3e6 source files", head + build.block(strings=["x"], sources=[files])
    version = build.text(8, build.text(1, "") + build.text(2, ""))
    yield "3e6 versions", head + build.block(session=version * 3_000_000)
    whole = launches(b"")
    entry = whole.rindex(build.text(6, "gemv2T"))
    for number, content in (
        (8, build.integer(8, 3)),
        (10, build.extent(10, (4, 2, 1))),
        (15, build.text(15, build.integer(1, 0))),
    ):
        at = whole.index(content, entry)
        damaged = bytearray(whole)
        # As field 14, which nobody needs; the required one is missing then.
        damaged[at] = 14 << 3 | (content[0] & 7)
        yield f"required field {number} renumbered", bytes(damaged)


def _block_of_zero_entries(count: int) -> bytes:
    payload = bytes(4 * count)
    header = build.integer(2, count) + build.text(4, b"") + build.integer(5, len(payload))
    return build.framed(header) + payload


def _compressed(whole: bytes) -> Iterator[tuple[str, bytes]]:
    packed = zstandard.ZstdCompressor(level=19).compress(whole)
    for index in range(12):
        yield f"compressed, cut {index}", packed[: len(packed) * index // 12]
    rng = random.Random(4)
    for index in range(24):
        damaged = bytearray(packed)
        damaged[rng.randrange(4, len(damaged))] ^= 1 << rng.randrange(8)
        yield f"compressed, flip {index}", bytes(damaged)
    yield "data behind the stream", packed + b"tail"
    yield "magic of zstd only", packed[:4]
    for size in (4 << 20, 64 << 20, 1 << 30):
        yield f"bomb of {size} zeros", _bomb(b"NVR\x00", size)
        yield f"bomb behind a sound report of {size}", _bomb(whole, size)
    yield "bomb in a bomb", zstandard.ZstdCompressor(level=3).compress(_bomb(b"NVR\x00", 64 << 20))


def _bomb(start: bytes, size: int) -> bytes:
    out = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(out, closefd=False) as writer:
        writer.write(start)
        for _ in range(size >> 20):
            writer.write(bytes(1 << 20))
    return out.getvalue()
