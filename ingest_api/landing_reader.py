"""What people ask of the landing store, and the little that they change: off the event loop, beside the
writer of reports."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from funnelhouse.problems import Refusal
from funnelhouse.shares import Shares
from ingest_api.group_commit import NOT_COMMITTED
from record.landing import Location, open_existing, open_store
from record.landing.store import LandingError, LandingStore

MAX_WAITING = 200
"""Questions that may wait for the one thread; beyond that a sender is asked to come back."""

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page of events or definitions ends with the one that reaches this."""

ALONE = 1 / 4
"""A project may have so many questions waiting as a part of those that others may still ask: 40, alone."""

_T = TypeVar("_T")


class LandingReader:
    """A thread with a connection of its own, opened when something is asked and again after a failure."""

    _failed = "The landing store cannot be read at the moment; try again."

    def __init__(self, location: Location, places: int = MAX_WAITING, alone: float = ALONE) -> None:
        self._location = location
        self._store: LandingStore | None = None
        self._places = Shares(places)
        self._alone = alone
        self._thread = ThreadPoolExecutor(1, "landing-reader")

    async def ask(self, project_id: str, question: Callable[[LandingStore], _T]) -> _T:
        """What `question` finds; answers are best made of it there, too.

        Raises Refusal 503 when the store cannot be read, or too much of the project waits.
        """
        if not self._places.take(project_id, 1, self._alone):
            raise Refusal(503, "Too many queries at the moment; try again.", headers={"Retry-After": "1"})
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)
        except LandingError as error:
            raise Refusal(503, self._failed, headers={"Retry-After": "1"}) from error
        finally:
            self._places.give_back(project_id, 1)

    def close(self) -> None:
        """Finish what was asked and close. Blocks."""
        self._thread.submit(self._forget)
        self._thread.shutdown()

    def _answer(self, question: Callable[[LandingStore], _T]) -> _T:
        if self._store is None:
            self._store = self._open()
        if self._store is None:
            raise LandingError("there is no landing store yet")
        try:
            return question(self._store)
        except LandingError:
            self._forget()
            raise

    def _open(self) -> LandingStore | None:
        return open_existing(self._location)

    def _forget(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(LandingError):
                store.close()


class LandingWriter(LandingReader):
    """The same for control data that is changed: of reports `GroupCommit` is the one writer."""

    _failed = NOT_COMMITTED

    def _open(self) -> LandingStore:
        return open_store(self._location)
