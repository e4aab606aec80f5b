"""FunnelFlux postbacks: an address that a network loads, GET or POST, query before body. No key.

Vendor's page: "Conversion tracking", https://help.funnelflux.pro

| field | column |
|---|---|
| `hit` (required without `vid`) | `hit_id` |
| `vid` (required without `hit`) | `visitor_id` |
| `p` | `page_id` |
| `tx` | `transaction_id` |
| `rev` | `amount_text`, with `amount_unit` major; -1 is a rejection |
| `status` | `status` |
| `disable_postbacks` | `forwardable`: false, unless it is itself false or 0 |
| `currency` (ours) | `currency`, upper-cased |
| both `hit` and `vid` | both columns, and `{"has_hit_and_vid":true}` in `properties` |

A macro that nobody replaced (`REPLACE`, `{hit}`, `{{payout}}`, also percent-encoded) counts as missing,
anywhere in a value: `order-{id}` would make all orders one. Of a repeated parameter the first value counts.
`payload` is the raw query string; of a POST the query string, if any, a line break and the body. No query
string holds a line break, so the two can be told apart.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Response
from pydantic import Field, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema, with_config
from typing_extensions import TypedDict

from funnelhouse.problems import Refusal
from ingest_api import answers
from ingest_api.arrival import SENT_KEYS, Arrival, Reading
from ingest_api.dialect import Route
from ingest_api.fields import (
    MAX_DECIMALS,
    MAX_INTEGER_DIGITS,
    SHAPE,
    Currency,
    IdOrInteger,
    StatusOrInteger,
    errors,
    major_amount,
)
from ingest_api.hints import Fields
from ingest_api.strict_json import BadInput, parse, without_members
from record.contract import Event

MAX_PARAMETERS = 1000
"""In query and body together; ours are eight. A body has room for a million."""

_BRACES = re.compile(r"\{[^{}]*\}")
_DECIMALS = rf"\.[0-9]{{1,{MAX_DECIMALS}}}"
_AMOUNT = re.compile(
    rf"[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:{_DECIMALS})?|{_DECIMALS}|-1(?:\.0{{1,{MAX_DECIMALS}}})?", re.ASCII
)


def _amount(value: Any) -> str:
    """Major units, as text or as a JSON number; the rejection -1 too. Raises ValueError."""
    if not isinstance(value, str):
        return "-1" if type(value) is int and value == -1 else major_amount(value)
    text = value.strip()
    if not _AMOUNT.fullmatch(text):
        raise ValueError(
            f"must be a plain decimal in major units, e.g. 49.99, with at most {MAX_INTEGER_DIGITS} digits "
            "before the point; or -1 for a rejection"
        )
    return text


def _forwardable(value: Any) -> bool:
    return str(value).strip().lower() in ("false", "0")


@with_config(SHAPE)
class Postback(TypedDict, total=False):
    """One postback, by column; unknown parameters are kept in the record only."""

    hit_id: Annotated[IdOrInteger, Field(validation_alias="hit")]
    visitor_id: Annotated[IdOrInteger, Field(validation_alias="vid")]
    page_id: Annotated[IdOrInteger, Field(validation_alias="p")]
    transaction_id: Annotated[IdOrInteger, Field(validation_alias="tx")]
    amount_text: Annotated[
        str, PlainValidator(_amount), WithJsonSchema({"type": "string"}), Field(validation_alias="rev")
    ]
    status: StatusOrInteger
    forwardable: Annotated[
        bool,
        PlainValidator(_forwardable),
        WithJsonSchema({"type": "string"}),
        Field(validation_alias="disable_postbacks"),
    ]
    currency: Currency


_SHAPE: TypeAdapter[Any] = TypeAdapter(Postback)

BODY_SCHEMA: dict[str, Any] = _SHAPE.json_schema()
"""The parameters as an object, for OpenAPI."""
_PARAMETERS = frozenset(BODY_SCHEMA["properties"])
_FIELDS = Fields(BODY_SCHEMA, amount="rev", an_amount="an amount in major units, e.g. 49.99", status="status")


def read(sent: bytes, arrival: Arrival) -> Reading:
    """The one event of a query string, after which a line break and a body may follow.

    Raises BadInput, also when neither a hit nor a visitor is left.
    """
    query, _, body = sent.partition(b"\n")
    query_text, body_text = _text("query string", query), _text("body", body)
    given: dict[str, Any] = {}
    others: dict[str, Any] = {}
    is_json = body_text.lstrip()[:1] == "{"
    if query_text.count("&") + (0 if is_json else body_text.count("&")) >= MAX_PARAMETERS:
        raise BadInput(f"more than {MAX_PARAMETERS} parameters; send those of one postback")
    sent_in_body = parse(body)[0] if is_json else {}
    for name, value in (
        *_decoded(query_text),
        *_decoded("" if is_json else body_text),
        *sent_in_body.items(),
    ):
        if name not in _PARAMETERS:
            others.setdefault(name, value)
        elif name not in given and _is_given(value):
            given[name] = value
    try:
        postback: dict[str, Any] = _SHAPE.validator.validate_python(given)
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    if "hit_id" not in postback and "visitor_id" not in postback:
        raise BadInput("hit or vid: required, with its macro replaced")
    kept_body = _without_json_keys(body_text, sent_in_body) if is_json else _without_keys(body_text)
    event = Event(
        event_id=arrival.new_event_id(0),
        project_id=arrival.project_id,
        dialect="funnelflux",
        dialect_version="1",
        sender=arrival.sender,
        kind="conversion",
        received_us=arrival.received_us,
        occurred_us=arrival.received_us,
        payload="\n".join(filter(None, [_without_keys(query_text), kept_body])),
        amount_unit="major" if "amount_text" in postback else None,
        properties='{"has_hit_and_vid":true}' if {"hit_id", "visitor_id"} <= postback.keys() else None,
        **postback,
    )
    return Reading([arrival.admitted(event, 0, given | others, _FIELDS)])


def answer(reading: Reading) -> Response:
    """200 `{"accepted":1}`, which no cache may keep: the next load of the same address is another report."""
    return _uncached(answers.accepted(reading))


def refuse(refusal: Refusal) -> Response:
    """An error as `{"error": "…"}`, not to be kept either."""
    return _uncached(answers.error(refusal))


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_given(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() not in ("", "REPLACE") and not _has_macro(value)
    return value is not None


def _has_macro(text: str) -> bool:
    # The encoded form stays where somebody encoded twice.
    return bool(_BRACES.search(text)) or "%7D" in text.upper().partition("%7B")[2]


def _text(what: str, sent: bytes) -> str:
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        raise BadInput(f"the {what} is not valid UTF-8") from None
    if "\0" in text:
        raise BadInput(f"the {what} holds U+0000; leave that character out")
    return text


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    """Names and values in urlencoded text; of names that are not ours the value stays encoded."""
    for pair in text.strip().split("&"):
        name, _, value = pair.partition("=")
        plain = _name(name)
        if plain in _PARAMETERS:
            yield plain, _text(plain, unquote_to_bytes(value.replace("+", " ")))
        elif plain:
            yield plain, value


def _name(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")


def _without_keys(text: str) -> str:
    """Urlencoded text without API keys; everything else keeps its exact text."""
    pairs = text.split("&")
    kept = [pair for pair in pairs if _name(pair.partition("=")[0]) not in SENT_KEYS]
    return text if len(kept) == len(pairs) else "&".join(kept)


def _without_json_keys(text: str, value: dict[str, Any]) -> str:
    return text if SENT_KEYS.isdisjoint(value) else without_members(text.strip(), SENT_KEYS)


ROUTES = tuple(
    Route(path=path, read=read, schema=BODY_SCHEMA, answer=answer, refuse=refuse, sender="postback")
    for path in ("/pb", "/pb/{project_id}", "/pb/{project_id}/{secret}")
)
