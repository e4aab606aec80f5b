"""What Meta is told: each member of an event, and what becomes of each answer. Sent to a real server."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from meta_receiver import DAY_S, MetaReceiver, meta_error
from receivers import BUSY, CUT, CUT_SHORT, INSIDE, SLOW, Reply
from sample_conversions import (
    ANONYMOUS,
    DAY_US,
    MINUTE_US,
    NOW_S,
    NOW_US,
    USER_AGENT,
    Sending,
    delivery,
    hashed,
    meta_destination,
)

from forwarding.deliveries import Asking, Delivery, Destination, Outcome, Told, UndeliveredError
from forwarding.meta import Meta

TOKEN = "EAAB-meta-token"


@pytest.fixture
def sending() -> Sending:
    return Sending({"access_token": TOKEN})


@pytest.fixture
def receiver(sending: Sending) -> Iterator[MetaReceiver]:
    with MetaReceiver(token=TOKEN, now=sending.clock) as receiver:
        yield receiver


@pytest.fixture
def meta(receiver: MetaReceiver) -> Meta:
    return Meta(receiver.url)


def send(
    meta: Meta, sending: Sending, *deliveries: Delivery, destination: Destination | None = None
) -> Mapping[str, Outcome]:
    return asyncio.run(meta.send(destination or meta_destination(), deliveries, sending))


def told(meta: Meta, receiver: MetaReceiver, sending: Sending, each: Delivery, **members: Any) -> Any:
    """The event that the receiver took."""
    destination = meta_destination(**members)
    assert meta.skip_reason(destination, each, sending.now_us()) is None
    outcome = send(meta, sending, each, destination=destination)[each.delivery_id]
    assert outcome.result == "delivered", outcome
    return receiver.book[-1].event


def skipped(each: Delivery, **members: Any) -> str | None:
    return Meta("https://meta.example").skip_reason(meta_destination(**members), each, NOW_US)


def test_a_purchase(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    assert told(meta, receiver, sending, delivery()) == {
        "event_name": "Purchase",
        "event_time": NOW_S - 3600,
        "event_id": "order-1",
        "action_source": "website",
        "event_source_url": "https://www.shop.example/thanks?utm_campaign=spring",
        "data_processing_options": [],
        "user_data": {
            "em": [hashed("jane@shop.example")],
            "ph": [hashed("4930123456")],
            "fn": [hashed("jane")],
            "ct": [hashed("berlin")],
            "external_id": [hashed("user-1"), hashed("visitor-1")],
            "client_user_agent": USER_AGENT,
            "fbc": f"fb.1.{(NOW_S - 2 * DAY_S) * 1000}.IwAR0-Abc_dEf",
        },
        "custom_data": {"value": 49.9, "currency": "EUR", "order_id": "order-1"},
    }
    message, delivery_ids = sending.sent[0]
    assert message.url == f"{receiver.url}/v25.0/1234567890/events"
    assert list(delivery_ids) == ["msg_1_create"]


def test_the_token_stands_in_the_body_only(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    send(meta, sending, delivery(), destination=meta_destination(test_event_code="TEST7"))
    request = receiver.requests[0]
    assert request.json()["access_token"] == TOKEN and request.json()["test_event_code"] == "TEST7"
    assert TOKEN not in request.target and TOKEN not in str(request.headers)
    message, _ = sending.sent[0]
    assert TOKEN not in repr(message) + message.shown + message.shown_url
    assert json.loads(message.shown) == request.json() | {"access_token": "***"}
    assert message.secrets == (TOKEN,)
    assert receiver.book == [] and receiver.datasets["1234567890"].tested


def test_version_and_dataset_make_the_address(meta: Meta, sending: Sending) -> None:
    message = meta.render(meta_destination(api_version=24, dataset_id="77"), [delivery()], sending)
    assert message.url.endswith("/v24.0/77/events")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"name": "signup", "event_name": "CompleteRegistration"}, "CompleteRegistration"),
        ({"name": "signup", "event_name": None}, "signup"),
        ({"name": None, "event_name": None, "goal_id": "thanks"}, "thanks"),
    ],
)
def test_event_names(
    meta: Meta, receiver: MetaReceiver, sending: Sending, event: dict[str, Any], expected: str
) -> None:
    assert told(meta, receiver, sending, delivery(**event))["event_name"] == expected


@pytest.mark.parametrize(
    ("event", "members", "expected"),
    [
        ({"occurred_us": NOW_US - 1}, {}, NOW_S - 1),
        ({"occurred_us": NOW_US + 90 * MINUTE_US}, {}, NOW_S),
        ({}, {"event_time": "approved"}, NOW_S - 1800),
        ({"approved_us": None}, {"event_time": "approved", "trigger": "created"}, NOW_S - 3600),
        ({"occurred_us": NOW_US - 61 * DAY_US}, {"action_source": "physical_store"}, NOW_S - 61 * DAY_S),
        ({"occurred_us": NOW_US - 30 * DAY_US}, {"event_time": "approved"}, NOW_S - 1800),
    ],
)
def test_event_times(
    meta: Meta,
    receiver: MetaReceiver,
    sending: Sending,
    event: dict[str, Any],
    members: dict[str, Any],
    expected: int,
) -> None:
    assert told(meta, receiver, sending, delivery(**event), **members)["event_time"] == expected


def test_what_is_too_old_is_not_sent() -> None:
    hour = 60 * MINUTE_US
    assert skipped(delivery(occurred_us=NOW_US - 7 * DAY_US + hour)) == "too_old"
    assert skipped(delivery(occurred_us=NOW_US - 7 * DAY_US + hour + 1)) is None
    in_store = {"action_source": "physical_store"}
    assert skipped(delivery(occurred_us=NOW_US - 62 * DAY_US + hour), **in_store) == "too_old"
    assert skipped(delivery(occurred_us=NOW_US - 62 * DAY_US + hour + 1), **in_store) is None
    late = delivery(occurred_us=NOW_US - DAY_US)
    assert Meta("https://meta.example").expires_us(meta_destination(), late) == NOW_US + 6 * DAY_US - hour


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"user_agent": None}, "system_generated"),
        ({"event_url": None, "landing_url": None}, "system_generated"),
        ({"event_url": "android-app://shop", "landing_url": "thanks"}, "system_generated"),
        ({"user_agent": None, "event_url": None, "landing_url": None}, "system_generated"),
        ({"event_url": None}, "website"),
    ],
)
def test_website_events_have_an_address_and_a_browser(
    meta: Meta, receiver: MetaReceiver, sending: Sending, event: dict[str, Any], expected: str
) -> None:
    assert told(meta, receiver, sending, delivery(**event))["action_source"] == expected
    assert (
        told(meta, receiver, sending, delivery(2, **event), action_source="email")["action_source"] == "email"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://shop.example/a?utm_source=x&id=7&UTM_Term=shoes&email=a#b",
            "/a?utm_source=x&UTM_Term=shoes",
        ),
        ("https://jane:secret@shop.example/a", "/a"),
        ("https://shop.example/jane@mail.example/thanks?utm_id=1", "/?utm_id=1"),
        ("https://shop.example/?utm_content=jane%40mail.example&utm_id=1", "/?utm_id=1"),
    ],
)
def test_addresses_say_nothing_of_the_person(
    meta: Meta, receiver: MetaReceiver, sending: Sending, url: str, expected: str
) -> None:
    event = told(meta, receiver, sending, delivery(event_url=url))
    assert event["event_source_url"] == f"https://shop.example{expected}"


def test_without_a_dedup_id_the_conversions_hash_is_one(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    event = told(meta, receiver, sending, delivery(dedup_id=None, transaction_id=None))
    assert event["event_id"] == hashed("shop:purchase:order-1")
    assert "order_id" not in event["custom_data"]


def test_limited_data_use(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    event = told(meta, receiver, sending, delivery(), limited_data_use=True)
    options = [event[f"data_processing_options{each}"] for each in ("", "_country", "_state")]
    assert options == [["LDU"], 0, 0]
    california = {"limited_data_country": 1, "limited_data_state": 1000}
    event = told(meta, receiver, sending, delivery(2), limited_data_use=True, **california)
    options = [event[f"data_processing_options{each}"] for each in ("", "_country", "_state")]
    assert options == [["LDU"], 1, 1000]


def test_user_data_given_as_properties(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    plain = {
        "ip": " 2001:DB8::1 ",
        "fbc": "fb.2.1789999999999.IwAR.fifth",
        "fbp": "fb.1.1789999999999.1098115397",
        "subscription_id": "sub-1",
        "lead_id": 7,
        "fb_login_id": "8",
        "madid": "m",
        "anon_id": "a",
        "ctwa_clid": "c",
        "partner_id": "p",
        "region_code": "DE",
        "email": "jane@shop.example",
    }
    every = {name: hashed(name) for name in ("fn", "ln", "ge", "db", "ct", "st", "zp", "country")}
    sent = delivery(
        plain=json.dumps(plain),
        hashes=json.dumps(
            every | {"fn_google": hashed("x"), "ge": "female", "st": [hashed("a"), hashed("b")]}
        ),
        em_meta=hashed("one"),
        ph_meta=json.dumps([hashed("1"), "4930123456", hashed("2")]),
        external_ids=json.dumps([hashed("already"), "Visitor-1"]),
    )
    assert told(meta, receiver, sending, sent)["user_data"] == {
        "em": [hashed("one")],
        "ph": [hashed("1"), hashed("2")],
        **{name: [value] for name, value in every.items() if name not in ("ge", "st")},
        "st": [hashed("a"), hashed("b")],
        "external_id": [hashed("already"), hashed("Visitor-1")],
        "client_ip_address": "2001:db8::1",
        "client_user_agent": USER_AGENT,
        "fbc": "fb.2.1789999999999.IwAR.fifth",
        "fbp": "fb.1.1789999999999.1098115397",
        "subscription_id": "sub-1",
        "lead_id": "7",
        "fb_login_id": "8",
        "madid": "m",
        "anon_id": "a",
        "ctwa_clid": "c",
        "partner_id": "p",
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"landing_url": "https://shop.example/"}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": "https://a.b.shop.example:8443/"}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": "https://www.shop.co.uk/"}, "fb.2.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": "http://localhost/"}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": "http://127.0.0.1/"}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": "http://[2001:db8::1]:80/"}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"landing_url": None, "event_url": None}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"click_id": "a%2Fb-_"}, "fb.1.1789827200000.a%2Fb-_"),
        ({"clicked_us": NOW_US - 90 * DAY_US}, f"fb.1.{(NOW_S - 90 * DAY_S) * 1000}.IwAR0-Abc_dEf"),
        ({"clicked_us": NOW_US - 90 * DAY_US - 1}, None),
        ({"clicked_us": None}, None),
        ({"click_id_type": "gclid"}, None),
        ({"plain": '{"fbc": "fb.1.1700000000000.old"}'}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
        ({"plain": '{"fbc": "IwAR"}'}, "fb.1.1789827200000.IwAR0-Abc_dEf"),
    ],
)
def test_fbc_is_made_of_the_click(
    meta: Meta, receiver: MetaReceiver, sending: Sending, event: dict[str, Any], expected: str | None
) -> None:
    user = told(meta, receiver, sending, delivery(**event))["user_data"]
    assert user.get("fbc") == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ANONYMOUS, "no_identifier"),
        (ANONYMOUS | {"hashes": json.dumps({"fn": hashed("a"), "ct": hashed("b")})}, "no_identifier"),
        (ANONYMOUS | {"em_meta": '["jane@shop.example"]', "external_ids": "[no JSON"}, "no_identifier"),
        (ANONYMOUS | {"plain": '{"fbp": "fb.1.1789999999999.7"}'}, None),
        (ANONYMOUS | {"external_ids": '["visitor-1"]'}, None),
        (ANONYMOUS | {"ph_meta": hashed("49")}, None),
        ({"consent_ads": "denied"}, "consent_denied"),
        ({"consent_ads": "granted"}, None),
        ({"currency": None}, "no_currency"),
        ({"currency": "euro"}, "no_currency"),
        ({"value_minor": None}, "no_currency"),
        ({"value_minor": None, "name": "lead", "event_name": "Lead"}, None),
        ({"value_minor": 0, "currency": None, "name": "lead", "event_name": "Lead"}, None),
        ({"value_minor": 5, "currency": None, "name": "lead", "event_name": "Lead"}, "no_currency"),
        ({"value_minor": -1}, "negative_value"),
        ({"occurred_us": None}, "too_old"),
        ({"name": " ", "event_name": None}, "no_event_name"),
    ],
)
def test_what_meta_would_refuse_is_not_sent(event: dict[str, Any], expected: str | None) -> None:
    assert skipped(delivery(**event)) == expected


def test_nothing_is_taken_back_or_changed() -> None:
    before = Told("approved", 4990, "EUR")
    assert skipped(delivery(kind="retract", before=before)) == "cannot_retract"
    assert skipped(delivery(kind="restate", before=before)) == "cannot_restate"
    assert skipped(delivery(kind="erased", before=before)) == "cannot_retract"
    assert skipped(delivery(kind="test")) == "no_test_event_code"
    assert skipped(delivery(kind="test"), test_event_code="TEST1") is None


def test_a_test_needs_nobody(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    """The outbox makes it of a conversion that never was."""
    test = delivery(kind="test", **ANONYMOUS | {"event_name": "test"})
    destination = meta_destination(test_event_code="TEST1")
    assert by_result(send(meta, sending, test, destination=destination)) == {"delivered": 1}
    [(code, booked)] = receiver.datasets["1234567890"].tested
    assert (code, booked.event["user_data"]["em"]) == ("TEST1", [hashed("test@example.com")])
    assert receiver.book == []


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [
        (1, "EUR", "0.01"),
        (4990, "EUR", "49.90"),
        (4990, "JPY", "4990"),
        (4990, "BHD", "4.990"),
        (4990, "CLF", "0.4990"),
        (0, "USD", "0.00"),
        (9_007_199_254_740_993, "USD", "90071992547409.93"),
    ],
)
def test_amounts_are_exact(
    meta: Meta, receiver: MetaReceiver, sending: Sending, minor: int, currency: str, expected: str
) -> None:
    told(meta, receiver, sending, delivery(value_minor=minor, currency=currency))
    assert f'"value":{expected},"currency":"{currency}"'.encode() in receiver.requests[0].body


def test_custom_data_given_as_properties(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    given = {
        "content_ids": ["shoe", 7, None, {}],
        "contents": [
            {"id": "shoe", "quantity": "2", "item_price": "24.95", "delivery_category": "curbside", "x": 1},
            {"id": 7, "quantity": 1, "item_price": "much", "delivery_category": ["drone"]},
            {"id": "no quantity"},
            "sock",
        ],
        "content_type": "product",
        "content_name": "Shoes",
        "content_category": " ",
        "num_items": "3",
        "net_revenue": 12.5,
        "predicted_ltv": "100",
        "search_string": "shoe",
        "value": 1,
        "currency": "USD",
    }
    expected = {
        "value": 49.9,
        "currency": "EUR",
        "order_id": "order-1",
        "content_ids": ["shoe", "7"],
        "contents": [
            {"id": "shoe", "quantity": 2, "item_price": 24.95, "delivery_category": "curbside"},
            {"id": "7", "quantity": 1},
        ],
        "content_type": "product",
        "content_name": "Shoes",
        "num_items": 3,
        "net_revenue": 12.5,
        "predicted_ltv": 100,
        "search_string": "shoe",
    }
    assert told(meta, receiver, sending, delivery(custom_data=json.dumps(given)))["custom_data"] == expected
    as_text = given | {"contents": json.dumps(given["contents"]), "content_ids": "shoe"}
    event = told(meta, receiver, sending, delivery(2, custom_data=json.dumps(as_text)))
    assert event["custom_data"]["contents"] == expected["contents"]
    assert event["custom_data"]["content_ids"] == ["shoe"]


def orders(count: int) -> Sequence[Delivery]:
    return [delivery(number) for number in range(count)]


def by_result(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    results = [each.result for each in outcomes.values()]
    return {result: results.count(result) for result in sorted(set(results))}


def test_five_hundred_in_one_request(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    outcomes = send(meta, sending, *orders(meta.most_at_once))
    assert by_result(outcomes) == {"delivered": 500}
    assert len(receiver.requests) == 1 and len(receiver.book) == 500
    assert {each.remote_id for each in outcomes.values()} == {"A1trace"}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 500])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.99])
def test_a_poison_event_dies_alone(
    meta: Meta, receiver: MetaReceiver, sending: Sending, count: int, where: float
) -> None:
    guilty = int(count * where)
    receiver.poison.add(f"order-{guilty}")
    outcomes = send(meta, sending, *orders(count))
    dead = {delivery_id: each for delivery_id, each in outcomes.items() if each.result != "delivered"}
    assert list(dead) == [f"msg_{guilty}_create"]
    assert dead[f"msg_{guilty}_create"].result == "dead"
    assert dead[f"msg_{guilty}_create"].code == "100/2804048"
    assert "not as Meta wants it" in dead[f"msg_{guilty}_create"].text
    assert sorted(each.event["event_id"] for each in receiver.book) == sorted(
        f"order-{number}" for number in range(count) if number != guilty
    )
    assert not receiver.datasets["1234567890"].doubles
    after_the_first = len(receiver.requests) - 1
    assert after_the_first <= 2 * (count - 1).bit_length()


def test_several_poison_events_die_alone(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    receiver.poison |= {"order-3", "order-250", "order-251"}
    outcomes = send(meta, sending, *orders(500))
    assert by_result(outcomes) == {"dead": 3, "delivered": 497}
    assert len(receiver.book) == 497


def test_a_batch_of_poison_ends_in_a_bounded_number_of_requests(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    receiver.poison |= {f"order-{number}" for number in range(500)}
    outcomes = send(meta, sending, *orders(500))
    assert len(receiver.requests) == 40
    assert set(by_result(outcomes)) == {"dead", "retry"} and len(outcomes) == 500


def test_an_event_that_is_lost_in_silence_is_tried_again(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    receiver.loses.add("order-5")
    outcomes = send(meta, sending, *orders(9))
    assert by_result(outcomes) == {"delivered": 8, "retry": 1}
    assert outcomes["msg_5_create"].code == "events_received"


@pytest.mark.parametrize(
    ("fault", "result", "code", "is_fault"),
    [
        (meta_error(1, 99, status=500), "retry", "1/99", True),
        (meta_error(2, status=503), "retry", "2", True),
        (meta_error(341), "retry", "341", False),
        (meta_error(368), "retry", "368", False),
        (meta_error(5000), "retry", "5000", False),
        (meta_error(21009), "retry", "21009", False),
        (meta_error(100, 2804003, is_transient=True), "retry", "100/2804003", False),
        (meta_error(190, is_transient=True), "retry", "190", False),
        (Reply(502, b"<html>Bad gateway</html>"), "retry", "502", True),
        (Reply(500), "retry", "500", True),
        (Reply(200, b"<html>Log in</html>"), "retry", "not_json", True),
        (Reply(200, b"[]"), "retry", "not_json", True),
        (Reply(200, b"{}"), "retry", "events_received", False),
        (INSIDE, "retry", "302", True),
        (CUT, "retry", "cut", True),
        (CUT_SHORT, "retry", "cut", True),
        (SLOW, "retry", "timeout", True),
        (meta_error(4), "retry", "4", False),
        (meta_error(17), "retry", "17", False),
        (meta_error(613), "retry", "613", False),
        (meta_error(80003), "retry", "80003", False),
        (BUSY, "retry", "429", False),
        (meta_error(190, 460), "pause", "190/460", False),
        (meta_error(190, 463, status=401), "pause", "190/463", False),
        (meta_error(102), "pause", "102", False),
        (meta_error(200, status=403), "pause", "200", False),
        (meta_error(10), "pause", "10", False),
        (meta_error(3), "pause", "3", False),
        (meta_error(100, 33), "pause", "100/33", False),
        (Reply(410, b"gone"), "pause", "410", False),
        (meta_error(100, 2804003), "dead", "100/2804003", False),
        (meta_error(100, 2804019), "dead", "100/2804019", False),
        (meta_error(7777), "dead", "7777", False),
    ],
)
def test_answers(
    meta: Meta,
    receiver: MetaReceiver,
    sending: Sending,
    fault: Reply,
    result: str,
    code: str,
    is_fault: bool,
) -> None:
    sending.timeout_s = 0.3 if fault is SLOW else 2
    receiver.fault = fault
    outcome = send(meta, sending, delivery())["msg_1_create"]
    assert (outcome.result, outcome.code, outcome.is_fault) == (result, code, is_fault)
    assert len(receiver.requests) == 1 and receiver.book == []


def test_throttling_waits_twice_as_long_each_time(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    receiver.fault = meta_error(80003)
    waits = [send(meta, sending, delivery())["msg_1_create"].wait_s for _ in range(8)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    receiver.fault = BUSY
    assert send(meta, sending, delivery())["msg_1_create"].wait_s == 7
    receiver.fault = None
    send(meta, sending, delivery())
    receiver.fault = meta_error(4)
    assert send(meta, sending, delivery())["msg_1_create"].wait_s == 60


def test_trouble_while_a_bad_event_is_looked_for_stops_the_search(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    receiver.faults += [meta_error(100, 2804003), Reply(503), Reply(503)]
    outcomes = send(meta, sending, *orders(8))
    assert by_result(outcomes) == {"retry": 8} and len(receiver.requests) == 2
    receiver.faults.clear()
    receiver.faults += [meta_error(100, 2804003), meta_error(190, 463)]
    assert by_result(send(meta, sending, *orders(8))) == {"pause": 8}


def test_what_grew_too_old_while_it_waited_dies_without_the_others(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    old = delivery(2, occurred_us=NOW_US - 7 * DAY_US)
    outcomes = send(meta, sending, delivery(1), old)
    assert outcomes["msg_1_create"].result == "delivered"
    assert (outcomes["msg_2_create"].result, outcomes["msg_2_create"].code) == ("dead", "too_old")
    assert len(receiver.requests) == 1


def test_a_missing_token_pauses(meta: Meta, receiver: MetaReceiver) -> None:
    outcome = send(meta, Sending({}), delivery())["msg_1_create"]
    assert (outcome.result, outcome.code) == ("pause", "no_access_token")
    assert receiver.requests == []


def test_an_answer_that_repeats_the_token_is_kept_without_it(
    meta: Meta, receiver: MetaReceiver, sending: Sending
) -> None:
    for fault in (
        meta_error(190, words=f"Malformed access token {TOKEN}\r\n" + "x" * 600),
        Reply(503, f"no {TOKEN}".encode()),
    ):
        receiver.fault = fault
        outcome = send(meta, sending, delivery())["msg_1_create"]
        assert TOKEN not in repr(outcome) and "***" in outcome.text
        assert len(outcome.text.encode()) <= 512 and "\n" not in outcome.text


def test_an_address_that_may_not_be_dialled_pauses(meta: Meta) -> None:
    class Guarded(Sending):
        async def send(self, *_: object) -> Any:
            raise UndeliveredError("forbidden_address", "leads inside", is_permanent=True)

    outcome = send(meta, Guarded({"access_token": TOKEN}), delivery())["msg_1_create"]
    assert (outcome.result, outcome.code) == ("pause", "forbidden_address")


def test_asking_sends_test_events(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    assert isinstance(meta, Asking)
    asked = asyncio.run(meta.ask(meta_destination(), [delivery()], sending))
    assert asked["msg_1_create"].code == "no_test_event_code" and receiver.requests == []
    asked = asyncio.run(meta.ask(meta_destination(test_event_code="TEST1"), [delivery()], sending))
    assert asked["msg_1_create"].result == "delivered"
    assert receiver.book == [] and len(receiver.datasets["1234567890"].tested) == 1


def test_what_meta_remarks_is_shown(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    receiver.fault = Reply.of(
        200, {"events_received": 1, "messages": ["Low match quality."], "fbtrace_id": "A"}
    )
    outcome = send(meta, sending, delivery())["msg_1_create"]
    assert (outcome.result, outcome.text, outcome.remote_id) == ("delivered", "Low match quality.", "A")


def test_repeats_count_once(meta: Meta, receiver: MetaReceiver, sending: Sending) -> None:
    receiver.faults.append(Reply(503, is_taken=True))
    assert by_result(send(meta, sending, delivery())) == {"retry": 1}
    sending.now += 3600
    assert by_result(send(meta, sending, delivery())) == {"delivered": 1}
    assert len(receiver.book) == 1
    first, second = (each.body for each in receiver.requests)
    assert first == second
