"""Types of request fields that dialects share: each checks one shape and yields what the column holds.

Used in pydantic models. A message says what the field must be; it never repeats what was sent.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema

from funnelhouse.contract import END_OCCURRED_US, FIRST_OCCURRED_US
from ingest_api.strict_json import BadInput, Slice

MOST_FAULTS = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = FIRST_OCCURRED_US // 1000
_END_MS = END_OCCURRED_US // 1000
_RANGE = "must be a time in the years 2000 to 2100"

# Reports sum minor units in 64 bits: of a currency with three decimals 900,000 of the largest amounts fit.
MAX_INTEGER_DIGITS = 10
MAX_DECIMALS = 30
_MAX_CENT_DIGITS = MAX_INTEGER_DIGITS + 2

# Python's own reading allows any character between day and time, and takes an offset there for a time.
_ISO_8601 = re.compile(r"[0-9W-]{7,10}(?:[T ][0-9:.,+-]+Z?)?")
_TWO_LETTERS = re.compile(r"[A-Za-z]{2}")
_THREE_LETTERS = re.compile(r"[A-Za-z]{3}")
_PLAIN_AMOUNT = re.compile(rf"[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:\.[0-9]{{1,{MAX_DECIMALS}}})?")
# By type, not isinstance: a bool is an int to Python, but no number to a sender.
_NUMBERS = (int, float, Decimal)
_IDS = (int, str)
_PRINTABLE = re.compile(r"[!-~]{1,255}")


SHAPE = ConfigDict(strict=True, extra="ignore")
"""Of every dialect's shape: nothing is converted to another type, unknown fields are let through."""


def present(item: Slice) -> dict[str, Any]:
    """An event's object without its absent fields: null and '' mean absent. Raises BadInput if no object."""
    value, text = item
    if not isinstance(value, dict):
        raise BadInput("an event must be a JSON object")
    # A look at the text is far cheaper than one at every field.
    return without_absent(value) if "null" in text or '""' in text else value


def without_absent(value: Any) -> Any:
    """An inner object without its absent fields; anything else as it is."""
    if not isinstance(value, dict):
        return value
    return {name: field for name, field in value.items() if field is not None and field != ""}


