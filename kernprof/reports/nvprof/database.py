"""An SQLite file from a stranger, opened for reading and nothing else.

The file is opened read-only and immutable (no journal is replayed, nothing is locked or written),
its schema is not trusted, only plain tables are read, columns and cell types are checked, and
statements run under an authorizer that allows nothing but reading, and under a limit of time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from kernprof.errors import DamagedReportError, LimitExceededError

MAGIC = b"SQLite format 3\x00"
ROWS = 5_000_000
"""Most rows that are read of one table."""

SECONDS = 120.0
"""Longest time that all statements on one file may take."""

_STEPS = 20_000
"""Virtual-machine steps between two looks at the clock: well below a tenth of a second."""

_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA}
)
_PRAGMAS = frozenset({"quick_check"})
_FUNCTIONS = frozenset({"count"})

Cell = int | float | str | bytes | None


class Database:
    """A read-only SQLite file; use as a context manager.

    Parameters
    ----------
    path
        The file.
    cell_bytes
        Longest string or blob that is read.

    Raises
    ------
    DamagedReportError
        The content contradicts the format.
    LimitExceededError
        A statement takes too long.
    """

    def __init__(self, path: Path, *, cell_bytes: int) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise DamagedReportError(f"SQLite can't open it: {error}") from None
        self._deadline = time.monotonic() + SECONDS
        self._late = False
        try:
            self._restrict(cell_bytes)
            self._tables = self._plain_tables()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def has(self, table: str) -> bool:
        """Tell whether there is a plain table of that name.

        Raises
        ------
        DamagedReportError
            Something else stands under the name: a view, an index, a virtual table.
        """
        kind = self._tables.get(table.lower())
        if kind is None:
            return False
        if kind != "table":
            raise DamagedReportError(f"{table} is a {kind}; nvprof writes plain tables")
        return True

    def columns(self, table: str) -> frozenset[str]:
        """Return the table's column names; empty where there is no such table."""
        if not self.has(table):
            return frozenset()
        with closing(self._execute(f'SELECT * FROM "{table}" LIMIT 0')) as cursor:
            return frozenset(column[0] for column in cursor.description)

    def count(self, table: str) -> int:
        """Return the number of rows; 0 where there is no such table."""
        if not self.has(table):
            return 0
        for row in self._rows(f'SELECT count(*) FROM "{table}" NOT INDEXED', ()):
            if isinstance(row[0], int):
                return row[0]
        return 0

    def check(self, table: str) -> None:
        """Check that a table's pages are sound.

        Raises
        ------
        DamagedReportError
            They are not.
        """
        for row in self._rows(f"PRAGMA quick_check('{table}')", ()):
            if row[0] != "ok":
                raise DamagedReportError(f"table {table} is damaged: {row[0]!r}")

    def flaw(self) -> str | None:
        """Return the first flaw that SQLite's own check finds in the whole file, or None."""
        for row in self._rows("PRAGMA quick_check(1)", ()):
            if row[0] != "ok":
                return str(row[0])
        return None

    def written(self) -> dict[str, int]:
        """Return how many rows were ever written to each table that numbers them from 1.

        SQLite keeps the largest number of an AUTOINCREMENT column in ``sqlite_sequence`` (SQLite
        documentation, "SQLite Autoincrement"), apart from the rows themselves.
        """
        if not self.has("sqlite_sequence"):
            return {}
        return {
            name: last
            for name, last in self.cells("sqlite_sequence", ("name", "seq"))
            if isinstance(name, str) and isinstance(last, int)
        }

    def integers(
        self, table: str, names: Sequence[str], where: str = "", values: Sequence[int] = ()
    ) -> Iterator[tuple[int, ...]]:
        """Yield rows of integer columns, in the order in which they were written.

        Raises
        ------
        DamagedReportError
            A column is missing, or a cell holds something else than an integer.
        LimitExceededError
            More than ``ROWS`` rows.
        """
        for row in self.cells(table, names, where, values):
            for name, cell in zip(names, row, strict=True):
                if not isinstance(cell, int):
                    raise DamagedReportError(
                        f"{table}.{name} holds {type(cell).__name__}; expected an integer"
                    )
            yield tuple(cell for cell in row if isinstance(cell, int))

    def cells(
        self, table: str, names: Sequence[str], where: str = "", values: Sequence[int] = ()
    ) -> Iterator[tuple[Cell, ...]]:
        """Yield rows of any columns; see ``integers``."""
        present = self.columns(table)
        missing = [name for name in names if name not in present]
        if missing:
            raise DamagedReportError(f"table {table} has no column {', '.join(missing)}")
        listed = ", ".join(f'"{name}"' for name in names)
        condition = f' WHERE "{where}" = ?' if where else ""
        # An index is a second copy that may tell something else: never used.
        source = f'"{table}" NOT INDEXED{condition}'
        statement = f"SELECT {listed} FROM {source} ORDER BY rowid LIMIT {ROWS + 1}"
        for index, row in enumerate(self._rows(statement, values)):
            if index == ROWS:
                raise LimitExceededError(f"table {table} has more than {ROWS} rows")
            yield row

    def _restrict(self, cell_bytes: int) -> None:
        connection = self._connection
        connection.text_factory = _decode
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("PRAGMA mmap_size = 0")
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise DamagedReportError(f"SQLite can't read it: {error}") from None
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, cell_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 200)
        connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 20)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
        connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(self._tick, _STEPS)

    def _plain_tables(self) -> dict[str, str]:
        """Return what stands under each name of the schema, by lower-case name."""
        found: dict[str, str] = {}
        statement = "SELECT type, name, sql FROM sqlite_master LIMIT 10001"
        for index, (kind, name, sql) in enumerate(self._rows(statement, ())):
            if index == 10_000:
                raise LimitExceededError("more than 10000 entries in the schema")
            if not isinstance(kind, str) or not isinstance(name, str):
                raise DamagedReportError("the schema has an entry without type or name")
            if kind in ("index", "trigger"):
                # They stand under names of their own and are never run by reading.
                found.setdefault(name.lower(), kind)
                continue
            is_virtual = isinstance(sql, str) and sql.lstrip()[:14].upper() == "CREATE VIRTUAL"
            found[name.lower()] = "virtual table" if is_virtual else kind
        return found

    def _rows(self, statement: str, values: Sequence[int]) -> Iterator[tuple[Cell, ...]]:
        with closing(self._execute(statement, values)) as cursor:
            while True:
                try:
                    row = cursor.fetchone()
                except (sqlite3.Error, OverflowError, UnicodeError) as error:
                    raise self._failure(error) from None
                if row is None:
                    return
                yield row

    def _execute(self, statement: str, values: Sequence[int] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, tuple(values))
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> DamagedReportError | LimitExceededError:
        if self._late:
            return LimitExceededError(f"reading takes more than {SECONDS:.0f} s")
        if "too big" in str(error):
            return LimitExceededError(f"a cell is too large: {error}")
        return DamagedReportError(f"SQLite can't read it: {error}")

    def _tick(self) -> int:
        self._late = time.monotonic() > self._deadline
        return int(self._late)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, source: str | None
) -> int:
    if action not in _ALLOWED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and first not in _PRAGMAS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and second not in _FUNCTIONS:
        return sqlite3.SQLITE_DENY
    # A view or trigger that reads is named here; we read tables ourselves.
    if action == sqlite3.SQLITE_READ and source is not None:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK
