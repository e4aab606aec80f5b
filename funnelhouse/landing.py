"""The landing store: the SQLite file that an accepted report is on before its sender is answered.

It is opened by `apsw` only: the standard library's SQLite may be old enough to carry the bug that corrupts a
WAL with several connections. One ingest process appends; sealing, the command line and the read API open the
same file beside it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from funnelhouse.contract import RAW_TABLES, Column, columns

BUSY_MS = 10_000
"""How long a connection waits for another one's write before it gives up."""

_SQLITE_TYPES = {"VARCHAR": "TEXT", "BIGINT": "INTEGER", "BOOLEAN": "INTEGER"}

_CONTROL_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    project_id TEXT PRIMARY KEY,
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
    key_id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seal_ranges (
    raw_table TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    is_finished INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (raw_table, first_id)
) STRICT, WITHOUT ROWID;
"""


def open_landing(path: Path) -> apsw.Connection:
    """Open the landing store for writing; makes folder, file and tables that are missing.

    Several processes may do so at once. A commit returns when it is on stable storage. Raises `apsw.Error`
    when the file cannot be opened or is not a database.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    _enter_wal(connection)
    # FULL: a commit waits for the WAL's fsync. recursive_triggers: REPLACE must fire the DELETE triggers.
    connection.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON")
    if not _is_complete(connection):
        with transaction(connection):
            _create(connection)
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction, rolled back when its body raises.

    It waits for other writers before it reads anything: a transaction that reads first and then writes is
    refused outright when somebody else wrote in between.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def landed_position(connection: apsw.Connection) -> dict[str, int]:
    """Highest landing id per raw table, 0 when empty: differs from an earlier answer when rows arrived."""
    return {
        table: connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").get  # noqa: S608
        for table in RAW_TABLES
    }


def _enter_wal(connection: apsw.Connection) -> None:
    """Switch to WAL; retried by hand, because SQLite skips the busy handler for this one change."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _is_complete(connection: apsw.Connection) -> bool:
    control = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('projects', 'keys', 'seal_ranges')"
    ).get
    return control == 3 and not any(_missing_columns(connection, table) for table in RAW_TABLES)


def _missing_columns(connection: apsw.Connection, table: str) -> list[Column]:
    present = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    return [column for column in columns(RAW_TABLES[table]) if column.name not in present]


def _create(connection: apsw.Connection) -> None:
    connection.execute(_CONTROL_SCHEMA)
    for table, row in RAW_TABLES.items():
        declared = ", ".join(_declare(column) for column in columns(row))
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, {declared}) STRICT"
        )
        # A store made before a column joined the contract gets it now; its older rows have NULL there.
        for column in _missing_columns(connection, table):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {_declare(column)}")
        connection.execute(
            f"""
            CREATE TRIGGER IF NOT EXISTS {table}_never_updated BEFORE UPDATE ON {table}
            BEGIN SELECT raise(ABORT, 'rows of {table} are never changed'); END;
            CREATE TRIGGER IF NOT EXISTS {table}_deleted_when_sealed BEFORE DELETE ON {table}
            WHEN NOT EXISTS (
                SELECT 1 FROM seal_ranges
                WHERE raw_table = '{table}' AND is_finished AND OLD.id BETWEEN first_id AND last_id
            )
            BEGIN SELECT raise(ABORT, 'a row of {table} may go only after it is sealed'); END;
            """  # noqa: S608
        )
    connection.execute(
        "CREATE INDEX IF NOT EXISTS definitions_by_key ON definitions (project_id, kind, key, id)"
    )


def _declare(column: Column) -> str:
    return f"{column.name} {_SQLITE_TYPES[column.sql_type]}{' NOT NULL' if column.is_required else ''}"
