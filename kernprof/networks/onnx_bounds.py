"""ONNX models cut down to their structure, and bounds on it.

A file is mostly weights, whose values tell nothing about shapes. ``structure`` copies a model
without them, field by field in Protocol Buffers' wire format, so that a file of gigabytes costs
neither their memory nor their parsing. ``check`` bounds what is left before anything walks over it.
Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from kernprof.errors import NetworkFileError
from kernprof.networks.limits import LIMITS, NetworkLimits

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_COPIED_BYTES = 16_384
"""Messages up to this size are copied whole: their values may be shapes."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is done with the fields of a message type: descended into, dropped, or copied."""

    inner: Mapping[int, str]
    dropped: frozenset[int] = frozenset()


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "model": _Kind({7: "graph", 25: "function"}, frozenset({6, 14, 20})),
        "graph": _Kind(
            {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
            frozenset({10, 14, 16}),
        ),
        "function": _Kind({7: "node", 11: "attribute", 12: "value"}, frozenset({8, 14})),
        "node": _Kind({5: "attribute"}, frozenset({6, 9})),
        "attribute": _Kind(
            {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
            frozenset({13}),
        ),
        "sparse": _Kind({1: "tensor", 2: "tensor"}),
        "value": _Kind({2: "type"}, frozenset({3, 4})),
        "type": _Kind({1: "shaped", 4: "element", 5: "element", 8: "shaped", 9: "element"}),
        "element": _Kind({1: "type", 2: "type"}),
        "shaped": _Kind({2: "shape"}),
        "shape": _Kind({1: "dimension"}),
        "dimension": _Kind({}),
        # All kinds of values, where they are kept outside, and comments.
        "tensor": _Kind({}, frozenset({4, 5, 6, 7, 9, 10, 11, 12, 13, 16})),
    }
)


def structure(stream: BinaryIO, size: int, limits: NetworkLimits = LIMITS) -> bytes:
    """Copy a serialised model without the values of its weights and without comments.

    Parameters
    ----------
    stream
        Where the model begins; can be sought.
    size
        Its bytes.
    limits
        Bounds on the fields and on what is left.

    Raises
    ------
    NetworkFileError
        It is no message in wire format, or a limit is broken.
    """
    return _Walker(stream, limits).message(size, "model", 0)


