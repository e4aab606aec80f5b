"""Strict JSON with exact slices: what one event's value was, and the text that it stood as.

Python's own scanner does the work; hooks refuse what it would let through. Refused are invalid UTF-8, NaN
and infinities, duplicate keys, nesting over 32, integers beyond 64 bit, numbers beyond the range of a
double, lone surrogates and U+0000. Decimals become `Decimal`, or
`float` where that has the same digits: every digit of an amount survives.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, TypeVar

import orjson

MAX_DEPTH = 32

_SKIP = re.compile(r"[ \t\n\r]*").match
_LIST_MARKS = (",", "]")
_BAD_CHARACTER = re.compile("[\0\ud800-\udfff]")
_PLAIN_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_TOO_DEEP = f"the JSON is nested more than {MAX_DEPTH} deep"


class BadInput(ValueError):  # noqa: N818 - named for what came, like the refusal that it becomes
    """What was sent cannot be accepted; the message names the field and the fix, never the value."""

    status = 400


Slice = tuple[Any, str]
"""A JSON value and the exact text that it was parsed from. A plain tuple: a thousand are made per request."""


def parse(body: bytes) -> Slice:
    """The one value of a document. Raises BadInput."""
    document = _parse_compact(body)
    return _document(body, _checked) if document is _NOT_COMPACT else _written(document, 0)


class Most(NamedTuple):
    """How many items an array may have, and what is said when it has more.

    The first item too many ends the work: a body of a megabyte has room for half a million.
    """

    items: int
    otherwise: str


def parse_items(body: bytes, most: Most | None = None) -> Slice | list[Slice]:
    """The one value of a document or, when that is an array, its values one by one. Raises BadInput."""
    document = _parse_compact(body)
    if document is not _NOT_COMPACT:
        return _written_items(document, 1, most) if isinstance(document, list) else _written(document, 0)

    def value_or_items(text: str, at: int) -> tuple[Slice | list[Slice], int]:
        return _items(text, at, 1, most) if text[at : at + 1] == "[" else _checked(text, at)

    return _document(body, value_or_items)


def parse_envelope(body: bytes, list_name: str, most: Most | None = None) -> dict[str, Any]:
    """The members of a document that is an object; an array called `list_name` comes as a list of `Slice`.

    Raises BadInput, also when the document is no object.
    """
    document = _parse_compact(body)
    if document is not _NOT_COMPACT:
        if not isinstance(document, dict):
            raise _NO_OBJECT
        for name, value in document.items():
            if name == list_name and isinstance(value, list):
                document[name] = _written_items(value, 2, most)
            else:
                _walk(value, 1)
        return document

    def member(key: str, text: str, at: int) -> tuple[Any, int]:
        if key == list_name and text[at : at + 1] == "[":
            return _items(text, at, 2, most)
        part, end = _checked(text, at, depth=1)
        return part[0], end

    def envelope(text: str, at: int) -> tuple[dict[str, Any], int]:
        if text[at : at + 1] != "{":
            _checked(text, at)
            raise _NO_OBJECT
        members, end = _members(text, at, member)
        return {key: value for key, value, _ in members}, end

    return _document(body, envelope)


def without_members(text: str, names: frozenset[str]) -> str:
    """The text of a valid object without the members called `names`; the others keep their exact text."""
    members, _ = _members(text, 0, lambda _, text, at: _scan(text, at))
    return "{" + ", ".join(member.text for member in members if member.key not in names) + "}"


def dump(value: Any) -> str:
    """A parsed value as compact JSON text; decimals keep their digits."""
    return orjson.dumps(value, default=_fragment).decode()


class _Member(NamedTuple):
    key: str
    value: Any
    text: str


_T = TypeVar("_T")
_Reader = Callable[[str, int], tuple[_T, int]]
"""Reads what starts at a position of a text; returns it and the position behind it."""


_NO_OBJECT = BadInput("the body must be a JSON object")
_NOT_COMPACT = object()


def _parse_compact(body: bytes) -> Any:
    """The value of JSON without blanks, as most clients write it, for a third of the time; else _NOT_COMPACT.

    When writing the value again gives the very same bytes, parsing lost nothing: no duplicate key, no digit
    of a number, no character. Everything else, faults included, is left to the careful way.
    """
    # An escape may stand for U+0000. A blank after the first colons spares the attempt.
    if b"\\u" in body or b'": ' in body[:64]:
        return _NOT_COMPACT
    try:
        document = orjson.loads(body)
        return document if orjson.dumps(document) == body else _NOT_COMPACT
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _NOT_COMPACT


def _written(value: Any, depth: int) -> Slice:
    """A value of a compact document, below `depth` open brackets, with its text."""
    text = orjson.dumps(value)
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH - depth:
        _walk(value, depth)
    return value, text.decode()


def _written_items(values: list[Any], depth: int, most: Most | None) -> list[Slice]:
    if most is not None and len(values) > most.items:
        raise BadInput(most.otherwise)
    return [_written(value, depth) for value in values]


def _document(body: bytes, read: _Reader[_T]) -> _T:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadInput("the body is not valid UTF-8") from None
    try:
        result, end = read(text, _skip(text, 0))
    except StopIteration as error:
        raise BadInput(f"the body is not JSON: a value is missing at character {error.value}") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadInput(_TOO_DEEP) from None
    if _skip(text, end) != len(text):
        raise BadInput(f"the body is not JSON: something follows its value at character {end}")
    return result


def _checked(text: str, at: int, depth: int = 0) -> tuple[Slice, int]:
    """One value below `depth` open brackets, with the checks that the scanner's hooks cannot do."""
    value, end = _scan(text, at)
    part = text[at:end]
    # Both looks cost little, and only what is suspicious is walked.
    if part.count("{") + part.count("[") > MAX_DEPTH - depth or "\\u" in part:
        _walk(value, depth)
    return (value, part), end


