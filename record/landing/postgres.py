"""The landing store in a PostgreSQL database: several ingest processes append at once.

A row's place in the record is its transaction's number and its landing id, `(xid, id)`. A transaction can
become visible after one with a higher number, so a row may be sealed only when its xid is below the horizon:
every transaction below that has ended, and no row will ever appear there.

Everything lies in the schema `funnelhouse`, one landing store per database. Sessions are set up when they
begin: a pooler that hands out another session per transaction must not stand between.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from record.contract import DAY_US, RAW_TABLES, columns
from record.landing.answers import keep_answers
from record.landing.postgres_schema import ID_BLOCK, SCHEMA, create_schema, is_complete
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

LOCK_SECONDS = 10
"""How long a statement waits for another session's lock before it gives up."""

RECONNECT_SECONDS = 1.0
"""After a connection could not be made, further attempts fail at once for this long."""

HORIZON = "pg_snapshot_xmin(pg_current_snapshot())"
"""The lowest transaction that may still be running."""

# Only one process at a time may make the schema; only one may seal. Keys of advisory locks.
_MAKING, _SEALING = 0x66680001, 0x66680002

_CONNECTION_DEFAULTS = {
    "connect_timeout": "2",
    # A server that is gone without a word is noticed, although nothing comes from it.
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "application_name": "funnelhouse",
}

# What the server is set to could lose an acknowledged row: the session says itself what a commit waits for.
# The transaction of a process that vanished would hold back the horizon, and sealing, and who repeats its
# requests elsewhere: it is given up before those who wait for it give up.
_SET_UP = f"""
SET search_path = {SCHEMA};
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '{LOCK_SECONDS}s';
SET idle_in_transaction_session_timeout = '{LOCK_SECONDS - 2}s';
SET tcp_keepalives_idle = {LOCK_SECONDS - 5};
SET tcp_keepalives_interval = 1;
SET tcp_keepalives_count = 3;
SET client_min_messages = warning;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') <> 'remote_apply'
"""

# From the first to the last position of a range; and behind one position, up to another.
_IN_RANGE = "(xid, id) >= (?::xid8, ?) AND (xid, id) <= (?::xid8, ?)"
_BEHIND = "(xid, id) > (?::xid8, ?) AND (xid, id) <= (?::xid8, ?)"

_T = TypeVar("_T")


def open_for_writing(url: str) -> "PostgresStore":
    """Connect, and make the schema or what is missing of it. Raises LandingError."""
    store = PostgresStore(url)
    with _landing_errors(), _closed_on_error(store):
        settings = store.query(
            "SELECT current_setting('server_version_num')::int >= 150000, current_setting('fsync') = 'on',"
            " current_setting('server_encoding') = 'UTF8'"
        )
        if settings != [(True, True, True)]:
            raise LandingError("PostgreSQL must be 15 or newer, run with fsync=on, and the database be UTF8")
        if not is_complete(store.connection):
            with store.transaction():
                store.execute("SELECT pg_advisory_xact_lock(?)", _MAKING)
                create_schema(store.connection)
    return store


def open_for_queries(url: str) -> "PostgresStore | None":
    """Connect for queries only; None while there is no schema. Raises LandingError."""
    store = PostgresStore(url, is_read_only=True)
    with _closed_on_error(store):
        if store.query(f"SELECT to_regclass('{SCHEMA}.keys') IS NOT NULL") == [(True,)]:
            return store
    store.close()
    return None


