"""The reader object for Nsight Compute's binary reports."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kernprof.errors import (
    DamagedReportError,
    LimitExceededError,
    ReportError,
)
from kernprof.profile import KernelProfile, Report
from kernprof.reports.base import Candidate, Limits
from kernprof.reports.ncurep import details
from kernprof.reports.ncurep.frame import (
    MAGIC,
    VERSION,
    Block,
    Buffer,
    FileBuffer,
    blocks,
    parse,
)
from kernprof.reports.ncurep.launch import Context, failed, profile
from kernprof.reports.ncurep.losses import Ledger
from kernprof.reports.ncurep.schema import runtime_is_slow
from kernprof.reports.ncurep.values import Names
from kernprof.text import clean

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PACKED_BYTES = 512
"""A bomb unfolds about 32,000-fold, so this much input makes 16 MiB at the most."""

_FREE_BYTES = 4 << 20
"""Up to here any ratio of compression is believed."""

_LARGEST_RATIO = 200
"""Public reports shrink 4-fold to 50-fold at zstd's level 19; beyond this it is a bomb."""


class NcuRepReader:
    """Reads ``.ncu-rep``, ``.ncu-repz`` and ``.nsight-cuprof-report``."""

    name = "Nsight Compute report"

    def recognises(self, candidate: Candidate) -> bool:
        """Tell by the magic number; a zstd stream is looked into."""
        head = candidate.head
        return head.startswith(MAGIC) or (head.startswith(_ZSTD_MAGIC) and _starts(head))

    def read(self, candidate: Candidate, limits: Limits) -> Report:
        """Read the report.

        Raises
        ------
        ReportError
            One of its subclasses, for whatever is wrong with the content.
        """
        with _content(candidate, limits) as data:
            parts = list(blocks(data, limits))
            context = _context(data, parts, candidate.name, limits)
            return _report(data, parts, context, str(candidate.path))


def _report(data: Buffer, parts: list[Block], context: Context, path: str) -> Report:
    profiles: list[KernelProfile] = []
    position = 0
    ledger = context.ledger
    skipped: dict[str, int] = {}
    for block in parts:
        ledger.fields("BlockHeader", block.header)
        process = _process(block)
        for entry in block.entries:
            if entry.kind == "result":
                where = f"block {block.number}, launch {position}, byte {entry.start}"
                if position >= context.limits.launches:
                    raise LimitExceededError(
                        f"more than {context.limits.launches} launches", where=where
                    )
                result = parse("ProfileResult", data[entry.start : entry.end], where)
                broken = failed(result, position, where, context)
                if broken is not None:
                    ledger.failed.append(broken)
                else:
                    profiles.append(profile(result, position, where, context, process))
                    ledger.launch(profiles[-1])
                position += 1
            elif entry.kind != "source":
                skipped[entry.kind] = skipped.get(entry.kind, 0) + 1
    left_out = ", ".join(f"{count} {kind}" for kind, count in skipped.items())
    if not profiles:
        if ledger.failed:
            raise ReportError(f"no kernel launch succeeded under the profiler: {ledger.failed[0]}")
        if left_out:
            raise ReportError(
                f"no kernel launch, only {left_out} result(s): profile with --replay-mode kernel"
            )
        raise DamagedReportError("the report holds no kernel launch")
    notices = [*ledger.notices()]
    if context.session.silent:
        notices.append(
            "the report tells neither its profiler nor its driver: parts of it may be lost"
        )
    if left_out:
        notices.append(f"{left_out} result(s) are not kernel launches and are not shown")
    if runtime_is_slow():
        notices.append("protobuf runs in pure Python, about 20 times slower than its C runtime")
    return Report(
        path=path,
        format=f"ncu-rep {VERSION}",
        profiles=tuple(profiles),
        notices=tuple(notices),
        session=details.shown(context.session),
    )


def _process(block: Block) -> int | None:
    """Return the number of the process whose launches a block holds; None where it names none."""
    if not block.header.HasField("Process"):
        return None
    number: int = parse("Process", block.header.Process, f"block {block.number}").ProcessID
    return number


def _context(data: Buffer, parts: list[Block], path: str, limits: Limits) -> Context:
    """Collect what launches refer to: a name can stand in a later block than its user."""
    names: list[str] = []
    ledger = Ledger(names)
    sources: list[details.SourceEntry] = []
    session = details.Session({}, None, None, silent=True)
    allowance = details.Allowance(limits)
    for block in parts:
        where = f"block {block.number}"
        table = block.header.StringTable.Strings
        if len(names) + len(table) > limits.names:
            raise LimitExceededError(f"more than {limits.names} names", where=where)
        for raw in table:
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise DamagedReportError("a metric name is not UTF-8", where=where) from None
            name = clean(text, limits.name_chars)
            ledger.cleaned += name != text
            if not name:
                raise DamagedReportError("a metric name without characters", where=where)
            names.append(name)
        if block.header.HasField("SessionDetails"):
            session = details.session(
                block.header.SessionDetails, session, where, limits, allowance
            )
        for entry in block.entries:
            if entry.kind == "source":
                place = f"{where}, source at byte {entry.start}"
                raw = data[entry.start : entry.end]
                sources.append(details.source(raw, place, limits, allowance, ledger))
    return Context(
        Names(names),
        path,
        limits,
        details.modules(sources),
        session,
        allowance,
        ledger,
    )


@contextmanager
def _content(candidate: Candidate, limits: Limits) -> Iterator[Buffer]:
    """Yield the plain content; a compressed one is unpacked to a temporary file first."""
    if not candidate.head.startswith(_ZSTD_MAGIC):
        with candidate.content.open("rb") as file:
            yield FileBuffer(file.fileno())
        return
    with tempfile.TemporaryFile(prefix="kernprof-") as scratch:
        _inflate(candidate.content, scratch, candidate.size_bytes, limits)
        scratch.flush()
        yield FileBuffer(scratch.fileno())


def _inflate(place: Path, scratch: IO[bytes], size_bytes: int, limits: Limits) -> None:
    import zstandard

    allowed = min(limits.decompressed_bytes, max(_FREE_BYTES, _LARGEST_RATIO * size_bytes))
    written = 0
    with place.open("rb") as packed:
        decompressor = zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
        try:
            while chunk := packed.read(_PACKED_BYTES):
                if decompressor.eof:
                    raise DamagedReportError("data behind the end of the compressed stream")
                content = decompressor.decompress(chunk)
                written += len(content)
                if written > allowed:
                    raise LimitExceededError(
                        f"{size_bytes} compressed bytes hold more than {allowed}: not read further"
                    )
                scratch.write(content)
        except zstandard.ZstdError as error:
            raise DamagedReportError(f"the compressed stream is damaged: {error}") from None
    if not decompressor.eof:
        raise DamagedReportError("the compressed stream ends too early")


def _starts(head: bytes) -> bool:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(head)
    try:
        return bool(reader.read(len(MAGIC)) == MAGIC)
    except zstandard.ZstdError:
        # A damaged stream is still more likely a report than anything else that we read.
        return True