def _walk(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if _BAD_CHARACTER.search(value):
            raise BadInput("a string holds U+0000 or half a surrogate pair; leave those characters out")
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise BadInput(_TOO_DEEP)
        for inner in value:
            _walk(inner, depth + 1)
        if isinstance(value, dict):
            for inner in value.values():
                _walk(inner, depth + 1)


def _items(text: str, at: int, depth: int, most: Most | None) -> tuple[list[Slice], int]:
    """The values, below `depth` open brackets, of the array that starts at `at`."""
    items: list[Slice] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        item, at = _checked(text, at, depth)
        items.append(item)
        if most is not None and len(items) > most.items:
            raise BadInput(most.otherwise)
        # The usual ", " needs no search for blanks.
        following = text[at : at + 1]
        if following not in _LIST_MARKS:
            at = _skip(text, at)
            following = text[at : at + 1]
        if following == "]":
            return items, at + 1
        if following != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at += 2 if text[at + 1 : at + 2] == " " else 1
        if text[at : at + 1] != "{":
            at = _skip(text, at)


def _members(
    text: str, at: int, read: Callable[[str, str, int], tuple[Any, int]]
) -> tuple[list[_Member], int]:
    """The members of the object that starts at `at`; `read(key, text, position)` reads a value."""
    members: list[_Member] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        start = at
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = scanstring(text, at + 1, True)
        _walk(key, 0)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        value, at = read(key, text, _skip(text, at + 1))
        members.append(_Member(key, value, text[start:at]))
        at = _skip(text, at)
        following = text[at : at + 1]
        if following == "}":
            break
        if following != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)
    if len({member.key for member in members}) != len(members):
        raise _duplicate([member.key for member in members])
    return members, at + 1


def _skip(text: str, at: int) -> int:
    match = _SKIP(text, at)
    return match.end() if match else at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _duplicate([key for key, _ in pairs])
    return result


def _duplicate(keys: list[str]) -> BadInput:
    counts = Counter(keys)
    name = next(key for key in keys if counts[key] > 1)
    shown = name if _PLAIN_NAME.fullmatch(name) else "a key"
    return BadInput(f"{shown}: named twice in one object; send it once")


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise BadInput("an integer does not fit into 64 bits; send it as a string")
    return number


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
        if number.adjusted() < 308 or not math.isinf(float(text)):
            return number
    except InvalidOperation:
        pass  # An exponent that even Decimal has no room for.
    raise BadInput("a number is beyond the range of a double; send it as a string")


def _constant(_: str) -> Any:
    raise BadInput("NaN and Infinity are not JSON; send null or leave the field out")


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
_scan: _Reader[Any] = _decoder.scan_once  # type: ignore[attr-defined]
