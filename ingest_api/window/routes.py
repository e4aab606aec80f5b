"""The window's routes."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from funnelhouse.auth import ReadOrAdminCaller, presented_key
from funnelhouse.keys import KeyRing
from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from ingest_api.landing_reader import MAX_PAGE_BYTES
from ingest_api.native import json_answer
from ingest_api.requests import stores
from ingest_api.window.cursors import Cursors
from ingest_api.window.landed import item, newest_rejected
from ingest_api.window.stream import Feed, Stream
from record.landing.store import LandingError, LandingStore, Position

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
MAX_SHOWN = 100
"""Reports with one event id that are shown, fewer where they are long."""

WRONG_LIMIT = f"limit: must be a whole number from 1 to {MAX_LIMIT}"
WRONG_BEFORE = "before: must be `next` of the page before"
WRONG_LAST_EVENT_ID = "Last-Event-ID: must be `id` of an event of this stream"

_WHOLE_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)

EVENT_IDS = re.compile(r"/v1/projects/[^/]+/events/(?!(?:recent|stream)/*$).", re.DOTALL)
"""Paths that end with an event's id."""

router = APIRouter(prefix="/v1/projects/{project_id}")


def _feed(request: Request) -> Feed:
    found: Feed = request.app.state.feed
    return found


@router.get("/events/recent")
async def recent_events(
    request: Request,
    caller: ReadOrAdminCaller,
    limit: Annotated[str | None, Query(description="1 to 100; default 20.")] = None,
    before: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """The newest events, newest first, at once after their acknowledgement: as received and as understood."""
    cursors = _feed(request).cursors
    count, place = _limit(limit), _position(cursors, caller.project_id, before, WRONG_BEFORE)

    def page(store: LandingStore) -> Response:
        found = store.newest_events(caller.project_id, count + 1, place, MAX_PAGE_BYTES)
        shown = found[:count]
        last = shown[-1][0] if shown else None
        # A page of fewer may have ended for its bytes.
        is_last = last is None or (
            len(found) <= count and not store.newest_events(caller.project_id, 1, last, MAX_PAGE_BYTES)
        )
        following = None if last is None or is_last else cursors.write(caller.project_id, last)
        return json_answer({"events": [item(placed) for placed in shown], "next": following})

    return await stores(request).reader.ask(caller.project_id, page)


@router.get("/events/stream", response_class=Response)
async def stream_events(
    request: Request,
    caller: ReadOrAdminCaller,
    last_event_id: Annotated[
        str | None, Header(description="`id` of the last event that was seen: go on behind it.")
    ] = None,
) -> Response:
    """Server-sent events of what arrives from now on, from all ingest processes, until the client leaves."""
    feed = _feed(request)
    after = _position(feed.cursors, caller.project_id, last_event_id, WRONG_LAST_EVENT_ID)
    keys: KeyRing = request.app.state.keys
    presented = presented_key(request) or ""

    def is_allowed() -> bool:
        try:
            return keys.find(presented) is not None
        except LandingError:
            return False

    return Stream(feed, caller.project_id, after, is_allowed)


@router.get(f"/events/{id_at_end('event_id')}")
async def one_event(request: Request, caller: ReadOrAdminCaller, event_id: str) -> Response:
    """All reports with an event id, in the order in which they came to stand.

    The first that a server sent wins, else the first.
    """

    def page(store: LandingStore) -> Response:
        found = store.events_with_id(caller.project_id, event_id, MAX_SHOWN, MAX_PAGE_BYTES)
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

    return await stores(request).reader.ask(caller.project_id, page)


@router.get("/rejected/recent")
async def recent_rejected(
    request: Request,
    caller: ReadOrAdminCaller,
    limit: Annotated[str | None, Query(description="1 to 100; default 20.")] = None,
) -> Response:
    """What was sent and not accepted, newest first, with the reason and the beginning of the body."""
    count = _limit(limit)

    def page(store: LandingStore) -> Response:
        return json_answer({"rejected": newest_rejected(store, caller.project_id, count)})

    return await stores(request).reader.ask(caller.project_id, page)


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
