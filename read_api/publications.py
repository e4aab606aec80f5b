"""The published build that readers see: found once per request, opened once per build.

Inside one process DuckDB keeps showing the old file when a path is replaced, so each build is opened by its
own real path and the link `current` is followed anew for every request: a new build is seen without a
restart, and one request never mixes two.
"""

import errno
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import duckdb
import orjson
import pyarrow as pa

from funnelhouse.problems import Refusal
from publication.layout import BUILD_FILE, CURRENT, LOOKUPS, MARTS_FILE
from read_api.parameters import Page
from read_api.places import BusyError, Place, Places

# A pruned build between following the link and opening the file is looked up again this often.
_ATTEMPTS = 5

# What DuckDB raises for a file that is none of its own, not whole, or damaged.
_DAMAGED = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)

_T = TypeVar("_T")

# What one open build may use, whatever is asked of it.
MEMORY = "1GB"
THREADS = 2

# A query that takes longer is interrupted; so is a batch of an export.
QUERY_SECONDS = 30.0

# DuckDB looks for interrupts between its own steps, some of which have no bound: a query that goes on for so
# long after it was interrupted is written off.
GRACE_SECONDS = 3.0

# More queries at once would only make each of them slower; another one waits its turn, but not for ever. One
# project never has all places, nor all threads that wait for one.
QUERIES = 4
QUERIES_OF_A_PROJECT = 2
WAIT_SECONDS = 10.0
WAITING_OF_A_PROJECT = 8

# Builds open at once, each with its memory: the current one, and older ones that are asked for.
OPEN_BUILDS = 4
OLD_BUILDS_OF_A_PROJECT = 2

# DuckDB reads so many rows at a time: an export holds few of them, however long their texts are.
BATCH_ROWS = 2048

# Whoever asks whether a build can be read is told what was found so long ago, and few wait meanwhile.
PROVEN_SECONDS = 1.0
PROBES = 8

PAGE_BYTES = 4_000_000
"""A page ends with the row that reaches it, whatever its limit."""

MOST_BYTES = 4 * PAGE_BYTES
"""Of the rows of any other query; beyond it the query is refused."""

# So many rows are fetched at first, and never more at once than the second: they are counted in between.
_FETCHED_FIRST = 16
_FETCHED = 1_024

# What a value takes besides its text.
_VALUE_BYTES = 16

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


class UnusableError(Refusal):
    """Something is published, and cannot be read: 503. `file` is named from the home, `reason` says why."""

    def __init__(self, file: str, reason: str, remedy: str = "run `funnelhouse build`") -> None:
        super().__init__(503, f"{file} cannot be used: {reason}; {remedy}.")


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
    """One open build and who uses it."""

    build_id: str
    connection: duckdb.DuckDBPyConnection
    marts: dict[str, Mart]
    facts: dict[str, Any]
    """What build.json says of it."""
    lookups: frozenset[str]
    """Tables of the schema `lookup`; builds of older versions have none."""
    users: Counter[str] = field(default_factory=Counter)
    """Requests that use it, by project."""
    proven_until: float = 0.0
    """By the monotonic clock: until then it counts as readable."""
    is_damaged: bool = False
    """It showed itself unreadable: the next request opens the file anew."""


