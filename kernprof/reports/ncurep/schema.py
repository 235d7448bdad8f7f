"""The messages of an Nsight Compute report, as a table of field numbers.

Numbers and types follow NVIDIA's public Customization Guide ("Report File Format", version 7) and
were checked on public reports of Nsight Compute 2019 to 2025. Only what is read or written is
listed; other fields are skipped. ``data/fields.toml`` holds the table.

Fields of type ``bytes`` that hold messages are deliberate: an adversary gets no more than sixteen
bytes of memory for two bytes of file out of them, and what is never looked at is never decoded.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

_PACKAGE = "kernprof.ncurep"


@cache
def messages() -> dict[str, Any]:
    """Return the message classes by name.

    Raises
    ------
    ImportError
        When protobuf is not installed.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text = resources.files(__package__).joinpath("data", "fields.toml").read_text("utf-8")
    table = tomllib.loads(text)["message"]
    file = descriptor_pb2.FileDescriptorProto()
    file.name = "kernprof/ncurep.proto"
    file.package = _PACKAGE
    file.syntax = "proto2"
    for name, fields in table.items():
        message = file.message_type.add()
        message.name = name
        for field_name, spec in fields.items():
            number, label, kind = spec
            field = message.field.add()
            field.name = field_name
            field.number = number
            field.label = getattr(field, f"LABEL_{label.upper()}")
            if kind[0].isupper():
                field.type = field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in table
    }


def runtime_is_slow() -> bool:
    """Tell whether protobuf runs in pure Python, about twenty times slower than its C runtime."""
    from google.protobuf.internal import api_implementation

    return bool(api_implementation.Type() == "python")
