"""What a landing store can do, whichever engine keeps it.

Rows of the raw tables (`record.contract.RAW_TABLES`) are only ever appended, and deleted after they were
sealed. Control data (projects, keys, answers) is read and written by plain SQL that both engines understand.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Row = tuple[Any, ...]
"""Values of a raw table's row in the order of its contract; or of a query's columns."""

Batch = tuple[str, Sequence[Row]]
"""Raw table and rows to append to it."""

Position = tuple[int, int]
"""Where a row of a raw table stands in the order of sealing: its transaction (0 in a store with one writer)
and its landing id. `(0, 0)` is before all rows."""

Placed = tuple[Position, Row]
"""A row of a raw table, and where it stands."""


UNBOUNDED = 2**62
"""Bytes that nothing reaches."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request with an Idempotency-Key was answered; a repeat is answered the same.

    One is kept per project, route (a path template; of page keys another) and key. `request_hash` tells a
    repeat from another request under the same key.
    """

    project_id: str
    route: str
    idempotency_key: str
    request_hash: bytes
    answered_us: int
    status: int
    headers: Mapping[str, str]
    body: bytes


class LandingError(Exception):
    """The store cannot be opened, read or written; after a commit that failed, its rows may be there."""


@dataclass(frozen=True, slots=True)
class SealRange:
    """Rows that one round of sealing takes: all from position `first` to `last`, both included."""

    table: str
    first: Position
    last: Position
    first_seq: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows of a raw table that a build has not seen.

    `rows`: how many, of which `unsealed_rows` are in no range; of these BACKLOG_ROWS at most are counted.
    `oldest_us`: when the first of them arrived, None when there is none.
    """

    rows: int
    unsealed_rows: int
    oldest_us: int | None


BACKLOG_ROWS = 100_000


class LandingStore(Protocol):
    """A connection to a landing store, for one thread at a time. Its methods raise LandingError."""

    row_order: str
    """Columns of a raw table, for ORDER BY, in whose order rows become part of the permanent record."""

    def close(self) -> None:
        """Close it; also after a failure, and twice."""

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Rows of a SELECT that both engines understand; each `?` stands for one of `values`."""

    def execute(self, sql: str, *values: Any) -> None:
        """A statement without result, like `query`; durable when it returns, unless in a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction that is durable when its body is left, and rolled back when that raises."""

    def prove_writable(self) -> None:
        """Commit something that changes no row to stable storage, as an append would have to."""

    def append(
        self, batches: Sequence[Batch], answers: Mapping[int, Answer] | None = None
    ) -> list[int | Answer]:
        """Append all rows in one transaction that is on stable storage when this returns.

        `answers` are kept beside the batches at their positions, in the same transaction. A batch whose
        project, route and key have an answer already, from an earlier batch or transaction, is left out;
        while another transaction is about to keep one, this waits for its end.

        Returns per batch the landing id of its first row, the others follow without a gap; or the earlier
        answer. When it raises, the rows may be there all the same, and the store must be closed.
        """

    def sealable(self) -> dict[str, Position]:
        """Per raw table the last position that can be sealed now: no row will ever appear at or before it.

        Differs from an earlier answer when rows that can be sealed have come, and only then.
        """

    def newest_events(
        self,
        project_id: str,
        limit: int,
        before: Position | None = None,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's newest events (of those before a position), newest first.

        Here and below they end with the one whose payload makes `most_bytes` full.
        """

    def events_behind(
        self,
        project_id: str,
        after: Position,
        until: Position,
        limit: int,
        most_bytes: int = UNBOUNDED,
    ) -> list[Placed]:
        """A project's next events behind one position, up to and with another, in order.

        With an `until` that `sealable` gave, whoever goes on behind the last of them misses none, ever.
        """

    def events_with_id(
        self, project_id: str, event_id: str, limit: int, most_bytes: int = UNBOUNDED
    ) -> list[Placed]:
        """A project's events with an event id, in the order in which they will be sealed."""

    def sealing(self) -> AbstractContextManager[None]:
        """While open, this is the one sealer of the store. Raises LandingError when there is another."""

    def unfinished_ranges(self, table: str) -> list[SealRange]:
        """Ranges that were committed and not finished, in order."""

    def open_range(self, table: str, until: Position, most_rows: int, above_seq: int) -> SealRange | None:
        """Commit the next range of at most `most_rows` rows up to `until`; None when there is no such row.

        Its seq continues the last range's, or `above_seq` when that is higher.
        """

    def range_days(self, opened: SealRange) -> list[tuple[int, int]]:
        """Received days of a range's rows, in days since 1970, and the number of rows of each; by day."""

    def range_rows(self, opened: SealRange, day: int, chunk_rows: int) -> Iterator[list[Row]]:
        """Rows of one day of a range by position, up to `chunk_rows` at a time."""

    def backlog(self, table: str, to_seq: int) -> Backlog:
        """What of a raw table a build has not seen that saw it up to `to_seq`; cheap, whatever is there.

        A range that it saw in part counts as not seen.
        """

    def finish_range(self, opened: SealRange) -> None:
        """Mark a range as written to stable storage; from now on its rows may be deleted."""

    def prunable_ranges(self, table: str, before_us: int) -> list[SealRange]:
        """Finished ranges whose first row that is left was received before `before_us`, in order.

        Also those that have no row left, but for the table's last: sealing continues behind that.
        """

    def prune_range(self, finished: SealRange, before_us: int, chunk_rows: int) -> Iterator[int]:
        """Delete the rows of a finished range that were received before `before_us`; yields how many.

        Each time is a transaction of its own, over at most `chunk_rows` rows in order, and the first of these
        with nothing to delete ends it. A range without rows is forgotten then, unless it is its table's last.
        """
