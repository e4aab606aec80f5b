"""Segment's HTTP tracking API: single calls and batches. Bad items are skipped; the answer stays 200.

Vendor's page: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/

| field | column |
|---|---|
| `type` (of a batch's items; else the path) | `kind`: page and screen are `visit`, track and group `event` |
| `event` of a track (required) | `name`; "Order Completed" is a `conversion`, "Order Refunded" a `refund` |
| their `properties.revenue`, else `.total` | `amount_text` (a refund's without its sign), in major units |
| their `properties.currency` | `currency` |
| `properties.order_id`, else `.orderId`, of a track | `transaction_id` |
| `name` of a page or screen | `name` |
| `userId`, `anonymousId` (one is required) | `user_id`, `visitor_id` |
| `previousId` (required for alias, as `userId` is) | `previous_id` |
| `groupId` (required for group) and `traits` of a group | `properties`, as JSON; `name` is "group" |
| `properties`, `traits` | `properties`, as JSON |
| `messageId` | `event_id` |
| `timestamp`, else `originalTimestamp` | `occurred_us`; without one that can be read the received time |
| `sentAt`, else the batch's | `sent_us`, beside a time of its own and no `receivedAt` |
| `context.campaign`: source, medium, name, term, content | `utm_*`; name is `utm_campaign` |
| `context.page`: url, referrer; of a page its `properties` first | `url`, `referrer` |
| `context.userAgent` | `user_agent` |
| `context.library.name` | `sender`: browser for analytics.js |

Whatever can be read beyond doubt is read: amounts as decimal text, numbers without fraction for ids and
texts, times with a zone in words. A batch's own `context` stands in for what an item's leaves out. A context
that is not what it should be fills nothing: no event is lost for its decoration. Nor is one for a text that
is too long or an id that is none: an id is left out unless the call is about it, a `messageId` that is none
is replaced, the rest is cut. `writeKey` is a key, and is never kept.
"""

import re
from functools import partial
from typing import Annotated, Any, Literal, get_args

import orjson
from fastapi import Response
from pydantic import Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from funnelhouse.problems import Refusal
from ingest_api.arrival import SENT_KEYS, Arrival, Reading, Rejection
from ingest_api.dialect import KeyInBody, Read, Route
from ingest_api.fields import (
    SHAPE,
    Currency,
    ReadableAmount,
    ReadableMagnitude,
    UsableEventId,
    UsableId,
    UsableObject,
    UsableText,
    UsableTime,
    errors,
    named_order,
    present,
    text_of,
    usable_time_to_us,
    without_absent,
)
from ingest_api.hints import Fields
from ingest_api.lengths import ADDRESS_BYTES, ID_BYTES, NAME_BYTES, UTM_BYTES, cut, or_none
from ingest_api.strict_json import BadInput, Most, Slice, dump, parse, parse_envelope, without_members
from record.contract import Event, Kind

Call = Literal["track", "page", "screen", "identify", "group", "alias"]
CALLS: tuple[Call, ...] = get_args(Call)
MAX_ITEMS = 5000
"""More than a body of real calls can hold; the vendor limits the bytes only."""

_ITEMS = Most(MAX_ITEMS, f"batch: required, an array of at most {MAX_ITEMS} calls")

MAX_REPEATED = 8 * 1024 * 1024
"""Characters that the items of a batch may take over from its own context, in all: one long address would
otherwise be written thousands of times."""

_KINDS: dict[str, Kind] = {
    "track": "event",
    "page": "visit",
    "screen": "visit",
    "identify": "identify",
    "group": "event",
    "alias": "alias",
}
_ORDERS: dict[str, Kind] = {"Order Completed": "conversion", "Order Refunded": "refund"}
_REQUIRED = {"track": ["event"], "group": ["groupId"], "alias": ["userId", "previousId"]}
_LINKED = {"identify": ["userId", "anonymousId"], "alias": ["userId", "previousId"]}
"""Ids that a call is about, one or both; other calls say something without them."""

