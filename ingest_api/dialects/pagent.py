"""Pagent server-side conversions, v1 and v2. Money is integer cents; conversion_id is a goal; all or nothing.

Vendor's page: "Server-Side Conversions", https://www.pagent.ai/docs/llms.txt

| field | column |
|---|---|
| `session_id` (required) | `session_id` |
| `user_id` (required) | `visitor_id`: pagent's user is a browser |
| `conversion_id` (required) | `goal_id` |
| `visit_id` | `hit_id` |
| `label` | `name` |
| `revenue` | `amount_text`, with `amount_unit` minor |
| `properties` | `properties`, as JSON; its `order_id` (of an object) is `transaction_id` |
| `time` | `occurred_us` |

In v1 the four ids stand on the event itself, in v2 in its `session_data`.
Answers are `{"accepted": n}` and `{"error": "…"}`.
"""

from typing import Annotated, Any, Required

from pydantic import BeforeValidator, Field, ValidationError, with_config
from typing_extensions import TypedDict

from ingest_api import answers
from ingest_api.arrival import SENT_KEYS, Arrival, NotForPages, Reading
from ingest_api.dialect import Read, Route
from ingest_api.fields import (
    SHAPE,
    Id,
    MinorAmount,
    Name,
    Objects,
    Shape,
    UnixMs,
    errors,
    order_id,
    without_absent,
)
from ingest_api.hints import Fields
from ingest_api.strict_json import BadInput, Most, Slice, dump, parse, parse_envelope, without_members
from record.contract import Event

MAX_ITEMS = 100

_ITEMS = Most(MAX_ITEMS, f"events: required, an array of 1 to {MAX_ITEMS} conversions")


@with_config(SHAPE)
class SessionData(TypedDict, total=False):
    """What `_pgnt.variables()` gives, by column; unknown fields are kept in the record only."""

    session_id: Required[Id]
    visitor_id: Required[Annotated[Id, Field(validation_alias="user_id")]]
    goal_id: Required[Annotated[Id, Field(validation_alias="conversion_id")]]
    hit_id: Annotated[Id, Field(validation_alias="visit_id")]


@with_config(SHAPE)
class Report(TypedDict, total=False):
    """What both versions say about a conversion, by column."""

    name: Annotated[Name, Field(validation_alias="label")]
    amount_text: Annotated[MinorAmount, Field(validation_alias="revenue")]
    properties: Objects
    occurred_us: Annotated[UnixMs, Field(validation_alias="time")]


@with_config(SHAPE)
class ConversionV1(SessionData, Report, total=False):
    """One conversion of v1."""


@with_config(SHAPE)
class ConversionV2(Report, total=False):
    """One conversion of v2."""

    session_data: Required[Annotated[SessionData, BeforeValidator(without_absent)]]


_V1 = Shape(ConversionV1)
_V2 = Shape(ConversionV2)


def _many(shape: Shape) -> dict[str, Any]:
    items = {"type": "array", "items": shape.json_schema(), "minItems": 1, "maxItems": MAX_ITEMS}
    return {"type": "object", "required": ["events"], "properties": {"events": items}}


V1_SCHEMA = {"title": "ConversionsV1", **_many(_V1)}
V2_BULK_SCHEMA = {"title": "ConversionsV2", **_many(_V2)}
V2_SCHEMA = _V2.json_schema()
"""The request bodies, for OpenAPI."""

_ENVELOPE = frozenset({"events"})


def _fields(shape: Shape) -> Fields:
    cents = "a whole number of cents, e.g. 4999"
    return Fields(shape.json_schema(), amount="revenue", an_amount=cents, times=("time",))


_FIELDS = {"1": _fields(_V1), "2": _fields(_V2)}


def read_v1(body: bytes, arrival: Arrival) -> Reading:
    """Events of one body of v1. Raises BadInput, naming the index, when any of them is bad."""
    return _read_many(_V1, "1", body, arrival)


def read_v2(body: bytes, arrival: Arrival) -> Reading:
    """The one event of a body of v2. Raises BadInput."""
    return Reading([_event(_V2, "2", 0, parse(body), arrival)])


def read_v2_bulk(body: bytes, arrival: Arrival) -> Reading:
    """Events of one bulk body of v2. Raises BadInput, naming the index, when any of them is bad."""
    return _read_many(_V2, "2", body, arrival)


def _read_many(shape: Shape, version: str, body: bytes, arrival: Arrival) -> Reading:
    envelope = parse_envelope(body, "events", _ITEMS)
    items = envelope.get("events")
    if not isinstance(items, list) or not items:
        raise BadInput(_ITEMS.otherwise)
    events = []
    for index, item in enumerate(items):
        try:
            events.append(_event(shape, version, index, item, arrival))
        except _BadField as error:
            raise BadInput(f"events[{index}].{error}") from None
        except NotForPages as error:
            raise NotForPages(f"events[{index}]: {error}") from None
        except BadInput as error:
            raise BadInput(f"events[{index}]: {error}") from None
    arrival.notices.look_around(envelope, _ENVELOPE, _FIELDS[version])
    return Reading(events)


class _BadField(BadInput):
    """The message begins with the name of a field."""


def _event(shape: Shape, version: str, index: int, item: Slice, arrival: Arrival) -> Event:
    value, payload = item
    try:
        conversion = shape.read(item)
    except ValidationError as error:
        raise _BadField(errors(error)) from None
    conversion |= conversion.pop("session_data", {})
    if "amount_text" in conversion:
        conversion["amount_unit"] = "minor"
    if "properties" in conversion:
        properties = conversion["properties"]
        conversion["properties"] = dump(properties)
        conversion["transaction_id"] = order_id(properties) if isinstance(properties, dict) else None
    conversion.setdefault("occurred_us", arrival.received_us)
    event = Event(
        event_id=arrival.new_event_id(index),
        project_id=arrival.project_id,
        dialect="pagent",
        dialect_version=version,
        sender=arrival.sender,
        kind="conversion",
        received_us=arrival.received_us,
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        user_agent=arrival.user_agent,
        **conversion,
    )
    return arrival.admitted(event, index, value, _FIELDS[version])


def _route(path: str, read: Read, schema: dict[str, Any]) -> Route:
    return Route(path=path, read=read, schema=schema, answer=answers.accepted, refuse=answers.error)


ROUTES = (
    _route("/v1/conversions", read_v1, V1_SCHEMA),
    _route("/v2/conversions", read_v2, V2_SCHEMA),
    _route("/v2/conversions/bulk", read_v2_bulk, V2_BULK_SCHEMA),
)
