"""Results of a child as bytes that are checked when they are read, and records rebuilt of them.

A tree of dictionaries with text as keys, lists, numbers, texts, None, bytes and numpy arrays is
written as JSON, with the content of bytes and arrays behind it. Nothing in it can name code:
whoever reads decides what becomes of it (:func:`rebuild`).
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
_HEAD_BYTES = 8
_KINDS = "biuf"
_MARK = "$"


def pack(tree: object) -> bytes:
    """Write a tree.

    Raises
    ------
    TypeError
        It holds something else than the module's description says.
    """
    buffers: list[bytes] = []

    def plain(value: object) -> object:
        if isinstance(value, Enum):
            return plain(value.value)
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, bytes):
            buffers.append(value)
            return {_MARK: len(buffers) - 1}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            buffers.append(np.ascontiguousarray(value).tobytes())
            return {_MARK: len(buffers) - 1, "dtype": value.dtype.str, "shape": list(value.shape)}
        if isinstance(value, Mapping):
            return {"map": [[plain(k), plain(v)] for k, v in value.items()]}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if is_dataclass(value) and not isinstance(value, type):
            return plain({f.name: getattr(value, f.name) for f in fields(value)})
        raise TypeError(f"{type(value).__name__} can't be packed")

    head = json.dumps({"tree": plain(tree), "sizes": [len(b) for b in buffers]}).encode()
    return b"".join([len(head).to_bytes(_HEAD_BYTES, "little"), head, *buffers])


def unpack(data: bytes) -> object:
    """Read what :func:`pack` wrote.

    Raises
    ------
    ValueError
        The bytes have another form.
    """
    try:
        size = int.from_bytes(data[:_HEAD_BYTES], "little")
        head = json.loads(data[_HEAD_BYTES : _HEAD_BYTES + size])
        parts: list[memoryview] = []
        at = _HEAD_BYTES + size
        whole = memoryview(data)
        for length in head["sizes"]:
            if not isinstance(length, int) or not 0 <= length <= len(data) - at:
                raise ValueError("a part's size goes beyond the end")
            parts.append(whole[at : at + length])
            at += length
        return _restore(head["tree"], parts)
    except (LookupError, TypeError, AttributeError, RecursionError, UnicodeError) as error:
        raise ValueError(f"not a packed result ({type(error).__name__})") from None


def _restore(value: Any, parts: list[memoryview]) -> object:
    if isinstance(value, list):
        return [_restore(v, parts) for v in value]
    if not isinstance(value, dict):
        return value
    if "map" in value:
        return {_restore(k, parts): _restore(v, parts) for k, v in value["map"]}
    part = parts[value[_MARK]]
    if "dtype" not in value:
        return bytes(part)
    kind = np.dtype(value["dtype"])
    if kind.kind not in _KINDS:
        raise ValueError(f"an array of {kind}")
    # A copy of its own: the answer as a whole is not kept alive by one array of it.
    return np.frombuffer(part, kind).reshape([int(n) for n in value["shape"]]).copy()


def rebuild(kind: type[T], tree: object, **given: object) -> T:
    """Make a record of a packed one, every field checked against its declared type.

    Parameters
    ----------
    kind
        A dataclass.
    tree
        Its fields by name; those of ``given`` are not looked at.
    given
        Fields that the caller knows.

    Raises
    ------
    ValueError
        A field is missing or of another type.
    """
    if not isinstance(tree, dict):
        raise ValueError(f"{kind.__name__}: no record")
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in given:
            values[field.name] = given[field.name]
        elif field.name in tree:
            where = f"{kind.__name__}.{field.name}"
            values[field.name] = _typed(hints[field.name], tree[field.name], where)
        else:
            raise ValueError(f"{kind.__name__}.{field.name} is missing")
    return kind(**values)


def _no_truth(hint: type, value: Any, where: str) -> Any:
    if hint is int and isinstance(value, bool):
        raise ValueError(f"{where}: a truth value where a number is expected")
    return value


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        for choice in inner:
            if choice is not type(None):
                try:
                    return _typed(choice, value, where)
                except ValueError:
                    continue
        raise ValueError(f"{where}: {type(value).__name__}")
    if origin is tuple and isinstance(value, list):
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_typed(inner[0], v, where) for v in value)
        if len(inner) == len(value):
            return tuple(_typed(k, v, where) for k, v in zip(inner, value, strict=True))
    elif origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        return {_typed(inner[0], k, where): _typed(inner[1], v, where) for k, v in value.items()}
    elif is_dataclass(hint):
        return rebuild(typing.cast(type, hint), value)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint):
        return _no_truth(hint, value, where)
    raise ValueError(f"{where}: {type(value).__name__}")