_CAMPAIGN = {
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_campaign": "name",
    "utm_term": "term",
    "utm_content": "content",
}
MAX_LIKELY_KEYS = 5
_WRITE_KEY = re.compile(rb'"writeKey"[ \t\r\n]*+:[ \t\r\n]*+"([!#-~]{1,100})"')


@with_config(SHAPE)
class Message(TypedDict, total=False):
    """What all calls may carry, by the vendor's names; unknown fields are kept in the record only."""

    userId: UsableId
    anonymousId: UsableId
    previousId: UsableId
    groupId: UsableId
    messageId: UsableEventId
    timestamp: UsableTime
    originalTimestamp: UsableTime
    sentAt: UsableTime
    event: UsableText
    name: UsableText
    properties: UsableObject
    traits: UsableObject


@with_config(SHAPE)
class Order(TypedDict, total=False):
    """The properties of an order that fill columns, money in major units."""

    amount_text: Annotated[ReadableAmount, Field(validation_alias="revenue")]
    total: ReadableAmount
    currency: Currency


@with_config(SHAPE)
class Refund(TypedDict, total=False):
    """As of an order; some write what was given back as less than nothing."""

    currency: Currency
    amount_text: Annotated[ReadableMagnitude, Field(validation_alias="revenue")]
    total: ReadableMagnitude


_SHAPE: TypeAdapter[Any] = TypeAdapter(Message)
_MONEY: dict[Kind, TypeAdapter[Any]] = {"conversion": TypeAdapter(Order), "refund": TypeAdapter(Refund)}

CALL_SCHEMA: dict[str, Any] = _SHAPE.json_schema()
BATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {
            "type": "array",
            "maxItems": MAX_ITEMS,
            "items": {
                **CALL_SCHEMA,
                "title": "BatchedMessage",
                "required": ["type"],
                "properties": {**CALL_SCHEMA["properties"], "type": {"type": "string", "enum": [*CALLS]}},
            },
        }
    },
}
"""The request bodies, for OpenAPI."""

_VENDORS = frozenset(
    {"type", "context", "integrations", "sentAt", "originalTimestamp", "receivedAt", "channel", "version"}
    | {"projectId", "category", "_metadata"}
)
"""Fields that the vendor's libraries send with every call; those that are read are no part of the shape."""

_ENVELOPE = frozenset({"batch", "context", "integrations", "sentAt", "timestamp", "messageId"})
_FIELDS = Fields(
    CALL_SCHEMA,
    amount="properties.revenue",
    an_amount="a number in major units, e.g. 49.99",
    order="properties.order_id",
    times=("timestamp", "originalTimestamp"),
    vendors=_VENDORS,
)


def likely_keys(body: bytes) -> list[str]:
    """What may be the body's `writeKey`, found without reading it as JSON; the first few that differ."""
    found: dict[bytes, None] = {}
    for match in _WRITE_KEY.finditer(body):
        found[match[1]] = None
        if len(found) == MAX_LIKELY_KEYS:
            break
    return [key.decode() for key in found]


def sent_key(body: bytes) -> str | None:
    """The key that a body of any call names as its `writeKey`. Raises BadInput when it is no JSON object."""
    key = parse_envelope(body, "batch", _ITEMS).get("writeKey")
    return key if isinstance(key, str) else None


def read_call(call: Call, body: bytes, arrival: Arrival) -> Reading:
    """The event of one call, or its rejection. Raises BadInput when the body is no JSON object."""
    item = parse(body)
    if not isinstance(item[0], dict):
        raise BadInput("the body must be a JSON object")
    return _read([(call, item)], None, None, arrival)


