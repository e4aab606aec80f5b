"""Types of request fields that dialects share: each checks one shape and yields what the column holds.

Used in pydantic models. A message says what the field must be; it never repeats what was sent.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import SchemaValidator

from ingest_api.lengths import (
    ADDRESS_BYTES,
    CLICK_ID_BYTES,
    EXPERIMENTS,
    ID_BYTES,
    NAME_BYTES,
    UTM_BYTES,
    WORD_BYTES,
    cut,
    fits,
    or_none,
    within,
)
from ingest_api.metrics import SHORTENED
from ingest_api.strict_json import BadInput, Slice, dump
from record.contract import END_OCCURRED_US, FIRST_OCCURRED_US

MOST_FAULTS = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS = FIRST_OCCURRED_US // 1000
END_MS = END_OCCURRED_US // 1000
_RANGE = "must be a time in the years 2000 to 2100"

# Reports sum minor units in 64 bits: of a currency with three decimals 900,000 of the largest amounts fit.
MAX_INTEGER_DIGITS = 10
MAX_DECIMALS = 30
_MAX_CENT_DIGITS = MAX_INTEGER_DIGITS + 2

# Python's own reading allows any character between day and time, and takes an offset there for a time.
_ISO_8601 = re.compile(r"[0-9W-]{7,10}(?:[T ][0-9:.,+-]+Z?)?")
_UNPADDED_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?=[T ]|$)", re.ASCII)
_ZONE = re.compile(r" ?(?:UTC|GMT)$| ([+-][0-9]{2}:?[0-9]{2})$")
_RFC_5322 = re.compile(r"(?:[A-Z][a-z]{2}, )?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{5,8}(?: |Z|$)")
_TWO_LETTERS = re.compile(r"[A-Za-z]{2}")
_THREE_LETTERS = re.compile(r"[A-Za-z]{3}")
_DECIMAL_TEXT = re.compile(
    rf"[+]?([0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:\.[0-9]{{0,{MAX_DECIMALS}}})?|\.[0-9]{{1,{MAX_DECIMALS}}})"
)
_PLAIN_AMOUNT = re.compile(rf"[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:\.[0-9]{{1,{MAX_DECIMALS}}})?")
# By type, not isinstance: a bool is an int to Python, but no number to a sender.
_NUMBERS = (int, float, Decimal)
_PRINTABLE = re.compile(rf"[!-~]{{1,{ID_BYTES}}}")


SHAPE = ConfigDict(strict=True, extra="ignore")
"""Of every dialect's shape: nothing is converted to another type, unknown fields are let through."""


class Shape:
    """A dialect's shape, by a validator that looks at lengths, and one for events too short to need that."""

    def __init__(self, shape: Any) -> None:
        adapter: TypeAdapter[Any] = TypeAdapter(shape)
        self._validator = adapter.validator
        self._of_short = SchemaValidator(_without_bounds(adapter.core_schema))
        self.json_schema = adapter.json_schema

    def read(self, item: Slice) -> dict[str, Any]:
        """The fields of an event that are present, as columns. Raises BadInput or ValidationError."""
        text = item[1]
        # A call for each field costs a quarter of reading it, and no text is longer than all of its event.
        is_short = text.isascii() and len(text) <= ID_BYTES
        found: dict[str, Any] = (self._of_short if is_short else self._validator).validate_python(
            present(item)
        )
        return found


