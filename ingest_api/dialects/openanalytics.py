"""OpenAnalytics events: one object or an array of 1 to 1,000. Money is in major units, a JSON number.

The vendor plans a second address for conversions only; ours takes the same shape, where `event_type` is
conversion or refund, and conversion when it is left out.

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
| click ids (ours), all of `CLICK_ID_TYPES` | `click_id_type` and `click_id`: the first; `properties`: each |
| `timestamp` | `occurred_us` |
| `event_id` | `event_id` |
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Required

import orjson
from fastapi import Response
from pydantic import Field, ValidationError, with_config
from typing_extensions import TypedDict

from funnelhouse.problems import Refusal, problem
from ingest_api.arrival import SENT_KEYS, Arrival, Reading, Rejection
from ingest_api.dialect import Read, Route
from ingest_api.fields import (
    SHAPE,
    Address,
    ClickId,
    Country,
    Currency,
    EventId,
    Experiments,
    Id,
    IdOrInteger,
    MajorAmount,
    Properties,
    Shape,
    Status,
    Time,
    UtmText,
    errors,
    order_id,
    present,
)
from ingest_api.hints import Fields
from ingest_api.lengths import NAME_BYTES, cut, within
from ingest_api.strict_json import BadInput, Most, Slice, dump, parse_items, without_members
from record.click_id_types import CLICK_ID_TYPES
from record.contract import Event, Kind, PageKind

MAX_ITEMS = 1000

_CLICK_IDS = frozenset(CLICK_ID_TYPES)
_ITEMS = Most(MAX_ITEMS, f"the array must hold 1 to {MAX_ITEMS} events; split it")
_NAME = ("name", "event_name")
_USER = ("user_id", "user_id")
_PREVIOUS = ("previous_id", "previous_id")

# Kind of each event_type, and the columns that it requires with the fields that fill them.
_KINDS: dict[str, tuple[Kind, tuple[tuple[str, str], ...]]] = {
    "pageview": ("visit", ()),
    "event": ("event", (_NAME,)),
    "conversion": ("conversion", (_NAME,)),
    "identify": ("identify", (_USER,)),
    "refund": ("refund", ()),
    "alias": ("alias", (_USER, _PREVIOUS)),
    "unalias": ("unalias", (_USER, _PREVIOUS)),
}


@with_config(SHAPE)
class Report(TypedDict, total=False):
    """One event of the Events API, by column; unknown fields are kept in the record only."""

    event_type: Required[Literal["pageview", "event", "conversion", "identify", "refund", "alias", "unalias"]]
    name: Annotated[str, Field(validation_alias="event_name")]
    event_id: EventId
    user_id: Id
    visitor_id: Annotated[Id, Field(validation_alias="anonymous_id")]
    session_id: Id
    hit_id: Annotated[Id, Field(validation_alias="visit_id")]
    previous_id: Id
    url: Address
    referrer: Address
    page_id: Id
    page_kind: PageKind
    country: Country
    user_agent: Address
    utm_source: UtmText
    utm_medium: UtmText
    utm_campaign: UtmText
    utm_term: UtmText
    utm_content: UtmText
    amount_text: Annotated[MajorAmount, Field(validation_alias="revenue")]
    currency: Currency
    transaction_id: IdOrInteger
    status: Status
    gclid: ClickId
    gbraid: ClickId
    wbraid: ClickId
    dclid: ClickId
    msclkid: ClickId
    ttclid: ClickId
    twclid: ClickId
    li_fat_id: ClickId
    ScCid: ClickId
    sccid: ClickId
    epik: ClickId
    rdt_cid: ClickId
    yclid: ClickId
    qclid: ClickId
    tblci: ClickId
    obclid: ClickId
    fbclid: ClickId
    external: ClickId
    experiments: Experiments
    properties: Properties
    occurred_us: Annotated[Time, Field(validation_alias="timestamp")]


_SHAPE = Shape(Report)
_EVENT = _SHAPE.json_schema()
_FIELDS = Fields(
    _EVENT,
    amount="revenue",
    an_amount="a number in major units, e.g. 49.99",
    order="transaction_id",
    times=("timestamp",),
    status="status",
    ids=("user_id", "anonymous_id", "session_id", "visit_id"),
    takes_extended_status=True,
)
_CONVERSION = {
    **_EVENT,
    "title": "ConversionReport",
    "required": [],
    "properties": {
        **_EVENT["properties"],
        "event_type": {"type": "string", "enum": ["conversion", "refund"], "default": "conversion"},
    },
}


def _one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1, "maxItems": MAX_ITEMS}]}


EVENTS_SCHEMA = _one_or_many(_EVENT)
CONVERSIONS_SCHEMA = _one_or_many(_CONVERSION)
"""The request bodies, for OpenAPI."""


def read(body: bytes, arrival: Arrival) -> Reading:
    """Events of one body. A bad item of an array is a result, a bad single object raises BadInput."""
    return _read(body, arrival, _event)


def read_conversions(body: bytes, arrival: Arrival) -> Reading:
    """Conversions and refunds of one body; bad ones as with `read`."""
    return _read(body, arrival, _conversion)


def _read(body: bytes, arrival: Arrival, read_item: Callable[[int, Slice, Arrival], Event]) -> Reading:
    document = parse_items(body, _ITEMS)
    if not isinstance(document, list):
        return Reading([read_item(0, document, arrival)])
    if not document:
        raise BadInput(_ITEMS.otherwise)
    events: list[Event] = []
    results: list[dict[str, Any]] = []
    rejections: list[Rejection] = []
    for index, item in enumerate(document):
        try:
            event = read_item(index, item, arrival)
        except BadInput as error:
            results.append({"index": index, "status": error.status, "error": str(error)})
            if error.status == 400:
                rejections.append(Rejection(str(error), item[1].encode()))
        else:
            events.append(event)
            results.append({"index": index, "status": 202, "event_id": event.event_id})
    return Reading(events, results, rejections)


def answer(reading: Reading) -> Response:
    """202 when any event was accepted; with the results 400 when none was, 403 when the key may send none."""
    if not reading.events:
        results = reading.results or []
        status = 403 if all(result["status"] == 403 for result in results) else 400
        members = {"accepted": 0, "results": results}
        detail = "No event of the array could be accepted; see results."
        return problem(Refusal(status, detail, members=members))
    body: dict[str, Any] = {"queued": True, "accepted": len(reading.events)}
    headers = {}
    if reading.results is None:
        headers["Funnelhouse-Event-Id"] = reading.events[0].event_id
    else:
        body["results"] = reading.results
    return Response(orjson.dumps(body), 202, headers, media_type="application/json")


def _conversion(index: int, item: Slice, arrival: Arrival) -> Event:
    sent = present(item)
    if sent.get("event_type", "conversion") not in ("conversion", "refund"):
        raise BadInput("event_type: must be conversion or refund here; send others to /events")
    return _event(index, ({"event_type": "conversion", **sent}, item[1]), arrival)


def _event(index: int, item: Slice, arrival: Arrival) -> Event:
    value, payload = item
    try:
        report = _SHAPE.read(item)
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    event_type = report.pop("event_type")
    kind, required = _KINDS[event_type]
    for column, field in required:
        if column not in report:
            raise BadInput(f'{field}: required for event_type "{event_type}"')
    if "name" in report:
        report["name"] = _name(kind, report["name"])
    if "amount_text" in report:
        report["amount_unit"] = "major"
    if "experiments" in report:
        report["experiments"] = dump(report["experiments"])
    properties = report.pop("properties", None)
    if properties is not None and "transaction_id" not in report:
        report["transaction_id"] = order_id(properties)
    if not _CLICK_IDS.isdisjoint(report):
        clicks = {name: report.pop(name) for name in CLICK_ID_TYPES if name in report}
        clicks = {name: click_id for name, click_id in clicks.items() if click_id is not None}
        if clicks:
            report["click_id_type"], report["click_id"] = next(iter(clicks.items()))
            properties = {**clicks, **(properties or {})}
    if properties is not None:
        report["properties"] = dump(properties)
    if "event_id" not in report:
        report["event_id"] = arrival.new_event_id(index)
    report.setdefault("occurred_us", arrival.received_us)
    report.setdefault("user_agent", arrival.user_agent)
    event = Event(
        project_id=arrival.project_id,
        dialect="openanalytics",
        dialect_version="1",
        sender=arrival.sender,
        kind=kind,
        received_us=arrival.received_us,
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        **report,
    )
    return arrival.admitted(event, index, value, _FIELDS)


def _name(kind: Kind, name: str) -> str:
    if kind == "visit":
        # A page's title; nothing is counted by it.
        return cut(name, NAME_BYTES)
    try:
        return within(name, NAME_BYTES)
    except ValueError as error:
        raise BadInput(f"event_name: {error}") from None


def _route(path: str, read: Read, schema: dict[str, Any]) -> Route:
    return Route(path=path, read=read, schema=schema, answer=answer, status=202)


ROUTES = (
    _route("/v1/projects/{project_id}/events", read, EVENTS_SCHEMA),
    _route("/v1/projects/{project_id}/conversions", read_conversions, CONVERSIONS_SCHEMA),
)