def faults(error: ValidationError) -> str:
    """What is wrong with which fields, e.g. `user_id: Input should be a valid string`; the first few."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in found[:MOST_FAULTS]
    ]
    if len(found) > len(shown):
        # An object of a megabyte may have a hundred thousand names that nobody knows.
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


def unix_ms_to_us(value: Any) -> int:
    """Unix milliseconds (a number, fractions allowed) as microseconds.

    Raises ValueError outside of the years 2000 to 2100.
    """
    if type(value) not in _NUMBERS:
        raise ValueError("must be a number of Unix milliseconds")
    if type(value) is float:
        value = Decimal(repr(value))
    if not _FIRST_MS <= value < _END_MS:
        hint = ""
        if _FIRST_MS <= value * 1000 < _END_MS:
            hint = "; this looks like seconds, send milliseconds"
        elif _FIRST_MS <= value / 1000 < _END_MS:
            hint = "; this looks like microseconds, send milliseconds"
        raise ValueError(_RANGE + hint)
    return int(value * 1000)


def time_to_us(value: Any) -> int:
    """Unix milliseconds, or ISO 8601 text (UTC when it has no offset), as Unix microseconds.

    Raises ValueError, also outside of the years 2000 to 2100.
    """
    if not isinstance(value, str):
        return unix_ms_to_us(value)
    try:
        if not _ISO_8601.fullmatch(value):
            raise ValueError
        moment = datetime.fromisoformat(value)
        elapsed = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        raise ValueError(
            "must be Unix milliseconds as a number, or ISO 8601 such as 2026-01-31T12:00:00Z"
        ) from None
    us = elapsed // timedelta(microseconds=1)
    if not FIRST_OCCURRED_US <= us < END_OCCURRED_US:
        raise ValueError(_RANGE)
    return us


def _major_amount(value: Any) -> str:
    if type(value) in _NUMBERS and value < 0:
        raise ValueError('must not be negative; send a refund (event_type "refund") instead')
    return major_amount(value)


def major_amount(value: Any) -> str:
    """A JSON number in major units as plain decimal text with all its digits.

    Raises ValueError, also when it is negative or has more than 10 digits before the point, 30 after it.
    """
    if type(value) not in _NUMBERS:
        raise ValueError("must be a JSON number in major units, e.g. 49.99, without quotes")
    if value < 0:
        raise ValueError("must not be negative")
    text = str(value)
    if not _PLAIN_AMOUNT.fullmatch(text):
        # Exponents, -0.0, and what is too long; the exponent is looked at before it is written out in zeros.
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        if number.adjusted() >= MAX_INTEGER_DIGITS or int(exponent) < -MAX_DECIMALS:
            raise ValueError(
                f"must have at most {MAX_INTEGER_DIGITS} digits before the point, {MAX_DECIMALS} after it"
            )
        text = format(abs(number), "f")
    return text


def _minor_amount(value: Any) -> str:
    if type(value) is float:
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value) if value.adjusted() < _MAX_CENT_DIGITS else 10**_MAX_CENT_DIGITS
    if isinstance(value, Decimal):
        raise ValueError("must be whole cents: 999 means 9.99; money is never rounded")
    if type(value) is not int:
        raise ValueError("must be an integer number of cents, without quotes")
    if not 0 <= value < 10**_MAX_CENT_DIGITS:
        raise ValueError(f"must not be negative and have at most {_MAX_CENT_DIGITS} digits")
    return str(value)


def _text_or_integer(value: Any) -> str:
    if type(value) not in _IDS:
        raise ValueError("must be a string or an integer")
    return str(value)


def _event_id(value: Any) -> str:
    # It goes back in a header, hence the alphabet.
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise ValueError("must be a string of 1 to 255 printable ASCII characters without blanks")
    return value


def _country(value: Any) -> str:
    if not isinstance(value, str) or not _TWO_LETTERS.fullmatch(value):
        raise ValueError("must be two letters (ISO 3166-1), e.g. DE")
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not _THREE_LETTERS.fullmatch(value):
        raise ValueError("must be three letters (ISO 4217), e.g. EUR")
    return value.upper()


def _properties(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    if len(value) > 50:
        raise ValueError("must have at most 50 keys")
    return value


def _object_or_objects(value: Any) -> dict[str, Any] | list[Any]:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(v, dict) for v in value)):
        return value
    raise ValueError("must be a JSON object or an array of objects")


def order_id(properties: dict[str, Any]) -> str | None:
    """The order that free-form properties name, when it is a string or an integer."""
    value = properties.get("order_id")
    return str(value) if type(value) in _IDS and value != "" else None


UnixMs = Annotated[int, PlainValidator(unix_ms_to_us), WithJsonSchema({"type": "number"})]
Time = Annotated[
    int,
    PlainValidator(time_to_us),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}),
]
_MAJOR_SCHEMA = {"type": "number", "minimum": 0, "exclusiveMaximum": 10**MAX_INTEGER_DIGITS}
MajorAmount = Annotated[str, PlainValidator(_major_amount), WithJsonSchema(_MAJOR_SCHEMA)]
ValueAmount = Annotated[str, PlainValidator(major_amount), WithJsonSchema(_MAJOR_SCHEMA)]
"""As MajorAmount, where the dialect has no refunds that a negative amount could be sent as."""
MinorAmount = Annotated[
    str,
    PlainValidator(_minor_amount),
    WithJsonSchema({"type": "integer", "minimum": 0, "exclusiveMaximum": 10**_MAX_CENT_DIGITS}),
]
TextOrInteger = Annotated[
    str, PlainValidator(_text_or_integer), WithJsonSchema({"type": ["string", "integer"]})
]
EventId = Annotated[
    str, PlainValidator(_event_id), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})
]
Country = Annotated[str, PlainValidator(_country), WithJsonSchema({"type": "string"})]
Currency = Annotated[str, PlainValidator(_currency), WithJsonSchema({"type": "string"})]
Properties = Annotated[
    dict[str, Any], PlainValidator(_properties), WithJsonSchema({"type": "object", "maxProperties": 50})
]
Objects = Annotated[
    dict[str, Any] | list[Any],
    PlainValidator(_object_or_objects),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}),
]
JsonObject = Annotated[dict[str, Any], Field(json_schema_extra={"type": "object"})]
