"""The ways in which a report is damaged. Each takes the content and a source of chance."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from validation.damage import messages

Kind = Callable[[bytes, random.Random, Path], bytes]
"""Content, chance and a folder to work in give the damaged content."""


def _flip(content: bytes, draw: random.Random, _: Path) -> bytes:
    damaged = bytearray(content)
    for _turn in range(draw.choice((1, 1, 1, 2, 3))):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def _overwrite(content: bytes, draw: random.Random, _: Path) -> bytes:
    at, size = _span(content, draw, 64)
    return content[:at] + draw.randbytes(size) + content[at + size :]


def _zero(content: bytes, draw: random.Random, _: Path) -> bytes:
    at, size = _span(content, draw, 512)
    return content[:at] + bytes(size) + content[at + size :]


def _cut_out(content: bytes, draw: random.Random, _: Path) -> bytes:
    at, size = _span(content, draw, 512)
    return content[:at] + content[at + size :]


def _repeat(content: bytes, draw: random.Random, _: Path) -> bytes:
    at, size = _span(content, draw, 512)
    return content[: at + size] + content[at:]


def _insert(content: bytes, draw: random.Random, _: Path) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.randbytes(draw.randrange(1, 9)) + content[at:]


def _truncate(content: bytes, draw: random.Random, _: Path) -> bytes:
    return content[: draw.randrange(1, len(content))]


def _span(content: bytes, draw: random.Random, most: int) -> tuple[int, int]:
    size = draw.randrange(1, min(most, len(content)) + 1)
    return draw.randrange(len(content) - size + 1), size


ANY: dict[str, Kind] = {
    "bits flipped": _flip,
    "range overwritten": _overwrite,
    "range zeroed": _zero,
    "range cut out": _cut_out,
    "range repeated": _repeat,
    "bytes inserted": _insert,
    "end cut off": _truncate,
}


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def _drop_line(content: bytes, draw: random.Random, _: Path) -> bytes:
    lines = _lines(content)
    del lines[draw.randrange(len(lines))]
    return b"".join(lines)


def _drop_lines(content: bytes, draw: random.Random, _: Path) -> bytes:
    lines = _lines(content)
    at = draw.randrange(len(lines))
    del lines[at : at + draw.randrange(2, 9)]
    return b"".join(lines)


def _repeat_line(content: bytes, draw: random.Random, _: Path) -> bytes:
    lines = _lines(content)
    at = draw.randrange(len(lines))
    return b"".join([*lines[: at + 1], *lines[at:]])


def _cut_line(content: bytes, draw: random.Random, _: Path) -> bytes:
    lines = _lines(content)
    at = draw.randrange(len(lines))
    lines[at] = lines[at][: draw.randrange(len(lines[at]))] + b"\n"
    return b"".join(lines)


def _end_at_line(content: bytes, draw: random.Random, _: Path) -> bytes:
    lines = _lines(content)
    return b"".join(lines[: draw.randrange(1, len(lines) + 1)])


def _digit(content: bytes, draw: random.Random, _: Path) -> bytes:
    places = [index for index, byte in enumerate(content) if 0x30 <= byte <= 0x39]
    damaged = bytearray(content)
    for _turn in range(draw.choice((1, 1, 3))):
        damaged[draw.choice(places)] = draw.choice(b"0123456789")
    return bytes(damaged)


def _drop_cell(content: bytes, draw: random.Random, _: Path) -> bytes:
    places = [index for index, byte in enumerate(content) if byte == 0x2C]
    if len(places) < 2:
        return _digit(content, draw, _)
    at = draw.randrange(len(places) - 1)
    return content[: places[at]] + content[places[at + 1] :]


TEXT: dict[str, Kind] = {
    "line dropped": _drop_line,
    "lines dropped": _drop_lines,
    "line repeated": _repeat_line,
    "line cut": _cut_line,
    "ended after a line": _end_at_line,
    "digits changed": _digit,
    "cell dropped": _drop_cell,
}

BINARY: dict[str, Kind] = {
    "field dropped": lambda content, draw, _: messages.damaged(content, draw, "drop"),
    "field repeated": lambda content, draw, _: messages.damaged(content, draw, "repeat"),
    "field renumbered": lambda content, draw, _: messages.damaged(content, draw, "renumber"),
    "value changed": lambda content, draw, _: messages.damaged(content, draw, "value"),
    "ended after a block": lambda content, draw, _: messages.ended(content, draw),
}


def _database(change: Callable[[sqlite3.Connection, random.Random], None]) -> Kind:
    def kind(content: bytes, draw: random.Random, folder: Path) -> bytes:
        path = folder / "database"
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            change(connection, draw)
            connection.commit()
        return path.read_bytes()

    return kind


def _tables(connection: sqlite3.Connection, draw: random.Random) -> str:
    """Return one of the tables that hold rows."""
    names = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    filled = [n for n in names if connection.execute(f'SELECT 1 FROM "{n}" LIMIT 1').fetchone()]
    return str(draw.choice(sorted(filled)))


def _delete_rows(connection: sqlite3.Connection, draw: random.Random) -> None:
    table = _tables(connection, draw)
    ids = [row for (row,) in connection.execute(f'SELECT rowid FROM "{table}"')]
    for row in draw.sample(ids, min(len(ids), draw.choice((1, 1, 3, 10)))):
        connection.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))


def _drop_table(connection: sqlite3.Connection, draw: random.Random) -> None:
    connection.execute(f'DROP TABLE "{_tables(connection, draw)}"')


def _change_cell(connection: sqlite3.Connection, draw: random.Random) -> None:
    table = _tables(connection, draw)
    ids = [row for (row,) in connection.execute(f'SELECT rowid FROM "{table}"')]
    column = draw.choice([row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')])
    value = draw.choice((0, 1, -1, draw.randrange(1 << 16), draw.randrange(1 << 40), None, "x"))
    connection.execute(
        f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, draw.choice(ids))
    )


def _safely(change: Callable[[sqlite3.Connection, random.Random], None]) -> Kind:
    def guarded(connection: sqlite3.Connection, draw: random.Random) -> None:
        try:
            change(connection, draw)
        except sqlite3.IntegrityError:
            _delete_rows(connection, draw)

    return _database(guarded)


def _zero_page(content: bytes, draw: random.Random, _: Path) -> bytes:
    size = int.from_bytes(content[16:18], "big")
    at = draw.randrange(1, max(2, len(content) // size)) * size
    return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]


SQLITE: dict[str, Kind] = {
    "rows deleted": _safely(_delete_rows),
    "table dropped": _safely(_drop_table),
    "cell changed": _safely(_change_cell),
    "page zeroed": _zero_page,
}


def kinds(form: str) -> dict[str, Kind]:
    """Return the kinds of damage that a format can have, by name."""
    if form == "ncu-rep":
        return {**ANY, **BINARY}
    if form == "nvprof sqlite":
        return {**ANY, **SQLITE}
    return {**ANY, **TEXT}


_WHOLE_ROWS = "whole rows are gone; the rest is a sound table"
_OF_ONE = "a byte of a title, a name or a number became another one that can stand there"
UNNOTICEABLE = {
    "ended after a line": "whole rows are gone at the end; what is left is a sound table",
    "ended after a block": "blocks are written one after the other, and nothing counts them",
    "end cut off": "cut where a row or block ends, by chance",
    "line dropped": _WHOLE_ROWS,
    "lines dropped": _WHOLE_ROWS,
    "range cut out": "from one row into the same place of another: one sound row is left",
    "cell dropped": "from a kernel's name into another's: the rows between are gone",
    "bits flipped": _OF_ONE,
    "bytes inserted": _OF_ONE,
    "range overwritten": _OF_ONE,
    "digits changed": _OF_ONE,
    "cell changed": "a reference leads to another row that is there",
    "value changed": "an identifier became another one that is there",
    "field dropped": "a metric of a predicted launch, which need not hold what the others hold",
    "field renumbered": "a field became another one that can stand there",
}
"""Kinds of damage that can leave a file which agrees with itself, and why."""
