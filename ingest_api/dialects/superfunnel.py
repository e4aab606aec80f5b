"""Superfunnel offline conversions: one per request, named by one or more identifiers. Money: major units.

Vendor's page: "How to Report Offline Conversions via API (Server-Side)", https://superfunnel.ai

| field | column |
|---|---|
| `sessionId` | `session_id` |
| the hashes, when there is no `sessionId` | `alias_type` (the field's name) and `alias_value` |
| `gclid`, `msclkid`, `fbclid` | `click_id_type` (the field's name) and `click_id` |
| `event` | `name`; `conversion` when only `conversion` is there |
| `conversion.value` | `amount_text`, with `amount_unit` major |
| `timestamp`, `currency`, `transaction_id`, `status` (ours) | `occurred_us`, the same names |
| every identifier that was sent, but for a click id that is too long | `properties`, as JSON |

Hashes and click ids: the first in the order of `HASHES` and of `CLICK_IDS` fills the columns.
Answers are `{"accepted": 1}` and `{"error": "…"}`; the vendor documents none.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, with_config
from typing_extensions import TypedDict

from ingest_api import answers
from ingest_api.arrival import SENT_KEYS, Arrival, Reading
from ingest_api.dialect import Route
from ingest_api.fields import (
    SHAPE,
    ClickId,
    Currency,
    Id,
    IdOrInteger,
    Name,
    Shape,
    Status,
    Time,
    ValueAmount,
    errors,
    without_absent,
)
from ingest_api.hints import Fields
from ingest_api.strict_json import BadInput, dump, parse, without_members
from record.contract import Event

HASHES = ("visitHash", "sessionHash", "hash", "shortVisitHash", "shortSessionHash", "shortHash")
CLICK_IDS = ("gclid", "msclkid", "fbclid")
_IDENTIFIERS = ("sessionId", *HASHES, *CLICK_IDS)


@with_config(SHAPE)
class Value(TypedDict, total=False):
    """What a conversion is worth, in major units."""

    value: ValueAmount


@with_config(SHAPE)
class Report(TypedDict, total=False):
    """One conversion, with at least one identifier; unknown fields are kept in the record only."""

    sessionId: Id
    visitHash: Id
    sessionHash: Id
    hash: Id
    shortVisitHash: Id
    shortSessionHash: Id
    shortHash: Id
    gclid: ClickId
    msclkid: ClickId
    fbclid: ClickId
    event: Annotated[Name, Field(description="Required unless `conversion` is there.")]
    conversion: Annotated[Value, BeforeValidator(without_absent)]
    timestamp: Time
    currency: Currency
    transaction_id: IdOrInteger
    status: Status


_SHAPE = Shape(Report)

BODY_SCHEMA: dict[str, Any] = _SHAPE.json_schema()
"""The request body, for OpenAPI."""

_FIELDS = Fields(
    BODY_SCHEMA,
    amount="conversion.value",
    an_amount="a number in major units, e.g. 49.99",
    order="transaction_id",
    status="status",
    times=("timestamp",),
)


def read(body: bytes, arrival: Arrival) -> Reading:
    """The one event of a body. Raises BadInput, also without any identifier."""
    item = parse(body)
    value, payload = item
    try:
        report = _SHAPE.read(item)
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    if report.keys().isdisjoint(_IDENTIFIERS):
        raise BadInput(f"one identifier is required: {', '.join(_IDENTIFIERS)}")
    if "event" not in report and "conversion" not in report:
        raise BadInput("event: required, unless conversion is there")
    sent = {name: report[name] for name in _IDENTIFIERS if report.get(name) is not None}
    session_id = sent.get("sessionId")
    alias_type = None if session_id else _first(sent, HASHES)
    click_id_type = _first(sent, CLICK_IDS)
    amount = report.get("conversion", {}).get("value")
    event = Event(
        event_id=arrival.new_event_id(0),
        project_id=arrival.project_id,
        dialect="superfunnel",
        dialect_version="1",
        sender=arrival.sender,
        kind="conversion",
        received_us=arrival.received_us,
        occurred_us=report.get("timestamp", arrival.received_us),
        payload=payload if SENT_KEYS.isdisjoint(value) else without_members(payload, SENT_KEYS),
        name=report.get("event", "conversion"),
        session_id=session_id,
        alias_type=alias_type,
        alias_value=sent[alias_type] if alias_type else None,
        click_id=sent[click_id_type] if click_id_type else None,
        click_id_type=click_id_type,
        user_agent=arrival.user_agent,
        amount_text=amount,
        amount_unit="major" if amount else None,
        currency=report.get("currency"),
        transaction_id=report.get("transaction_id"),
        status=report.get("status"),
        properties=dump(sent),
    )
    return Reading([arrival.admitted(event, 0, value, _FIELDS)])


def _first(sent: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in sent), None)


ROUTES = (
    Route(
        path="/v1/analytics/report-conversion",
        read=read,
        schema=BODY_SCHEMA,
        answer=answers.accepted,
        refuse=answers.error,
    ),
)
