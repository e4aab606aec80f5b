"""What a query may take: a place among those that run at once, and its time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import duckdb

from funnelhouse.problems import Refusal
from read_api.places import Place, Places

_T = TypeVar("_T")

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

# Few wait to be told whether a build can be read.
PROBES = 8


class QueryLimitError(Refusal):
    """A query was given up, because it took too long or needed too much memory: 503."""

    def __init__(self) -> None:
        super().__init__(503, "The query needs more time or memory than one may use; ask for less at once.")


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What all readers share: the places of queries, and the time of each."""

    places: Places
    probes: Places
    """Of those who only ask whether the build can be read: they need no query's place."""
    query_seconds: float
    grace_seconds: float


class Queries:
    """The queries of one reader, which `interrupt` stops: each in a place of its project, within its time."""

    def __init__(self, limits: QueryLimits, project_id: str, interrupt: Callable[[], None]) -> None:
        self._limits = limits
        self._project_id = project_id
        self._interrupt = interrupt
        self._written_off: Future[Any] | None = None

    def run(self, work: Callable[[], _T], is_probe: bool = False) -> _T:
        """What `work` returns. Raises QueryLimitError, BusyError, and what `work` raises.

        A query that does not end though it was interrupted keeps its thread, which ends with the process, and
        its project's share of the places; everybody else goes on.
        """
        if self._written_off is not None:
            raise QueryLimitError
        places = self._limits.probes if is_probe else self._limits.places
        with places.take(self._project_id) as place:
            query = _begun(work)
            try:
                return self._result(query, place)
            except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
                raise QueryLimitError from error

    def when_ended(self, then: Callable[[], None]) -> None:
        """Call `then` at once, or when a query that was written off ends."""
        if self._written_off is None:
            then()
        else:
            self._written_off.add_done_callback(lambda _: then())

    def _result(self, query: "Future[_T]", place: Place) -> _T:
        try:
            return query.result(self._limits.query_seconds)
        except TimeoutError:
            self._interrupt()
        try:
            return query.result(self._limits.grace_seconds)
        except TimeoutError as error:
            place.write_off()
            self._written_off = query
            query.add_done_callback(lambda _: place.release())
            raise QueryLimitError from error


class _Thread(threading.Thread):
    """Runs one query after another; the process does not wait for it when it ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.queries: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self._answer(*self.queries.get())

    def _answer(self, work: Callable[[], Any], future: Future[Any]) -> None:
        try:
            result = work()
        except BaseException as error:
            # Before the answer, for whoever waits for it may ask again at once.
            _IDLE.append(self)
            future.set_exception(error)
        else:
            _IDLE.append(self)
            future.set_result(result)


_IDLE: list[_Thread] = []
"""Threads that wait for a query: a new one for each takes a tenth of its time."""


def _begun(work: Callable[[], _T]) -> "Future[_T]":
    """The work in a thread that does nothing else meanwhile."""
    future: Future[_T] = Future()
    try:
        thread = _IDLE.pop()
    except IndexError:
        thread = _Thread()
    thread.queries.put((work, future))
    return future