class PostgresStore:
    """A `LandingStore` on a session of its own; a lost one is replaced when nothing hangs on it."""

    row_order = "xid, id"

    def __init__(self, url: str, is_read_only: bool = False) -> None:
        self._url = url
        self._is_read_only = is_read_only
        self._wait_until = 0.0
        # How many contexts need this very session: a transaction, or the lock of the one sealer.
        self._bound = 0
        self.connection = self._connect()

    def close(self) -> None:
        """Close it; also after a failure, and twice."""
        self.connection.close()

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a SELECT; repeated on a new session when this one was lost."""
        return self._repeatable(lambda: self._run(sql, values).fetchall())

    def execute(self, sql: str, *values: Any) -> None:
        """A statement without result; never repeated, for it may have been done."""
        self._ensure_session()
        with _landing_errors():
            self._run(sql, values)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """A statement without result, once for each row of values; never repeated."""
        self._ensure_session()
        with _landing_errors(), self.connection.cursor() as cursor:
            cursor.executemany(_in_psycopgs_marks(sql), rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that is durable when its body is left, and rolled back when that raises."""
        self._repeatable(lambda: self.connection.execute("BEGIN"))
        with self._rest_of_transaction():
            yield

    def prove_writable(self) -> None:
        """Commit something that changes no row to stable storage."""
        self.query("SELECT pg_logical_emit_message(true, 'funnelhouse', '')")

    def append(
        self, batches: Sequence[Batch], answers: Mapping[int, Answer] | None = None
    ) -> list[int | Answer]:
        """Append rows and answers in one durable transaction; returns first ids or earlier answers."""
        results: list[int | Answer] = [0] * len(batches)
        if not answers and not any(rows for _, rows in batches):
            return results
        # Repeatable: until this has worked, nothing was written.
        next_ids = self._repeatable(self._begin_with_ids)
        with self._rest_of_transaction():
            earlier = keep_answers(self, answers) if answers else {}
            for position, answer in earlier.items():
                results[position] = answer
            for table in RAW_TABLES:
                members = [
                    position
                    for position, batch in enumerate(batches)
                    if batch[0] == table and position not in earlier
                ]
                if sum(len(batches[position][1]) for position in members) > ID_BLOCK:
                    raise LandingError(f"PostgreSQL: more than {ID_BLOCK} rows in one transaction")
                if not members:
                    continue
                with self.connection.cursor() as cursor, cursor.copy(_COPY[table]) as copy:
                    for position in members:
                        results[position] = next_ids[table]
                        for row in batches[position][1]:
                            copy.write_row((next_ids[table], *row))
                            next_ids[table] += 1
        return results

    def sealable(self) -> dict[str, Position]:
        """Per raw table the last row below the horizon, deleted ones included.

        Raises LandingError when the rows come from another cluster, whose transactions were numbered anew.
        """
        result: dict[str, Position] = {}
        for table in RAW_TABLES:
            # One statement, so that all of it is true of one moment.
            ((xid, row_id, is_foreign),) = self.query(
                f"""
                SELECT coalesce(last.xid::text::bigint, 0), coalesce(last.id, 0), (
                    SELECT coalesce(max(xid) >= pg_snapshot_xmax(pg_current_snapshot()), false) FROM {table}
                ) OR (
                    SELECT coalesce(max(last_xid) >= {HORIZON}, false) FROM seal_ranges WHERE raw_table = ?
                )
                FROM (SELECT) AS always LEFT JOIN LATERAL (
                    SELECT xid, id FROM (
                        (SELECT xid, id FROM {table} WHERE xid < {HORIZON} ORDER BY xid DESC, id DESC LIMIT 1)
                        UNION ALL
                        SELECT last_xid, last_id FROM seal_ranges WHERE raw_table = ?
                    ) AS ends ORDER BY xid DESC, id DESC LIMIT 1
                ) AS last ON true
                """,  # noqa: S608
                *(table, table),
            )
            if is_foreign:
                raise LandingError(
                    f"PostgreSQL: {table} has rows of transactions that this cluster has not reached: it was "
                    "restored from a dump. Seal before dumping, and restore projects and keys only"
                )
            result[table] = (xid, row_id)
        return result

    def newest_events(
        self,
        project_id: str,
        limit: int,
        before: Position | None = None,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's newest events, newest first."""
        xid, row_id = before or (2**63 - 1, 0)
        return self._events(
            "project_id = ? AND (xid, id) < (?::xid8, ?)",
            *(project_id, str(xid), row_id),
            order="xid DESC, id DESC",
            limit=limit,
            most_bytes=most_bytes,
        )

    def events_behind(
        self,
        project_id: str,
        after: Position,
        until: Position,
        limit: int,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's next events in order."""
        return self._events(
            f"project_id = ? AND {_BEHIND}",
            *(project_id, str(after[0]), after[1], str(until[0]), until[1]),
            limit=limit,
            most_bytes=most_bytes,
        )

    def events_with_id(
        self, project_id: str, event_id: str, limit: int, most_bytes: int = UNBOUNDED
    ) -> list[Placed]:
        """A project's events with an event id, in order."""
        return self._events(
            "project_id = ? AND event_id = ?", project_id, event_id, limit=limit, most_bytes=most_bytes
        )

    def _events(
        self, condition: str, *values: Any, limit: int, most_bytes: int, order: str = "xid, id"
    ) -> list[Placed]:
        # Lengths are known without reading the texts; only what is wanted is read.
        rows = self.query(
            f"""
            SELECT xid::text::bigint AS number, id, {_EVENT_NAMES} FROM events
            JOIN (
                SELECT xid, id, sum(size) OVER (ORDER BY {order}) - size AS size_before FROM (
                    SELECT xid, id, octet_length(payload) AS size FROM events
                    WHERE {condition} ORDER BY {order} LIMIT ?
                ) AS page
            ) AS chosen USING (xid, id)
            WHERE size_before < ? ORDER BY {order}
            """,  # noqa: S608
            *(*values, limit, most_bytes),
        )
        return [((row[0], row[1]), row[2:]) for row in rows]

    @contextmanager
    def sealing(self) -> Iterator[None]:
        """While open, this is the one sealer. Raises LandingError when another does not end in time."""
        # A sealer that was killed loses the lock when the server notices.
        deadline = time.monotonic() + LOCK_SECONDS
        while self.query("SELECT pg_try_advisory_lock(?)", _SEALING) != [(True,)]:
            if time.monotonic() > deadline:
                raise LandingError("PostgreSQL: another build is sealing this landing store")
            time.sleep(0.1)
        self._bound += 1
        try:
            yield
        finally:
            self._bound -= 1
            # A session that is lost has lost the lock as well.
            with suppress(LandingError):
                self.execute("SELECT pg_advisory_unlock(?)", _SEALING)

    def unfinished_ranges(self, table: str) -> list[SealRange]:
        """Ranges that were committed and not finished, in order."""
        rows = self.query(
            "SELECT first_xid::text::bigint, first_id, last_xid::text::bigint, last_id, first_seq, row_count"
            " FROM seal_ranges WHERE raw_table = ? AND NOT is_finished ORDER BY first_seq",
            table,
        )
        return [SealRange(table, (row[0], row[1]), (row[2], row[3]), row[4], row[5]) for row in rows]

    def open_range(self, table: str, until: Position, most_rows: int, above_seq: int) -> SealRange | None:
        """Commit the next range, or None when no row is left.

        Its positions describe it for ever: below the horizon nothing appears, and rows of a range stay until
        it is finished.
        """
        with self.transaction():
            last = self.query(
                "SELECT last_xid::text::bigint, last_id, first_seq + row_count - 1 FROM seal_ranges"
                " WHERE raw_table = ? ORDER BY first_seq DESC LIMIT 1",
                table,
            )
            after_xid, after_id, sealed_seq = last[0] if last else (0, 0, 0)
            taken = self.query(
                f"""
                WITH taken AS (SELECT xid, id FROM {table} WHERE {_BEHIND} ORDER BY xid, id LIMIT ?)
                SELECT a.xid::text::bigint, a.id, z.xid::text::bigint, z.id, (SELECT count(*) FROM taken)
                FROM
                    (SELECT * FROM taken ORDER BY xid, id LIMIT 1) AS a,
                    (SELECT * FROM taken ORDER BY xid DESC, id DESC LIMIT 1) AS z
                """,  # noqa: S608
                *(str(after_xid), after_id, str(until[0]), until[1], most_rows),
            )
            if not taken:
                return None
            first_xid, first_id, last_xid, last_id, row_count = taken[0]
            first_seq = max(sealed_seq, above_seq) + 1
            self.execute(
                "INSERT INTO seal_ranges"
                " (raw_table, first_xid, first_id, last_xid, last_id, first_seq, row_count)"
                " VALUES (?, ?::xid8, ?, ?::xid8, ?, ?, ?)",
                *(table, str(first_xid), first_id, str(last_xid), last_id, first_seq, row_count),
            )
        return SealRange(table, (first_xid, first_id), (last_xid, last_id), first_seq, row_count)

    def range_days(self, opened: SealRange) -> list[tuple[int, int]]:
        """Received days of a range's rows and the number of rows of each; by day."""
        # Not called `day`: GROUP BY would take the column of that name, which costs have.
        rows = self.query(
            f"SELECT received_us / {DAY_US} AS received_day, count(*) FROM {opened.table}"  # noqa: S608
            f" WHERE {_IN_RANGE} GROUP BY received_day ORDER BY received_day",
            *(str(opened.first[0]), opened.first[1], str(opened.last[0]), opened.last[1]),
        )
        return [(day, count) for day, count in rows]

    def range_rows(self, opened: SealRange, day: int, chunk_rows: int) -> Iterator[list[Row]]:
        """Rows of one day of a range by position."""
        names = ", ".join(column.name for column in columns(RAW_TABLES[opened.table]))
        # A query per chunk needs no transaction that stays open while files are written.
        after_xid, after_id = opened.first[0], opened.first[1] - 1
        while chunk := self.query(
            f"SELECT xid::text::bigint AS number, id, {names} FROM {opened.table}"  # noqa: S608
            f" WHERE {_BEHIND} AND received_us / {DAY_US} = ? ORDER BY xid, id LIMIT ?",
            *(str(after_xid), after_id, str(opened.last[0]), opened.last[1], day, chunk_rows),
        ):
            after_xid, after_id = chunk[-1][:2]
            yield [row[2:] for row in chunk]

    def backlog(self, table: str, to_seq: int) -> Backlog:
        """What of a raw table a build has not seen that saw it up to `to_seq`."""
        ((unseen,),) = self.query(
            "SELECT coalesce(sum(row_count), 0)::bigint FROM seal_ranges"
            " WHERE raw_table = ? AND first_seq + row_count - 1 > ?",
            *(table, to_seq),
        )
        ends = (
            "SELECT {}_xid::text, {}_id FROM seal_ranges WHERE raw_table = ? {} ORDER BY first_seq {} LIMIT 1"
        )
        sealed_to = self.query(ends.format("last", "last", "", "DESC"), table) or [("0", 0)]
        ((unsealed,),) = self.query(
            f"SELECT count(*) FROM"  # noqa: S608
            f" (SELECT FROM {table} WHERE (xid, id) > (?::xid8, ?) ORDER BY xid, id LIMIT ?) AS behind",
            *(*sealed_to[0], BACKLOG_ROWS),
        )
        first = self.query(
            ends.format("first", "first", "AND first_seq + row_count - 1 > ?", "ASC"), *(table, to_seq)
        )
        oldest = self.query(
            f"SELECT received_us FROM {table} WHERE (xid, id) {'>=' if first else '>'} (?::xid8, ?)"  # noqa: S608
            " ORDER BY xid, id LIMIT 1",
            *(first or sealed_to)[0],
        )
        return Backlog(unseen + unsealed, unsealed, oldest[0][0] if oldest else None)

    def finish_range(self, opened: SealRange) -> None:
        """Mark a range as written to stable storage."""
        self.execute(
            "UPDATE seal_ranges SET is_finished = true WHERE raw_table = ? AND first_seq = ?",
            *(opened.table, opened.first_seq),
        )

    def prunable_ranges(self, table: str, before_us: int) -> list[SealRange]:
        """Finished ranges whose first row left is old, and those without rows but for the last; in order."""
        rows = self.query(
            f"""
            SELECT first_xid::text::bigint, first_id, last_xid::text::bigint, last_id, first_seq, row_count
            FROM seal_ranges LEFT JOIN LATERAL (
                SELECT received_us FROM {table}
                WHERE (xid, id) >= (first_xid, first_id) AND (xid, id) <= (last_xid, last_id)
                ORDER BY xid, id LIMIT 1
            ) AS first_left ON true
            WHERE raw_table = ? AND is_finished AND (
                received_us < ? OR (
                    received_us IS NULL
                    AND first_seq < (SELECT max(first_seq) FROM seal_ranges WHERE raw_table = ?)
                )
            )
            ORDER BY first_seq
            """,  # noqa: S608
            *(table, before_us, table),
        )
        return [SealRange(table, (row[0], row[1]), (row[2], row[3]), row[4], row[5]) for row in rows]

    def prune_range(self, finished: SealRange, before_us: int, chunk_rows: int) -> Iterator[int]:
        """Delete old rows of a finished range, chunk by chunk; then forget it when it is empty."""
        table, last = finished.table, (str(finished.last[0]), finished.last[1])
        after = (str(finished.first[0]), finished.first[1] - 1)
        # Dead rows stay in the index for a while: each chunk begins behind those of the one before.
        while chunk := self.query(
            f"SELECT xid::text, id, received_us FROM {table}"  # noqa: S608
            f" WHERE {_BEHIND} ORDER BY xid, id LIMIT ?",
            *(*after, *last, chunk_rows),
        ):
            old = sum(received_us < before_us for _, _, received_us in chunk)
            if not old:
                break
            through = chunk[-1][:2]
            self.execute(
                f"DELETE FROM {table} WHERE {_BEHIND} AND received_us < ?",  # noqa: S608
                *(*after, *through, before_us),
            )
            yield old
            after = through
        self.execute(
            f"DELETE FROM seal_ranges WHERE raw_table = ? AND first_seq = ? AND is_finished"  # noqa: S608
            f" AND NOT EXISTS (SELECT 1 FROM {table} WHERE {_IN_RANGE})"
            " AND first_seq < (SELECT max(first_seq) FROM seal_ranges WHERE raw_table = ?)",
            *(table, finished.first_seq, str(finished.first[0]), finished.first[1], *last, table),
        )

    def _connect(self) -> psycopg.Connection[Row]:
        if time.monotonic() < self._wait_until:
            raise LandingError("PostgreSQL: no connection; the last attempt failed a moment ago")
        try:
            parameters = {**_CONNECTION_DEFAULTS, **conninfo_to_dict(self._url), "client_encoding": "UTF8"}
            conninfo = make_conninfo("", **parameters)
        except psycopg.ProgrammingError:
            # The message would repeat the URL, and a password with it.
            raise LandingError("FUNNELHOUSE_LANDING is not a valid postgresql:// URL") from None
        try:
            with _landing_errors():
                connection: psycopg.Connection[Row] = psycopg.connect(conninfo, autocommit=True)
                with _closed_on_error(connection):
                    connection.execute(_SET_UP.encode())
                    if self._is_read_only:
                        connection.execute("SET default_transaction_read_only = on")
        except LandingError:
            self._wait_until = time.monotonic() + RECONNECT_SECONDS
            raise
        return connection

    def _ensure_session(self) -> None:
        if self.connection.closed and not self._bound:
            self.connection = self._connect()

    def _repeatable(self, work: Callable[[], _T]) -> _T:
        """Do what can be done again; once more on a new session when this one turns out to be lost."""
        self._ensure_session()
        with _landing_errors():
            try:
                return work()
            except psycopg.OperationalError:
                if not self.connection.closed or self._bound:
                    raise
                self.connection = self._connect()
                return work()

    def _run(self, sql: str, values: Sequence[Any]) -> psycopg.Cursor[Row]:
        return self.connection.execute(_in_psycopgs_marks(sql), values)

    def _begin_with_ids(self) -> dict[str, int]:
        """Begin a transaction; returns per raw table the first of a block of ids that nobody else gets."""
        cursor = self.connection.execute(_BEGIN_WITH_IDS)
        cursor.nextset()
        row = cursor.fetchone()
        assert row is not None
        return dict(zip(RAW_TABLES, row, strict=True))

    @contextmanager
    def _rest_of_transaction(self) -> Iterator[None]:
        """What follows BEGIN: the body, and COMMIT; or ROLLBACK when it raises."""
        self._bound += 1
        try:
            with _landing_errors():
                try:
                    yield
                    # PostgreSQL answers COMMIT of a failed transaction with a rollback, and no error.
                    if self.connection.info.transaction_status != TransactionStatus.INTRANS:
                        raise LandingError("PostgreSQL: a statement of the transaction failed")
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.info.transaction_status in (
                        TransactionStatus.INTRANS,
                        TransactionStatus.INERROR,
                    ):
                        self.connection.execute("ROLLBACK")
                    elif self.connection.info.transaction_status != TransactionStatus.IDLE:
                        self.connection.close()
                    raise
        finally:
            self._bound -= 1


@contextmanager
def _landing_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # Without the details: they repeat rows, and this goes to logs.
        message = error.diag.message_primary or str(error).partition("\n")[0]
        raise LandingError(f"PostgreSQL: {message}") from None


@contextmanager
def _closed_on_error(connection: "PostgresStore | psycopg.Connection[Row]") -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@lru_cache(maxsize=256)
def _in_psycopgs_marks(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


def _copy(table: str) -> bytes:
    names = ", ".join(column.name for column in columns(RAW_TABLES[table]))
    # As fast as INSERT for a few rows, more than ten times as fast for many; and it may give ids itself.
    return f"COPY {table} (id, {names}) FROM STDIN".encode()


_EVENT_NAMES = ", ".join(column.name for column in columns(RAW_TABLES["events"]))
_COPY = {table: _copy(table) for table in RAW_TABLES}

# In one message: another round trip would cost as much as a small group's rows.
_BEGIN_WITH_IDS = (
    "BEGIN; SELECT " + ", ".join(f"nextval('{table}_id_seq')" for table in RAW_TABLES)
).encode()