def _without_bounds(schema: Any) -> Any:
    """A core schema without the bounds that a text of `ID_BYTES` keeps."""
    if isinstance(schema, list):
        return [_without_bounds(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "function-after":
        function = schema["function"]["function"]
        if isinstance(function, partial) and function.keywords.get("most", 0) >= ID_BYTES:
            return _without_bounds(schema["schema"])
    return {name: _without_bounds(part) for name, part in schema.items()}


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


def errors(error: ValidationError) -> str:
    """What is wrong with which fields, e.g. `user_id: Input should be a valid string`; the first few."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [_said(fault["loc"], fault["msg"]) for fault in found[:MOST_FAULTS]]
    if len(found) > len(shown):
        # An object of a megabyte may have a hundred thousand names that nobody knows.
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


def _said(where: tuple[int | str, ...], message: str) -> str:
    # A field that our own API does not have is named by its sender; a fault of the whole has none.
    field = ".".join(str(part)[:100] for part in where)
    said = message.removeprefix("Value error, ")
    return f"{field}: {said}" if field else said


def unix_ms_to_us(value: Any) -> int:
    """Unix milliseconds (a number, fractions allowed) as microseconds.

    Raises ValueError outside of the years 2000 to 2100.
    """
    if type(value) not in _NUMBERS:
        raise ValueError("must be a number of Unix milliseconds")
    if type(value) is float:
        value = Decimal(repr(value))
    if not FIRST_MS <= value < END_MS:
        hint = ""
        if FIRST_MS <= value * 1000 < END_MS:
            hint = "; this looks like seconds, send milliseconds"
        elif FIRST_MS <= value / 1000 < END_MS:
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


def usable_time_to_us(value: Any) -> int | None:
    """As `time_to_us`, also of the other forms that leave no doubt; None for what cannot be a time.

    Those are UTC or GMT in words, a blank before the offset, days without leading zeros, and RFC 5322.
    """
    text = value
    if isinstance(value, str):
        text = _UNPADDED_DAY.sub(lambda day: f"{day[1]}-{day[2]:0>2}-{day[3]:0>2}", value.strip(), count=1)
        text = _ZONE.sub(lambda zone: zone[1] or "Z", text)
        if _RFC_5322.match(text):
            with suppress(ValueError, OverflowError):
                text = parsedate_to_datetime(value).isoformat()
    try:
        return time_to_us(text)
    except ValueError:
        return None


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


def readable_amount(value: Any) -> str:
    """As `major_amount`, also of a text that is a plain decimal, e.g. " 14.99". Raises ValueError."""
    if not isinstance(value, str):
        return major_amount(value)
    found = _DECIMAL_TEXT.fullmatch(value.strip())
    if found is None:
        raise ValueError("must be a plain decimal in major units, e.g. 49.99")
    return found[1].rstrip(".")


def readable_magnitude(value: Any) -> str:
    """As `readable_amount`, whatever its sign: of a refund that is written as a loss. Raises ValueError."""
    if type(value) in _NUMBERS:
        return major_amount(abs(value))
    return readable_amount(value.strip().removeprefix("-") if isinstance(value, str) else value)


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
    text = text_of(value)
    if text is None:
        raise ValueError("must be a string or an integer")
    return text


def text_of(value: Any) -> str | None:
    """A string as it is, a number without fraction as its integer (5001.0 is 5001); None for all else."""
    if type(value) in (str, int):
        return str(value)
    if type(value) is float:
        value = Decimal(repr(value))
    if type(value) is not Decimal or value.adjusted() >= ID_BYTES or value != value.to_integral_value():
        return None
    return format(abs(value) if value == 0 else value, ".0f")


def _id(value: Any) -> str:
    return within(_text_or_integer(value), ID_BYTES)


def _status(value: Any) -> str:
    return within(_text_or_integer(value), WORD_BYTES)


def _usable_id(value: Any) -> str | None:
    return or_none(_text_or_integer(value), ID_BYTES)


def _usable_text(value: Any) -> str | None:
    if type(value) in _NUMBERS:
        return text_of(value) or str(value)
    if not isinstance(value, str):
        SHORTENED.labels("left out").inc()
        return None
    return value


def _usable_object(value: Any) -> dict[str, Any]:
    # PHP writes an empty array for an empty object.
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    return value


def _event_id(value: Any) -> str:
    # It goes back in a header, hence the alphabet.
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise ValueError(f"must be a string of 1 to {ID_BYTES} printable ASCII characters without blanks")
    return value


def _usable_event_id(value: Any) -> str | None:
    text = text_of(value)
    if text is not None and _PRINTABLE.fullmatch(text):
        return text
    SHORTENED.labels("left out").inc()
    return None


def _country(value: Any) -> str:
    if not isinstance(value, str) or not _TWO_LETTERS.fullmatch(value):
        raise ValueError("must be two letters (ISO 3166-1), e.g. DE")
    return value


def _currency(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not _THREE_LETTERS.fullmatch(text):
        raise ValueError("must be three letters (ISO 4217), e.g. EUR")
    return text.upper()


def _properties(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    if len(value) > 50:
        raise ValueError("must have at most 50 keys")
    return value


def _experiments(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    if len(value) > EXPERIMENTS:
        raise ValueError(f"must have at most {EXPERIMENTS} keys")
    for experiment, variant in value.items():
        if not fits(experiment, WORD_BYTES):
            raise ValueError(f"a name must have at most {WORD_BYTES} bytes in UTF-8")
        if not fits(variant if isinstance(variant, str) else dump(variant), WORD_BYTES):
            raise ValueError(f"a variant must have at most {WORD_BYTES} bytes in UTF-8")
    return value


def _object_or_objects(value: Any) -> dict[str, Any] | list[Any]:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(v, dict) for v in value)):
        return value
    raise ValueError("must be a JSON object or an array of objects")


def named_order(properties: dict[str, Any], name: str = "order_id") -> str | None:
    """The order that free-form properties name, however long, when it is a string or a whole number."""
    return text_of(properties.get(name)) or None


def order_id(properties: dict[str, Any]) -> str | None:
    """The order that free-form properties name. Raises BadInput when its id is too long."""
    named = named_order(properties)
    try:
        return None if named is None else within(named, ID_BYTES)
    except ValueError as error:
        raise BadInput(f"properties.order_id: {error}") from None


def _text_schema(most: int, *others: str) -> WithJsonSchema:
    """Of a text, or another type. JSON Schema counts characters: of these, `most` are never too few."""
    return WithJsonSchema({"type": ["string", *others] if others else "string", "maxLength": most})


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
Id = Annotated[str, AfterValidator(partial(within, most=ID_BYTES)), _text_schema(ID_BYTES)]
Name = Annotated[str, AfterValidator(partial(within, most=NAME_BYTES)), _text_schema(NAME_BYTES)]
Status = Annotated[str, AfterValidator(partial(within, most=WORD_BYTES)), _text_schema(WORD_BYTES)]
IdOrInteger = Annotated[str, PlainValidator(_id), _text_schema(ID_BYTES, "integer")]
StatusOrInteger = Annotated[str, PlainValidator(_status), _text_schema(WORD_BYTES, "integer")]
EventId = Annotated[
    str, PlainValidator(_event_id), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": ID_BYTES})
]

UsableId = Annotated[str | None, PlainValidator(_usable_id), WithJsonSchema({"type": ["string", "integer"]})]
"""As IdOrInteger, and None when it is too long: for a dialect that refuses nothing for that."""
UsableText = Annotated[
    str | None, PlainValidator(_usable_text), WithJsonSchema({"type": ["string", "number"]})
]
"""Text, or the number that stands for one; None when it is neither."""
UsableTime = Annotated[
    int | None,
    PlainValidator(usable_time_to_us),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}),
]
"""As Time, and None when it is none: for a dialect that refuses nothing for that."""
UsableObject = Annotated[dict[str, Any], PlainValidator(_usable_object), WithJsonSchema({"type": "object"})]
_READABLE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
ReadableAmount = Annotated[str, PlainValidator(readable_amount), _READABLE_SCHEMA]
ReadableMagnitude = Annotated[str, PlainValidator(readable_magnitude), _READABLE_SCHEMA]
UsableEventId = Annotated[str | None, PlainValidator(_usable_event_id), WithJsonSchema({"type": "string"})]
"""As EventId, and None when it is none."""
ClickId = Annotated[str, AfterValidator(partial(or_none, most=CLICK_ID_BYTES))]
"""None when it is too long."""

Address = Annotated[str, AfterValidator(partial(cut, most=ADDRESS_BYTES))]
"""Of a page, a referrer or a user agent; cut when it is too long, as the next is."""
UtmText = Annotated[str, AfterValidator(partial(cut, most=UTM_BYTES))]
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
Experiments = Annotated[
    dict[str, Any],
    PlainValidator(_experiments),
    WithJsonSchema({"type": "object", "maxProperties": EXPERIMENTS}),
]
