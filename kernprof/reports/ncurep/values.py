"""Metric values: scalars at once, instances when they are asked for."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.profile import InstanceTable, MetricValue
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.frame import parse
from kernprof.text import clean

# Tags of the message Value: field number << 3 | wire type.
_TAG_DOUBLE = 0x19
_TAG_UINT64 = 0x28

_WIDE = 3
"""Where the value starts when the index of the name takes two bytes."""

_SUSPICIOUS = (b"\x12\x00", b"\x0a\x09\x19", b"\x0a\x05\x15")
"""How an instance without a value starts its value, and one whose key is a fraction its key.

Sound instances can hold these bytes too; they only tell that a closer look is due.
"""

_CONTINUED = bytes(range(0x80, 0x100))
"""Bytes of a varint that another byte follows."""


@dataclass(frozen=True)
class Names:
    """The metric names of a report, by index and by the bytes that spell the index."""

    by_index: Sequence[str]

    @cached_property
    def by_code(self) -> Mapping[int, str]:
        """Name by the little-endian value of its index's varint, for one and two bytes."""
        found = dict(enumerate(self.by_index[:128]))
        for index, name in enumerate(self.by_index[128:16384], 128):
            found[0x80 | index & 0x7F | (index >> 7) << 8] = name
        return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a metric of a given length is laid out if it is a plain one.

    Tag and index of the name; ``signature`` (tag and length of the value, tag of its kind) at
    ``start``; the value; a category or none. ``pattern`` takes index and value out.
    """

    start: int
    signature: bytes
    pattern: struct.Struct
    small: bool
    category: bool


def _layouts() -> dict[int, _Layout]:
    found = {}
    for wide in (False, True):
        index = "H" if wide else "B"
        start = _WIDE if wide else _WIDE - 1
        for small in (False, True):
            value, size = ("B", 1) if small else ("d", 8)
            signature = bytes([0x12, size + 1, _TAG_UINT64 if small else _TAG_DOUBLE])
            for category in (False, True):
                pattern = f"<x{index}3x{value}" + ("2x" if category else "")
                layout = _Layout(start, signature, struct.Struct(pattern), small, category)
                found[layout.pattern.size] = layout
    return found


# No two layouts have the same length, so the length tells the layout.
_LAYOUTS = _layouts()


def plain_values(raws: Iterable[bytes], names: Names) -> tuple[dict[str, MetricValue], list[bytes]]:
    """Decode those metrics of a launch that are one double or one small integer, in bulk.

    Nearly all are. One ``struct`` call decodes all metrics of one layout, which is several times
    faster than a message object for each.

    Parameters
    ----------
    raws
        The encoded metrics of one launch.
    names
        Names of the report.

    Returns
    -------
    tuple
        The decoded values by name, and the metrics of any other layout. Where a name repeats or an
        index is out of range nothing is decoded and all are returned, for decoding one by one with
        all checks.
    """
    by_size: dict[int, list[bytes]] = {}
    everything: list[bytes] = []
    for raw in raws:
        everything.append(raw)
        by_size.setdefault(len(raw), []).append(raw)
    values: dict[str, MetricValue] = {}
    rest: list[bytes] = []
    decoded = 0
    codes = names.by_code
    for size, members in by_size.items():
        layout = _LAYOUTS.get(size)
        if layout is None:
            rest += members
            continue
        packed = b"".join(members)
        if not _all_fit(packed, layout):
            # Columns tell that some member is laid out otherwise; rows tell which.
            fitting = [_all_fit(raw, layout) for raw in members]
            rest += [raw for raw, fits in zip(members, fitting, strict=True) if not fits]
            members = [raw for raw, fits in zip(members, fitting, strict=True) if fits]
            packed = b"".join(members)
        decoded += len(members)
        try:
            for code, value in layout.pattern.iter_unpack(packed):
                values[codes[code]] = value
        except KeyError:
            return {}, everything
    if len(values) < decoded:
        return {}, everything
    return values, rest


def _all_fit(packed: bytes, layout: _Layout) -> bool:
    """Tell whether all metrics of a packed row of them have this layout, column by column."""
    size, start = layout.pattern.size, layout.start
    rows = len(packed) // size
    columns = [packed[start + i :: size] for i in range(3)]
    fits = packed[0::size].count(0x08) == rows and packed[start - 1 :: size].isascii()
    fits = fits and all(
        column.count(byte) == rows for column, byte in zip(columns, layout.signature, strict=True)
    )
    if start == _WIDE:
        fits = fits and not packed[1::size].translate(None, _CONTINUED)
    if layout.small:
        fits = fits and packed[start + 3 :: size].isascii()
    if layout.category:
        fits = fits and packed[size - 2 :: size].count(0x20) == rows
        fits = fits and packed[size - 1 :: size].isascii()
    return fits


def integer(raw: bytes) -> tuple[int, int] | None:
    """Decode a metric that is a single unsigned integer into (index of its name, value).

    Returns None for every other metric. Integers are the most frequent metrics of no fixed length.
    """
    index, at = raw[1], 2
    if index > 0x7F:
        index, at = index & 0x7F | raw[2] << 7, 3
        if raw[2] > 0x7F:
            return None
    size = len(raw)
    if raw[0] != 0x08 or size < at + 4 or raw[at] != 0x12 or raw[at + 2] != _TAG_UINT64:
        return None
    end = at + 2 + raw[at + 1]
    if end > size:
        return None
    value = shift = 0
    for byte in raw[at + 3 : end]:
        value |= (byte & 0x7F) << shift
        shift += 7
    ended = end == size or (end == size - 2 and raw[end] == 0x20 and raw[end + 1] < 0x80)
    terminated = end > at + 3 and raw[end - 1] < 0x80
    single = all(byte > 0x7F for byte in raw[at + 3 : end - 1])
    if not (ended and terminated and single) or value >= 1 << 64:
        return None
    return index, value


def scalar(raw: bytes, where: str, limits: Limits) -> MetricValue | None:
    """Decode a metric value; None for a value with no field set.

    Raises
    ------
    DamagedReportError
        The bytes are no value.
    """
    return _general(parse("Value", raw, where), limits.name_chars, where)


def _general(value: Any, name_chars: int, where: str) -> MetricValue | None:
    fields = value.ListFields()
    if not fields:
        return None
    if len(fields) > 1:
        kinds = ", ".join(field.name for field, _ in fields)
        raise DamagedReportError(f"one value of several kinds: {kinds}", where=where)
    field, content = fields[0]
    if field.name == "String":
        return clean(content.decode("utf-8", "replace"), name_chars)
    result: MetricValue = content
    return result


@dataclass(frozen=True)
class LazyInstances:
    """The instances of one metric: checked when the report was read, decoded when asked for.

    ``keys`` are load addresses of instructions (int), opcodes or other names (str), or None where
    the report only numbers instances.
    """

    raw: bytes
    name_chars: int

    @property
    def keys(self) -> Sequence[int | str | None]:
        """What each value belongs to."""
        return self._table.keys

    @property
    def values(self) -> Sequence[MetricValue]:
        """The values, in base units."""
        return self._table.values

    @cached_property
    def _table(self) -> InstanceTable:
        items = parse("MetricInstances", self.raw, "instances").MetricValueList
        pairs = [_instance(item, self.name_chars, "instances") for item in items]
        return InstanceTable(tuple(key for key, _ in pairs), tuple(value for _, value in pairs))


def _instance(item: Any, name_chars: int, where: str) -> tuple[int | str | None, MetricValue]:
    value = _general(item.ElementValue, name_chars, where)
    if value is None:
        raise DamagedReportError("an instance without a value", where=where)
    key = (
        _general(item.CorrelationId, name_chars, where) if item.HasField("CorrelationId") else None
    )
    if isinstance(key, float):
        raise DamagedReportError(
            f"an instance that belongs to {key}; expected an address, a name or nothing",
            where=where,
        )
    return key, value


def instances(metric: Any, where: str, limits: Limits) -> LazyInstances:
    """Check the instances of a metric and keep them packed.

    Raises
    ------
    DamagedReportError
        One of them is no instance.
    LimitExceededError
        There are more than the limits allow.
    """
    count = len(metric.MetricValueList)
    if count > limits.instances_per_metric:
        raise LimitExceededError(
            f"{count} instances of one metric; the limit is {limits.instances_per_metric}",
            where=where,
        )
    checked = parse("MetricInstances", metric.SerializeToString(), where)
    if len(checked.MetricValueList) != count:
        raise DamagedReportError("instances were lost on decoding", where=where)
    # Written anew by protobuf, each message has one spelling, so that a search finds the bad ones.
    raw: bytes = checked.SerializeToString()
    if any(sign in raw for sign in _SUSPICIOUS):
        for item in checked.MetricValueList:
            _instance(item, limits.name_chars, where)
    return LazyInstances(raw, limits.name_chars)