def read_batch(body: bytes, arrival: Arrival) -> Reading:
    """Events of a batch, and rejections of its bad items. Raises BadInput when there is no array `batch`."""
    envelope = parse_envelope(body, "batch", _ITEMS)
    items = envelope.get("batch")
    if not isinstance(items, list):
        raise BadInput(_ITEMS.otherwise)
    calls = [(item[0].get("type") if isinstance(item[0], dict) else None, item) for item in items]
    context = envelope.get("context")
    if len(calls) * _repeatable(context, arrival) > MAX_REPEATED:
        raise BadInput("context: too long to stand for so many calls; send fewer of them at once")
    arrival.notices.look_around(envelope, _ENVELOPE, _FIELDS)
    sent_us = usable_time_to_us(envelope.get("sentAt"))
    return _read(calls, context, arrival.sent_us if sent_us is None else sent_us, arrival)


def read_kept(kept: bytes, arrival: Arrival) -> Reading:
    """A whole batch, or an item of one: that was kept alone, without the batch's shared context."""
    is_whole = "batch" in parse_envelope(kept, "batch", _ITEMS)
    return read_batch(kept if is_whole else b'{"batch":[' + kept + b"]}", arrival)


def answer(_reading: Reading) -> Response:
    """200, whatever was skipped: the vendor's libraries would send a refused batch again and again."""
    return Response(orjson.dumps({"success": True}), media_type="application/json")


def refuse(refusal: Refusal) -> Response:
    """An error in the vendor's shape, `{"success": false, "message": "…"}`."""
    body = orjson.dumps({"success": False, "message": refusal.detail})
    return Response(body, refusal.status, refusal.headers, media_type="application/json")


def _read(
    calls: list[tuple[Any, Slice]], shared_context: Any, sent_us: int | None, arrival: Arrival
) -> Reading:
    events: list[Event] = []
    rejections: list[Rejection] = []
    for index, (call, item) in enumerate(calls):
        try:
            events.append(_event(index, call, item, shared_context, sent_us, arrival))
        except BadInput as error:
            rejections.append(Rejection(str(error), item[1].encode(), sent_us))
            arrival.notices.refused(index, str(error))
    return Reading(events, rejections=rejections)


def _event(
    index: int, call: Any, item: Slice, shared_context: Any, sent_us: int | None, arrival: Arrival
) -> Event:
    value, payload = item
    sent = present(item)
    if not isinstance(call, str) or call not in _KINDS:
        raise BadInput(f"type: must be one of {', '.join(CALLS)}")
    try:
        message: dict[str, Any] = _SHAPE.validator.validate_python(sent)
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    for field in _REQUIRED.get(call, []):
        if field not in message or (field == "event" and message[field] is None):
            raise BadInput(f"{field}: required for {call}")
    if "userId" not in message and "anonymousId" not in message:
        raise BadInput("userId or anonymousId: required")
    if call in _LINKED:
        ids = [message.get(field) for field in _LINKED[call]]
        if not any(ids) or (call == "alias" and not all(ids)):
            raise BadInput(f"{' or '.join(_LINKED[call])}: must have at most {ID_BYTES} bytes in UTF-8")
    properties = message.get("properties", {})
    name = message.get("event") if call == "track" else message.get("name")
    kind, money = _KINDS[call], {}
    if call == "track":
        kind = _ORDERS.get(name or "", kind)
        money = {**_money(kind, properties), "transaction_id": _order(properties)}
    occurred_us = message.get("timestamp") or message.get("originalTimestamp")
    if occurred_us is None or sent.get("receivedAt") is not None:
        # An archive: its times were corrected when it arrived for the first time.
        sent_us = None
    else:
        sent_us = message.get("sentAt") or sent_us
    contexts = [context for context in (sent.get("context"), shared_context) if isinstance(context, dict)]
    campaign: dict[str, Any] = {
        column: _cut(UTM_BYTES, contexts, "campaign", field) for column, field in _CAMPAIGN.items()
    }
    pages = [properties] if call == "page" else []
    pages += [context["page"] for context in contexts if isinstance(context.get("page"), dict)]
    is_browser = _text(contexts, "library", "name") == "analytics.js"
    event = Event(
        event_id=message.get("messageId") or arrival.new_event_id(index),
        project_id=arrival.project_id,
        dialect="segment",
        dialect_version="1",
        sender="browser" if is_browser else arrival.sender,
        kind=kind,
        received_us=arrival.received_us,
        occurred_us=arrival.received_us if occurred_us is None else occurred_us,
        sent_us=sent_us,
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        name="group" if call == "group" else None if name is None else cut(name, NAME_BYTES),
        visitor_id=message.get("anonymousId"),
        user_id=message.get("userId"),
        previous_id=message.get("previousId") if call == "alias" else None,
        url=_cut(ADDRESS_BYTES, pages, "url"),
        referrer=_cut(ADDRESS_BYTES, pages, "referrer"),
        user_agent=_cut(ADDRESS_BYTES, contexts, "userAgent") or arrival.user_agent,
        properties=_kept(call, message),
        **campaign,
        **money,
    )
    return arrival.admitted(event, index, value, _FIELDS)


