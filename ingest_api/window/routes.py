"""The window's routes."""

import asyncio
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from funnelhouse.auth import ReadOrAdminCaller, presented_key
from funnelhouse.keys import KeyRing
from funnelhouse.landing import Location
from funnelhouse.landing.store import LandingError, Position
from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from ingest_api.native import json_answer
from ingest_api.window.cursors import Cursors
from ingest_api.window.landed import LandingReader, item
from ingest_api.window.stream import Feed, Stream

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
MAX_SHOWN = 100
"""Reports with one event id that are shown."""

WRONG_LIMIT = f"limit: must be a whole number from 1 to {MAX_LIMIT}"
WRONG_BEFORE = "before: must be `next` of the page before"
WRONG_LAST_EVENT_ID = "Last-Event-ID: must be `id` of an event of this stream"

_WHOLE_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)

EVENT_IDS = re.compile(r"/v1/projects/[^/]+/events/(?!(?:recent|stream)/*$).", re.DOTALL)
"""Paths that end with an event's id."""

router = APIRouter(prefix="/v1/projects/{project_id}/events")


@dataclass(frozen=True, slots=True)
class Window:
    """What the running app holds in `app.state.window`."""

    reader: LandingReader
    feed: Feed
    cursors: Cursors

    @classmethod
    def of(cls, location: Location, secret: bytes) -> "Window":
        """A window onto the landing store at `location`, whose cursors are made with `secret`."""
        cursors = Cursors(secret)
        return cls(LandingReader(location), Feed(location, cursors), cursors)

    async def close(self) -> None:
        """End the streams, and close both connections."""
        await self.feed.close()
        await asyncio.to_thread(self.reader.close)


def _window(request: Request) -> Window:
    found: Window = request.app.state.window
    return found


@router.get("/recent")
async def recent_events(
    request: Request,
    caller: ReadOrAdminCaller,
    limit: Annotated[str | None, Query(description="1 to 100; default 20.")] = None,
    before: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """The newest events, newest first, at once after their acknowledgement: as received and as understood."""
    cursors = _window(request).cursors
    count, place = _limit(limit), _position(cursors, caller.project_id, before, WRONG_BEFORE)
    found = await _window(request).reader.ask(
        lambda store: store.newest_events(caller.project_id, count + 1, place)
    )
    shown = found[:count]
    following = cursors.write(caller.project_id, shown[-1][0]) if len(found) > count else None
    return json_answer({"events": [item(placed) for placed in shown], "next": following})


@router.get("/stream", response_class=Response)
async def stream_events(
    request: Request,
    caller: ReadOrAdminCaller,
    last_event_id: Annotated[
        str | None, Header(description="`id` of the last event that was seen: go on behind it.")
    ] = None,
) -> Response:
    """Server-sent events of what arrives from now on, from all ingest processes, until the client leaves."""
    cursors = _window(request).cursors
    after = _position(cursors, caller.project_id, last_event_id, WRONG_LAST_EVENT_ID)
    keys: KeyRing = request.app.state.keys
    presented = presented_key(request) or ""

    def is_allowed() -> bool:
        try:
            return keys.find(presented) is not None
        except LandingError:
            return False

    return Stream(_window(request).feed, caller.project_id, after, is_allowed)


@router.get(f"/{id_at_end('event_id')}")
async def one_event(request: Request, caller: ReadOrAdminCaller, event_id: str) -> Response:
    """All reports with an event id, in the order in which they came to stand.

    The first that a server sent wins, else the first.
    """
    found = await _window(request).reader.ask(
        lambda store: store.events_with_id(caller.project_id, event_id, MAX_SHOWN)
    )
    if not found:
        raise Refusal(
            404,
            "No event with this id is in the landing store, which keeps the last days only. Look for "
            "older ones in the read API: GET /v1/projects/{project_id}/marts lists what it has.",
        )
    reports: list[dict[str, Any]] = [{"wins": False, **item(placed)} for placed in found]
    by_servers = [report for report in reports if report["understood"]["sender"] == "server"]
    (by_servers or reports)[0]["wins"] = True
    return json_answer({"event_id": event_id, "reports": reports})


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    limit = int(text) if _WHOLE_NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise Refusal(400, WRONG_LIMIT)
    return limit


def _position(cursors: Cursors, project_id: str, text: str | None, otherwise: str) -> Position | None:
    if not text:
        return None
    position = cursors.read(project_id, text)
    if position is None:
        raise Refusal(400, otherwise)
    return position
