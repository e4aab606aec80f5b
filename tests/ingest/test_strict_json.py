"""The quick way and the careful way of reading JSON agree; slices are the exact text."""

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_api import strict_json
from ingest_api.strict_json import BadInput, dump, parse, parse_envelope, parse_items, without_members

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)


def outcome(read: Any, *arguments: Any) -> Any:
    """What comes of reading: values as text (a float and a Decimal of the same digits are the same)."""
    try:
        result = read(*arguments)
    except BadInput as error:
        return str(error)
    return dump(result)


def both_ways(read: Any, *arguments: Any) -> tuple[Any, Any]:
    quick = outcome(read, *arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_parse_compact", lambda body: strict_json._NOT_COMPACT)
        return quick, outcome(read, *arguments)


# Large values are what it is about, and they take their time on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_compact_json_reads_alike_both_ways(value: Any) -> None:
    body = orjson.dumps(value)
    for read, *more in ((parse,), (parse_items,), (parse_envelope, "events")):
        quick, careful = both_ways(read, body, *more)
        assert normal(quick) == normal(careful)


def normal(text: str) -> Any:
    try:
        return json.loads(text, parse_float=lambda digits: float(digits))
    except ValueError:
        return text


@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]",:0123456789.eE-+ \\untrfals', max_size=40).map(str.encode)
)
def test_any_bytes_read_alike_both_ways(body: bytes) -> None:
    quick, careful = both_ways(parse_items, body)
    assert normal(quick) == normal(careful)


@given(st.lists(VALUES), st.sampled_from([None, 1]), st.booleans())
def test_slices_are_the_exact_text(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=ascii_only) for value in values]
    spaced = ("[ " + "\n ,\t".join(texts) + "]").encode()
    tight = ("[" + ",".join(texts) + "]").encode()
    if any("\\u0000" in text for text in texts):
        return
    for body in (spaced, tight):
        try:
            items = parse_items(body)
        except BadInput as error:
            assert "U+0000" in str(error)
            return
        assert [text for _, text in items] == texts
    envelope = ('{"a": 1, "events" : ' + spaced.decode() + "}").encode()
    assert [text for _, text in parse_envelope(envelope, "events")["events"]] == texts


@pytest.mark.parametrize("text", ["1.10", "1e5", "0.1", "1E400", "-0.0", "1.7976931348623157e308", "5e-324"])
def test_every_digit_survives_or_is_refused(text: str) -> None:
    body = f'{{"a":{text}}}'.encode()
    try:
        value, _ = parse(body)
    except BadInput:
        assert text == "1E400"
    else:
        assert Decimal(str(value["a"])) == Decimal(text)
        assert Decimal(json.loads(dump(value), parse_float=Decimal)["a"]) == Decimal(text)


def test_members_are_dropped_and_the_rest_keeps_its_text() -> None:
    text = '{ "a" : 1.0, "key":"x", "b":{"key":2} }'
    assert without_members(text, frozenset({"key"})) == '{"a" : 1.0, "b":{"key":2}}'
    assert without_members('{"key":1}', frozenset({"key"})) == "{}"