def _money(kind: Kind, properties: dict[str, Any]) -> dict[str, Any]:
    """The money columns of an order or its refund; of other events none. Raises BadInput."""
    if kind not in _MONEY:
        return {}
    given = without_absent(properties)
    if "revenue" in given:
        given = {name: value for name, value in given.items() if name != "total"}
    try:
        columns: dict[str, Any] = _MONEY[kind].validator.validate_python(given)
    except ValidationError as error:
        raise BadInput(f"properties.{errors(error)}") from None
    if "total" in columns:
        columns["amount_text"] = columns.pop("total")
    if "amount_text" in columns:
        columns["amount_unit"] = "major"
    return columns


def _order(properties: dict[str, Any]) -> str | None:
    """The order that a track is about; the first version of the vendor's specification wrote orderId."""
    order = named_order(properties) or named_order(properties, "orderId")
    return None if order is None else or_none(order, ID_BYTES)


def _kept(call: str, message: dict[str, Any]) -> str | None:
    """What an event says besides the columns, as JSON."""
    if call == "group":
        return dump({name: message[name] for name in ("groupId", "traits") if message.get(name) is not None})
    kept = message.get("traits" if call == "identify" else "properties")
    return None if kept is None else dump(kept)


def _repeatable(context: Any, arrival: Arrival) -> int:
    """How many characters each item of a batch may take over: from its context, or the request's headers."""
    contexts = [context] if isinstance(context, dict) else []
    texts = [_text(contexts, "campaign", field) for field in _CAMPAIGN.values()]
    texts += [_text(contexts, "page", "url"), _text(contexts, "page", "referrer")]
    texts.append(_text(contexts, "userAgent") or arrival.user_agent)
    return sum(len(text) for text in texts if text is not None)


def _cut(most: int, objects: list[dict[str, Any]], *path: str) -> str | None:
    """As `_text`, cut to the bytes that its column takes."""
    found = _text(objects, *path)
    return None if found is None else cut(found, most)


def _text(objects: list[dict[str, Any]], *path: str) -> str | None:
    """The first text found at a path of member names; a number without fraction is one."""
    for found in objects:
        value: Any = found
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if text := text_of(value):
            return text
    return None


def _route(call: str, read: Read, schema: dict[str, Any], read_kept: Read | None = None) -> Route:
    # The short path is what the vendor's library for browsers posts to.
    return Route(
        path=f"/v1/{call}",
        aliases=(f"/v1/{call[0]}",),
        read=read,
        schema=schema,
        answer=answer,
        refuse=refuse,
        key_in_body=KeyInBody(likely_keys, sent_key),
        read_kept=read_kept,
    )


ROUTES = (
    _route("batch", read_batch, BATCH_SCHEMA, read_kept),
    *(_route(call, partial(read_call, call), CALL_SCHEMA) for call in CALLS),
)
