"""What is not kept for ever: old rows of the landing store, answers to repeats, what was rejected long ago.

Rows leave the landing store when they are older than a setting, and in a file of the raw zone that was just
read; `definitions` stay, for the API answers from them. Of the raw zone only `rejected` is ever forgotten.
Runs after sealing, under the build lock.
"""

import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from record.landing import Location, open_store
from record.landing.answers import KEPT_US, prune_answers
from record.landing.remembered_files import forget_files, remember_files
from record.landing.store import LandingStore
from record.sealed_files import files_of, name_of, received_on, span_of
from record.sealing import sync_folder, write_empty
from record.verifying import REJECTED_DAYS, Fault, IncompleteRecordError, RangeFiles

PRUNED_TABLES = ("events", "costs", "rejected", "unread_fields", "unrecorded_clicks")

CHUNK_ROWS = 1000
"""Rows of one transaction. In SQLite ingest's commits wait for it: some milliseconds."""

MOST_SECONDS = 60.0
"""A build waits no longer than this for pruning; what is left is the next one's."""


def prune(location: Location, raw_dir: Path, landing_days: int, now_us: int) -> dict[str, int]:
    """Take old sealed rows out of the landing store and old `rejected` out of the raw zone.

    Answers to repeats go after 30 days. Returns rows deleted from the landing store, per raw table. Raises
    LandingError or OSError; called again, it continues where it stopped. Rows whose file is missing or
    damaged stay, for they are the last copy: then it raises IncompleteRecordError, when the others have left.
    """
    deadline = time.monotonic() + MOST_SECONDS
    faults: list[Fault] = []
    with closing(open_store(location)) as store:
        prune_rejected_files(store, raw_dir, now_us)
        prune_answers(store, now_us - KEPT_US)
        with store.sealing():
            deleted = {
                table: _prune_rows(store, raw_dir, table, landing_days, now_us, deadline, faults)
                for table in PRUNED_TABLES
            }
    if faults:
        raise IncompleteRecordError(faults)
    return deleted


def _prune_rows(
    store: LandingStore,
    raw_dir: Path,
    table: str,
    landing_days: int,
    now_us: int,
    deadline: float,
    faults: list[Fault],
) -> int:
    """Delete a table's old rows; adds to `faults` why some stay."""
    days = min(landing_days, REJECTED_DAYS) if table == "rejected" else landing_days
    before_us = now_us - timedelta(days=days) // timedelta(microseconds=1)
    deleted = 0
    files = RangeFiles(store, raw_dir, table, now_us)
    for finished in store.prunable_ranges(table, before_us):
        if found := files.faults(finished):
            faults += found
            continue
        chunks = store.prune_range(finished, before_us, CHUNK_ROWS)
        started = time.monotonic()
        for count in chunks:
            deleted += count
            if time.monotonic() > deadline:
                return deleted
            # Who waits for a SQLite file only asks now and then whether it is free.
            time.sleep(max(0.002, time.monotonic() - started))
            started = time.monotonic()
    return deleted


def prune_rejected_files(store: LandingStore, raw_dir: Path, now_us: int) -> None:
    """Delete files of `raw/rejected` whose rows are all older than 30 days.

    The file with the highest range loses its rows but keeps its name: a landing store that begins anew
    continues above it, and no `seq` is given twice. Raises LandingError or OSError.
    """
    today = datetime.fromtimestamp(now_us / 1_000_000, UTC).date()
    table_dir = raw_dir / "rejected"
    # The file without any range, of a day long ago, only says which columns there are.
    ranges = {file: span_of(file) for file in files_of(table_dir)}
    files = [file for file, (_, last_seq) in ranges.items() if last_seq > 0]
    highest = max(files, key=lambda file: ranges[file][1], default=None)
    emptied: set[Path] = set()
    for file in files:
        if today - received_on(file) <= timedelta(days=REJECTED_DAYS):
            continue
        if file != highest:
            file.unlink()
            forget_files(store, "rejected", [name_of(file)])
            emptied.add(file.parent)
        elif pq.read_metadata(file).num_rows:
            remember_files(store, "rejected", [write_empty(file, "rejected", raw_dir)])
    for folder in emptied:
        sync_folder(folder)
        # Others of the day may be there.
        with suppress(OSError):
            folder.rmdir()
    if emptied:
        sync_folder(table_dir)
