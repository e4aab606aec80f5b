"""Group commit: all requests that wait at one moment share one transaction, and are answered after it.

A thread with a connection of its own does the writing. It lets a group gather for about a millisecond: an
event loop that is always busy would otherwise hand it requests one by one, each paying for a disk flush.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from funnelhouse.problems import Refusal
from ingest_api import metrics
from record.landing import Location, open_store
from record.landing.store import Answer, LandingError, LandingStore, Row

MAX_WAITING_BYTES = 64 * 1024 * 1024
ROW_BYTES = 1024
"""What a row takes besides the text in it, roughly: two dozen small objects."""

GATHER_SECONDS = 0.001
REOPEN_SECONDS = 0.5
"""Pause between attempts to open a landing store that failed; what waits meanwhile is tried once."""

NOT_COMMITTED = (
    "The landing store could not commit; try again. The same event_id or Idempotency-Key makes that safe."
)
NOT_READY = "The landing store cannot take rows at the moment."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    table: str
    rows: Sequence[Row]
    size: int
    answer: Answer | None
    committed: asyncio.Future[int | Answer]


class GroupCommit:
    """This process's one writer of raw rows. Belongs to the event loop that made it."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._is_closing = False
        self._changed = threading.Condition()
        # Opened here, so that a landing store that cannot be opened stops the server from starting.
        self._store: LandingStore | None = open_store(location)
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    @property
    def is_healthy(self) -> bool:
        """Whether the last commit worked, or the store has taken a write since."""
        return self._store is not None and self._thread.is_alive()

    @property
    def waiting_bytes(self) -> int:
        """What waits to be committed, as its requests counted it."""
        return self._waiting_bytes

    async def submit(self, table: str, rows: Sequence[Row], size: int) -> int:
        """Append rows (values in contract order) and return when they are on stable storage.

        `size` is that of their text, in bytes. Returns the landing id of the first row; the others follow
        without a gap. Raises Refusal 503 when the queue is full or the commit failed; after
        the latter the rows may be there all the same.
        """
        first_id = await self._commit(table, rows, size, None)
        assert isinstance(first_id, int)
        return first_id

    async def submit_once(self, table: str, rows: Sequence[Row], size: int, answer: Answer) -> Answer | None:
        """As `submit`, and keep `answer` with the rows; unless its key has an answer already.

        Then nothing is appended, and the earlier answer returned when it is on stable storage.
        """
        earlier = await self._commit(table, rows, size + len(answer.body), answer)
        return earlier if isinstance(earlier, Answer) else None

    async def _commit(
        self, table: str, rows: Sequence[Row], size: int, answer: Answer | None
    ) -> int | Answer:
        size += ROW_BYTES * len(rows)
        if self._is_closing or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise Refusal(
                503, "Too many requests are waiting to be written; try again.", headers={"Retry-After": "1"}
            )
        waiting = _Waiting(table, rows, size, answer, self._loop.create_future())
        self._waiting_bytes += size
        with self._changed:
            self._waiting.append(waiting)
            if len(self._waiting) == 1:
                self._changed.notify()
        return await waiting.committed

    def close(self) -> None:
        """Write what waits, then end the thread. Blocks; call it from a thread while the loop runs on."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closing and self._store is not None:
                    self._changed.wait()
            # After a failure it opens the store by itself: a server that is not ready gets no requests.
            time.sleep(GATHER_SECONDS if self._store is not None else REOPEN_SECONDS)
            with self._changed:
                group, self._waiting = self._waiting, []
            if not group and self._is_closing:
                break
            results: list[int | Answer] | None = None
            try:
                if self._store is None:
                    # A full disk can be opened and read: only a write says that it takes rows again.
                    self._store = _open_writable(self._location)
                if group:
                    with metrics.COMMIT_SECONDS.time():
                        results = self._store.append(
                            [(each.table, each.rows) for each in group],
                            {at: each.answer for at, each in enumerate(group) if each.answer is not None},
                        )
                    metrics.GROUP_ROWS.observe(sum(len(each.rows) for each in group))
            except Exception as error:
                metrics.FAILED_COMMITS.inc()
                # Whatever went wrong, exactly this group hears of it and the next one starts afresh.
                if group:
                    _log.exception(
                        "A commit to the landing store failed; %d requests are answered 503", len(group)
                    )
                else:
                    _log.error("The landing store takes no rows yet: %s", error)
                self._reset()
            self._loop.call_soon_threadsafe(self._settle, group, results)
        self._reset()

    def _settle(self, group: list[_Waiting], results: list[int | Answer] | None) -> None:
        """On the loop: wake the requests of a group."""
        for position, waiting in enumerate(group):
            self._waiting_bytes -= waiting.size
            if waiting.committed.done():
                continue  # The request was cancelled; its rows are there nevertheless.
            if results is None:
                refusal = Refusal(503, NOT_COMMITTED, headers={"Retry-After": "1"})
                waiting.committed.set_exception(refusal)
            else:
                waiting.committed.set_result(results[position])

    def _reset(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except LandingError:
                _log.exception("The landing store did not close cleanly")


def _open_writable(location: Location) -> LandingStore:
    store = open_store(location)
    try:
        store.prove_writable()
    except LandingError:
        store.close()
        raise
    return store
