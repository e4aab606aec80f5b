"""Connections to the outbox, in SQLite or PostgreSQL, and the lease that lets one process write.

Every transaction of a writer begins by renewing the lease. So it fails when the lease is another's by now,
and writers of one process, on connections of their own, wait for each other.
"""

import ctypes
import fcntl
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import apsw

from forwarding.outbox.schema import TABLES, statements
from record.landing import Location
from record.landing.sqlite import write_transaction
from record.landing.store import LandingError, Row

LEASE_S = 30.0
"""How long a process may write without renewing its lease: each transaction does, and a task now and then."""

BUSY_MS = 60_000
"""How long a connection waits for another one's write: a plan writes thousands of rows at a time."""

_CHECKPOINT_PAGES = 4000

_AT_FDCWD = -100
_STATX_BTIME = 0x800


class LeaseLostError(LandingError):
    """Another process has the lease of the outbox."""


class OutboxStore(Protocol):
    """A connection to the outbox, for one thread at a time. Its methods raise LandingError."""

    def close(self) -> None:
        """Close it; also after a failure, and twice."""

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a statement that both engines understand; each `?` stands for one of `values`."""

    def execute(self, sql: str, *values: Any) -> None:
        """A statement without result."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """A statement without result, once for each row of values."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction that is durable when its body is left, and rolled back when that raises."""

    def storage(self) -> str:
        """What tells this very store from a copy of it."""


def open_outbox(location: Location) -> OutboxStore:
    """Open the outbox for writing; makes what is missing. Raises LandingError."""
    if isinstance(location, Path):
        return _open_sqlite(location)
    from forwarding.outbox.postgres import PostgresOutbox

    return PostgresOutbox.opened(location)


def open_existing_outbox(location: Location) -> OutboxStore | None:
    """Open the outbox for queries only; None while there is none. Raises LandingError."""
    if not isinstance(location, Path):
        from forwarding.outbox.postgres import PostgresOutbox

        return PostgresOutbox.opened_for_queries(location)
    if not location.exists():
        return None
    with _errors(location):
        # Writable, because the first to open a WAL may have to recover it.
        connection = apsw.Connection(str(location), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(1000)
        connection.execute("PRAGMA query_only=ON")
        if not _is_made(connection):
            connection.close()
            return None
        return SqliteOutbox(connection, location)


class SqliteOutbox:
    """An `OutboxStore` in a SQLite file."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def close(self) -> None:
        """Close it; also after a failure, and twice."""
        with _errors(self._path):
            self._connection.close(True)

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a statement."""
        with _errors(self._path):
            rows: list[Row] = self._connection.execute(sql, values).fetchall()
            return rows

    def execute(self, sql: str, *values: Any) -> None:
        """A statement without result."""
        with _errors(self._path):
            self._connection.execute(sql, values)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """A statement without result, once for each row of values."""
        with _errors(self._path):
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction, rolled back when its body raises; it waits for other writers first."""
        with _errors(self._path), write_transaction(self._connection):
            yield

    def storage(self) -> str:
        """The file's number and birth: a copy, or what a backup puts in its place, is another file."""
        return f"file {self._path.stat().st_ino} born {_born_ns(self._path)}"


class Lease:
    """The right to write to an outbox; `owner` is a name that no other process has.

    With a SQLite file, a lock of the system says at once when its holder has ended. In PostgreSQL a holder
    that ended without a word is taken over from when its lease is over.
    """

    def __init__(self, owner: str, location: Location, lease_s: float = LEASE_S) -> None:
        self.owner = owner
        self.lease_us = int(lease_s * 1_000_000)
        self._lock_path = location.with_suffix(".lock") if isinstance(location, Path) else None
        self._descriptor: int | None = None

    def take(self, store: OutboxStore) -> bool:
        """Take the lease; False while another process has it. What that one was sending is then taken up."""
        if self._lock_path is not None and not self._lock(self._lock_path):
            return False
        now_us = time.time_ns() // 1000
        is_sure = self._lock_path is not None
        with store.transaction():
            rows = store.query(
                "UPDATE outbox SET lease_owner = ?, lease_until_us = ?"
                " WHERE id = 1 AND (lease_owner IS NULL OR lease_owner = ? OR lease_until_us < ? OR ? = 1)"
                " RETURNING id",
                *(self.owner, now_us + self.lease_us, self.owner, now_us, int(is_sure)),
            )
            if rows and is_sure:
                # Whoever had them has ended: the system says so.
                store.execute("UPDATE deliveries SET lease_until_us = 0 WHERE state = 'sending'")
        return bool(rows)

    @contextmanager
    def transaction(self, store: OutboxStore) -> Iterator[None]:
        """A transaction of the holder. Raises LeaseLostError when that is another by now."""
        with store.transaction():
            rows = store.query(
                "UPDATE outbox SET lease_until_us = ? WHERE id = 1 AND lease_owner = ? RETURNING id",
                *(time.time_ns() // 1000 + self.lease_us, self.owner),
            )
            if not rows:
                raise LeaseLostError("another process forwards now")
            yield

    def give_back(self, store: OutboxStore) -> None:
        """Let another process have it at once."""
        with suppress(LandingError):
            store.execute(
                "UPDATE outbox SET lease_owner = NULL, lease_until_us = 0 WHERE id = 1 AND lease_owner = ?",
                self.owner,
            )
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, path: Path) -> bool:
        if self._descriptor is not None:
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True


def _born_ns(path: Path) -> int | None:
    """When a file was made; None where the system does not say.

    The number alone does not tell one file from the next: it is given again as soon as it is free.
    """
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return None
    found = ctypes.create_string_buffer(256)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found) != 0:
        return None
    (mask,) = struct.unpack_from("=I", found, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)
    return int(seconds * 1_000_000_000 + nanoseconds) if mask & _STATX_BTIME else None


def _open_sqlite(path: Path) -> SqliteOutbox:
    with _errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        _enter_wal(connection)
        # FULL: a commit waits for the WAL's fsync.
        connection.execute(f"PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        store = SqliteOutbox(connection, path)
        if not _is_made(connection):
            with store.transaction():
                for statement in statements(is_postgres=False):
                    store.execute(statement)
        return store


def _is_made(connection: apsw.Connection) -> bool:
    marks = ", ".join("?" * len(TABLES))
    return bool(
        connection.execute(
            f"SELECT count(*) = {len(TABLES)} FROM sqlite_schema"  # noqa: S608
            f" WHERE type = 'table' AND name IN ({marks})",
            TABLES,
        ).get
    )


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


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise LandingError(f"SQLite: {path.name} is damaged ({error}). Put it back from a backup.") from error
    except apsw.Error as error:
        raise LandingError(f"SQLite: {path.name}: {error}") from error
