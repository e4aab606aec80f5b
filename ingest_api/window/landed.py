"""Events of the landing store as the window shows them, read beside the writer and off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from funnelhouse.contract import Event, columns
from funnelhouse.landing import Location, open_existing
from funnelhouse.landing.store import LandingError, LandingStore, Placed
from funnelhouse.problems import Refusal

MAX_WAITING = 200
"""Questions that may wait for the one thread; beyond that a sender is asked to come back."""

_NAMES = [column.name for column in columns(Event)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_T = TypeVar("_T")


class LandingReader:
    """A thread with a connection of its own, opened when something is asked and again after a failure."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._store: LandingStore | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "landing-reader")

    async def ask(self, question: Callable[[LandingStore], _T]) -> _T:
        """What `question` finds. Raises Refusal 503 when the store cannot be read, or too much waits."""
        if self._waiting >= MAX_WAITING:
            raise Refusal(503, "Too many are looking just now; try again.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)
        except LandingError as error:
            raise Refusal(
                503, "The landing store cannot be read just now; try again.", headers={"Retry-After": "1"}
            ) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what was asked and close. Blocks."""
        self._thread.submit(self._forget)
        self._thread.shutdown()

    def _answer(self, question: Callable[[LandingStore], _T]) -> _T:
        if self._store is None:
            self._store = open_existing(self._location)
        if self._store is None:
            raise LandingError("there is no landing store yet")
        try:
            return question(self._store)
        except LandingError:
            self._forget()
            raise

    def _forget(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(LandingError):
                store.close()


def item(placed: Placed) -> dict[str, Any]:
    """One event: `event_id`, `received_at`, `dialect`, `payload` as received, and `understood`.

    `understood` are the typed columns that are not null; the payload's exact text is beside them.
    """
    row = dict(zip(_NAMES, placed[1], strict=True))
    received_at = _EPOCH + timedelta(microseconds=row["received_us"])
    payload = row.pop("payload")
    return {
        "event_id": row["event_id"],
        "received_at": received_at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "dialect": row["dialect"],
        "payload": payload,
        "understood": {name: value for name, value in row.items() if value is not None},
    }