class _Walker:
    def __init__(self, stream: BinaryIO, limits: NetworkLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._fields = 0
        self._kept = 0

    def message(self, size: int, kind: str, depth: int) -> bytes:
        """Copy a message of ``size`` bytes."""
        if depth > self._limits.depth:
            raise NetworkFileError(f"graphs nested more than {self._limits.depth} messages deep")
        end = self._stream.tell() + size
        rules = _KINDS[kind]
        parts: list[bytes] = []
        while self._stream.tell() < end:
            self._fields += 1
            if self._fields > self._limits.onnx_fields:
                raise NetworkFileError(
                    f"more than {self._limits.onnx_fields} fields; networks have fewer"
                )
            tag = self._varint()
            number, wire = tag >> 3, tag & 7
            length = self._length(wire, end)
            if number in rules.dropped:
                self._stream.seek(length, 1)
                continue
            parts.append(_encoded(tag))
            if number in rules.inner and wire == 2 and length > _COPIED_BYTES:
                inner = self.message(length, rules.inner[number], depth + 1)
                parts += (_encoded(len(inner)), inner)
                continue
            if wire == 2:
                parts.append(_encoded(length))
            self._kept += length
            if self._kept > self._limits.onnx_structure_bytes:
                raise NetworkFileError(
                    f"more than {self._limits.onnx_structure_bytes} bytes without the weights; "
                    "networks have less"
                )
            parts.append(self._stream.read(length))
        return b"".join(parts)

    def _length(self, wire: int, end: int) -> int:
        """Bytes of a field's value, from where the stream is."""
        start = self._stream.tell()
        if wire == 0:
            self._varint()
            length = self._stream.tell() - start
            self._stream.seek(start)
        elif wire == 2:
            length = self._varint()
            start = self._stream.tell()
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise NetworkFileError(f"not an ONNX model (byte {start} has wire type {wire})")
        if start + length > end:
            raise NetworkFileError(
                f"not an ONNX model, or cut short (byte {start}: a field of {length} bytes, "
                f"{end - start} are left)"
            )
        return length

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._stream.read(1)
            if not byte:
                raise NetworkFileError("not an ONNX model, or cut short (it ends inside a field)")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise NetworkFileError("not an ONNX model (a number of more than ten bytes)")


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def check(model: ModelProto, limits: NetworkLimits = LIMITS) -> None:
    """Bound a parsed model before its shapes are inferred.

    Raises
    ------
    NetworkFileError
        A limit is broken, or a function calls itself.
    """
    graph = model.graph
    try:
        nodes = _Counter(model).nodes(graph.node)
    except RecursionError:
        raise NetworkFileError("graphs and functions are nested too deeply to be read") from None
    if nodes > limits.layers:
        raise NetworkFileError(
            f"{nodes} nodes, those of functions and subgraphs included; at most {limits.layers} "
            "are read"
        )
    values = (*graph.input, *graph.value_info, *graph.output)
    tensors = len(graph.initializer) + len(values)
    if tensors > limits.tensors:
        raise NetworkFileError(
            f"{tensors} weights and tensors with a shape; at most {limits.tensors} are read"
        )
    for tensor in graph.initializer:
        check_rank(tensor.name, len(tensor.dims), limits)
    for value in values:
        check_rank(value.name, len(value.type.tensor_type.shape.dim), limits)
    for index, node in enumerate(graph.node):
        if max(len(node.input), len(node.output)) > limits.inputs:
            raise NetworkFileError(
                f"node {index} has {len(node.input)} inputs and {len(node.output)} outputs; at "
                f"most {limits.inputs} are read"
            )
        for item in node.attribute:
            check_rank(f"attribute {item.name}", len(item.t.dims), limits)
            if max(len(item.ints), len(item.floats), len(item.strings)) > limits.list_values:
                raise NetworkFileError(
                    f"node {index}: attribute {item.name[:60]!r} has more than "
                    f"{limits.list_values} values"
                )


def check_rank(name: str | bytes, rank: int, limits: NetworkLimits = LIMITS) -> None:
    """Refuse a tensor of more dimensions than any has.

    Raises
    ------
    NetworkFileError
        It has more.
    """
    if rank > limits.rank:
        raise NetworkFileError(
            f"{name[:60]!r} has {rank} dimensions; at most {limits.rank} are read"
        )


class _Counter:
    """Counts nodes as often as they are run: a function's at each of its calls."""

    def __init__(self, model: ModelProto) -> None:
        self._functions: dict[tuple[Any, ...], Any] = {
            (one.domain, one.name, one.overload): one for one in model.functions
        }
        self._known: dict[tuple[Any, ...], int] = {}
        self._open: set[tuple[Any, ...]] = set()

    def nodes(self, nodes: Iterable[NodeProto]) -> int:
        """Count the nodes of a graph or function."""
        return sum(self._node(node) for node in nodes)

    def _node(self, node: NodeProto) -> int:
        count = 1
        for item in node.attribute:
            count += self.nodes(item.g.node) + sum(self.nodes(one.node) for one in item.graphs)
        key = (node.domain, node.op_type, node.overload)
        if key in self._functions:
            count += self._function(key)
        return count

    def _function(self, key: tuple[Any, ...]) -> int:
        if key in self._open:
            raise NetworkFileError(f"the function {str(key[1])[:60]!r} calls itself")
        if key not in self._known:
            if len(self._open) > _MOST_CALLS:
                raise NetworkFileError(f"functions call each other more than {_MOST_CALLS} deep")
            self._open.add(key)
            self._known[key] = self.nodes(self._functions[key].node)
            self._open.discard(key)
        return self._known[key]


_MOST_CALLS = 64
