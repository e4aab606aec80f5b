"""What the routes share: the running app's stores, and the steps between a body and its durable rows."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request, Response

from funnelhouse.keys import TEST_SUFFIX, Key
from funnelhouse.problems import Refusal
from funnelhouse.proxies import TrustedProxies
from ingest_api import metrics
from ingest_api.access import sent_by
from ingest_api.arrival import Arrival, NotForPages, Reading, Rejection
from ingest_api.body import UndecodableBody, read_body
from ingest_api.counts import Counts, unread_fields, unrecorded_clicks
from ingest_api.dialect import Read
from ingest_api.group_commit import ROW_BYTES, GroupCommit
from ingest_api.hints import told
from ingest_api.holding import Parsers, hold
from ingest_api.idempotency import Once, once
from ingest_api.landing_reader import LandingReader, LandingWriter
from ingest_api.lengths import ADDRESS_BYTES, cut
from ingest_api.rejected import Quotas, rejected_rows
from ingest_api.strict_json import BadInput
from record.contract import Event, Rejected, row_values
from record.landing.store import Answer, LandingError, LandingStore, Row

LARGE_BODY_BYTES = 64 * 1024
LARGE_BODY_OBJECTS = 250
"""Parsing more than either of these on the event loop would keep the other requests waiting."""

DRY_RUN = "Funnelhouse-Dry-Run"
NO_DRY_RUN = f"{DRY_RUN}: send 1, or leave the header out."

_T = TypeVar("_T")
_event_row: Callable[[Any], Row] = row_values(Event)
_rejected_row: Callable[[Any], Row] = row_values(Rejected)


@dataclass(frozen=True, slots=True)
class Stores:
    """What the running app holds in `app.state.stores`."""

    commits: GroupCommit
    landing: LandingStore
    """For what takes a moment, on the event loop: one row by its key."""
    reader: LandingReader
    """For all else that is read."""
    writer: LandingWriter
    """For what is changed besides reports: keys."""
    quotas: Quotas = field(default_factory=Quotas)
    unread: Counts[str] = field(default_factory=unread_fields)
    unrecorded: Counts[tuple[str, str]] = field(default_factory=unrecorded_clicks)


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
        raise Refusal(400, NO_DRY_RUN)
    return value is not None


async def receive_events(
    request: Request,
    caller: Key,
    read: Read,
    answer: Callable[[Reading], Response],
) -> Response:
    """Read a body in a dialect, land its events in one transaction, and answer when they are durable."""
    body = await read_known(request, caller.project_id)
    return await land_events(request, caller.project_id, body, read, answer)


async def read_known(request: Request, project_id: str, path: str | None = None) -> bytes:
    """The body of a sender who may write to a project; one that cannot be decoded is kept as it came.

    Raises as `read_body` does; `path` is as in `keep_rejected`.
    """
    try:
        return await read_body(request)
    except UndecodableBody as refusal:
        if not is_dry_run(request):
            rejection = Rejection(refusal.detail, refusal.sent)
            await keep_rejected(request, arrival_of(request, project_id), [rejection], path)
        raise


async def land_events(
    request: Request,
    project_id: str,
    body: bytes,
    read: Read,
    answer: Callable[[Reading], Response],
    sent: bytes | None = None,
) -> Response:
    """As `receive_events`, for a body that was read already and a project that its sender may write to.

    `sent` is what is read, and kept when nothing of it can be accepted, where that is more than the body.
    """
    sent = body if sent is None else sent
    is_trial = is_dry_run(request)
    repeatable = once(request, project_id, body)
    arrival = arrival_of(request, project_id, repeatable)
    arrival.notices.is_told = is_trial or project_id.endswith(TEST_SUFFIX)
    proxies: TrustedProxies = request.app.state.proxies
    country = proxies.country(request) if arrival.sender == "browser" else None

    def prepare(sent: bytes) -> tuple[Reading, list[Row]]:
        reading = read(sent, arrival)
        if country is not None:
            for event in reading.events:
                # A server's own country says nothing about the visitor.
                if event.sender == "browser" and event.country is None:
                    event.country = country
        return reading, [_event_row(event) for event in reading.events]

    try:
        reading, rows = await parsed(request, sent, prepare)
    except Refusal as refusal:
        if not is_trial and refusal.status != NotForPages.status:
            await keep_rejected(request, arrival, [Rejection(refusal.detail, sent)])
        raise
    # Rows of small events take more room than their body.
    hold(request, max(0, ROW_BYTES * len(rows) - len(body)))
    response = told(answer(reading), arrival.notices, is_trial)
    landed = await land(request, "events", rows, len(body), response, repeatable, is_trial)
    if landed is response and not is_trial:
        for dialect, count in Counter(event.dialect for event in reading.events).items():
            metrics.ACKNOWLEDGED.labels(dialect).inc(count)
        if arrival.notices.unread:
            stores(request).unread.count(project_id, arrival.received_us, arrival.notices.unread)
        if reading.rejections:
            await keep_rejected(request, arrival, reading.rejections)
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
    earlier: Answer | None = None
    if repeatable is None or response.status_code >= 400:
        if rows and not is_trial:
            await stores(request).commits.submit(table, rows, size)
    elif is_trial:
        earlier = _kept(request, repeatable)
    else:
        earlier = await stores(request).commits.submit_once(table, rows, size, repeatable.answer(response))
    return answered_once(earlier or response, repeatable, is_trial)


def answered_once(found: Response | Answer, repeatable: Once | None, is_trial: bool) -> Response:
    """A response, or the earlier answer under the Idempotency-Key; a dry run says that it is one.

    Raises Refusal 422 when the earlier request had another body.
    """
    if isinstance(found, Answer):
        assert repeatable is not None
        found = repeatable.replay(found)
    if is_trial:
        found.headers[DRY_RUN] = "1"
    return found


def arrival_of(request: Request, project_id: str, repeatable: Once | None = None) -> Arrival:
    """What is known of an authenticated request that arrives now."""
    headers = request.headers
    how = sent_by(request)
    is_browser = how in ("page", "tracker") or "origin" in headers
    return Arrival(
        project_id=project_id,
        received_us=now_us(),
        sender="browser" if is_browser else "server",
        user_agent=cut(headers.get("user-agent", ""), ADDRESS_BYTES) or None if is_browser else None,
        once=repeatable,
        has_page_key=how == "page",
    )


def _kept(request: Request, repeatable: Once) -> Answer | None:
    landing = stores(request).landing
    try:
        return repeatable.earlier(landing)
    except LandingError as error:
        raise Refusal(
            503, "Earlier answers cannot be read at the moment; try again.", headers={"Retry-After": "1"}
        ) from error


async def keep_rejected(
    request: Request, arrival: Arrival, rejections: Sequence[Rejection], path: str | None = None
) -> None:
    """Land what was not accepted, within the project's quota; `path` is the route's unless it is given."""
    metrics.REJECTED.inc(len(rejections))
    quota = stores(request).quotas.of(sent_by(request))
    granted = quota.take(arrival.project_id, len(rejections), arrival.received_us)
    if granted > 0:
        # The route's path, not the request's: that of a postback may hold a secret.
        sent_to: str = path or request.scope["route"].path
        kept = rejections[:granted]
        if sum(len(rejection.body) for rejection in kept) > LARGE_BODY_BYTES:
            rows = await asyncio.to_thread(rejected_rows, arrival, sent_to, kept)
        else:
            rows = rejected_rows(arrival, sent_to, kept)
        size = sum(len(row.body) for row in rows)
        await stores(request).commits.submit("rejected", [_rejected_row(row) for row in rows], size)


async def parsed(request: Request, body: bytes, parse: Callable[[bytes], _T]) -> _T:
    """What `parse` makes of a body, in a thread when it is large. Raises Refusal for its BadInput."""
    try:
        if len(body) <= LARGE_BODY_BYTES and body.count(b"{") <= LARGE_BODY_OBJECTS:
            return parse(body)
        parsers: Parsers = request.app.state.parsers
        return await parsers.run(request, parse, body)
    except BadInput as error:
        raise Refusal(error.status, str(error)) from None
