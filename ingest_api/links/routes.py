"""Links over HTTP: `/c/{project}/{link}`, and `/c/{link}` by host.

The answer leads on within `link_wait_ms`, whether the click is on the disk by then or not: a visitor who is
lost costs more than a click. It is the one answer of ingest that does not mean that what it answers is kept.
https://wicg.github.io/nav-speculation/prefetch.html says what `Sec-Purpose` is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.access import AccessRules
from funnelhouse.problems import Refusal
from funnelhouse.proxies import TrustedProxies
from ingest_api import metrics
from ingest_api.access import PROJECT
from ingest_api.arrival import Arrival
from ingest_api.definitions.held import Held, HeldDefinitions
from ingest_api.definitions.project_settings import SETTINGS
from ingest_api.definitions.tracker import tracker_of
from ingest_api.definitions.traffic_source import click_id_parameters
from ingest_api.group_commit import ROW_BYTES
from ingest_api.lengths import ADDRESS_BYTES, cut
from ingest_api.links.clicks import Browser, Followed, cut_address, follow, unfilled
from ingest_api.rate_limits import RateLimits
from ingest_api.requests import now_us, stores
from ingest_api.tracker.visitor_cookie import cookies_of, may_remember, visitor_cookie
from record.contract import Event, row_values

UNKNOWN_LINK = "There is no such link here."
PREFETCHED = "A link is not followed ahead of a click."

_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
_ROUTES = ("/c/{link_id}", "/c/{project_id}/{link_id}")

router = APIRouter()
_event_row = row_values(Event)


def plain(refusal: Refusal) -> Response:
    """An error as text for whoever clicked, which no cache may keep."""
    headers = {**_HEADERS, **refusal.headers}
    return Response(f"{refusal.detail}\n", refusal.status, headers, media_type="text/plain")


async def get(request: Request) -> Response:
    """Record the click, and lead on."""
    link_id: str = request.path_params["link_id"]
    project_id, held = await _project(request)
    link = held.bodies["link"].get(link_id)
    if link is None:
        raise Refusal(404, UNKNOWN_LINK)
    if not link["is_active"]:
        if link["fallback_url"] is None:
            raise Refusal(404, UNKNOWN_LINK)
        return _redirect(link["fallback_url"])
    if request.method == "HEAD":
        return _redirect(unfilled(link))
    if _is_ahead_of_a_click(request):
        raise Refusal(503, PREFETCHED)
    tracker = tracker_of(held.bodies)
    arrival = Arrival(project_id, now_us(), "browser", user_agent=None)
    browser = _browser(request, arrival, tracker, held)
    query: bytes = request.scope["query_string"]
    cross_domains: list[str] = tracker["cross_domains"]
    networks = click_id_parameters(held.bodies["traffic_source"])
    followed = follow(link_id, link, query, arrival, browser, held.bodies["page"], cross_domains, networks)
    await _record(request, followed, arrival, link_id)
    answer = _redirect(followed.location)
    cookie = visitor_cookie(request, tracker, followed.visitor_id)
    if cookie is not None:
        answer.headers["Set-Cookie"] = cookie
    return answer


for _path in _ROUTES:
    router.add_api_route(_path, get, methods=["GET"], status_code=302)
    router.add_api_route(_path, get, methods=["HEAD"], status_code=302, include_in_schema=False)


async def _project(request: Request) -> tuple[str, Held]:
    """The project that the path means, or the host. Raises Refusal 404, or 503 as `HeldDefinitions.of`."""
    project_id: str | None = request.path_params.get("project_id")
    rules: AccessRules = request.app.state.access
    definitions: HeldDefinitions = request.app.state.definitions
    if project_id is None:
        project_id = rules.project_at(request.headers.get("host", ""))
    # Else whoever makes names up would have each looked for, and held.
    if project_id is None or not (definitions.holds(project_id) or rules.knows(project_id)):
        raise Refusal(404, UNKNOWN_LINK)
    request.scope[PROJECT] = project_id
    return project_id, await definitions.of(project_id)


def _browser(request: Request, arrival: Arrival, tracker: Mapping[str, Any], held: Held) -> Browser:
    """What of a request besides its query may be used, by the project's tracker and the visitor's will."""
    headers, proxies = request.headers, request.app.state.proxies
    cookies = cookies_of(request)
    may_know = may_remember(request, tracker, cookies.consent)
    asks_for_privacy = headers.get("sec-gpc") == "1"
    minutes = tracker["session_minutes"]
    if minutes is None:
        minutes = SETTINGS.complete(held.bodies["settings"].get(SETTINGS.kind))["session_gap_minutes"]
    seen_ms = cookies.session_seen_ms or 0
    is_session_over = arrival.received_us // 1000 - seen_ms > minutes * 60_000
    return Browser(
        referrer=cut_address(headers.get("referer"), tracker["removed"]),
        user_agent=cut(headers.get("user-agent", ""), ADDRESS_BYTES) or None,
        country=proxies.country(request),
        visitor_id=cookies.visitor_id if may_know else None,
        session_id=cookies.session_id if may_know and not is_session_over else None,
        is_silent=cookies.consent == "denied"
        or (asks_for_privacy and tracker["gpc"] == "all")
        or (headers.get("dnt") == "1" and tracker["dnt"] == "all"),
        are_ads_denied="denied" in (cookies.consent, cookies.ads)
        or (asks_for_privacy and tracker["gpc"] != "ignore"),
    )


def _redirect(location: str) -> Response:
    headers = {"Location": location, "Referrer-Policy": "strict-origin-when-cross-origin", **_HEADERS}
    return Response(status_code=302, headers=headers)


def _is_ahead_of_a_click(request: Request) -> bool:
    purposes = (request.headers.get(name, "") for name in ("sec-purpose", "purpose", "x-moz"))
    return any("prefetch" in purpose.lower() or "prerender" in purpose.lower() for purpose in purposes)


async def _record(request: Request, followed: Followed, arrival: Arrival, link_id: str) -> None:
    """Land what a click is, and wait for it as long as a visitor may; what is not landed is counted."""
    rate_limits: RateLimits = request.app.state.rate_limits
    proxies: TrustedProxies = request.app.state.proxies
    if not rate_limits.takes_click(proxies.client(request)):
        _count_unrecorded(request, arrival, link_id, "rate_limit")
        return
    landing = asyncio.create_task(_land(request, followed.events, arrival, link_id))
    # Kept by the loop only as long as somebody waits for it.
    pending: set[asyncio.Task[None]] = request.app.state.clicks_landing
    pending.add(landing)
    landing.add_done_callback(pending.discard)
    await asyncio.wait([landing], timeout=request.app.state.link_wait_seconds)


async def _land(request: Request, events: Sequence[Event], arrival: Arrival, link_id: str) -> None:
    rows = [_event_row(event) for event in events]
    size = sum(len(event.payload) + len(event.url or "") + len(event.properties or "") for event in events)
    try:
        await stores(request).commits.submit("events", rows, size + ROW_BYTES * len(rows))
    except Refusal:
        _count_unrecorded(request, arrival, link_id, "store")
    else:
        metrics.ACKNOWLEDGED.labels("links").inc(len(rows))


def _count_unrecorded(request: Request, arrival: Arrival, link_id: str, reason: str) -> None:
    metrics.CLICKS_UNRECORDED.labels(reason).inc()
    counts = stores(request).unrecorded
    counts.count(arrival.project_id, arrival.received_us, {(link_id, reason): 1})
