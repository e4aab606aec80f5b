"""A body is read in time that grows with its length, whatever is in it, by every parser."""

import gc
import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from funnelhouse.problems import Refusal
from ingest_api.arrival import Arrival, Rejection
from ingest_api.body import gunzip
from ingest_api.dialect_table import ROUTES
from ingest_api.dialects import funnelflux, segment
from ingest_api.rejected import rejected_rows
from ingest_api.strict_json import BadInput, parse

SHORT, LONG = 100_000, 400_000
MOST_TIMES_AS_LONG = 20
"""Four times the length takes four times as long, or sixteen where it is squared and has begun to hurt."""

NOTHING = 0.02
"""Seconds that are no sign of anything."""

MOST_SECONDS = 3

ARRIVAL = Arrival("shop", 1, "server", None)


def repeated_names(length: int) -> bytes:
    names = [b'"k%06d":0' % number for number in range(length // 11)]
    return b"{" + b",".join([*names, names[-1]]) + b"}"


def many(unit: bytes, before: bytes, after: bytes, length: int) -> bytes:
    return before + b",".join([unit] * (length // (len(unit) + 1))) + after


def filled(before: bytes, filling: bytes, after: bytes, length: int) -> bytes:
    return before + filling * (length // len(filling)) + after


BODIES: dict[str, Callable[[int], bytes]] = {
    "the last name repeated": repeated_names,
    "the last name repeated within": lambda length: (
        b'{"event_type":"event","z":' + repeated_names(length) + b"}"
    ),
    "open brackets": partial(filled, b"", b"[", b""),
    "open objects": partial(filled, b"", b'{"a":', b""),
    "deep items": partial(many, b"[" * 29 + b"]" * 29, b"[", b"]"),
    "deeper items": partial(many, b"[" * 900 + b"]" * 900, b"[", b"]"),
    "empty items": partial(many, b"{}", b"[", b"]"),
    "empty events": partial(many, b"{}", b'{"events":[', b"]}"),
    "empty calls": partial(many, b"{}", b'{"batch":[', b"]}"),
    "digits": partial(filled, b"[", b"9", b"]"),
    "decimals": partial(filled, b"[0.", b"3", b"]"),
    "digits behind 309": partial(filled, b"[1" + b"0" * 308 + b".", b"3", b"]"),
    "digits of an exponent": partial(filled, b"[1e", b"9", b"]"),
    "huge exponents": partial(many, b"1e-999999999", b"[", b"]"),
    "an amount": partial(filled, b'{"event_type":"event","event_name":"e","revenue":1.', b"1", b"}"),
    "a time": partial(
        filled, b'{"event_type":"event","event_name":"e","timestamp":"2026-01-01 ', b"1", b'"}'
    ),
    "a call's time": partial(filled, b'{"userId":"u","event":"e","timestamp":"', b"1111-1-", b'"}'),
    "escapes": partial(filled, b'["', b"\\u0061", b'"]'),
    "backslashes": partial(filled, b'["', b"\\\\", b'"]'),
    "blanks": partial(filled, b"[1", b" ", b""),
    "lines": partial(filled, b"[1", b"\n", b"x"),
    "a long name": partial(filled, b'{"', b"a", b'":1, "b":1}'),
    "a long key": partial(filled, b'{"writeKey":"', b"x", b""),
    "many keys": partial(filled, b"{", b'"writeKey" : "a",', b"}"),
    "parameters": partial(filled, b"hit=h", b"&", b""),
    "braces": partial(filled, b"hit=", b"{", b""),
    "an open brace": partial(filled, b"hit={", b"a", b""),
    "percent": partial(filled, b"hit=", b"%7B", b""),
}

READERS: dict[str, Callable[[bytes], object]] = {
    **{route.path: partial(route.read, arrival=ARRIVAL) for route in ROUTES},
    "a body after an empty query": lambda body: funnelflux.read(b"\n" + body, ARRIVAL),
    "segment key": segment.sent_key,
    "segment likely keys": segment.likely_keys,
    "definitions": parse,
    "rejected": lambda body: rejected_rows(ARRIVAL, "/", [Rejection("", body)]),
}


@pytest.fixture(autouse=True)
def collecting_rarely() -> Iterator[None]:
    """As the server does: looking for cycles takes longer than all that is measured."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    yield
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)


def seconds(read: Callable[[bytes], object], body: bytes) -> float:
    """Of the processor."""
    began = time.process_time()
    with suppress(BadInput, Refusal):
        read(body)
    return time.process_time() - began


@pytest.mark.parametrize("reader", READERS)
def test_every_parser_is_linear(reader: str) -> None:
    read = READERS[reader]
    for name, body in BODIES.items():
        short, long = seconds(read, body(SHORT)), seconds(read, body(LONG))
        assert long < max(NOTHING, short) * MOST_TIMES_AS_LONG, name
        assert long < MOST_SECONDS, name


def test_gunzip_is_linear_and_takes_so_many_members() -> None:
    empty = gzip.compress(b"", mtime=0)
    for members in (empty, gzip.compress(b"x", mtime=0)):
        assert seconds(gunzip, members * (LONG // len(members))) < NOTHING * MOST_TIMES_AS_LONG
    assert gunzip(gzip.compress(b"xy", mtime=0) * 1000) == b"xy" * 1000
    with pytest.raises(Refusal, match="1000 members"):
        gunzip(empty * 1001)


def test_a_batchs_own_context_stands_for_so_much_text_only() -> None:
    call = b'{"type":"page","userId":"u"}'

    def batch(calls: int, address: int) -> bytes:
        context = b'{"page":{"url":"' + b"x" * address + b'"}}'
        return b'{"context":' + context + b',"batch":[' + b",".join([call] * calls) + b"]}"

    assert len(segment.read_batch(batch(2000, 2000), ARRIVAL).events) == 2000
    with pytest.raises(BadInput, match="context: too long"):
        segment.read_batch(batch(2000, 8000), ARRIVAL)
