"""The receiver of our tests refuses what Meta's Conversions API refuses."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
from meta_receiver import DAY_S, MetaReceiver, meta_error
from receivers import CUT, INSIDE, Reply
from sample_conversions import HTTP, NOW_S, hashed

EVENT: dict[str, Any] = {
    "event_name": "Purchase",
    "event_time": NOW_S - 60,
    "event_id": "order-1",
    "action_source": "website",
    "event_source_url": "https://www.shop.example/thanks",
    "data_processing_options": [],
    "user_data": {
        "em": [hashed("jane@shop.example")],
        "ph": hashed("4930123456"),
        "external_id": ["user-1"],
        "client_user_agent": "Firefox",
        "client_ip_address": "2001:db8::1",
        "fbc": f"fb.1.{(NOW_S - DAY_S) * 1000}.IwAR0-Abc_dEf",
    },
    "custom_data": {
        "value": 49.9,
        "currency": "EUR",
        "content_ids": ["shoe"],
        "contents": [{"id": "shoe", "quantity": 1, "item_price": 49.9, "delivery_category": "curbside"}],
        "num_items": 1,
    },
}


class Clock:
    now: float = NOW_S

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meta(clock: Clock) -> Iterator[MetaReceiver]:
    with MetaReceiver(now=clock) as receiver:
        yield receiver


def post(
    meta: MetaReceiver, *events: dict[str, Any], path: str = "/v25.0/1234567890/events", **more: Any
) -> Any:
    body = {"data": events, "access_token": "EAAB-meta-token"} | more
    return HTTP.post(f"{meta.url}{path}", json=body)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    event = deepcopy(EVENT)
    change(event)
    return event


def test_what_is_as_meta_wants_it_is_taken(meta: MetaReceiver) -> None:
    answer = post(meta, EVENT)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"events_received": 1, "messages": [], "fbtrace_id": "A1trace"}
    assert [each.event for each in meta.book] == [EVENT]


REFUSED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no event_name": lambda event: event.pop("event_name"),
    "empty event_name": lambda event: event.update(event_name=" "),
    "no event_time": lambda event: event.pop("event_time"),
    "event_time in milliseconds": lambda event: event.update(event_time=NOW_S * 1000),
    "event_time as text": lambda event: event.update(event_time="2026-01-01"),
    "event_time with a fraction": lambda event: event.update(event_time=NOW_S - 0.5),
    "event_time two minutes ahead": lambda event: event.update(event_time=NOW_S + 120),
    "event_time more than seven days ago": lambda event: event.update(event_time=NOW_S - 7 * DAY_S - 1),
    "more than 62 days ago in a shop": lambda event: event.update(
        event_time=NOW_S - 62 * DAY_S - 1, action_source="physical_store"
    ),
    "no action_source": lambda event: event.pop("action_source"),
    "unknown action_source": lambda event: event.update(action_source="shop"),
    "website without address": lambda event: event.pop("event_source_url"),
    "website without browser": lambda event: event["user_data"].pop("client_user_agent"),
    "event_source_url that is none": lambda event: event.update(event_source_url="thanks"),
    "event_id that is no text": lambda event: event.update(event_id=7),
    "opt_out that is no boolean": lambda event: event.update(opt_out="no"),
    "unknown member": lambda event: event.update(eventName="Purchase"),
    "no user_data": lambda event: event.pop("user_data"),
    "plain em": lambda event: event["user_data"].update(em=["jane@shop.example"]),
    "plain ph": lambda event: event["user_data"].update(ph="4930123456"),
    "hash in upper case": lambda event: event["user_data"].update(em=[hashed("a").upper()]),
    "empty em": lambda event: event["user_data"].update(em=[]),
    "plain fn": lambda event: event["user_data"].update(fn="jane"),
    "plain country": lambda event: event["user_data"].update(country="de"),
    "unknown member of user_data": lambda event: event["user_data"].update(email=hashed("a")),
    "client_ip_address that is none": lambda event: event["user_data"].update(client_ip_address="1.2.3"),
    "lead_id that is no text": lambda event: event["user_data"].update(lead_id=7),
    "fbc with seconds": lambda event: event["user_data"].update(fbc=f"fb.1.{NOW_S}.IwAR"),
    "fbc without its parts": lambda event: event["user_data"].update(fbc="IwAR"),
    "fbc of an old click": lambda event: event["user_data"].update(
        fbc=f"fb.1.{(NOW_S - 91 * DAY_S) * 1000}.IwAR"
    ),
    "fbp without its parts": lambda event: event["user_data"].update(fbp="123"),
    "weak: city and country": lambda event: event.update(
        user_data={"ct": hashed("berlin"), "country": hashed("de"), "client_user_agent": "Firefox"}
    ),
    "weak: name, gender and browser": lambda event: event.update(
        user_data={
            "fn": hashed("jane"),
            "ge": hashed("f"),
            "db": hashed("19900101"),
            "client_user_agent": "F",
        }
    ),
    "unknown option": lambda event: event.update(data_processing_options=["CCPA"]),
    "limited without country": lambda event: event.update(data_processing_options=["LDU"]),
    "limited in an unknown state": lambda event: event.update(
        data_processing_options=["LDU"], data_processing_options_country=1, data_processing_options_state=999
    ),
    "purchase without value": lambda event: event["custom_data"].pop("value"),
    "purchase without currency": lambda event: event["custom_data"].pop("currency"),
    "purchase without custom_data": lambda event: event.pop("custom_data"),
    "value as text": lambda event: event["custom_data"].update(value="49.90"),
    "negative value": lambda event: event["custom_data"].update(value=-1),
    "currency in words": lambda event: event["custom_data"].update(currency="euro"),
    "order_id that is no text": lambda event: event["custom_data"].update(order_id=7),
    "content_ids that are no list": lambda event: event["custom_data"].update(content_ids="shoe"),
    "contents without id": lambda event: event["custom_data"].update(contents=[{"quantity": 1}]),
    "contents without quantity": lambda event: event["custom_data"].update(contents=[{"id": "shoe"}]),
    "price as text": lambda event: event["custom_data"]["contents"][0].update(item_price="49.90"),
    "unknown delivery": lambda event: event["custom_data"]["contents"][0].update(delivery_category="drone"),
    "num_items as text": lambda event: event["custom_data"].update(num_items="1"),
    "net_revenue as text": lambda event: event["custom_data"].update(net_revenue="1"),
    "unknown member of custom_data": lambda event: event["custom_data"].update(valeu=1),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_one_bad_event_fails_the_whole_request(
    meta: MetaReceiver, change: Callable[[dict[str, Any]], object]
) -> None:
    answer = post(meta, EVENT, changed(change))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == 100 and error["error_user_msg"].startswith("data[1]: ")
    assert meta.book == []


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.update(event_time=NOW_S - 61 * DAY_S, action_source="physical_store"),
        lambda event: event.update(event_name="Lead", custom_data={}),
        lambda event: event.update(
            data_processing_options=["LDU"],
            data_processing_options_country=1,
            data_processing_options_state=1010,
        ),
        lambda event: event.update(action_source="system_generated", user_data={"external_id": "user-1"}),
        lambda event: event["user_data"].update(fbc=f"fb.1.{NOW_S * 1000}.IwAR.fifth"),
    ],
)
def test_what_is_allowed_beside_is_taken(
    meta: MetaReceiver, change: Callable[[dict[str, Any]], object]
) -> None:
    assert post(meta, changed(change)).status_code == 200


@pytest.mark.parametrize(
    ("more", "path", "error"),
    [
        ({"access_token": None}, None, (190, None)),
        ({"access_token": "EAAB-other"}, None, (190, None)),
        ({}, "/v25.0/999/events", (100, 33)),
        ({}, "/v25/1234567890/events", (2500, None)),
        ({}, "/v26.0/1234567890/events", (2500, None)),
        ({"data": []}, None, (100, None)),
        ({"data": EVENT}, None, (100, None)),
        ({"data": [EVENT] * 1001}, None, (100, None)),
        ({"events": []}, None, (100, None)),
    ],
)
def test_whole_requests_are_refused(
    meta: MetaReceiver, more: dict[str, Any], path: str | None, error: tuple[int, int | None]
) -> None:
    answer = post(meta, EVENT, path=path or "/v25.0/1234567890/events", **more)
    said = answer.json()["error"]
    assert answer.status_code == 400 and (said["code"], said.get("error_subcode")) == error
    assert meta.book == []


def test_a_thousand_events_are_taken(meta: MetaReceiver) -> None:
    assert post(meta, *[EVENT | {"event_id": str(number)} for number in range(1000)]).json() == {
        "events_received": 1000,
        "messages": [],
        "fbtrace_id": "A1trace",
    }


def test_a_body_that_is_no_json_is_refused(meta: MetaReceiver) -> None:
    headers = {"content-type": "application/json"}
    url = f"{meta.url}/v25.0/1234567890/events"
    for body in (b"{", b"[]", b""):
        assert HTTP.post(url, content=body, headers=headers).status_code == 400
    form = HTTP.post(url, data={"data": json.dumps([EVENT])})
    assert form.status_code == 400


def test_equal_events_count_once_within_two_days(meta: MetaReceiver, clock: Clock) -> None:
    post(meta, EVENT)
    post(meta, EVENT, changed(lambda event: event["custom_data"].update(value=1)))
    assert [each.value for each in meta.book] == [(49.9, "EUR")]
    assert len(meta.datasets["1234567890"].doubles) == 2
    post(meta, EVENT | {"event_name": "Other"})
    assert len(meta.book) == 2
    clock.now += 2 * DAY_S
    post(meta, EVENT)
    assert len(meta.book) == 3


def test_test_events_count_nowhere(meta: MetaReceiver) -> None:
    assert post(meta, EVENT, test_event_code="TEST1").status_code == 200
    assert meta.book == []
    assert [code for code, _ in meta.datasets["1234567890"].tested] == ["TEST1"]


def test_an_expired_token_is_told_from_a_wrong_one(meta: MetaReceiver) -> None:
    meta.expired.add("EAAB-old")
    error = post(meta, EVENT, access_token="EAAB-old").json()["error"]
    assert (error["code"], error["error_subcode"]) == (190, 463)


def test_faults_come_on_demand(meta: MetaReceiver) -> None:
    meta.faults += [meta_error(2, status=500), Reply(502, b"<html>Bad gateway"), INSIDE, CUT]
    assert post(meta, EVENT).json()["error"]["code"] == 2
    assert post(meta, EVENT).status_code == 502
    assert post(meta, EVENT).status_code == 302
    with pytest.raises(httpx.TransportError):
        post(meta, EVENT)
    assert meta.book == []
    assert post(meta, EVENT).status_code == 200
