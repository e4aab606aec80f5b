"""Sealing: rows of the landing store become the permanent record, Parquet files below the raw zone.

Each range of rows is first committed to the landing store and then written; after a crash exactly that range
is written again, so the same names are overwritten with the same rows. One sealer at a time: the caller holds
the build lock.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from record.contract import RAW_TABLES, SEQ_DOC, Column, columns
from record.landing import Location, open_store
from record.landing.remembered_files import SealedFile, remember_files
from record.landing.store import LandingStore, Position, SealRange
from record.sealed_files import EMPTY_FILE, file_name, highest_seq, name_of

RANGE_ROWS = 500_000
CHUNK_ROWS = 25_000
"""Rows held in memory at once; also the row group size."""

_ARROW_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


def seal(location: Location, raw_dir: Path) -> dict[str, int]:
    """Seal all rows that can be sealed when the call begins; returns rows sealed per table.

    Finishes the range of a sealer that was killed first. Raises LandingError or OSError; called again, it
    continues where it stopped.
    """
    with closing(open_store(location)) as store, store.sealing():
        until = store.sealable()
        return {table: _seal_table(store, table, raw_dir, until[table]) for table in RAW_TABLES}


def parquet_schema(table: str) -> pa.Schema:
    """Schema of a raw table's files: `seq`, then the contract's columns."""
    described = [Column("seq", "BIGINT", True, (), SEQ_DOC), *columns(RAW_TABLES[table])]
    return pa.schema(
        pa.field(column.name, _ARROW_TYPES[column.sql_type], nullable=not column.is_required)
        for column in described
    )


def _seal_table(store: LandingStore, table: str, raw_dir: Path, until: Position) -> int:
    _write_empty_file(raw_dir, table)
    sealed = 0
    for unfinished in store.unfinished_ranges(table):
        sealed += write_range(store, unfinished, raw_dir)
    # A landing store that began anew continues above what the raw zone holds.
    above = highest_seq(raw_dir / table)
    while (opened := store.open_range(table, until, RANGE_ROWS, above)) is not None:
        _step("range committed")
        sealed += write_range(store, opened, raw_dir)
    return sealed


def write_range(store: LandingStore, opened: SealRange, raw_dir: Path) -> int:
    """Write a committed range, one file per received date, then mark it finished; returns its rows.

    Written again, the files are the same. Raises LandingError, OSError, and RuntimeError when a row is gone.
    """
    first_seq = opened.first_seq
    days = store.range_days(opened)
    if sum(count for _, count in days) != opened.row_count:
        raise RuntimeError(f"rows of {opened.table} that were to be sealed are gone from the landing store")
    for day, count in days:
        received_date = date(1970, 1, 1) + timedelta(days=day)
        name = file_name(received_date, (first_seq, first_seq + count - 1))
        written = _write_file(
            raw_dir / opened.table / name,
            parquet_schema(opened.table),
            _batches(store, opened, day, first_seq, count),
            raw_dir,
        )
        remember_files(store, opened.table, [written])
        first_seq += count
    store.finish_range(opened)
    _step("range finished")
    return opened.row_count


def _batches(
    store: LandingStore, opened: SealRange, day: int, first_seq: int, count: int
) -> Iterator[pa.RecordBatch]:
    """The `count` rows of one day of a range in order, with dense seq from `first_seq`."""
    end_seq = first_seq + count
    described = columns(RAW_TABLES[opened.table])
    schema = parquet_schema(opened.table)
    for chunk in store.range_rows(opened, day, CHUNK_ROWS):
        arrays = [pa.array(range(first_seq, first_seq + len(chunk)), pa.int64())]
        for column, values in zip(described, zip(*chunk, strict=True), strict=True):
            arrays.append(pa.array(values, _ARROW_TYPES[column.sql_type]))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        first_seq += len(chunk)
    if first_seq != end_seq:
        # A finished range may be deleted from the landing store: a row left out here would be gone.
        raise RuntimeError(f"{end_seq - first_seq} rows of {opened.table} that were counted were not found")


def _write_file(
    path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch], raw_dir: Path
) -> SealedFile:
    """Write a file that is either not there under its name, or whole and on stable storage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readers look for *.parquet and never see this name; a sealer run again overwrites it.
    temporary = path.with_name(path.name + ".writing")
    try:
        with temporary.open("wb") as file:
            hashed = _Hashed(file)
            with pq.ParquetWriter(hashed, schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
            _step("file written")
            file.flush()
            os.fsync(file.fileno())
        _step("file synced")
        temporary.replace(path)
    except OSError:
        # On a full disk its space is somebody else's.
        temporary.unlink(missing_ok=True)
        raise
    _step("file renamed")
    # The folders above as well: a crash may have come between making one and syncing its parent.
    for folder in (path.parent, path.parent.parent, raw_dir, raw_dir.parent):
        sync_folder(folder)
    _step("folders synced")
    stat = path.stat()
    return SealedFile(name_of(path), stat.st_size, stat.st_mtime_ns, hashed.sha256.hexdigest())


class _Hashed:
    """A binary file to write to, and the digest of what was meant to be in it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()


def _write_empty_file(raw_dir: Path, table: str) -> None:
    """A file without rows that has every column, so that a table in which nothing arrived can be read and
    columns that joined later are NULL in older files."""
    path = raw_dir / table / EMPTY_FILE
    schema = parquet_schema(table)
    with suppress(FileNotFoundError, pa.ArrowInvalid):
        if pq.read_schema(path).equals(schema):
            return
    write_empty(path, table, raw_dir)


def write_empty(path: Path, table: str, raw_dir: Path) -> SealedFile:
    """Put a file without rows, with every column of a raw table, in the place of `path`; durably."""
    return _write_file(path, parquet_schema(table), iter(()), raw_dir)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _step(name: str) -> None:
    """Called between any two steps; tests replace it to stop there."""
