"""Segment: what a batch's skipped items leave behind, and the key that must not be kept."""

import gzip
import json
from contextlib import closing

import httpx
import pytest
from servers import Server

from ingest_api.arrival import Arrival, Rejection
from ingest_api.dialects import segment
from ingest_api.strict_json import BadInput

ARRIVAL = Arrival("shop", received_us=1_772_362_800_000_000, sender="server", user_agent=None)


def reasons(*items: object) -> list[tuple[int, str]]:
    """Index and reason of each item that is rejected; the others are events."""
    reading = segment.read_batch(json.dumps({"batch": items}).encode(), ARRIVAL)
    assert len(reading.events) == len(items) - len(reading.rejections)
    return [(items.index(json.loads(each.body)), each.reason) for each in reading.rejections]


def test_each_skipped_item_is_rejected_with_its_reason() -> None:
    good = {"type": "track", "userId": "u", "event": "x"}
    assert reasons(
        good,
        7,
        {"type": "delete", "userId": "u"},
        {"type": "track", "userId": "u", "event": ""},
        {**good, "userId": None},
        {"type": "group", "userId": "u"},
        {"type": "alias", "previousId": "p"},
        {**good, "userId": True},
        {**good, "properties": 7},
        {**good, "event": "Order Completed", "properties": {"total": -1}},
        {**good, "event": "Order Completed", "properties": {"revenue": 1, "currency": "EURO"}},
        good,
    ) == [
        (1, "an event must be a JSON object"),
        (2, "type: must be one of track, page, screen, identify, group, alias"),
        (3, "event: required for track"),
        (4, "userId or anonymousId: required"),
        (5, "groupId: required for group"),
        (6, "userId: required for alias"),
        (7, "userId: must be a string or an integer"),
        (8, "properties: must be a JSON object"),
        (9, "properties.total: must not be negative"),
        (10, "properties.currency: must be three letters (ISO 4217), e.g. EUR"),
    ]


def test_a_single_call_that_is_bad_is_rejected_alike() -> None:
    call = b'{"userId":"u"}'
    rejection = Rejection("previousId: required for alias", call)
    assert segment.read_call("alias", call, ARRIVAL).rejections == [rejection]
    with pytest.raises(BadInput):
        segment.read_call("alias", b"7", ARRIVAL)


def test_a_large_gzipped_batch_with_its_key_in_the_body_arrives_without_the_key(
    ingest_server: Server,
) -> None:
    key = ingest_server.key("segmented", "ingest")
    item = {"type": "track", "userId": "u", "event": "x" * 300, "writeKey": key}
    body = json.dumps({"batch": [item] * 500, "writeKey": key, "sentAt": "2026-03-01T11:00:00Z"})
    answer = httpx.post(
        f"{ingest_server.url}/v1/batch",
        content=gzip.compress(body.encode()),
        headers={"Content-Encoding": "gzip"},
    )
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    with closing(ingest_server.store()) as landing:
        rows = landing.query("SELECT * FROM events WHERE project_id = 'segmented'")
    assert len(rows) == 500
    assert key not in str(rows)


def test_a_key_in_the_body_needs_the_scope(ingest_server: Server) -> None:
    body = {"userId": "u", "event": "x", "writeKey": ingest_server.key("segmented", "read")}
    answer = httpx.post(f"{ingest_server.url}/v1/track", json=body)
    assert answer.status_code == 403
    assert answer.json() == {"success": False, "message": "The API key needs the scope page or ingest."}
