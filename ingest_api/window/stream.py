"""The event stream: server-sent events of what arrives, whichever ingest process took it.

A stream is a place in the landing store from which it reads on, in the order of sealing, up to where no
earlier row can appear any more. So nothing is missed or sent twice, resuming after `Last-Event-ID` is the
same as going on, and a slow client costs one page of memory. One task per process looks whether anything
came; streams of one project that stand at the same place share the page that is read.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import orjson
from fastapi import Response
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from funnelhouse.problems import Refusal
from funnelhouse.shares import Shares
from ingest_api import metrics
from ingest_api.landing_reader import LandingReader
from ingest_api.window.cursors import Cursors
from ingest_api.window.landed import item
from record.landing import Location
from record.landing.store import LandingStore, Placed, Position

MAX_STREAMS = 400
"""Per process."""

ALONE = 1 / 3
"""A project may have so many streams as a part of those that others may still open: 100, alone."""

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15
SEND_SECONDS = 30
"""A client that does not take what it is sent within this time is dropped; it can resume where it was."""

CHECK_SECONDS = 1.0
"""How often a stream looks whether its key still holds."""

END_SECONDS = 1.0
"""How long a stream may take to say goodbye when the server ends."""

PAGE_ROWS = 50
PAGE_BYTES = 128 * 1024
"""A page ends with the event that reaches this."""

_SHARED_PAGES = 50

_EVERYBODY = ""
"""No project's id."""

_Page = tuple[Position, bytes]
"""The position of its last event, and the text of all."""


class Feed:
    """What the streams of this process share; belongs to one event loop."""

    def __init__(self, location: Location, cursors: Cursors) -> None:
        self.cursors = cursors
        # Each stream asks one thing at a time, and has its place already.
        self._reader = LandingReader(location, places=4 * MAX_STREAMS, alone=1)
        self._until: Position = (0, 0)
        self._moved = asyncio.Event()
        self._places = Shares(MAX_STREAMS)
        self._open = 0
        self._poller: asyncio.Task[None] | None = None
        self._pages: OrderedDict[tuple[str, Position], asyncio.Task[_Page | None]] = OrderedDict()
        self.ending = asyncio.Event()

    async def enter(self, project_id: str) -> Position:
        """Count one more stream; returns where those begin that resume nothing.

        Raises Refusal 503 when the project has too many, the server is ending, or the store cannot be read.
        """
        if self.ending.is_set() or not self._places.take(project_id, 1, ALONE):
            raise Refusal(
                503,
                "The project has its share of this process's streams, or it is ending; try again.",
                headers={"Retry-After": "5"},
            )
        self._open += 1
        metrics.STREAMS.inc()
        try:
            until = await self._reader.ask(project_id, _sealable)
        except BaseException:
            self.leave(project_id)
            raise
        self._until = max(self._until, until)
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        return until

    def leave(self, project_id: str) -> None:
        """Count one stream less."""
        self._places.give_back(project_id, 1)
        self._open -= 1
        metrics.STREAMS.dec()

    def stop(self) -> None:
        """End all streams: the server is asked to end."""
        self.ending.set()
        self._wake()

    async def close(self) -> None:
        """Stop looking, and close the connection."""
        self.stop()
        if self._poller is not None:
            self._poller.cancel()
        await asyncio.to_thread(self._reader.close)

    async def wait(self, seconds: float) -> None:
        """Until something came, the server is ending, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    async def page(self, project_id: str, after: Position) -> _Page | None:
        """The next events behind a position; None when there are none now. Raises Refusal 503."""
        until = self._until
        if after >= until:
            return None
        place = (project_id, after)
        task = self._pages.get(place)
        if task is None:

            def read(store: LandingStore) -> _Page | None:
                found = store.events_behind(project_id, after, until, PAGE_ROWS, PAGE_BYTES)
                return _page(found, partial(self.cursors.write, project_id))

            def forget_failed(done: asyncio.Task[_Page | None]) -> None:
                if done.cancelled() or done.exception() is not None:
                    self._pages.pop(place, None)

            task = self._pages[place] = asyncio.create_task(self._reader.ask(project_id, read))
            task.add_done_callback(forget_failed)
            if len(self._pages) > _SHARED_PAGES:
                self._pages.popitem(last=False)
        # Shielded: others may wait for the same page when one client leaves.
        return await asyncio.shield(task)

    async def _poll(self) -> None:
        while self._open:
            await asyncio.sleep(POLL_SECONDS)
            try:
                until = await self._reader.ask(_EVERYBODY, _sealable)
            except Refusal:
                continue  # The store comes back; meanwhile streams stay where they are.
            if until > self._until:
                self._until = until
                # A page that found nothing, or little, is not the last word any longer.
                self._pages.clear()
                self._wake()
        self._poller = None

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Stream(Response):
    """One client's stream, as an answer that ends with its client, its key or the server.

    It sends a project's events behind `after`; None: those that come from now on. Refusals that `Feed.enter`
    raises come before the answer has begun.
    """

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, project_id: str, after: Position | None, is_allowed: Callable[[], bool]
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._feed = feed
        self._project_id = project_id
        self._after = after
        self._is_allowed = is_allowed

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until something ends it."""
        now = await self._feed.enter(self._project_id)
        sending = asyncio.create_task(self._send_all(send, now if self._after is None else self._after))
        gone = asyncio.create_task(_disconnected(receive))
        ending = asyncio.create_task(self._feed.ending.wait())
        try:
            await asyncio.wait([sending, gone, ending], return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                # A client that takes nothing must not keep the server.
                await asyncio.wait([sending, gone], timeout=END_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone, ending):
                task.cancel()
            self._feed.leave(self._project_id)
        if sending.done():
            sending.result()

    async def _send_all(self, send: Send, after: Position) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # The place to resume from, for a client that is cut off before anything came.
        place = self._feed.cursors.write(self._project_id, after)
        text = format_sse_event(comment="events from here on", id=place, retry=2000)
        checked = quiet_since = time.monotonic()
        reason = ""
        try:
            while True:
                if text:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send({"type": "http.response.body", "body": text, "more_body": True})
                    text, quiet_since = b"", time.monotonic()
                if self._feed.ending.is_set():
                    reason = "the server is ending"
                    break
                if time.monotonic() - checked >= CHECK_SECONDS:
                    checked = time.monotonic()
                    if not self._is_allowed():
                        reason = "the key has ended"
                        break
                if page := await self._feed.page(self._project_id, after):
                    after, text = page
                else:
                    await self._feed.wait(CHECK_SECONDS)
                    if time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                        text = format_sse_event(comment="nothing new")
        except TimeoutError:
            return
        except Refusal as refusal:
            reason = refusal.detail
        await send({"type": "http.response.body", "body": format_sse_event(comment=reason)})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _sealable(store: LandingStore) -> Position:
    return store.sealable()["events"]


def _page(found: Iterable[Placed], cursor: Callable[[Position], str]) -> _Page | None:
    """The events in the words of the protocol."""
    texts: list[bytes] = []
    last = None
    for placed in found:
        data = orjson.dumps(item(placed)).decode()
        texts.append(format_sse_event(data_str=data, id=cursor(placed[0])))
        last = placed[0]
    return None if last is None else (last, b"".join(texts))
