"""Writes Nsight Compute reports byte by byte, from plain values.

Shares no code and no table with the reader: field numbers are written out here a second time, from
NVIDIA's Customization Guide ("Report File Format").
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

Scalar = float | int | str


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def text(number: int, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def scalar(value: Scalar) -> bytes:
    if isinstance(value, str):
        return text(1, value)
    return double(3, value) if isinstance(value, float) else integer(5, value)


def framed(message: bytes) -> bytes:
    return struct.pack("<I", len(message)) + message


@dataclass
class Launch:
    """One kernel launch; ``instances`` is metric -> {key: value}."""

    kernel: str = "gemv2T"
    mangled: str = "gemv2T"
    demangled: str = ""
    grid: tuple[int, int, int] = (4, 2, 1)
    block: tuple[int, int, int] = (128, 1, 1)
    metrics: Mapping[str, Scalar | None] = field(default_factory=dict)
    instances: Mapping[str, Mapping[Scalar | None, Scalar]] = field(default_factory=dict)
    thread_id: int = 7
    source: int = 0
    nvtx: Sequence[str] = ()
    rules: Sequence[tuple[str, *tuple[tuple[int, str], ...]]] = ()
    comment: str = ""
    clock_locked: bool | None = None
    extra: bytes = b""


def extent(number: int, values: Sequence[int]) -> bytes:
    return text(number, b"".join(integer(i + 1, v) for i, v in enumerate(values)))


def nvtx(thread_id: int, names: Sequence[str]) -> bytes:
    stack = integer(1, 0) + b"".join(text(3, text(1, name)) for name in names)
    return text(2, integer(1, thread_id) + text(2, stack))


def rule(identifier: str, *messages: tuple[int, str]) -> bytes:
    """One rule result; the n-th of its messages estimates a speed-up of 12.5 (n + 1) percent."""
    items = b""
    for index, (kind, message) in enumerate(messages):
        said = text(1, text(1, message) + integer(2, kind))
        items += text(1, said + text(10, integer(1, 1) + double(2, 12.5 * (index + 1))))
    return text(1, identifier) + text(2, f"{identifier} name") + text(3, items)


def result(launch: Launch, ids: Mapping[str, int]) -> bytes:
    out = integer(1, launch.thread_id) + integer(2, 0) + integer(3, 0) + integer(4, 0)
    out += text(5, launch.mangled) + text(6, launch.kernel) + text(7, launch.demangled)
    out += integer(8, 3) + extent(9, (0, 0, 0))
    out += extent(10, launch.grid) + extent(11, launch.block)
    for name in dict.fromkeys([*launch.metrics, *launch.instances]):
        metric = integer(1, ids[name])
        value = launch.metrics.get(name)
        if value is not None:
            metric += text(2, scalar(value))
        for key, element in launch.instances.get(name, {}).items():
            correlation = b"" if key is None else text(1, scalar(key))
            metric += text(3, correlation + text(2, scalar(element)))
        out += text(13, metric)
    if launch.comment:
        out += text(12, launch.comment)
    out += text(15, integer(1, launch.source))
    for item in launch.rules:
        out += text(19, rule(*item))
    if launch.nvtx:
        out += text(21, nvtx(launch.thread_id, launch.nvtx))
    if launch.clock_locked is not None:
        out += text(25, integer(1, 1) + integer(2, int(launch.clock_locked)))
    return out + launch.extra


def block(
    *,
    strings: Iterable[str | bytes] = (),
    sources: Sequence[bytes] = (),
    results: Sequence[bytes] = (),
    session: bytes = b"",
    payload_size: int | None = None,
    counts: Mapping[int, int] | None = None,
    extra: bytes = b"",
) -> bytes:
    payload = b"".join(framed(entry) for entry in (*sources, *results))
    numbers: dict[int, int] = {1: len(sources), 2: len(results), **(counts or {})}
    header = b"".join(integer(number, value) for number, value in numbers.items())
    if session:
        header += text(3, session)
    header += text(4, b"".join(text(1, s) for s in strings))
    header += integer(5, len(payload) if payload_size is None else payload_size)
    return framed(header + extra) + payload


def session(version: str = "2024.1.0.0", comment: str = "", command: str = "") -> bytes:
    """Session details with what must never be kept: user, host, path, environment."""
    host = text(1, "Linux") + text(5, "secrethost")
    program = (
        text(1, "/home/secretuser/app") + text(2, "/home/secretuser") + text(4, "TOKEN=secret")
    )
    out = integer(1, 1) + text(3, host) + text(4, host)
    if comment:
        out += text(7, comment)
    for provider, number in (("CUDA Version", "12.4"), ("Nsight Compute Target", version)):
        out += text(8, text(1, provider) + text(2, number))
    return out + text(9, program) + text(11, f"/home/secretuser/ncu {command}")


def head(version: int = 7) -> bytes:
    return b"NVR\x00" + framed(integer(1, version))


def source(
    cubin: bytes,
    reference: int,
    functions: Sequence[tuple[int, int]],
    symbols: Sequence[str] = (),
    **files: str,
) -> bytes:
    """A source entry; ``functions`` are addresses and indices in the cubin's symbol table."""
    out = integer(1, reference) + (text(4, cubin) if cubin else b"")
    if files:
        out += text(8, b"".join(text(1, text(1, n) + text(2, t)) for n, t in files.items()))
    loaded = b""
    for (address, index), symbol in zip_longest(functions, symbols):
        name = text(1, symbol) if symbol else b""
        loaded += text(1, name + integer(2, address) + integer(3, index))
    return out + text(9, loaded)


def names_of(launches: Sequence[Launch]) -> dict[str, int]:
    names: dict[str, int] = {}
    for launch in launches:
        for name in (*launch.metrics, *launch.instances):
            names.setdefault(name, len(names))
    return names


def report(launches: Sequence[Launch], **session_fields: Any) -> bytes:
    """A whole report: a session block and one block with everything else."""
    ids = names_of(launches)
    return (
        head()
        + block(session=session(**session_fields))
        + block(strings=ids, results=[result(launch, ids) for launch in launches])
    )
