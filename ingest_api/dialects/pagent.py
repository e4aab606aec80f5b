"""Pagent server-side conversions, v1. Money is integer cents; conversion_id is a goal; all or nothing.

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
"""

from typing import Annotated, Any, Required

import orjson
from fastapi import Response
from pydantic import Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from funnelhouse.contract import Event
from funnelhouse.problems import Refusal
from ingest_api.arrival import SENT_KEYS, Arrival, Reading
from ingest_api.fields import SHAPE, MinorAmount, Objects, UnixMs, faults, order_id, present
from ingest_api.strict_json import BadInput, Slice, dump, parse_envelope, without_members

PATHS = frozenset({"/v1/conversions"})
MAX_ITEMS = 100


@with_config(SHAPE)
class Conversion(TypedDict, total=False):
    """One conversion, by column; unknown fields are kept in the record only."""

    session_id: Required[str]
    visitor_id: Required[Annotated[str, Field(validation_alias="user_id")]]
    goal_id: Required[Annotated[str, Field(validation_alias="conversion_id")]]
    hit_id: Annotated[str, Field(validation_alias="visit_id")]
    name: Annotated[str, Field(validation_alias="label")]
    amount_text: Annotated[MinorAmount, Field(validation_alias="revenue")]
    properties: Objects
    occurred_us: Annotated[UnixMs, Field(validation_alias="time")]


_SHAPE: TypeAdapter[Conversion] = TypeAdapter(Conversion)

BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": {
            "type": "array",
            "items": _SHAPE.json_schema(),
            "minItems": 1,
            "maxItems": MAX_ITEMS,
        }
    },
}
"""The request body, for OpenAPI."""


def read(body: bytes, arrival: Arrival) -> Reading:
    """Events of one body. Raises BadInput, naming the index, when any of them is bad."""
    items = parse_envelope(body, "events").get("events")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise BadInput(f"events: required, an array of 1 to {MAX_ITEMS} conversions")
    return Reading([_event(index, item, arrival) for index, item in enumerate(items)])


def answer(reading: Reading) -> Response:
    """200 with the number of accepted conversions."""
    return Response(orjson.dumps({"accepted": len(reading.events)}), media_type="application/json")


def refuse(refusal: Refusal) -> Response:
    """An error in the vendor's shape, `{"error": "…"}`."""
    body = orjson.dumps({"error": refusal.detail})
    return Response(body, refusal.status, refusal.headers, media_type="application/json")


def _event(index: int, item: Slice, arrival: Arrival) -> Event:
    value, payload = item
    try:
        conversion: dict[str, Any] = _SHAPE.validator.validate_python(present(item))
    except ValidationError as error:
        raise BadInput(f"events[{index}].{faults(error)}") from None
    except BadInput as error:
        raise BadInput(f"events[{index}]: {error}") from None
    if "amount_text" in conversion:
        conversion["amount_unit"] = "minor"
    if "properties" in conversion:
        properties = conversion["properties"]
        conversion["properties"] = dump(properties)
        conversion["transaction_id"] = order_id(properties) if isinstance(properties, dict) else None
    conversion.setdefault("occurred_us", arrival.received_us)
    return Event(
        event_id=arrival.new_event_id(),
        project_id=arrival.project_id,
        dialect="pagent",
        dialect_version="1",
        sender=arrival.sender,
        kind="conversion",
        received_us=arrival.received_us,
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        user_agent=arrival.user_agent,
        **conversion,
    )