class Reader:
    """One request's view of one build; a context manager, or closed by hand when an answer is streamed."""

    def __init__(self, publications: "Publications", instance: _Instance, project_id: str) -> None:
        self.build_id = instance.build_id
        self.marts = instance.marts
        self.facts = instance.facts
        self.lookups = instance.lookups
        self.following: int | None = None
        """Offset of the row behind the last page that was read, None where that was the end."""
        self._publications = publications
        self._instance = instance
        self._project_id = project_id
        self._cursor = instance.connection.cursor()
        self._stream: pa.RecordBatchReader | None = None
        self._written_off: Future[Any] | None = None
        self._closed = False

    def rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """All rows of a query, whole numbers as integers.

        Raises QueryLimitError, also for more than MOST_BYTES, or BusyError.
        """
        found, is_whole = self.first_rows(sql, parameters, MOST_BYTES)
        if not is_whole:
            raise QueryLimitError
        return found

    def page(
        self, sql: str, parameters: Sequence[object], page: Page, most_bytes: int = PAGE_BYTES
    ) -> list[tuple[Any, ...]]:
        """Rows of a query that ends in `limit ? offset ?`, which are bound here; `following` is set.

        They end with the limit, or with the row that reaches `most_bytes`. Raises as `rows`.
        """
        found, is_whole = self.first_rows(sql, [*parameters, page.limit + 1, page.offset], most_bytes)
        if is_whole and len(found) <= page.limit:
            self.following = None
            return found
        found = found[: page.limit]
        self.following = page.offset + len(found)
        return found

    def first_rows(
        self, sql: str, parameters: Sequence[object], most_bytes: int = PAGE_BYTES
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """Rows of a query up to the one that reaches `most_bytes`, and whether they are all.

        Bytes are those of texts in UTF-8, or somewhat more, and a few for each value. Raises as `rows`.
        """

        def fetch() -> tuple[list[tuple[Any, ...]], bool]:
            result = self._cursor.execute(sql, parameters)
            described = result.description or []
            texts = [number for number, each in enumerate(described) if each[1] == "VARCHAR"]
            whole = [number for number, each in enumerate(described) if _WHOLE.fullmatch(str(each[1]))]
            rows: list[tuple[Any, ...]] = []
            size, count = 0, _FETCHED_FIRST
            while fetched := result.fetchmany(count):
                for row in fetched:
                    rows.append(_with_integers(row, whole))
                    size += _VALUE_BYTES * len(row) + sum(_bytes(row[number]) for number in texts)
                    if size >= most_bytes:
                        return rows, row is fetched[-1] and not result.fetchmany(1)
                # No more at once than will fit, by what rows took so far.
                count = max(1, min(_FETCHED, (most_bytes - size) * len(rows) // size + 1))
            return rows, True

        return self._limited(fetch)

    def batches(self, sql: str, parameters: Sequence[object]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Schema and batches of a query whose rows need not fit into memory; raises QueryLimitError."""
        stream = self._limited(lambda: self._cursor.execute(sql, parameters).to_arrow_reader(BATCH_ROWS))
        self._stream = stream
        return stream.schema, self._each_batch(stream)

    def _each_batch(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        def next_batch() -> pa.RecordBatch | None:
            try:
                return stream.read_next_batch()
            except StopIteration:
                return None

        while (batch := self._limited(next_batch)) is not None:
            yield batch

    def prove_readable(self) -> None:
        """Read a row of each table, unless that was done just now.

        Raises UnusableError, or BuildGoneError when the build was taken away.
        """
        instance = self._instance
        if time.monotonic() < instance.proven_until:
            return
        folder = self._publications.published_dir / self.build_id
        _facts(folder)

        def read() -> None:
            _refuse_cut_file(self._cursor, folder / MARTS_FILE)
            for mart in self.marts:
                self._cursor.execute(f"select * from {mart} limit 1").fetchall()  # noqa: S608

        self._limited(read, self._publications.probes)
        instance.proven_until = time.monotonic() + PROVEN_SECONDS

    def close(self) -> None:
        """Give the build back, at once or when a query that was written off ends; twice is harmless."""
        if not self._closed:
            self._closed = True
            if self._written_off is None:
                self._give_back()
            else:
                self._written_off.add_done_callback(lambda _: self._give_back())

    def _give_back(self) -> None:
        if self._stream is not None:
            # A stream that was not read to its end keeps the file open, whoever still refers to it.
            self._stream.close()
        self._cursor.close()
        self._publications.release(self._instance, self._project_id)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _limited(self, work: Callable[[], _T], places: Places | None = None) -> _T:
        """What `work` returns, in a place of the project, and within its time.

        A query that does not end though it was interrupted keeps its thread, which ends with the process, and
        its project's share of the places; everybody else goes on.
        """
        if self._written_off is not None:
            raise QueryLimitError
        with (places or self._publications.places).take(self._project_id) as place:
            query = _begun(work)
            try:
                return self._result(query, place)
            except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
                raise QueryLimitError from error
            except _DAMAGED as error:
                self._instance.is_damaged = True
                published = self._publications.published_dir.name
                raise _unusable_marts(self.build_id, published) from error

    def _result(self, query: "Future[_T]", place: Place) -> _T:
        try:
            return query.result(self._publications.query_seconds)
        except TimeoutError:
            self._cursor.interrupt()
        try:
            return query.result(self._publications.grace_seconds)
        except TimeoutError as error:
            place.write_off()
            self._written_off = query
            query.add_done_callback(lambda _: place.release())
            raise QueryLimitError from error


def _begun(work: Callable[[], _T]) -> "Future[_T]":
    """The work in a thread of its own, which the process does not wait for when it ends."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _with_integers(row: tuple[Any, ...], whole: Sequence[int]) -> tuple[Any, ...]:
    """The row with integers for its decimals without digits behind the point, which stand at `whole`."""
    if not whole:
        return row
    values = list(row)
    for number in whole:
        values[number] = None if row[number] is None else int(row[number])
    return tuple(values)


def _bytes(text: str | None) -> int:
    """Of a text in UTF-8, or somewhat more."""
    if text is None:
        return 0
    return len(text) if text.isascii() else 3 * len(text)


@dataclass
class Publications:
    """The builds below `published_dir` that requests use now; safe to share between threads."""

    published_dir: Path
    memory: str = MEMORY
    threads: int = THREADS
    query_seconds: float = QUERY_SECONDS
    grace_seconds: float = GRACE_SECONDS
    queries: int = QUERIES
    queries_of_a_project: int = QUERIES_OF_A_PROJECT
    wait_seconds: float = WAIT_SECONDS
    open_builds: int = OPEN_BUILDS
    places: Places = field(init=False)
    probes: Places = field(default_factory=lambda: Places(1, 1, GRACE_SECONDS, PROBES))
    """Of those who only ask whether the build can be read: they need no query's place."""
    _instances: dict[str, _Instance] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.places = Places(self.queries, self.queries_of_a_project, self.wait_seconds, WAITING_OF_A_PROJECT)

    def current(self, project_id: str = "") -> Reader:
        """The build that `current` names now, for a project's queries.

        Raises NotPublishedError, or UnusableError when something is there that cannot be read.
        """
        for _ in range(_ATTEMPTS):
            build_id = self._current_id()
            try:
                return self._reader(build_id, project_id)
            except BuildGoneError:
                # Pruned after the link was followed: `current` names another one by now.
                continue
        raise NotPublishedError

    def build(self, build_id: str, project_id: str = "") -> Reader:
        """A build that is still kept; raises BuildGoneError, UnusableError, or BusyError for one too many."""
        return self._reader(build_id, project_id)

    def release(self, instance: _Instance, project_id: str) -> None:
        """Count one user of the build less; close builds that have none, but for the current one."""
        with self._lock:
            instance.users[project_id] -= 1
            if not instance.users[project_id]:
                del instance.users[project_id]
            try:
                kept = self._current_id()
            except Refusal:
                kept = None
            for build_id, each in list(self._instances.items()):
                if not each.users and (build_id != kept or each.is_damaged):
                    del self._instances[build_id]
                    each.connection.close()

    def _current_id(self) -> str:
        file = f"{self.published_dir.name}/{CURRENT}"
        try:
            return (self.published_dir / CURRENT).readlink().name
        except FileNotFoundError:
            raise NotPublishedError from None
        except OSError as error:
            # What is there is a folder or a file: a copy of the home that followed links, for instance.
            if error.errno == errno.EINVAL:
                raise UnusableError(file, "it is no link", "remove it and run `funnelhouse build`") from error
            raise UnusableError(file, _cause(error)) from error

    def _reader(self, build_id: str, project_id: str) -> Reader:
        with self._lock:
            instance = self._instances.get(build_id)
            if instance is None:
                self._admit(build_id, project_id)
                instance = self._instances[build_id] = self._open(build_id)
            # Built under the lock: another request's release must not close it in between.
            reader = Reader(self, instance, project_id)
            instance.users[project_id] += 1
            return reader

    def _admit(self, build_id: str, project_id: str) -> None:
        """Raises BusyError for one build too many; the current one is always let in."""
        try:
            current = self._current_id()
        except Refusal:
            current = None
        if build_id == current:
            return
        of_project = sum(
            project_id in each.users for name, each in self._instances.items() if name != current
        )
        if len(self._instances) >= self.open_builds or of_project >= OLD_BUILDS_OF_A_PROJECT:
            raise BusyError

    def _open(self, build_id: str) -> _Instance:
        folder = self.published_dir / build_id
        # First, so that no connection is left open when the build is pruned just then.
        facts = _facts(folder)
        path = folder / MARTS_FILE
        try:
            connection = duckdb.connect(
                str(path),
                read_only=True,
                config={
                    "enable_external_access": False,
                    "lock_configuration": True,
                    "memory_limit": self.memory,
                    "threads": self.threads,
                    "dynamic_or_filter_threshold": LOOKED_UP_ROWS,
                },
            )
            try:
                _refuse_cut_file(connection, path)
                return _Instance(build_id, connection, _marts(connection), facts, _lookups(connection))
            except BaseException:
                connection.close()
                raise
        except (*_DAMAGED, OSError) as error:
            if not folder.exists():
                raise BuildGoneError from error
            raise _unusable_marts(build_id, self.published_dir.name) from error


def _facts(folder: Path) -> dict[str, Any]:
    """What build.json says. Raises BuildGoneError, or UnusableError for a build that is there."""
    file = f"{folder.parent.name}/{folder.name}/{BUILD_FILE}"
    try:
        said = orjson.loads((folder / BUILD_FILE).read_bytes())
        datetime.fromisoformat(said["published_at"])
        return {"attribution_models": [], **said}
    except OSError as error:
        if not folder.exists():
            raise BuildGoneError from error
        raise UnusableError(file, _cause(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError(file, "it is damaged") from error


def _refuse_cut_file(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raises duckdb.IOException for a file that lacks its end: DuckDB itself looks only when it reads."""
    rows = connection.execute("select sum(block_size * total_blocks) from pragma_database_size()").fetchall()
    if path.stat().st_size < int(rows[0][0]):
        raise duckdb.IOException("the file is cut")


def _unusable_marts(build_id: str, published: str) -> UnusableError:
    return UnusableError(f"{published}/{build_id}/{MARTS_FILE}", "it is not there, not readable or damaged")


def _cause(error: OSError) -> str:
    return (error.strerror or "it cannot be read").lower()


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
