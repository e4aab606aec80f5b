"""Dagster's history, bounded: old runs leave it with all that is kept of them, and its files shrink."""

import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from funnelhouse.settings import Settings
from orchestration.instance import UNFINISHED
from record.contract import DAY_US

MOST_RUNS = 200
"""As many are kept at most: where a build begins every minute, days alone would be thousands of runs."""

BATCH_RUNS = 2_000
"""A build takes no more out at once; what is left is the next one's."""

_DAY_S = DAY_US / 1_000_000

# Dagster's own way leaves the tags and the checks of a run that is deleted, and its files.
_ROWS_OF_A_RUN = {
    Path("history", "runs.db"): (
        "delete from run_tags where run_id = ?",
        "delete from runs where run_id = ?",
    ),
    Path("history", "runs", "index.db"): (
        "delete from asset_event_tags where event_id in (select id from event_logs where run_id = ?)",
        "delete from event_logs where run_id = ?",
        "delete from asset_check_executions where run_id = ?",
        # An asset that an older version had, and none of the kept runs made.
        "delete from asset_keys where last_run_id = ?",
    ),
}

# Of 4 KB. For less a file is not rewritten.
_FREE_PAGES_WORTH_A_VACUUM = 64


def prune_history(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Take old runs out of Dagster's history: those older than the setting, and all but the newest 200.

    For the holder of the build lock. A build does not fail for its history: what cannot be deleted now is
    left for the next time.
    """
    with suppress(OSError, sqlite3.Error, SQLAlchemyError):
        old = _old_runs(instance, time.time() - settings.history_days * _DAY_S)
        if old:
            _forget_runs(settings.dagster_home, old)
        for file in _ROWS_OF_A_RUN:
            _shrink(settings.dagster_home / file)


def _old_runs(instance: dg.DagsterInstance, before_s: float) -> list[str]:
    records = instance.get_run_records(limit=MOST_RUNS + BATCH_RUNS)
    return [
        record.dagster_run.run_id
        for number, record in enumerate(records)
        if record.dagster_run.status not in UNFINISHED
        and (number >= MOST_RUNS or record.create_timestamp.timestamp() < before_s)
    ]


def _forget_runs(folder: Path, run_ids: Sequence[str]) -> None:
    """Delete rows and files."""
    ids = [(run_id,) for run_id in run_ids]
    for file, statements in _ROWS_OF_A_RUN.items():
        with closing(_connect(folder / file)) as connection, connection:
            for statement in statements:
                connection.executemany(statement, ids)
    for run_id in run_ids:
        for file in (folder / "history" / "runs").glob(f"{run_id}.db*"):
            file.unlink(missing_ok=True)
        # What its process printed.
        shutil.rmtree(folder / "storage" / run_id, ignore_errors=True)


def _shrink(file: Path) -> None:
    """Give the disk back what deleted rows left, where that is a quarter of the file and more."""
    with closing(_connect(file)) as connection:
        free = connection.execute("pragma freelist_count").fetchone()[0]
        pages = connection.execute("pragma page_count").fetchone()[0]
        if free > _FREE_PAGES_WORTH_A_VACUUM and free * 4 > pages:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")


def _connect(file: Path) -> sqlite3.Connection:
    # Others write it too, for moments.
    return sqlite3.connect(file, timeout=30)
