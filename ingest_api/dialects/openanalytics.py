"""OpenAnalytics events: one object or an array of 1 to 1,000. Money is in major units, a JSON number.

Vendor's page: "Conversions & goals", https://openanalyticsapi.com

| field | column |
|---|---|
| `event_type` | `kind`: pageview is `visit`, the others are called alike; ours: refund, alias, unalias |
| `event_name` | `name`; required for event and conversion |
| `user_id` | `user_id`; required for identify, alias and unalias |
| `anonymous_id`, `session_id`, `visit_id` | `visitor_id`, `session_id`, `hit_id` |
| `previous_id` | `previous_id`; required for alias and unalias |
| `url`, `referrer`, `utm_*`, `page_id`, `page_kind`, `country`, `user_agent` | the same names |
| `revenue` | `amount_text`, with `amount_unit` major |
| `currency` | `currency`, upper-cased |
| `transaction_id`, else `properties.order_id` | `transaction_id` |
| `status` | `status` |
| `experiments`, `properties` | the same names, as JSON |
| `timestamp` | `occurred_us` |
| `event_id` | `event_id` |
"""

from typing import Any, Literal

import orjson
from fastapi import Response
from pydantic import ValidationError

from funnelhouse.contract import Event, Kind, PageKind
from funnelhouse.problems import Refusal, problem
from ingest_api.arrival import SENT_KEYS, Arrival, Reading
from ingest_api.fields import (
    Country,
    Currency,
    EventId,
    JsonObject,
    MajorAmount,
    Properties,
    Shape,
    TextOrInteger,
    Time,
    faults,
    order_id,
    present,
)
from ingest_api.strict_json import BadInput, Slice, dump, parse_items, without_members

MAX_ITEMS = 1000

_KINDS: dict[str, Kind] = {
    "pageview": "visit",
    "event": "event",
    "conversion": "conversion",
    "identify": "identify",
    "refund": "refund",
    "alias": "alias",
    "unalias": "unalias",
}
_REQUIRED: dict[str, tuple[str, ...]] = {
    "pageview": (),
    "event": ("event_name",),
    "conversion": ("event_name",),
    "identify": ("user_id",),
    "refund": (),
    "alias": ("user_id", "previous_id"),
    "unalias": ("user_id", "previous_id"),
}


class Report(Shape):
    """One event of the Events API; null and '' mean absent, unknown fields are kept in the record."""

    event_type: Literal["pageview", "event", "conversion", "identify", "refund", "alias", "unalias"]
    event_name: str | None = None
    event_id: EventId | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    visit_id: str | None = None
    previous_id: str | None = None
    url: str | None = None
    referrer: str | None = None
    page_id: str | None = None
    page_kind: PageKind | None = None
    country: Country | None = None
    user_agent: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    revenue: MajorAmount | None = None
    currency: Currency | None = None
    transaction_id: TextOrInteger | None = None
    status: str | None = None
    experiments: JsonObject | None = None
    properties: Properties | None = None
    timestamp: Time | None = None


BODY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        Report.model_json_schema(),
        {"type": "array", "items": Report.model_json_schema(), "minItems": 1, "maxItems": MAX_ITEMS},
    ]
}
"""The request body, for OpenAPI."""


def read(text: str, arrival: Arrival) -> Reading:
    """Events of one body. A bad item of an array is a result, a bad single object raises BadInput."""
    document = parse_items(text)
    if isinstance(document, Slice):
        return Reading([_event(document, arrival)])
    if not 1 <= len(document) <= MAX_ITEMS:
        raise BadInput(f"the array must hold 1 to {MAX_ITEMS} events; split it")
    events: list[Event] = []
    results: list[dict[str, Any]] = []
    for index, item in enumerate(document):
        try:
            event = _event(item, arrival)
        except BadInput as error:
            results.append({"index": index, "status": 400, "error": str(error)})
        else:
            events.append(event)
            results.append({"index": index, "status": 202, "event_id": event.event_id})
    return Reading(events, results)


def answer(reading: Reading) -> Response:
    """202 when any event was accepted; 400 with the results when none was."""
    if not reading.events:
        members = {"accepted": 0, "results": reading.results}
        return problem(Refusal(400, "No event of the array could be accepted; see results.", members=members))
    body: dict[str, Any] = {"queued": True, "accepted": len(reading.events)}
    headers = {}
    if reading.results is None:
        headers["Funnelhouse-Event-Id"] = reading.events[0].event_id
    else:
        body["results"] = reading.results
    return Response(orjson.dumps(body), 202, headers, media_type="application/json")


def _event(item: Slice, arrival: Arrival) -> Event:
    try:
        report = Report.model_validate(present(item.value))
    except ValidationError as error:
        raise BadInput(faults(error)) from None
    for field in _REQUIRED[report.event_type]:
        if getattr(report, field) is None:
            raise BadInput(f'{field}: required for event_type "{report.event_type}"')
    properties = report.properties
    transaction_id = report.transaction_id
    if transaction_id is None and properties is not None:
        transaction_id = order_id(properties)
    return Event(
        event_id=report.event_id or arrival.new_event_id(),
        project_id=arrival.project_id,
        dialect="openanalytics",
        dialect_version="1",
        sender=arrival.sender,
        kind=_KINDS[report.event_type],
        received_us=arrival.received_us,
        occurred_us=arrival.received_us if report.timestamp is None else report.timestamp,
        payload=item.text if SENT_KEYS.isdisjoint(item.value) else without_members(item.text, SENT_KEYS),
        name=report.event_name,
        hit_id=report.visit_id,
        session_id=report.session_id,
        visitor_id=report.anonymous_id,
        user_id=report.user_id,
        previous_id=report.previous_id,
        url=report.url,
        referrer=report.referrer,
        page_id=report.page_id,
        page_kind=report.page_kind,
        country=report.country,
        user_agent=report.user_agent or arrival.user_agent,
        utm_source=report.utm_source,
        utm_medium=report.utm_medium,
        utm_campaign=report.utm_campaign,
        utm_term=report.utm_term,
        utm_content=report.utm_content,
        amount_text=report.revenue,
        amount_unit=None if report.revenue is None else "major",
        currency=report.currency,
        transaction_id=transaction_id,
        status=report.status,
        experiments=None if report.experiments is None else dump(report.experiments),
        properties=None if properties is None else dump(properties),
    )
