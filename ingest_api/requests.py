"""What the routes share: the running app's stores, and the steps between a body and its durable rows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request, Response

from funnelhouse.contract import Event, Rejected, row_values
from funnelhouse.keys import Key
from funnelhouse.landing.answers import find_answer
from funnelhouse.landing.store import Answer, LandingError, LandingStore, Row
from funnelhouse.problems import Refusal
from ingest_api.arrival import Arrival, Reading
from ingest_api.body import read_body
from ingest_api.group_commit import GroupCommit
from ingest_api.idempotency import Once, once
from ingest_api.proxies import TrustedProxies
from ingest_api.rejected import Quota, Rejection, rejected_rows
from ingest_api.strict_json import BadInput

LARGE_BODY_BYTES = 64 * 1024
"""Parsing more than this on the event loop would keep the other requests waiting."""

DRY_RUN = "Funnelhouse-Dry-Run"

_T = TypeVar("_T")
_event_row: Callable[[Any], Row] = row_values(Event)
_rejected_row: Callable[[Any], Row] = row_values(Rejected)


@dataclass(frozen=True, slots=True)
class Stores:
    """What the running app holds in `app.state.stores`."""

    commits: GroupCommit
    landing: LandingStore
    """For reading definitions and answers."""
    quota: Quota = field(default_factory=Quota)


def stores(request: Request) -> Stores:
    """The stores of the app that answers `request`."""
    found: Stores = request.app.state.stores
    return found


def now_us() -> int:
    """The time as Unix microseconds."""
    return time.time_ns() // 1000


def is_dry_run(request: Request) -> bool:
    """Whether all but the landing is wanted. Raises Refusal 400 for a value other than 1."""
    value = request.headers.get(DRY_RUN)
    if value not in (None, "1"):
        # Landing what was meant as a trial cannot be taken back.
        raise Refusal(400, f"{DRY_RUN}: send 1, or leave the header out.")
    return value is not None


async def receive_events(
    request: Request,
    caller: Key,
    read: Callable[[bytes, Arrival], Reading],
    answer: Callable[[Reading], Response],
) -> Response:
    """Read a body in a dialect, land its events in one transaction, and answer when they are durable."""
    return await land_events(request, caller.project_id, await read_body(request), read, answer)


async def land_events(
    request: Request,
    project_id: str,
    body: bytes,
    read: Callable[[bytes, Arrival], Reading],
    answer: Callable[[Reading], Response],
) -> Response:
    """As `receive_events`, for a body that was read already and a project that its sender may write to."""
    is_trial = is_dry_run(request)
    repeatable = once(request, project_id, body)
    headers = request.headers
    is_browser = "origin" in headers
    arrival = Arrival(
        project_id=project_id,
        received_us=now_us(),
        sender="browser" if is_browser else "server",
        user_agent=headers.get("user-agent") if is_browser else None,
        once=repeatable,
    )
    proxies: TrustedProxies = request.app.state.proxies
    country = proxies.country(request) if is_browser else None

    def prepare(body: bytes) -> tuple[Reading, list[Row]]:
        reading = read(body, arrival)
        if country is not None:
            for event in reading.events:
                # A server's own country says nothing about the visitor.
                if event.sender == "browser" and event.country is None:
                    event.country = country
        return reading, [_event_row(event) for event in reading.events]

    try:
        reading, rows = await parsed(body, prepare)
    except Refusal as refusal:
        if not is_trial:
            sent = body or request.scope["query_string"]
            await _keep_rejected(request, arrival, [Rejection(refusal.detail, sent)])
        raise
    response = answer(reading)
    landed = await land(request, "events", rows, len(body), response, repeatable, is_trial)
    if landed is response and reading.rejections and not is_trial:
        await _keep_rejected(request, arrival, reading.rejections)
    return landed


async def land(
    request: Request,
    table: str,
    rows: Sequence[Row],
    size: int,
    response: Response,
    repeatable: Once | None,
    is_trial: bool,
) -> Response:
    """Land rows and return `response` when they are durable; a dry run lands nothing and is answered alike.

    Where an earlier request under the same Idempotency-Key was accepted, nothing is landed either, and its
    answer is returned. Raises Refusal 422 when that had another body, 503 as `GroupCommit.submit` does.
    """
    if repeatable is None or response.status_code >= 400:
        if rows and not is_trial:
            await stores(request).commits.submit(table, rows, size)
    else:
        if is_trial:
            earlier = _kept(request, repeatable)
        else:
            answer = repeatable.answer(response)
            earlier = await stores(request).commits.submit_once(table, rows, size, answer)
        if earlier is not None:
            response = repeatable.replay(earlier)
    if is_trial:
        response.headers[DRY_RUN] = "1"
    return response


def _kept(request: Request, repeatable: Once) -> Answer | None:
    landing = stores(request).landing
    try:
        return find_answer(landing, repeatable.project_id, repeatable.route, repeatable.key)
    except LandingError as error:
        raise Refusal(
            503, "Earlier answers cannot be read just now; try again.", headers={"Retry-After": "1"}
        ) from error


async def _keep_rejected(request: Request, arrival: Arrival, rejections: Sequence[Rejection]) -> None:
    """Land what was not accepted, within the project's quota."""
    granted = stores(request).quota.take(arrival.project_id, len(rejections), arrival.received_us)
    if granted > 0:
        # The route's path, not the request's: that of a postback may hold a secret.
        path: str = request.scope["route"].path
        rows = rejected_rows(arrival.project_id, path, arrival.received_us, rejections[:granted])
        size = sum(len(row.body) for row in rows)
        await stores(request).commits.submit("rejected", [_rejected_row(row) for row in rows], size)


async def parsed(body: bytes, parse: Callable[[bytes], _T]) -> _T:
    """What `parse` makes of a body, in a thread when it is large. Raises Refusal 400 for its BadInput."""
    try:
        return await asyncio.to_thread(parse, body) if len(body) > LARGE_BODY_BYTES else parse(body)
    except BadInput as error:
        raise Refusal(400, str(error)) from None
