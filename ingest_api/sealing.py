"""Sealing: rows of the landing store become the permanent record, Parquet files below the raw zone.

Each range of rows is first committed to `seal_ranges` and then written; after a crash exactly that range is
written again, so the same names are overwritten with the same rows. One sealer at a time: the caller holds
the build lock.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import apsw
import pyarrow as pa
import pyarrow.parquet as pq

from funnelhouse.contract import RAW_TABLES, SEQ_DOC, Column, columns
from funnelhouse.landing import landed_position, open_landing, transaction

RANGE_ROWS = 500_000
CHUNK_ROWS = 25_000
"""Rows held in memory at once; also the row group size."""

_DAY_US = 86_400_000_000
_FILE_NAME = re.compile(r"seq-(\d+)-(\d+)\.parquet")
_EMPTY_FILE = Path("received_date=1970-01-01", "seq-0-0.parquet")
_ARROW_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


@dataclass(frozen=True, slots=True)
class _Range:
    """Landing ids first..last (some may be other tables' gaps), and the seq of the first row."""

    table: str
    first_id: int
    last_id: int
    first_seq: int
    row_count: int


def seal(landing_path: Path, raw_dir: Path) -> dict[str, int]:
    """Seal all rows that have landed when the call begins; returns rows sealed per table.

    Finishes the range of a sealer that was killed first. Raises `apsw.Error` or OSError; called again, it
    continues where it stopped.
    """
    connection = open_landing(landing_path)
    try:
        until = landed_position(connection)
        return {table: _seal_table(connection, table, raw_dir, until[table]) for table in RAW_TABLES}
    finally:
        connection.close()


def parquet_schema(table: str) -> pa.Schema:
    """Schema of a raw table's files: `seq`, then the contract's columns."""
    described = [Column("seq", "BIGINT", True, (), SEQ_DOC), *columns(RAW_TABLES[table])]
    return pa.schema(
        pa.field(column.name, _ARROW_TYPES[column.sql_type], nullable=not column.is_required)
        for column in described
    )


def _seal_table(connection: apsw.Connection, table: str, raw_dir: Path, until: int) -> int:
    _write_empty_file(raw_dir, table)
    sealed = 0
    unfinished: list[Any] = connection.execute(
        "SELECT raw_table, first_id, last_id, first_seq, row_count FROM seal_ranges"
        " WHERE raw_table = ? AND NOT is_finished ORDER BY first_id",
        (table,),
    ).fetchall()
    for row in unfinished:
        sealed += _write_range(connection, _Range(*row), raw_dir)
    while (opened := _open_range(connection, table, raw_dir, until)) is not None:
        sealed += _write_range(connection, opened, raw_dir)
    return sealed


def _open_range(connection: apsw.Connection, table: str, raw_dir: Path, until: int) -> _Range | None:
    """Commit the next range, or None when no row is left."""
    with transaction(connection):
        after, sealed_seq = connection.execute(
            "SELECT coalesce(max(last_id), 0), coalesce(max(first_seq + row_count - 1), 0)"
            " FROM seal_ranges WHERE raw_table = ?",
            (table,),
        ).get
        first_id, last_id, row_count = connection.execute(
            f"SELECT min(id), max(id), count(*) FROM"  # noqa: S608
            f" (SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)",
            (after, until, RANGE_ROWS),
        ).get
        if not row_count:
            return None
        # A landing store that began anew continues above what the raw zone holds.
        first_seq = max(sealed_seq, _highest_seq(raw_dir / table)) + 1
        connection.execute(
            "INSERT INTO seal_ranges (raw_table, first_id, last_id, first_seq, row_count)"
            " VALUES (?, ?, ?, ?, ?)",
            (table, first_id, last_id, first_seq, row_count),
        )
    _step("range committed")
    return _Range(table, first_id, last_id, first_seq, row_count)


def _write_range(connection: apsw.Connection, opened: _Range, raw_dir: Path) -> int:
    """Write a committed range, one file per received date, then mark it finished."""
    first_seq = opened.first_seq
    days: list[Any] = connection.execute(
        f"SELECT received_us / {_DAY_US} AS day, count(*) FROM {opened.table}"  # noqa: S608
        " WHERE id BETWEEN ? AND ? GROUP BY day ORDER BY day",
        (opened.first_id, opened.last_id),
    ).fetchall()
    if sum(count for _, count in days) != opened.row_count:
        raise RuntimeError(f"rows of {opened.table} that were to be sealed are gone from the landing store")
    for day, count in days:
        received_date = date(1970, 1, 1) + timedelta(days=day)
        name = f"received_date={received_date}/seq-{first_seq}-{first_seq + count - 1}.parquet"
        _write_file(
            raw_dir / opened.table / name,
            parquet_schema(opened.table),
            _batches(connection, opened, day, first_seq),
            raw_dir,
        )
        first_seq += count
    with transaction(connection):
        connection.execute(
            "UPDATE seal_ranges SET is_finished = 1 WHERE raw_table = ? AND first_id = ?",
            (opened.table, opened.first_id),
        )
    _step("range finished")
    return opened.row_count


def _batches(
    connection: apsw.Connection, opened: _Range, day: int, first_seq: int
) -> Iterator[pa.RecordBatch]:
    """Rows of one day of a range by landing id, with dense seq from `first_seq`."""
    described = columns(RAW_TABLES[opened.table])
    schema = parquet_schema(opened.table)
    rows: Iterator[Any] = connection.execute(
        f"SELECT {', '.join(column.name for column in described)} FROM {opened.table}"  # noqa: S608
        f" WHERE id BETWEEN ? AND ? AND received_us / {_DAY_US} = ? ORDER BY id",
        (opened.first_id, opened.last_id, day),
    )
    while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
        arrays = [pa.array(range(first_seq, first_seq + len(chunk)), pa.int64())]
        for column, values in zip(described, zip(*chunk, strict=True), strict=True):
            if column.sql_type == "BOOLEAN":
                # SQLite has 0 and 1.
                values = tuple(None if value is None else bool(value) for value in values)
            arrays.append(pa.array(values, _ARROW_TYPES[column.sql_type]))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        first_seq += len(chunk)


def _write_file(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch], raw_dir: Path) -> None:
    """Write a file that is either not there under its name, or whole and on stable storage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readers look for *.parquet and never see this name; a sealer run again overwrites it.
    temporary = path.with_name(path.name + ".writing")
    with temporary.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        _step("file written")
        file.flush()
        os.fsync(file.fileno())
    _step("file synced")
    temporary.replace(path)
    _step("file renamed")
    # The folders above as well: a crash may have come between making one and syncing its parent.
    for folder in (path.parent, path.parent.parent, raw_dir, raw_dir.parent):
        _sync_folder(folder)
    _step("folders synced")


def _write_empty_file(raw_dir: Path, table: str) -> None:
    """A file without rows that has every column, so that a table in which nothing arrived can be read and
    columns that joined later are NULL in older files."""
    path = raw_dir / table / _EMPTY_FILE
    schema = parquet_schema(table)
    with suppress(FileNotFoundError, pa.ArrowInvalid):
        if pq.read_schema(path).equals(schema):
            return
    _write_file(path, schema, iter(()), raw_dir)


def _highest_seq(table_dir: Path) -> int:
    names = (_FILE_NAME.fullmatch(path.name) for path in table_dir.glob("received_date=*/seq-*.parquet"))
    return max((int(name[2]) for name in names if name), default=0)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _step(name: str) -> None:
    """Called between any two steps; tests replace it to stop there."""
