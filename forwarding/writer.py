"""The thread that writes to the outbox for the event loop: what waits at a time shares a commit."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from forwarding.outbox.store import Lease, LeaseLostError, OutboxStore
from record.landing.store import LandingError

MOST_AT_ONCE = 256
"""Pieces of work that share a transaction."""

_T = TypeVar("_T")

_Piece = tuple[Callable[[OutboxStore], Any], "asyncio.Future[Any]"]


class Writer:
    """Runs pieces of work in transactions of the lease's holder, in the order in which they came."""

    def __init__(self, open_store: Callable[[], OutboxStore], lease: Lease) -> None:
        self._open_store = open_store
        self._lease = lease
        self._store: OutboxStore | None = None
        self._pieces: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[OutboxStore], _T]) -> _T:
        """Do a piece of work; returns when it is on stable storage. Raises what it raises, and LandingError.

        It may be done twice when another piece of its transaction failed: it changes nothing but the outbox.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        self._pieces.put((work, future))
        return await future

    async def close(self) -> None:
        """End, after what waits is done."""
        self._pieces.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        is_open = True
        while is_open:
            pieces = [self._pieces.get()]
            with suppress(queue.Empty):
                while len(pieces) < MOST_AT_ONCE:
                    pieces.append(self._pieces.get_nowait())
            is_open = None not in pieces
            self._do_all([piece for piece in pieces if piece is not None])
        self._forget_store()

    def _do_all(self, pieces: list[_Piece]) -> None:
        try:
            self._settle(list(zip(pieces, self._done(pieces), strict=True)))
        except LeaseLostError as lost:
            self._settle([(piece, lost) for piece in pieces])
        except Exception:
            # One of them failed, and took the others with it.
            for piece in pieces:
                try:
                    self._settle([(piece, self._done([piece])[0])])
                except Exception as error:
                    if isinstance(error, LandingError):
                        self._forget_store()
                    self._settle([(piece, error)])

    def _done(self, pieces: list[_Piece]) -> list[Any]:
        if not pieces:
            return []
        if self._store is None:
            self._store = self._open_store()
        with self._lease.transaction(self._store):
            return [work(self._store) for work, _ in pieces]

    def _forget_store(self) -> None:
        if self._store is not None:
            with suppress(LandingError):
                self._store.close()
            self._store = None

    def _settle(self, results: list[tuple[_Piece, Any]]) -> None:
        def settle() -> None:
            for (_, future), result in results:
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle)
