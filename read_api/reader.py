"""One request's view of one published build: its rows, in pages or in batches, within bounds."""

import re
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from funnelhouse.problems import Refusal
from publication.layout import LOOKUPS
from read_api.opened_build import DAMAGED, BuildGoneError, Mart, OpenedBuild, facts_of, unusable_marts
from read_api.parameters import REPORTING, Page
from read_api.query_limits import Queries, QueryLimitError

_T = TypeVar("_T")

# DuckDB reads so many rows at a time: an export holds few of them, however long their texts are.
BATCH_ROWS = 2048

# Whoever asks whether a build can be read is told what was found so long ago.
PROVEN_SECONDS = 1.0

PAGE_BYTES = 4_000_000
"""A page ends with the row that reaches it, whatever its limit."""

MOST_BYTES = 4 * PAGE_BYTES
"""Of the rows of any other query; beyond it the query is refused."""

MOST_REMEMBERED = 10_000
"""Answers of a build; beyond it they are forgotten, all at once."""

# So many rows are fetched at first, and never more at once than the second: they are counted in between.
_FETCHED_FIRST = 16
_FETCHED = 1_024

# What a value takes besides its text.
_VALUE_BYTES = 16

# A sum of money or credit, as a column of DuckDB.
_WHOLE = re.compile(r"DECIMAL\([0-9]+,0\)")


class Reader:
    """One request's view of one build; a context manager, or closed by hand when an answer is streamed."""

    def __init__(
        self,
        build: OpenedBuild,
        cursor: duckdb.DuckDBPyConnection,
        queries: Queries,
        give_back: Callable[[], None],
    ) -> None:
        """`cursor` is of the build, `queries` interrupt it; `give_back` is called once, at the end."""
        self.build_id = build.build_id
        self.marts = build.marts
        self.facts = build.facts
        self.lookups = build.lookups
        self.summed = build.summed
        self.in_files = frozenset(build.files)
        """Marts that are views over files: those of the schema `lookup` are read, with numbers of rows."""
        self.converted: frozenset[str] = frozenset()
        """Marts of which this request reads amounts in the reporting currency; see `convert`."""
        self.prepared = build.derived
        """Tables of the schema `derived`."""
        self.derived: dict[str, tuple[str, Sequence[object]]] = {}
        """Of tables that are this request's alone, what they were made by; see `derive`."""
        self.following: int | None = None
        """Offset of the row behind the last page that was read, None where that was the end."""
        self._build = build
        self._cursor = cursor
        self._queries = queries
        self._give_back = give_back
        self._stream: pa.RecordBatchReader | None = None
        self._closed = False
        self._look_in_schemas()

    @property
    def can_convert(self) -> bool:
        """Whether the build has amounts in the reporting currency; those of older versions have none."""
        return bool(self._build.converted)

    @property
    def search_path(self) -> str | None:
        """The statement by which marts are found as the views that this request reads; None for tables."""
        schemas = [*([REPORTING] if self.converted else []), *([LOOKUPS] if self.in_files else [])]
        return f"set search_path = '{','.join([*schemas, 'main'])}'" if schemas else None

    def convert(self, money: str = REPORTING) -> None:
        """Read amounts so from here on: in `reporting`, every mart is found as the view that converts it.

        The cursor is this request's alone, so nothing is put back. What is to be read as it was reported
        says `main.` before the mart. Raises Refusal 400 where the build has no such views.
        """
        if money != REPORTING:
            return
        if not self.can_convert:
            raise Refusal(
                400,
                "money=reporting: this build has no amounts in one currency; the next one has them",
            )
        self.converted = self._build.converted
        self._look_in_schemas()

    def _look_in_schemas(self) -> None:
        if self.search_path is not None:
            self._cursor.execute(self.search_path)

    def derive(self, mart: Mart, sql: str, parameters: Sequence[object]) -> None:
        """Make a table for this request alone, and read it as a mart from here on. Raises as `rows`.

        Without parameters it is a view, whose rows are read with the conditions of those who ask.
        """
        kind = "table" if parameters else "view"
        self.rows(f"create or replace temp {kind} {mart.name} as {sql}", parameters)
        self.marts = {**self.marts, mart.name: mart}
        self.derived[mart.name] = (sql, parameters)
        if self.converted:
            self.converted |= {mart.name}

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

    def remembered(self, question: Hashable, read: Callable[[], _T]) -> _T:
        """What `read` returns, read once per build: for small answers that every page needs.

        `question` has all that the answer depends on. Raises what `read` raises, which is not remembered.
        """
        known = self._build.remembered
        # What is found in one currency is not what is found as it was reported.
        question = (question, bool(self.converted))
        if question not in known:
            answer = read()
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            known[question] = answer
            return answer
        found: _T = known[question]
        return found

    def prove_readable(self) -> None:
        """Read a row of each table, unless that was done just now.

        Raises UnusableError, or BuildGoneError when the build was taken away.
        """
        build = self._build
        if time.monotonic() < build.proven_until:
            return
        facts_of(build.folder)
        self._limited(lambda: build.read_a_row_of_each(self._cursor), is_probe=True)
        build.proven_until = time.monotonic() + PROVEN_SECONDS

    def close(self) -> None:
        """Give the build back, at once or when a query that was written off ends; twice is harmless."""
        if not self._closed:
            self._closed = True
            self._queries.when_ended(self._end)

    def _end(self) -> None:
        if self._stream is not None:
            # A stream that was not read to its end keeps the file open, whoever still refers to it.
            self._stream.close()
        self._cursor.close()
        self._give_back()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _limited(self, work: Callable[[], _T], is_probe: bool = False) -> _T:
        """What `work` returns, within the limits of queries. Raises UnusableError for a damaged file."""
        try:
            return self._queries.run(work, is_probe)
        except DAMAGED as error:
            if isinstance(error, duckdb.PermissionException) and not self._build.files:
                # The build has no files that could be missing: the statement asked for others.
                raise
            self._build.is_damaged = True
            if not self._build.folder.exists():
                # Parquet files are opened by each query, and went with a build that is not kept any more.
                raise BuildGoneError from error
            raise unusable_marts(self._build.folder) from error


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
