"""What an SQLite export tells of its own losses: rows that are gone, references to nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from kernprof.profile import Gpu
from kernprof.reports.losses import listed
from kernprof.reports.nvprof import activities
from kernprof.reports.nvprof.activities import KernelRow
from kernprof.reports.nvprof.database import Database
from kernprof.text import clean

CHECKED_BYTES = 256 << 20
"""Up to this length the whole file is checked, which reads each of its pages once."""

_FLAW_CHARS = 200

_WRITTEN = (
    *activities.KERNEL_TABLES[:2],
    activities.DEVICE,
    activities.METRIC,
    activities.PC_SAMPLING,
    activities.PC_SAMPLING_INFO,
    activities.EXECUTION,
    activities.BRANCH,
    activities.FUNCTION,
    activities.MODULE,
)
"""Tables that an export of nvprof has (schema version 12), also where they are empty."""


def told(
    database: Database,
    launches: Sequence[KernelRow],
    gpus: Mapping[int, Gpu],
    unknown_functions: Collection[int],
    size_bytes: int,
) -> tuple[str, ...]:
    """Return one notice for each kind of loss that the file itself shows.

    Parameters
    ----------
    database
        The open file.
    launches
        The launches that were read.
    gpus
        The GPUs of the file by device id.
    unknown_functions
        Ids of functions with results and without a record.
    size_bytes
        Length of the file; a long one is not checked as a whole.
    """
    return (
        *_pages(database, size_bytes),
        *_rows(database),
        *_references(database, launches, gpus, unknown_functions),
    )


def _pages(database: Database, size_bytes: int) -> Iterator[str]:
    """Check the pages outside the tables that are read; those of damaged tables are refused."""
    flaw = database.flaw() if size_bytes <= CHECKED_BYTES else None
    if flaw is not None:
        yield (
            f"SQLite finds the file damaged ({clean(flaw, _FLAW_CHARS)}): what lay there is lost"
        )


def _rows(database: Database) -> Iterator[str]:
    """Compare the rows of each table with the number of rows that were written to it."""
    absent = [table for table in _WRITTEN if not database.has(table)]
    if absent and len(absent) < len(_WRITTEN) / 2:
        yield (
            f"{len(absent)} table(s) that nvprof writes, empty ones too, are not in the file "
            f"({listed(absent)})"
        )
    lost: dict[str, int] = {}
    for table, count in sorted(database.written().items()):
        if not table.startswith("CUPTI_ACTIVITY_KIND_"):
            continue
        missing = count - database.count(table)
        if missing > 0:
            lost[table] = missing
    if lost:
        told = (f"{table}: {count}" for table, count in lost.items())
        yield (
            f"{sum(lost.values())} row(s) were written and are not in the file any more "
            f"({listed(told)})"
        )


def _references(
    database: Database,
    launches: Sequence[KernelRow],
    gpus: Mapping[int, Gpu],
    unknown_functions: Collection[int],
) -> Iterator[str]:
    told, sampled = (
        {owner for (owner,) in database.cells(table, ("correlationId",))}
        if database.has(table)
        else set()
        for table in (activities.PC_SAMPLING_INFO, activities.PC_SAMPLING)
    )
    if told != sampled:
        yield (
            f"{len(told ^ sampled)} launch(es) have PC samples without the record that sums them "
            "up, or the record without samples"
        )
    known = {launch.correlation for launch in launches}
    for table in (activities.METRIC, activities.EVENT):
        if "correlationId" not in database.columns(table):
            continue
        owners = {owner for (owner,) in database.cells(table, ("correlationId",))}
        gone = owners - known
        if gone:
            yield (
                f"{table} has values of {len(gone)} launch(es) whose kernel records are not in the "
                "file"
            )
    without = {launch.device for launch in launches} - gpus.keys()
    if without and gpus:
        yield f"{len(without)} device(s) with launches have no record of their own in the file"
    if unknown_functions:
        yield (
            f"{len(unknown_functions)} function(s) with source-level results have no record in the "
            "file"
        )
