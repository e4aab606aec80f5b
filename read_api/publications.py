"""The published build that readers see: found once per request, opened once per build.

Inside one process DuckDB keeps showing the old file when a path is replaced, so each build is opened by its
own real path and the link `current` is followed anew for every request: a new build is seen without a
restart, and one request never mixes two.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from funnelhouse.problems import Refusal
from orchestration.publishing import BUILD_FILE, CURRENT, LOOKUPS, MARTS_FILE

# A pruned build between following the link and opening the file is looked up again this often.
_ATTEMPTS = 5

# What reading a build raises that is pruned meanwhile.
_GONE = (duckdb.IOException, FileNotFoundError)

# What one open build may use, whatever is asked of it.
MEMORY = "1GB"
THREADS = 2

# A query that takes longer is given up; so is a batch of an export.
QUERY_SECONDS = 30.0

# More queries at once would only make each of them slower; another one waits its turn, but not for ever.
QUERIES = 4
WAIT_SECONDS = 10.0

# Builds open at once, each with its memory: the current one, and older ones that are asked for.
OPEN_BUILDS = 4

BATCH_ROWS = 50_000

# A sum of money or credit, as a column of DuckDB.
_WHOLE = re.compile(r"DECIMAL\([0-9]+,0\)")

# So many rows of a person or conversion are read alone; of more, all between the first and the last.
LOOKED_UP_ROWS = 1_000


class NotPublishedError(Refusal):
    """There is no published build to read: 503 until there is one."""

    def __init__(self) -> None:
        super().__init__(503, "Nothing is published to read; run `funnelhouse build`.")


class BuildGoneError(Refusal):
    """The build that was asked for is not kept any more: 410."""

    def __init__(self) -> None:
        super().__init__(410, "This build is not kept any more; leave build and cursor out.", title="Gone")


class QueryLimitError(Refusal):
    """A query was given up, because it took too long or needed too much memory: 503."""

    def __init__(self) -> None:
        super().__init__(503, "The query needs more time or memory than one may use; ask for less at once.")


class BusyError(Refusal):
    """Too much is being read at once: 503."""

    def __init__(self) -> None:
        super().__init__(503, "Too much is being read at once; try again.", headers={"Retry-After": "1"})


@dataclass(frozen=True)
class Column:
    """A mart's column; `data_type` is DuckDB's name of the type."""

    name: str
    data_type: str
    description: str | None


@dataclass(frozen=True)
class Mart:
    """A published table that has rows of projects."""

    name: str
    description: str | None
    columns: tuple[Column, ...]


@dataclass
class _Instance:
    """One open build and how many requests use it."""

    build_id: str
    connection: duckdb.DuckDBPyConnection
    marts: dict[str, Mart]
    facts: dict[str, Any]
    """What build.json says of it."""
    lookups: frozenset[str]
    """Tables of the schema `lookup`; builds of older versions have none."""
    users: int = 0


class Reader:
    """One request's view of one build; a context manager, or closed by hand when an answer is streamed."""

    def __init__(self, publications: "Publications", instance: _Instance) -> None:
        self.build_id = instance.build_id
        self.marts = instance.marts
        self.facts = instance.facts
        self.lookups = instance.lookups
        self._publications = publications
        self._instance = instance
        self._cursor = instance.connection.cursor()
        self._stream: pa.RecordBatchReader | None = None
        self._closed = False

    def rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """All rows of a query, whole numbers as integers; raises QueryLimitError or BusyError."""
        with self._limited():
            rows = self._cursor.execute(sql, parameters).fetchall()
        whole = {n for n, column in enumerate(self._cursor.description) if _WHOLE.fullmatch(str(column[1]))}
        if not whole:
            return rows
        return [
            tuple(int(value) if n in whole and value is not None else value for n, value in enumerate(row))
            for row in rows
        ]

    def batches(self, sql: str, parameters: Sequence[object]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Schema and batches of a query whose rows need not fit into memory; raises QueryLimitError."""
        with self._limited():
            self._stream = self._cursor.execute(sql, parameters).to_arrow_reader(BATCH_ROWS)
        return self._stream.schema, self._each_batch(self._stream)

    def _each_batch(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            with self._limited():
                try:
                    batch = stream.read_next_batch()
                except StopIteration:
                    return
            yield batch

    def close(self) -> None:
        """Give the build back; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            if self._stream is not None:
                # A stream that was not read to its end keeps the file open, whoever still refers to it.
                self._stream.close()
            self._cursor.close()
            self._publications.release(self._instance)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        with self._publications.turn():
            alarm = threading.Timer(self._publications.query_seconds, self._cursor.interrupt)
            alarm.daemon = True
            alarm.start()
            try:
                yield
            except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
                raise QueryLimitError from error
            finally:
                alarm.cancel()


@dataclass
class Publications:
    """The builds below `published_dir` that requests use now; safe to share between threads."""

    published_dir: Path
    memory: str = MEMORY
    threads: int = THREADS
    query_seconds: float = QUERY_SECONDS
    queries: int = QUERIES
    wait_seconds: float = WAIT_SECONDS
    open_builds: int = OPEN_BUILDS
    _turns: threading.Semaphore = field(init=False)
    _instances: dict[str, _Instance] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._turns = threading.BoundedSemaphore(self.queries)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While open, one query may run; raises BusyError when no turn came in time."""
        if not self._turns.acquire(timeout=self.wait_seconds):
            raise BusyError
        try:
            yield
        finally:
            self._turns.release()

    def current(self) -> Reader:
        """The build that `current` names now; raises NotPublishedError."""
        for _ in range(_ATTEMPTS):
            build_id = self._current_id()
            try:
                return self._reader(build_id)
            except _GONE:
                # Pruned after the link was followed: `current` names another one by now.
                continue
        raise NotPublishedError

    def build(self, build_id: str) -> Reader:
        """A build that is still kept; raises BuildGoneError, or BusyError when too many are open."""
        try:
            return self._reader(build_id)
        except _GONE as error:
            raise BuildGoneError from error

    def release(self, instance: _Instance) -> None:
        """Count one user of the build less; close builds that have none, but for the current one."""
        with self._lock:
            instance.users -= 1
            try:
                kept = self._current_id()
            except NotPublishedError:
                kept = None
            for build_id, each in list(self._instances.items()):
                if each.users == 0 and build_id != kept:
                    del self._instances[build_id]
                    each.connection.close()

    def _current_id(self) -> str:
        try:
            return (self.published_dir / CURRENT).readlink().name
        except FileNotFoundError:
            raise NotPublishedError from None

    def _reader(self, build_id: str) -> Reader:
        with self._lock:
            instance = self._instances.get(build_id)
            if instance is None:
                # The current build is always let in: readers of old ones must not keep it out.
                if len(self._instances) >= self.open_builds and build_id != self._current_id():
                    raise BusyError
                instance = self._instances[build_id] = self._open(build_id)
            # Built under the lock: another request's release must not close it in between.
            reader = Reader(self, instance)
            instance.users += 1
            return reader

    def _open(self, build_id: str) -> _Instance:
        folder = self.published_dir / build_id
        # First, so that no connection is left open when the build is pruned just then.
        facts = orjson.loads((folder / BUILD_FILE).read_bytes())
        connection = duckdb.connect(
            str(folder / MARTS_FILE),
            read_only=True,
            config={
                "enable_external_access": False,
                "lock_configuration": True,
                "memory_limit": self.memory,
                "threads": self.threads,
                "dynamic_or_filter_threshold": LOOKED_UP_ROWS,
            },
        )
        return _Instance(build_id, connection, _marts(connection), facts, _lookups(connection))


def _marts(connection: duckdb.DuckDBPyConnection) -> dict[str, Mart]:
    """The tables with a project column, by name: what cannot be told apart by project is not shown."""
    descriptions = dict(
        connection.execute(
            "select table_name, comment from duckdb_tables() where schema_name = 'main'"
        ).fetchall()
    )
    columns: dict[str, list[Column]] = {}
    for table, name, data_type, comment in connection.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() "
        "where schema_name = 'main' and not internal order by table_name, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(Column(name, data_type, comment))
    return {
        name: Mart(name, descriptions.get(name), tuple(found))
        for name, found in sorted(columns.items())
        if any(column.name == "project_id" for column in found)
    }


def _lookups(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = ?", [LOOKUPS]
    ).fetchall()
    return frozenset(name for (name,) in tables)
