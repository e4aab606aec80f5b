"""What the tracker's script sends: batches of 1 to 50 events, each in the dialect of the call that made it.

Our own form, which `tracker/README.md` describes from the script's side. A bad event goes to `rejected` by
itself, and so does a body that cannot be read: a page can do nothing about either, so the answer stays 200.

| batch | column |
|---|---|
| `v` | 1, where it is there |
| `sent` | `sent_us`, of events with a time of their own |
| `ads` | `properties`: `consent` |
| `auto` | `properties`: `automated`, when it is true |
| `consent` | says whether the answer may set a cookie |
| `lost` | counted by the metric of events lost in browsers |

| event | column |
|---|---|
| `api` | `dialect`: flux is funnelflux, oa is openanalytics |
| `type` | `kind`: pageview is `visit`, the others are called alike |
| `id` | `event_id` |
| `t` | `occurred_us`; without one that can be read the received time |
| `vid`, `sid`, `hit`, `user` (required for identify) | `visitor_id`, `session_id`, `hit_id`, `user_id` |
| `url`, `ref`, `page`, `pk` | `url`, `referrer`, `page_id`, `page_kind` |
| the query of `url`, where it has any of them, else `first` | `utm_*`, `click_id_type`, `click_id` |
| each click id of these | `properties` |
| `name` (required for events, and for conversions of oa) | `name` |
| `rev` | `amount_text`, with `amount_unit` major |
| `cur`, `tx` (of oa else `props.order_id`), `exp` | `currency`, `transaction_id`, `experiments` |
| `props` | `properties` |

Lengths are as for Segment: an id that is too long is left out, everything else is cut. Anybody can send this,
so nothing of it sets a status, refunds, or joins people by an alias.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, Required
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Response
from pydantic import Field, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema, with_config
from typing_extensions import TypedDict

from ingest_api import answers, metrics
from ingest_api.arrival import SENT_KEYS, Arrival, Reading, Rejection
from ingest_api.dialect import Route
from ingest_api.fields import (
    END_MS,
    FIRST_MS,
    SHAPE,
    Address,
    Currency,
    ReadableAmount,
    UsableEventId,
    UsableId,
    UsableObject,
    UsableText,
    UsableTime,
    errors,
    named_order,
    present,
    usable_time_to_us,
)
from ingest_api.hints import Fields
from ingest_api.lengths import (
    CLICK_ID_BYTES,
    EXPERIMENTS,
    ID_BYTES,
    NAME_BYTES,
    UTM_BYTES,
    WORD_BYTES,
    cut,
    fits,
    or_none,
)
from ingest_api.strict_json import BadInput, Most, Slice, dump, parse_envelope, without_members
from record.click_id_types import CLICK_ID_TYPES
from record.contract import Event, Kind, PageKind

PATH = "/t/{project_id}"
VERSION = "browser-1"

MAX_ITEMS = 50
MAX_BYTES = 64 * 1024

_TOO_LARGE = f"the batch must have at most {MAX_BYTES // 1024} KB; send it in parts"
_ITEMS = Most(MAX_ITEMS, f"events: required, an array of 1 to {MAX_ITEMS}")

_DIALECTS = {"flux": "funnelflux", "oa": "openanalytics"}
_KINDS: dict[str, Kind] = {
    "pageview": "visit",
    "event": "event",
    "conversion": "conversion",
    "identify": "identify",
}
_CLICKS = frozenset(CLICK_ID_TYPES)
_ORIGIN = _CLICKS | {"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"}
_PAGE_KINDS = ("lander", "offer", "page")


def _page_kind(value: Any) -> str | None:
    if value in _PAGE_KINDS:
        return str(value)
    metrics.SHORTENED.labels("left out").inc()
    return None


def _experiments(value: Any) -> dict[str, Any]:
    """As many of the experiments as a report may name, without those that are too long."""
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    kept = {
        experiment: variant
        for experiment, variant in value.items()
        if fits(experiment, WORD_BYTES)
        and fits(variant if isinstance(variant, str) else dump(variant), WORD_BYTES)
    }
    kept = dict(list(kept.items())[:EXPERIMENTS])
    if len(kept) < len(value):
        metrics.SHORTENED.labels("left out").inc(len(value) - len(kept))
    return kept


@with_config(SHAPE)
class Report(TypedDict, total=False):
    """One event of a batch, by column; unknown members are kept in the record only."""

    api: Required[Literal["flux", "oa"]]
    type: Required[Literal["pageview", "event", "conversion", "identify"]]
    event_id: Annotated[UsableEventId, Field(validation_alias="id")]
    occurred_us: Annotated[UsableTime, Field(validation_alias="t")]
    visitor_id: Annotated[UsableId, Field(validation_alias="vid")]
    session_id: Annotated[UsableId, Field(validation_alias="sid")]
    hit_id: Annotated[UsableId, Field(validation_alias="hit")]
    user_id: Annotated[UsableId, Field(validation_alias="user")]
    url: Address
    referrer: Annotated[Address, Field(validation_alias="ref")]
    page_id: Annotated[UsableId, Field(validation_alias="page")]
    page_kind: Annotated[
        str | None,
        PlainValidator(_page_kind),
        WithJsonSchema({"type": "string"}),
        Field(validation_alias="pk"),
    ]
    first: UsableObject
    name: UsableText
    amount_text: Annotated[ReadableAmount, Field(validation_alias="rev")]
    currency: Annotated[Currency, Field(validation_alias="cur")]
    transaction_id: Annotated[UsableId, Field(validation_alias="tx")]
    experiments: Annotated[
        dict[str, Any],
        PlainValidator(_experiments),
        WithJsonSchema({"type": "object"}),
        Field(validation_alias="exp"),
    ]
    props: UsableObject


@with_config(SHAPE)
class UsualReport(TypedDict, total=False):
    """A report as the script nearly always sends it: texts that fit, nothing to convert but its time."""

    api: Required[Literal["flux", "oa"]]
    type: Required[Literal["pageview", "event", "conversion", "identify"]]
    event_id: Annotated[str, Field(validation_alias="id", pattern="^[!-~]+$")]
    occurred_us: Annotated[int, Field(validation_alias="t", ge=FIRST_MS, lt=END_MS)]
    visitor_id: Annotated[str, Field(validation_alias="vid")]
    session_id: Annotated[str, Field(validation_alias="sid")]
    hit_id: Annotated[str, Field(validation_alias="hit")]
    user_id: Annotated[str, Field(validation_alias="user")]
    url: str
    referrer: Annotated[str, Field(validation_alias="ref")]
    page_id: Annotated[str, Field(validation_alias="page")]
    page_kind: Annotated[PageKind, Field(validation_alias="pk")]
    first: dict[str, Any]
    name: str
    amount_text: Annotated[str, Field(validation_alias="rev", pattern=r"^[0-9]{1,10}(\.[0-9]{1,30})?$")]
    currency: Annotated[str, Field(validation_alias="cur", pattern="^[A-Z]{3}$")]
    transaction_id: Annotated[str, Field(validation_alias="tx")]
    # It is looked at member by member.
    experiments: Annotated[None, Field(validation_alias="exp")]
    props: dict[str, Any]


_SHAPE: TypeAdapter[Any] = TypeAdapter(Report)
_USUAL: TypeAdapter[Any] = TypeAdapter(UsualReport)
_EVENT = _SHAPE.json_schema()

BODY_SCHEMA: dict[str, Any] = {
    "title": "Batch",
    "type": "object",
    "required": ["events"],
    "properties": {
        "v": {"type": "integer", "enum": [1]},
        "sent": {"type": "integer"},
        "ads": {"type": "string", "enum": ["granted", "denied"]},
        "consent": {"type": "string", "enum": ["granted", "denied"]},
        "auto": {"type": "boolean"},
        "lost": {"type": "integer", "minimum": 0},
        "events": {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": _EVENT},
    },
}
"""The request body, for OpenAPI."""

_ENVELOPE = frozenset(BODY_SCHEMA["properties"])
_FIELDS = Fields(
    _EVENT,
    amount="rev",
    an_amount="an amount in major units, e.g. 49.99",
    order="tx",
    times=("t",),
    ids=("vid", "sid", "hit", "user"),
)


def read(body: bytes, arrival: Arrival) -> Reading:
    """Events of a batch, and rejections of its bad ones, or of all of it. Never raises."""
    try:
        return _read(body, arrival)
    except BadInput as error:
        return refused(str(error), body, arrival)


def refused(reason: str, body: bytes, arrival: Arrival) -> Reading:
    """A body of which nothing is taken."""
    arrival.notices.refused(None, reason)
    return Reading([], rejections=[Rejection(reason, body)])


def answer(reading: Reading) -> Response:
    """200 with what FunnelFlux' pages read: ids by the names of their tokens, and an `error`, empty for none.

    Each id is that of the batch's last event that has one.
    """
    ids = {"hit_id": "", "visitor_id": "", "page_id": ""}
    for event in reading.events:
        for column in ids:
            ids[column] = getattr(event, column) or ids[column]
    body = {
        "error": reading.rejections[0].reason if reading.rejections else "",
        "resolvedTokens": {
            "{hit}": ids["hit_id"],
            "{visitor}": ids["visitor_id"],
            "{current-node-id}": ids["page_id"],
        },
        "skv": ids["visitor_id"],
    }
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")


def _read(body: bytes, arrival: Arrival) -> Reading:
    if len(body) > MAX_BYTES:
        raise BadInput(_TOO_LARGE)
    batch = parse_envelope(body, "events", _ITEMS)
    items = batch.get("events")
    if not isinstance(items, list) or not items:
        raise BadInput(_ITEMS.otherwise)
    if batch.get("v", 1) != 1:
        raise BadInput("v: must be 1, the version of the script's batches")
    arrival.notices.look_around(batch, _ENVELOPE, _FIELDS)
    _count_lost(batch.get("lost"))
    sent_us = usable_time_to_us(batch.get("sent"))
    if sent_us is None:
        sent_us = arrival.sent_us
    said: dict[str, Any] = {}
    if batch.get("ads") in ("granted", "denied"):
        said["consent"] = batch["ads"]
    if batch.get("auto") is True:
        said["automated"] = True
    events: list[Event] = []
    rejections: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            events.append(_event(index, item, said, sent_us, arrival))
        except BadInput as error:
            rejections.append(Rejection(str(error), _alone(item[1], batch), sent_us))
            arrival.notices.refused(index, str(error))
    return Reading(events, rejections=rejections, envelope=batch)


def _event(index: int, item: Slice, said: dict[str, Any], sent_us: int | None, arrival: Arrival) -> Event:
    value, payload = item
    event = columns_of(item)
    api, kind = event.pop("api"), _KINDS[event.pop("type")]
    name = event.pop("name", None)
    if name is None and (kind == "event" or (kind == "conversion" and api == "oa")):
        raise BadInput(f"name: required for {kind}")
    if kind == "identify" and event.get("user_id") is None:
        raise BadInput(f"user: required for identify, at most {ID_BYTES} bytes in UTF-8")
    props = event.pop("props", {})
    if api == "oa" and "transaction_id" not in event:
        order = named_order(props)
        event["transaction_id"] = None if order is None else or_none(order, ID_BYTES)
    if "amount_text" in event:
        event["amount_unit"] = "major"
    if "experiments" in event:
        event["experiments"] = dump(event["experiments"])
    origin = _origin(event.get("url"), event.pop("first", {}))
    clicks: dict[str, str] = {}
    if not _CLICKS.isdisjoint(origin):
        clicks = {name: origin.pop(name) for name in CLICK_ID_TYPES if name in origin}
        event["click_id_type"], event["click_id"] = next(iter(clicks.items()))
    properties = {**clicks, **props, **said}
    event_id = event.pop("event_id", None)
    occurred_us = event.pop("occurred_us", None)
    found = Event(
        event_id=event_id or arrival.new_event_id(index),
        project_id=arrival.project_id,
        dialect=_DIALECTS[api],
        dialect_version=VERSION,
        sender="browser",
        kind=kind,
        received_us=arrival.received_us,
        occurred_us=arrival.received_us if occurred_us is None else occurred_us,
        sent_us=None if occurred_us is None else sent_us,
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        name=None if name is None else cut(name, NAME_BYTES),
        user_agent=arrival.user_agent,
        properties=dump(properties) if properties else None,
        **origin,
        **event,
    )
    return arrival.admitted(found, index, value, _FIELDS)


def _alone(text: str, batch: Mapping[str, Any]) -> bytes:
    """A batch of one event, with what its own said of all: read again it is not to mean anything else."""
    said = dump({name: batch[name] for name in ("v", "sent", "ads", "auto") if name in batch})
    return f'{said[:-1]}{"," if len(said) > 2 else ""}"events":[{text}]}}'.encode()


def columns_of(item: Slice) -> dict[str, Any]:
    """The members of an event that are present, as columns. Raises BadInput."""
    sent = present(item)
    if len(item[1]) <= ID_BYTES and item[1].isascii():
        # No text is longer than all of its event. What is not as usual is read again with care.
        with suppress(ValidationError):
            usual: dict[str, Any] = _USUAL.validator.validate_python(sent)
            if "occurred_us" in usual:
                usual["occurred_us"] *= 1000
            return usual
    try:
        event: dict[str, Any] = _SHAPE.validator.validate_python(sent)
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    return event


def _origin(url: str | None, first: Mapping[str, Any]) -> dict[str, Any]:
    """UTM and click ids: of the page view's own address where it has any, else of the session's first."""
    sent = _in_query(url) if url and "?" in url else {}
    if not sent:
        sent = {
            name: text for name, text in first.items() if name in _ORIGIN and text and isinstance(text, str)
        }
    found: dict[str, Any] = {}
    for name, text in sent.items():
        kept = or_none(text, CLICK_ID_BYTES) if name in _CLICKS else cut(text, UTM_BYTES)
        if kept is not None:
            found[name] = kept
    return found


def _in_query(url: str) -> dict[str, str]:
    """Parameters of an address that say where a visit came from; of a name the last one, as in the models."""
    found: dict[str, str] = {}
    for pair in url.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = pair.partition("=")
        if value and name in _ORIGIN:
            found[name] = _decoded(value)
    return {name: value for name, value in found.items() if value}


def _decoded(value: str) -> str:
    if "%" not in value and "+" not in value:
        return value
    try:
        # U+0000 is no part of a text: not every store takes it.
        return unquote_to_bytes(value.replace("+", " ")).decode().replace("\0", "")
    except UnicodeDecodeError:
        return value


def _count_lost(lost: Any) -> None:
    if type(lost) is int and 0 < lost <= metrics.MOST_LOST:
        metrics.LOST_IN_BROWSERS.inc(lost)


ROUTES = (
    Route(
        path=PATH,
        read=read,
        schema=BODY_SCHEMA,
        answer=answer,
        refuse=answers.error,
        sender="page",
    ),
)
