"""Metric values: scalars at once, instances when they are asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kernprof.errors import DamagedReportError, LimitExceededError
from kernprof.profile import InstanceTable, MetricValue
from kernprof.reports.base import Limits
from kernprof.reports.ncurep.frame import parse
from kernprof.reports.text import clean

_DOUBLE = struct.Struct("<d").unpack_from
_FLOAT = struct.Struct("<f").unpack_from

# Tags of the message Value: field number << 3 | wire type.
_TAG_STRING = 0x0A
_TAG_FLOAT = 0x15
_TAG_DOUBLE = 0x19
_TAG_UINT32 = 0x20
_TAG_UINT64 = 0x28


def scalar(raw: bytes, where: str, limits: Limits) -> MetricValue | None:
    """Decode a metric value; None for a value with no field set.

    Almost every value is a single double or a short integer; these are decoded here, all others by
    protobuf.

    Raises
    ------
    DamagedReportError
        The bytes are no value.
    """
    size = len(raw)
    if size == 9 and raw[0] == _TAG_DOUBLE:
        value: float = _DOUBLE(raw, 1)[0]
        return value
    if size > 1 and raw[0] in (_TAG_UINT64, _TAG_UINT32):
        number = raw[1]
        if size == 2 and number < 128:
            return number
    if not raw:
        return None
    return _general(parse("Value", raw, where), limits)


def _general(value: Any, limits: Limits) -> MetricValue | None:
    for field, content in value.ListFields():
        if field.name == "String":
            return clean(content.decode("utf-8", "replace"), limits.name_chars)
        result: MetricValue = content
        return result
    return None


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
        limits = Limits(name_chars=self.name_chars)
        keys: list[int | str | None] = []
        values: list[MetricValue] = []
        for item in parse("MetricInstances", self.raw, "instances").MetricValueList:
            value = _general(item.ElementValue, limits)
            if value is None:
                continue
            key = _general(item.CorrelationId, limits) if item.HasField("CorrelationId") else None
            keys.append(int(key) if isinstance(key, float) else key)
            values.append(value)
        return InstanceTable(tuple(keys), tuple(values))


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
    raw: bytes = metric.SerializeToString()
    checked = parse("MetricInstances", raw, where)
    if len(checked.MetricValueList) != count:
        raise DamagedReportError("instances were lost on decoding", where=where)
    return LazyInstances(raw, limits.name_chars)
