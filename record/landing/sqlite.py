"""The landing store as a SQLite file: one ingest process appends, others read and seal beside it.

It is opened by `apsw` only: the standard library's SQLite may be old enough to carry the bug that corrupts a
WAL with several connections.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from record.contract import DAY_US, RAW_TABLES, Column, columns
from record.landing.answers import keep_answers
from record.landing.store import (
    BACKLOG_ROWS,
    UNBOUNDED,
    Answer,
    Backlog,
    Batch,
    LandingError,
    Placed,
    Position,
    Row,
    SealRange,
)
from record.sealed_files import highest_seq

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
CREATE TABLE IF NOT EXISTS project_access (
    project_id TEXT PRIMARY KEY REFERENCES projects,
    postbacks TEXT NOT NULL,
    secret_hash TEXT,
    host TEXT UNIQUE,
    origins TEXT NOT NULL,
    rate_limit TEXT
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
CREATE TABLE IF NOT EXISTS sealed_files (
    raw_table TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,
    PRIMARY KEY (raw_table, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    project_id TEXT NOT NULL,
    route TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    answered_us INTEGER NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (project_id, route, idempotency_key)
) STRICT;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (answered_us);
CREATE INDEX IF NOT EXISTS keys_by_project ON keys (project_id);
CREATE TABLE IF NOT EXISTS cursor_secret (
    id INTEGER PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS destination_secrets (
    project_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    ciphertext BLOB NOT NULL,
    set_us INTEGER NOT NULL,
    previous_key_id TEXT,
    previous_ciphertext BLOB,
    previous_until_us INTEGER,
    PRIMARY KEY (project_id, destination_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forwarding_wishes (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    destination_id TEXT,
    action TEXT NOT NULL,
    body TEXT NOT NULL,
    wished_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS notes (
    project_id TEXT NOT NULL,
    note_id TEXT NOT NULL,
    day TEXT NOT NULL,
    text TEXT NOT NULL,
    is_personal INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (project_id, note_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notes_by_day ON notes (project_id, day);
"""

_JOINED_KEYS = {"name": "TEXT", "last_used_us": "INTEGER"}
"""Columns of `keys` that joined later."""


# Each step of SQLite gives the interpreter lock away and must win it back: few statements with many rows do
# that rarely. 64 rows of the widest table stay well below SQLite's limit of bound values.
_ROWS_PER_STATEMENT = (64, 8, 1)

_CHECKPOINT_PAGES = 8000
"""Copying the WAL back less often than SQLite's default saves a quarter of the time; it stays below 40 MB."""


_BLOCK = "id >> 12"
"""Events are indexed by project, block of landing ids, and event id. Within a block new entries fall on the
same few pages, whatever ids senders make up; an index by event id alone would touch a page per event."""


def open_for_writing(path: Path) -> "SqliteStore":
    """Open the file for writing; makes folder, file and tables that are missing.

    Raises LandingError; also for a file that was emptied, which would become a store without any keys.
    """
    with _landing_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LandingError(f"The folder of the landing store cannot be made: {error}") from error
        _refuse_if_cut_to_nothing(path)
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        _refuse_without_its_tables(connection, path)
        _enter_wal(connection)
        # FULL: a commit waits for the WAL's fsync. recursive_triggers: REPLACE must fire the DELETE triggers.
        connection.execute(
            "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON;"
            f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}"
        )
        store = SqliteStore(connection)
        if not _is_complete(connection):
            with store.transaction():
                _create(connection)
        return store


def open_for_queries(path: Path) -> "SqliteStore | None":
    """Open the file for queries only; None while there is no file or nothing in it. Raises LandingError."""
    if not path.exists():
        return None
    with _landing_errors(path):
        _refuse_if_cut_to_nothing(path)
        # Writable, because the first to open a WAL may have to recover it.
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(1000)
        _refuse_without_its_tables(connection, path)
        connection.execute("PRAGMA query_only=ON")
        if not _is_made(connection):
            connection.close()
            return None
        return SqliteStore(connection)


@contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction of any SQLite file of ours, rolled back when its body raises. Raises apsw.Error.

    It waits for other writers before it reads anything: a transaction that reads first and then writes is
    refused outright when somebody else wrote in between.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some failures end the transaction by themselves.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class SqliteStore:
    """A `LandingStore` on a connection of its own."""

    row_order = "id"

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Close it; also after a failure, and twice."""
        with _landing_errors():
            self._connection.close(True)

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a SELECT."""
        with _landing_errors():
            rows: list[Row] = self._connection.execute(sql, values).fetchall()
            return rows

    def execute(self, sql: str, *values: Any) -> None:
        """A statement without result."""
        with _landing_errors():
            self._connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction, rolled back when its body raises."""
        with _landing_errors(), write_transaction(self._connection):
            yield

    def prove_writable(self) -> None:
        """Commit something that changes no row to stable storage."""
        # Whatever its value, setting it is a write of the first page.
        self.execute("PRAGMA user_version = 0")

    def append(
        self, batches: Sequence[Batch], answers: Mapping[int, Answer] | None = None
    ) -> list[int | Answer]:
        """Append rows and answers in one durable transaction; returns first ids or earlier answers."""
        results: list[int | Answer] = [0] * len(batches)
        with self.transaction():
            earlier = keep_answers(self, answers) if answers else {}
            for position, answer in earlier.items():
                results[position] = answer
            for table in RAW_TABLES:
                members = [
                    position
                    for position, batch in enumerate(batches)
                    if batch[0] == table and position not in earlier
                ]
                rows = list(itertools.chain.from_iterable(batches[position][1] for position in members))
                if not rows:
                    continue
                start = 0
                for count in _ROWS_PER_STATEMENT:
                    while len(rows) - start >= count:
                        values = tuple(itertools.chain.from_iterable(rows[start : start + count]))
                        self._connection.execute(_INSERTS[table, count], values)
                        start += count
                # Ids of one transaction have no gaps: it is alone, and AUTOINCREMENT only counts up.
                next_id = self._connection.last_insert_rowid() - len(rows) + 1
                for position in members:
                    results[position] = next_id
                    next_id += len(batches[position][1])
        return results

    def sealable(self) -> dict[str, Position]:
        """Per raw table the last id ever given: with one writer at a time, rows appear in their order."""
        given = {row[0]: row[1] for row in self.query("SELECT name, seq FROM sqlite_sequence")}
        return {table: (0, given.get(table, 0)) for table in RAW_TABLES}

    def newest_events(
        self,
        project_id: str,
        limit: int,
        before: Position | None = None,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's newest events, newest first: block by block, over those that have any."""
        bound = before[1] if before else 2**62
        found: list[Placed] = []
        while len(found) < limit and (left := most_bytes - _payload_bytes(found)) > 0:
            ((block,),) = self.query(
                f"SELECT max({_BLOCK}) FROM events WHERE project_id = ? AND {_BLOCK} <= (? >> 12)",  # noqa: S608
                *(project_id, bound - 1),
            )
            if block is None:
                break
            found += self._events(
                f"project_id = ? AND {_BLOCK} = ? AND id < ? ORDER BY id DESC LIMIT ?",
                *(project_id, block, bound, limit - len(found)),
                order="id DESC",
                most_bytes=left,
            )
            bound = block << 12
        return found

    def events_behind(
        self,
        project_id: str,
        after: Position,
        until: Position,
        limit: int,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's next events in order: block by block, over those that have any."""
        last = after[1]
        found: list[Placed] = []
        while len(found) < limit and (left := most_bytes - _payload_bytes(found)) > 0:
            ((block,),) = self.query(
                f"SELECT min({_BLOCK}) FROM events WHERE project_id = ? AND {_BLOCK} >= (? >> 12)",  # noqa: S608
                *(project_id, last + 1),
            )
            if block is None or block << 12 > until[1]:
                break
            found += self._events(
                f"project_id = ? AND {_BLOCK} = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
                *(project_id, block, last, until[1], limit - len(found)),
                most_bytes=left,
            )
            last = (block << 12) + 4095
        return found

    def events_with_id(
        self, project_id: str, event_id: str, limit: int, most_bytes: int = UNBOUNDED
    ) -> list[Placed]:
        """A project's events with an event id: one look into each block that has events of the project."""
        return self._events(
            f"""
            project_id = ?1 AND event_id = ?2 AND {_BLOCK} IN (
                WITH RECURSIVE blocks (block) AS (
                    SELECT min({_BLOCK}) FROM events WHERE project_id = ?1
                    UNION ALL
                    SELECT (SELECT min({_BLOCK}) FROM events WHERE project_id = ?1 AND {_BLOCK} > block)
                    FROM blocks WHERE block IS NOT NULL
                )
                SELECT block FROM blocks
            ) ORDER BY id LIMIT ?3
            """,  # noqa: S608
            *(project_id, event_id, limit),
            most_bytes=most_bytes,
        )

    def _events(self, chosen: str, *values: Any, most_bytes: int, order: str = "id") -> list[Placed]:
        found: list[Placed] = []
        with _landing_errors():
            # Chosen in the index alone: a block may hold thousands of rows that are not wanted.
            rows = self._connection.execute(
                f"SELECT id, {_EVENT_NAMES} FROM events"  # noqa: S608
                f" WHERE id IN (SELECT id FROM events WHERE {chosen}) ORDER BY {order}",
                values,
            )
            # A row is read when it is asked for.
            for row in rows:
                found.append(((0, row[0]), _with_booleans(row[1:], _EVENT_FLAGS)))
                most_bytes -= _payload_bytes(found[-1:])
                if most_bytes <= 0:
                    rows.close()
                    break
        return found

    @contextmanager
    def sealing(self) -> Iterator[None]:
        """Nothing to hold: who seals a file holds the build lock of the home that it lies in."""
        yield

    def unfinished_ranges(self, table: str) -> list[SealRange]:
        """Ranges that were committed and not finished, in order."""
        rows = self.query(
            "SELECT first_id, last_id, first_seq, row_count FROM seal_ranges"
            " WHERE raw_table = ? AND NOT is_finished ORDER BY first_id",
            table,
        )
        return [SealRange(table, (0, row[0]), (0, row[1]), row[2], row[3]) for row in rows]

    def open_range(self, table: str, until: Position, most_rows: int, above_seq: int) -> SealRange | None:
        """Commit the next range, or None when no row is left."""
        with self.transaction():
            ((after, sealed_seq),) = self.query(
                "SELECT coalesce(max(last_id), 0), coalesce(max(first_seq + row_count - 1), 0)"
                " FROM seal_ranges WHERE raw_table = ?",
                table,
            )
            ((first_id, last_id, row_count),) = self.query(
                f"SELECT min(id), max(id), count(*) FROM"  # noqa: S608
                f" (SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)",
                *(after, until[1], most_rows),
            )
            if not row_count:
                return None
            first_seq = max(sealed_seq, above_seq) + 1
            self.execute(
                "INSERT INTO seal_ranges (raw_table, first_id, last_id, first_seq, row_count)"
                " VALUES (?, ?, ?, ?, ?)",
                *(table, first_id, last_id, first_seq, row_count),
            )
        return SealRange(table, (0, first_id), (0, last_id), first_seq, row_count)

    def range_days(self, opened: SealRange) -> list[tuple[int, int]]:
        """Received days of a range's rows and the number of rows of each; by day."""
        # Not called `day`: GROUP BY would take the column of that name, which costs have.
        rows = self.query(
            f"SELECT received_us / {DAY_US} AS received_day, count(*) FROM {opened.table}"  # noqa: S608
            " WHERE id BETWEEN ? AND ? GROUP BY received_day ORDER BY received_day",
            *(opened.first[1], opened.last[1]),
        )
        return [(day, count) for day, count in rows]

    def range_rows(self, opened: SealRange, day: int, chunk_rows: int) -> Iterator[list[Row]]:
        """Rows of one day of a range by landing id."""
        described = columns(RAW_TABLES[opened.table])
        flags = _flags(described)
        with _landing_errors():
            rows = self._connection.execute(
                f"SELECT {', '.join(column.name for column in described)} FROM {opened.table}"  # noqa: S608
                f" WHERE id BETWEEN ? AND ? AND received_us / {DAY_US} = ? ORDER BY id",
                (opened.first[1], opened.last[1], day),
            )
            while chunk := list(itertools.islice(rows, chunk_rows)):
                yield [_with_booleans(row, flags) for row in chunk] if flags else chunk

    def backlog(self, table: str, to_seq: int) -> Backlog:
        """What of a raw table a build has not seen that saw it up to `to_seq`."""
        ((sealed_to, unseen, first_unseen),) = self.query(
            "SELECT coalesce(max(last_id), 0),"
            " coalesce(sum(row_count) FILTER (WHERE first_seq + row_count - 1 > ?), 0),"
            " min(first_id) FILTER (WHERE first_seq + row_count - 1 > ?)"
            " FROM seal_ranges WHERE raw_table = ?",
            *(to_seq, to_seq, table),
        )
        # Ids count without gaps, and what is not sealed is never deleted: their difference is its number.
        ((last_id,),) = self.query(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608
        unsealed = min(max(0, last_id - sealed_to), BACKLOG_ROWS)
        oldest = self.query(
            f"SELECT received_us FROM {table} WHERE id >= ? ORDER BY id LIMIT 1",  # noqa: S608
            sealed_to + 1 if first_unseen is None else first_unseen,
        )
        return Backlog(unseen + unsealed, unsealed, oldest[0][0] if oldest else None)

    def finish_range(self, opened: SealRange) -> None:
        """Mark a range as written to stable storage."""
        self.execute(
            "UPDATE seal_ranges SET is_finished = 1 WHERE raw_table = ? AND first_id = ?",
            *(opened.table, opened.first[1]),
        )

    def prunable_ranges(self, table: str, before_us: int) -> list[SealRange]:
        """Finished ranges whose first row left is old, and those without rows but for the last; in order."""
        rows = self.query(
            f"""
            SELECT first_id, last_id, first_seq, row_count FROM (
                SELECT *, (
                    SELECT received_us FROM {table} WHERE id BETWEEN first_id AND last_id ORDER BY id LIMIT 1
                ) AS left_us
                FROM seal_ranges WHERE raw_table = ? AND is_finished
            )
            WHERE left_us < ? OR (
                left_us IS NULL
                AND first_id < (SELECT max(first_id) FROM seal_ranges WHERE raw_table = ?)
            )
            ORDER BY first_id
            """,  # noqa: S608
            *(table, before_us, table),
        )
        return [SealRange(table, (0, row[0]), (0, row[1]), row[2], row[3]) for row in rows]

    def prune_range(self, finished: SealRange, before_us: int, chunk_rows: int) -> Iterator[int]:
        """Delete old rows of a finished range, chunk by chunk; then forget it when it is empty."""
        table, after, last_id = finished.table, finished.first[1] - 1, finished.last[1]
        while True:
            # Looked for outside of the transaction, which keeps ingest waiting: nobody else takes rows away.
            ((through, old),) = self.query(
                f"SELECT max(id), count(*) FILTER (WHERE received_us < ?) FROM"  # noqa: S608
                f" (SELECT id, received_us FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)",
                *(before_us, after, last_id, chunk_rows),
            )
            if not old:
                break
            self.execute(
                f"DELETE FROM {table} WHERE id > ? AND id <= ? AND received_us < ?",  # noqa: S608
                *(after, through, before_us),
            )
            yield old
            after = through
        self.execute(
            f"DELETE FROM seal_ranges WHERE raw_table = ? AND first_id = ? AND is_finished"  # noqa: S608
            f" AND NOT EXISTS (SELECT 1 FROM {table} WHERE id BETWEEN ? AND ?)"
            " AND first_id < (SELECT max(first_id) FROM seal_ranges WHERE raw_table = ?)",
            *(table, finished.first[1], finished.first[1], last_id, table),
        )


@contextmanager
def _landing_errors(opening: Path | None = None) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        named = opening or "landing.sqlite"
        raise LandingError(f"SQLite: {named} is damaged ({error}). Put it back from a backup.") from error
    except apsw.CantOpenError as error:
        named = opening or "landing.sqlite"
        raise LandingError(
            f"SQLite: {named}: {error}. This user must be able to write to its folder."
        ) from error
    except apsw.Error as error:
        raise LandingError(f"SQLite: {opening}: {error}" if opening else f"SQLite: {error}") from error


# Those that a store has had since the first version.
_FIRST_TABLES = ("projects", "keys", "seal_ranges", "events")


def _refuse_if_cut_to_nothing(path: Path) -> None:
    """Raises LandingError for a file of 0 bytes that was a store; SQLite would delete the WAL beside it."""
    is_empty = path.exists() and not path.stat().st_size
    wal = path.with_name(path.name + "-wal")
    if is_empty and ((wal.exists() and wal.stat().st_size) or _has_record(path.parent)):
        raise LandingError(_LOST.format(path=path, what="is empty"))


def _refuse_without_its_tables(connection: apsw.Connection, path: Path) -> None:
    """Raises LandingError for a store that has lost tables; a new file has none, and no record beside it."""
    marks = ", ".join("?" * len(_FIRST_TABLES))
    count = connection.execute(
        f"SELECT count(*) FROM sqlite_schema WHERE name IN ({marks})",  # noqa: S608
        _FIRST_TABLES,
    ).get
    has_lost = count < len(_FIRST_TABLES) if count else path.stat().st_size and _has_record(path.parent)
    if has_lost:
        connection.close()
        raise LandingError(_LOST.format(path=path, what="has lost its tables"))


_LOST = (
    "{path} {what}: the projects, keys and unsealed reports that were in it are gone. Restore it from a "
    "backup; or delete it to start over, with new projects and keys, above what the raw zone holds."
)


def _has_record(home: Path) -> bool:
    """Whether anything was ever sealed into the raw zone beside the landing store."""
    return any(highest_seq(home / "raw" / table) > 0 for table in RAW_TABLES)


def _flags(described: list[Column]) -> list[int]:
    return [position for position, column in enumerate(described) if column.sql_type == "BOOLEAN"]


def _payload_bytes(found: list[Placed]) -> int:
    """About the bytes of their payloads; it is asked often, so characters have to do."""
    return sum(len(row[_PAYLOAD]) for _, row in found)


def _with_booleans(row: Row, flags: list[int]) -> Row:
    """SQLite has 0 and 1."""
    values = list(row)
    for position in flags:
        if values[position] is not None:
            values[position] = bool(values[position])
    return tuple(values)


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


def _is_made(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'keys'").get)


def _is_complete(connection: apsw.Connection) -> bool:
    control = connection.execute(
        "SELECT count(*) FROM sqlite_schema"
        " WHERE name IN ('projects', 'keys', 'project_access', 'seal_ranges', 'sealed_files', 'answers',"
        " 'answers_by_age', 'cursor_secret', 'destination_secrets', 'forwarding_wishes',"
        " 'notes', 'events_by_project', 'rejected_by_project', 'keys_by_project', 'notes_by_day')"
    ).get
    return (
        control == 15
        and _JOINED_KEYS.keys() <= _present_columns(connection, "keys")
        and not any(_missing_columns(connection, table) for table in RAW_TABLES)
    )


def _present_columns(connection: apsw.Connection, table: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _missing_columns(connection: apsw.Connection, table: str) -> list[Column]:
    present = _present_columns(connection, table)
    return [column for column in columns(RAW_TABLES[table]) if column.name not in present]


def _create(connection: apsw.Connection) -> None:
    connection.execute(_CONTROL_SCHEMA)
    for name in _JOINED_KEYS.keys() - _present_columns(connection, "keys"):
        connection.execute(f"ALTER TABLE keys ADD COLUMN {name} {_JOINED_KEYS[name]}")
    if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'postbacks'").get:
        # A store made when postbacks were all that was said of a project's access.
        connection.execute(
            "INSERT INTO project_access SELECT project_id, mode, secret_hash, NULL, '', NULL FROM postbacks;"
            "DROP TABLE postbacks"
        )
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
    connection.execute(
        f"CREATE INDEX IF NOT EXISTS events_by_project ON events (project_id, {_BLOCK}, event_id)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS rejected_by_project ON rejected (project_id, id)")


def _declare(column: Column) -> str:
    return f"{column.name} {_SQLITE_TYPES[column.sql_type]}{' NOT NULL' if column.is_required else ''}"


def _insert(table: str, count: int) -> str:
    names = [column.name for column in columns(RAW_TABLES[table])]
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * count)}"  # noqa: S608


_INSERTS = {(table, count): _insert(table, count) for table in RAW_TABLES for count in _ROWS_PER_STATEMENT}

_EVENT_NAMES = ", ".join(column.name for column in columns(RAW_TABLES["events"]))
_PAYLOAD = [column.name for column in columns(RAW_TABLES["events"])].index("payload")
_EVENT_FLAGS = _flags(columns(RAW_TABLES["events"]))
