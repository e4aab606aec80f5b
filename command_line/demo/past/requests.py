"""The past as requests: each report in its dialect, on its route, at the time of its arrival."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

import orjson

from command_line.demo.backdated import ARRIVES
from command_line.demo.past.definitions import definitions
from command_line.demo.past.reports import Past, Report, Sender
from command_line.demo.past.shop_world import CURRENCY, DAYS, PARTNER, PROJECT, SITE, WITH_COSTS
from command_line.demo.replay import Request

_WITHIN_HOURS: dict[Sender, int] = {"browser": 6, "app": 6, "backend": 1, "booking": 1}
"""Reports of one sender that arrive within so many hours make one request, which arrives with the last of
them: a request for each would take minutes."""

_EVENTS = f"/v1/projects/{PROJECT}/events"
_JSON = {"Content-Type": "application/json"}


def requests_of(past: Past, midnight: datetime, now: datetime, postbacks: str) -> list[Request]:
    """All requests that arrive until `now`, in order; `postbacks` is the path of the network's postbacks."""
    arriving = sorted(
        [*_definitions(midnight), *_costs(midnight), *_reports(past.until(now), postbacks)],
        key=lambda each: each[0],
    )
    return [_at(arrives, request) for arrives, request in arriving if arrives <= now]


def _at(arrives: datetime, request: Request) -> Request:
    microseconds = str(int(arrives.timestamp() * 1_000_000))
    return replace(request, headers={**request.headers, ARRIVES: microseconds})


def _definitions(midnight: datetime) -> Iterator[tuple[datetime, Request]]:
    for number, definition in enumerate(definitions(midnight)):
        # In the morning, one after the other.
        at = midnight - timedelta(days=definition.days_ago) + timedelta(seconds=number)
        path = f"/v1/projects/{PROJECT}/{definition.path}"
        yield at, Request("PUT", path, orjson.dumps(definition.body), _JSON)


def _costs(midnight: datetime) -> Iterator[tuple[datetime, Request]]:
    """What was spent on a day is known as soon as it is over; of today nothing is."""
    for days_ago in reversed(range(1, DAYS)):
        day = (midnight - timedelta(days=days_ago)).date()
        rows = costs_of(day, days_ago)
        at = midnight - timedelta(days=days_ago - 1)
        yield at, Request("POST", f"/v1/projects/{PROJECT}/costs", orjson.dumps(rows), _JSON)


def costs_of(day: date, days_ago: int) -> list[dict[str, Any]]:
    """Spend of a day by campaign, in the shop's currency."""
    rows = []
    for number, origin in enumerate(WITH_COSTS):
        small_change = random.Random(f"{days_ago} {number}").uniform(0.85, 1.15)  # noqa: S311 (no secret)
        cents = int(origin.cost_on(days_ago) * small_change)
        if cents > 0:
            row = {"day": str(day), "source": origin.source, "medium": origin.medium}
            rows.append({**row, "campaign": origin.campaign, "amount": cents / 100, "currency": CURRENCY})
    return rows


def _reports(past: Past, postbacks: str) -> Iterator[tuple[datetime, Request]]:
    by_sender: dict[Sender, list[Report]] = {}
    for report in sorted(past.reports, key=lambda report: report.arrives):
        by_sender.setdefault(report.sender, []).append(report)
    for sender, reports in by_sender.items():
        if sender in _WITHIN_HOURS:
            seconds = _WITHIN_HOURS[sender] * 3600
            for _, group in groupby(reports, key=partial(_window, seconds)):
                batch = list(group)
                yield batch[-1].arrives, _batch(sender, [report.body for report in batch])
        else:
            for report in reports:
                yield report.arrives, _single(sender, report.body, postbacks)


def _window(seconds: int, report: Report) -> int:
    return int(report.arrives.timestamp()) // seconds


def _batch(sender: Sender, bodies: list[dict[str, Any]]) -> Request:
    if sender == "app":
        return Request("POST", "/v1/batch", orjson.dumps({"batch": bodies}), _JSON, len(bodies))
    if sender == "booking":
        content = orjson.dumps({"events": bodies})
        return Request("POST", "/v2/conversions/bulk", content, _JSON, len(bodies))
    headers = {**_JSON, "Origin": SITE} if sender == "browser" else _JSON
    return Request("POST", _EVENTS, orjson.dumps(bodies), headers, len(bodies))


def _single(sender: Sender, body: dict[str, Any], postbacks: str) -> Request:
    if sender == "network":
        return Request("GET", f"{postbacks}?{urlencode(body)}", b"", events=1)
    if sender == "link":
        query = urlencode({name: value for name, value in body.items() if name != "user_agent"})
        headers = {"User-Agent": body["user_agent"], "Referer": f"{SITE}{PARTNER.path}"}
        return Request("GET", f"/c/{PROJECT}/{PARTNER.link_id}?{query}", b"", headers, events=1)
    if sender == "mistaken":
        return Request("POST", _EVENTS, orjson.dumps(body), _JSON, is_refused=True)
    return Request("POST", "/v1/analytics/report-conversion", orjson.dumps(body), _JSON, events=1)
